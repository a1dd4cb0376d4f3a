"""`tuhono demo`: the story goes well wherever it is played, and what it prints can be pasted."""

import json
import os
import re
import shutil
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

import pytest

from tests.conftest import Tool
from tests.support.certificates import make_ca, make_server
from tests.support.command_line import Said, clean_environment, command, tuhono, tuhono_process
from tests.support.waiting import until_blocking

FREE_PORTS = {
    "TUHONO_MQTT__PORT": "0",
    "TUHONO_HTTP__PORT": "0",
    "TUHONO_COAP__PORT": "0",
    "TUHONO_MANAGEMENT__PORT": "0",
}


def play(folder: Path, *words: object, **environment: str) -> Said:
    """The story in that folder, to its end."""
    return tuhono_process(
        "demo", "--exit", *words, folder=folder, environment={**FREE_PORTS, **environment}, within_s=60
    )


def without_clients(folder: Path) -> str:
    """A PATH on which only this program is found."""
    only = folder / "bin"
    only.mkdir()
    (only / "tuhono").symlink_to(Path(sys.executable).with_name("tuhono"))
    return str(only)


def devices_in(data: Path) -> list[str]:
    return [device["id"] for device in tuhono("device", "list", "demo", "--json", data_dir=data).lines]


def test_the_story_goes_well_and_says_what_is_so(tmp_path: Path) -> None:
    said = play(tmp_path)
    assert (said.status, said.err) == (0, "")
    assert "✗" not in said.out
    assert said.out.endswith("every step went as it should\n")
    assert re.findall(r"^(\d)\. ", said.out, re.MULTILINE) == list("12345678")
    data = tmp_path / "data"
    told = re.findall(r"registered first, as (\S+);", said.out)
    assert sorted(told) == sorted(devices_in(data))
    entries = tuhono("tail", "--no-follow", "--since", "0", "--json", data_dir=data).lines
    assert [entry["kind"] for entry in entries].count("telemetry") == 6
    assert [entry["kind"] for entry in entries].count("provisioning") == 3
    assert [entry["code"] for entry in entries if entry["kind"] == "refusal"] == ["untrusted-issuer"]
    assert all(len(line) <= 80 for line in said.out.splitlines())
    for key in data.rglob("*.key"):
        assert key.stat().st_mode & 0o777 == 0o600


def test_it_can_be_played_again_and_after_its_files_are_gone(tmp_path: Path) -> None:
    data = tmp_path / "data"
    for devices in (3, 6):
        assert play(tmp_path).status == 0
        assert len(devices_in(data)) == devices
    shutil.rmtree(data / "demo")
    assert play(tmp_path).status == 0
    assert len(devices_in(data)) == 9
    [tenant] = tuhono("tenant", "list", "--json", data_dir=data).lines
    assert len(tenant["trusted-ca"]) == 1


def test_it_needs_no_client_of_somebody_elses(tmp_path: Path) -> None:
    said = play(tmp_path, PATH=without_clients(tmp_path))
    assert said.status == 0, said.out
    assert "aiomqtt: the message was taken" in said.out
    assert "a few lines of Python: the message was taken" in said.out
    assert "mosquitto_pub" not in said.out and "coap-client" not in said.out


def test_a_folder_of_any_name_will_do(tmp_path: Path) -> None:
    folder = tmp_path / "[bold]it's a [red] $(dir) ü"
    folder.mkdir()
    said = play(folder, "--data-dir", "[red] data")
    assert said.status == 0, said.out + said.err
    assert "[red] data" in said.out


@pytest.mark.parametrize("given", [[], ["--server-ca", "ca.pem"]], ids=["without its CA", "with its CA"])
def test_a_configured_certificate_is_recognised_by_its_ca(tmp_path: Path, given: list[str]) -> None:
    ca = make_ca("CN=Ours")
    make_server(ca).write(tmp_path, "server")
    (tmp_path / "ca.pem").write_bytes(ca.pem)
    said = play(
        tmp_path,
        *given,
        PATH=without_clients(tmp_path),
        TUHONO_EDGE__CERTIFICATE_FILE="server.pem",
        TUHONO_EDGE__KEY_FILE="server.key",
    )
    assert said.status == (0 if given else 1), said.out
    assert ("--server-ca names its CA" in said.out) == (not given)
    assert not (tmp_path / "data" / "tls" / "ca.pem").exists()


