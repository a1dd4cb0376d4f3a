"""Tuhono as an operator runs it: `tuhono serve` with its defaults, on loopback and free ports.

Its log records go to a file, its databases to the disk of the working folder: a durable message costs
what it costs there. A tenant trusts the benchmark's CA and registers its devices at their first connection.

It is the compiled gateway where the folder that scripts/compile prints is given, else the interpreted one.
"""

import os
import re
import subprocess
import sys
import urllib.request
from collections.abc import Mapping
from pathlib import Path

from cryptography.hazmat.backends.openssl.backend import backend

from benchmarks.credentials import HOST
from benchmarks.servers.errors import ServerFailed
from benchmarks.servers.process import ServerProcess, accepts, free_port
from benchmarks.servers.server import Site
from kernel.clock import SystemClock
from messaging.drivers.embedded_reader import EmbeddedLog
from messaging.message import MessageKind
from tuhono.domain import LOG_FILE

TENANT = "benchmark"
_PROGRAM = Path(sys.executable).with_name("tuhono")
_COMMAND_MAX_S = 30
READ_MAX = 10_000  # messages of the log looked at together
_SAMPLE = r"^{name}\{{([^}}]*)\}} (\S+)$"

_CONFIGURATION = """
data_dir = "{folder}/data"
[edge]
certificate_file = "{certificate}"
key_file = "{key}"
[mqtt]
host = "{host}"
port = {mqtts}
[http]
host = "{host}"
port = {https}
[coap]
host = "{host}"
port = {coaps}
[management]
port = 0
insecure_port = {management}
"""


class TuhonoServer:
    """A running gateway."""

    name = "tuhono"

    def __init__(
        self, *, version: str, process: ServerProcess, ports: dict[str, int], management_port: int, log: EmbeddedLog
    ) -> None:
        self.version = version
        self.ports = ports
        self.cpu_ns = process.cpu_ns
        self.settle = process.settle
        self.resident_bytes = process.resident_bytes
        self._process = process
        self._management_port = management_port
        self._log = log
        self._read_to = self._kept = 0  # in the log

    def counted(self) -> dict[str, int]:
        """Connections from its metrics; messages from the durable log itself."""
        url = f"http://{HOST}:{self._management_port}/metrics"
        with urllib.request.urlopen(url, timeout=10) as answer:
            metrics = answer.read().decode()
        return {
            "connections": _sum_of(metrics, "hono_connections_attempts_total", 'outcome="succeeded"'),
            "kept": self._count_kept(),
        }

    def _count_kept(self) -> int:
        """What devices said; that they were registered is told beside it, a little later."""
        while page := self._log.read(after=self._read_to, limit=READ_MAX):
            self._read_to = page[-1].position
            self._kept += sum(kept.message.kind is not MessageKind.NOTIFICATION for kept in page)
        return self._kept

    def stop(self) -> None:
        self._log.close()
        self._process.stop()


def start_tuhono(site: Site, *, compiled: Path | None = None) -> TuhonoServer:
    """All three adapters, on the data that is in the folder. Raises ServerFailed."""
    if not _PROGRAM.exists():
        raise ServerFailed("tuhono is not installed beside this Python")
    environment = dict(os.environ)
    if compiled is not None:
        environment["PYTHONPATH"] = str(compiled)
    version = _run("--version", environment=environment).strip()
    if (", compiled" in version) is (compiled is None):
        raise ServerFailed(f"the gateway to be measured is another one: {version}, from {compiled or 'the sources'}")
    is_new = not site.folder.exists()
    site.folder.mkdir(exist_ok=True)
    ports = {scheme: free_port() for scheme in ("mqtts", "https", "coaps")}
    management_port = free_port()
    configuration = site.folder / "tuhono.toml"
    configuration.write_text(
        _CONFIGURATION.format(
            folder=site.folder,
            host=HOST,
            certificate=site.files.certificate,
            key=site.files.key,
            management=management_port,
            **ports,
        )
    )
    if is_new:
        _run("tenant", "create", TENANT, "--config", configuration)
        _run("tenant", "trust", TENANT, site.files.ca, "--auto-provision", "--rate", "0", "--config", configuration)
    process = ServerProcess(
        [_PROGRAM, "serve", "--config", configuration],
        core=site.core,
        log_file=site.folder / "log",
        environment=environment,
    )
    try:
        process.wait_until(lambda: accepts(management_port))
    except BaseException:
        process.stop()
        raise
    return TuhonoServer(
        version=f"{version}{', interpreted' if compiled is None else ''}, on {backend.openssl_version_text()}",
        process=process,
        ports=ports,
        management_port=management_port,
        log=EmbeddedLog(path=site.folder / "data" / LOG_FILE, clock=SystemClock()),
    )


def _run(*arguments: str | Path, environment: Mapping[str, str] | None = None) -> str:
    run = subprocess.run(
        [_PROGRAM, *arguments],
        capture_output=True,
        text=True,
        timeout=_COMMAND_MAX_S,
        check=False,
        env=environment,
    )
    if run.returncode != 0:
        raise ServerFailed(f"tuhono {arguments[0]} failed: {(run.stderr or run.stdout).strip()}")
    return run.stdout


def _sum_of(metrics: str, name: str, label: str) -> int:
    samples = re.findall(_SAMPLE.format(name=name), metrics, re.MULTILINE)
    return int(sum(float(value) for labels, value in samples if label in labels))
