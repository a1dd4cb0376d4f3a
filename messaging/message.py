"""What a device says, on its way to the applications."""

from collections.abc import Mapping
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


@dataclass(slots=True, kw_only=True)  # not frozen: one a message, and freezing nine fields costs 1.3 µs
class DeviceMessage:
    """One message as it leaves northbound; nobody changes it.

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


@dataclass(frozen=True, slots=True, kw_only=True)
class KeptMessage:
    """A message in the log, with its place there. Positions ascend in the order of commits."""

    position: int
    message: DeviceMessage
