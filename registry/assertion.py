"""May this device, or this gateway for that device, send? (hono-registry 3.3)

A device's problem is told before a gateway's: a gateway learns nothing of devices it may not act for
beyond that they cannot be used. Positive answers are remembered until the change feed touches
device or gateway, so that a gateway's thousandth message costs no query; refusals never are.
"""

import logging
from collections import OrderedDict

from kernel.errors import Refused
from kernel.ids import DeviceId, TenantId
from kernel.log import fields
from registry.errors import DeviceDisabled, DeviceUnknown, GatewayNotAuthorized, StorageUnavailable
from registry.model import Device
from registry.ports import ConnectPath
from tenant.ports import Change, ChangeFeed, ChangeKind

log = logging.getLogger(__name__)

REMEMBERED_MAX = 20_000  # positive answers, over all tenants

FORGOTTEN_ON = frozenset(
    {ChangeKind.DEVICE, ChangeKind.DEVICE_DELETED, ChangeKind.DEVICES_DELETED, ChangeKind.TENANT_DELETED}
)

Question = tuple[TenantId, DeviceId, DeviceId | None]  # device, and the gateway that asks for it
Concern = tuple[TenantId, DeviceId | None]  # a device, or with None the whole tenant


class RegistrationAssertion:
    """Decides per message sent for a device other than the connection's own. Used on the event loop only."""

    def __init__(self, *, store: ConnectPath, feed: ChangeFeed) -> None:
        self._store = store
        self._feed = feed
        self._remembered: OrderedDict[Question, Device] = OrderedDict()
        self._concerning: dict[Concern, set[Question]] = {}  # what each device, and each tenant, has a part in
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
        device = _usable(tenant_id, device_id, await self._store.find_device(tenant_id, device_id))
        if gateway_id is not None and gateway_id != device_id:
            await self._require_gateway(device, gateway_id)
        if as_of == self._changes_seen:  # else the answer may already be old
            self._remember((tenant_id, device_id, gateway_id), device)
        return device

    def refusal_behind(self, gateway: DeviceDisabled, tenant_id: TenantId, device_id: DeviceId) -> Refused:
        """What a gateway that is switched off is told of a device it names: the device's own trouble first.

        Where the store cannot say at once, only the gateway's.
        """
        try:
            _usable(tenant_id, device_id, self._store.find_device_now(tenant_id, device_id))
        except Refused as refusal:
            return refusal
        except StorageUnavailable as fault:
            log.warning("assertion.device-not-looked-up", extra=fields(code=fault.code, detail=str(fault)))
        return GatewayNotAuthorized(str(gateway))

    async def _require_gateway(self, device: Device, gateway_id: DeviceId) -> None:
        gateway = await self._store.find_device(device.tenant_id, gateway_id)
        if gateway is None or not gateway.is_enabled:
            raise GatewayNotAuthorized(f"gateway {gateway_id!r} of tenant {device.tenant_id!r} is unknown or disabled")
        if gateway_id not in device.via and set(gateway.member_of).isdisjoint(device.via_groups):
            raise GatewayNotAuthorized(f"device {device.device_id!r} is not reached through gateway {gateway_id!r}")

    def _remember(self, question: Question, device: Device) -> None:
        self._remembered[question] = device
        for concern in _concerns(question):
            self._concerning.setdefault(concern, set()).add(question)
        if len(self._remembered) > REMEMBERED_MAX:
            self._forget(next(iter(self._remembered)))

    def _forget(self, question: Question) -> None:
        del self._remembered[question]
        for concern in _concerns(question):
            questions = self._concerning[concern]
            questions.discard(question)
            if not questions:
                del self._concerning[concern]

    def _follow(self, change: Change) -> None:
        self._changes_seen += 1
        if change.kind is ChangeKind.RESET:
            self._remembered.clear()
            self._concerning.clear()
        elif change.tenant_id is not None and change.kind in FORGOTTEN_ON:
            for question in list(self._concerning.get((change.tenant_id, change.device_id), ())):
                self._forget(question)


def _usable(tenant_id: TenantId, device_id: DeviceId, device: Device | None) -> Device:
    """Raises DeviceUnknown, DeviceDisabled."""
    if device is None:
        raise DeviceUnknown(f"tenant {tenant_id!r} has no device {device_id!r}")
    if not device.is_enabled:
        raise DeviceDisabled(f"device {device_id!r} of tenant {tenant_id!r} is disabled")
    return device


def _concerns(question: Question) -> set[Concern]:
    tenant_id, device_id, gateway_id = question
    return {(tenant_id, None), (tenant_id, device_id), (tenant_id, gateway_id)}
