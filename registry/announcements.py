"""The event that tells applications of a provisioned device (hono-registry 5.3): kept at least once.

It is queued in the transaction that registers the device. Whoever needs the device waits until the message engine
holds it; an event that could not be kept is sent again: at the device's next message or connection, and by `run` in
the background. Consumers may see it twice, and never miss it.
"""

import asyncio
import contextlib
import logging
from datetime import timedelta
from functools import partial

from conf.registry import RegistrySettings
from kernel.clock import Clock
from kernel.errors import Unavailable
from kernel.ids import DeviceId, TenantId
from kernel.log import fields
from messaging.message import Bundle
from messaging.ports import Northbound
from registry.errors import ProvisioningWithdrawn
from registry.model import Device
from registry.notifications import device_event
from registry.ports import ConnectPath
from tenant.directory import TenantDirectory

log = logging.getLogger(__name__)

RETRIES_PER_ROUND_MAX = 100  # queued events looked at in one round of `run`
OTHERS_CHECK_S = 0.05  # between looks whether another process has announced the device it created
OTHERS_CHECKS_MAX = 20
OTHERS_PATIENCE = timedelta(seconds=OTHERS_CHECK_S * OTHERS_CHECKS_MAX)


class Announcer:
    """Sends provisioning events. Used on the event loop only."""

    def __init__(
        self,
        *,
        store: ConnectPath,
        tenants: TenantDirectory,
        northbound: Northbound,
        settings: RegistrySettings,
        clock: Clock,
    ) -> None:
        self._store = store
        self._tenants = tenants
        self._northbound = northbound
        self._retry_s = settings.notification_retry_s
        self._clock = clock
        self._under_way: dict[tuple[TenantId, DeviceId], asyncio.Task[None]] = {}

    def event(self, device: Device) -> Bundle:
        """The event itself, to be submitted."""
        return device_event(
            self._tenants.find(device.tenant_id),
            device.tenant_id,
            device.device_id,
            "NEW",
            moment_ms=self._clock.now_ms(),
            gateway_id=device.status.gateway_id,
        )

    async def announce(self, device: Device) -> None:
        """Send the event and remember that it is kept. Raises NorthboundUnavailable, StorageUnavailable."""
        kept: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._northbound.submit(self.event(device), partial(_settle, kept))
        await kept
        await self._store.mark_notified(device.tenant_id, device.device_id)

    async def ensure_announced(self, device: Device) -> None:
        """Return once the device's event is kept, sending it where nobody else does.

        Simultaneous calls share one event, which outlives a caller that is cancelled. Raises NorthboundUnavailable,
        StorageUnavailable, ProvisioningWithdrawn where the device was deleted meanwhile.
        """
        if not device.notification_due:
            return
        key = (device.tenant_id, device.device_id)
        task = self._under_way.get(key)
        if task is None:
            task = asyncio.get_running_loop().create_task(self._announce_unless_other_does(device))
            self._under_way[key] = task
            task.add_done_callback(partial(self._ended, key))
        await asyncio.shield(task)

    async def run(self) -> None:
        """Send again, for ever, what no engine has kept yet."""
        while True:
            await asyncio.sleep(self._retry_s)
            try:
                await self._announce_due()
            except Unavailable as fault:
                log.warning("provisioning.retry-failed", extra=fields(code=fault.code, detail=str(fault)))

    async def close(self, *, within_s: float) -> None:
        """Wait for what is under way, then give it up: it is sent at the next start."""
        tasks = list(self._under_way.values())
        if tasks:
            _, late = await asyncio.wait(tasks, timeout=within_s)
            for task in late:
                task.cancel()

    async def _announce_unless_other_does(self, device: Device) -> None:
        """Give the process that created the device a moment to announce it (hono-registry 5.2, step 3b)."""
        found: Device | None = device
        for _ in range(OTHERS_CHECKS_MAX):
            if self._clock.now() - device.status.created > OTHERS_PATIENCE:
                break
            await asyncio.sleep(OTHERS_CHECK_S)
            found = await self._store.find_device(device.tenant_id, device.device_id)
            if found is None:
                raise ProvisioningWithdrawn(f"device {device.device_id!r} was deleted while it connected")
            if not found.notification_due:
                return
        await self.announce(device)

    async def _announce_due(self) -> None:
        before = self._clock.now() - timedelta(seconds=self._retry_s)
        for device in await self._store.due_notifications(before=before, limit=RETRIES_PER_ROUND_MAX):
            await self.announce(device)

    def _ended(self, key: tuple[TenantId, DeviceId], task: asyncio.Task[None]) -> None:
        del self._under_way[key]
        if not task.cancelled():
            task.exception()  # told to those who wait for it, if any still do


def _settle(kept: asyncio.Future[None], fault: Unavailable | None) -> None:
    with contextlib.suppress(asyncio.InvalidStateError):  # the connection that waited was cancelled
        if fault is None:
            kept.set_result(None)
        else:
            kept.set_exception(fault)
