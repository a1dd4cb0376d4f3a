"""The change feed on SQLite: what other connections committed, of this process and of others alike.

`PRAGMA data_version` moves whenever any other connection has committed anything; only then are the
changes behind our position read. A tenant is delivered as it is when it is read, so several changes of
it may all show the latest state; what is read twice does no harm.
"""

import asyncio
import logging
import sqlite3
from collections.abc import Callable, Sequence
from itertools import groupby
from typing import Any

from conf.tenant import TenantSettings
from kernel.ids import TenantId
from kernel.log import fields
from registry.errors import StorageUnavailable
from storage.bell import ChangeBell
from storage.rows_tenant import ANCHOR_COLUMNS, TENANT_COLUMNS, anchor_of, tenant_of
from storage.sqlite import unavailable
from tenant.model import Tenant
from tenant.ports import Change, ChangeKind

log = logging.getLogger(__name__)

CHANGES_PER_READ_MAX = 1000

_DATA_VERSION = "PRAGMA data_version"
_LAST_CHANGE = "SELECT coalesce(max(seq), 0) FROM changes"
_CHANGES = "SELECT seq, kind, tenant_id, anchor_id, device_id, enabled FROM changes WHERE seq > ? ORDER BY seq LIMIT ?"
_TENANT = f"SELECT {', '.join(TENANT_COLUMNS)} FROM tenants WHERE tenant_id = ?"
_ANCHORS = f"SELECT {', '.join(ANCHOR_COLUMNS)} FROM trust_anchors WHERE tenant_id = ? ORDER BY ordinal"
_ALL_TENANTS = f"SELECT {', '.join(TENANT_COLUMNS)} FROM tenants ORDER BY tenant_id"
_ALL_ANCHORS = f"SELECT {', '.join(ANCHOR_COLUMNS)} FROM trust_anchors ORDER BY tenant_id, ordinal"

_KINDS = frozenset(kind.value for kind in ChangeKind)
Subscriber = Callable[[Change], None]


class SqliteChangeFeed:
    """`tenant.ports.ChangeFeed` on SQLite. Belongs to one event loop."""

    def __init__(self, *, reader: sqlite3.Connection, settings: TenantSettings, bell: ChangeBell) -> None:
        """Changes committed before this call are not delivered. Raises StorageUnavailable."""
        self._reader = reader
        self._execute = reader.execute
        self._check_s = settings.change_check_s
        self._bell_values = bell.values
        self._heard: int = bell.values[0]
        self._subscribers: list[Subscriber] = []
        self._delivering = False
        try:
            self._data_version = self._read_number(_DATA_VERSION)  # first: a commit in between is then noticed
            self._position = self._read_number(_LAST_CHANGE)
        except sqlite3.Error as fault:
            raise unavailable(fault) from fault

    @property
    def position(self) -> int:
        """The change that was read last; what follows it in the table has not been delivered."""
        return self._position

    def subscribe(self, subscriber: Subscriber) -> None:
        self._subscribers.append(subscriber)

    def has_news(self) -> bool:
        return self._bell_values[0] != self._heard  # type: ignore[no-any-return]

    def catch_up(self) -> None:
        self._heard = self._bell_values[0]  # first: what rings from here on is heard anew
        try:
            data_version: int = self._execute(_DATA_VERSION).fetchone()[0]
            if data_version == self._data_version or self._delivering:
                return
            while changes := self._read():
                self._deliver(changes)
        except sqlite3.Error as fault:
            raise unavailable(fault) from fault
        self._data_version = data_version

    def all_tenants(self) -> Sequence[Tenant]:
        try:
            self._execute("BEGIN")
            try:
                tenants = self._execute(_ALL_TENANTS).fetchall()
                anchors = self._execute(_ALL_ANCHORS).fetchall()
            finally:
                self._execute("COMMIT")
        except sqlite3.Error as fault:
            raise unavailable(fault) from fault
        of_tenant = {tenant_id: list(rows) for tenant_id, rows in groupby(anchors, key=lambda row: row[0])}
        return [tenant_of(row, [anchor_of(anchor) for anchor in of_tenant.get(row[0], ())]) for row in tenants]

    async def run(self) -> None:
        """Follow for ever. A database that does not answer is asked again at the next turn."""
        while True:
            await asyncio.sleep(self._check_s)
            try:
                self.catch_up()
            except StorageUnavailable as fault:
                log.warning("changes.unread", extra=fields(reason=str(fault)))

    def _read(self) -> Sequence[Change]:
        """The next changes behind our position, with the tenants they speak of; moves the position."""
        if self._execute(_CHANGES, (self._position, 1)).fetchone() is None:
            return ()  # as a rule: the commit was a device's
        self._execute("BEGIN")  # changes and tenants as of one moment
        try:
            rows = self._execute(_CHANGES, (self._position, CHANGES_PER_READ_MAX)).fetchall()
            if rows[0][0] != self._position + 1:
                self._position = self._read_number(_LAST_CHANGE)
                return (Change(kind=ChangeKind.RESET),)
            tenants = {row[2]: self._find(row[2]) for row in rows if row[1] == ChangeKind.TENANT.value}
        finally:
            self._execute("COMMIT")
        changes = [change for row in rows if (change := _change_of(row, tenants)) is not None]
        self._position = rows[-1][0]
        return changes or self._read()

    def _find(self, tenant_id: TenantId) -> Tenant | None:
        row = self._execute(_TENANT, (tenant_id,)).fetchone()
        if row is None:
            return None
        return tenant_of(row, [anchor_of(anchor) for anchor in self._execute(_ANCHORS, (tenant_id,)).fetchall()])

    def _deliver(self, changes: Sequence[Change]) -> None:
        self._delivering = True  # a subscriber that asks for more gets it when this delivery is through
        try:
            for change in changes:
                for subscriber in self._subscribers:
                    _tell(subscriber, change)
        finally:
            self._delivering = False

    def _read_number(self, statement: str) -> int:
        number: int = self._execute(statement).fetchone()[0]
        return number


def _tell(subscriber: Subscriber, change: Change) -> None:
    try:
        subscriber(change)
    except Exception:
        log.exception("change.undelivered", extra=fields(kind=change.kind.value, tenant_id=change.tenant_id))


def _change_of(row: Sequence[Any], tenants: dict[TenantId, Tenant | None]) -> Change | None:
    """None for a tenant that is gone by now: its deletion follows. RESET for a kind that only a newer release knows."""
    _, kind_text, tenant_id, anchor_id, device_id, enabled = row
    if kind_text not in _KINDS:
        return Change(kind=ChangeKind.RESET)
    kind = ChangeKind(kind_text)
    tenant = tenants[tenant_id] if kind is ChangeKind.TENANT else None
    if kind is ChangeKind.TENANT and tenant is None:
        return None
    return Change(
        kind=kind,
        tenant_id=tenant_id,
        tenant=tenant,
        anchor_id=anchor_id,
        device_id=device_id,
        enabled=None if enabled is None else bool(enabled),
    )
