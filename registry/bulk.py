"""One wish for many devices: enable, disable or delete those named, or all that a search finds. Blocking.

Done in transactions of bounded size, so that connecting devices never wait long; one that fails leaves those before it
done. A wish for more devices than one call may touch is continued by the next call from where this one ended.

Whether a device is a gateway depends on what others name: deleting the one decides the other. Who is to go is then
settled before the first of them goes, and what is too much for one call is not begun.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from enum import Enum

from kernel.ids import DeviceId, TenantId
from registry.errors import TooManyFound
from registry.ports import DeviceRepository
from tenant.audit import Deed
from tenant.errors import TenantUnknown
from tenant.ports import TenantRepository
from tenant.search import Query

IDS_MAX = 1000  # that one call may name
DEVICES_PER_CALL_MAX = 10_000
BATCH_DEVICES = 500


class BulkAction(Enum):
    """What is to become of the devices."""

    ENABLE = "enable"
    DISABLE = "disable"
    DELETE = "delete"


@dataclass(frozen=True, slots=True, kw_only=True)
class BulkOutcome:
    """What a call did."""

    done: int
    unknown: Sequence[DeviceId] = ()  # named, but not on record
    after: DeviceId | None = None  # there may be more behind this one


class BulkAdministration:
    """Carries out one action on many devices of a tenant."""

    def __init__(self, *, devices: DeviceRepository, tenants: TenantRepository) -> None:
        self._devices = devices
        self._tenants = tenants

    def change_named(self, tenant_id: str, device_ids: Sequence[str], action: BulkAction, deed: Deed) -> BulkOutcome:
        """At most IDS_MAX devices. Raises TenantUnknown."""
        holder = self._known(tenant_id)
        named = [DeviceId(device_id) for device_id in dict.fromkeys(device_ids)]
        done = set(self._change_all(holder, named, action, deed))
        return BulkOutcome(done=len(done), unknown=[device_id for device_id in named if device_id not in done])

    def change_found(
        self, tenant_id: str, query: Query, action: BulkAction, deed: Deed, *, after: str | None = None
    ) -> BulkOutcome:
        """What the query finds, its paging and order aside, behind the device `after`; at most DEVICES_PER_CALL_MAX.

        Raises TenantUnknown, PointerUnsearchable, TooManyFound.
        """
        holder = self._known(tenant_id)
        place = None if after is None else DeviceId(after)
        if action is BulkAction.DELETE and query.is_gateway is not None:
            return BulkOutcome(done=len(self._change_all(holder, self._settled(holder, query, place), action, deed)))
        done = 0
        for _ in range(0, DEVICES_PER_CALL_MAX, BATCH_DEVICES):
            found = self._devices.find_ids(holder, query, after=place, limit=BATCH_DEVICES)
            done += len(self._change(holder, found, action, deed)) if found else 0
            if len(found) < BATCH_DEVICES:
                return BulkOutcome(done=done)
            place = found[-1]
        return BulkOutcome(done=done, after=place)

    def _known(self, tenant_id: str) -> TenantId:
        tenant = self._tenants.find(TenantId(tenant_id))
        if tenant is None:
            raise TenantUnknown(f"there is no tenant {tenant_id[:60]!r}")
        return tenant.tenant_id

    def _settled(self, tenant_id: TenantId, query: Query, after: DeviceId | None) -> Sequence[DeviceId]:
        """All that the query finds at this moment. Raises TooManyFound."""
        found = self._devices.find_ids(tenant_id, query, after=after, limit=DEVICES_PER_CALL_MAX + 1)
        if len(found) > DEVICES_PER_CALL_MAX:
            raise TooManyFound(
                f"more than {DEVICES_PER_CALL_MAX} devices to delete: who is a gateway changes as they go; narrow it by"
                " filters, or leave isGateway out"
            )
        return found

    def _change_all(
        self, tenant_id: TenantId, device_ids: Sequence[DeviceId], action: BulkAction, deed: Deed
    ) -> Sequence[DeviceId]:
        return [
            device_id
            for start in range(0, len(device_ids), BATCH_DEVICES)
            for device_id in self._change(tenant_id, device_ids[start : start + BATCH_DEVICES], action, deed)
        ]

    def _change(
        self, tenant_id: TenantId, device_ids: Sequence[DeviceId], action: BulkAction, deed: Deed
    ) -> Sequence[DeviceId]:
        if action is BulkAction.DELETE:
            return self._devices.delete_many(tenant_id, device_ids, deed)
        return self._devices.set_enabled(tenant_id, device_ids, deed, enabled=action is BulkAction.ENABLE)
