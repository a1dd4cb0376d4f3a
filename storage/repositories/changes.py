"""Writes the change feed: every administrative write says, in its own transaction, what it changed."""

from collections.abc import Sequence

from sqlalchemy import Connection, delete, insert

from kernel.ids import AnchorId, DeviceId, TenantId
from storage.schema import changes
from tenant.ports import ChangeKind


class ChangeWriter:
    """Appends changes and lets the oldest go."""

    def __init__(self, *, change_rows_max: int) -> None:
        self._change_rows_max = change_rows_max

    def tenant_changed(self, connection: Connection, tenant_id: TenantId) -> None:
        self._append(connection, ChangeKind.TENANT, tenant_id)

    def tenant_deleted(self, connection: Connection, tenant_id: TenantId) -> None:
        self._append(connection, ChangeKind.TENANT_DELETED, tenant_id)

    def anchors_removed(self, connection: Connection, tenant_id: TenantId, anchor_ids: Sequence[AnchorId]) -> None:
        for anchor_id in anchor_ids:
            self._append(connection, ChangeKind.ANCHOR_REMOVED, tenant_id, anchor_id=anchor_id)

    def device_changed(
        self, connection: Connection, tenant_id: TenantId, device_id: DeviceId, *, enabled: bool
    ) -> None:
        self._append(connection, ChangeKind.DEVICE, tenant_id, device_id=device_id, enabled=enabled)

    def credentials_changed(self, connection: Connection, tenant_id: TenantId, device_id: DeviceId) -> None:
        self._append(connection, ChangeKind.CREDENTIAL, tenant_id, device_id=device_id)

    def device_deleted(self, connection: Connection, tenant_id: TenantId, device_id: DeviceId) -> None:
        self._append(connection, ChangeKind.DEVICE_DELETED, tenant_id, device_id=device_id)

    def _append(self, connection: Connection, kind: ChangeKind, tenant_id: TenantId, **facts: object) -> None:
        seq = connection.execute(
            insert(changes).values(kind=kind.value, tenant_id=tenant_id, **facts).returning(changes.c.seq)
        ).scalar_one()
        connection.execute(delete(changes).where(changes.c.seq <= seq - self._change_rows_max))
