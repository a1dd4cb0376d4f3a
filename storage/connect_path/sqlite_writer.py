"""Gathers what connecting devices cause to be written, and settles it: one commit for all that came meanwhile.

Lives on the event loop. The transactions are run by a thread (sqlite_thread.py), which is woken once a group:
waking it for every device cost more than writing the device. While a commit is on its way to the disk, the
next group gathers. A device waits for others for moments, and only where one was written just before and while the
loop is busy: in a storm a commit then serves several, and a device that comes alone is written at once.
"""

import asyncio
import logging
from typing import Any

from conf.storage import StorageSettings
from kernel.clock import Clock
from kernel.errors import TuhonoError
from kernel.ids import DeviceId, TenantId
from kernel.log import fields
from registry.errors import StorageUnavailable
from registry.model import Device, EdgeOrder, KnownDevice, ProvisioningOrder
from storage.connect_path.sqlite_thread import Group, Order, WriterThread
from storage.database import Database
from tenant.audit import AuditRow

log = logging.getLogger(__name__)

COMPANY_WAIT_S = 0.02  # how long a device waits for others in a storm: a commit costs what ten devices cost
IDLE_S = 1e-4  # a turn of the loop that takes less had nothing to do: any step of a handshake takes more
STORM_S = 0.02  # another device written no longer ago than this makes a storm


class SqliteWriter:
    """Takes work and settles it. All methods belong to the event loop's thread."""

    def __init__(self, *, database: Database, audit_rows_max: int, clock: Clock) -> None:
        self._settings: StorageSettings = database.settings
        self._clock = clock
        self._worker = WriterThread(
            database=database, audit_rows_max=audit_rows_max, clock=clock, written=self._written
        )
        self._loop: asyncio.AbstractEventLoop | None = None  # that of the first who asked
        self._filling = Group()
        self._writing = 0  # groups that the thread has
        self._waiting = 0  # devices and marks, in all groups
        self._planned: asyncio.Handle | None = None  # the hand-over to come
        self._ordered_s = -STORM_S  # when devices were last handed over
        self._looked_s = -1.0  # when the loop was last seen to go round
        self._is_storm = False  # whether others had been handed over just before those
        self._closed = False

    def provision(self, order: ProvisioningOrder) -> asyncio.Future[KnownDevice]:
        """Fails with StorageUnavailable when too much is waiting."""
        future: asyncio.Future[KnownDevice] = asyncio.get_running_loop().create_future()
        self._take(order, future)
        return future

    def provision_edge(self, order: EdgeOrder) -> asyncio.Future[Device]:
        """The same for a device behind a gateway."""
        future: asyncio.Future[Device] = asyncio.get_running_loop().create_future()
        self._take(order, future)
        return future

    def _take(self, order: Order, future: asyncio.Future[Any]) -> None:
        refusal = self._refusal()
        if refusal is not None:
            future.set_exception(refusal)
            return
        group = self._filling
        group.orders.append(order)
        group.ordering.append(future)
        self._added(len(group.orders))

    def mark_notified(self, tenant_id: TenantId, device_id: DeviceId) -> asyncio.Future[None]:
        """Fails with StorageUnavailable when too much is waiting."""
        future: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        refusal = self._refusal()
        if refusal is not None:
            future.set_exception(refusal)
            return future
        group = self._filling
        group.marks.append((tenant_id, device_id))
        group.marking.append(future)
        self._added(len(group.marks))
        return future

    def record(self, row: AuditRow) -> None:
        """Needs no loop. Past its bound, or after the end, a row is not kept."""
        if not self._closed:
            self._worker.record(row)

    def close(self, *, within_s: float | None = None) -> None:
        """Write what is waiting, then stop. Work that comes later is refused.

        Blocks for `within_s` at the most, by default for as long as the last commit may wait for its turn.
        """
        if self._closed:
            return
        self._closed = True
        if self._filling.orders or self._filling.marks:
            self._hand_over()
        if not self._worker.close(within_s=within_s):
            log.error("storage.unfinished", extra=fields(waiting=self._waiting))

    def _refusal(self) -> StorageUnavailable | None:
        if self._closed:
            return StorageUnavailable("the registry is closed")
        if self._waiting >= self._settings.provisioning_pending_max:
            return StorageUnavailable("too many devices are waiting to be provisioned")
        return None

    def _added(self, entries: int) -> None:
        """One entry more; there are so many of its kind now."""
        self._waiting += 1
        if self._loop is None:
            self._loop = asyncio.get_running_loop()
        group = self._filling
        if len(group.orders) + len(group.marks) == 1:
            group.since_s = self._loop.time()
        if entries >= self._settings.provisioning_group_max:
            self._hand_over()
        elif self._planned is None and not self._writing:
            self._plan(self._loop)

    def _plan(self, loop: asyncio.AbstractEventLoop) -> None:
        """The thread is idle, and there is something for it."""
        group = self._filling
        follows = loop.time() - self._ordered_s < STORM_S if group.orders else self._is_storm
        self._looked_s = -1.0
        self._planned = loop.call_soon(self._look if follows else self._hand_over)

    def _look(self) -> None:
        """Wait for company while the loop has other things to do: handshakes, as a rule, of those who come next."""
        now_s = self._clock.monotonic()
        if self._loop is None or now_s - self._looked_s < IDLE_S or self._is_overdue(self._loop):
            self._hand_over()
        else:
            self._looked_s = now_s
            self._planned = self._loop.call_soon(self._look)

    def _is_overdue(self, loop: asyncio.AbstractEventLoop) -> bool:
        return loop.time() - self._filling.since_s >= COMPANY_WAIT_S

    def _hand_over(self) -> None:
        if self._planned is not None:
            self._planned.cancel()
            self._planned = None
        group, self._filling = self._filling, Group()
        if group.orders and self._loop is not None:
            now_s = self._loop.time()
            self._is_storm = len(group.orders) > 1 or now_s - self._ordered_s < STORM_S
            self._ordered_s = now_s
        self._writing += 1
        self._worker.write(group)

    def _written(self, group: Group) -> None:
        """In the writer's thread."""
        assert self._loop is not None
        try:
            self._loop.call_soon_threadsafe(self._settle, group)
        except RuntimeError:  # the loop is closed: nobody is waiting any more
            log.info("storage.nobody-to-tell", extra=fields(waiting=self._waiting))

    def _settle(self, group: Group) -> None:
        """A caller that was cancelled meanwhile is passed over: what was written stays written."""
        self._writing -= 1
        self._waiting -= len(group.orders) + len(group.marks)
        for ordering, outcome in zip(group.ordering, group.outcomes, strict=True):
            if ordering.done():
                continue
            if isinstance(outcome, TuhonoError):
                ordering.set_exception(outcome)
            else:
                ordering.set_result(outcome)
        for marking, fault in zip(group.marking, group.faults, strict=True):
            if marking.done():
                continue
            if fault is not None:
                marking.set_exception(fault)
            else:
                marking.set_result(None)
        filling = self._filling
        if (filling.orders or filling.marks) and not self._writing and self._planned is None and self._loop is not None:
            self._plan(self._loop)
