"""The statements of one group: what the writer thread runs between BEGIN and COMMIT.

A group takes the same few statements whether it holds one order or 256: every statement lists
its rows as VALUES. A statement a row would be simpler, but each gives the interpreter's lock to the
event loop and has to win it back.
"""

import sqlite3
from collections.abc import Callable, Iterable, Iterator, Sequence
from datetime import datetime
from functools import cache
from typing import Any

from kernel.errors import Refused
from kernel.ids import DeviceId, TenantId
from registry.model import Device, EdgeOrder, KnownDevice, ProvisioningOrder
from storage.edge_devices import Behind, EdgeDevice, decide_edge
from storage.provisioning import IDS_PER_ORDER, PROVISIONED, OnRecord, Provisioned, decide, make_ids
from storage.rows import (
    DEVICE_COLUMNS,
    Row,
    bare_secret_text,
    device_of,
    list_text,
    micros,
    object_text,
    read_json,
    texts_text,
)
from tenant.audit import AuditRow

ROWS_EXACT_MAX = 32  # so many rows and fewer: a statement for each number, all of which a connection keeps prepared
ROWS_PER_STATEMENT_MAX = 256  # more: one for each power of two

# Only what is not as an ordinary stranger's order expects it: nobody on record, free id, permission given.
# CROSS JOIN and LEFT JOIN keep the orders outermost, so that every other table is asked by its primary key.
_EXCEPTIONS = f"""
SELECT o.column1, c.enabled, c.ext, x.device_id IS NOT NULL, a.may_auto_provision AND t.enabled IS NOT FALSE,
       {", ".join("d." + name for name in DEVICE_COLUMNS)}
FROM (VALUES {{rows}}) AS o
LEFT JOIN credentials AS c ON c.tenant_id = o.column2 AND c.type = 'x509-cert' AND c.auth_id = o.column3
LEFT JOIN devices AS d ON d.tenant_id = c.tenant_id AND d.device_id = c.device_id
LEFT JOIN devices AS x ON x.tenant_id = o.column2 AND x.device_id = o.column4
LEFT JOIN tenants AS t ON t.tenant_id = o.column2
LEFT JOIN trust_anchors AS a ON a.tenant_id = o.column2 AND a.anchor_id = o.column5
WHERE c.auth_id IS NOT NULL OR x.device_id IS NOT NULL
   OR (a.may_auto_provision AND t.enabled IS NOT FALSE) IS NOT TRUE
"""
_DEVICE_COUNT = "SELECT devices FROM device_counts WHERE tenant_id = ?"
_ADD_TO_COUNT = """
INSERT INTO device_counts (tenant_id, devices) VALUES (?, ?)
ON CONFLICT (tenant_id) DO UPDATE SET devices = devices + excluded.devices
"""
_INSERT_DEVICES = """
INSERT INTO devices
(tenant_id, device_id, enabled, authorities, ext, created, auto_provisioned, notification_sent, version)
SELECT column1, column2, 1, column3, column4, column5, 1, 0, column6 FROM (VALUES {rows})
"""
_INSERT_SHAPED_DEVICES = """
INSERT INTO devices (tenant_id, device_id, enabled, authorities, ext, created, auto_provisioned, notification_sent,
version, defaults, via, via_groups, member_of)
SELECT column1, column2, 1, column3, column4, column5, 1, 0, column6, column7, column8, column9, column10
FROM (VALUES {rows})
"""
_INSERT_CREDENTIALS = """
INSERT INTO credentials (tenant_id, type, auth_id, device_id, enabled, comment, secrets)
SELECT column1, 'x509-cert', column2, column3, 1, column4, column5 FROM (VALUES {rows})
"""
_DEVICE = f"SELECT {', '.join(DEVICE_COLUMNS)} FROM devices WHERE tenant_id = ? AND device_id = ?"
_TENANT_USABLE = "SELECT enabled IS NOT FALSE FROM tenants WHERE tenant_id = ?"
_INSERT_EDGE_DEVICE = """
INSERT INTO devices (tenant_id, device_id, enabled, via, via_groups, created, auto_provisioned, notification_sent,
version, provisioned_gateway) VALUES (?, ?, 1, ?, ?, ?, 1, 0, ?, ?)
"""
_INSERT_AUDIT = "INSERT INTO audit (moment, what, tenant_id, device_id, code, facts) VALUES {rows}"
_PRUNE_REFUSALS = "DELETE FROM audit WHERE what = 'device.refused' AND position <= ?"
_PRUNE_OF_DEVICES = """
DELETE FROM audit WHERE what <> 'device.refused' AND actor IS NULL AND position <=
(SELECT position FROM audit WHERE what <> 'device.refused' AND actor IS NULL ORDER BY position DESC LIMIT 1 OFFSET ?)
"""
PRUNE_OF_DEVICES_EVERY = 1024  # rows: finding the place costs a walk over all that stay
_MARK_NOTIFIED = """
UPDATE devices SET notification_sent = 1, updated = o.column3, version = o.column4
FROM (VALUES {rows}) AS o
WHERE devices.tenant_id = o.column1 AND devices.device_id = o.column2 AND NOT devices.notification_sent
"""
Outcome = KnownDevice | Refused


