"""What the tenant room needs from a database."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from enum import Enum
from typing import Protocol

from kernel.ids import AnchorId, DeviceId, TenantId
from tenant.audit import Deed
from tenant.model import Tenant
from tenant.search import Page, Query


class ChangeKind(Enum):
    """What happened to a thing on record, as far as live connections and indexes care."""

    TENANT = "tenant"  # created or updated: `tenant` holds it as it is now
    TENANT_DELETED = "tenant-deleted"
    ANCHOR_REMOVED = "anchor-removed"
    DEVICE = "device"  # enabled, disabled or otherwise updated
    DEVICE_DELETED = "device-deleted"
    CREDENTIAL = "credential"  # a device's credentials changed
    DEVICES_DELETED = "devices-deleted"  # all of a tenant
    RESET = "reset"  # changes were missed: read everything again


@dataclass(frozen=True, slots=True, kw_only=True)
class Change:
    """One committed change, in commit order."""

    kind: ChangeKind
    tenant_id: TenantId | None = None
    tenant: Tenant | None = None
    anchor_id: AnchorId | None = None
    device_id: DeviceId | None = None
    enabled: bool | None = None  # of the device, for DEVICE


class ChangeFeed(Protocol):
    """Changes made by any process that shares the database.

    Every subscriber gets every change, in order, on the event loop, each before `catch_up` or the
    feed's own follower returns.
    """

    def subscribe(self, subscriber: Callable[[Change], None]) -> None: ...

    def catch_up(self) -> None:
        """Deliver what was committed before this call, as far as can be known without waiting.

        Called at every handshake: costs a few microseconds when nothing changed. Raises
        StorageUnavailable.
        """
        ...

    def all_tenants(self) -> Sequence[Tenant]:
        """Every tenant with its anchors, and from here on only changes. For start and RESET."""
        ...


class TenantRepository(Protocol):
    """Tenants for administration. Blocking: call it from a thread where a loop runs.

    Every write is one transaction with its change-feed row and its audit row (`tenant.created`, `tenant.updated`,
    `tenant.deleted`, with the document before and after).
    """

    def create(self, tenant: Tenant, deed: Deed) -> None:
        """Raises TenantExists, AliasTaken, AnchorTaken."""
        ...

    def find(self, tenant_id: TenantId) -> Tenant | None: ...

    def find_all(self, *, after: TenantId | None, limit: int) -> Sequence[Tenant]:
        """In the order of ids, at most `limit`, those behind `after`."""
        ...

    def search(self, query: Query) -> Page[Tenant]:
        """Raises PointerUnsearchable where a filter or sort names what cannot be looked into."""
        ...

    def replace(self, tenant: Tenant, deed: Deed, *, expected_version: str | None) -> None:
        """Raises TenantUnknown, VersionMismatch, AliasTaken, AnchorTaken. Anchors no longer listed are gone."""
        ...

    def delete(self, tenant_id: TenantId, deed: Deed, *, expected_version: str | None) -> None:
        """With all its devices and credentials, those in bounded batches. Raises TenantUnknown, VersionMismatch."""
        ...
