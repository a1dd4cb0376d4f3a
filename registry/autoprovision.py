"""A trusted stranger becomes a device, exactly once (hono-registry 5.1).

`provision` carries out what registry/plan.py found. Device, registration, credential, audit row and the
queued event are one transaction of the store; the event is then handed to the message engine, and only
when that holds it does the connection proceed. An event that could not be kept is sent again: at the
device's next connection, and by `run` in the background. Consumers may see it twice, and never miss it.
"""

import asyncio
import contextlib
import logging
from collections.abc import Coroutine
from datetime import timedelta
from functools import partial

from conf.registry import RegistrySettings
from kernel.clock import Clock, milliseconds
from kernel.errors import TuhonoError, Unavailable
from kernel.ids import AuthId, DeviceId, TenantId, generate_id
from kernel.log import fields
from messaging.message import PROVISIONING_NOTIFICATION, Bundle, Envelope, MessageKind
from messaging.ports import Northbound
from registry.errors import ProvisioningWithdrawn
from registry.model import X509_CERT, Device, KnownDevice, ProvisioningOrder
from registry.plan import ProvisioningPlan
from registry.ports import ConnectPath
from tenant.directory import TenantDirectory
from tenant.limits import ProvisioningMeter
from tenant.ttl import event_ttl_ms

log = logging.getLogger(__name__)

RETRIES_PER_ROUND_MAX = 100  # queued events looked at in one round of `run`
OTHERS_CHECK_S = 0.05  # between looks whether another process has announced the device it created
OTHERS_CHECKS_MAX = 20
OTHERS_PATIENCE = timedelta(seconds=OTHERS_CHECK_S * OTHERS_CHECKS_MAX)

Key = tuple[TenantId, AuthId]
Outcome = tuple[KnownDevice, bool]  # and whether it was created just now


