"""Which notifications and events a change on record gives (hono-registry 3.5, 5.3), to the byte.

Pure: a `RecordedChange` is what is left of an audit row, and decides alone; only whether a tenant wants lifecycle
events, and how long an event stays of interest, is asked of the tenant as it is now.

A device that registered itself gives what an operator's writes would: the device is created and, as it comes with
one, its credential. Its event was sent while it connected; a lifecycle event tells only what operators do.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, Final

import msgspec

from kernel.clock import milliseconds
from kernel.ids import DeviceId, TenantId
from messaging.addresses import NotificationChannel
from messaging.message import PROVISIONING_NOTIFICATION, Bundle, Envelope, MessageKind
from messaging.notification import Notification
from tenant.model import Tenant
from tenant.ttl import event_ttl_ms

SOURCE: Final = "device-registry"
EVENTS_WANTED: Final = "lifecycle-events"  # member of a tenant's ext: true for events of devices operators change
CREATED: Final = "device.created"
PROVISIONED: Final = "device.provisioned"
OPERATIONS: Final = {"created": "CREATE", "updated": "UPDATE", "deleted": "DELETE", "provisioned": "CREATE"}
STATUSES: Final = {CREATED: "NEW", "device.updated": "UPDATED", "device.deleted": "DELETED"}
TOLD: Final = (  # the audit rows there is something to tell of
    "tenant.created",
    "tenant.updated",
    "tenant.deleted",
    CREATED,
    "device.updated",
    "device.deleted",
    PROVISIONED,
    "credentials.updated",
    "devices.deleted",
)

_encode: Final = msgspec.json.Encoder().encode  # a tenth of the time json takes


@dataclass(slots=True, kw_only=True)
class RecordedChange:
    """One committed change. Nobody changes it."""

    position: int  # ascends in the order of commits
    moment: datetime
    what: str  # one of TOLD
    tenant_id: TenantId
    device_id: DeviceId | None = None
    enabled: bool = True  # of tenant or device, after the change
    invalidates: bool = False  # the tenant's ext: whoever knows it by heart is to ask again
    with_credentials: bool = False  # the device was created together with some


@dataclass(frozen=True, slots=True, kw_only=True)
class RecordedPage:
    """Some changes that follow each other."""

    changes: Sequence[RecordedChange]
    behind: int  # the position up to which nothing else is to be told
    missed: int = 0  # changes before these, at the most, that are on record no longer


def notifications_of(change: RecordedChange) -> Iterator[Notification]:
    """At least one."""
    thing, _, deed = change.what.partition(".")
    if thing == "tenant":
        is_gone = deed == "deleted"
        yield _notification(
            change,
            NotificationChannel.TENANT,
            "tenant-change-v1",
            {
                "change": OPERATIONS[deed],
                "tenant-id": change.tenant_id,
                "enabled": change.enabled and not is_gone,
                "invalidate-cache-on-update": change.invalidates or is_gone,
            },
        )
        return
    if thing == "devices":
        members: dict[str, Any] = {"tenant-id": change.tenant_id}
        yield _notification(change, NotificationChannel.DEVICE, "all-devices-of-tenant-deleted-v1", members)
        return
    ids = {"tenant-id": change.tenant_id, "device-id": change.device_id}
    if thing == "device":
        members = {"change": OPERATIONS[deed], **ids, "enabled": change.enabled and deed != "deleted"}
        yield _notification(change, NotificationChannel.DEVICE, "device-change-v1", members)
    if thing == "credentials" or change.with_credentials:
        yield _notification(change, NotificationChannel.DEVICE, "credentials-change-v1", ids)


def lifecycle_event_of(change: RecordedChange, tenant: Tenant | None) -> Bundle | None:
    """What a tenant that asked for it is told of an operator's change to one of its devices."""
    status = STATUSES.get(change.what)
    if status is None or tenant is None or tenant.ext.get(EVENTS_WANTED) is not True or change.device_id is None:
        return None
    return device_event(tenant, change.tenant_id, change.device_id, status, moment_ms=milliseconds(change.moment))


def device_event(
    tenant: Tenant | None,
    tenant_id: TenantId,
    device_id: DeviceId,
    status: str,
    *,
    moment_ms: int,
    gateway_id: DeviceId | None = None,
) -> Bundle:
    """The event that says a device came, was changed or went. `status`: NEW, UPDATED or DELETED."""
    properties = {
        "hono_registration_status": status,
        "tenant_id": tenant_id,
        "device_id": device_id,
        "orig_adapter": "hono-device-registry",
        "orig_address": "event",
    }
    if gateway_id is not None:
        properties["gateway_id"] = gateway_id
    envelope = Envelope(
        tenant_id=tenant_id,
        device_id=device_id,
        kind=MessageKind.EVENT,
        qos=1,
        content_type=PROVISIONING_NOTIFICATION,
        ttl_ms=None if tenant is None else event_ttl_ms(tenant.resource_limits, tenant.defaults, None),
        properties=properties,
    )
    return Bundle(envelope, moment_ms, [None])


def _notification(
    change: RecordedChange, channel: NotificationChannel, type_: str, members: dict[str, Any]
) -> Notification:
    created = change.moment.astimezone(UTC).replace(microsecond=0, tzinfo=None).isoformat() + "Z"
    return Notification(
        channel=channel,
        tenant_id=change.tenant_id,
        device_id=change.device_id,
        moment_ms=milliseconds(change.moment),
        document=_encode({"type": type_, "source": SOURCE, "creation-time": created, **members}),
    )
