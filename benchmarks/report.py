"""The table people read."""

from collections.abc import Mapping, Sequence

from rich.console import Console
from rich.markup import escape
from rich.table import Table

from benchmarks.outcomes import SUBJECT, Outcome

_NOTHING = "–"


def print_report(out: Console, outcomes: Sequence[Outcome], versions: Mapping[str, str]) -> None:
    """Ratios first; figures in µs are true of this machine at this moment only."""
    table = Table(title="Server CPU per operation, on one core", title_justify="left", caption_justify="left")
    for name in ("operation", SUBJECT):
        table.add_column(name, justify="left" if name == "operation" else "right")
    table.add_column("beside", justify="left")
    for name in ("", "ratio", "rounds", "at most"):
        table.add_column(name, justify="right")
    table.add_column("")
    table.add_column("× floor", justify="right")
    for outcome in outcomes:
        table.add_row(*_cells(outcome))
    out.print(table)
    for line in _notes(outcomes):
        out.print(line)
    out.print("; ".join(versions.values()), style="dim", markup=False)


def _cells(outcome: Outcome) -> list[str]:
    row = outcome.row
    neighbour = row.beside[0]
    return [
        row.title,
        _figure(outcome.value(SUBJECT), row.unit),
        neighbour,
        _figure(outcome.value(neighbour), row.unit),
        _ratio(outcome.ratio(neighbour)),
        _range(outcome.ratios(neighbour)),
        _target(outcome),
        {True: "[green]reached[/]", False: "[red]missed[/]", None: ""}[outcome.is_reached],
        _ratio(outcome.ratio("floor")) if "floor" in row.beside else "",
    ]


def _notes(outcomes: Sequence[Outcome]) -> list[str]:
    missing = {server: why for outcome in outcomes for server, why in outcome.left_out.items()}
    notes = [f"[yellow]{server} is left out: {escape(why)}[/]" for server, why in missing.items()]
    for outcome in outcomes:
        if outcome.fault is not None:
            notes.append(f"[red]{outcome.row.title} has no figures: {escape(outcome.fault)}[/]")
    return notes


def _figure(value: float | None, unit: str) -> str:
    if value is None:
        return _NOTHING
    digits = 1 if value < 100 else 0
    return f"{value:,.{digits}f} {unit}"


def _ratio(value: float | None) -> str:
    return _NOTHING if value is None else f"{value:.2f}"


def _range(ratios: Sequence[float]) -> str:
    return f"{min(ratios):.2f}–{max(ratios):.2f}" if len(ratios) > 1 else ""


def _target(outcome: Outcome) -> str:
    row = outcome.row
    if row.ratio_max is not None:
        return f"{row.ratio_max:.2f}"
    if row.value_max is not None:
        return f"{row.value_max:g} {row.unit}"
    return ""
