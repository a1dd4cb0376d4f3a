"""Devices, credentials and audit rows to rows and back: one spelling for prepared statements and for SQLAlchemy.

Tenants stand in storage/rows_tenant.py.

Rows are tuples in the order of the column tuples here. Empty collections and members that were never
set are NULL. JSON is kept in ASCII, so that any text a member holds comes back as it was.
"""

import json
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime, timedelta
from typing import Any, cast

import msgspec

from kernel.ids import AuthId, DeviceId, TenantId
from registry.model import CommandEndpoint, Credential, Device, DeviceStatus, Secret
from tenant.audit import AuditRow

Row = Sequence[Any]

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
    "downstream_mapper",
    "upstream_mapper",
    "command_endpoint",
    "last_user",
    "provisioned_gateway",
)
CREDENTIAL_COLUMNS = ("tenant_id", "type", "auth_id", "device_id", "enabled", "comment", "ext", "secrets")
AUDIT_COLUMNS = (
    "position",
    "moment",
    "what",
    "tenant_id",
    "device_id",
    "code",
    "facts",
    "actor",
    "remote",
    "before",
    "after",
)

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_MICROSECOND = timedelta(microseconds=1)
json_text = json.JSONEncoder(separators=(",", ":")).encode
_decode = msgspec.json.Decoder().decode
_quoted = json.encoder.encode_basestring_ascii


def read_json(text: str) -> Any:
    """What `json_text` made a text of. msgspec takes a tenth of the time of the standard library, which alone knows
    half characters and numbers that are none.
    """
    try:
        return _decode(text)
    except msgspec.MsgspecError:
        return json.loads(text)


def micros(moment: datetime) -> int:
    """Microseconds since the epoch."""
    return (moment - _EPOCH) // _MICROSECOND


def moment_of(micros_: int) -> datetime:
    return _EPOCH + timedelta(microseconds=micros_)


def object_text(members: Mapping[str, Any]) -> str | None:
    """JSON text, None for an empty object."""
    return json_text(dict(members)) if members else None


def texts_text(members: Mapping[str, str]) -> str | None:
    """The same for members that are all text, in half the time: JSONEncoder makes an encoder for every call."""
    return (
        "{" + ",".join([f"{_quoted(name)}:{_quoted(text)}" for name, text in members.items()]) + "}"
        if members
        else None
    )


def list_text(items: Sequence[str]) -> str | None:
    """JSON text, None for an empty list."""
    return json_text(items) if items else None


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
        micros_or_none(device.status.updated),
        device.status.auto_provisioned,
        device.status.notification_sent,
        device.version,
        device.downstream_mapper,
        device.upstream_mapper,
        None if device.command_endpoint is None else _endpoint_text(device.command_endpoint),
        device.status.last_user,
        device.status.gateway_id,
    )


def _endpoint_text(endpoint: CommandEndpoint) -> str:
    members = {
        "uri": endpoint.uri,
        "headers": dict(endpoint.headers),
        "payload_properties": dict(endpoint.payload_properties),
    }
    return json_text({name: member for name, member in members.items() if member})


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
        downstream_mapper,
        upstream_mapper,
        command_endpoint,
        last_user,
        provisioned_gateway,
    ) = row
    return Device(
        tenant_id=tenant_id,
        device_id=device_id,
        status=DeviceStatus(
            created=_EPOCH + timedelta(microseconds=created),
            updated=None if updated is None else moment_of(updated),
            auto_provisioned=bool(auto_provisioned),
            notification_sent=bool(notification_sent),
            last_user=last_user,
            gateway_id=provisioned_gateway,
        ),
        enabled=None if enabled is None else bool(enabled),
        via=() if via is None else tuple(read_json(via)),
        via_groups=() if via_groups is None else tuple(read_json(via_groups)),
        member_of=() if member_of is None else tuple(read_json(member_of)),
        authorities=() if authorities is None else tuple(read_json(authorities)),
        defaults={} if defaults is None else read_json(defaults),
        ext={} if ext is None else read_json(ext),
        downstream_mapper=downstream_mapper,
        upstream_mapper=upstream_mapper,
        command_endpoint=None if command_endpoint is None else CommandEndpoint(**read_json(command_endpoint)),
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
        ext={} if ext is None else read_json(ext),
        secrets=tuple(_secret(entry) for entry in read_json(secrets)),
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
        if secret.material:
            entry["material"] = dict(secret.material)
        entries.append(entry)
    return json_text(entries)


def bare_secret_text(secret_id: str) -> str:
    """The same for one secret of which nothing but its id was set."""
    return f'[{{"id":{_quoted(secret_id)}}}]'


def _secret(entry: Mapping[str, Any]) -> Secret:
    return Secret(
        secret_id=entry["id"],
        enabled=entry.get("enabled"),
        not_before=moment_or_none(entry.get("not_before")),
        not_after=moment_or_none(entry.get("not_after")),
        comment=entry.get("comment"),
        material=entry.get("material", {}),
    )


def audit_row(row: AuditRow) -> Row:
    """All but the position, which the database gives."""
    return (
        micros(row.moment),
        row.what,
        row.tenant_id,
        row.device_id,
        row.code,
        texts_text(row.facts),
        row.actor,
        row.remote,
        None if row.before is None else json_text(row.before),
        None if row.after is None else json_text(row.after),
    )


def audit_of(row: Row) -> AuditRow:
    position, moment, what, tenant_id, device_id, code, facts, actor, remote, before, after = row
    return AuditRow(
        moment=moment_of(moment),
        what=what,
        tenant_id=tenant_id,
        device_id=device_id,
        code=code,
        facts={} if facts is None else cast(dict[str, str], read_json(facts)),
        position=position,
        actor=actor,
        remote=remote,
        before=None if before is None else read_json(before),
        after=None if after is None else read_json(after),
    )


def micros_or_none(moment: datetime | None) -> int | None:
    return None if moment is None else micros(moment)


def moment_or_none(micros_: int | None) -> datetime | None:
    return None if micros_ is None else moment_of(micros_)
