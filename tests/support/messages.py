"""Messages and engines for tests of the rooms above messaging."""

from collections.abc import Mapping
from typing import Any

from kernel.clock import Clock, ManualClock, milliseconds
from kernel.errors import Unavailable
from kernel.ids import DeviceId, TenantId
from messaging.drivers.memory import MemoryNorthbound
from messaging.message import OCTET_STREAM, Bundle, DeviceMessage, Envelope, MessageKind

START_MS = milliseconds(ManualClock().now())


def a_message(
    payload: bytes | None = b"22.5",
    *,
    tenant_id: str = "acme",
    device_id: str = "sensor-1",
    kind: MessageKind = MessageKind.TELEMETRY,
    qos: int = 1,
    content_type: str | None = OCTET_STREAM,
    creation_time_ms: int = START_MS,
    ttl_ms: int | None = None,
    properties: Mapping[str, Any] | None = None,
) -> DeviceMessage:
    """A telemetry message of tenant acme's sensor-1, created when a ManualClock starts, unless told otherwise."""
    return DeviceMessage(
        tenant_id=TenantId(tenant_id),
        device_id=DeviceId(device_id),
        kind=kind,
        qos=qos,
        payload=payload,
        content_type=content_type,
        creation_time_ms=creation_time_ms,
        ttl_ms=ttl_ms,
        properties={"orig_adapter": "hono-mqtt"} if properties is None else properties,
    )


def an_envelope(
    *,
    tenant_id: str = "acme",
    device_id: str = "sensor-1",
    kind: MessageKind = MessageKind.TELEMETRY,
    qos: int = 1,
    content_type: str | None = OCTET_STREAM,
    ttl_ms: int | None = None,
    properties: Mapping[str, Any] | None = None,
) -> Envelope:
    """Of telemetry of tenant acme's sensor-1, unless told otherwise."""
    return Envelope(
        tenant_id=TenantId(tenant_id),
        device_id=DeviceId(device_id),
        kind=kind,
        qos=qos,
        content_type=content_type,
        ttl_ms=ttl_ms,
        properties={"orig_adapter": "hono-mqtt"} if properties is None else properties,
    )


def a_bundle(*payloads: bytes | None, creation_time_ms: int = START_MS, **facts: Any) -> Bundle:
    """Of these payloads, or one, in an envelope of these facts, created when a ManualClock starts."""
    return Bundle(an_envelope(**facts), creation_time_ms, list(payloads) or [b"22.5"])


def a_northbound(*, clock: Clock | None = None, pending_max_messages: int = 20_000) -> MemoryNorthbound:
    """An in-memory northbound; its clock stands still unless one is given."""
    return MemoryNorthbound(clock=clock or ManualClock(), pending_max_messages=pending_max_messages)


class Outcomes:
    """Collects what the `kept` callbacks were called with, in order."""

    def __init__(self) -> None:
        self.seen: list[tuple[object, Unavailable | None]] = []

    def of(self, name: object) -> "Outcome":
        """A `kept` callback that records its outcome under this name."""
        return Outcome(self.seen, name)

    @property
    def names(self) -> list[object]:
        return [name for name, _ in self.seen]

    @property
    def reasons(self) -> list[Unavailable | None]:
        return [reason for _, reason in self.seen]


class Outcome:
    """One `kept` callback of an `Outcomes`."""

    def __init__(self, seen: list[tuple[object, Unavailable | None]], name: object) -> None:
        self._seen = seen
        self._name = name

    def __call__(self, reason: Unavailable | None) -> None:
        self._seen.append((self._name, reason))
