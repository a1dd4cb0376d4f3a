"""Whether a device is connected, and when it was last heard of: on record, and a little behind the truth.

Processes write what they know of their own connections in batches, each under an id of its own that it keeps alive
with a heartbeat. A process that died without a word no longer beats, and what it said to be connected is not.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Protocol

from kernel.ids import DeviceId, TenantId

BEAT_S = 10.0  # between a process's heartbeats
DEAD_AFTER = timedelta(seconds=3 * BEAT_S)  # a process not heard of for so long has no connections


@dataclass(frozen=True, slots=True, kw_only=True)
class Presence:
    """What is on record of one device's connections."""

    last_seen: datetime  # the last connect, disconnect or message; of messages, up to a minute behind
    since: datetime | None = None  # of the newest connection there is; None: it is not connected
    adapter: str | None = None  # of that connection: hono-mqtt, hono-http, hono-coap

    @property
    def is_connected(self) -> bool:
        return self.since is not None


@dataclass(frozen=True, slots=True, kw_only=True)
class Sighting:
    """What one process knows of a device: its newest connection here, if there is any, and when it was last heard."""

    tenant_id: TenantId
    device_id: DeviceId
    last_seen: datetime
    since: datetime | None = None
    adapter: str | None = None
    is_connection_known: bool = True  # False: of a message alone, which says nothing about connections here


class PresenceRecord(Protocol):
    """Where presence is kept. Blocking: call it from a thread where a loop runs. Raises StorageUnavailable."""

    def beat(self, process_id: str, moment: datetime) -> None:
        """The process is alive."""
        ...

    def write(self, process_id: str, sightings: Sequence[Sighting]) -> None:
        """One transaction: callers bound how many they give. Devices that are not on record are passed over.

        A device that is connected to another process, too, stays connected there.
        """
        ...

    def leave(self, process_id: str) -> None:
        """The process has no connections from now on."""
        ...

    def find(self, tenant_id: TenantId, device_id: DeviceId, *, at: datetime) -> Presence | None:
        """None for a device never seen, or unknown. Connections of processes that are dead by `at` do not count."""
        ...
