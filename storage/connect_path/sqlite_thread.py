"""The thread that writes what connecting devices cause: one transaction for each group handed to it.

Owns the writing connection and the audit rows nobody waits for: they go with the next group or, after a while, by
themselves. Leaves to sqlite_writer.py what a group is made of and whom it is told to.

Entries of a group do not share a fate: what one of them cannot bind or store is found out by giving each a
transaction of its own. What the database as a whole refuses (full disk, locked file) fails every entry of
the group, by name, and the thread goes on.
"""

import asyncio
import logging
import sqlite3
from collections import deque
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from queue import Empty, SimpleQueue
from threading import Thread
from typing import Any

from conf.storage import StorageSettings
from kernel.clock import Clock
from kernel.errors import TuhonoError
from kernel.ids import DeviceId, TenantId
from kernel.log import fields
from registry.errors import StorageUnavailable
from registry.model import Device, EdgeOrder, KnownDevice, ProvisioningOrder
from storage.connect_path.sqlite_group import GroupStatements
from storage.database import Database
from storage.errors import NameUnstorable
from storage.sqlite import flush_commits, unavailable
from tenant.audit import AuditRow

log = logging.getLogger(__name__)

AUDIT_WAIT_S = 0.05  # how long audit rows alone wait for others
AUDIT_RETRY_S = 1.0  # pause before audit rows that could not be written are tried again
AUDIT_GROUP_MAX = 1024
CLOSE_GRACE_S = 5.0
OVERFLOWED = "audit.overflowed"

Mark = tuple[TenantId, DeviceId]
Order = ProvisioningOrder | EdgeOrder
Outcome = KnownDevice | Device | TuhonoError


@dataclass(slots=True, eq=False)
class Group:
    """What one transaction takes, who waits for it (the event loop's own), and what became of it once it is written."""

    orders: list[Order] = field(default_factory=list)
    ordering: list[asyncio.Future[Any]] = field(default_factory=list)  # KnownDevice or Device, as was ordered
    outcomes: Sequence[Outcome] = ()
    marks: list[Mark] = field(default_factory=list)
    marking: list[asyncio.Future[None]] = field(default_factory=list)
    faults: Sequence[TuhonoError | None] = ()  # of the marks
    since_s: float = 0.0  # when its first entry came


