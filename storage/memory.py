"""The storage ports over dicts: for unit tests of other rooms, and the plainest reading of the promises.

One `MemoryStore` is one database. Changes wait, as in a real one, until the feed is asked to catch up.
Nothing here survives the process, and nothing is safe to use from two threads.
"""

import asyncio
import logging
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime
from typing import Any

from kernel.clock import Clock
from kernel.errors import TuhonoError
from kernel.ids import AuthId, DeviceId, TenantId, generate_id
from kernel.log import fields
from registry.errors import DeviceUnknown
from registry.model import X509_CERT, Credential, Device, EdgeOrder, KnownCredential, KnownDevice, ProvisioningOrder
from registry.ports import GATEWAYS_MAX
from registry.refusals import REFUSED
from storage.edge_devices import Behind, EdgeDevice, decide_edge
from storage.errors import CredentialTaken, NameUnstorable
from storage.provisioning import IDS_PER_ORDER, OnRecord, Provisioned, decide, make_ids
from storage.tenancy import (
    alias_taken,
    anchor_taken,
    anchors_gone,
    check_anchors_differ,
    check_version,
    tenant_exists,
    tenant_unknown,
    versioned,
)
from tenant.audit import AuditRow
from tenant.model import Tenant
from tenant.ports import Change, ChangeKind

log = logging.getLogger(__name__)

DeviceKey = tuple[TenantId, DeviceId]
CredentialKey = tuple[TenantId, str, AuthId]


@dataclass(slots=True, eq=False)
class _State:
    """All that is on record."""

    clock: Clock
    audit_rows_max: int
    changes_max: int
    tenants: dict[TenantId, Tenant] = field(default_factory=dict)
    devices: dict[DeviceKey, Device] = field(default_factory=dict)
    credentials: dict[CredentialKey, Credential] = field(default_factory=dict)
    audit: list[AuditRow] = field(default_factory=list)
    audit_position: int = 0
    changes: list[Change] = field(default_factory=list)  # the newest `changes_max`; the last has number changes_seq
    changes_seq: int = 0

    def changed(self, change: Change) -> None:
        self.changes.append(change)
        self.changes_seq += 1
        del self.changes[: -self.changes_max]

    def audited(self, row: AuditRow) -> None:
        self.audit_position += 1
        self.audit.append(replace(row, position=self.audit_position))
        first = self.audit_position - self.audit_rows_max
        lasting = [kept for kept in self.audit if kept.what != REFUSED][-self.audit_rows_max :]
        refusals = [kept for kept in self.audit if kept.what == REFUSED and kept.position > first]
        self.audit = sorted(lasting + refusals, key=lambda kept: kept.position)

    def drop_device(self, key: DeviceKey) -> None:
        del self.devices[key]
        for credential_key in [
            name for name, held in self.credentials.items() if (held.tenant_id, held.device_id) == key
        ]:
            del self.credentials[credential_key]


