"""Tenants and their trust anchors to rows and back; the other rows stand in storage/rows.py."""

import base64
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from typing import Any

from kernel.ids import AnchorId, TenantId
from pki.chains import Authority
from storage.rows import Row, json_text, micros, micros_or_none, moment_of, moment_or_none, object_text, read_json
from storage.tenancy import anchor_identity
from tenant.model import (
    AdapterSettings,
    ConnectionDuration,
    DataVolume,
    DeviceTemplate,
    Period,
    RegistrationLimits,
    ResourceLimits,
    RevocationCheck,
    Tenant,
    Tracing,
    TrustAnchor,
)

TENANT_COLUMNS = (
    "tenant_id",
    "enabled",
    "alias",
    "trust_anchor_group",
    "adapters",
    "defaults",
    "ext",
    "resource_limits",
    "registration_limits",
    "created",
    "updated",
    "version",
    "minimum_message_size",
    "tracing",
)
ANCHOR_COLUMNS = (
    "tenant_id",
    "anchor_id",
    "ordinal",
    "identity_hex",
    "subject_dn",
    "public_key_der",
    "certificate_der",
    "subject_der",
    "not_before",
    "not_after",
    "may_auto_provision",
    "provisions_gateways",
    "device_id_template",
    "auth_id_template",
    "provisioning_per_s_max",
    "revocation",
    "device_template",
)


def tenant_row(tenant: Tenant) -> Row:
    return (
        tenant.tenant_id,
        tenant.enabled,
        tenant.alias,
        tenant.trust_anchor_group,
        None if tenant.adapters is None else json_text([_adapter_entry(adapter) for adapter in tenant.adapters]),
        object_text(tenant.defaults),
        object_text(tenant.ext),
        None if tenant.resource_limits is None else json_text(_limits_entry(tenant.resource_limits)),
        None if tenant.registration_limits is None else json_text(asdict(tenant.registration_limits)),
        micros_or_none(tenant.created),
        micros_or_none(tenant.updated),
        tenant.version,
        tenant.minimum_message_size or None,
        None if tenant.tracing is None else json_text(_tracing_entry(tenant.tracing)),
    )


def tenant_of(row: Row, anchors: Sequence[TrustAnchor]) -> Tenant:
    tenant_id, enabled, alias, group, adapters, defaults, ext, resources, registrations, *rest = row
    created, updated, version, minimum_message_size, tracing = rest
    return Tenant(
        tenant_id=TenantId(tenant_id),
        enabled=None if enabled is None else bool(enabled),
        alias=alias,
        trust_anchor_group=group,
        trust_anchors=tuple(anchors),
        adapters=None if adapters is None else tuple(AdapterSettings(**entry) for entry in read_json(adapters)),
        defaults={} if defaults is None else read_json(defaults),
        ext={} if ext is None else read_json(ext),
        resource_limits=None if resources is None else _limits(read_json(resources)),
        registration_limits=None if registrations is None else RegistrationLimits(**read_json(registrations)),
        minimum_message_size=minimum_message_size or 0,
        tracing=None if tracing is None else Tracing(**read_json(tracing)),
        created=moment_or_none(created),
        updated=moment_or_none(updated),
        version=version,
    )


def anchor_row(anchor: TrustAnchor, ordinal: int) -> Row:
    authority = anchor.authority
    return (
        anchor.tenant_id,
        anchor.anchor_id,
        ordinal,
        anchor_identity(anchor),
        authority.subject_dn,
        authority.public_key_der,
        authority.certificate_der,
        authority.subject_der,
        micros(authority.not_before),
        micros(authority.not_after),
        anchor.may_auto_provision,
        anchor.provisions_gateways,
        anchor.device_id_template,
        anchor.auth_id_template,
        anchor.provisioning_per_s_max,
        None if anchor.revocation is None else json_text(_revocation_entry(anchor.revocation)),
        None if anchor.device_template is None else json_text(_template_entry(anchor.device_template)),
    )