class GroupStatements:
    """Reads and writes for one group. The caller owns the transaction."""

    def __init__(self, connection: sqlite3.Connection, *, audit_rows_max: int) -> None:
        self._execute: Callable[[str, Sequence[Any]], sqlite3.Cursor] = connection.execute
        self._audit_rows_max = audit_rows_max
        self._audit_rows: list[Row] = []  # of what `provision` wrote

    def provision(self, orders: Sequence[ProvisioningOrder]) -> list[Outcome]:
        """What became of each order, in their sequence. The audit rows of those written wait for `audit`."""
        on_record = self._read(orders)
        outcomes: list[Outcome] = []
        written: list[Provisioned] = []
        ids = make_ids(IDS_PER_ORDER * len(orders))
        for order in orders:
            decided = decide(order, on_record, ids)
            if isinstance(decided, Provisioned):
                written.append(decided)
                outcomes.append(decided.known)
            else:
                outcomes.append(decided)
        if written:
            self._write(written)
        return outcomes

    def provision_edge(self, order: EdgeOrder) -> Device | Refused:
        """What became of an order for a device behind a gateway: one at a time, they are rare."""
        tenant_id = order.tenant_id
        tenant = self._execute(_TENANT_USABLE, (tenant_id,)).fetchone()
        count = self._execute(_DEVICE_COUNT, (tenant_id,)).fetchone()
        behind = Behind(
            device=self._find(tenant_id, order.device_id),
            gateway=self._find(tenant_id, order.gateway_id),
            is_tenant_usable=tenant is not None and bool(tenant[0]),
            devices=0 if count is None else count[0],
        )
        decided = decide_edge(order, behind, next(make_ids(1)))
        if not isinstance(decided, EdgeDevice):
            return decided
        device, row = decided.device, decided.audit
        created = micros(order.moment)
        via, groups = list_text(device.via), list_text(device.via_groups)
        self._execute(
            _INSERT_EDGE_DEVICE,
            (tenant_id, device.device_id, via, groups, created, device.version, order.gateway_id),
        )
        self._execute(_ADD_TO_COUNT, (tenant_id, 1))
        self._audit_rows.append((created, row.what, tenant_id, device.device_id, None, texts_text(row.facts)))
        return device

    def _find(self, tenant_id: TenantId, device_id: DeviceId) -> Device | None:
        row = self._execute(_DEVICE, (tenant_id, device_id)).fetchone()
        return None if row is None else device_of(row)

    def mark_notified(self, marks: Sequence[tuple[TenantId, DeviceId]], moment: datetime) -> None:
        now, ids = micros(moment), make_ids(len(marks))
        self._with_rows(_MARK_NOTIFIED, [(*mark, now, next(ids)) for mark in marks])

    def audit(self, recorded: Sequence[AuditRow]) -> None:
        """Add rows at the end, and those of devices provisioned. The oldest refusals make room for refusals, other
        rows for other rows, and those of operators stay: strangers, however many, never push out what was done, nor
        devices who did what.
        """
        rows: list[Row] = [
            (micros(row.moment), row.what, row.tenant_id, row.device_id, row.code, texts_text(row.facts))
            for row in recorded
        ]
        rows += self._audit_rows
        self._audit_rows = []
        if not rows:
            return
        last = self._with_rows(_INSERT_AUDIT, rows)
        if last > self._audit_rows_max:
            self._execute(_PRUNE_REFUSALS, (last - self._audit_rows_max,))
            if last // PRUNE_OF_DEVICES_EVERY != (last - len(rows)) // PRUNE_OF_DEVICES_EVERY:
                self._execute(_PRUNE_OF_DEVICES, (self._audit_rows_max,))

    def _read(self, orders: Sequence[ProvisioningOrder]) -> OnRecord:
        on_record = OnRecord(permitted={(order.tenant_id, order.anchor_id) for order in orders})
        asked = [
            (number, order.tenant_id, order.auth_id, order.device_id, order.anchor_id)
            for number, order in enumerate(orders)
        ]
        for sql, parameters in _statements(_EXCEPTIONS, asked):
            for number, enabled, ext, is_taken, is_permitted, *device in self._execute(sql, parameters).fetchall():
                order = orders[number]
                if device[0] is not None:
                    on_record.known[order.tenant_id, order.auth_id] = known_device(device, enabled, ext)
                if is_taken:
                    on_record.taken.add((order.tenant_id, order.device_id))
                if not is_permitted:
                    on_record.permitted.discard((order.tenant_id, order.anchor_id))
        for tenant_id in {order.tenant_id for order in orders if order.devices_max >= 0}:
            count = self._execute(_DEVICE_COUNT, (tenant_id,)).fetchone()
            on_record.device_counts[tenant_id] = 0 if count is None else count[0]
        return on_record

    def _write(self, written: Sequence[Provisioned]) -> None:
        devices: list[Row] = []
        shaped: list[Row] = []  # those their anchor's template gives more than most have
        credentials: list[Row] = []
        counts: dict[TenantId, int] = {}
        for entry in written:
            order, device = entry.order, entry.known.device
            tenant_id, device_id, created = order.tenant_id, order.device_id, micros(order.moment)
            authorities = list_text(device.authorities)
            if order.template is None:
                comment = texts_text({"comment": entry.comment})
                devices.append((tenant_id, device_id, authorities, comment, created, device.version))
            else:
                common = (tenant_id, device_id, authorities, object_text(device.ext), created, device.version)
                lists = map(list_text, (device.via, device.via_groups, device.member_of))
                shaped.append((*common, object_text(device.defaults), *lists))
            secrets = bare_secret_text(entry.secret_id)
            credentials.append((tenant_id, order.auth_id, device_id, entry.comment, secrets))
            self._audit_rows.append((created, PROVISIONED, tenant_id, device_id, None, texts_text(entry.facts)))
            counts[tenant_id] = counts.get(tenant_id, 0) + 1
        self._with_rows(_INSERT_DEVICES, devices)
        self._with_rows(_INSERT_SHAPED_DEVICES, shaped)
        self._with_rows(_INSERT_CREDENTIALS, credentials)
        for tenant_id, added in counts.items():
            self._execute(_ADD_TO_COUNT, (tenant_id, added))

    def _with_rows(self, template: str, rows: Sequence[Sequence[Any]]) -> int:
        """Returns the rowid of the last row inserted, where the table has any."""
        last = 0
        for sql, parameters in _statements(template, rows):
            last = self._execute(sql, parameters).lastrowid or 0
        return last


def known_device(device: Sequence[Any], credential_enabled: object, credential_ext: str | None) -> KnownDevice:
    """From a row of DEVICE_COLUMNS and two columns of its credential."""
    return KnownDevice(
        device=device_of(device),
        credential_enabled=credential_enabled is None or bool(credential_enabled),
        credential_ext={} if credential_ext is None else read_json(credential_ext),
    )


def _statements(template: str, rows: Sequence[Sequence[Any]]) -> Iterator[tuple[str, Sequence[Any]]]:
    """The template's statements that take all rows, the largest first."""
    start = 0
    while start < len(rows):
        size = len(rows) - start
        if size > ROWS_EXACT_MAX:
            size = min(ROWS_PER_STATEMENT_MAX, 1 << (size.bit_length() - 1))
        chunk = rows[start : start + size]
        yield _statement(template, size, len(chunk[0])), _flat(chunk)
        start += size


@cache
def _statement(template: str, rows: int, columns: int) -> str:
    row = "(" + ", ".join("?" * columns) + ")"
    return template.replace("{rows}", ", ".join([row] * rows))


def _flat(rows: Iterable[Sequence[Any]]) -> Sequence[Any]:
    return [entry for row in rows for entry in row]
