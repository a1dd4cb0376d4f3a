"""A trusted stranger becomes a device, exactly once (hono-registry 5.1).

`provision` carries out what registry/plan.py found. Device, registration, credential, audit row and the
queued event are one transaction of the store; the event is then handed to the message engine, and only
when that holds it does the connection proceed. An event that could not be kept is registry/announcements' to send.
"""

import asyncio
import logging
from functools import partial

from kernel.clock import Clock
from kernel.errors import TuhonoError, Unavailable
from kernel.ids import AuthId, TenantId
from kernel.log import Event
from messaging.ports import Northbound
from registry.announcements import Announcer
from registry.device_ids import DeviceIds
from registry.model import KnownDevice, ProvisioningOrder
from registry.plan import ProvisioningPlan
from registry.ports import ConnectPath
from tenant.limits import ProvisioningMeter
from tenant.model import TrustAnchor

log = logging.getLogger(__name__)
_PROVISIONED = Event(log, "device.provisioned", "tenant_id", "device_id", "anchor_id")

Outcome = tuple[KnownDevice, bool]  # and whether it was created just now


class _UnderWay:
    """Work for one auth-id. Any number of connections wait for it, and it outlives each of them."""

    __slots__ = ("key", "task", "waiting")

    def __init__(self, key: tuple[TenantId, AuthId]) -> None:
        self.key = key
        self.task: asyncio.Task[Outcome] | None = None  # where it takes waiting for others
        self.waiting: list[asyncio.Future[Outcome]] = []

    def joined(self) -> asyncio.Future[Outcome]:
        """A caller's own share in it."""
        future: asyncio.Future[Outcome] = asyncio.get_running_loop().create_future()
        self.waiting.append(future)
        return future


class AutoProvisioner:
    """Creates devices for certificates whose trust anchor allows it."""

    def __init__(
        self,
        *,
        store: ConnectPath,
        northbound: Northbound,
        announcer: Announcer,
        meter: ProvisioningMeter,
        clock: Clock,
    ) -> None:
        self._store = store
        self._northbound = northbound
        self._announcer = announcer
        self._meter = meter
        self._clock = clock
        self._device_ids = DeviceIds()
        self._in_flight: dict[tuple[TenantId, AuthId], _UnderWay] = {}

    async def provision(self, plan: ProvisioningPlan, *, remote: str) -> tuple[KnownDevice, bool]:
        """The device on record for the plan's auth-id, and whether this call created it.

        Simultaneous calls for one auth-id share one transaction; across processes the store decides. The
        work outlives a caller that is cancelled: others may be waiting for it. Raises
        ProvisioningRateExceeded, DeviceExists, DeviceLimitReached, ProvisioningWithdrawn,
        StorageUnavailable, NorthboundUnavailable.
        """
        under_way = self._in_flight.get((plan.tenant.tenant_id, plan.auth_id))
        if under_way is not None:
            known, _ = await under_way.joined()
            return known, False
        self._meter.charge(plan.anchor)
        order = self._order(plan, remote)
        under_way = self._begin(plan.tenant.tenant_id, plan.auth_id)
        registering = self._store.provision(order)
        registering.add_done_callback(partial(self._registered, under_way, plan.anchor, order))
        return await under_way.joined()

    async def ensure_announced(self, known: KnownDevice, auth_id: AuthId) -> None:
        """Return once the device's provisioning event is kept, sending it again if it must be.

        Raises NorthboundUnavailable, StorageUnavailable.
        """
        under_way = self._in_flight.get((known.device.tenant_id, auth_id)) if known.notification_due else None
        if under_way is None:
            await self._announcer.ensure_announced(known.device)
        else:
            await under_way.joined()

    async def close(self, *, within_s: float) -> None:
        """Wait for what is under way, then give it up: what is committed by then is announced at the next start."""
        under_way = list(self._in_flight.values())
        if not under_way:
            return
        done, _ = await asyncio.wait([one.joined() for one in under_way], timeout=within_s)
        for share in done:
            share.exception()  # told to those who came for it
        for late in list(self._in_flight.values()):
            if late.task is not None:
                late.task.cancel()
            for share in late.waiting:
                share.cancel()

    def _begin(self, tenant_id: TenantId, auth_id: AuthId) -> _UnderWay:
        under_way = self._in_flight[tenant_id, auth_id] = _UnderWay((tenant_id, auth_id))
        return under_way

    # From the order to its end by callbacks, one a stage: a task for each device, shielded, costs 5 us more.

    def _registered(
        self,
        under_way: _UnderWay,
        anchor: TrustAnchor,
        order: ProvisioningOrder,
        registering: asyncio.Future[KnownDevice],
    ) -> None:
        try:
            known = registering.result()
            device = known.device
            if (device.device_id, device.status.created) != (order.device_id, order.moment):
                self._meter.give_back(anchor)  # another process was first
                self._wait_for_other(under_way, known)
                return
            _PROVISIONED.info(order.tenant_id, order.device_id, order.anchor_id)
            self._northbound.submit(self._announcer.event(device), partial(self._kept, under_way, known))
        except TuhonoError as fault:
            self._meter.give_back(anchor)
            self._end(under_way, fault)
        except Exception as defect:
            self._end(under_way, defect)

    def _kept(self, under_way: _UnderWay, known: KnownDevice, fault: Unavailable | None) -> None:
        if fault is not None:
            self._end(under_way, fault)
            return
        marking = self._store.mark_notified(known.device.tenant_id, known.device.device_id)
        marking.add_done_callback(partial(self._marked, under_way, known))

    def _marked(self, under_way: _UnderWay, known: KnownDevice, marking: asyncio.Future[None]) -> None:
        self._end(under_way, marking.exception() or (known, True))

    def _wait_for_other(self, under_way: _UnderWay, known: KnownDevice) -> None:
        under_way.task = asyncio.get_running_loop().create_task(self._announced_by_other(known))
        under_way.task.add_done_callback(partial(self._announced, under_way))

    async def _announced_by_other(self, known: KnownDevice) -> Outcome:
        await self._announcer.ensure_announced(known.device)
        return known, False

    def _announced(self, under_way: _UnderWay, task: asyncio.Task[Outcome]) -> None:
        if task.cancelled():
            self._end(under_way, asyncio.CancelledError())
        else:
            self._end(under_way, task.exception() or task.result())

    def _end(self, under_way: _UnderWay, outcome: Outcome | BaseException) -> None:
        del self._in_flight[under_way.key]
        for share in under_way.waiting:
            if share.done():
                continue  # that connection is gone
            if isinstance(outcome, asyncio.CancelledError):
                share.cancel()
            elif isinstance(outcome, BaseException):
                share.set_exception(outcome)
            else:
                share.set_result(outcome)

    def _order(self, plan: ProvisioningPlan, remote: str) -> ProvisioningOrder:
        certificate = plan.certificate
        return ProvisioningOrder(
            tenant_id=plan.tenant.tenant_id,
            anchor_id=plan.anchor.anchor_id,
            device_id=plan.device_id or self._device_ids.make(self._clock.now_ms()),
            auth_id=plan.auth_id,
            as_gateway=plan.anchor.provisions_gateways,
            moment=self._clock.now(),
            devices_max=plan.devices_max,
            issuer_dn=certificate.issuer_dn,
            serial_hex=certificate.serial_hex,
            fingerprint_hex=certificate.fingerprint_hex,
            remote=remote,
            template=plan.anchor.device_template,
        )
