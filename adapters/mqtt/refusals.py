"""From kinds of error to what MQTT can say: CONNACK, PUBACK, DISCONNECT, and metric words. One place.

The CONNACK rows are those of hono-adapters 2.1 and hono-registry 4.7. The nearest class of an error
that stands in a table decides, so a new fact needs a row only where it differs from its kind.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TypeVar

from adapters.mqtt import errors
from adapters.mqtt.topics import ON_ERROR_DEFAULT, ON_ERROR_DISCONNECT, ON_ERROR_IGNORE, Topic
from adapters.mqtt.wire import reasons
from adapters.mqtt.wire.errors import AdmissionOverdue, WireFault
from adapters.sessions.errors import AddressIncomplete, AdmissionsFull, SessionTakenOver, ShuttingDown
from adapters.sessions.session import Session
from kernel.errors import (
    Forbidden,
    LimitExceeded,
    Malformed,
    NotFound,
    Refused,
    TooLarge,
    TuhonoError,
    Unauthenticated,
    Unavailable,
)
from registry.errors import DeviceDisabled, DeviceUnknown, GatewayNotAuthorized, PasswordAttemptsExceeded
from tenant.errors import AdapterDisabled, ProvisioningRateExceeded, TenantDisabled, TenantUnknown

Answer = TypeVar("Answer")


@dataclass(frozen=True, slots=True)
class ConnectRefusal:
    """The same no, for a 3.1.1 client and for a version 5 client; and the outcome metrics count."""

    v3_code: int
    reason: int
    outcome: str


_BAD_CREDENTIALS = ConnectRefusal(
    reasons.V3_BAD_USER_NAME_OR_PASSWORD, reasons.BAD_USER_NAME_OR_PASSWORD, "unauthorized"
)
_NOT_AUTHORIZED = ConnectRefusal(reasons.V3_NOT_AUTHORIZED, reasons.NOT_AUTHORIZED, "unauthorized")
_NOT_ASSERTED = ConnectRefusal(reasons.V3_NOT_AUTHORIZED, reasons.NOT_AUTHORIZED, "registration-assertion-failure")
_UNKNOWN = ConnectRefusal(reasons.V3_NOT_AUTHORIZED, reasons.UNSPECIFIED_ERROR, "unknown")
_UNAVAILABLE = ConnectRefusal(reasons.V3_SERVER_UNAVAILABLE, reasons.SERVER_UNAVAILABLE, "unavailable")

_CONNECT: Mapping[type[BaseException], ConnectRefusal] = {
    Unauthenticated: _BAD_CREDENTIALS,
    NotFound: _BAD_CREDENTIALS,
    DeviceDisabled: _NOT_ASSERTED,
    GatewayNotAuthorized: _NOT_ASSERTED,
    AdapterDisabled: ConnectRefusal(reasons.V3_NOT_AUTHORIZED, reasons.NOT_AUTHORIZED, "adapter-disabled"),
    LimitExceeded: ConnectRefusal(reasons.V3_NOT_AUTHORIZED, reasons.QUOTA_EXCEEDED, "tenant-connections-exceeded"),
    # Not in the contract. "Come again later", because the device is welcome; 3.1.1 says it with "unavailable".
    ProvisioningRateExceeded: ConnectRefusal(
        reasons.V3_SERVER_UNAVAILABLE, reasons.CONNECTION_RATE_EXCEEDED, "unavailable"
    ),
    PasswordAttemptsExceeded: ConnectRefusal(
        reasons.V3_SERVER_UNAVAILABLE, reasons.CONNECTION_RATE_EXCEEDED, "unauthorized"
    ),
    AdmissionsFull: ConnectRefusal(
        reasons.V3_SERVER_UNAVAILABLE, reasons.USE_ANOTHER_SERVER, "adapter-connections-exceeded"
    ),
    Unavailable: _UNAVAILABLE,
    AdmissionOverdue: _UNAVAILABLE,
    WireFault: _UNKNOWN,
    Refused: _NOT_AUTHORIZED,
    BaseException: _UNKNOWN,
}

# A message that is refused and closes the connection: the code of the DISCONNECT.
_PUBLISH: Mapping[type[BaseException], int] = {
    errors.TopicMalformed: reasons.TOPIC_NAME_INVALID,
    errors.TopicWithoutDevice: reasons.TOPIC_NAME_INVALID,
    AddressIncomplete: reasons.TOPIC_NAME_INVALID,
    errors.EndpointUnknown: reasons.TOPIC_NAME_INVALID,
    errors.CommandsUnavailable: reasons.TOPIC_NAME_INVALID,
    errors.TelemetryQosUnsupported: reasons.QOS_NOT_SUPPORTED,
    errors.EventQosUnsupported: reasons.QOS_NOT_SUPPORTED,
    Malformed: reasons.IMPLEMENTATION_SPECIFIC_ERROR,
    TooLarge: reasons.PACKET_TOO_LARGE,
    LimitExceeded: reasons.QUOTA_EXCEEDED,
    Forbidden: reasons.NOT_AUTHORIZED,
    NotFound: reasons.NOT_AUTHORIZED,
    Unauthenticated: reasons.NOT_AUTHORIZED,
    Unavailable: reasons.SERVER_BUSY,
    BaseException: reasons.UNSPECIFIED_ERROR,
}

# A session ended from elsewhere: the code of the DISCONNECT.
_END: Mapping[type[BaseException], int] = {
    SessionTakenOver: reasons.SESSION_TAKEN_OVER,
    ShuttingDown: reasons.SERVER_SHUTTING_DOWN,
    LimitExceeded: reasons.QUOTA_EXCEEDED,
    Unavailable: reasons.SERVER_BUSY,
    Refused: reasons.ADMINISTRATIVE_ACTION,  # device or tenant disabled or deleted, anchor removed
    BaseException: reasons.UNSPECIFIED_ERROR,
}

_ALWAYS_TERMINAL = (AdapterDisabled, TenantDisabled, TenantUnknown, GatewayNotAuthorized)
_TERMINAL_FOR_ONESELF = (DeviceDisabled, DeviceUnknown)

CLOSE = "close"
ACKNOWLEDGE = "acknowledge"
SAY_NOTHING = "say-nothing"


def connect_refusal(error: Exception) -> ConnectRefusal:
    return _nearest(_CONNECT, error)


def publish_reason(error: Exception) -> int:
    return _nearest(_PUBLISH, error)


def end_reason(error: Exception) -> int:
    return _nearest(_END, error)


def told(error: Exception) -> str:
    """What the peer may read of it."""
    return error.told if isinstance(error, TuhonoError) else TuhonoError.told


def after_failure(error: Exception, topic: Topic, session: Session) -> str:
    """CLOSE, ACKNOWLEDGE or SAY_NOTHING (hono-adapters 2.3, without an error subscription)."""
    on_error = topic.on_error
    if on_error in (ON_ERROR_DEFAULT, ON_ERROR_DISCONNECT) or _is_terminal(error, topic, session):
        return CLOSE
    return ACKNOWLEDGE if on_error == ON_ERROR_IGNORE else SAY_NOTHING


def _is_terminal(error: Exception, topic: Topic, session: Session) -> bool:
    """Whether the device may not go on at all. Of another device's absence it is not to blame."""
    if isinstance(error, _TERMINAL_FOR_ONESELF):
        return topic.device is None or topic.device == session.device_id
    return isinstance(error, _ALWAYS_TERMINAL) or not isinstance(error, TuhonoError)


def _nearest(table: Mapping[type[BaseException], Answer], error: Exception) -> Answer:
    return next(table[kind] for kind in type(error).__mro__ if kind in table)
