"""May this device, or this gateway for that device, send? (hono-registry 3.3)

A device's problem is told before a gateway's: a gateway learns nothing of devices it may not act for
beyond that they cannot be used. An unknown device may be registered by being spoken for (registry/edge_devices.py).
Positive answers are remembered until the change feed touches device or gateway, so that a gateway's thousandth message
costs no query; refusals never are, nor is what the event of a new device still waits for.
"""

import logging
from collections import OrderedDict

from kernel.errors import Refused
from kernel.ids import DeviceId, TenantId
from kernel.log import fields
from registry.announcements import Announcer
from registry.edge_devices import EdgeDevices
from registry.errors import DeviceDisabled, DeviceUnknown, GatewayNotAuthorized, StorageUnavailable
from registry.model import Device, Registration
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

    def __init__(
        self, *, store: ConnectPath, feed: ChangeFeed, edge_devices: EdgeDevices, announcer: Announcer
    ) -> None:
        self._store = store
        self._feed = feed
        self._edge_devices = edge_devices
        self._announcer = announcer
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
        self, tenant_id: TenantId, device_id: DeviceId, *, gateway_id: DeviceId | None = None, remote: str = ""
    ) -> Device:
        """The device, usable and reachable through the gateway if one is named; registered now where it was unknown
        and the gateway may have that done. Its provisioning event, if any, is kept.

        Raises DeviceUnknown, DeviceDisabled, GatewayNotAuthorized, what EdgeDevices.provision raises,
        StorageUnavailable, NorthboundUnavailable.
        """
        as_of = self._changes_seen
        device = await self._store.find_device(tenant_id, device_id)
        if gateway_id is not None and gateway_id != device_id:
            gateway = await self._store.find_device(tenant_id, gateway_id)
            if device is None and gateway is not None and gateway.is_enabled and gateway.may_provision:
                device = await self._edge_devices.provision(tenant_id, device_id, gateway, remote=remote)
            device = _usable(tenant_id, device_id, device)
            _require_gateway(device, gateway, gateway_id)
        else:
            device = _usable(tenant_id, device_id, device)
        if device.notification_due:
            await self._announcer.ensure_announced(device)
        elif as_of == self._changes_seen:  # else the answer may already be old
            self._remember((tenant_id, device_id, gateway_id), device)
        return device

    async def registration(
        self, tenant_id: TenantId, device_id: DeviceId, *, gateway_id: DeviceId | None = None
    ) -> Registration:
        """The whole answer of hono-registry 3.3: `via` as registered, then the members of the device's groups.

        Raises what `assert_registered` raises. Who is in a group is looked up every time.
        """
        device = await self.assert_registered(tenant_id, device_id, gateway_id=gateway_id)
        members = await self._store.find_gateways(tenant_id, device.via_groups) if device.via_groups else ()
        return Registration(
            device_id=device.device_id,
            via=tuple(dict.fromkeys((*device.via, *members))),
            defaults=device.defaults,
            downstream_mapper=device.downstream_mapper,
            upstream_mapper=device.upstream_mapper,
            command_endpoint=device.command_endpoint,
        )

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


def _require_gateway(device: Device, gateway: Device | None, gateway_id: DeviceId) -> None:
    """Raises GatewayNotAuthorized."""
    if gateway is None or not gateway.is_enabled:
        raise GatewayNotAuthorized(f"gateway {gateway_id!r} of tenant {device.tenant_id!r} is unknown or disabled")
    if gateway_id not in device.via and set(gateway.member_of).isdisjoint(device.via_groups):
        raise GatewayNotAuthorized(f"device {device.device_id!r} is not reached through gateway {gateway_id!r}")


def _concerns(question: Question) -> set[Concern]:
    tenant_id, device_id, gateway_id = question
    return {(tenant_id, None), (tenant_id, device_id), (tenant_id, gateway_id)}
