"""Runs the `console` blocks of a page as CONTRIBUTING.md says, and compares what they print with what it shows."""

import json
import re
import subprocess
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

DONE_MAX_S = 60.0
ANYTHING = "…"

_BLOCK = re.compile(r"^```console(| fails)\n(.*?)^```$", re.MULTILINE | re.DOTALL)


@dataclass(frozen=True, slots=True, kw_only=True)
class Example:
    """A command of a page, and what the page says it prints."""

    command: str
    shown: str
    may_fail: bool


def examples_in(page: str) -> Sequence[Example]:
    """In the order of the page."""
    return [example for block in _BLOCK.finditer(page) for example in _of_block(block[2], bool(block[1]))]


def _of_block(text: str, may_fail: bool) -> Iterator[Example]:
    lines = text.splitlines()
    assert lines and lines[0].startswith("$ "), f"a console block begins with a command: {text!r}"
    while lines:
        command = [lines.pop(0).removeprefix("$ ")]
        while command[-1].endswith("\\"):
            command.append(lines.pop(0))
        shown = []
        while lines and not lines[0].startswith("$ "):
            shown.append(lines.pop(0))
        yield Example(command="\n".join(command), shown="\n".join(shown), may_fail=may_fail)


def run_examples(examples: Sequence[Example], folder: Path, environment: Mapping[str, str]) -> None:
    """All of them in one shell, in that directory. Raises AssertionError at the first that goes otherwise."""
    script = "\n".join(
        f"{{ {example.command}\n}} >{folder}/said-{number} 2>&1; echo $? >{folder}/status-{number}"
        for number, example in enumerate(examples)
    )
    subprocess.run(["sh", "-c", script], cwd=folder, env=environment, stdin=subprocess.DEVNULL, timeout=DONE_MAX_S)
    for number, example in enumerate(examples):
        said = (folder / f"said-{number}").read_text().rstrip("\n")
        status = int((folder / f"status-{number}").read_text())
        assert example.may_fail or status == 0, f"{example.command}\nended with {status} and said\n{said}"
        assert agrees(example.shown, said), f"{example.command}\nsaid\n{said}\nthe page shows\n{example.shown}"


def agrees(shown: str, said: str) -> bool:
    """Whether what was printed is what a page shows."""
    wanted, found = _json(shown), _json(said)
    if wanted is not None and found is not None:
        return _same(wanted, found)
    return _lines_agree(_statements(shown), said.splitlines())


def _statements(shown: str) -> list[str]:
    """Lines, where JSON that is spread over several is one."""
    lines, made = shown.splitlines(), list[str]()
    while lines:
        line = lines.pop(0)
        if line in {"{", "["}:
            end = lines.index({"{": "}", "[": "]"}[line])
            line = " ".join([line, *(one.strip() for one in lines[: end + 1])])
            del lines[: end + 1]
        made.append(line)
    return made


def _lines_agree(wanted: Sequence[str], found: Sequence[str]) -> bool:
    if not wanted:
        return not found
    if wanted[0] == ANYTHING:
        return any(_lines_agree(wanted[1:], found[skipped:]) for skipped in range(len(found) + 1))
    return bool(found) and _line_agrees(wanted[0], found[0]) and _lines_agree(wanted[1:], found[1:])


def _line_agrees(wanted: str, found: str) -> bool:
    wanted_json, found_json = _json(wanted), _json(found)
    if isinstance(wanted_json, dict | list) and isinstance(found_json, dict | list):
        return _same(wanted_json, found_json)
    return _text_agrees(wanted.strip(), found.strip())


def _same(wanted: Any, found: Any) -> bool:
    if isinstance(wanted, str):
        return _text_agrees(wanted, found if isinstance(found, str) else json.dumps(found))
    if isinstance(wanted, dict) and isinstance(found, dict):
        return wanted.keys() == found.keys() and all(_same(value, found[name]) for name, value in wanted.items())
    if isinstance(wanted, list) and isinstance(found, list):
        return len(wanted) == len(found) and all(map(_same, wanted, found))
    return bool(wanted == found) and isinstance(wanted, bool) == isinstance(found, bool)


def _text_agrees(wanted: str, found: str) -> bool:
    return re.fullmatch(".*".join(map(re.escape, wanted.split(ANYTHING))), found, re.DOTALL) is not None


def _json(text: str) -> Any:
    try:
        return json.loads(text)
    except ValueError:
        return None
