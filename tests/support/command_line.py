"""Runs `tuhono` as a person does: in a process of its own, or in this one where only its words matter (much faster).

ran = tuhono("tenant", "create", "acme", data_dir=tmp_path)
assert ran.status == 0 and ran.out == "created tenant acme\n"
"""

import json
import os
import subprocess
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from typer.testing import CliRunner

from tuhono.cli.main import app


@dataclass(frozen=True, slots=True)
class Said:
    """What became of a command."""

    status: int
    out: str
    err: str

    @property
    def lines(self) -> list[dict[str, Any]]:
        """The objects it printed, one a line."""
        return [json.loads(line) for line in self.out.splitlines()]

    @property
    def json(self) -> dict[str, Any]:
        """The only object it printed."""
        [only] = self.lines
        return only

    @property
    def fault(self) -> dict[str, Any]:
        """With --json: the fault it told."""
        assert self.out == ""
        told: dict[str, Any] = json.loads(self.err)
        return told


def tuhono(
    *words: object,
    data_dir: Path | None = None,
    environment: Mapping[str, str] | None = None,
    given: str | None = None,
) -> Said:
    """In this process, with `given` on standard input; a fault nobody raised on purpose is raised here.

    Not for serve and demo, which set up a process.
    """
    place = [] if data_dir is None else ["--data-dir", data_dir]
    added = {name: None for name in os.environ if name.startswith("TUHONO_")} | dict(environment or {})
    result = CliRunner().invoke(
        app, [str(word) for word in (*words, *place)], input=given, env=added, catch_exceptions=False
    )
    return Said(result.exit_code, result.stdout, result.stderr)


def tuhono_process(
    *words: object,
    data_dir: Path | None = None,
    folder: Path | None = None,
    environment: Mapping[str, str] | None = None,
    within_s: float = 30.0,
) -> Said:
    """In a process of its own, in that folder."""
    done = subprocess.run(
        command(*words, data_dir=data_dir),
        capture_output=True,
        text=True,
        timeout=within_s,
        cwd=folder,
        env=clean_environment(environment),
        stdin=subprocess.DEVNULL,
    )
    return Said(done.returncode, done.stdout, done.stderr)


def command(*words: object, data_dir: Path | None = None) -> list[str]:
    """To run with subprocess."""
    place = [] if data_dir is None else ["--data-dir", data_dir]
    return [str(word) for word in (sys.executable, "-m", "tuhono", *words, *place)]


def clean_environment(added: Mapping[str, str] | None = None) -> dict[str, str]:
    """Ours without what would configure the product."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith(("TUHONO_", "_TUHONO"))}
    return {**kept, **(added or {})}
