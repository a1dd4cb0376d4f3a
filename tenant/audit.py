"""Who did what, and what became of it: the rows an operator may ask about later.

A change and its row are one transaction: the repository that writes the one writes the other. Rows of connecting
devices are written on the connect path and have no actor.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from hashlib import sha256
from typing import Any

from kernel.ids import DeviceId, TenantId
from tenant.model import (
    AdapterSettings,
    ConnectionDuration,
    DataVolume,
    Period,
    ResourceLimits,
    RevocationCheck,
    Tenant,
    TrustAnchor,
)

Document = dict[str, Any]


@dataclass(frozen=True, slots=True, kw_only=True)
class Deed:
    """Whose wish a change is. Goes with every administrative write."""

    actor: str  # name of an operator, or `local:USER` for the command line on the machine itself
    moment: datetime
    remote: str = ""  # address the wish came from; empty: this machine


@dataclass(frozen=True, slots=True, kw_only=True)
class AuditRow:
    """Something an operator may ask about later: who came, what became of it, and why."""

    moment: datetime
    what: str  # device.provisioned, device.refused, tenant.updated, …
    tenant_id: TenantId | None = None
    device_id: DeviceId | None = None
    code: str | None = None  # the refusal's stable word
    facts: Mapping[str, str] = field(default_factory=dict)  # issuer, subject, serial, fingerprint, remote, detail
    position: int = 0  # given by the store, ascending
    actor: str | None = None  # of an administrative change
    remote: str | None = None
    before: Mapping[str, Any] | None = None  # the thing as it was, secrets masked; None where it was not
    after: Mapping[str, Any] | None = None


def written_by(
    deed: Deed,
    what: str,
    tenant_id: TenantId,
    device_id: DeviceId | None = None,
    *,
    before: Document | None = None,
    after: Document | None = None,
    facts: dict[str, str] | None = None,
) -> AuditRow:
    """The row of one change."""
    return AuditRow(
        moment=deed.moment,
        what=what,
        tenant_id=tenant_id,
        device_id=device_id,
        facts=facts or {},
        actor=deed.actor,
        remote=deed.remote or None,
        before=before,
        after=after,
    )


def tenant_document(tenant: Tenant) -> Document:
    """A tenant as its audit rows show it: what was set, certificates and keys by their SHA-256 fingerprint."""
    return said(
        {
            "enabled": tenant.enabled,
            "alias": tenant.alias,
            "trust-anchor-group": tenant.trust_anchor_group,
            "trusted-ca": [_anchor(anchor) for anchor in tenant.trust_anchors] or None,
            "adapters": None if tenant.adapters is None else [_adapter(adapter) for adapter in tenant.adapters],
            "defaults": dict(tenant.defaults) or None,
            "ext": dict(tenant.ext) or None,
            "resource-limits": None if tenant.resource_limits is None else _limits(tenant.resource_limits),
            "registration-limits": None
            if tenant.registration_limits is None
            else {
                "max-devices": tenant.registration_limits.max_devices,
                "max-credentials-per-device": tenant.registration_limits.max_credentials_per_device,
            },
            "minimum-message-size": tenant.minimum_message_size or None,
            "tracing": None
            if tenant.tracing is None
            else said(
                {
                    "sampling-mode": tenant.tracing.sampling_mode,
                    "sampling-mode-per-auth-id": dict(tenant.tracing.sampling_mode_per_auth_id) or None,
                }
            ),
        }
    )


def said(members: Document) -> Document:
    """Without the members that are None: those nobody set."""
    return {name: member for name, member in members.items() if member is not None}


def instant(moment: datetime) -> str:
    """ISO 8601, UTC, with whatever fraction the moment has."""
    return moment.astimezone(UTC).replace(tzinfo=None).isoformat() + "Z"


def _anchor(anchor: TrustAnchor) -> Document:
    authority, template = anchor.authority, anchor.device_template
    certificate = authority.certificate_der
    return said(
        {
            "id": anchor.anchor_id,
            "subject-dn": authority.subject_dn,
            "fingerprint": None if certificate is None else sha256(certificate).hexdigest(),
            "public-key-fingerprint": sha256(authority.public_key_der).hexdigest(),
            "not-before": instant(authority.not_before),
            "not-after": instant(authority.not_after),
            "auto-provisioning-enabled": anchor.may_auto_provision,
            "auto-provision-as-gateway": anchor.provisions_gateways,
            "auto-provisioning-device-id-template": anchor.device_id_template,
            "auth-id-template": anchor.auth_id_template,
            "provisioning-per-s-max": anchor.provisioning_per_s_max,
            "ocsp": None if anchor.revocation is None else _revocation(anchor.revocation),
            "device-template": None
            if template is None
            else said(
                {
                    "defaults": dict(template.defaults) or None,
                    "ext": dict(template.ext) or None,
                    "via": list(template.via) or None,
                    "viaGroups": list(template.via_groups) or None,
                    "memberOf": list(template.member_of) or None,
                }
            ),
        }
    )


def _revocation(check: RevocationCheck) -> Document:
    certificate = check.responder_certificate_der
    return said(
        {
            "enabled": check.enabled,
            "responder-uri": check.responder_uri,
            "responder-fingerprint": None if certificate is None else sha256(certificate).hexdigest(),
            "nonce-enabled": check.nonce_enabled,
        }
    )


def _adapter(adapter: AdapterSettings) -> Document:
    return said(
        {
            "type": adapter.type,
            "enabled": adapter.enabled,
            "device-authentication-required": adapter.authentication_required,
            "ext": dict(adapter.ext) or None,
        }
    )


def _limits(limits: ResourceLimits) -> Document:
    volume, duration = limits.data_volume, limits.connection_duration
    return said(
        {
            "max-connections": limits.max_connections,
            "max-ttl": limits.max_ttl_s,
            "max-ttl-telemetry-qos0": limits.max_ttl_telemetry_qos0_s,
            "max-ttl-telemetry-qos1": limits.max_ttl_telemetry_qos1_s,
            "max-ttl-command-response": limits.max_ttl_command_response_s,
            "data-volume": None if volume is None else {"max-bytes": volume.max_bytes, **_window(volume)},
            "connection-duration": None
            if duration is None
            else {"max-minutes": duration.max_minutes, **_window(duration)},
            "ext": dict(limits.ext) or None,
        }
    )


def _window(budget: DataVolume | ConnectionDuration) -> Document:
    since = instant(budget.effective_since)
    return said({"effective-since": since, "period": None if budget.period is None else _period(budget.period)})


def _period(period: Period) -> Document:
    return said({"mode": period.mode, "no-of-days": period.no_of_days})
