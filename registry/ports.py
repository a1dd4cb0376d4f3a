"""What the registry room needs from a database."""

import asyncio
from collections.abc import Sequence
from datetime import datetime
from typing import Protocol

from kernel.ids import AuthId, DeviceId, TenantId
from registry.model import Credential, Device, KnownDevice, ProvisioningOrder
from tenant.audit import AuditRow


class ConnectPath(Protocol):
    """The few questions a connecting device raises. Every method raises StorageUnavailable."""

    async def find_by_credential(self, tenant_id: TenantId, type_: str, auth_id: AuthId) -> KnownDevice | None:
        """Whom a credential is for, and how it stands.

        Every change committed before the answer is delivered by the change feed before this returns: whoever knows
        tenants by heart sees afterwards whether what it knew still held.
        """
        ...

    def find_by_credential_now(self, tenant_id: TenantId, type_: str, auth_id: AuthId) -> KnownDevice | None:
        """The same for a caller that cannot wait, because it stands inside a handshake.

        Raises StorageUnavailable also where only waiting would give the answer, as over a network.
        """
        ...

    async def find_device(self, tenant_id: TenantId, device_id: DeviceId) -> Device | None: ...

    def find_device_now(self, tenant_id: TenantId, device_id: DeviceId) -> Device | None:
        """The same for a caller that cannot wait. Raises StorageUnavailable also where only waiting would tell."""
        ...

    async def count_devices(self, tenant_id: TenantId) -> int: ...

    def provision(self, order: ProvisioningOrder) -> asyncio.Future[KnownDevice]:
        """Register device and credential, queue its event and write its audit row: one transaction.

        Where (tenant, x509-cert, auth-id) is on record by then, in any state, that record is returned
        and nothing is written: any number of callers in any number of processes get one device.
        Never raises itself. The future fails with DeviceExists, DeviceLimitReached, ProvisioningWithdrawn.
        """
        ...

    def mark_notified(self, tenant_id: TenantId, device_id: DeviceId) -> asyncio.Future[None]:
        """The provisioning event is kept: set the flag and drop the queued event. Safe to repeat.

        Seen by everybody from then on, and by whoever comes after the process was killed. Only where the machine loses
        power it may be undone, and the event is due again.
        """
        ...

    async def due_notifications(self, *, before: datetime, limit: int) -> Sequence[Device]:
        """Devices provisioned before that moment whose event is still queued, oldest first."""
        ...

    def record(self, row: AuditRow) -> None:
        """Write an audit row soon. Never blocks; past a named bound rows are counted, not kept."""
        ...


class DeviceRepository(Protocol):
    """Devices for administration. Blocking: call it from a thread where a loop runs."""

    def find(self, tenant_id: TenantId, device_id: DeviceId) -> Device | None: ...

    def find_all(self, tenant_id: TenantId, *, after: DeviceId | None, limit: int) -> Sequence[Device]:
        """In the order of ids, at most `limit`, those behind `after`."""
        ...

    def credentials_of(self, tenant_id: TenantId, device_id: DeviceId) -> Sequence[Credential]: ...

    def set_enabled(self, tenant_id: TenantId, device_id: DeviceId, *, enabled: bool, moment: datetime) -> None:
        """Raises DeviceUnknown."""
        ...

    def delete(self, tenant_id: TenantId, device_id: DeviceId) -> None:
        """With its credentials. Raises DeviceUnknown."""
        ...


class AuditRepository(Protocol):
    """Audit rows for whoever asks later. Blocking."""

    def read(
        self, *, after: int, limit: int, tenant_id: TenantId | None = None, what: str | None = None
    ) -> Sequence[AuditRow]:
        """In the order of positions, at most `limit`, those behind position `after`; of one kind if `what`."""
        ...

    def last_position(self) -> int:
        """Of the newest row; 0 when there is none."""
        ...

    def first_position_since(self, moment: datetime) -> int:
        """The position just before the first row written at or after the moment."""
        ...
