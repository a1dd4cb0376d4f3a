"""What the rows know of a server under measurement."""

from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from benchmarks.credentials import Files


@dataclass(frozen=True, slots=True, kw_only=True)
class Site:
    """What every server is started with."""

    folder: Path  # its own; there already when the server was started before
    files: Files
    core: int


class Server(Protocol):
    """A running server. `start_…` in the modules beside this one make them."""

    @property
    def name(self) -> str: ...

    @property
    def version(self) -> str: ...

    @property
    def ports(self) -> dict[str, int]:
        """By URI scheme: mqtts, https, coaps."""
        ...

    def cpu_ns(self) -> int: ...

    def settle(self) -> None: ...

    def resident_bytes(self) -> int: ...

    def counted(self) -> dict[str, int]:
        """Its own counts of what it has done so far, as far as it keeps any: connections, requests, messages."""
        ...

    def stop(self) -> None: ...


class Starter(Protocol):
    """Starts one kind of server. Raises ServerMissing and ServerFailed."""

    def __call__(self, site: Site) -> Server: ...
