"""Starting a command is quick, and completion knows what there is."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.support.command_line import clean_environment, command, tuhono_process

ROOT = Path(__file__).parents[2]


@pytest.mark.parametrize(
    ("words", "unwanted"),
    [
        (["--help"], ("cryptography", "sqlalchemy", "rich", "asyncio", "sqlite3", "OpenSSL", "aiohttp", "uvloop")),
        (["tenant", "trust", "--help"], ("cryptography", "sqlalchemy", "sqlite3", "OpenSSL", "aiohttp", "uvloop")),
        (["ca", "create", "x"], ("sqlalchemy", "OpenSSL", "aiohttp", "uvloop", "storage", "adapters", "messaging")),
        (["check-config"], ("cryptography", "sqlalchemy", "OpenSSL", "aiohttp", "uvloop", "storage", "adapters")),
        (["explain", "--help"], ("cryptography", "sqlalchemy", "adapters", "storage")),
    ],
    ids=lambda value: " ".join(value[:2]),
)
def test_a_command_imports_what_it_needs(words: list[str], unwanted: tuple[str, ...], tmp_path: Path) -> None:
    """Starting is quick because little is loaded; how quick depends on the machine, what is loaded does not."""
    code = (
        "import sys; from tuhono.cli.main import app\n"
        f"sys.argv = ['tuhono', *{words!r}]\n"
        "try: app()\n"
        "except SystemExit as end: assert not end.code\n"
        f"print([name for name in {unwanted!r} if name in sys.modules], file=sys.stderr)"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=tmp_path, env={"PYTHONPATH": str(ROOT)}, capture_output=True, text=True
    )
    assert done.returncode == 0, done.stderr
    assert done.stderr.splitlines()[-1] == "[]"


COMMANDS = {
    "audit",
    "ca",
    "check-config",
    "demo",
    "device",
    "explain",
    "login",
    "logout",
    "migrate",
    "operator",
    "serve",
    "tail",
    "tenant",
}


@pytest.mark.parametrize(
    ("typed", "offered"),
    [
        ("tuhono ", COMMANDS),
        ("tuhono tenant tr", {"trust"}),
        ("tuhono tail --no", {"--no-follow"}),
        ("tuhono ca create x --key rsa", {"rsa-2048", "rsa-3072", "rsa-4096"}),
        ("tuhono explain x --adapter ", {"mqtt", "http", "coap"}),
    ],
)
def test_a_shell_completes_commands_options_and_values(typed: str, offered: set[str]) -> None:
    asked = {"_TUHONO_COMPLETE": "complete_bash", "COMP_WORDS": typed, "COMP_CWORD": str(len(typed.split(" ")) - 1)}
    program = Path(sys.executable).with_name("tuhono")
    done = subprocess.run([program], capture_output=True, text=True, env=clean_environment(asked), timeout=30)
    assert set(done.stdout.split()) == offered


def test_the_completion_script_is_printed_for_the_shell_that_asks() -> None:
    said = tuhono_process("--show-completion", "bash", environment={"SHELL": "/bin/bash"})
    assert said.status == 0
    assert "complete" in said.out


def test_the_version_is_printed() -> None:
    said = tuhono_process("--version")
    assert said.status == 0
    assert said.out.startswith("tuhono ")
    assert (", compiled" in said.out) is (os.environ.get("TUHONO_TESTED") == "compiled")


def test_a_reader_that_has_enough_is_no_fault(tmp_path: Path) -> None:
    """As in `tuhono check-config --show | head -1`."""
    for words in (["check-config", "--show"], ["--help"], ["check-config", "--json", "--show"]):
        process = subprocess.Popen(
            command(*words), stdout=subprocess.PIPE, stderr=subprocess.PIPE, cwd=tmp_path, env=clean_environment()
        )
        assert process.stdout is not None
        process.stdout.close()
        _, err = process.communicate(timeout=30)
        assert err == b""


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="needs /dev/full")
@pytest.mark.parametrize("words", [["check-config"], ["check-config", "--json"], ["check-config", "--show"]])
def test_output_that_cannot_be_written_is_told(words: list[str], tmp_path: Path) -> None:
    with open("/dev/full", "w") as full:
        done = subprocess.run(
            command(*words), stdout=full, stderr=subprocess.PIPE, text=True, cwd=tmp_path, env=clean_environment()
        )
    assert done.returncode == 1
    [line] = done.stderr.splitlines()
    assert "No space left on device" in line
    assert "io-error" in line


def test_no_output_at_all_is_no_fault(tmp_path: Path) -> None:
    done = subprocess.run(
        ["sh", "-c", '"$@" >&- 2>&-', "sh", *command("check-config")], cwd=tmp_path, env=clean_environment(), timeout=30
    )
    assert done.returncode == 0


@pytest.mark.parametrize("encoding", ["ascii", "latin-1", "utf-8"])
def test_a_terminal_without_our_letters_reads_escapes(encoding: str, tmp_path: Path) -> None:
    said = tuhono_process("ca", "create", "Ωmega", folder=tmp_path, environment={"PYTHONIOENCODING": encoding})
    assert said.status == 0
    assert ("Ωmega.pem" if encoding == "utf-8" else "\\u03a9mega.pem") in said.out
