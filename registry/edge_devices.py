"""An unknown device that a gateway speaks for becomes a device behind it, exactly once (hono-registry 5.2).

The gateway must be enabled and hold the authority `auto-provisioning-enabled`; registry/assertion.py looks at that, and
the store looks again inside the transaction. The gateway's message goes on only once the event of the new device is
kept. A device that is there already stays as it is, whomever it belongs to.
"""

import asyncio
from functools import partial

from conf.registry import RegistrySettings
from kernel.clock import Clock
from kernel.ids import DeviceId, IdRule, TenantId
from registry.announcements import Announcer
from registry.errors import DeviceIdInvalid
from registry.model import Device, EdgeOrder
from registry.plan import devices_max_of
from registry.ports import ConnectPath
from tenant.directory import TenantDirectory
from tenant.errors import TenantUnknown


class EdgeDevices:
    """Registers devices behind gateways. Used on the event loop only."""

    def __init__(
        self,
        *,
        store: ConnectPath,
        tenants: TenantDirectory,
        announcer: Announcer,
        settings: RegistrySettings,
        clock: Clock,
    ) -> None:
        self._store = store
        self._tenants = tenants
        self._announcer = announcer
        self._device_ids = IdRule(settings.device_id_pattern)
        self._devices_max = settings.devices_per_tenant_max
        self._clock = clock
        self._in_flight: dict[tuple[TenantId, DeviceId], asyncio.Task[Device]] = {}

    async def provision(self, tenant_id: TenantId, device_id: DeviceId, gateway: Device, *, remote: str = "") -> Device:
        """The device on record under that id, its event kept; made now where there was none.

        Whether this gateway may speak for it is the caller's to ask. Simultaneous calls for one id share one
        transaction, and what was begun outlives a caller that is cancelled; across processes the store decides.
        Raises DeviceIdInvalid, DeviceLimitReached, DeviceUnknown, GatewayNotAuthorized, ProvisioningWithdrawn,
        TenantUnknown, StorageUnavailable, NorthboundUnavailable.
        """
        key = (tenant_id, device_id)
        task = self._in_flight.get(key)
        if task is None:
            order = self._order(tenant_id, device_id, gateway, remote)
            task = asyncio.get_running_loop().create_task(self._carry_out(order))
            self._in_flight[key] = task
            task.add_done_callback(partial(self._ended, key))
        return await asyncio.shield(task)

    async def close(self, *, within_s: float) -> None:
        """Wait for what is under way, then give it up: what is committed by then is announced at the next start."""
        tasks = list(self._in_flight.values())
        if tasks:
            _, late = await asyncio.wait(tasks, timeout=within_s)
            for task in late:
                task.cancel()

    def _order(self, tenant_id: TenantId, device_id: DeviceId, gateway: Device, remote: str) -> EdgeOrder:
        tenant = self._tenants.find(tenant_id)
        if tenant is None:
            raise TenantUnknown(f"tenant {tenant_id!r} does not exist")
        if not self._device_ids.allows(device_id):
            raise DeviceIdInvalid(
                f"gateway {gateway.device_id!r} speaks for {device_id!r},"
                f" which does not match the pattern {self._device_ids.pattern!r}"
            )
        return EdgeOrder(
            tenant_id=tenant_id,
            device_id=device_id,
            gateway_id=gateway.device_id,
            moment=self._clock.now(),
            devices_max=devices_max_of(tenant, self._devices_max),
            remote=remote,
        )

    async def _carry_out(self, order: EdgeOrder) -> Device:
        device = await self._store.provision_edge(order)
        if device.notification_due:
            is_own = (device.status.created, device.status.gateway_id) == (order.moment, order.gateway_id)
            await (self._announcer.announce(device) if is_own else self._announcer.ensure_announced(device))
        return device

    def _ended(self, key: tuple[TenantId, DeviceId], task: asyncio.Task[Device]) -> None:
        del self._in_flight[key]
        if not task.cancelled():
            task.exception()  # told to those who wait for it, if any still do
