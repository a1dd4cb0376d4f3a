"""What the tenant room needs from a database."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime
from enum import Enum
from typing import Protocol

from kernel.ids import AnchorId, DeviceId, TenantId
from tenant.audit import Deed
from tenant.model import Tenant
from tenant.operators import ApiKey, Operator, Reach
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

    def has_news(self) -> bool:
        """Whether `catch_up` may find something: a hint of administrative writes, for a glance before each message.

        True once for what it is True for; False while nothing is known. Costs a tenth of a microsecond, never raises.
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


Judge = Callable[[Operator], None]  # raises what keeps the write from being made; quick, inside its transaction


class OperatorRepository(Protocol):
    """Operators and their API keys. Blocking: call it from a thread where a loop runs.

    Every write is one transaction with its audit row (`operator.created`, `operator.updated`, `operator.deleted`,
    `key.created`, `key.revoked`; before and after, secrets masked). What is read is what is on record at that moment:
    whatever another process changed is in force for the next request.
    """

    def create(self, operator: Operator, deed: Deed, *, keys: Sequence[ApiKey] = ()) -> None:
        """Raises OperatorExists, OperatorLimitReached."""
        ...

    def create_first(self, operator: Operator, key: ApiKey, deed: Deed, *, keep: Callable[[], None]) -> bool:
        """Where no operator is on record at all; whether that was so. `keep` is called before it is committed, and
        whatever it raises undoes everything.
        """
        ...

    def find(self, name: str) -> Operator | None: ...

    def find_all(self, *, after: str | None, limit: int, within: Reach = None) -> Sequence[Operator]:
        """In the order of names, at most `limit`, those behind `after` whose reach is within the given one."""
        ...

    def change(
        self, name: str, change: Callable[[Operator], Operator], deed: Deed, *, expected_version: str | None = None
    ) -> Operator:
        """The operator as it is then. `change` makes it out of the one on record, inside the transaction.

        Raises OperatorUnknown, VersionMismatch, LastAdministrator.
        """
        ...

    def delete(self, name: str, deed: Deed, *, judge: Judge, expected_version: str | None = None) -> None:
        """With its keys. Raises OperatorUnknown, VersionMismatch, LastAdministrator."""
        ...

    def find_by_key(self, digest_hex: str) -> tuple[Operator, ApiKey] | None: ...

    def find_key(self, name: str, key_id: str) -> ApiKey | None: ...

    def keys_of(self, name: str) -> Sequence[ApiKey]:
        """In the order they were made, spent ones included."""
        ...

    def add_key(self, key: ApiKey, deed: Deed, *, judge: Judge) -> None:
        """Of KEYS_MAX keys the oldest spent one makes room. Raises OperatorUnknown, OperatorLimitReached."""
        ...

    def revoke_keys(self, name: str, key_ids: Sequence[str] | None, deed: Deed, *, judge: Judge) -> Sequence[ApiKey]:
        """Those that were not revoked before, as they are now; None: all. Raises OperatorUnknown, KeyUnknown."""
        ...

    def find_key_owner(self, key_id: str) -> str | None:
        """The name of the operator whose key it is."""
        ...

    def note_use(self, key_id: str, moment: datetime) -> None:
        """The key was used. Written at most once in KEY_USE_NOTED_EVERY, whoever else notes it; no audit row."""
        ...
