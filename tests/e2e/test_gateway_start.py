"""How the process starts, or says why it cannot: one line each, and an exit status."""

import json
import os
import socket
import sqlite3
import subprocess
import sys
import time
from collections.abc import Mapping
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest

from tests.support.fleet import defects
from tests.support.gateway import FREE_PORTS, running_gateway
from tests.support.waiting import until_blocking

START_CPU_MAX_S = 2.0  # what is promised where nobody else wants the core; 1.0 s as a rule, 1.2 with new databases
STARTS_WITHIN_S = 10.0  # by the clock on the wall, where tests share the cores
ENDS_WITHIN_S = 20.0
SCHEMES = {"mqtts": socket.SOCK_STREAM, "https": socket.SOCK_STREAM, "coaps": socket.SOCK_DGRAM}


def attempt(folder: Path, **sections: dict[str, Any]) -> "subprocess.CompletedProcess[str]":
    """Run `tuhono serve` where it cannot start, and wait for it to say so."""
    names = {*FREE_PORTS, *sections}
    config = folder / "tuhono.toml"
    config.write_text(toml({name: {**FREE_PORTS.get(name, {}), **sections.get(name, {})} for name in names}))
    command = [sys.executable, "-m", "tuhono", "serve", "--config", str(config), "--data-dir", str(folder / "data")]
    return subprocess.run(command, capture_output=True, text=True, timeout=ENDS_WITHIN_S)


def toml(sections: Mapping[str, Mapping[str, Any]]) -> str:
    lines: list[str] = []
    for name, settings in sections.items():
        lines += [f"[{name}]", *(f"{key} = {json.dumps(value)}" for key, value in settings.items())]
    return "\n".join(lines)


def complaint(done: "subprocess.CompletedProcess[str]") -> str:
    """The one line that is no record: what a person is told."""
    assert done.returncode not in {0, None}, done
    assert "Traceback" not in done.stderr
    assert "gateway.started" not in done.stderr
    told = [line for line in done.stderr.splitlines() if line and not line.startswith("{")]
    assert len(told) == 1, done.stderr
    return told[0]


def cpu_s(pid: int) -> float:
    """User and system time a process has taken so far."""
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def test_it_starts_in_time_and_says_in_one_line_what_listens_where(tmp_path: Path) -> None:
    begun = time.monotonic()
    with running_gateway(tmp_path) as gateway:
        first_s = time.monotonic() - begun
        assert cpu_s(gateway.process.pid) < START_CPU_MAX_S
        assert gateway.stop() == 0
        begun = time.monotonic()
        gateway.restart()
        again_s = time.monotonic() - begun
        assert cpu_s(gateway.process.pid) < START_CPU_MAX_S
        assert min(first_s, again_s) < STARTS_WITHIN_S
        assert max(first_s, again_s) < 2 * STARTS_WITHIN_S  # the first start makes databases and a certificate
        records = [record for record in gateway.log() if record["event"] == "gateway.started"]
        assert len(records) == 2
        for scheme, kind in {**SCHEMES, "management": socket.SOCK_STREAM}.items():
            host, _, port = records[-1][scheme].rpartition(":")
            with socket.socket(socket.AF_INET, kind) as sock:
                sock.connect((host, int(port)))
        assert defects(gateway) == []


def test_processes_that_start_at_the_same_moment_make_one_gateways_files_between_them(tmp_path: Path) -> None:
    """Databases and the server's certificate, out of nothing, three times at once."""
    config = tmp_path / "tuhono.toml"
    config.write_text(toml(FREE_PORTS))
    command = [sys.executable, "-m", "tuhono", "serve", "--config", str(config), "--data-dir", str(tmp_path / "data")]
    logs = [tmp_path / f"{number}.log" for number in range(3)]
    with ExitStack() as files:
        written = [files.enter_context(log.open("wb")) for log in logs]
        processes = [subprocess.Popen(command, stderr=file, stdout=subprocess.DEVNULL) for file in written]
    try:
        until_blocking(lambda: all("gateway.started" in log.read_text() for log in logs), within_s=ENDS_WITHIN_S)
        for process in processes:
            process.terminate()
        assert [process.wait(ENDS_WITHIN_S) for process in processes] == [0, 0, 0]
    finally:
        for process in processes:
            process.kill()
            process.wait()
    assert sum("server-certificate.made" in log.read_text() for log in logs) == 1
    assert all('"level": "error"' not in log.read_text() for log in logs)


@pytest.mark.parametrize(("section", "scheme"), [("mqtt", "mqtts"), ("http", "https"), ("coap", "coaps")])
def test_a_port_in_use_is_named_and_nothing_else_is_left_behind(tmp_path: Path, section: str, scheme: str) -> None:
    with socket.socket(socket.AF_INET, SCHEMES[scheme]) as taken:
        taken.bind(("127.0.0.1", 0))
        if SCHEMES[scheme] is socket.SOCK_STREAM:
            taken.listen()
        port = taken.getsockname()[1]
        told = complaint(attempt(tmp_path, **{section: {"port": port}}))
        assert scheme in told
        assert f"127.0.0.1:{port}" in told
        assert "in use" in told


def test_a_management_port_in_use_is_named(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        told = complaint(attempt(tmp_path, management={"port": port}))
        assert str(port) in told
        assert "in use" in told


def test_a_database_of_a_newer_release_is_left_alone(tmp_path: Path) -> None:
    with running_gateway(tmp_path) as gateway:
        assert gateway.stop() == 0
    database = tmp_path / "data" / "registry.db"
    with sqlite3.connect(database) as connection:
        connection.execute("UPDATE alembic_version SET version_num = '9999_of_tomorrow'")
    connection.close()
    before = database.read_bytes()
    told = complaint(attempt(tmp_path))
    assert "9999_of_tomorrow" in told
    assert "registry.db" in told
    assert "upgrade" in told
    assert database.read_bytes() == before


@pytest.mark.parametrize("name", ["registry.db", "log.db"])
def test_a_file_that_is_no_database_is_named_and_left_alone(tmp_path: Path, name: str) -> None:
    (tmp_path / "data").mkdir()
    file = tmp_path / "data" / name
    rubbish = os.urandom(20_000)
    file.write_bytes(rubbish)
    assert name in complaint(attempt(tmp_path))
    assert file.read_bytes() == rubbish


@pytest.mark.parametrize("missing", ["certificate_file", "key_file"])
def test_certificate_files_that_cannot_serve_are_named(tmp_path: Path, missing: str) -> None:
    certificate, key = tmp_path / "server.pem", tmp_path / "server.key"
    certificate.write_text("not a certificate")
    key.write_text("not a key")
    files = {"certificate_file": str(certificate), "key_file": str(key)}
    Path(files[missing]).unlink()
    done = attempt(tmp_path, edge=files)
    assert done.returncode not in {0, None}
    assert "Traceback" not in done.stderr
    assert files[missing] in done.stderr


def test_every_fault_of_a_configuration_is_reported_at_once(tmp_path: Path) -> None:
    done = attempt(tmp_path, mqtt={"port": 99_999}, http={"no_such_setting": 1}, edge={"handshakes_max": -1})
    assert done.returncode == 2
    assert "Traceback" not in done.stderr
    for fault in ("mqtt.port", "http.no_such_setting", "edge.handshakes_max"):
        assert fault in done.stderr
    assert not (tmp_path / "data").exists()