class WriterThread:
    """Writes groups in the order they are handed over. `written` is called on the thread, once for each."""

    def __init__(
        self, *, database: Database, audit_rows_max: int, clock: Clock, written: Callable[[Group], None]
    ) -> None:
        self._database = database
        self._settings: StorageSettings = database.settings
        self._audit_rows_max = audit_rows_max
        self._clock = clock
        self._tell = written
        self._queue: SimpleQueue[Group | bool | None] = SimpleQueue()  # True: audit rows came; None: the end
        self._rows: deque[AuditRow] = deque()
        self._told_of_rows = False
        self._recorded = self._written = 0  # audit rows; whoever records and thread respectively
        self._lost = self._lost_told = 0  # audit rows beyond the bound; likewise
        self._unwritten: list[AuditRow] = []  # audit rows of a transaction that failed
        self._connection: sqlite3.Connection | None = None
        self._flushes = True  # whether its commits are on the disk when they return
        self._worker: Thread | None = None

    def write(self, group: Group) -> None:
        self._put(group)

    def record(self, row: AuditRow) -> None:
        """Take an audit row; beyond the bound it is counted only."""
        if self._recorded - self._written >= self._settings.audit_pending_max:
            self._lost += 1
        else:
            self._recorded += 1
            self._rows.append(row)
        if not self._told_of_rows or len(self._rows) == AUDIT_GROUP_MAX:
            self._told_of_rows = True
            self._put(True)

    def close(self, *, within_s: float | None) -> bool:
        """Write what was handed over, then end. False where that takes longer than given."""
        thread = self._worker
        if thread is None:
            return True
        self._queue.put(None)
        thread.join(self._settings.busy_timeout_s + CLOSE_GRACE_S if within_s is None else within_s)
        return not thread.is_alive()

    def _put(self, entry: Group | bool) -> None:
        if self._worker is None:
            self._worker = Thread(target=self._run, name="registry-writer", daemon=True)
            self._worker.start()
        self._queue.put(entry)

    # Everything below runs on the thread.

    def _run(self) -> None:
        wait_s: float | None = None  # for company of audit rows, or before they are tried again
        while True:
            try:
                entry = self._queue.get(timeout=wait_s)
            except Empty:
                entry = False
            if entry is True and len(self._rows) < AUDIT_GROUP_MAX:
                wait_s = AUDIT_WAIT_S if wait_s is None else wait_s
                continue
            self._write_all(entry if isinstance(entry, Group) else Group())
            wait_s = AUDIT_RETRY_S if self._unwritten else 0.0 if self._rows else None
            if entry is None:
                break
        while self._rows and not self._unwritten:
            self._write_all(Group())
        self._disconnect()
        if self._unwritten:
            log.error("audit.lost", extra=fields(rows=len(self._unwritten) + len(self._rows)))

    def _write_all(self, group: Group) -> None:
        """The group, with the audit rows that are there."""
        try:
            group.outcomes, group.faults = self._write(group.orders, group.marks, self._take_rows())
        except Exception as defect:
            log.exception("storage.writer-failed")
            group.outcomes = [_named(defect) for _ in group.orders]
            group.faults = [_named(defect) for _ in group.marks]
        if group.orders or group.marks:
            self._tell(group)

    def _take_rows(self) -> list[AuditRow]:
        self._told_of_rows = False  # first: a row that comes from now on is told anew
        taken, self._unwritten = self._unwritten, []
        while self._rows and len(taken) < AUDIT_GROUP_MAX:
            taken.append(self._rows.popleft())
        return taken

    def _write(
        self, orders: Sequence[Order], marks: Sequence[Mark], audits: list[AuditRow]
    ) -> tuple[Sequence[Outcome], Sequence[TuhonoError | None]]:
        """Commit the group; where one of it is at fault, each alone."""
        try:
            return self._commit(orders, marks, audits), [None] * len(marks)
        except Exception as fault:
            self._disconnect()
            if _is_of_the_database(fault):
                self._unwritten += audits
            elif len(orders) + len(marks) + len(audits) > 1:
                return self._write_apart(orders, marks, audits)
            else:
                self._written += len(audits)  # it would fail for ever
            is_defect = not isinstance(fault, sqlite3.Error | TuhonoError | UnicodeEncodeError)
            log.error(
                "storage.write-failed",
                extra=fields(reason=str(fault), waiting=len(orders) + len(marks), audit_rows=len(audits)),
                exc_info=fault if is_defect else None,
            )
            return [_named(fault) for _ in orders], [_named(fault) for _ in marks]

    def _write_apart(
        self, orders: Sequence[Order], marks: Sequence[Mark], audits: Sequence[AuditRow]
    ) -> tuple[Sequence[Outcome], Sequence[TuhonoError | None]]:
        outcomes = [self._write([order], (), [])[0][0] for order in orders]
        faults = [self._write((), [mark], [])[1][0] for mark in marks]
        for row in audits:
            self._write((), (), [row])
        return outcomes, faults

    def _commit(self, orders: Sequence[Order], marks: Sequence[Mark], audits: list[AuditRow]) -> Sequence[Outcome]:
        lost = self._lost - self._lost_told
        if not (lost or orders or marks or audits):
            return ()
        connection = self._connected()
        self._flush(connection, at_once=bool(lost or orders or audits))
        connection.execute("BEGIN IMMEDIATE")
        statements = GroupStatements(connection, audit_rows_max=self._audit_rows_max)
        outcomes: Sequence[Outcome] = ()
        if orders:
            outcomes = _provisioned(statements, orders)
        if marks:
            statements.mark_notified(list(dict.fromkeys(marks)), self._clock.now())
        rows = audits
        if lost:
            rows = [*rows, AuditRow(moment=self._clock.now(), what=OVERFLOWED, facts={"rows": str(lost)})]
        statements.audit(rows)
        connection.execute("COMMIT")
        self._lost_told += lost
        self._written += len(audits)
        return outcomes

    def _flush(self, connection: sqlite3.Connection, *, at_once: bool) -> None:
        """Marks alone are not flushed: one that a power failure takes away has its event sent again, which is allowed,
        and the flush costs more than they do.
        """
        if at_once != self._flushes:
            flush_commits(connection, at_once=at_once)
            self._flushes = at_once

    def _connected(self) -> sqlite3.Connection:
        if self._connection is None:
            self._connection = self._database.connect_writer()
            self._flushes = True
        return self._connection

    def _disconnect(self) -> None:
        """Closing rolls back what is open; the next group starts from a clean connection."""
        connection, self._connection = self._connection, None
        if connection is not None:
            with suppress(sqlite3.Error):
                connection.close()


def _provisioned(statements: GroupStatements, orders: Sequence[Order]) -> Sequence[Outcome]:
    """In their sequence; those behind gateways after the others."""
    strangers = [order for order in orders if isinstance(order, ProvisioningOrder)]
    outcomes: Sequence[Outcome] = statements.provision(strangers) if strangers else ()
    if len(strangers) == len(orders):
        return outcomes
    written = iter(outcomes)
    return [
        next(written) if isinstance(order, ProvisioningOrder) else statements.provision_edge(order) for order in orders
    ]


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
