"""One thread that writes what connecting devices cause, in groups: one commit for all that came meanwhile.

While a commit is on its way to the disk, the next group gathers. Audit rows, which nobody waits for, wait for
company; a device waits for other devices for moments, and only where one was written just before: in a
storm a commit then serves several, and a device that comes alone is written at once.

Orders of a group do not share a fate: what one of them cannot bind or store is found out by giving each a
transaction of its own. What the database as a whole refuses (full disk, locked file) fails every order of
the group, by name, and the thread goes on.

The queue between loop and thread is unbounded by itself; each counter beside it is written on one side
only, and the difference of the two is held to its limit before anything is queued.
"""

import asyncio
import logging
import sqlite3
from collections.abc import Iterable, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from queue import Empty, SimpleQueue
from threading import Thread

from conf.storage import StorageSettings
from kernel.clock import Clock
from kernel.errors import TuhonoError
from kernel.ids import DeviceId, TenantId
from kernel.log import fields
from registry.errors import StorageUnavailable
from registry.model import AuditRow, KnownDevice, ProvisioningOrder
from storage.connect_path.sqlite_group import GroupStatements, Outcome
from storage.database import Database
from storage.errors import NameUnstorable
from storage.sqlite import unavailable

log = logging.getLogger(__name__)

AUDIT_WAIT_S = 0.05  # how long audit rows alone wait for others
COMPANY_WAIT_S = 0.01  # how long a device waits for others in a storm: a commit costs what ten devices cost
STORM_S = 0.02  # another device written no longer ago than this makes a storm
AUDIT_RETRY_S = 1.0  # pause before audit rows that could not be written are tried again
AUDIT_GROUP_MAX = 1024
CLOSE_GRACE_S = 5.0
OVERFLOWED = "audit.overflowed"


@dataclass(frozen=True, slots=True, eq=False)
class _Order:
    order: ProvisioningOrder
    future: asyncio.Future[KnownDevice]


@dataclass(frozen=True, slots=True, eq=False)
class _Mark:
    tenant_id: TenantId
    device_id: DeviceId
    future: asyncio.Future[None]


@dataclass(slots=True, eq=False)
class _Group:
    """What one transaction takes."""

    orders: list[_Order] = field(default_factory=list)
    marks: list[_Mark] = field(default_factory=list)
    audits: list[AuditRow] = field(default_factory=list)
    is_last: bool = False


Waiting = asyncio.Future[KnownDevice] | asyncio.Future[None]
Settled = tuple[Waiting, KnownDevice | TuhonoError | None]


