"""Devices and their credentials as audit rows show them: what was set, and nothing that proves anything.

Of a secret's material a row says only that there is some, and whether a write changed it; of the headers of a
command endpoint, which carry tokens as a rule, the same.
"""

import re
from collections.abc import Mapping, Sequence
from typing import Any

from registry.model import CommandEndpoint, Credential, Device, Secret
from tenant.audit import Document, instant, said

MASKED = "masked"
CHANGED = "changed"

SecretName = tuple[str, str, str]  # type and auth-id of the credential, id of the secret

_USER = re.compile(r"(?<=//)[^/?#]*@")
_QUERY = re.compile(r"\?[^#]+")


def device_document(device: Device, before: Device | None = None) -> Document:
    """What an operator set. With the device as it was before, what is masked says whether it changed."""
    endpoint = device.command_endpoint
    return said(
        {
            "enabled": device.enabled,
            "via": list(device.via) or None,
            "viaGroups": list(device.via_groups) or None,
            "memberOf": list(device.member_of) or None,
            "authorities": list(device.authorities) or None,
            "defaults": dict(device.defaults) or None,
            "ext": dict(device.ext) or None,
            "downstream-message-mapper": device.downstream_mapper,
            "upstream-message-mapper": device.upstream_mapper,
            "command-endpoint": None
            if endpoint is None
            else _endpoint(endpoint, None if before is None else _headers(before)),
        }
    )


def credentials_document(credentials: Sequence[Credential], before: Sequence[Credential] | None = None) -> Document:
    """`credentials`, a list. With those on record before, material that no secret of that id held is marked."""
    held: dict[SecretName, Mapping[str, Any]] = {
        (entry.type, entry.auth_id, secret.secret_id): secret.material
        for entry in before or ()
        for secret in entry.secrets
    }
    return {"credentials": [_credential(entry, None if before is None else held) for entry in credentials]}


def _headers(device: Device) -> Mapping[str, Any]:
    return {} if device.command_endpoint is None else device.command_endpoint.headers


def _endpoint(endpoint: CommandEndpoint, headers: Mapping[str, Any] | None) -> Document:
    """`headers` as they were before."""
    return said(
        {
            "uri": None if endpoint.uri is None else _without_secrets(endpoint.uri),
            "headers": {
                name: MASKED if headers is None or headers.get(name) == text else CHANGED
                for name, text in endpoint.headers.items()
            }
            or None,
            "payload-properties": dict(endpoint.payload_properties) or None,
        }
    )


def _without_secrets(uri: str) -> str:
    """What stands before the host, and the query: names and passwords, tokens."""
    return _QUERY.sub(f"?{MASKED}", _USER.sub(f"{MASKED}@", uri))


def _credential(credential: Credential, held: Mapping[SecretName, Mapping[str, Any]] | None) -> Document:
    name = (credential.type, credential.auth_id)
    return said(
        {
            "type": credential.type,
            "auth-id": credential.auth_id,
            "enabled": credential.enabled,
            "comment": credential.comment,
            "ext": dict(credential.ext) or None,
            "secrets": [
                _secret(secret, None if held is None else held.get((*name, secret.secret_id), {}))
                for secret in credential.secrets
            ],
        }
    )


def _secret(secret: Secret, before: Mapping[str, Any] | None) -> Document:
    same = before is None or before == secret.material
    return said(
        {
            "id": secret.secret_id,
            "enabled": secret.enabled,
            "not-before": None if secret.not_before is None else instant(secret.not_before),
            "not-after": None if secret.not_after is None else instant(secret.not_after),
            "comment": secret.comment,
            "material": (MASKED if same else CHANGED) if secret.material else None,
        }
    )
