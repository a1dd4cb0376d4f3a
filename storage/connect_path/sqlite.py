"""The connect path on SQLite: lookups in prepared statements, writes through the writer thread.

Lookups run on the event loop and do not suspend: one takes some microseconds, less than handing it to a
thread. The connection they use is the reader's alone; in WAL mode no writer makes it wait. Nearly half of
what a lookup costs is the transaction it is in, so the one of a connecting device also asks for the last change.
"""

import asyncio
import sqlite3
from collections.abc import Sequence
from datetime import datetime

from conf.registry import RegistrySettings
from kernel.clock import Clock
from kernel.ids import AuthId, DeviceId, TenantId
from registry.model import Device, EdgeOrder, KnownCredential, KnownDevice, ProvisioningOrder
from registry.ports import GATEWAYS_MAX
from storage.connect_path.sqlite_feed import SqliteChangeFeed
from storage.connect_path.sqlite_group import known_device
from storage.connect_path.sqlite_writer import SqliteWriter
from storage.database import Database
from storage.rows import CREDENTIAL_COLUMNS, DEVICE_COLUMNS, credential_of, device_of, list_text, micros
from storage.sqlite import unavailable
from tenant.audit import AuditRow

_DEVICE = ", ".join("d." + name for name in DEVICE_COLUMNS)
_FIND_BY_CREDENTIAL = f"""
SELECT (SELECT max(seq) FROM changes), c.enabled, c.ext, {_DEVICE} FROM (VALUES (1)) AS o
LEFT JOIN credentials AS c ON c.tenant_id = ? AND c.type = ? AND c.auth_id = ?
LEFT JOIN devices AS d ON d.tenant_id = c.tenant_id AND d.device_id = c.device_id
"""
_CREDENTIAL = ", ".join("c." + name for name in CREDENTIAL_COLUMNS)
_FIND_CREDENTIAL = f"""
SELECT (SELECT max(seq) FROM changes), {_CREDENTIAL}, {_DEVICE} FROM (VALUES (1)) AS o
LEFT JOIN credentials AS c ON c.tenant_id = ? AND c.type = ? AND c.auth_id = ?
LEFT JOIN devices AS d ON d.tenant_id = c.tenant_id AND d.device_id = c.device_id
"""
_DEVICE_FROM = 1 + len(CREDENTIAL_COLUMNS)
_FIND_GATEWAYS = """
SELECT device_id FROM devices WHERE tenant_id = ? AND member_of IS NOT NULL
AND EXISTS (SELECT 1 FROM json_each(member_of) WHERE value IN (SELECT value FROM json_each(?)))
ORDER BY device_id LIMIT ?
"""
_FIND_DEVICE = f"SELECT {_DEVICE} FROM devices AS d WHERE d.tenant_id = ? AND d.device_id = ?"
_COUNT_DEVICES = "SELECT devices FROM device_counts WHERE tenant_id = ?"
_DUE = f"""
SELECT {_DEVICE} FROM devices AS d
WHERE d.auto_provisioned AND NOT d.notification_sent AND d.created < ?
ORDER BY d.created, d.tenant_id, d.device_id LIMIT ?
"""


class SqliteConnectPath:
    """`registry.ports.ConnectPath` on SQLite. Belongs to one event loop."""

    def __init__(
        self,
        *,
        database: Database,
        reader: sqlite3.Connection,
        feed: SqliteChangeFeed,
        registry_settings: RegistrySettings,
        clock: Clock,
    ) -> None:
        self._execute = reader.execute
        self._feed = feed
        self._writer = SqliteWriter(database=database, audit_rows_max=registry_settings.audit_rows_max, clock=clock)

    async def find_by_credential(self, tenant_id: TenantId, type_: str, auth_id: AuthId) -> KnownDevice | None:
        return self.find_by_credential_now(tenant_id, type_, auth_id)

    def find_by_credential_now(self, tenant_id: TenantId, type_: str, auth_id: AuthId) -> KnownDevice | None:
        try:
            row = self._execute(_FIND_BY_CREDENTIAL, (tenant_id, type_, auth_id)).fetchone()
        except UnicodeEncodeError:  # no such text can be on record
            self._feed.catch_up()
            return None
        except sqlite3.Error as fault:
            raise unavailable(fault) from fault
        last_change, enabled, ext, *device = row
        if last_change is not None and last_change != self._feed.position:
            self._feed.catch_up()
        return None if device[0] is None else known_device(device, enabled, ext)

    async def find_credential(self, tenant_id: TenantId, type_: str, auth_id: AuthId) -> KnownCredential | None:
        return self.find_credential_now(tenant_id, type_, auth_id)

    def find_credential_now(self, tenant_id: TenantId, type_: str, auth_id: AuthId) -> KnownCredential | None:
        try:
            row = self._execute(_FIND_CREDENTIAL, (tenant_id, type_, auth_id)).fetchone()
        except UnicodeEncodeError:
            self._feed.catch_up()
            return None
        except sqlite3.Error as fault:
            raise unavailable(fault) from fault
        last_change, credential, device = row[0], row[1:_DEVICE_FROM], row[_DEVICE_FROM:]
        if last_change is not None and last_change != self._feed.position:
            self._feed.catch_up()
        if device[0] is None:
            return None
        return KnownCredential(credential=credential_of(credential), device=device_of(device))

    async def find_gateways(self, tenant_id: TenantId, groups: Sequence[str]) -> Sequence[DeviceId]:
        if not groups:
            return ()
        try:
            rows = self._execute(_FIND_GATEWAYS, (tenant_id, list_text(groups), GATEWAYS_MAX)).fetchall()
        except UnicodeEncodeError:
            return ()
        except sqlite3.Error as fault:
            raise unavailable(fault) from fault
        return [DeviceId(device_id) for (device_id,) in rows]

    async def find_device(self, tenant_id: TenantId, device_id: DeviceId) -> Device | None:
        return self.find_device_now(tenant_id, device_id)

    def find_device_now(self, tenant_id: TenantId, device_id: DeviceId) -> Device | None:
        try:
            row = self._execute(_FIND_DEVICE, (tenant_id, device_id)).fetchone()
        except UnicodeEncodeError:
            return None
        except sqlite3.Error as fault:
            raise unavailable(fault) from fault
        return None if row is None else device_of(row)

    async def count_devices(self, tenant_id: TenantId) -> int:
        try:
            row = self._execute(_COUNT_DEVICES, (tenant_id,)).fetchone()
        except UnicodeEncodeError:
            return 0
        except sqlite3.Error as fault:
            raise unavailable(fault) from fault
        return 0 if row is None else int(row[0])

    def provision(self, order: ProvisioningOrder) -> asyncio.Future[KnownDevice]:
        return self._writer.provision(order)

    def provision_edge(self, order: EdgeOrder) -> asyncio.Future[Device]:
        return self._writer.provision_edge(order)

    def mark_notified(self, tenant_id: TenantId, device_id: DeviceId) -> asyncio.Future[None]:
        return self._writer.mark_notified(tenant_id, device_id)

    async def due_notifications(self, *, before: datetime, limit: int) -> Sequence[Device]:
        try:
            return [device_of(row) for row in self._execute(_DUE, (micros(before), limit)).fetchall()]
        except sqlite3.Error as fault:
            raise unavailable(fault) from fault

    def record(self, row: AuditRow) -> None:
        self._writer.record(row)

    def close(self, *, within_s: float | None = None) -> None:
        """Write what is waiting. Blocks for as long as the last commits take, or as given."""
        self._writer.close(within_s=within_s)
