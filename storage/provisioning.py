"""What becomes of a provisioning order, given what is on record: pure, and one text for every database.

A driver reads `OnRecord` for a group of orders while it holds the database's write lock, lets `decide`
judge order after order, and writes what was decided in that same transaction. `decide` keeps the ledger
up to date, so that orders of one group see each other as if they had come one by one.
"""

import os
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime

from kernel.errors import Refused
from kernel.ids import AnchorId, AuthId, DeviceId, TenantId
from registry.errors import DeviceExists, DeviceLimitReached, ProvisioningWithdrawn
from registry.model import (
    AUTHORITY_AUTO_PROVISIONING,
    X509_CERT,
    Credential,
    Device,
    DeviceStatus,
    KnownDevice,
    ProvisioningOrder,
    Secret,
)
from tenant.audit import AuditRow
from tenant.model import DeviceTemplate

PROVISIONED = "device.provisioned"
IDS_PER_ORDER = 2
_VARIANT = {digit: "89ab"[int(digit, 16) & 3] for digit in "0123456789abcdef"}


@dataclass(slots=True, eq=False)
class OnRecord:
    """What the database says about the orders of one group."""

    known: dict[tuple[TenantId, AuthId], KnownDevice] = field(default_factory=dict)  # X.509 credentials, any state
    taken: set[tuple[TenantId, DeviceId]] = field(default_factory=set)
    permitted: set[tuple[TenantId, AnchorId]] = field(default_factory=set)  # enabled tenant, anchor may provision
    device_counts: dict[TenantId, int] = field(default_factory=dict)


@dataclass(slots=True, eq=False)
class Provisioned:
    """A device to be written, with its credential and its audit row. Its event is due until it is marked notified."""

    order: ProvisioningOrder
    known: KnownDevice
    comment: str  # of device and credential
    secret_id: str  # of the credential's one secret, which has no material

    @property
    def credential(self) -> Credential:
        order = self.order
        return Credential(
            tenant_id=order.tenant_id,
            device_id=order.device_id,
            type=X509_CERT,
            auth_id=order.auth_id,
            enabled=True,
            comment=self.comment,
            secrets=(Secret(secret_id=self.secret_id),),
        )

    @property
    def facts(self) -> dict[str, str]:
        """What its audit row says of it."""
        order = self.order
        return {
            "issuer": order.issuer_dn,
            "auth_id": order.auth_id,
            "anchor": order.anchor_id,
            "serial": order.serial_hex,
            "fingerprint": order.fingerprint_hex,
            "remote": order.remote,
        }

    @property
    def audit(self) -> AuditRow:
        order = self.order
        return AuditRow(
            moment=order.moment,
            what=PROVISIONED,
            tenant_id=order.tenant_id,
            device_id=order.device_id,
            facts=self.facts,
        )


def make_ids(count: int) -> Iterator[str]:
    """Random UUIDs, version 4, from one call for randomness: each such call gives the interpreter's lock away."""
    digits = os.urandom(16 * count).hex()
    for start in range(0, 32 * count, 32):
        own = digits[start : start + 32]
        yield f"{own[:8]}-{own[8:12]}-4{own[13:16]}-{_VARIANT[own[16]]}{own[17:20]}-{own[20:]}"


def decide(order: ProvisioningOrder, on_record: OnRecord, ids: Iterator[str]) -> KnownDevice | Provisioned | Refused:
    """The record that is there already, the one to write, or why there is none. Updates the ledger.

    Takes at most IDS_PER_ORDER of the ids.
    """
    credential = (order.tenant_id, order.auth_id)
    device = (order.tenant_id, order.device_id)
    known = on_record.known.get(credential)
    if known is not None:
        return known
    if (order.tenant_id, order.anchor_id) not in on_record.permitted:
        return ProvisioningWithdrawn(
            f"tenant {order.tenant_id!r} or its trust anchor {order.anchor_id!r} no longer provisions devices"
        )
    if device in on_record.taken:
        return DeviceExists(f"device id {order.device_id!r} is taken in tenant {order.tenant_id!r}")
    count = on_record.device_counts.get(order.tenant_id, 0)
    if 0 <= order.devices_max <= count:
        return DeviceLimitReached(f"tenant {order.tenant_id!r} holds {count} of {order.devices_max} devices")
    provisioned = _provisioned(order, ids)
    on_record.known[credential] = provisioned.known
    on_record.taken.add(device)
    on_record.device_counts[order.tenant_id] = count + 1
    return provisioned


def _provisioned(order: ProvisioningOrder, ids: Iterator[str]) -> Provisioned:
    """Device and credential as hono-registry 5.1 steps 4 and 5 want them."""
    comment = f"Auto-provisioned at {instant(order.moment)}"
    device = Device(
        tenant_id=order.tenant_id,
        device_id=order.device_id,
        status=DeviceStatus(created=order.moment, auto_provisioned=True),
        enabled=True,
        authorities=(AUTHORITY_AUTO_PROVISIONING,) if order.as_gateway else (),
        ext={"comment": comment},
        version=next(ids),
    )
    if order.template is not None:
        device = _shaped(device, order.template)
    return Provisioned(order, KnownDevice(device=device, credential_enabled=True), comment, next(ids))


def _shaped(device: Device, template: DeviceTemplate) -> Device:
    """With what its anchor's template gives it. When it was provisioned stays its comment."""
    return replace(
        device,
        defaults=template.defaults,
        ext={**template.ext, **device.ext},
        via=tuple(DeviceId(gateway) for gateway in template.via),
        via_groups=template.via_groups,
        member_of=template.member_of,
    )


def instant(moment: datetime) -> str:
    """ISO 8601, UTC, to the millisecond."""
    in_utc = moment if moment.tzinfo is UTC else moment.astimezone(UTC)
    return in_utc.isoformat(timespec="milliseconds")[:-6] + "Z"  # instead of +00:00
