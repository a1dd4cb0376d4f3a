"""Rules about devices and credentials that every database keeps in the same words."""

from collections.abc import Iterable
from dataclasses import replace
from datetime import datetime
from uuid import UUID, uuid5

from kernel.errors import VersionMismatch
from kernel.ids import DeviceId, TenantId, generate_id
from registry.errors import CredentialTaken, DeviceExists, DeviceLimitReached, DeviceUnknown
from registry.model import Credential, Device
from tenant.audit import Deed

DELETED_TENANTS_MAX = 10_000  # remembered, so that deleting a device of one of them is no error

_CREDENTIALS = UUID("6d3a3f0e-6f0a-4c2b-9d5e-2f1f4a7b8c90")  # namespace of the versions made here


def credentials_version(tenant_id: TenantId, device_id: DeviceId, created: datetime) -> str:
    """The version of credentials that never changed since the device was made: what a connecting device causes to be
    written needs none of its own.
    """
    return str(uuid5(_CREDENTIALS, f"{tenant_id}\0{device_id}\0{created.isoformat()}"))


def created_device(device: Device) -> Device:
    """The device as it is stored first."""
    return device if device.version else replace(device, version=generate_id())


def replaced_device(device: Device, before: Device) -> Device:
    """The device as it is stored in place of another: what only the registry knows of it stays."""
    status = replace(before.status, updated=device.status.updated, last_user=device.status.last_user)
    stale = not device.version or device.version == before.version
    return replace(device, status=status, version=generate_id() if stale else device.version)


def switched_device(device: Device, deed: Deed, *, enabled: bool) -> Device:
    """The same device, switched on or off."""
    status = replace(device.status, updated=deed.moment, last_user=deed.actor)
    return replace(device, enabled=enabled, status=status, version=generate_id())


def owned_credentials(
    credentials: Iterable[Credential], tenant_id: TenantId, device_id: DeviceId
) -> tuple[Credential, ...]:
    """The credentials as that device's, in the order of types and auth-ids. Raises CredentialTaken for one twice."""
    of_name: dict[tuple[str, str], Credential] = {}
    for credential in credentials:
        name = (credential.type, credential.auth_id)
        if name in of_name:
            raise CredentialTaken(f"{credential.type} {credential.auth_id!r} is listed twice")
        of_name[name] = replace(credential, tenant_id=tenant_id, device_id=device_id)
    return tuple(of_name[name] for name in sorted(of_name))


def check_device_version(device_id: DeviceId, stored: str, expected: str | None, what: str = "device") -> None:
    """Raises VersionMismatch unless the caller expects nothing, or what is stored."""
    if expected is not None and expected != stored:
        raise VersionMismatch(f"{what} {device_id!r} is at version {stored}, not {expected}")


def check_room(tenant_id: TenantId, devices: int, devices_max: int) -> None:
    """Raises DeviceLimitReached where the tenant may not have one more."""
    if 0 <= devices_max <= devices:
        raise DeviceLimitReached(f"tenant {tenant_id!r} holds {devices} of {devices_max} devices")


def device_unknown(tenant_id: TenantId, device_id: DeviceId) -> DeviceUnknown:
    return DeviceUnknown(f"tenant {tenant_id!r} has no device {device_id!r}")


def device_exists(tenant_id: TenantId, device_id: DeviceId) -> DeviceExists:
    return DeviceExists(f"device id {device_id!r} is taken in tenant {tenant_id!r}")


def credential_taken(credential: Credential) -> CredentialTaken:
    return CredentialTaken(f"{credential.type} {credential.auth_id!r} belongs to another device")