class MemoryConnectPath:
    """`registry.ports.ConnectPath` over dicts."""

    def __init__(self, state: _State, *, feed: "MemoryChangeFeed") -> None:
        self._state = state
        self._feed = feed

    async def find_by_credential(self, tenant_id: TenantId, type_: str, auth_id: AuthId) -> KnownDevice | None:
        return self.find_by_credential_now(tenant_id, type_, auth_id)

    def find_by_credential_now(self, tenant_id: TenantId, type_: str, auth_id: AuthId) -> KnownDevice | None:
        credential = self._state.credentials.get((tenant_id, type_, auth_id))
        self._feed.catch_up()
        if credential is None:
            return None
        return self._known(credential)

    async def find_credential(self, tenant_id: TenantId, type_: str, auth_id: AuthId) -> KnownCredential | None:
        return self.find_credential_now(tenant_id, type_, auth_id)

    def find_credential_now(self, tenant_id: TenantId, type_: str, auth_id: AuthId) -> KnownCredential | None:
        credential = self._state.credentials.get((tenant_id, type_, auth_id))
        self._feed.catch_up()
        if credential is None:
            return None
        return KnownCredential(credential=credential, device=self._state.devices[tenant_id, credential.device_id])

    async def find_gateways(self, tenant_id: TenantId, groups: Sequence[str]) -> Sequence[DeviceId]:
        wanted = set(groups)
        members = (
            device_id
            for (holder, device_id), device in self._state.devices.items()
            if holder == tenant_id and not wanted.isdisjoint(device.member_of)
        )
        return sorted(members)[:GATEWAYS_MAX]

    async def find_device(self, tenant_id: TenantId, device_id: DeviceId) -> Device | None:
        return self.find_device_now(tenant_id, device_id)

    def find_device_now(self, tenant_id: TenantId, device_id: DeviceId) -> Device | None:
        return self._state.devices.get((tenant_id, device_id))

    async def count_devices(self, tenant_id: TenantId) -> int:
        return sum(1 for holder, _ in self._state.devices if holder == tenant_id)

    def provision(self, order: ProvisioningOrder) -> asyncio.Future[KnownDevice]:
        future: asyncio.Future[KnownDevice] = asyncio.get_running_loop().create_future()
        future.get_loop().call_soon(self._provision, order, future)  # as a real database, it lets others go first
        return future

    def _provision(self, order: ProvisioningOrder, future: asyncio.Future[KnownDevice]) -> None:
        try:
            require_storable(order.device_id, order.auth_id)
        except NameUnstorable as fault:
            _settle(future, fault)
            return
        decided = decide(order, self._on_record(order), make_ids(IDS_PER_ORDER))
        if isinstance(decided, Provisioned):
            self._write(decided)
            decided = decided.known
        _settle(future, decided)

    def provision_edge(self, order: EdgeOrder) -> asyncio.Future[Device]:
        future: asyncio.Future[Device] = asyncio.get_running_loop().create_future()
        future.get_loop().call_soon(self._provision_edge, order, future)
        return future

    def _provision_edge(self, order: EdgeOrder, future: asyncio.Future[Device]) -> None:
        state, tenant_id = self._state, order.tenant_id
        tenant = state.tenants.get(tenant_id)
        behind = Behind(
            device=state.devices.get((tenant_id, order.device_id)),
            gateway=state.devices.get((tenant_id, order.gateway_id)),
            is_tenant_usable=tenant is not None and tenant.is_enabled,
            devices=sum(1 for holder, _ in state.devices if holder == tenant_id),
        )
        decided = decide_edge(order, behind, generate_id())
        if isinstance(decided, EdgeDevice):
            state.devices[tenant_id, order.device_id] = decided.device
            state.audited(decided.audit)
            decided = decided.device
        _settle(future, decided)

    def mark_notified(self, tenant_id: TenantId, device_id: DeviceId) -> asyncio.Future[None]:
        device = self._state.devices.get((tenant_id, device_id))
        if device is not None and not device.status.notification_sent:
            status = replace(device.status, notification_sent=True, updated=self._state.clock.now())
            self._state.devices[tenant_id, device_id] = replace(device, status=status, version=generate_id())
        future: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        future.set_result(None)
        return future

    async def due_notifications(self, *, before: datetime, limit: int) -> Sequence[Device]:
        unsent = (
            (device.status.created, key)
            for key, device in self._state.devices.items()
            if device.status.auto_provisioned and not device.status.notification_sent
        )
        due = sorted((created, key) for created, key in unsent if created < before)
        return [self._state.devices[key] for _, key in due[:limit]]

    def record(self, row: AuditRow) -> None:
        self._state.audited(row)

    def _known(self, credential: Credential) -> KnownDevice:
        return KnownDevice(
            device=self._state.devices[credential.tenant_id, credential.device_id],
            credential_enabled=credential.is_enabled,
            credential_ext=credential.ext,
        )

    def _on_record(self, order: ProvisioningOrder) -> OnRecord:
        state, tenant_id = self._state, order.tenant_id
        on_record = OnRecord()
        credential = state.credentials.get((tenant_id, X509_CERT, order.auth_id))
        if credential is not None:
            on_record.known[tenant_id, order.auth_id] = self._known(credential)
        if (tenant_id, order.device_id) in state.devices:
            on_record.taken.add((tenant_id, order.device_id))
        tenant = state.tenants.get(tenant_id)
        if tenant is not None and tenant.is_enabled:
            allowed = (anchor.anchor_id for anchor in tenant.trust_anchors if anchor.may_auto_provision)
            on_record.permitted.update((tenant_id, anchor_id) for anchor_id in allowed)
        on_record.device_counts[tenant_id] = sum(1 for holder, _ in state.devices if holder == tenant_id)
        return on_record

    def _write(self, provisioned: Provisioned) -> None:
        device, credential = provisioned.known.device, provisioned.credential
        self._state.devices[device.tenant_id, device.device_id] = device
        self._state.credentials[credential.tenant_id, credential.type, credential.auth_id] = credential
        self._state.audited(provisioned.audit)


