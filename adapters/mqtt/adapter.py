"""The MQTT adapter of one process: makes a shell per connection, and sees to what no connection does alone.

One sweep a second ends what has been silent too long; one callback a batch writes the acknowledgements
of all connections it concerns; admissions wait in tasks that `run` owns.
"""

import asyncio
import logging
from collections.abc import Callable
from contextlib import suppress
from functools import partial

from adapters.admission.admission import Admission
from adapters.edge.peer import Peer
from adapters.edge.ports import StreamHandler
from adapters.mqtt.due import DueSeconds
from adapters.mqtt.holders import HolderKey, Holders
from adapters.mqtt.life import ConnectionLife
from adapters.mqtt.shell import MqttShell
from adapters.mqtt.tally import SUCCEEDED, Tally
from adapters.mqtt.topics import Topics
from adapters.mqtt.wire.limits import Limits
from adapters.sessions.admissions import Admissions
from adapters.sessions.errors import SessionTakenOver, ShuttingDown
from adapters.sessions.session import Session
from adapters.sessions.table import SessionTable
from adapters.sessions.uplink import Uplink
from conf.mqtt import MqttSettings
from kernel.clock import Clock
from kernel.log import fields
from kernel.meters import Meters

log = logging.getLogger(__name__)

SWEEP_S = 1.0
VARIABLE_HEADER_MAX_BYTES = 128  # what a PUBLISH may have beside its payload (hono-adapters 2.2)
DRAIN_SHARE = 0.8  # of the time to drain: for messages under way; the rest is for saying goodbye


class MqttAdapter:
    """Serves `hono-mqtt`. `run` must be running while connections are; all on one event loop."""

    def __init__(
        self,
        *,
        settings: MqttSettings,
        admission: Admission,
        uplink: Uplink,
        sessions: SessionTable,
        meters: Meters,
        clock: Clock,
    ) -> None:
        self.clock = clock
        self.uplink = uplink
        self.topics = Topics()
        self.limits = limits_of(settings)
        self.admissions = Admissions(admission=admission, admissions_max=settings.admissions_max)
        self._takes_over = settings.take_over
        self._sessions = sessions
        self._tally = Tally(meters)
        self._due: DueSeconds[ConnectionLife] = DueSeconds()
        self._holders: Holders[ConnectionLife] = Holders()
        self._flush_due: list[MqttShell] = []
        self.is_draining = False
        self._unkept: set[ConnectionLife] = set()  # while draining: those with messages under way
        self._drained_some = asyncio.Event()

    def handler(self) -> StreamHandler:
        """A new connection's handler: the StreamHandlerFactory of this adapter's listeners."""
        return MqttShell(self)

    async def run(self) -> None:
        """Admit and sweep until cancelled."""
        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(self.admissions.run())
            while True:
                await asyncio.sleep(SWEEP_S)
                self.sweep()

    def sweep(self) -> None:
        """End what has been silent past its deadline. Once a second; touches only what may be due."""
        now = self.clock.monotonic()
        for life in self._due.take_due(now):
            self._guard(life, partial(life.expire, now))

    async def drain(self, *, within_s: float) -> None:
        """Take no more packets, let messages under way be kept and acknowledged, say goodbye to every device,
        and abort those that have not gone by then. The listeners must have stopped accepting.
        """
        self.is_draining = True
        ends_at = self.clock.monotonic() + within_s
        for life in self._due:
            self._guard(life, life.retire)
        self._unkept = {life for life in self._due if life.outstanding}
        all_kept = await self._until(lambda: not self._unkept, within_s * DRAIN_SHARE)
        for life in self._due:
            self._guard(life, partial(life.end, ShuttingDown("the process is stopping")))
        all_gone = await self._until(lambda: not len(self._due), ends_at - self.clock.monotonic())
        if not (all_kept and all_gone):
            log.info("mqtt.drain-cut-short", extra=fields(unkept=len(self._unkept), connections=len(self._due)))
        for life in self._due:
            self._guard(life, life.abort)

    async def _until(self, is_so: Callable[[], bool], within_s: float) -> bool:
        """Whether it came to be so in time; looked at whenever a connection got somewhere."""
        try:
            async with asyncio.timeout(within_s):
                while not is_so():
                    self._drained_some.clear()
                    await self._drained_some.wait()
        except TimeoutError:
            return False
        return True

    # What a connection calls

    def opened(self, life: ConnectionLife, deadline: float) -> None:
        self._due.schedule(life, deadline)
        if self.is_draining:
            life.abort()

    def watch(self, life: ConnectionLife, deadline: float) -> None:
        self._due.schedule(life, deadline)

    def joined(self, life: ConnectionLife, session: Session, peer: Peer) -> None:
        """A device was admitted: from now on it can be found, and may have taken another connection's place."""
        self._tally.attempted(peer, session.tenant_id, SUCCEEDED)
        self._tally.opened(session.tenant_id)
        self._sessions.add(session)
        key = self._holder_key(life, session)
        if key is not None:
            older = self._holders.take(key, life)
            if older is not None:
                older.end(SessionTakenOver("the same device connected again under the same client identifier"))

    def refused(self, peer: Peer, outcome: str) -> None:
        self._tally.attempted(peer, None, outcome)

    def left(self, life: ConnectionLife, session: Session, lasted_s: float) -> None:
        """A device's session is over, whether or not its connection is."""
        self._tally.closed(session.tenant_id, lasted_s)
        self._sessions.remove(session)
        key = self._holder_key(life, session)
        if key is not None:
            self._holders.release(key, life)

    def gone(self, life: ConnectionLife) -> None:
        self._due.cancel(life)
        if self.is_draining:
            self._note_drained(life)

    def flush_soon(self, shell: MqttShell) -> None:
        """Have the shell write at the end of this turn of the loop, together with the others."""
        shell.is_flush_due = True
        if not self._flush_due:
            asyncio.get_running_loop().call_soon(self._flush)
        self._flush_due.append(shell)

    def _flush(self) -> None:
        due, self._flush_due = self._flush_due, []
        for shell in due:
            try:
                shell.flush()
            except Exception:
                self._give_up(shell.life)
            if self.is_draining and not shell.life.outstanding:
                self._note_drained(shell.life)

    def _guard(self, life: ConnectionLife, step: Callable[[], None]) -> None:
        """A defect in one connection's step costs that connection, and nothing else."""
        try:
            step()
        except Exception:
            self._give_up(life)

    def _give_up(self, life: ConnectionLife) -> None:
        """Called while the defect is being handled."""
        log.exception("connection.failed", extra=fields(client_id=life.client_id))
        with suppress(Exception):  # it was told of already
            life.abort()

    def _note_drained(self, life: ConnectionLife) -> None:
        self._unkept.discard(life)
        self._drained_some.set()

    def _holder_key(self, life: ConnectionLife, session: Session) -> HolderKey | None:
        if not self._takes_over or session.tenant_id is None or session.device_id is None:
            return None
        return session.tenant_id, session.device_id, life.client_id


def limits_of(settings: MqttSettings) -> Limits:
    return Limits(
        remaining_max_bytes=settings.payload_max_bytes + VARIABLE_HEADER_MAX_BYTES,
        connect_max_bytes=settings.connect_max_bytes,
        unacknowledged_max=settings.unacknowledged_max,
        keep_alive_max_s=settings.keep_alive_max_s,
        connect_deadline_s=settings.connect_deadline_s,
        admission_deadline_s=settings.admission_deadline_s,
    )