def anchor_of(row: Row) -> TrustAnchor:
    tenant_id, anchor_id, _, _, subject_dn, key, certificate, subject, not_before, not_after, *habits = row
    may_auto_provision, provisions_gateways, device_id_template, auth_id_template, per_s_max, *more = habits
    revocation, device_template = more
    return TrustAnchor(
        anchor_id=AnchorId(anchor_id),
        tenant_id=TenantId(tenant_id),
        authority=Authority(
            subject_dn=subject_dn,
            public_key_der=key,
            not_before=moment_of(not_before),
            not_after=moment_of(not_after),
            certificate_der=certificate,
            subject_der=subject,
        ),
        may_auto_provision=bool(may_auto_provision),
        provisions_gateways=bool(provisions_gateways),
        device_id_template=device_id_template,
        auth_id_template=auth_id_template,
        provisioning_per_s_max=per_s_max,
        revocation=None if revocation is None else _revocation(read_json(revocation)),
        device_template=None if device_template is None else _template(read_json(device_template)),
    )


def _adapter_entry(adapter: AdapterSettings) -> Mapping[str, Any]:
    return {
        "type": adapter.type,
        "enabled": adapter.enabled,
        "authentication_required": adapter.authentication_required,
        "ext": dict(adapter.ext),
    }


def _tracing_entry(tracing: Tracing) -> Mapping[str, Any]:
    return {
        "sampling_mode": tracing.sampling_mode,
        "sampling_mode_per_auth_id": dict(tracing.sampling_mode_per_auth_id),
    }


def _limits_entry(limits: ResourceLimits) -> Mapping[str, Any]:
    """Members that say nothing are left out, except that the numbers stand as they are."""
    entry: dict[str, Any] = {
        "max_connections": limits.max_connections,
        "max_ttl_s": limits.max_ttl_s,
        "max_ttl_telemetry_qos0_s": limits.max_ttl_telemetry_qos0_s,
        "max_ttl_telemetry_qos1_s": limits.max_ttl_telemetry_qos1_s,
        "max_ttl_command_response_s": limits.max_ttl_command_response_s,
    }
    if limits.data_volume is not None:
        entry["data_volume"] = _budget_entry(limits.data_volume, max_bytes=limits.data_volume.max_bytes)
    if limits.connection_duration is not None:
        duration = limits.connection_duration
        entry["connection_duration"] = _budget_entry(duration, max_minutes=duration.max_minutes)
    if limits.ext:
        entry["ext"] = dict(limits.ext)
    return entry


def _budget_entry(budget: DataVolume | ConnectionDuration, **most: int) -> Mapping[str, Any]:
    period = None if budget.period is None else asdict(budget.period)
    return {"effective_since": micros(budget.effective_since), "period": period, **most}


def _limits(entry: Mapping[str, Any]) -> ResourceLimits:
    members = dict(entry)
    volume, duration = members.pop("data_volume", None), members.pop("connection_duration", None)
    return ResourceLimits(
        data_volume=None if volume is None else DataVolume(**_budget(volume)),
        connection_duration=None if duration is None else ConnectionDuration(**_budget(duration)),
        **members,
    )


def _budget(entry: Mapping[str, Any]) -> dict[str, Any]:
    period = entry["period"]
    return {
        **entry,
        "effective_since": moment_of(entry["effective_since"]),
        "period": None if period is None else Period(**period),
    }


def _revocation_entry(check: RevocationCheck) -> Mapping[str, Any]:
    certificate = check.responder_certificate_der
    return {
        "enabled": check.enabled,
        "responder_uri": check.responder_uri,
        "responder_certificate": None if certificate is None else base64.b64encode(certificate).decode(),
        "nonce_enabled": check.nonce_enabled,
    }


def _revocation(entry: Mapping[str, Any]) -> RevocationCheck:
    certificate = entry["responder_certificate"]
    return RevocationCheck(
        enabled=entry["enabled"],
        responder_uri=entry["responder_uri"],
        responder_certificate_der=None if certificate is None else base64.b64decode(certificate),
        nonce_enabled=entry["nonce_enabled"],
    )


def _template_entry(template: DeviceTemplate) -> Mapping[str, Any]:
    entry = {
        "defaults": dict(template.defaults),
        "ext": dict(template.ext),
        "via": template.via,
        "via_groups": template.via_groups,
        "member_of": template.member_of,
    }
    return {name: member for name, member in entry.items() if member}


def _template(entry: Mapping[str, Any]) -> DeviceTemplate:
    lists = {name: tuple(entry.get(name, ())) for name in ("via", "via_groups", "member_of")}
    return DeviceTemplate(defaults=entry.get("defaults", {}), ext=entry.get("ext", {}), **lists)
