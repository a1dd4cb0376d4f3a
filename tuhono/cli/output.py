"""How commands print: facts and tables for people, JSON for scripts; text made by devices stays text."""

import json
import sys
from collections.abc import Mapping, Sequence
from typing import Any, NoReturn

import typer
from rich.console import Console

REFUSED_STATUS = 1  # the command was understood and could not be done

out = Console(highlight=False, soft_wrap=True)
err = Console(stderr=True, highlight=False, soft_wrap=True)


def fail(sentence: str, code: str, *, as_json: bool = False) -> NoReturn:
    """Print what is wrong and end the command."""
    if as_json:
        sys.stderr.write(json.dumps({"error": code, "detail": sentence}) + "\n")
    else:
        err.print(f"error: {sentence} ({code})", style="red", markup=False)
    raise typer.Exit(REFUSED_STATUS)


def print_json(value: Mapping[str, Any] | Sequence[Any]) -> None:
    """One JSON document on one line of standard output."""
    sys.stdout.write(json.dumps(value, ensure_ascii=True, default=str) + "\n")


def print_facts(facts: Mapping[str, object]) -> None:
    """Name and value, aligned; what is unset is left out."""
    known = {name: fact for name, fact in facts.items() if fact is not None and fact not in ("", [])}
    width = max((len(name) for name in known), default=0)
    for name, fact in known.items():
        out.print(f"{name:<{width}}  {shown(fact)}", markup=False)


def print_table(columns: Sequence[str], rows: Sequence[Sequence[object]], *, empty: str) -> None:
    """Rows under their columns, nothing cut off, or a sentence where there are none."""
    if not rows:
        out.print(empty, markup=False)
        return
    cells = [[shown(cell) for cell in row] for row in rows]
    widths = [max(map(len, column)) for column in zip(columns, *cells, strict=True)]
    out.print(_line(columns, widths), style="bold", markup=False)
    for row in cells:
        out.print(_line(row, widths), markup=False)


def _line(cells: Sequence[str], widths: Sequence[int]) -> str:
    return "  ".join(cell.ljust(width) for cell, width in zip(cells, widths, strict=True)).rstrip()


def shown(fact: object) -> str:
    """A value for a terminal: text made by a device never moves the cursor."""
    if isinstance(fact, bool):
        return "yes" if fact else "no"
    text = str(fact)
    return text if text.isprintable() else json.dumps(text)[1:-1]
