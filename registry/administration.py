"""What an operator may do with devices. Blocking, as the repository is."""

from collections.abc import Iterator, Sequence

from kernel.clock import Clock
from kernel.ids import DeviceId, TenantId
from registry.errors import DeviceUnknown
from registry.model import Credential, Device
from registry.ports import DeviceRepository

PAGE_DEVICES = 500


class DeviceAdministration:
    """Reads, enables, disables and deletes devices."""

    def __init__(self, *, devices: DeviceRepository, clock: Clock) -> None:
        self._devices = devices
        self._clock = clock

    def get(self, tenant_id: str, device_id: str) -> Device:
        """Raises DeviceUnknown."""
        device = self._devices.find(TenantId(tenant_id), DeviceId(device_id))
        if device is None:
            raise DeviceUnknown(f"tenant {tenant_id!r} has no device {device_id!r}")
        return device

    def credentials_of(self, device: Device) -> Sequence[Credential]:
        return self._devices.credentials_of(device.tenant_id, device.device_id)

    def all(self, tenant_id: str) -> Iterator[Device]:
        """Every device of the tenant in the order of ids, read a page at a time."""
        after: DeviceId | None = None
        while page := self._devices.find_all(TenantId(tenant_id), after=after, limit=PAGE_DEVICES):
            yield from page
            after = page[-1].device_id

    def set_enabled(self, tenant_id: str, device_id: str, *, enabled: bool) -> None:
        """Disabling ends the device's live connections. Raises DeviceUnknown."""
        self._devices.set_enabled(TenantId(tenant_id), DeviceId(device_id), enabled=enabled, moment=self._clock.now())

    def delete(self, tenant_id: str, device_id: str) -> None:
        """With its credentials, ending its live connections. A certificate whose CA provisions registers
        again at its next connection: disable a device to keep it out. Raises DeviceUnknown.
        """
        self._devices.delete(TenantId(tenant_id), DeviceId(device_id))
