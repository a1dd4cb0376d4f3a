"""Which test shows which row of the compatibility contract: read from the names of tests, written into the page.

A test names the rows it shows: `test_hono_registry_4_5_what_is_so`. The rows themselves, and the reason where none is
shown, stand in the page; `scripts/docs` writes its last column anew.
"""

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).parents[2]
PAGE = ROOT / "docs/reference/hono-compatibility.md"
ROWS = range(1, 249)
NOT_OFFERED = "not offered: "  # begins the reason why a row has no test
_NAMED = re.compile(r"def (test_\w*?hono_registry_((?:\d+_)+)\w*)\(")
_ROW = re.compile(r"\| (\d+) \| (.+?) \| (.+?) \| (.+?) \|")
_SHOWN = re.compile(r"`(test_\w+)`")
_BEST_FIRST = ("tests/e2e/test_contract", "tests/e2e", "tests/contract", "tests/unit", "tests")


@dataclass(frozen=True, slots=True, kw_only=True)
class Row:
    """One row of the page."""

    number: int
    check: str
    expected: str
    shown: str  # a test and how many others, or NOT_OFFERED and why

    @property
    def test(self) -> str | None:
        named = _SHOWN.search(self.shown)
        return None if named is None else named[1]

    @property
    def reason(self) -> str | None:
        return self.shown.removeprefix(NOT_OFFERED) if self.shown.startswith(NOT_OFFERED) else None


def rows_of_page() -> list[Row]:
    """In the page's order."""
    return [row for line in PAGE.read_text().splitlines() if (row := _row(line)) is not None]


def names_by_row() -> Mapping[int, Sequence[str]]:
    """Names of tests, the most telling first."""
    found: dict[int, dict[str, int]] = {}
    for rank, file in sorted((_rank(file), file) for file in (ROOT / "tests").rglob("test_*.py")):
        for name, numbers in _named(file):
            for number in numbers:
                found.setdefault(number, {}).setdefault(name, rank)
    return {number: sorted(names, key=names.__getitem__) for number, names in found.items()}


def describe() -> str:
    """The page, its last column as the tests are now."""
    known = names_by_row()
    lines = PAGE.read_text().splitlines()
    return "".join(f"{_rewritten(line, known)}\n" for line in lines)


def _rewritten(line: str, known: Mapping[int, Sequence[str]]) -> str:
    row = _row(line)
    if row is None:
        return line
    names = known.get(row.number, ())
    shown = row.shown if row.reason else "none"
    if names:
        shown = f"`{names[0]}`" + (f" and {len(names) - 1} more" if len(names) > 1 else "")
    return f"| {row.number} | {row.check} | {row.expected} | {shown} |"


def _row(line: str) -> Row | None:
    cells = _ROW.fullmatch(line)
    return None if cells is None else Row(number=int(cells[1]), check=cells[2], expected=cells[3], shown=cells[4])


def _named(file: Path) -> Iterator[tuple[str, list[int]]]:
    for name, numbers in _NAMED.findall(file.read_text()):
        yield name, [int(number) for number in numbers.strip("_").split("_") if int(number) in ROWS]


def _rank(file: Path) -> int:
    place = str(file.relative_to(ROOT))
    return next(rank for rank, folder in enumerate(_BEST_FIRST) if place.startswith(folder))
