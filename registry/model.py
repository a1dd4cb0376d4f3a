"""Devices, their credentials, and what a connecting device finds on record, as values."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from kernel.ids import AnchorId, AuthId, DeviceId, TenantId

Json = Mapping[str, Any]
X509_CERT = "x509-cert"
AUTHORITY_AUTO_PROVISIONING = "auto-provisioning-enabled"


@dataclass(frozen=True, slots=True, kw_only=True)
class DeviceStatus:
    """What the registry itself knows of a device; never set by an operator (hono-registry 2.2.1)."""

    created: datetime
    updated: datetime | None = None
    auto_provisioned: bool = False
    notification_sent: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Device:
    """A device of a tenant (hono-registry 2.2). `enabled` None means: never said, hence enabled."""

    tenant_id: TenantId
    device_id: DeviceId
    status: DeviceStatus
    enabled: bool | None = None
    via: tuple[DeviceId, ...] = ()
    via_groups: tuple[str, ...] = ()
    member_of: tuple[str, ...] = ()
    authorities: tuple[str, ...] = ()
    defaults: Json = field(default_factory=dict)
    ext: Json = field(default_factory=dict)
    version: str = ""

    @property
    def is_enabled(self) -> bool:
        return self.enabled is not False


@dataclass(frozen=True, slots=True, kw_only=True)
class Secret:
    """One way to prove a credential; an X.509 credential has exactly one, without material."""

    secret_id: str
    enabled: bool | None = None
    not_before: datetime | None = None
    not_after: datetime | None = None
    comment: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Credential:
    """What a device proves itself with; (`type`, `auth_id`) is unique inside a tenant (hono-registry 2.3)."""

    tenant_id: TenantId
    device_id: DeviceId
    type: str
    auth_id: AuthId
    enabled: bool | None = None
    comment: str | None = None
    ext: Json = field(default_factory=dict)
    secrets: tuple[Secret, ...] = ()

    @property
    def is_enabled(self) -> bool:
        return self.enabled is not False


@dataclass(frozen=True, slots=True, kw_only=True)
class KnownDevice:
    """What one lookup by (tenant, type, auth-id) finds: the credential's state and its device's."""

    device: Device
    credential_enabled: bool
    credential_ext: Json = field(default_factory=dict)

    @property
    def notification_due(self) -> bool:
        """A provisioned device whose event no engine has kept yet."""
        return self.device.status.auto_provisioned and not self.device.status.notification_sent


@dataclass(slots=True, kw_only=True)
class ProvisioningOrder:
    """A trusted stranger to be registered: one device, one X.509 credential, one event.

    Nobody changes it; frozen, it takes three times as long to make.
    """

    tenant_id: TenantId
    anchor_id: AnchorId
    device_id: DeviceId
    auth_id: AuthId
    as_gateway: bool
    moment: datetime
    devices_max: int  # of the tenant, -1: no limit
    issuer_dn: str
    serial_hex: str
    fingerprint_hex: str
    remote: str  # where the device connected from, for the audit row


@dataclass(frozen=True, slots=True, kw_only=True)
class AuditRow:
    """Something an operator may ask about later: who came, what became of it, and why."""

    moment: datetime
    what: str  # device.provisioned, device.refused, …
    tenant_id: TenantId | None = None
    device_id: DeviceId | None = None
    code: str | None = None  # the refusal's stable word
    facts: Mapping[str, str] = field(default_factory=dict)  # issuer, subject, serial, fingerprint, remote, detail
    position: int = 0  # given by the store, ascending
