"""What the registry room needs from a database."""

import asyncio
from collections.abc import Callable, Sequence
from datetime import datetime
from typing import Protocol

from kernel.ids import AuthId, DeviceId, TenantId
from registry.model import Credential, CredentialSet, Device, EdgeOrder, KnownCredential, KnownDevice, ProvisioningOrder
from registry.notifications import RecordedPage
from tenant.audit import AuditRow, Deed
from tenant.search import Page, Query

GATEWAYS_MAX = 1000  # that one answer names


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

    async def find_credential(self, tenant_id: TenantId, type_: str, auth_id: AuthId) -> KnownCredential | None:
        """A credential with its secrets, in whatever state it is, and its device. Delivers changes like the above."""
        ...

    def find_credential_now(self, tenant_id: TenantId, type_: str, auth_id: AuthId) -> KnownCredential | None:
        """The same without waiting. Raises StorageUnavailable also where only waiting would give the answer."""
        ...

    async def find_gateways(self, tenant_id: TenantId, groups: Sequence[str]) -> Sequence[DeviceId]:
        """Ids of the devices that are members of any of the groups, in order, at most GATEWAYS_MAX."""
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

    def provision_edge(self, order: EdgeOrder) -> asyncio.Future[Device]:
        """Register a device behind a gateway, queue its event and write its audit row: one transaction.

        Where the device is on record by then, reached through whomever, that record is returned and nothing is written.
        Never raises itself. The future fails with DeviceLimitReached, DeviceUnknown or GatewayNotAuthorized (the
        gateway lost its authority, or is gone), ProvisioningWithdrawn.
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
    """Devices and credentials for administration. Blocking: call it from a thread where a loop runs.

    Every write is one transaction with its change-feed row and its audit row (`device.created`, `.updated`, `.deleted`,
    `credentials.updated`, `devices.deleted`; with the document before and after, secrets masked).
    """

    def find(self, tenant_id: TenantId, device_id: DeviceId) -> Device | None: ...

    def find_all(self, tenant_id: TenantId, *, after: DeviceId | None, limit: int) -> Sequence[Device]:
        """In the order of ids, at most `limit`, those behind `after`."""
        ...

    def search(self, tenant_id: TenantId, query: Query) -> Page[Device]:
        """Raises PointerUnsearchable where a filter or sort names what cannot be looked into."""
        ...

    def find_ids(self, tenant_id: TenantId, query: Query, *, after: DeviceId | None, limit: int) -> Sequence[DeviceId]:
        """What the query finds, in the order of ids, at most `limit`, those behind `after`; its own paging and order
        count for nothing. Raises PointerUnsearchable.
        """
        ...

    def groups(
        self, tenant_id: TenantId, *, after: str | None, limit: int, members_max: int
    ) -> Sequence[tuple[str, Sequence[DeviceId]]]:
        """Groups that gateways are members of, in the order of names, each with its first members by id."""
        ...

    def create(self, device: Device, deed: Deed, *, devices_max: int, credentials: Sequence[Credential] = ()) -> None:
        """`devices_max`: how many the tenant may have, -1 no limit; judged inside the transaction.

        Raises TenantUnknown, DeviceExists, DeviceLimitReached, CredentialTaken; then nothing was written.
        """
        ...

    def replace(self, device: Device, deed: Deed, *, expected_version: str | None) -> None:
        """Of the status only `updated` and `last_user` are taken: what else is on record stays.

        Raises DeviceUnknown, VersionMismatch.
        """
        ...

    def set_enabled(
        self, tenant_id: TenantId, device_ids: Sequence[DeviceId], deed: Deed, *, enabled: bool
    ) -> Sequence[DeviceId]:
        """Those of them that are on record. One transaction: callers bound how many they name."""
        ...

    def delete(self, tenant_id: TenantId, device_id: DeviceId, deed: Deed, *, expected_version: str | None) -> None:
        """With its credentials. The tenant need not exist any more. Raises DeviceUnknown, VersionMismatch."""
        ...

    def delete_many(self, tenant_id: TenantId, device_ids: Sequence[DeviceId], deed: Deed) -> Sequence[DeviceId]:
        """Those of them that were on record. One transaction: callers bound how many they name."""
        ...

    def delete_all(self, tenant_id: TenantId, deed: Deed) -> int:
        """All devices of the tenant with their credentials, in bounded batches; how many. Unknown tenants have none."""
        ...

    def find_credentials(self, tenant_id: TenantId, device_id: DeviceId) -> CredentialSet | None:
        """None for an unknown device; a device without credentials has an empty set, and a version."""
        ...

    def replace_credentials(
        self,
        tenant_id: TenantId,
        device_id: DeviceId,
        change: Callable[[CredentialSet], Sequence[Credential]],
        deed: Deed,
        *,
        expected_version: str | None,
    ) -> str:
        """The new version. `change` makes the new set out of the one on record, inside the transaction: it is quick,
        and whatever it raises undoes everything.

        Raises DeviceUnknown, VersionMismatch, CredentialTaken.
        """
        ...


class AuditRepository(Protocol):
    """Audit rows for whoever asks later. Blocking."""

    def read(
        self,
        *,
        after: int = 0,
        before: int | None = None,
        limit: int,
        newest_first: bool = False,
        tenant_id: TenantId | None = None,
        device_id: DeviceId | None = None,
        actor: str | None = None,
        what: str | None = None,
        since: datetime | None = None,
        until: datetime | None = None,
        tenants: frozenset[str] | None = None,
    ) -> Sequence[AuditRow]:
        """At most `limit`, in the order of positions or from the newest: those behind position `after` and before
        position `before`, of one kind if `what` (`device.` with a dot at its end: of every kind that begins so).
        `tenants`: only rows of these tenants; None: all rows, also those of no tenant.
        """
        ...

    def last_position(self) -> int:
        """Of the newest row; 0 when there is none."""
        ...

    def first_position_since(self, moment: datetime) -> int:
        """The position just before the first row written at or after the moment."""
        ...

    def prune(self, *, older_than: datetime, limit: int) -> int:
        """Of the `limit` oldest rows remove those written before the moment; how many. The newest row stays."""
        ...


class Publications(Protocol):
    """What was changed on record, in the order of commits, and how far it has been told.

    One process at a time has the turn to tell. Blocking, but for `may_have_more`; one call at a time. Every method
    raises StorageUnavailable.
    """

    def take_turn(self) -> bool:
        """Whether this process tells, from now until `release` or its end, however that comes. Safe to repeat."""
        ...

    def release(self) -> None:
        """Let another process have the turn. Safe to repeat."""
        ...

    def may_have_more(self) -> bool:
        """Whether there may be something to read. Costs a few microseconds, and nothing is waited for."""
        ...

    def read(self, *, limit: int) -> RecordedPage:
        """What follows the last page that was noted, at most `limit` changes."""
        ...

    def note(self, page: RecordedPage) -> None:
        """The page has been told: go on behind it. Only where the machine loses power it may be told again."""
        ...
