"""What becomes of an order to register a device behind a gateway, given what is on record: pure, as provisioning.py.

The driver reads `Behind` while it holds the database's write lock, and writes what was decided in that transaction.
"""

from dataclasses import dataclass

from kernel.errors import Refused
from registry.errors import DeviceLimitReached, DeviceUnknown, GatewayNotAuthorized, ProvisioningWithdrawn
from registry.model import Device, DeviceStatus, EdgeOrder
from storage.provisioning import PROVISIONED
from tenant.audit import AuditRow


@dataclass(frozen=True, slots=True, kw_only=True)
class Behind:
    """What the database says about one order."""

    device: Device | None
    gateway: Device | None
    is_tenant_usable: bool
    devices: int  # of the tenant


@dataclass(frozen=True, slots=True, kw_only=True)
class EdgeDevice:
    """A device to be written, with its audit row. It has no credentials; its event is due."""

    device: Device
    audit: AuditRow


def decide_edge(order: EdgeOrder, behind: Behind, version: str) -> Device | EdgeDevice | Refused:
    """The record that is there already, whomever it belongs to; the one to write; or why there is none."""
    gateway = behind.gateway
    if not behind.is_tenant_usable:
        return ProvisioningWithdrawn(f"tenant {order.tenant_id!r} was disabled or deleted")
    if behind.device is not None:
        return behind.device
    if gateway is None or not gateway.is_enabled:
        return GatewayNotAuthorized(f"gateway {order.gateway_id!r} was disabled or deleted")
    if not gateway.may_provision:
        return DeviceUnknown(f"gateway {order.gateway_id!r} may no longer register devices")
    if 0 <= order.devices_max <= behind.devices:
        return DeviceLimitReached(f"tenant {order.tenant_id!r} holds {behind.devices} of {order.devices_max} devices")
    device = Device(
        tenant_id=order.tenant_id,
        device_id=order.device_id,
        status=DeviceStatus(created=order.moment, auto_provisioned=True, gateway_id=order.gateway_id),
        enabled=True,
        via=(order.gateway_id,),
        via_groups=gateway.member_of,
        version=version,
    )
    row = AuditRow(
        moment=order.moment,
        what=PROVISIONED,
        tenant_id=order.tenant_id,
        device_id=order.device_id,
        facts={"gateway": order.gateway_id, "remote": order.remote},
    )
    return EdgeDevice(device=device, audit=row)
