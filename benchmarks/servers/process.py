"""One server process on its core: started, watched, ended. Knows no protocol."""

import shutil
import socket
import subprocess
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

from benchmarks import machine
from benchmarks.credentials import HOST
from benchmarks.servers.errors import ServerFailed, ServerMissing

START_MAX_S = 15.0
STOP_MAX_S = 15.0
SETTLE_MAX_S = 10.0
_LOOK_EVERY_S = 0.05
_QUIET_NS_PER_LOOK = 1_000_000  # 2 % of the core: timers, not work
_TAIL_BYTES = 2000
_ALSO_IN = "/usr/local/sbin:/usr/sbin:/sbin"  # where Debian keeps servers, whatever PATH says


class ServerProcess:
    """The process of one server, with all its threads."""

    def __init__(
        self,
        command: Sequence[str | Path],
        *,
        core: int,
        log_file: Path,
        environment: Mapping[str, str] | None = None,  # our own when left out
    ) -> None:
        self._name = Path(command[0]).name
        self._log_file = log_file
        with machine.on_core(core), log_file.open("wb") as log:
            self._process = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=log, stderr=log, env=environment)

    @property
    def pid(self) -> int:
        return self._process.pid

    def wait_until(self, serves: Callable[[], bool]) -> None:
        """Raises ServerFailed, with the end of the server's log, when it ends or takes too long."""
        deadline = time.monotonic() + START_MAX_S
        while not serves():
            if self._process.poll() is not None:
                raise ServerFailed(f"{self._name} ended with status {self._process.returncode}: {self._log_tail()}")
            if time.monotonic() > deadline:
                raise ServerFailed(f"{self._name} does not serve after {START_MAX_S:g} s: {self._log_tail()}")
            time.sleep(_LOOK_EVERY_S)

    def cpu_ns(self) -> int:
        """Raises ServerFailed once the process has ended."""
        if self._process.poll() is not None:
            raise ServerFailed(f"{self._name} ended with status {self._process.returncode}: {self._log_tail()}")
        return machine.cpu_ns(self.pid)

    def settle(self) -> None:
        """Return once it has nothing left to do: what follows an answer belongs to the operation."""
        deadline = time.monotonic() + SETTLE_MAX_S
        before = self.cpu_ns()
        while True:
            time.sleep(_LOOK_EVERY_S)
            now = self.cpu_ns()
            if now - before < _QUIET_NS_PER_LOOK:
                return
            if time.monotonic() > deadline:
                raise ServerFailed(f"{self._name} is still busy {SETTLE_MAX_S:g} s after the last answer")
            before = now

    def resident_bytes(self) -> int:
        return machine.resident_bytes(self.pid)

    def stop(self) -> None:
        """Ask, then insist."""
        self._process.terminate()
        try:
            self._process.wait(STOP_MAX_S)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()

    def _log_tail(self) -> str:
        return self._log_file.read_bytes()[-_TAIL_BYTES:].decode(errors="replace").strip()


def find_program(name: str) -> Path:
    """Raises ServerMissing."""
    found = shutil.which(name) or shutil.which(name, path=_ALSO_IN)
    if found is None:
        raise ServerMissing(f"{name} is not installed")
    return Path(found)


def version_of(command: Sequence[str | Path], line_with: str) -> str:
    """The first line of what a program prints that has this text in it."""
    run = subprocess.run(command, capture_output=True, text=True, timeout=10, check=False)
    lines = (run.stdout + run.stderr).splitlines()
    return next((line.strip() for line in lines if line_with in line), "unknown")


def free_port(kind: socket.SocketKind = socket.SOCK_STREAM) -> int:
    """One that nobody uses at this moment."""
    with socket.socket(socket.AF_INET, kind) as sock:
        sock.bind((HOST, 0))
        port: int = sock.getsockname()[1]
        return port


def accepts(port: int) -> bool:
    """Whether someone accepts TCP connections there."""
    with socket.socket() as sock:
        sock.settimeout(1)
        return sock.connect_ex((HOST, port)) == 0
