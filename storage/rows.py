"""Domain values to rows and back: one spelling for the prepared statements and for SQLAlchemy.

Rows are tuples in the order of the column tuples here. Empty collections and members that were never
set are NULL. JSON is kept in ASCII, so that any text a member holds comes back as it was.
"""

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from datetime import UTC, datetime, timedelta
from typing import Any, cast

from kernel.ids import AnchorId, AuthId, DeviceId, TenantId
from pki.chains import Authority
from registry.model import Credential, Device, DeviceStatus, Secret
from storage.tenancy import anchor_identity
from tenant.audit import AuditRow
from tenant.model import AdapterSettings, RegistrationLimits, ResourceLimits, Tenant, TrustAnchor

Row = Sequence[Any]

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
)
DEVICE_COLUMNS = (
    "tenant_id",
    "device_id",
    "enabled",
    "via",
    "via_groups",
    "member_of",
    "authorities",
    "defaults",
    "ext",
    "created",
    "updated",
    "auto_provisioned",
    "notification_sent",
    "version",
)
CREDENTIAL_COLUMNS = ("tenant_id", "type", "auth_id", "device_id", "enabled", "comment", "ext", "secrets")
AUDIT_COLUMNS = ("position", "moment", "what", "tenant_id", "device_id", "code", "facts")

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_MICROSECOND = timedelta(microseconds=1)
_encode = json.JSONEncoder(separators=(",", ":")).encode
_quoted = json.encoder.encode_basestring_ascii


def micros(moment: datetime) -> int:
    """Microseconds since the epoch."""
    return (moment - _EPOCH) // _MICROSECOND


def moment_of(micros_: int) -> datetime:
    return _EPOCH + timedelta(microseconds=micros_)


def object_text(members: Mapping[str, Any]) -> str | None:
    """JSON text, None for an empty object."""
    return _encode(dict(members)) if members else None


def texts_text(members: Mapping[str, str]) -> str | None:
    """The same for members that are all text, in half the time: JSONEncoder makes an encoder for every call."""
    return (
        "{" + ",".join([f"{_quoted(name)}:{_quoted(text)}" for name, text in members.items()]) + "}"
        if members
        else None
    )


def list_text(items: Sequence[str]) -> str | None:
    """JSON text, None for an empty list."""
    return _encode(items) if items else None


def device_row(device: Device) -> Row:
    return (
        device.tenant_id,
        device.device_id,
        device.enabled,
        list_text(device.via),
        list_text(device.via_groups),
        list_text(device.member_of),
        list_text(device.authorities),
        object_text(device.defaults),
        object_text(device.ext),
        micros(device.status.created),
        _micros_or_none(device.status.updated),
        device.status.auto_provisioned,
        device.status.notification_sent,
        device.version,
    )


def device_of(row: Row) -> Device:
    (
        tenant_id,
        device_id,
        enabled,
        via,
        via_groups,
        member_of,
        authorities,
        defaults,
        ext,
        created,
        updated,
        auto_provisioned,
        notification_sent,
        version,
    ) = row
    return Device(
        tenant_id=tenant_id,
        device_id=device_id,
        status=DeviceStatus(
            created=_EPOCH + timedelta(microseconds=created),
            updated=None if updated is None else moment_of(updated),
            auto_provisioned=bool(auto_provisioned),
            notification_sent=bool(notification_sent),
        ),
        enabled=None if enabled is None else bool(enabled),
        via=() if via is None else tuple(json.loads(via)),
        via_groups=() if via_groups is None else tuple(json.loads(via_groups)),
        member_of=() if member_of is None else tuple(json.loads(member_of)),
        authorities=() if authorities is None else tuple(json.loads(authorities)),
        defaults={} if defaults is None else json.loads(defaults),
        ext={} if ext is None else json.loads(ext),
        version=version,
    )


def credential_row(credential: Credential) -> Row:
    return (
        credential.tenant_id,
        credential.type,
        credential.auth_id,
        credential.device_id,
        credential.enabled,
        credential.comment,
        object_text(credential.ext),
        secrets_text(credential.secrets),
    )


