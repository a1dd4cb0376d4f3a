"""A device together with its credentials: one JSON object in a request, one line in an export.

What an export writes, an import reads; a status is left to the registry, as everywhere.
"""

from collections.abc import Sequence
from dataclasses import replace
from typing import Annotated, Any

import msgspec
from msgspec import UNSET, Meta, UnsetType

from dialects.hono.errors import BodyInvalid
from dialects.hono.shapes.credential_updates import updates_in
from dialects.hono.shapes.credentials import CredentialsBody, CredentialView, credential_view
from dialects.hono.shapes.device import DeviceBody, DeviceView, device_view
from dialects.hono.shapes.tenant import TenantBody, tenant_shown
from dialects.hono.shapes.values import Json, base64_text, shaped
from kernel.ids import ID_MAX_CHARS
from registry.credentials import CredentialUpdate
from registry.model import X509_CERT, Credential, Device
from tenant.model import Tenant


class RegistrationBody(msgspec.Struct, forbid_unknown_fields=True, kw_only=True):
    """A device to be registered, with everything it needs to connect."""

    id: (
        Annotated[str, Meta(min_length=1, max_length=ID_MAX_CHARS, description="Generated where absent.")] | UnsetType
    ) = UNSET
    device: DeviceBody = msgspec.field(default_factory=DeviceBody)
    credentials: CredentialsBody = msgspec.field(default_factory=list)


class TenantRecord(msgspec.Struct, forbid_unknown_fields=True, kw_only=True):
    """A tenant on record, whole: the first line of a file that holds one."""

    id: str
    tenant: TenantBody


class RegistrationView(msgspec.Struct, kw_only=True):
    """A device as it is on record, with its credentials."""

    id: str
    device: DeviceView
    credentials: list[CredentialView]


def registration_in(value: Any) -> tuple[RegistrationBody, Sequence[CredentialUpdate]]:
    """A value out of `parse_json` as a registration, and its credentials as wished. Raises BodyInvalid."""
    body = shaped(RegistrationBody, value)
    try:
        return body, [_self_contained(update) for update in updates_in(body.credentials)]
    except BodyInvalid as fault:
        raise fault if fault.member.startswith("credentials") else fault.within("credentials") from fault


def registration_view(device: Device, credentials: Sequence[Credential]) -> RegistrationView:
    return RegistrationView(
        id=device.device_id,
        device=device_view(device),
        credentials=[credential_view(credential) for credential in credentials],
    )


def tenant_document(tenant: Tenant) -> Json:
    """A tenant as a body, with the certificates of its anchors, which a read never shows."""
    document: Json = msgspec.to_builtins(tenant_shown(tenant))
    for entry, anchor in zip(document.get("trusted-ca", ()), tenant.trust_anchors, strict=True):
        if anchor.authority.certificate_der is not None:
            entry["cert"] = base64_text(anchor.authority.certificate_der)
    return document


def _self_contained(update: CredentialUpdate) -> CredentialUpdate:
    """Ids of secrets name what is on record, and count only where there is nothing else to know the secret by."""
    secrets = (
        replace(secret, secret_id=None) if secret.material or secret.password or update.type == X509_CERT else secret
        for secret in update.secrets
    )
    return replace(update, secrets=tuple(secrets))
