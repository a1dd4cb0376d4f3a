"""Devices, their credentials, and what a connecting device finds on record, as values."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from kernel.ids import AnchorId, AuthId, DeviceId, TenantId
from tenant.model import DeviceTemplate

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
    last_user: str | None = None  # the operator who changed it last
    gateway_id: DeviceId | None = None  # the gateway it was provisioned behind


@dataclass(frozen=True, slots=True, kw_only=True)
class CommandEndpoint:
    """Where commands for a device are to be sent instead of to the device (hono-registry 2.2)."""

    uri: str | None = None
    headers: Json = field(default_factory=dict)
    payload_properties: Json = field(default_factory=dict)


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
    downstream_mapper: str | None = None
    upstream_mapper: str | None = None
    command_endpoint: CommandEndpoint | None = None
    version: str = ""

    @property
    def is_enabled(self) -> bool:
        return self.enabled is not False

    @property
    def may_provision(self) -> bool:
        """Whether, as a gateway, it may have devices registered by speaking for them."""
        return AUTHORITY_AUTO_PROVISIONING in self.authorities

    @property
    def notification_due(self) -> bool:
        """It was provisioned, and no engine has kept its event yet."""
        return self.status.auto_provisioned and not self.status.notification_sent


@dataclass(frozen=True, slots=True, kw_only=True)
class Registration:
    """What whoever speaks with a device learns of it (hono-registry 3.3)."""

    device_id: DeviceId
    via: tuple[DeviceId, ...] = ()  # gateways it is reached through, in order, each once
    defaults: Json = field(default_factory=dict)
    downstream_mapper: str | None = None
    upstream_mapper: str | None = None
    command_endpoint: CommandEndpoint | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Secret:
    """One way to prove a credential; an X.509 credential has exactly one, without material.

    `material` is spelled as in the JSON of the contract: `pwd-hash`, `hash-function`, `salt`; `key`; `key`,
    `algorithm`; or, for types nobody here knows, whatever was sent.
    """

    secret_id: str
    enabled: bool | None = None
    not_before: datetime | None = None
    not_after: datetime | None = None
    comment: str | None = None
    material: Json = field(default_factory=dict, repr=False)  # in no log

    def is_valid_at(self, moment: datetime) -> bool:
        """Whether it may prove anything now: not switched off, and strictly between its bounds."""
        return (
            self.enabled is not False
            and (self.not_before is None or self.not_before < moment)
            and (self.not_after is None or moment < self.not_after)
        )


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
class CredentialSet:
    """All credentials of one device, with a version of their own."""

    version: str
    credentials: tuple[Credential, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class KnownCredential:
    """One credential with its secrets, and the device it is for."""

    credential: Credential
    device: Device


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
    template: DeviceTemplate | None = None  # what the anchor gives its devices besides


@dataclass(slots=True, kw_only=True)
class EdgeOrder:
    """An unknown device that a gateway speaks for, to be registered behind it. Nobody changes it."""

    tenant_id: TenantId
    device_id: DeviceId
    gateway_id: DeviceId
    moment: datetime
    devices_max: int  # of the tenant, -1: no limit
    remote: str = ""  # where the gateway connected from, for the audit row
