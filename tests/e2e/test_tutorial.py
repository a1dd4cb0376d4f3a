"""What the pages tell a newcomer to type works as told. The commands are taken from the pages themselves."""

import json
import re
import shlex
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
import typer.main

from tests.support.command_line import clean_environment, tuhono
from tests.support.waiting import until_blocking
from tuhono.cli.main import app

ROOT = Path(__file__).parents[2]
TUTORIAL = (ROOT / "docs/tutorial/first-device.md").read_text()
PAGES = sorted([*ROOT.glob("*.md"), *(ROOT / "docs").rglob("*.md")])
FREE_PORTS = {f"TUHONO_{section}__PORT": "0" for section in ("MQTT", "HTTP", "COAP", "MANAGEMENT")}
DEFAULT_PORTS = {"mqtts": "8883", "https": "8443", "coaps": "5684"}


def blocks(page: str) -> list[str]:
    """What stands between fences, in order."""
    return re.findall(r"^```\n(.*?)^```$", page, re.MULTILINE | re.DOTALL)


class Terminals:
    """One directory, any number of shells in it, and a gateway on whatever ports were free."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.environment = clean_environment()
        self.environment["PATH"] = f"{Path(sys.executable).parent}:{self.environment['PATH']}"
        self.ports: dict[str, str] = {}

    def type(self, block: str, *, status: int = 0) -> str:
        """Every line of it; what was said. The last one's status."""
        for scheme, port in self.ports.items():
            block = re.sub(rf"\b{DEFAULT_PORTS[scheme]}\b", port, block)
        done = subprocess.run(
            ["sh", "-c", block],
            capture_output=True,
            text=True,
            cwd=self.folder,
            env=self.environment,
            stdin=subprocess.DEVNULL,
            timeout=60,
        )
        said = done.stdout + done.stderr
        assert done.returncode == status, said
        return said

    @contextmanager
    def running(self, line: str, output: str, **environment: str) -> Iterator[Path]:
        """A command left running in a terminal of its own; where it writes."""
        path = self.folder.parent / output
        with path.open("w") as writing:
            process = subprocess.Popen(
                shlex.split(line),
                stdout=writing,
                stderr=subprocess.STDOUT,
                cwd=self.folder,
                env={**self.environment, **environment, "PYTHONUNBUFFERED": "1"},
            )
        try:
            yield path
        finally:
            process.terminate()
            process.wait(20)

    def devices(self) -> list[str]:
        return [one["id"] for one in tuhono("device", "list", "plant", "--json", data_dir=self.folder / "data").lines]


def _started(log: Path) -> dict[str, Any]:
    for line in log.read_text().splitlines():
        if '"gateway.started"' in line:
            found: dict[str, Any] = json.loads(line)
            return found
    return {}


@pytest.mark.needs_tool("mosquitto_pub", "curl", "coap-client-openssl")
def test_the_tutorial_goes_as_it_says(tmp_path: Path) -> None:
    """Step by step, with each promise of the text checked where it is made."""
    folder = tmp_path / "here"
    folder.mkdir()
    here = Terminals(folder)
    todo = iter(blocks(TUTORIAL))

    setup, path, serve = next(todo).splitlines()  # 1
    assert setup == "scripts/setup" and path.startswith("export PATH=")
    with here.running(serve, "serve.log", **FREE_PORTS) as log:
        until_blocking(lambda: _started(log), within_s=30)
        started = _started(log)
        here.ports = {scheme: started[scheme].rpartition(":")[2] for scheme in DEFAULT_PORTS}
        for scheme, port in DEFAULT_PORTS.items():
            assert f"on {port}" in " ".join(TUTORIAL.split()), scheme
        data = folder / "data"
        assert {"registry.db", "log.db"} <= {one.name for one in data.iterdir()}
        assert (data / "tls/ca.pem").exists()

        here.type(next(todo))  # 2
        assert (folder / "factory.key").stat().st_mode & 0o777 == 0o600
        here.type(next(todo))  # 3
        assert here.type(next(todo)).endswith("it would be registered and let in\n")  # 4
        assert here.devices() == []

        with here.running(next(todo), "tail.txt") as tailed:  # 5
            here.type(next(todo))
            until_blocking(lambda: tailed.read_text().count("\n") >= 2)
            [device_id] = here.devices()
            first, second = tailed.read_text().splitlines()
            assert f"provisioning plant/{device_id} registered" in first
            assert f"plant/{device_id}" in second and '{"temp": 21}' in second
            assert "HTTP/1.1 202" in here.type(next(todo))
            assert "2.04" in here.type(next(todo))
            until_blocking(lambda: '{"temp": 23}' in tailed.read_text())
            assert '{"temp": 22}' in tailed.read_text()
            assert device_id in here.type(next(todo))
            assert here.devices() == [device_id]

            said = here.type(next(todo), status=1)  # 6
            assert "bad user name or password" in said
            assert "(untrusted-issuer)" in said
            until_blocking(lambda: "untrusted-issuer" in tailed.read_text())
            assert "CN=stranger untrusted-issuer" in tailed.read_text()
            assert here.devices() == [device_id]

            here.type(next(todo))  # 7
            mqtt = next(block for block in blocks(TUTORIAL) if '{"temp": 21}' in block)
            here.type(mqtt, status=4)
            here.type(next(todo))
            here.type(mqtt.replace("21", "24"))
            until_blocking(lambda: '{"temp": 24}' in tailed.read_text())
            assert here.devices() == [device_id]
            assert next(todo, None) is None

            stranger = mqtt.replace("sensor-1", "stranger").replace("-h 127.0.0.1", "-h localhost")  # the aside in 6
            here.type(stranger, status=5)
            until_blocking(lambda: "server-name-without-tenant" in tailed.read_text())


def test_the_command_of_the_readme_plays_the_story(tmp_path: Path) -> None:
    done = subprocess.run(
        [ROOT / "scripts/run", "--exit"],
        capture_output=True,
        text=True,
        cwd=tmp_path,
        env=clean_environment(FREE_PORTS),
        timeout=100,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    assert "every step went as it should" in done.stdout


def commands_named(page: Path) -> list[str]:
    """Every `tuhono …` in backticks, and every line of a block that begins with it."""
    text = page.read_text()
    inline = re.findall(r"`(tuhono [^`]+)`", text)
    lines = [line.strip() for line in text.splitlines() if re.match(r"(    )?tuhono [a-z-]", line)]
    return [re.sub(r"\s+#.*", "", one.replace("\n", " ").rstrip("\\")).strip() for one in [*inline, *lines]]


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_every_command_a_page_names_exists_with_its_options(page: Path) -> None:
    for named in commands_named(page):
        command: Any = typer.main.get_command(app)
        for word in shlex.split(named.replace("…", ""))[1:]:
            if word.startswith("-"):
                known = [name for one in command.params for name in (*one.opts, *one.secondary_opts)]
                assert word in known or word in {"--help", "-h"}, (named, word)
            elif getattr(command, "commands", None) and not word.isupper():
                assert word in command.commands, (named, word)
                command = command.commands[word]
