"""What the shapes of the management API say, read by a client: documents to domain values."""

from collections.abc import Mapping
from dataclasses import replace
from datetime import datetime
from typing import Any

from dialects.hono.shapes.device import DeviceBody, device_of
from dialects.hono.shapes.tenant import TenantBody, tenant_of
from dialects.hono.shapes.values import moment_of, shaped
from kernel.ids import AuthId, DeviceId, TenantId
from registry.model import Credential, Device, DeviceStatus, Secret
from tenant.model import Tenant

_OF_ANY_SECRET = frozenset({"id", "enabled", "not-before", "not-after", "comment"})
_EPOCH = "1970-01-01T00:00:00Z"


def tenant_in(document: Mapping[str, Any], tenant_id: str, *, version: str = "") -> Tenant:
    """Raises BodyInvalid."""
    members = {name: member for name, member in document.items() if name != "id"}
    return replace(tenant_of(shaped(TenantBody, members), tenant_id), version=version)


def device_in(document: Mapping[str, Any], tenant_id: str, device_id: str, *, version: str = "") -> Device:
    """Raises BodyInvalid."""
    said = document.get("status", {})
    status = DeviceStatus(
        created=_moment(said.get("created") or _EPOCH),
        updated=_moment(said["updated"]) if "updated" in said else None,
        auto_provisioned=bool(said.get("auto-provisioned")),
        notification_sent=bool(said.get("auto-provisioning-notification-sent")),
        last_user=said.get("last-user"),
    )
    members = {name: member for name, member in document.items() if name not in {"id", "status"}}
    return replace(device_of(shaped(DeviceBody, members), tenant_id, device_id, status), version=version)


def credential_in(document: Mapping[str, Any], tenant_id: TenantId, device_id: DeviceId) -> Credential:
    return Credential(
        tenant_id=tenant_id,
        device_id=device_id,
        type=document["type"],
        auth_id=AuthId(document["auth-id"]),
        enabled=document.get("enabled"),
        comment=document.get("comment"),
        ext=document.get("ext", {}),
        secrets=tuple(_secret(entry) for entry in document["secrets"]),
    )


def _secret(entry: Mapping[str, Any]) -> Secret:
    return Secret(
        secret_id=entry["id"],
        enabled=entry.get("enabled"),
        not_before=_moment(entry["not-before"]) if "not-before" in entry else None,
        not_after=_moment(entry["not-after"]) if "not-after" in entry else None,
        comment=entry.get("comment"),
        material={name: member for name, member in entry.items() if name not in _OF_ANY_SECRET},
    )


def _moment(text: str) -> datetime:
    moment = moment_of(text, "time")
    assert moment is not None, "an answer of the registry has times in it, or leaves them out"
    return moment
