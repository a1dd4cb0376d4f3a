"""Which upload a request asks for (hono-adapters 3.1, 3.2).

Owns the paths, their methods and the query. Leaves to the uplink whether the device may send and whether
payload and content type agree, and to wire/ everything about messages.

A POST is from the device itself, and what follows the resource's name is only noted; a PUT names the
device, and the tenant too unless its segment is left empty.
"""

from typing import Any

from adapters.coap.errors import (
    DeviceMissing,
    DeviceNotAuthenticated,
    EventNotConfirmable,
    ForeignTenant,
    TenantMissing,
)
from adapters.coap.media_types import media_type
from adapters.coap.wire.endpoint import Request
from adapters.coap.wire.message import uint
from adapters.coap.wire.numbers import CHANGED, METHOD_NOT_ALLOWED, NOT_FOUND, POST, PUT
from adapters.coap.wire.request import Answer
from adapters.sessions.session import Session
from adapters.sessions.uplink import UploadHead
from kernel.clock import Clock, milliseconds
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


def refuse_unheard(request: Request[Any]) -> Answer | None:
    """The answer to a request that is wrong whoever sends it; None for one to be looked into."""
    if not request.path or request.path[0] not in RESOURCES:
        return _NO_RESOURCE
    if request.method != POST and request.method != PUT:
        return _NO_METHOD
    return None


def read_upload(request: Request[Any], session: Session) -> UploadHead:
    """What a request that `refuse_unheard` lets pass asks to be sent on, all but its payload.

    Raises EventNotConfirmable, DeviceNotAuthenticated, TenantMissing, DeviceMissing or ForeignTenant.
    """
    path = request.path
    kind = RESOURCES[path[0]]
    if kind is MessageKind.EVENT and not request.is_confirmable:
        raise EventNotConfirmable
    tenant, device = _own(session) if request.method == POST else _addressed(path, session)
    return UploadHead(
        kind=kind,
        tenant=tenant,
        device=device,
        qos=1 if request.is_confirmable else 0,
        content_type=_content_type(request),
        orig_address="/" + "/".join(path),
    )


def accepted(request: Request[Any], clock: Clock) -> Answer:
    """2.04, with the time in milliseconds since the epoch where the request asks for it."""
    if SERVER_TIME in request.elective or _asks(request, "hono-time"):
        return _ACCEPTED.with_option(SERVER_TIME, uint(milliseconds(clock.now())))
    return _ACCEPTED


def device_named(request: Request[Any]) -> str | None:
    """The device a request says it is for; None for the sender itself."""
    return request.path[2] if request.method == PUT and len(request.path) > 2 else None


def _own(session: Session) -> tuple[None, None]:
    if session.is_anonymous:
        raise DeviceNotAuthenticated
    return None, None


def _addressed(path: tuple[str, ...], session: Session) -> tuple[str | None, str]:
    """Tenant, None where left to the session, and device; more segments are swallowed."""
    tenant = path[1] if len(path) > 1 else ""
    device = path[2] if len(path) > 2 else ""
    if session.is_anonymous:
        if not tenant:
            raise TenantMissing
    elif tenant and device and tenant != session.tenant_id:
        raise ForeignTenant
    if not device:
        raise DeviceMissing
    return tenant or None, device


def _content_type(request: Request[Any]) -> str | None:
    if _asks(request, "empty"):
        return EMPTY_NOTIFICATION
    return None if request.content_format is None else media_type(request.content_format)


def _asks(request: Request[Any], name: str) -> bool:
    """Whether the query has a parameter, whatever its value."""
    for parameter in request.query:  # a loop: seldom entered, and then short
        if parameter.partition("=")[0] == name:
            return True
    return False