class SqliteWriter:
    """Takes work on the event loop; settles it there with one call per group."""

    def __init__(self, *, database: Database, audit_rows_max: int, clock: Clock) -> None:
        self._database = database
        self._settings: StorageSettings = database.settings
        self._audit_rows_max = audit_rows_max
        self._clock = clock
        self._queue: SimpleQueue[_Order | _Mark | AuditRow | None] = SimpleQueue()
        self._worker: Thread | None = None
        self._connection: sqlite3.Connection | None = None
        self._closed = False
        self._asked = self._answered = 0  # orders and marks; loop and thread respectively
        self._recorded = self._written = 0  # audit rows; loop and thread
        self._lost = self._lost_told = 0  # audit rows beyond the bound; loop and thread
        self._unwritten: list[AuditRow] = []  # audit rows of a transaction that failed
        self._ordered_at = -STORM_S  # when devices were last written
        self._is_storm = False  # whether others had been written just before those

    def provision(self, order: ProvisioningOrder) -> asyncio.Future[KnownDevice]:
        """Raises StorageUnavailable when too much is waiting."""
        future: asyncio.Future[KnownDevice] = asyncio.get_running_loop().create_future()
        self._ask(_Order(order, future))
        return future

    def mark_notified(self, tenant_id: TenantId, device_id: DeviceId) -> asyncio.Future[None]:
        """Raises StorageUnavailable when too much is waiting."""
        future: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._ask(_Mark(tenant_id, device_id, future))
        return future

    def record(self, row: AuditRow) -> None:
        if self._closed or self._recorded - self._written >= self._settings.audit_pending_max:
            self._lost += 1
            return
        self._recorded += 1
        self._put(row)

    def close(self, *, within_s: float | None = None) -> None:
        """Write what is waiting, then stop. Work that comes later is refused.

        Blocks for `within_s` at the most, by default for as long as the last commit may wait for its turn.
        """
        if self._closed:
            return
        self._closed = True
        thread = self._worker
        if thread is None:
            return
        self._queue.put(None)
        thread.join(self._settings.busy_timeout_s + CLOSE_GRACE_S if within_s is None else within_s)
        if thread.is_alive():
            log.error("storage.unfinished", extra=fields(waiting=self._asked - self._answered))

    def _ask(self, work: _Order | _Mark) -> None:
        if self._closed:
            raise StorageUnavailable("the registry is closed")
        if self._asked - self._answered >= self._settings.provisioning_pending_max:
            raise StorageUnavailable("too many devices are waiting to be provisioned")
        self._asked += 1
        self._put(work)

    def _put(self, work: _Order | _Mark | AuditRow) -> None:
        if self._worker is None:
            self._worker = Thread(target=self._run, name="registry-writer", daemon=True)
            self._worker.start()
        self._queue.put(work)

    # Everything below runs on the writer's thread.

    def _run(self) -> None:
        is_last = False
        while not is_last:
            group = self._gather()
            is_last = group.is_last
            try:
                self._settle(self._write(group))
            except Exception:
                log.exception("storage.writer-failed")
        self._disconnect()
        if self._unwritten:
            log.error("audit.lost", extra=fields(rows=len(self._unwritten)))

    def _gather(self) -> _Group:
        """Wait for work, then take what is there, as far as one transaction goes."""
        group = _Group(audits=self._unwritten)
        self._unwritten = []
        wait_s = AUDIT_RETRY_S if group.audits else None
        until = self._clock.monotonic() + AUDIT_WAIT_S
        while True:
            try:
                work = self._queue.get(timeout=wait_s)
            except Empty:
                return group
            if work is None:
                group.is_last = True
                return group
            if isinstance(work, _Order):
                group.orders.append(work)
            elif isinstance(work, _Mark):
                group.marks.append(work)
            else:
                group.audits.append(work)
            if self._is_full(group):
                return group
            now = self._clock.monotonic()
            if len(group.orders) + len(group.marks) == 1 and not isinstance(work, AuditRow):
                follows = now - self._ordered_at < STORM_S if group.orders else self._is_storm
                until = now + COMPANY_WAIT_S if follows else now
            elif wait_s is None:
                until = now + AUDIT_WAIT_S
            wait_s = max(0, until - now)

    def _is_full(self, group: _Group) -> bool:
        group_max = self._settings.provisioning_group_max
        return len(group.orders) >= group_max or len(group.marks) >= group_max or len(group.audits) >= AUDIT_GROUP_MAX

    def _write(self, group: _Group) -> Sequence[Settled]:
        """Commit the group; where one of it is at fault, each alone."""
        try:
            return self._commit(group)
        except Exception as fault:
            parts = list(_parts(group))
            if _is_of_the_database(fault):
                self._unwritten += group.audits
            elif len(parts) == 1:
                self._written += len(group.audits)  # it would fail for ever
            else:
                self._disconnect()
                return [entry for part in parts for entry in self._write(part)]
            return self._failed(group, fault)

    def _commit(self, group: _Group) -> Sequence[Settled]:
        lost = self._lost - self._lost_told
        if not (lost or group.orders or group.marks or group.audits):
            return ()
        connection = self._connected()
        connection.execute("BEGIN IMMEDIATE")
        statements = GroupStatements(connection, audit_rows_max=self._audit_rows_max)
        outcomes: Sequence[Outcome] = ()
        audits = group.audits
        if group.orders:
            before, self._ordered_at = self._ordered_at, self._clock.monotonic()
            self._is_storm = len(group.orders) > 1 or self._ordered_at - before < STORM_S
            outcomes, provisioned = statements.provision([work.order for work in group.orders])
            audits = audits + provisioned
        if group.marks:
            marks = list(dict.fromkeys((work.tenant_id, work.device_id) for work in group.marks))
            statements.mark_notified(marks, self._clock.now())
        if lost:
            audits = [*audits, AuditRow(moment=self._clock.now(), what=OVERFLOWED, facts={"rows": str(lost)})]
        if audits:
            statements.audit(audits)
        connection.execute("COMMIT")
        self._lost_told += lost
        self._written += len(group.audits)
        settled: list[Settled] = [(work.future, outcome) for work, outcome in zip(group.orders, outcomes, strict=True)]
        settled += [(work.future, None) for work in group.marks]
        return settled

    def _failed(self, group: _Group, fault: Exception) -> Sequence[Settled]:
        """Nothing of the group is kept, and whoever waits for it is told."""
        self._disconnect()
        is_defect = not isinstance(fault, sqlite3.Error | TuhonoError | UnicodeEncodeError)
        waiting: list[Waiting] = [work.future for work in group.orders]
        waiting += [work.future for work in group.marks]
        log.error(
            "storage.write-failed",
            extra=fields(reason=str(fault), waiting=len(waiting), audit_rows=len(group.audits)),
            exc_info=fault if is_defect else None,
        )
        return [(future, _named(fault)) for future in waiting]

    def _settle(self, settled: Sequence[Settled]) -> None:
        """Hand the results to the loop in one call."""
        if not settled:
            return
        self._answered += len(settled)
        with suppress(RuntimeError):  # the loop is closed: nobody is waiting any more
            settled[0][0].get_loop().call_soon_threadsafe(_deliver, settled)

    def _connected(self) -> sqlite3.Connection:
        if self._connection is None:
            self._connection = self._database.connect_writer()
        return self._connection

    def _disconnect(self) -> None:
        """Closing rolls back what is open; the next group starts from a clean connection."""
        connection, self._connection = self._connection, None
        if connection is not None:
            with suppress(sqlite3.Error):
                connection.close()


def _deliver(settled: Iterable[Settled]) -> None:
    """On the loop. A caller that was cancelled meanwhile is passed over: what was written stays written."""
    for future, outcome in settled:
        if future.done():
            continue
        if isinstance(outcome, TuhonoError):
            future.set_exception(outcome)
        else:
            future.set_result(outcome)  # type: ignore[arg-type]  # a mark's future takes None, an order's a record


def _parts(group: _Group) -> Iterable[_Group]:
    """Every entry as a group of its own."""
    for order in group.orders:
        yield _Group(orders=[order])
    for mark in group.marks:
        yield _Group(marks=[mark])
    for row in group.audits:
        yield _Group(audits=[row])


def _is_of_the_database(fault: Exception) -> bool:
    """Rather than of one entry: a text without UTF-8 form, a value too large, a constraint that does not hold."""
    if isinstance(fault, sqlite3.IntegrityError | sqlite3.DataError | sqlite3.ProgrammingError):
        return False
    return isinstance(fault, sqlite3.Error | StorageUnavailable)


def _named(fault: Exception) -> TuhonoError:
    """An error of the caller's own: it will be raised, and carry a traceback."""
    if isinstance(fault, StorageUnavailable):
        return StorageUnavailable(str(fault))
    if isinstance(fault, UnicodeEncodeError | sqlite3.DataError):
        return NameUnstorable(f"database: {fault}")
    return unavailable(fault)
