"""How commands print: facts and tables for people, JSON for scripts; text made by devices stays text.

Rich is imported when something is printed in colour on a terminal, and not before: every command starts
faster without it.
"""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Mapping, Sequence
from functools import cache
from typing import TYPE_CHECKING, Any, TextIO

if TYPE_CHECKING:
    from rich.console import Console


@cache
def terminal() -> Console:
    """Standard output with colours and styles, wrapped by the terminal and not by us."""
    from rich.console import Console

    return Console(highlight=False, soft_wrap=True)


def is_colourful(stream: TextIO) -> bool:
    """Whether somebody looks at it who has not asked for plain text."""
    return stream.isatty() and not os.environ.get("NO_COLOR")


def say(text: str = "", *, style: str = "") -> None:
    """One line on standard output, in colour where that is a terminal."""
    if style and is_colourful(sys.stdout):
        terminal().print(text, style=style, markup=False)
    else:
        sys.stdout.write(text + "\n")


def print_json(value: Mapping[str, Any] | Sequence[Any]) -> None:
    """One JSON document on one line of standard output."""
    sys.stdout.write(as_json(value) + "\n")


def as_json(value: Mapping[str, Any] | Sequence[Any]) -> str:
    """In ASCII, so that no reader's encoding matters."""
    return json.dumps(value, ensure_ascii=True, default=str)


def print_facts(facts: Mapping[str, object]) -> None:
    """Name and value, aligned; what is unset is left out."""
    known = {name: fact for name, fact in facts.items() if fact is not None and fact not in ("", [])}
    width = max((len(name) for name in known), default=0)
    for name, fact in known.items():
        say(f"{name:<{width}}  {shown(fact)}")


def print_table(columns: Sequence[str], rows: Sequence[Sequence[object]], *, empty: str) -> None:
    """Rows under their columns, nothing cut off, or a sentence where there are none."""
    if not rows:
        say(empty)
        return
    cells = [[shown(cell) for cell in row] for row in rows]
    widths = [max(map(len, column)) for column in zip(columns, *cells, strict=True)]
    say(_line(columns, widths), style="bold")
    for row in cells:
        say(_line(row, widths))


def _line(cells: Sequence[str], widths: Sequence[int]) -> str:
    return "  ".join(cell.ljust(width) for cell, width in zip(cells, widths, strict=True)).rstrip()


def shown(fact: object) -> str:
    """A value for a terminal: text made by a device never moves the cursor."""
    if isinstance(fact, bool):
        return "yes" if fact else "no"
    text = str(fact)
    return text if text.isprintable() else json.dumps(text)[1:-1]