class MemoryChangeFeed:
    """`tenant.ports.ChangeFeed` over a list."""

    def __init__(self, state: _State) -> None:
        self._state = state
        self._subscribers: list[Callable[[Change], None]] = []
        self._position = state.changes_seq
        self._delivering = False

    def subscribe(self, subscriber: Callable[[Change], None]) -> None:
        self._subscribers.append(subscriber)

    def all_tenants(self) -> Sequence[Tenant]:
        return [tenant for _, tenant in sorted(self._state.tenants.items())]

    def catch_up(self) -> None:
        if self._delivering:  # a subscriber asks from inside a delivery: the outer call goes on with it
            return
        self._delivering = True
        try:
            while self._position < self._state.changes_seq:
                self._deliver(self._next())
        finally:
            self._delivering = False

    def _next(self) -> Change | None:
        missed = self._state.changes_seq - self._position
        if missed > len(self._state.changes):
            self._position = self._state.changes_seq
            return Change(kind=ChangeKind.RESET)
        change = self._state.changes[-missed]
        self._position += 1
        if change.kind is not ChangeKind.TENANT or change.tenant_id is None:
            return change
        tenant = self._state.tenants.get(change.tenant_id)
        return replace(change, tenant=tenant) if tenant is not None else None  # else its deletion follows

    def _deliver(self, change: Change | None) -> None:
        if change is None:
            return
        for subscriber in self._subscribers:
            try:
                subscriber(change)
            except Exception:
                log.exception("change.undelivered", extra=fields(kind=change.kind.value, tenant_id=change.tenant_id))


class MemoryTenants:
    """`tenant.ports.TenantRepository` over dicts."""

    def __init__(self, state: _State) -> None:
        self._state = state

    def create(self, tenant: Tenant) -> None:
        require_storable(tenant.tenant_id, tenant.alias or "")
        if tenant.tenant_id in self._state.tenants:
            raise tenant_exists(tenant.tenant_id)
        self._put(tenant, None)

    def find(self, tenant_id: TenantId) -> Tenant | None:
        return self._state.tenants.get(tenant_id)

    def find_all(self, *, after: TenantId | None, limit: int) -> Sequence[Tenant]:
        chosen = sorted(tenant_id for tenant_id in self._state.tenants if after is None or tenant_id > after)
        return [self._state.tenants[tenant_id] for tenant_id in chosen[:limit]]

    def replace(self, tenant: Tenant, *, expected_version: str | None) -> None:
        before = self._get(tenant.tenant_id)
        check_version(tenant.tenant_id, before.version, expected_version)
        self._put(tenant, before)

    def delete(self, tenant_id: TenantId, *, expected_version: str | None) -> None:
        tenant = self._get(tenant_id)
        check_version(tenant_id, tenant.version, expected_version)
        for key in [key for key in self._state.devices if key[0] == tenant_id]:
            self._state.drop_device(key)
        del self._state.tenants[tenant_id]
        self._anchors_removed(tenant, None)
        self._state.changed(Change(kind=ChangeKind.TENANT_DELETED, tenant_id=tenant_id))

    def _get(self, tenant_id: TenantId) -> Tenant:
        tenant = self._state.tenants.get(tenant_id)
        if tenant is None:
            raise tenant_unknown(tenant_id)
        return tenant

    def _put(self, tenant: Tenant, before: Tenant | None) -> None:
        check_anchors_differ(tenant)
        names = {anchor.authority.subject_dn for anchor in tenant.trust_anchors}
        for other in self._state.tenants.values():
            if other.tenant_id == tenant.tenant_id:
                continue
            if tenant.alias is not None and other.alias == tenant.alias:
                raise alias_taken(tenant.alias)
            if tenant.trust_anchor_group is not None and other.trust_anchor_group == tenant.trust_anchor_group:
                continue
            for name in sorted(names & {anchor.authority.subject_dn for anchor in other.trust_anchors}):
                raise anchor_taken(name)
        self._state.tenants[tenant.tenant_id] = versioned(tenant, before)
        self._state.changed(Change(kind=ChangeKind.TENANT, tenant_id=tenant.tenant_id))
        if before is not None:
            self._anchors_removed(before, tenant)

    def _anchors_removed(self, before: Tenant, after: Tenant | None) -> None:
        for anchor_id in anchors_gone(before.trust_anchors, after.trust_anchors if after is not None else ()):
            self._state.changed(Change(kind=ChangeKind.ANCHOR_REMOVED, tenant_id=before.tenant_id, anchor_id=anchor_id))


