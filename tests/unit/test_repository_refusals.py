"""docs/reference/refusals.md says of every refusal what it is, and says it once."""

import importlib
import pkgutil
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

from adapters.coap.refusals import answer_to
from adapters.edge import engine
from adapters.http.refusals import STATUS, status_of
from adapters.mqtt.refusals import connect_refusal
from kernel import errors
from kernel.errors import TuhonoError

ROOT = Path(__file__).parents[2]
PAGE = (ROOT / "docs/reference/refusals.md").read_text()
BESIDE = {"tests", "benchmarks"}  # packages that are no rooms
ROOMS = [path.name for path in sorted(ROOT.iterdir()) if (path / "__init__.py").exists() and path.name not in BESIDE]
PROGRAMS = (".__main__", ".env")  # run, not imported: the command line, and the migration tool's own script
KINDS: list[type[TuhonoError]] = [
    one for one in vars(errors).values() if isinstance(one, type) and issubclass(one, TuhonoError)
]


def import_everything() -> None:
    for room in ROOMS:
        for module in pkgutil.walk_packages(importlib.import_module(room).__path__, f"{room}."):
            if not module.name.endswith(PROGRAMS):
                importlib.import_module(module.name)


def descendants(kind: type[TuhonoError]) -> Iterator[type[TuhonoError]]:
    for each in kind.__subclasses__():
        yield each
        yield from descendants(each)


def all_errors() -> list[type[TuhonoError]]:
    import_everything()
    known: list[type[TuhonoError]] = [TuhonoError, *descendants(TuhonoError)]
    return [one for one in dict.fromkeys(known) if one.__module__.partition(".")[0] in ROOMS]


def kind_of(error: type[TuhonoError]) -> str:
    return next(base.__name__ for base in error.__mro__ if base in KINDS)


def rows(columns: int) -> list[list[str]]:
    cells = [[cell.strip() for cell in line.strip("|").split(" | ")] for line in PAGE.splitlines() if line[:1] == "|"]
    return [row for row in cells if len(row) == columns and not row[0].startswith(("---", "code", "kind", "reason"))]


def documented() -> list[tuple[str, str]]:
    return [(row[0].strip("`"), row[1]) for row in rows(4)]


def test_every_error_has_a_code_of_its_own() -> None:
    without = [one.__qualname__ for one in all_errors() if "code" not in vars(one)]
    assert not without, f"no code of their own: {without}"
    codes = [one.code for one in all_errors()]
    assert not [code for code in codes if codes.count(code) > 1], "used twice"
    assert all(re.fullmatch(r"[a-z][a-z0-9]*(-[a-z0-9]+)*", code) for code in codes)


def test_every_code_is_on_the_page_once_with_its_kind() -> None:
    expected = sorted((one.code, kind_of(one)) for one in all_errors())
    assert sorted(documented()) == expected


@pytest.mark.parametrize("kind", KINDS, ids=lambda kind: kind.__name__)
def test_what_a_device_sees_of_a_kind_is_what_the_adapters_answer(kind: type[TuhonoError]) -> None:
    (row,) = (row for row in rows(6) if row[0] == kind.__name__)
    error = kind()
    refusal = connect_refusal(error)
    code = answer_to(error).code
    assert row[2:4] == [f"0x{refusal.v3_code:02x}", f"0x{refusal.reason:02X}"]
    assert row[4].partition(",")[0] == str(status_of(error))
    assert row[5].partition(",")[0] == f"{code >> 5}.{code & 31:02d}"


def test_exceptions_to_the_status_of_a_kind_are_named_in_their_row() -> None:
    for error, status in STATUS.items():
        if error not in KINDS:
            (row,) = (row for row in rows(4) if row[0] == f"`{error.code}`")
            assert f"answered {status}" in row[2]


def test_every_reason_of_a_failed_handshake_is_on_the_page() -> None:
    named = {row[0].strip("`") for row in rows(3)}
    assert {*engine._WORDS.values(), "protocol-error", "made-room", "key-unproven", "internal"} == named
