"""Presence over dicts."""

from collections.abc import Sequence
from dataclasses import replace
from datetime import datetime

from kernel.ids import DeviceId, TenantId
from registry.presence import DEAD_AFTER, Presence, Sighting
from storage.memory_state import DeviceKey, MemoryState


class MemoryPresence:
    """`registry.presence.PresenceRecord` over dicts."""

    def __init__(self, state: MemoryState) -> None:
        self._state = state
        self._beats: dict[str, datetime] = {}
        self._seen: dict[DeviceKey, tuple[Presence, str | None, datetime]] = {}  # whose word, and of which device

    def beat(self, process_id: str, moment: datetime) -> None:
        self._beats[process_id] = moment

    def write(self, process_id: str, sightings: Sequence[Sighting]) -> None:
        for sighting in sightings:
            key = (sighting.tenant_id, sighting.device_id)
            device = self._state.devices.get(key)
            if device is not None:
                self._write(key, process_id, sighting, device.status.created)

    def _write(self, key: DeviceKey, process_id: str, sighting: Sighting, created: datetime) -> None:
        said = Presence(last_seen=sighting.last_seen, since=sighting.since, adapter=sighting.adapter)
        owner = None if sighting.since is None else process_id
        known = self._seen.get(key)
        if known is not None and known[2] == created:
            before, its_owner, _ = known
            last_seen = max(before.last_seen, sighting.last_seen)
            if owner is None and not (sighting.is_connection_known and its_owner == process_id):
                said, owner = before, its_owner
            said = replace(said, last_seen=last_seen)
        self._seen[key] = (said, owner, created)

    def leave(self, process_id: str) -> None:
        self._beats.pop(process_id, None)

    def find(self, tenant_id: TenantId, device_id: DeviceId, *, at: datetime) -> Presence | None:
        device, known = self._state.devices.get((tenant_id, device_id)), self._seen.get((tenant_id, device_id))
        if device is None or known is None or known[2] != device.status.created:
            return None
        presence, owner, _ = known
        beat = None if owner is None else self._beats.get(owner)
        if beat is None or beat <= at - DEAD_AFTER:
            return Presence(last_seen=presence.last_seen)
        return presence
