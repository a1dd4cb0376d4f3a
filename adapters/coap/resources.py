"""Which upload a request asks for (hono-adapters 3.1, 3.2).

Owns the paths, their methods and the query. Leaves to the uplink whether the device may send and whether
payload and content type agree, and to wire/ everything about messages.

A POST is from the device itself, and what follows the resource's name is only noted; a PUT names the
device, and the tenant too unless its segment is left empty.
"""

from dataclasses import dataclass

from adapters.coap.errors import (
    DeviceMissing,
    DeviceNotAuthenticated,
    EventNotConfirmable,
    ForeignTenant,
    TenantMissing,
)
from adapters.coap.media_types import media_type
from adapters.coap.wire.heads import Head
from adapters.coap.wire.message import uint
from adapters.coap.wire.numbers import CHANGED, METHOD_NOT_ALLOWED, NOT_FOUND, POST, PUT
from adapters.coap.wire.request import Answer
from adapters.sessions.session import Session
from adapters.sessions.uplink import UploadHead
from kernel.clock import Clock
from messaging.message import EMPTY_NOTIFICATION, MessageKind

RESOURCES = {
    "telemetry": MessageKind.TELEMETRY,
    "t": MessageKind.TELEMETRY,
    "event": MessageKind.EVENT,
    "e": MessageKind.EVENT,
}
SERVER_TIME = 65_000  # the option by which a device asks for the time, and is told it
_ACCEPTED = Answer(CHANGED)
_NO_RESOURCE = Answer(NOT_FOUND)  # bare: nothing is said of what exists
_NO_METHOD = Answer(METHOD_NOT_ALLOWED)


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class UploadPlan:
    """What a head asks to be sent on, whoever sends it."""

    upload: UploadHead
    is_own: bool  # from the device itself, rather than for the one named
    tells_time: bool

    def require(self, session: Session) -> None:
        """Raises EventNotConfirmable, DeviceNotAuthenticated, TenantMissing, DeviceMissing or ForeignTenant."""
        upload = self.upload
        if upload.qos == 0 and upload.kind is MessageKind.EVENT:
            raise EventNotConfirmable
        if self.is_own:
            if session.device_id is None:
                raise DeviceNotAuthenticated
            return
        if session.device_id is None:
            if not upload.tenant:
                raise TenantMissing
        elif upload.tenant and upload.device and upload.tenant != session.tenant_id:
            raise ForeignTenant
        if not upload.device:
            raise DeviceMissing

    def accepted(self, clock: Clock) -> Answer:
        """2.04, with the time in milliseconds since the epoch where the request asks for it."""
        return _ACCEPTED.with_option(SERVER_TIME, uint(clock.now_ms())) if self.tells_time else _ACCEPTED


Plan = UploadPlan | Answer  # an answer: the request is wrong whoever sends it


def plan_of(head: Head) -> Plan:
    """What is to be done with a request; thought out once for each head."""
    plan: Plan | None = head.plan
    if plan is None:
        plan = head.plan = _plan(head)
    return plan


def _plan(head: Head) -> Plan:
    path = head.path
    if not path or path[0] not in RESOURCES:
        return _NO_RESOURCE
    if head.method != POST and head.method != PUT:
        return _NO_METHOD
    is_own = head.method == POST
    upload = UploadHead(
        kind=RESOURCES[path[0]],
        tenant=None if is_own or len(path) < 2 else path[1] or None,
        device=None if is_own or len(path) < 3 else path[2] or None,
        qos=1 if head.is_confirmable else 0,
        content_type=_content_type(head),
        orig_address="/" + "/".join(path),
    )
    tells_time = SERVER_TIME in head.elective or _asks(head, "hono-time")
    return UploadPlan(upload=upload, is_own=is_own, tells_time=tells_time)


def _content_type(head: Head) -> str | None:
    if _asks(head, "empty"):
        return EMPTY_NOTIFICATION
    return None if head.content_format is None else media_type(head.content_format)


def _asks(head: Head, name: str) -> bool:
    """Whether the query has a parameter, whatever its value."""
    return any(parameter.partition("=")[0] == name for parameter in head.query)
