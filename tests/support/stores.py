"""Every driver of the storage ports, opened for a test, and the records tests put into them."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, Protocol

from conf.registry import RegistrySettings
from conf.storage import StorageSettings
from conf.tenant import TenantSettings
from kernel.clock import Clock, ManualClock
from kernel.ids import AnchorId, AuthId, DeviceId, TenantId
from pki.chains import Authority
from registry.model import X509_CERT, Credential, Device, DeviceStatus, ProvisioningOrder, Secret
from registry.ports import AuditRepository, ConnectPath, DeviceRepository, Publications
from registry.presence import PresenceRecord
from storage.memory import MemoryStore
from storage.open import Store, open_store
from tenant.audit import AuditRow, Deed
from tenant.model import Tenant, TrustAnchor
from tenant.ports import Change, ChangeFeed, OperatorRepository, TenantRepository

DRIVERS = ("memory", "sqlite")
NOW = datetime(2026, 1, 1, tzinfo=UTC)
TENANT = TenantId("acme")
ANCHOR = AnchorId("plant-ca")
DEED = Deed(actor="tess", moment=NOW, remote="192.0.2.1")  # whose wish every write of a test is


class AnyStore(Protocol):
    """One database of any driver."""

    @property
    def connect_path(self) -> ConnectPath: ...
    @property
    def feed(self) -> ChangeFeed: ...
    @property
    def tenants(self) -> TenantRepository: ...
    @property
    def devices(self) -> DeviceRepository: ...
    @property
    def operators(self) -> OperatorRepository: ...
    @property
    def audit(self) -> AuditRepository: ...
    @property
    def publications(self) -> Publications: ...
    @property
    def presence(self) -> PresenceRecord: ...
    def close(self) -> None: ...


def open_sqlite(
    data_dir: Path,
    *,
    clock: Clock | None = None,
    audit_rows_max: int = 100_000,
    **storage_settings: Any,
) -> Store:
    return open_store(
        data_dir=data_dir,
        storage=StorageSettings(**storage_settings),
        registry=RegistrySettings(audit_rows_max=audit_rows_max),
        tenant=TenantSettings(change_check_s=0.01),
        clock=clock or ManualClock(NOW),
    )


@contextmanager
def opened(
    driver: str, data_dir: Path, *, audit_rows_max: int = 100_000, change_rows_max: int = 10_000
) -> Iterator[AnyStore]:
    """A fresh, empty store of that driver."""
    store: AnyStore
    if driver == "memory":
        store = MemoryStore(ManualClock(NOW), audit_rows_max=audit_rows_max, changes_max=change_rows_max)
    else:
        store = open_sqlite(data_dir, audit_rows_max=audit_rows_max, change_rows_max=change_rows_max)
    try:
        yield store
    finally:
        store.close()


def anchor(
    anchor_id: str = ANCHOR, *, tenant_id: str = TENANT, name: str = "CN=Plant CA", **members: Any
) -> TrustAnchor:
    """A CA that may provision; its key is its name and id."""
    authority = Authority(
        subject_dn=name,
        public_key_der=f"key of {name} {anchor_id}".encode(),
        not_before=NOW - timedelta(days=1),
        not_after=NOW + timedelta(days=365),
    )
    given: dict[str, Any] = {"authority": authority, "may_auto_provision": True, **members}
    return TrustAnchor(anchor_id=AnchorId(anchor_id), tenant_id=TenantId(tenant_id), **given)


def tenant(tenant_id: str = TENANT, *anchors: TrustAnchor, **members: Any) -> Tenant:
    owned = tuple(replace(entry, tenant_id=TenantId(tenant_id)) for entry in anchors)
    given: dict[str, Any] = {"version": f"{tenant_id}-1", **members}
    return Tenant(tenant_id=TenantId(tenant_id), trust_anchors=owned, **given)


def order(device_id: str = "sensor-1", *, auth_id: str | None = None, **members: Any) -> ProvisioningOrder:
    given: dict[str, Any] = {
        "tenant_id": TENANT,
        "anchor_id": ANCHOR,
        "as_gateway": False,
        "moment": NOW,
        "devices_max": -1,
        "issuer_dn": "CN=Plant CA",
        "serial_hex": "1f",
        "fingerprint_hex": "ab" * 32,
        "remote": "192.0.2.7:50000",
        **members,
    }
    return ProvisioningOrder(device_id=DeviceId(device_id), auth_id=AuthId(auth_id or f"CN={device_id}"), **given)


def device(device_id: str = "sensor-1", *, tenant_id: str = TENANT, **members: Any) -> Device:
    given: dict[str, Any] = {"status": DeviceStatus(created=NOW), "version": "1", **members}
    return Device(tenant_id=TenantId(tenant_id), device_id=DeviceId(device_id), **given)


def credential(device_id: str = "sensor-1", *, auth_id: str | None = None, **members: Any) -> Credential:
    given: dict[str, Any] = {"tenant_id": TENANT, "type": X509_CERT, "secrets": (Secret(secret_id="s1"),), **members}
    return Credential(device_id=DeviceId(device_id), auth_id=AuthId(auth_id or f"CN={device_id}"), **given)


class RegistryStore(Protocol):
    """What `put` and `credentials_of` need of a store."""

    @property
    def devices(self) -> DeviceRepository: ...


class AuditedStore(Protocol):
    """What `rows_of_devices` needs of a store."""

    @property
    def audit(self) -> AuditRepository: ...


def put(store: RegistryStore, device: Device, credentials: Sequence[Credential] = ()) -> None:
    """Create the device, or write it and its credentials in place of what was on record of it."""
    if store.devices.find(device.tenant_id, device.device_id) is None:
        store.devices.create(device, DEED, devices_max=-1, credentials=credentials)
        return
    store.devices.replace(device, DEED, expected_version=None)
    store.devices.replace_credentials(
        device.tenant_id, device.device_id, lambda _: credentials, DEED, expected_version=None
    )


def credentials_of(store: RegistryStore, tenant_id: TenantId, device_id: DeviceId) -> list[Credential]:
    held = store.devices.find_credentials(tenant_id, device_id)
    return [] if held is None else list(held.credentials)


def rows_of_devices(store: AuditedStore) -> list[AuditRow]:
    """What connecting devices left in the audit: no operator asked for it."""
    return [row for row in store.audit.read(after=0, limit=10_000) if row.actor is None]


def deed_at(moment: datetime) -> Deed:
    return replace(DEED, moment=moment)


class Heard:
    """A subscriber that keeps what it was told."""

    def __init__(self, feed: ChangeFeed) -> None:
        self.changes: list[Change] = []
        feed.subscribe(self.changes.append)

    def kinds(self) -> list[str]:
        return [change.kind.value for change in self.changes]
