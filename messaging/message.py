"""What a device says, on its way to the applications."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any

from kernel.ids import DeviceId, TenantId

EMPTY_NOTIFICATION = "application/vnd.eclipse-hono-empty-notification"
PROVISIONING_NOTIFICATION = "application/vnd.eclipse-hono-device-provisioning-notification"
OCTET_STREAM = "application/octet-stream"


class MessageKind(StrEnum):  # of strings: a plain Enum hashes in Python, and this is a key for every message
    """Which channel a message belongs to (hono-adapters 5.1)."""

    TELEMETRY = "telemetry"
    EVENT = "event"
    COMMAND_RESPONSE = "command_response"
    NOTIFICATION = "notification"  # a change of the registry (messaging/notification.py)


@dataclass(slots=True, kw_only=True, eq=False)
class Envelope:
    """Everything about a message but its payload and time. Nobody changes it, and it is known by identity.

    Made once and shared by all messages a connection sends to one address, so that whatever can be known of it
    once is found out once.
    """

    tenant_id: TenantId
    device_id: DeviceId
    kind: MessageKind
    qos: int  # 0 or 1
    content_type: str | None
    ttl_ms: int | None = None
    properties: Mapping[str, Any] = field(default_factory=dict)  # orig_adapter, orig_address, defaults, …; JSON types
    form: Any = field(default=None, init=False, repr=False)  # the engine driver's own encoding, once it has made it


class Bundle:
    """Messages of one envelope that arrived together, at least one. Nobody changes it.

    In the log each payload is a message at a position of its own, in order. `payload_bytes` is what all payloads
    carry together.
    """

    __slots__ = ("creation_time_ms", "envelope", "payload_bytes", "payloads")

    def __init__(self, envelope: Envelope, creation_time_ms: int, payloads: list[bytes | None]) -> None:
        self.envelope = envelope
        self.creation_time_ms = creation_time_ms  # since the epoch
        self.payloads = payloads
        if len(payloads) == 1:  # by far the most
            payload = payloads[0]
            self.payload_bytes = len(payload) if payload else 0
        else:
            self.payload_bytes = sum(map(len, filter(None, payloads)))

    def messages(self) -> Iterator["DeviceMessage"]:
        """Its messages as applications read them."""
        envelope = self.envelope
        for payload in self.payloads:
            yield DeviceMessage(
                tenant_id=envelope.tenant_id,
                device_id=envelope.device_id,
                kind=envelope.kind,
                qos=envelope.qos,
                payload=payload,
                content_type=envelope.content_type,
                creation_time_ms=self.creation_time_ms,
                ttl_ms=envelope.ttl_ms,
                properties=envelope.properties,
            )


@dataclass(slots=True, kw_only=True)  # not frozen: one a message, and freezing nine fields costs 1.3 µs
class DeviceMessage:
    """One message as an application reads it; nobody changes it.

    `payload` None and b"" differ: HTTP without a body is None.
    """

    tenant_id: TenantId
    device_id: DeviceId
    kind: MessageKind
    qos: int  # 0 or 1
    payload: bytes | None
    content_type: str | None
    creation_time_ms: int  # since the epoch
    ttl_ms: int | None = None
    properties: Mapping[str, Any] = field(default_factory=dict)  # orig_adapter, orig_address, defaults, …; JSON types

    def is_expired_at(self, now_ms: int) -> bool:
        """An application must not see it any more (hono-adapters 5.3)."""
        return self.ttl_ms is not None and self.creation_time_ms + self.ttl_ms < now_ms


def bundle_of(message: DeviceMessage) -> Bundle:
    """A bundle of that message alone."""
    envelope = Envelope(
        tenant_id=message.tenant_id,
        device_id=message.device_id,
        kind=message.kind,
        qos=message.qos,
        content_type=message.content_type,
        ttl_ms=message.ttl_ms,
        properties=message.properties,
    )
    return Bundle(envelope, message.creation_time_ms, [message.payload])


@dataclass(frozen=True, slots=True, kw_only=True)
class KeptMessage:
    """A message in the log, with its place there. Positions ascend in the order of commits."""

    position: int
    message: DeviceMessage
