"""May this device, or this gateway for that device, send? (hono-registry 3.3)

A device's problem is told before a gateway's: a gateway learns nothing of devices it may not act for
beyond that they cannot be used. Positive answers are remembered until the change feed touches their
tenant's devices, so that a gateway's thousandth message costs no query; refusals never are.
"""

from collections import OrderedDict

from kernel.ids import DeviceId, TenantId
from registry.errors import DeviceDisabled, DeviceUnknown, GatewayNotAuthorized
from registry.model import Device
from registry.ports import ConnectPath
from tenant.ports import Change, ChangeFeed, ChangeKind

REMEMBERED_MAX = 20_000  # positive answers, over all tenants

Question = tuple[TenantId, DeviceId, DeviceId | None]


class RegistrationAssertion:
    """Decides per message sent for a device other than the connection's own. Used on the event loop only."""

    def __init__(self, *, store: ConnectPath, feed: ChangeFeed) -> None:
        self._store = store
        self._feed = feed
        self._remembered: OrderedDict[Question, Device] = OrderedDict()
        self._changes_seen = 0
        feed.subscribe(self._follow)

    def remembered(
        self, tenant_id: TenantId, device_id: DeviceId, *, gateway_id: DeviceId | None = None
    ) -> Device | None:
        """The answer, if it was positive before and still is. Raises StorageUnavailable."""
        self._feed.catch_up()
        return self._remembered.get((tenant_id, device_id, gateway_id))

    async def assert_registered(
        self, tenant_id: TenantId, device_id: DeviceId, *, gateway_id: DeviceId | None = None
    ) -> Device:
        """The device, usable and reachable through the gateway if one is named.

        Raises DeviceUnknown, DeviceDisabled, GatewayNotAuthorized, StorageUnavailable.
        """
        as_of = self._changes_seen
        device = await self._store.find_device(tenant_id, device_id)
        if device is None:
            raise DeviceUnknown(f"tenant {tenant_id!r} has no device {device_id!r}")
        if not device.is_enabled:
            raise DeviceDisabled(f"device {device_id!r} of tenant {tenant_id!r} is disabled")
        if gateway_id is not None and gateway_id != device_id:
            await self._require_gateway(device, gateway_id)
        if as_of == self._changes_seen:  # else the answer may already be old
            self._remember((tenant_id, device_id, gateway_id), device)
        return device

    async def _require_gateway(self, device: Device, gateway_id: DeviceId) -> None:
        gateway = await self._store.find_device(device.tenant_id, gateway_id)
        if gateway is None or not gateway.is_enabled:
            raise GatewayNotAuthorized(f"gateway {gateway_id!r} of tenant {device.tenant_id!r} is unknown or disabled")
        if gateway_id not in device.via and set(gateway.member_of).isdisjoint(device.via_groups):
            raise GatewayNotAuthorized(f"device {device.device_id!r} is not reached through gateway {gateway_id!r}")

    def _remember(self, question: Question, device: Device) -> None:
        self._remembered[question] = device
        if len(self._remembered) > REMEMBERED_MAX:
            self._remembered.popitem(last=False)

    def _follow(self, change: Change) -> None:
        self._changes_seen += 1
        if change.kind is ChangeKind.RESET:
            self._remembered.clear()
        elif change.kind not in {ChangeKind.ANCHOR_REMOVED, ChangeKind.CREDENTIAL}:
            gone = [question for question in self._remembered if question[0] == change.tenant_id]
            for question in gone:
                del self._remembered[question]
