"""Takes the figures: servers in turn, round after round, on the machine as it is.

Each server is started when a row first wants it and serves to the end, idle on its core while others are
measured. A round measures every server of the row once, beginning with another one each time.
"""

import gc
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from pathlib import Path

from benchmarks.credentials import Authority, Files
from benchmarks.crowd import FLEET_DEVICES, Crowd
from benchmarks.load.errors import LoadFault
from benchmarks.machine import Cores
from benchmarks.outcomes import SUBJECT, Measurement, Outcome
from benchmarks.rows import Row
from benchmarks.servers.errors import ServerFailed, ServerMissing
from benchmarks.servers.server import Server, Site, Starter
from benchmarks.works import Work

WARM_CONNECTIONS = 50  # open before memory is first looked at: code and tables are then in place
Tell = Callable[[str], None]


class Bench:
    """The servers of a run and the crowd that keeps them busy. Use it as a context manager."""

    def __init__(self, *, folder: Path, cores: Cores, starters: Mapping[str, Starter], tell: Tell) -> None:
        self._folder = folder
        self._cores = cores
        self._starters = starters
        self._tell = tell
        self._running: dict[str, Server] = {}
        self._missing: dict[str, str] = {}
        self._files: Files
        self._crowd: Crowd
        self.versions: dict[str, str] = {}

    def __enter__(self) -> "Bench":
        self._tell("making certificates")
        authority = Authority()
        self._files = authority.write_server_files(self._folder)
        self._crowd = Crowd(authority, self._files)
        return self

    def __exit__(self, *_: object) -> None:
        with ExitStack() as endings:  # one that fails keeps no other from being stopped
            for server in self._running.values():
                endings.callback(server.stop)
            self._running = {}

    def measure(self, row: Row, *, rounds: int, operations: int) -> Outcome:
        """The row's figures. A fault of any server leaves the row without them, and says why."""
        outcome = Outcome(row=row)
        try:
            servers = self._servers(row, outcome)
            if row.make_work is None:
                for server in servers:
                    self._tell(f"{row.title}: {server.name}")
                    with _naming(server):
                        outcome.rounds[server.name] = [Measurement(self._memory_kib(server.name, operations))]
            else:
                self._rounds(outcome, row.make_work(), servers, rounds, operations)
        except (LoadFault, ServerFailed, OSError) as fault:
            outcome.fault = str(fault)
            self._stop_all()  # whoever is at fault starts the next row anew
        return outcome

    def _rounds(self, outcome: Outcome, work: Work, servers: list[Server], rounds: int, operations: int) -> None:
        try:
            for server in servers:
                with _naming(server):
                    work.prepare(self._crowd, server)
                    self._measured(work, server, max(operations // 10, 1))  # a warm-up: its figure is not used
            for number in range(rounds):
                self._tell(f"{outcome.row.title}: round {number + 1} of {rounds}")
                for server in servers[number % len(servers) :] + servers[: number % len(servers)]:
                    with _naming(server):
                        found = self._measured(work, server, operations)
                    outcome.rounds.setdefault(server.name, []).append(found)
        finally:
            work.finish()

    def _measured(self, work: Work, server: Server, operations: int) -> Measurement:
        work.draw(self._crowd, server, operations)
        counted = server.counted()
        server.settle()
        with _no_collections():
            before, since = server.cpu_ns(), time.monotonic_ns()
            work.perform(self._crowd, server, operations)
            elapsed = time.monotonic_ns() - since
            busy = server.cpu_ns() - before
            server.settle()
            used = server.cpu_ns() - before
        _check_counts(server, counted, work.counts(operations))
        return Measurement(value=used / operations / 1000, busy=busy / elapsed)

    def _memory_kib(self, name: str, connections: int) -> float:
        """Resident memory that idle MQTT connections add to a server just started, each."""
        server = self._restarted(name)
        links = self._crowd.stay_on_mqtt(server, self._crowd.fleet[:WARM_CONNECTIONS])
        try:
            server.settle()
            before = server.resident_bytes()
            links += self._crowd.stay_on_mqtt(
                server, self._crowd.fleet[WARM_CONNECTIONS : WARM_CONNECTIONS + connections]
            )
            server.settle()
            return (server.resident_bytes() - before) / connections / 1024
        finally:
            for link in links:
                link.close()

    def _servers(self, row: Row, outcome: Outcome) -> list[Server]:
        """Those of the row that this machine has."""
        found = []
        for name in row.servers:
            if name not in self._running and name not in self._missing:
                self._tell(f"starting {name}")
                try:
                    self._start(name)
                except ServerMissing as fault:
                    self._missing[name] = str(fault)
            if name in self._missing:
                outcome.left_out[name] = self._missing[name]
            else:
                found.append(self._running[name])
        return found

    def _start(self, name: str) -> Server:
        site = Site(folder=self._folder / name, files=self._files, core=self._cores.server)
        is_new = not site.folder.exists()
        server = self._running[name] = self._starters[name](site)
        self.versions[name] = server.version
        if name == SUBJECT and is_new:
            self._tell(f"registering {FLEET_DEVICES} devices")
            counted = server.counted()
            self._crowd.come_and_go(server, self._crowd.fleet)
            server.settle()
            _check_counts(server, counted, {"connections": FLEET_DEVICES, "kept": FLEET_DEVICES})
        return server

    def _restarted(self, name: str) -> Server:
        self._running.pop(name).stop()
        return self._start(name)

    def _stop_all(self) -> None:
        while self._running:
            self._running.popitem()[1].stop()


@contextmanager
def _naming(server: Server) -> Iterator[None]:
    """A fault that the load met says whose it is."""
    try:
        yield
    except (LoadFault, OSError) as fault:
        raise LoadFault(f"{server.name}: {fault}") from fault


def _check_counts(server: Server, before: dict[str, int], wanted: dict[str, int]) -> None:
    """Raises ServerFailed where the server counted other than the load did."""
    after = server.counted()
    for what in before.keys() & wanted.keys():
        if after[what] - before[what] != wanted[what]:
            raise ServerFailed(
                f"{server.name} counted {after[what] - before[what]} more {what} where the load saw {wanted[what]}"
            )


@contextmanager
def _no_collections() -> Iterator[None]:
    """Nothing on the load's side makes the server wait."""
    gc.collect()
    gc.disable()
    try:
        yield
    finally:
        gc.enable()
