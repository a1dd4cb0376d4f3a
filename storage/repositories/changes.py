"""Writes the change feed: every administrative write says, in its own transaction, what it changed.

A row is for the processes that serve devices: it says which connections and what is known by heart no longer hold.
Notifications of changes are published from the audit rows, not from here: those also know of the devices that
registered themselves, all in one order.
"""

from collections.abc import Sequence
from typing import Any

from sqlalchemy import Connection, delete, func, insert, select

from kernel.ids import AnchorId, DeviceId, TenantId
from storage.schema import changes
from tenant.ports import ChangeKind

_LAST = select(func.coalesce(func.max(changes.c.seq), 0))


class ChangeWriter:
    """Appends changes and lets the oldest go."""

    def __init__(self, *, change_rows_max: int) -> None:
        self._change_rows_max = change_rows_max

    def tenant_changed(self, connection: Connection, tenant_id: TenantId) -> None:
        self._append(connection, [_row(ChangeKind.TENANT, tenant_id)])

    def tenant_deleted(self, connection: Connection, tenant_id: TenantId) -> None:
        self._append(connection, [_row(ChangeKind.TENANT_DELETED, tenant_id)])

    def anchors_removed(self, connection: Connection, tenant_id: TenantId, anchor_ids: Sequence[AnchorId]) -> None:
        self._append(
            connection, [_row(ChangeKind.ANCHOR_REMOVED, tenant_id, anchor_id=anchor_id) for anchor_id in anchor_ids]
        )

    def device_changed(
        self, connection: Connection, tenant_id: TenantId, device_id: DeviceId, *, enabled: bool
    ) -> None:
        self.devices_changed(connection, tenant_id, [device_id], enabled=enabled)

    def devices_changed(
        self, connection: Connection, tenant_id: TenantId, device_ids: Sequence[DeviceId], *, enabled: bool
    ) -> None:
        self._append(
            connection,
            [_row(ChangeKind.DEVICE, tenant_id, device_id=device_id, enabled=enabled) for device_id in device_ids],
        )

    def credentials_changed(self, connection: Connection, tenant_id: TenantId, device_id: DeviceId) -> None:
        self._append(connection, [_row(ChangeKind.CREDENTIAL, tenant_id, device_id=device_id)])

    def device_deleted(self, connection: Connection, tenant_id: TenantId, device_id: DeviceId) -> None:
        self.devices_deleted(connection, tenant_id, [device_id])

    def devices_deleted(self, connection: Connection, tenant_id: TenantId, device_ids: Sequence[DeviceId]) -> None:
        self._append(
            connection, [_row(ChangeKind.DEVICE_DELETED, tenant_id, device_id=device_id) for device_id in device_ids]
        )

    def all_devices_deleted(self, connection: Connection, tenant_id: TenantId) -> None:
        self._append(connection, [_row(ChangeKind.DEVICES_DELETED, tenant_id)])

    def _append(self, connection: Connection, rows: Sequence[dict[str, Any]]) -> None:
        if not rows:
            return
        connection.execute(insert(changes), rows)
        last: int = connection.execute(_LAST).scalar_one()
        connection.execute(delete(changes).where(changes.c.seq <= last - self._change_rows_max))


def _row(
    kind: ChangeKind,
    tenant_id: TenantId,
    *,
    anchor_id: AnchorId | None = None,
    device_id: DeviceId | None = None,
    enabled: bool | None = None,
) -> dict[str, Any]:
    return {
        "kind": kind.value,
        "tenant_id": tenant_id,
        "anchor_id": anchor_id,
        "device_id": device_id,
        "enabled": enabled,
    }
