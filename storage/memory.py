"""The storage ports over dicts: for unit tests of other rooms, and the plainest reading of the promises.

One `MemoryStore` is one database. Changes wait, as in a real one, until the feed is asked to catch up.
Nothing here survives the process, and nothing is safe to use from two threads.
"""

import asyncio
import logging
from collections.abc import Callable, Sequence
from dataclasses import replace
from datetime import datetime
from typing import Any

from kernel.clock import Clock
from kernel.errors import TuhonoError
from kernel.ids import AuthId, DeviceId, TenantId, generate_id
from kernel.log import fields
from registry.model import X509_CERT, Credential, Device, EdgeOrder, KnownCredential, KnownDevice, ProvisioningOrder
from registry.ports import GATEWAYS_MAX
from storage.edge_devices import Behind, EdgeDevice, decide_edge
from storage.errors import NameUnstorable
from storage.memory_audit import MemoryAudit
from storage.memory_devices import MemoryDevices
from storage.memory_operators import MemoryOperators
from storage.memory_presence import MemoryPresence
from storage.memory_publications import MemoryPublications
from storage.memory_state import MemoryState, require_storable
from storage.memory_tenants import MemoryTenants
from storage.provisioning import IDS_PER_ORDER, OnRecord, Provisioned, decide, make_ids
from tenant.audit import AuditRow
from tenant.model import Tenant
from tenant.ports import Change, ChangeKind

log = logging.getLogger(__name__)


class MemoryConnectPath:
    """`registry.ports.ConnectPath` over dicts."""

    def __init__(self, state: MemoryState, *, feed: "MemoryChangeFeed") -> None:
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

    def __init__(self, state: MemoryState) -> None:
        self._state = state
        self._subscribers: list[Callable[[Change], None]] = []
        self._position = state.changes_seq
        self._delivering = False

    def subscribe(self, subscriber: Callable[[Change], None]) -> None:
        self._subscribers.append(subscriber)

    def has_news(self) -> bool:
        return self._position < self._state.changes_seq

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


class MemoryStore:
    """One database in memory, behind the same attributes as the real one."""

    def __init__(self, clock: Clock, *, audit_rows_max: int = 100_000, changes_max: int = 10_000) -> None:
        state = MemoryState(clock=clock, audit_rows_max=audit_rows_max, changes_max=changes_max)
        self.feed = MemoryChangeFeed(state)
        self.connect_path = MemoryConnectPath(state, feed=self.feed)
        self.tenants = MemoryTenants(state)
        self.devices = MemoryDevices(state)
        self.operators = MemoryOperators(state.audited)
        self.audit = MemoryAudit(state)
        self.publications = MemoryPublications(state)
        self.presence = MemoryPresence(state)

    def close(self) -> None:
        """Nothing to release."""


def _settle(future: asyncio.Future[Any], outcome: KnownDevice | Device | TuhonoError) -> None:
    if future.done():  # the caller was cancelled
        return
    if isinstance(outcome, TuhonoError):
        future.set_exception(outcome)
    else:
        future.set_result(outcome)
