"""Rules between settings: what no single value can show to be wrong.

A rule that rests on a value already at fault keeps silent. The disk is looked at through `Disk`, so that
everything here can be asked without one.
"""

import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from itertools import combinations
from pathlib import Path
from typing import Protocol

from conf.coap import CoapSettings
from conf.errors import FaultList
from conf.http import HttpSettings
from conf.management import ManagementSettings
from conf.mqtt import MqttSettings
from conf.sections import Settings
from conf.values import shown, shown_path

_ORIGIN = re.compile(r"\*|https?://[A-Za-z0-9.\-_\[\]:]+")
_EVERY_ADDRESS = frozenset({"0.0.0.0", "::", "*"})  # noqa: S104


class Disk(Protocol):
    """What is wrong with a path, in words that follow it; None where nothing is."""

    def fault_of_file(self, path: Path) -> str | None:
        """Why the file cannot be read."""
        ...

    def fault_of_directory(self, path: Path) -> str | None:
        """Why the directory cannot be used or made."""
        ...


class NoDisk:
    """Finds fault with no path; for content that is judged apart from the machine it is meant for."""

    def fault_of_file(self, _: Path) -> str | None:
        return None

    def fault_of_directory(self, _: Path) -> str | None:
        return None


@dataclass(frozen=True, slots=True, kw_only=True)
class Listener:
    """One socket that the settings ask for."""

    key: str
    transport: str
    host: str
    port: int

    def collides_with(self, other: "Listener") -> bool:
        """Whether the two cannot both listen. Port 0 is a free one, so it never collides."""
        if self.port != other.port or self.port == 0 or self.transport != other.transport:
            return False
        return self.host == other.host or not _EVERY_ADDRESS.isdisjoint({self.host, other.host})


def listeners(settings: Settings) -> Iterator[Listener]:
    """Every socket that would be opened."""
    yield from _of_section("mqtt", "TCP", settings.mqtt)
    yield from _of_section("http", "TCP", settings.http)
    yield from _of_section("coap", "UDP", settings.coap)
    yield from _of_section("management", "TCP", settings.management)


def check_coherence(settings: Settings, faults: FaultList, *, disk: Disk) -> None:
    """Add every broken rule to `faults`."""
    _check_ports(settings, faults)
    for section, one in (("edge", settings.edge), ("management", settings.management)):
        _check_pair(section, one.certificate_file, one.key_file, faults)
        _check_path(f"{section}.certificate_file", one.certificate_file, disk.fault_of_file, faults)
        _check_path(f"{section}.key_file", one.key_file, disk.fault_of_file, faults)
    _check_management(settings.management, faults)
    _check_path("operators.token_key_file", settings.operators.token_key_file, disk.fault_of_file, faults)
    _check_path("data_dir", settings.data_dir, disk.fault_of_directory, faults)


def _of_section(
    name: str, transport: str, section: MqttSettings | HttpSettings | CoapSettings | ManagementSettings
) -> Iterator[Listener]:
    if not section.enabled:
        return
    yield Listener(key=f"{name}.port", transport=transport, host=section.host, port=section.port)
    if section.insecure_port is not None:
        yield Listener(key=f"{name}.insecure_port", transport=transport, host=section.host, port=section.insecure_port)


def _check_ports(settings: Settings, faults: FaultList) -> None:
    for earlier, later in combinations(listeners(settings), 2):
        rests_on = [f"{one.key.partition('.')[0]}.{name}" for one in (earlier, later) for name in ("enabled", "host")]
        if earlier.collides_with(later) and not faults.concerns(earlier.key, later.key, *rests_on):
            faults.add(later.key, f"{later.port} ({later.transport}) is taken by {earlier.key} on {earlier.host}")


def _check_management(section: ManagementSettings, faults: FaultList) -> None:
    origin = section.cors_allowed_origin
    if not _ORIGIN.fullmatch(origin) and not faults.concerns("management.cors_allowed_origin"):
        faults.add("management.cors_allowed_origin", f"{shown(origin)} is neither * nor like https://console.example")
    if section.insecure_api and section.insecure_port is None and not faults.concerns("management.insecure_port"):
        faults.add("management.insecure_api", "is set, though management.insecure_port is not: there is no such port")


def _check_pair(section: str, certificate: Path | None, key: Path | None, faults: FaultList) -> None:
    if (certificate is None) == (key is None):
        return
    missing, present = ("key_file", "certificate_file") if key is None else ("certificate_file", "key_file")
    if not faults.concerns(f"{section}.{missing}"):
        faults.add(f"{section}.{missing}", f"is not set, though {section}.{present} is: the two belong together")


def _check_path(key: str, path: Path | None, fault_of: Callable[[Path], str | None], faults: FaultList) -> None:
    if path is None or faults.concerns(key):
        return
    fault = fault_of(path)
    if fault is not None:
        faults.add(key, f"{shown_path(path)} {fault}")