class AutoProvisioner:
    """Creates devices for certificates whose trust anchor allows it."""

    def __init__(
        self,
        *,
        store: ConnectPath,
        tenants: TenantDirectory,
        northbound: Northbound,
        meter: ProvisioningMeter,
        settings: RegistrySettings,
        clock: Clock,
    ) -> None:
        self._store = store
        self._tenants = tenants
        self._northbound = northbound
        self._meter = meter
        self._settings = settings
        self._clock = clock
        self._in_flight: dict[Key, asyncio.Task[Outcome]] = {}

    async def provision(self, plan: ProvisioningPlan, *, remote: str) -> tuple[KnownDevice, bool]:
        """The device on record for the plan's auth-id, and whether this call created it.

        Simultaneous calls for one auth-id share one transaction; across processes the store decides. The
        work outlives a caller that is cancelled: others may be waiting for it. Raises
        ProvisioningRateExceeded, DeviceExists, DeviceLimitReached, ProvisioningWithdrawn,
        StorageUnavailable, NorthboundUnavailable.
        """
        key = (plan.tenant.tenant_id, plan.auth_id)
        under_way = self._in_flight.get(key)
        if under_way is not None:
            known, _ = await asyncio.shield(under_way)
            return known, False
        return await asyncio.shield(self._start(key, self._create(plan, remote)))

    async def ensure_announced(self, known: KnownDevice, auth_id: AuthId) -> None:
        """Return once the device's provisioning event is kept, sending it again if it must be.

        Raises NorthboundUnavailable, StorageUnavailable.
        """
        if not known.notification_due:
            return
        key = (known.device.tenant_id, auth_id)
        under_way = self._in_flight.get(key)
        if under_way is None:
            under_way = self._start(key, self._announce_unless_other_does(known, auth_id))
        await asyncio.shield(under_way)

    async def close(self, *, within_s: float) -> None:
        """Wait for what is under way, then give it up: what is committed by then is announced at the next start."""
        under_way = list(self._in_flight.values())
        if under_way:
            _, late = await asyncio.wait(under_way, timeout=within_s)
            for task in late:
                task.cancel()

    async def announce(self, device: Device) -> None:
        """Send the provisioning event and remember that it is kept. Raises NorthboundUnavailable."""
        kept: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._northbound.submit(self._event(device), partial(_settle, kept))
        await kept
        await self._store.mark_notified(device.tenant_id, device.device_id)

    async def run(self) -> None:
        """Send again, for ever, what no engine has kept yet."""
        while True:
            await asyncio.sleep(self._settings.notification_retry_s)
            try:
                await self._announce_due()
            except Unavailable as fault:
                log.warning("provisioning.retry-failed", extra=fields(code=fault.code, detail=str(fault)))

    def _start(self, key: Key, work: Coroutine[None, None, Outcome]) -> asyncio.Task[Outcome]:
        task = asyncio.get_running_loop().create_task(work)
        self._in_flight[key] = task
        task.add_done_callback(partial(self._finished, key))
        return task

    def _finished(self, key: Key, task: asyncio.Task[Outcome]) -> None:
        del self._in_flight[key]
        if not task.cancelled():
            task.exception()  # retrieved here: the connection that asked may be gone

    async def _create(self, plan: ProvisioningPlan, remote: str) -> Outcome:
        self._meter.charge(plan.anchor)
        order = self._order(plan, remote)
        try:
            known = await self._store.provision(order)
        except TuhonoError:
            self._meter.give_back(plan.anchor)
            raise
        if (known.device.device_id, known.device.status.created) != (order.device_id, order.moment):
            self._meter.give_back(plan.anchor)  # another process was first
            return await self._announce_unless_other_does(known, plan.auth_id)
        log.info(
            "device.provisioned",
            extra=fields(tenant_id=order.tenant_id, device_id=order.device_id, anchor_id=order.anchor_id),
        )
        await self.announce(known.device)
        return known, True

    async def _announce_unless_other_does(self, known: KnownDevice, auth_id: AuthId) -> Outcome:
        """Give the process that created the device a moment to announce it (hono-registry 5.2, step 3b)."""
        device = known.device
        for _ in range(OTHERS_CHECKS_MAX):
            if not known.notification_due:
                return known, False
            if self._clock.now() - device.status.created > OTHERS_PATIENCE:
                break
            await asyncio.sleep(OTHERS_CHECK_S)
            found = await self._store.find_by_credential(device.tenant_id, X509_CERT, auth_id)
            if found is None:
                raise ProvisioningWithdrawn(f"device {device.device_id!r} was deleted while it connected")
            known = found
        if known.notification_due:
            await self.announce(known.device)
        return known, False

    def _order(self, plan: ProvisioningPlan, remote: str) -> ProvisioningOrder:
        certificate = plan.certificate
        return ProvisioningOrder(
            tenant_id=plan.tenant.tenant_id,
            anchor_id=plan.anchor.anchor_id,
            device_id=plan.device_id or DeviceId(generate_id()),
            auth_id=plan.auth_id,
            as_gateway=plan.anchor.provisions_gateways,
            moment=self._clock.now(),
            devices_max=plan.devices_max,
            issuer_dn=certificate.issuer_dn,
            serial_hex=certificate.serial_hex,
            fingerprint_hex=certificate.fingerprint_hex,
            remote=remote,
        )

    def _event(self, device: Device) -> Bundle:
        tenant = self._tenants.find(device.tenant_id)
        envelope = Envelope(
            tenant_id=device.tenant_id,
            device_id=device.device_id,
            kind=MessageKind.EVENT,
            qos=1,
            content_type=PROVISIONING_NOTIFICATION,
            ttl_ms=None if tenant is None else event_ttl_ms(tenant.resource_limits, tenant.defaults, None),
            properties={
                "hono_registration_status": "NEW",
                "tenant_id": device.tenant_id,
                "device_id": device.device_id,
                "orig_adapter": "hono-device-registry",
                "orig_address": "event",
            },
        )
        return Bundle(envelope, milliseconds(self._clock.now()), [None])

    async def _announce_due(self) -> None:
        before = self._clock.now() - timedelta(seconds=self._settings.notification_retry_s)
        for device in await self._store.due_notifications(before=before, limit=RETRIES_PER_ROUND_MAX):
            await self.announce(device)


def _settle(kept: asyncio.Future[None], fault: Unavailable | None) -> None:
    with contextlib.suppress(asyncio.InvalidStateError):  # the connection that waited was cancelled
        if fault is None:
            kept.set_result(None)
        else:
            kept.set_exception(fault)
