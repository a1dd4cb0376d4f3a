"""`scripts/bench`: the server's CPU per operation, beside programs that do the same. A table of ratios, and JSON."""

import json
import os
import shutil
import signal
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console

from benchmarks import machine
from benchmarks.measuring import Bench
from benchmarks.outcomes import Outcome, report_json
from benchmarks.report import print_report
from benchmarks.rows import ROWS, UnknownRow, choose_rows
from benchmarks.servers.neighbours import start_floor, start_libcoap, start_mosquitto, start_nginx
from benchmarks.servers.server import Starter
from benchmarks.servers.tuhono import start_tuhono

ROOT = Path(__file__).parents[1]
RESULTS_FILE = ROOT / "benchmarks/results/latest.json"
DESCRIPTORS = 4096
ROUNDS, QUICK_ROUNDS = 7, 3
MISSED_STATUS, USAGE_STATUS = 1, 2
NEIGHBOURS: dict[str, Starter] = {
    "mosquitto": start_mosquitto,
    "nginx": start_nginx,
    "libcoap": start_libcoap,
    "floor": start_floor,
}

out = Console(highlight=False, width=None if Console().is_terminal else 132)  # a file is as wide as the table
err = Console(stderr=True, highlight=False)


def bench(
    rows: Annotated[
        list[str] | None, typer.Argument(metavar="[ROW]...", help=f"Rows: {', '.join(row.name for row in ROWS)}.")
    ] = None,
    quick: Annotated[bool, typer.Option("--quick", help="Fewer operations and rounds: under a minute.")] = False,
    rounds: Annotated[
        int | None, typer.Option(min=1, max=100, help=f"Rounds; default {ROUNDS}, with --quick {QUICK_ROUNDS}.")
    ] = None,
    json_file: Annotated[
        Path, typer.Option("--json", metavar="FILE", help="Where the figures are written.", dir_okay=False)
    ] = RESULTS_FILE,
    work_dir: Annotated[
        Path, typer.Option(help="Where databases lie during the run: durable rows measure this disk.", file_okay=False)
    ] = ROOT / "data",
    compiled: Annotated[
        Path | None,
        typer.Option(
            metavar="FOLDER",
            help="The compiled gateway to measure; scripts/bench names it where there is a C compiler.",
            exists=True,
            file_okay=False,
        ),
    ] = None,
    interpreted: Annotated[bool, typer.Option("--interpreted", help="Measure the interpreted gateway.")] = False,
    strict: Annotated[bool, typer.Option("--strict", help="Exit status 1 when a target is missed.")] = False,
) -> None:
    """Measure what a server's CPU spends on each operation, beside mosquitto, nginx, libcoap and a floor in C.

    The server runs on one core, the load on another; CPU time is the kernel's account of the server process.
    Every round measures each server once; the ratio told is the median over the rounds.
    """
    try:
        chosen = choose_rows(rows or [])
        cores = machine.choose_cores(machine.usable_cores())
    except (UnknownRow, machine.TooFewCores) as fault:
        err.print(f"error: {fault}", style="red", markup=False)
        raise typer.Exit(USAGE_STATUS) from fault
    signal.signal(signal.SIGTERM, lambda number, _: sys.exit(128 + number))  # servers and databases go with us
    machine.raise_descriptor_limit(DESCRIPTORS)
    facts = machine.describe_machine()
    os.sched_setaffinity(0, {cores.load})
    outcomes: list[Outcome] = []
    with _folder(work_dir) as folder, err.status("starting") as status:
        tell = status.update if err.is_terminal else lambda text: err.print(text, markup=False)
        starters = {"tuhono": partial(start_tuhono, compiled=None if interpreted else compiled), **NEIGHBOURS}
        with Bench(folder=folder, cores=cores, starters=starters, tell=tell) as figures:
            for row in chosen:
                outcomes.append(
                    figures.measure(
                        row,
                        rounds=rounds or (QUICK_ROUNDS if quick else ROUNDS),
                        operations=row.quick_operations if quick else row.operations,
                    )
                )
        versions = figures.versions
    print_report(out, outcomes, versions)
    report = report_json(
        outcomes, taken=datetime.now(UTC).isoformat(timespec="seconds"), machine=facts, versions=versions
    )
    json_file.parent.mkdir(parents=True, exist_ok=True)
    json_file.write_text(json.dumps(report, indent=1, ensure_ascii=False) + "\n")
    out.print(f"figures: {json_file}", style="dim", markup=False, soft_wrap=True)
    if any(outcome.fault for outcome in outcomes) or (strict and any(one.is_reached is False for one in outcomes)):
        raise typer.Exit(MISSED_STATUS)


@contextmanager
def _folder(work_dir: Path) -> Iterator[Path]:
    work_dir.mkdir(parents=True, exist_ok=True)
    folder = Path(tempfile.mkdtemp(prefix="benchmark-", dir=work_dir.resolve()))
    try:
        yield folder
    finally:
        shutil.rmtree(folder, ignore_errors=True)


if __name__ == "__main__":
    typer.run(bench)
