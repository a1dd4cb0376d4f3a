"""Files that say what tenants, devices and credentials are to be, in the JSON of the management API."""

import sys
from collections.abc import Sequence
from datetime import datetime
from pathlib import Path
from typing import Any

import msgspec

from dialects.hono.shapes.credential_updates import updates_of
from dialects.hono.shapes.credentials import credential_view
from dialects.hono.shapes.device import DeviceBody, device_entry, device_of
from dialects.hono.shapes.tenant import TenantBody, tenant_entry, tenant_of
from dialects.hono.shapes.values import BodyInvalid, parse_json, shaped
from registry.credentials import CredentialUpdate
from registry.model import CredentialSet, Device, DeviceStatus
from tenant.model import Tenant
from tuhono.cli.errors import FileUnusable

DOCUMENT_MAX_BYTES = 1_048_576
STANDARD_INPUT = Path("-")


def read_tenant(source: Path, tenant_id: str) -> Tenant:
    """The tenant a file describes. An `id` in it, as commands print one, must be the tenant's, or names it.

    Raises BodyInvalid, FileUnusable, OSError.
    """
    document = parse_json(_content(source))
    named = document.pop("id", tenant_id) if isinstance(document, dict) else tenant_id
    if not isinstance(named, str) or (tenant_id and named != tenant_id):
        raise BodyInvalid("id", f"is not that of tenant {tenant_id!r}")
    return tenant_of(shaped(TenantBody, document), named)


def tenant_json(tenant: Tenant) -> dict[str, Any]:
    """A tenant as the API shows it, its id in front."""
    entry: dict[str, Any] = msgspec.to_builtins(tenant_entry(tenant))
    return {"id": entry.pop("id"), **entry}


def read_device(source: Path, tenant_id: str, device_id: str, moment: datetime) -> Device:
    """The device a file describes. An `id` in it, as commands print one, must be the device's, or names it.

    Raises BodyInvalid, FileUnusable, OSError.
    """
    document = parse_json(_content(source))
    named = document.pop("id", device_id) if isinstance(document, dict) else device_id
    if not isinstance(named, str) or (device_id and named != device_id):
        raise BodyInvalid("id", f"is not that of device {device_id!r}")
    return device_of(shaped(DeviceBody, document), tenant_id, named, DeviceStatus(created=moment))


def device_json(device: Device) -> dict[str, Any]:
    """A device as the API shows it, its id in front."""
    entry: dict[str, Any] = msgspec.to_builtins(device_entry(device))
    return {"id": entry.pop("id"), **entry}


def read_credentials(source: Path) -> Sequence[CredentialUpdate]:
    """The credentials a file describes. Raises BodyInvalid, FileUnusable, OSError."""
    return updates_of(_content(source))


def credentials_json(found: CredentialSet) -> list[dict[str, Any]]:
    """Credentials as the API shows them."""
    return [msgspec.to_builtins(credential_view(one)) for one in found.credentials]


def _content(source: Path) -> bytes:
    if source == STANDARD_INPUT:
        content = sys.stdin.buffer.read(DOCUMENT_MAX_BYTES + 1)
    else:
        with source.open("rb") as file:
            content = file.read(DOCUMENT_MAX_BYTES + 1)
    if len(content) > DOCUMENT_MAX_BYTES:
        raise FileUnusable(f"{source} is longer than {DOCUMENT_MAX_BYTES} bytes")
    return content
