"""Tells the record which devices are connected to this process, and when they were last heard of.

Connections that begin and end are gathered and written about a second later, in bounded batches, as they stand by
then: a device that came and went meanwhile is written once. Messages leave a time in what their channel holds anyway;
about once a minute all sessions are gone through, and what was heard of them since is written. Nothing here is on a
message's way, and a record that does not answer holds up nobody: what was to be written waits, within a bound.
"""

import asyncio
import logging
from collections.abc import Iterator, Sequence
from datetime import UTC, datetime
from itertools import islice

from adapters.sessions.session import Session
from adapters.sessions.table import SessionTable
from kernel.clock import Clock
from kernel.errors import Unavailable
from kernel.ids import DeviceId, TenantId, generate_id
from kernel.log import fields
from registry.presence import BEAT_S, PresenceRecord, Sighting

log = logging.getLogger(__name__)

FLUSH_S = 1.0  # how long connections that began or ended wait to be written
SWEEP_S = 60.0  # between two rounds through all sessions
BATCH_MAX = 100  # devices written in one transaction: connecting devices wait for it
SLICE_MAX = 1_000  # sessions gone through in one turn of the loop
CHANGED_MAX = 100_000  # devices waiting to be written
RETRY_S = 5.0

_Key = tuple[TenantId, DeviceId]


class PresenceKeeper:
    """All methods belong to the event loop; the record is written in a thread."""

    def __init__(self, *, sessions: SessionTable, record: PresenceRecord, clock: Clock) -> None:
        self._sessions = sessions
        self._record = record
        self._clock = clock
        self._process_id = generate_id()
        self._former_id: str | None = None  # of before changes were lost
        self._changed: dict[_Key, int] = {}  # when, in ms since the epoch
        self._swept_ms = clock.now_ms()
        self._is_failing = False
        sessions.watch(self._session_changed)

    async def run(self) -> None:
        """Write for ever what there is to say."""
        sweep_s = self._clock.monotonic()  # when each was last done
        beat_s = sweep_s - BEAT_S
        while True:
            try:
                if self._former_id is not None:
                    await self._begin_anew(self._former_id)
                now_s = self._clock.monotonic()
                if now_s - beat_s >= BEAT_S:
                    await asyncio.to_thread(self._record.beat, self._process_id, self._clock.now())
                    beat_s = now_s
                await self._flush()
                if now_s - sweep_s >= SWEEP_S:
                    await self.sweep()
                    sweep_s = now_s
                self._is_failing = False
                await asyncio.sleep(FLUSH_S)
            except Unavailable as fault:
                if not self._is_failing:
                    log.warning("presence.unwritten", extra=fields(code=fault.code, detail=str(fault)))
                self._is_failing = True
                await asyncio.sleep(RETRY_S)

    async def close(self, *, within_s: float) -> None:
        """Write what is waiting, and that nobody is connected any more. What takes longer is left."""
        try:
            async with asyncio.timeout(within_s):
                await self._flush()
                await asyncio.to_thread(self._record.leave, self._process_id)
        except (Unavailable, TimeoutError) as fault:
            log.warning("presence.unwritten", extra=fields(detail=str(fault) or "no time left"))

    async def sweep(self) -> None:
        """Write who was heard of since the last round. Raises StorageUnavailable."""
        since_ms, now_ms = self._swept_ms, self._clock.now_ms()
        sessions = self._sessions.all()
        for start in range(0, len(sessions), SLICE_MAX):
            await self._write(_heard(sessions[start : start + SLICE_MAX], since_ms))
            await asyncio.sleep(0)
        self._swept_ms = now_ms

    def _session_changed(self, session: Session) -> None:
        """It began or ended."""
        if session.tenant_id is None or session.device_id is None:
            return
        now_ms = self._clock.now_ms()
        if not session.since_ms:
            session.since_ms = now_ms
        if len(self._changed) >= CHANGED_MAX:
            self._changed.clear()
            self._former_id = self._former_id or self._process_id
        self._changed[session.tenant_id, session.device_id] = now_ms

    async def _begin_anew(self, former_id: str) -> None:
        """Changes were lost: whatever was said under the former id no longer counts, and all is said again."""
        log.warning("presence.begun-anew", extra=fields(waiting_max=CHANGED_MAX))
        await asyncio.to_thread(self._record.leave, former_id)
        self._process_id, self._former_id = generate_id(), None
        await asyncio.to_thread(self._record.beat, self._process_id, self._clock.now())
        sessions = self._sessions.all()
        await self._write(_sighting([session], session.since_ms) for session in sessions)

    async def _flush(self) -> None:
        changed, self._changed = self._changed, {}
        keys = iter(list(changed))
        try:
            while batch := list(islice(keys, BATCH_MAX)):
                await self._write(_sighting(self._sessions.of_device(*key), changed[key], key) for key in batch)
                for key in batch:
                    del changed[key]
        finally:
            if changed:  # not written: as it stands when they are
                changed.update(self._changed)
                self._changed = changed

    async def _write(self, sightings: Iterator[Sighting]) -> None:
        """In bounded batches, the loop's turns between them."""
        while batch := list(islice(sightings, BATCH_MAX)):
            await asyncio.to_thread(self._record.write, self._process_id, batch)


def _sighting(sessions: Sequence[Session], last_ms: int, key: _Key | None = None) -> Sighting:
    """As the sessions of one device stand now."""
    newest = max(sessions, key=_since, default=None)
    if newest is None:
        assert key is not None
        return Sighting(tenant_id=key[0], device_id=key[1], last_seen=_moment(last_ms))
    assert newest.tenant_id is not None and newest.device_id is not None
    return Sighting(
        tenant_id=newest.tenant_id,
        device_id=newest.device_id,
        last_seen=_moment(last_ms),
        since=_moment(newest.since_ms),
        adapter=newest.adapter,
    )


def _heard(sessions: Sequence[Session], since_ms: int) -> Iterator[Sighting]:
    """Of every device that a message came from or was sent for since then."""
    for session in sessions:
        if session.tenant_id is None:
            continue
        heard, session.spoken_for = session.spoken_for, None
        heard = heard or {}
        for channel in session.channels.values():
            if channel.seen_ms >= since_ms:
                device_id = channel.envelope.device_id
                heard[device_id] = max(channel.seen_ms, heard.get(device_id, 0))
        for device_id, seen_ms in heard.items():
            yield Sighting(
                tenant_id=session.tenant_id,
                device_id=device_id,
                last_seen=_moment(seen_ms),
                is_connection_known=False,
            )


def _since(session: Session) -> int:
    return session.since_ms


def _moment(ms: int) -> datetime:
    return datetime.fromtimestamp(ms / 1000, UTC)