def credential_of(row: Row) -> Credential:
    tenant_id, type_, auth_id, device_id, enabled, comment, ext, secrets = row
    return Credential(
        tenant_id=TenantId(tenant_id),
        device_id=DeviceId(device_id),
        type=type_,
        auth_id=AuthId(auth_id),
        enabled=None if enabled is None else bool(enabled),
        comment=comment,
        ext={} if ext is None else json.loads(ext),
        secrets=tuple(_secret(entry) for entry in json.loads(secrets)),
    )


def secrets_text(secrets: Sequence[Secret]) -> str:
    """A JSON array of objects; members that were never set are left out."""
    entries = []
    for secret in secrets:
        entry: dict[str, Any] = {"id": secret.secret_id}
        if secret.enabled is not None:
            entry["enabled"] = secret.enabled
        if secret.not_before is not None:
            entry["not_before"] = micros(secret.not_before)
        if secret.not_after is not None:
            entry["not_after"] = micros(secret.not_after)
        if secret.comment is not None:
            entry["comment"] = secret.comment
        entries.append(entry)
    return _encode(entries)


def bare_secret_text(secret_id: str) -> str:
    """The same for one secret of which nothing but its id was set."""
    return f'[{{"id":{_quoted(secret_id)}}}]'


def _secret(entry: Mapping[str, Any]) -> Secret:
    return Secret(
        secret_id=entry["id"],
        enabled=entry.get("enabled"),
        not_before=_moment_or_none(entry.get("not_before")),
        not_after=_moment_or_none(entry.get("not_after")),
        comment=entry.get("comment"),
    )


def tenant_row(tenant: Tenant) -> Row:
    return (
        tenant.tenant_id,
        tenant.is_enabled,
        tenant.alias,
        tenant.trust_anchor_group,
        None if tenant.adapters is None else _encode([_adapter_entry(adapter) for adapter in tenant.adapters]),
        object_text(tenant.defaults),
        object_text(tenant.ext),
        None if tenant.resource_limits is None else _encode(asdict(tenant.resource_limits)),
        None if tenant.registration_limits is None else _encode(asdict(tenant.registration_limits)),
        _micros_or_none(tenant.created),
        _micros_or_none(tenant.updated),
        tenant.version,
    )


def _adapter_entry(adapter: AdapterSettings) -> Mapping[str, Any]:
    return {
        "type": adapter.type,
        "enabled": adapter.enabled,
        "authentication_required": adapter.authentication_required,
        "ext": dict(adapter.ext),
    }


def tenant_of(row: Row, anchors: Sequence[TrustAnchor]) -> Tenant:
    tenant_id, enabled, alias, group, adapters, defaults, ext, resources, registrations, created, updated, version = row
    return Tenant(
        tenant_id=TenantId(tenant_id),
        enabled=bool(enabled),
        alias=alias,
        trust_anchor_group=group,
        trust_anchors=tuple(anchors),
        adapters=None if adapters is None else tuple(AdapterSettings(**entry) for entry in json.loads(adapters)),
        defaults={} if defaults is None else json.loads(defaults),
        ext={} if ext is None else json.loads(ext),
        resource_limits=None if resources is None else ResourceLimits(**json.loads(resources)),
        registration_limits=None if registrations is None else RegistrationLimits(**json.loads(registrations)),
        created=_moment_or_none(created),
        updated=_moment_or_none(updated),
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
    )


def anchor_of(row: Row) -> TrustAnchor:
    tenant_id, anchor_id, _, _, subject_dn, key, certificate, subject, not_before, not_after, *habits = row
    may_auto_provision, provisions_gateways, device_id_template, auth_id_template, provisioning_per_s_max = habits
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
        provisioning_per_s_max=provisioning_per_s_max,
    )


def audit_of(row: Row) -> AuditRow:
    position, moment, what, tenant_id, device_id, code, facts = row
    return AuditRow(
        moment=moment_of(moment),
        what=what,
        tenant_id=tenant_id,
        device_id=device_id,
        code=code,
        facts={} if facts is None else cast(dict[str, str], json.loads(facts)),
        position=position,
    )


def _micros_or_none(moment: datetime | None) -> int | None:
    return None if moment is None else micros(moment)


def _moment_or_none(micros_: int | None) -> datetime | None:
    return None if micros_ is None else moment_of(micros_)
