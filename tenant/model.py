"""Tenants and the CAs they trust, as values.

A member left unset stays None: what an operator did not say is not stored as if it had been said.
Validation of what arrives over an API stands in tenant/administration.py; here only what no instance
may ever break.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from kernel.ids import AnchorId, TenantId
from pki.chains import Authority

Json = Mapping[str, Any]


@dataclass(frozen=True, slots=True, kw_only=True)
class RevocationCheck:
    """How an anchor's devices are asked about at an OCSP responder (hono-registry 2.1.1)."""

    enabled: bool = False
    responder_uri: str | None = None
    responder_certificate_der: bytes | None = None
    nonce_enabled: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class DeviceTemplate:
    """What a device provisioned by an anchor is given besides its ids. Beyond Hono."""

    defaults: Json = field(default_factory=dict)
    ext: Json = field(default_factory=dict)
    via: tuple[str, ...] = ()
    via_groups: tuple[str, ...] = ()
    member_of: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class TrustAnchor:
    """A CA whose certificates a tenant accepts from its devices (hono-registry 2.1.1)."""

    anchor_id: AnchorId
    tenant_id: TenantId
    authority: Authority  # name, key, certificate and validity: all that pki needs
    may_auto_provision: bool = False  # a tenant must ask for it
    provisions_gateways: bool = False
    device_id_template: str | None = None
    auth_id_template: str | None = None
    provisioning_per_s_max: float | None = None  # None: the setting of conf.registry
    revocation: RevocationCheck | None = None
    device_template: DeviceTemplate | None = None

    def is_valid_at(self, moment: datetime) -> bool:
        return self.authority.not_before <= moment <= self.authority.not_after


@dataclass(frozen=True, slots=True, kw_only=True)
class AdapterSettings:
    """What one adapter may do for a tenant (hono-registry 2.1.6)."""

    type: str  # hono-mqtt, hono-http, hono-coap, …
    enabled: bool = False
    authentication_required: bool = True
    ext: Json = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class Period:
    """The window a budget is counted in."""

    mode: str  # monthly, days, unknown
    no_of_days: int | None = None  # for days


@dataclass(frozen=True, slots=True, kw_only=True)
class DataVolume:
    """How many bytes a tenant may move in a period; -1 is no limit."""

    effective_since: datetime
    max_bytes: int = -1
    period: Period | None = None  # None: monthly


@dataclass(frozen=True, slots=True, kw_only=True)
class ConnectionDuration:
    """How long a tenant's devices may be connected, together, in a period; -1 is no limit."""

    effective_since: datetime
    max_minutes: int = -1
    period: Period | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class ResourceLimits:
    """Ceilings for a tenant; -1 is no limit (hono-registry 2.1.3)."""

    max_connections: int = -1
    max_ttl_s: int = -1
    max_ttl_telemetry_qos0_s: int = -1
    max_ttl_telemetry_qos1_s: int = -1
    max_ttl_command_response_s: int = -1
    data_volume: DataVolume | None = None
    connection_duration: ConnectionDuration | None = None
    ext: Json = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class Tracing:
    """Whose messages are traced (hono-registry 2.1.5): default, all or none."""

    sampling_mode: str | None = None
    sampling_mode_per_auth_id: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class RegistrationLimits:
    """How much a tenant may register; -1 is no limit of its own (hono-registry 2.1.4)."""

    max_devices: int = -1
    max_credentials_per_device: int = -1


@dataclass(frozen=True, slots=True, kw_only=True)
class Tenant:
    """Whom devices belong to; the unit of isolation (hono-registry 2.1)."""

    tenant_id: TenantId
    enabled: bool | None = None  # None: never said, hence enabled
    alias: str | None = None
    trust_anchor_group: str | None = None
    trust_anchors: tuple[TrustAnchor, ...] = ()
    adapters: tuple[AdapterSettings, ...] | None = None  # None: every adapter, with defaults
    defaults: Json = field(default_factory=dict)
    ext: Json = field(default_factory=dict)
    resource_limits: ResourceLimits | None = None
    registration_limits: RegistrationLimits | None = None
    minimum_message_size: int = 0
    tracing: Tracing | None = None
    created: datetime | None = None
    updated: datetime | None = None
    version: str = ""

    @property
    def is_enabled(self) -> bool:
        return self.enabled is not False

    def requires_authentication(self, adapter_type: str) -> bool:
        """Whether the tenant's own entry for the adapter wants devices to prove who they are; no entry, no wish."""
        return any(entry.type == adapter_type and entry.authentication_required for entry in self.adapters or ())

    def allows_adapter(self, adapter_type: str) -> bool:
        """Whether devices may come through this adapter: all may, unless adapters are listed."""
        if self.adapters is None:
            return True
        return any(entry.type == adapter_type and entry.enabled for entry in self.adapters)