@pytest.mark.parametrize(
    ("words", "scheme"),
    [(["serve"], "mqtt"), (["serve"], "http"), (["serve"], "management"), (["demo", "--exit"], "coap")],
    ids=["serve mqtt", "serve http", "serve management", "demo coap"],
)
def test_a_port_that_is_taken_is_named(tmp_path: Path, words: list[str], scheme: str) -> None:
    kind = socket.SOCK_DGRAM if scheme == "coap" else socket.SOCK_STREAM
    with socket.socket(socket.AF_INET, kind) as taken:
        taken.bind(("127.0.0.1", 0))
        if kind == socket.SOCK_STREAM:
            taken.listen()
        port = str(taken.getsockname()[1])
        environment = {
            **FREE_PORTS,
            f"TUHONO_{scheme.upper()}__PORT": port,
            f"TUHONO_{scheme.upper()}__HOST": "127.0.0.1",
        }
        said = tuhono_process(*words, folder=tmp_path, environment=environment)
    assert said.status == 1
    assert "Traceback" not in said.err
    [line] = [line for line in said.err.splitlines() if line.startswith("error: ")]
    assert port in line
    assert "port-unavailable)" in line


def test_what_it_cannot_show_is_said(tmp_path: Path) -> None:
    said = play(tmp_path, TUHONO_COAP__ENABLED="false")
    assert said.status == 1
    assert "story-unplayable" in said.err
    assert "file-unusable" in play(tmp_path, "--server-ca", "nope.pem").err


@contextmanager
def kept_serving(folder: Path) -> "Iterator[tuple[subprocess.Popen[str], str]]":
    """A demo that has told its story, and what it said."""
    output = folder / "out.txt"
    environment = {**clean_environment(FREE_PORTS), "PYTHONUNBUFFERED": "1"}
    environment["PATH"] = f"{Path(sys.executable).parent}:{environment['PATH']}"
    with output.open("w") as writing:
        process = subprocess.Popen(
            command("demo"), stdout=writing, stderr=subprocess.PIPE, text=True, cwd=folder, env=environment
        )
    try:
        until_blocking(
            lambda: "# Administer from afar\n" in output.read_text() or process.poll() is not None, within_s=60
        )
        until_blocking(lambda: output.read_text().endswith("\n   \n"))
        yield process, output.read_text()
    finally:
        process.kill()
        process.communicate()


def pasted(text: str) -> Mapping[str, str]:
    """The commands under their comments, as a person would copy them."""
    found = re.findall(r"^   # (.+)\n((?:   .*\\\n)*   .*)\n", text, re.MULTILINE)
    return dict(found)


@pytest.mark.needs_tool("mosquitto_pub", "curl", "coap-client-openssl")
def test_the_printed_commands_work_when_pasted(tool: Tool, tmp_path: Path) -> None:
    with kept_serving(tmp_path) as (process, text):
        commands = pasted(text)
        assert list(commands) == ["MQTT", "HTTP", "CoAP", "What arrives", "What would happen", "Administer from afar"]
        environment = clean_environment({"XDG_CONFIG_HOME": str(tmp_path / "config")})
        environment["PATH"] = f"{Path(sys.executable).parent}:{environment['PATH']}"

        def paste(name: str, more: str = "") -> "subprocess.CompletedProcess[str]":
            return subprocess.run(
                ["sh", "-c", commands[name] + more],
                capture_output=True,
                text=True,
                cwd=tmp_path,
                env=environment,
                timeout=30,
            )

        assert paste("MQTT").returncode == 0
        answer = paste("HTTP")
        assert answer.stdout.startswith("HTTP/1.1 202 "), answer
        answer = paste("CoAP", " -v 6")
        assert "2.04" in answer.stdout + answer.stderr
        answer = paste("What arrives", " --no-follow --json -n 3")
        assert answer.returncode == 0, answer
        assert [json.loads(line)["payload"] for line in answer.stdout.splitlines()] == ["eyJ0ZW1wIjogMjN9"] * 3
        answer = paste("What would happen")
        assert answer.stdout.endswith("this device is on record and would be let in\n")
        answer = paste("Administer from afar")
        assert answer.stdout.endswith(" as admin (admin)\n"), answer
        for shown in re.findall(r"^   (tuhono (?:device show|explain) .*)$", text, re.MULTILINE):
            answer = subprocess.run(
                ["sh", "-c", shown], capture_output=True, text=True, cwd=tmp_path, env=environment, timeout=30
            )
            assert answer.returncode == ("stranger" in shown), shown
        process.send_signal(signal.SIGINT)
        assert process.wait(20) == 0


@pytest.mark.parametrize("words", [["demo", "--exit"], ["demo"], ["serve"]], ids=" ".join)
def test_ctrl_c_ends_it_at_any_moment_without_a_traceback(tmp_path: Path, words: list[str]) -> None:
    process = subprocess.Popen(
        command(*words),
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        cwd=tmp_path,
        env={**clean_environment(FREE_PORTS), "PYTHONUNBUFFERED": "1"},
    )
    try:
        until_blocking((tmp_path / "data" / "tls" / "server.pem").exists, within_s=30)
        process.send_signal(signal.SIGINT)
        _, err = process.communicate(timeout=30)
    finally:
        process.kill()
    assert process.returncode in {0, 1, 130}
    assert "Traceback" not in err
    assert os.listdir(tmp_path) == ["data"]