class MemoryDevices:
    """`registry.ports.DeviceRepository` over dicts."""

    def __init__(self, state: _State) -> None:
        self._state = state

    def find(self, tenant_id: TenantId, device_id: DeviceId) -> Device | None:
        return self._state.devices.get((tenant_id, device_id))

    def find_all(self, tenant_id: TenantId, *, after: DeviceId | None, limit: int) -> Sequence[Device]:
        ids = (device_id for holder, device_id in self._state.devices if holder == tenant_id)
        chosen = sorted(device_id for device_id in ids if after is None or device_id > after)
        return [self._state.devices[tenant_id, device_id] for device_id in chosen[:limit]]

    def credentials_of(self, tenant_id: TenantId, device_id: DeviceId) -> Sequence[Credential]:
        held = sorted(self._state.credentials.items())
        return [entry for _, entry in held if (entry.tenant_id, entry.device_id) == (tenant_id, device_id)]

    def put(self, device: Device, credentials: Sequence[Credential] = ()) -> None:
        """Write device and credentials in place of what was on record of it. Raises CredentialTaken."""
        key = (device.tenant_id, device.device_id)
        require_storable(device.device_id, *(entry.auth_id for entry in credentials))
        for entry in credentials:
            held = self._state.credentials.get((entry.tenant_id, entry.type, entry.auth_id))
            if held is not None and held.device_id != device.device_id:
                raise CredentialTaken(f"{entry.type} {entry.auth_id!r} belongs to another device")
        known = key in self._state.devices
        if known:
            self._state.drop_device(key)
        self._state.devices[key] = device
        for entry in credentials:
            self._state.credentials[entry.tenant_id, entry.type, entry.auth_id] = entry
        if known:
            self._changed(device, ChangeKind.DEVICE)
            self._changed(device, ChangeKind.CREDENTIAL)

    def set_enabled(self, tenant_id: TenantId, device_id: DeviceId, *, enabled: bool, moment: datetime) -> None:
        device = self._get(tenant_id, device_id)
        status = replace(device.status, updated=moment)
        device = replace(device, enabled=enabled, status=status, version=generate_id())
        self._state.devices[tenant_id, device_id] = device
        self._changed(device, ChangeKind.DEVICE)

    def delete(self, tenant_id: TenantId, device_id: DeviceId) -> None:
        device = self._get(tenant_id, device_id)
        self._state.drop_device((tenant_id, device_id))
        self._changed(device, ChangeKind.DEVICE_DELETED)

    def _get(self, tenant_id: TenantId, device_id: DeviceId) -> Device:
        device = self._state.devices.get((tenant_id, device_id))
        if device is None:
            raise DeviceUnknown(f"tenant {tenant_id!r} has no device {device_id!r}")
        return device

    def _changed(self, device: Device, kind: ChangeKind) -> None:
        enabled = device.is_enabled if kind is ChangeKind.DEVICE else None
        self._state.changed(Change(kind=kind, tenant_id=device.tenant_id, device_id=device.device_id, enabled=enabled))


class MemoryAudit:
    """`registry.ports.AuditRepository` over a list."""

    def __init__(self, state: _State) -> None:
        self._state = state

    def read(
        self, *, after: int, limit: int, tenant_id: TenantId | None = None, what: str | None = None
    ) -> Sequence[AuditRow]:
        return [
            row
            for row in self._state.audit
            if row.position > after and tenant_id in (None, row.tenant_id) and what in (None, row.what)
        ][:limit]

    def last_position(self) -> int:
        return self._state.audit_position

    def first_position_since(self, moment: datetime) -> int:
        since = (row.position - 1 for row in self._state.audit if row.moment >= moment)
        return next(since, self._state.audit_position)


class MemoryStore:
    """One database in memory, behind the same attributes as the real one."""

    def __init__(self, clock: Clock, *, audit_rows_max: int = 100_000, changes_max: int = 10_000) -> None:
        state = _State(clock=clock, audit_rows_max=audit_rows_max, changes_max=changes_max)
        self.feed = MemoryChangeFeed(state)
        self.connect_path = MemoryConnectPath(state, feed=self.feed)
        self.tenants = MemoryTenants(state)
        self.devices = MemoryDevices(state)
        self.audit = MemoryAudit(state)

    def close(self) -> None:
        """Nothing to release."""


def _settle(future: asyncio.Future[Any], outcome: KnownDevice | Device | TuhonoError) -> None:
    if future.done():  # the caller was cancelled
        return
    if isinstance(outcome, TuhonoError):
        future.set_exception(outcome)
    else:
        future.set_result(outcome)


def require_storable(*texts: str) -> None:
    """Raises NameUnstorable for a text that has no UTF-8 form (lone surrogates)."""
    for text in texts:
        try:
            text.encode()
        except UnicodeEncodeError as fault:
            raise NameUnstorable(f"{text!r} is no sequence of Unicode characters") from fault
