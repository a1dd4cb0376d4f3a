"""What operators are told of a device's connections."""

from kernel.clock import Clock
from registry.administration import DeviceAdministration
from registry.model import Device
from registry.presence import Presence, PresenceRecord


class Connections:
    """Looks up one device at a time. Blocking."""

    def __init__(self, *, devices: DeviceAdministration, record: PresenceRecord, clock: Clock) -> None:
        self._devices = devices
        self._record = record
        self._clock = clock

    def of(self, tenant_id: str, device_id: str) -> Presence | None:
        """None for a device never seen. Raises TenantUnknown, DeviceUnknown, StorageUnavailable."""
        return self.of_device(self._devices.get(tenant_id, device_id))

    def of_device(self, device: Device) -> Presence | None:
        """The same for one that was read already."""
        return self._record.find(device.tenant_id, device.device_id, at=self._clock.now())
