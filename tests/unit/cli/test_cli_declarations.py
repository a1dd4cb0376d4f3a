"""What commands say of themselves: complete, current, and quick to ask for."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import typer.main

from pki.signers.file import KEY_KINDS
from tests.support.command_line import tuhono
from tuhono.cli import ca
from tuhono.cli.main import app
from tuhono.cli.reference import describe

ROOT = Path(__file__).parents[3]


def commands(words: tuple[str, ...] = (), command: Any = None) -> Iterator[tuple[tuple[str, ...], Any]]:
    command = command or typer.main.get_command(app)
    yield words, command
    for name, subcommand in getattr(command, "commands", {}).items():
        yield from commands((*words, name), subcommand)


COMMANDS = list(commands())
each_command = pytest.mark.parametrize(
    ("words", "command"), [pytest.param(*one, id=" ".join(("tuhono", *one[0]))) for one in COMMANDS]
)


def test_the_reference_of_commands_is_what_the_commands_say() -> None:
    assert (ROOT / "docs/reference/cli.md").read_text() == describe(), "run scripts/docs"


@each_command
def test_every_command_helps_in_80_columns(words: tuple[str, ...], command: Any) -> None:
    for asked in ("--help", "-h"):
        said = tuhono(*words, asked, environment={"COLUMNS": "80"})
        assert said.status == 0
        assert said.err == ""
        assert max(map(len, said.out.splitlines())) <= 80
    assert "..." not in said.out.replace("[ARGS]...", ""), "a summary is cut off"


@each_command
def test_every_option_says_what_it_is_for(words: tuple[str, ...], command: Any) -> None:
    assert command.help
    for one in command.params:
        if one.name not in {"install_completion", "show_completion"}:
            assert one.help and one.help.endswith("."), (words, one.name)
            assert one.metavar or one.is_flag, (words, one.name)


def test_every_command_that_prints_facts_can_print_json() -> None:
    without = {" ".join(words) for words, one in COMMANDS if not any(p.name == "as_json" for p in one.params)}
    assert without == {"", "tenant", "device", "operator", "ca", "serve", "demo"}


def test_the_kinds_of_key_offered_are_those_that_can_be_made() -> None:
    assert set(ca.KEY_KINDS) == set(KEY_KINDS)
