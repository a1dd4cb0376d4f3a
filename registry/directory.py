"""The lookup on the connect path: the device a certificate stands for, and whether it may be used."""

from kernel.ids import AuthId, TenantId
from registry.errors import CredentialDisabled, DeviceDisabled
from registry.model import X509_CERT, KnownDevice
from registry.ports import ConnectPath


class DeviceDirectory:
    """Finds devices by what they prove. Raises StorageUnavailable."""

    def __init__(self, *, store: ConnectPath) -> None:
        self._store = store

    async def find_by_certificate(self, tenant_id: TenantId, auth_id: AuthId) -> KnownDevice | None:
        """The device that the X.509 credential `auth_id` stands for, in whatever state it is."""
        return await self._store.find_by_credential(tenant_id, X509_CERT, auth_id)

    def find_by_certificate_now(self, tenant_id: TenantId, auth_id: AuthId) -> KnownDevice | None:
        """The same without waiting; StorageUnavailable where the store cannot answer so."""
        return self._store.find_by_credential_now(tenant_id, X509_CERT, auth_id)


def require_usable(known: KnownDevice) -> None:
    """Raises CredentialDisabled, then DeviceDisabled: what is switched off stays off."""
    device = known.device
    if not known.credential_enabled:
        detail = f"the credential of device {device.device_id!r} is disabled"
        raise CredentialDisabled(detail, device_id=device.device_id)
    if not device.is_enabled:
        detail = f"device {device.device_id!r} of tenant {device.tenant_id!r} is disabled"
        raise DeviceDisabled(detail, tenant_id=device.tenant_id, device_id=device.device_id)
