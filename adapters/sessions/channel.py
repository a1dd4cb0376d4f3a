"""What a session's messages to one address have in common, found out once.

A channel is in force while tenant and device are the very objects it was made for: one that changes is another
object, and the next message opens the channel anew, with all checks. Where the session's own device changes, the table
of sessions gives it the new one; where that is switched off or deleted, the session ends.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

from kernel.ids import DeviceId
from kernel.meters import Summary
from messaging.message import OCTET_STREAM, Envelope, MessageKind
from tenant.model import Tenant
from tenant.ttl import event_ttl_ms, telemetry_ttl_ms

if TYPE_CHECKING:
    from adapters.sessions.uplink import UploadHead

CHANNELS_MAX: Final = 8  # of one session; the oldest makes room
CHANNEL_MAX_CHARS: Final = 512  # text of an address worth remembering

NOT_DEFAULTS = {  # by kind: what speaks of the message itself, or of this kind's time to live (hono-adapters 5.3)
    MessageKind.TELEMETRY: frozenset({"ttl", "content-type", "ttl-telemetry-qos0", "ttl-telemetry-qos1"}),
    MessageKind.EVENT: frozenset({"ttl", "content-type"}),
    MessageKind.COMMAND_RESPONSE: frozenset({"ttl", "content-type", "ttl-command-response"}),
}


@dataclass(slots=True, kw_only=True, eq=False)
class Channel:
    """From one session to one address. Nobody changes it but for when it was last used."""

    adapter: str
    tenant: Tenant
    defaults: Mapping[str, Any]  # the device's own
    is_own: bool  # the device is the session's
    envelope: Envelope
    payload: Summary  # payload bytes of messages forwarded
    duration: Summary  # seconds until they were kept
    seen_ms: int = 0  # when the last message came, since the epoch


def remember(channels: dict[UploadHead, Channel], head: UploadHead, channel: Channel) -> None:
    """In place of the one no longer in force, if any; within the bounds."""
    channels.pop(head, None)
    if _chars(head) > CHANNEL_MAX_CHARS:
        return
    if len(channels) >= CHANNELS_MAX:
        del channels[next(iter(channels))]
    channels[head] = channel


def envelope_of(
    head: UploadHead,
    tenant: Tenant,
    device_id: DeviceId,
    *,
    adapter: str,
    device_defaults: Mapping[str, Any],
    defaults_enabled: bool,
) -> Envelope:
    """Completed with the defaults of device and tenant, and with the time to live they allow."""
    properties: dict[str, Any] = {"orig_adapter": adapter, "orig_address": head.orig_address}
    content_type, ttl_ms = head.content_type, None
    if tenant.defaults or device_defaults or tenant.resource_limits is not None or head.ttl_s is not None:
        defaults = {**tenant.defaults, **device_defaults} if defaults_enabled else {}
        left_out = NOT_DEFAULTS[head.kind]
        properties = {**{name: defaults[name] for name in defaults if name not in left_out}, **properties}
        content_type = content_type or _default_content_type(defaults)
        ttl_ms = _ttl_ms(head, tenant, defaults)
    if head.retain:
        properties["x-opt-retain"] = True
    return Envelope(
        tenant_id=tenant.tenant_id,
        device_id=device_id,
        kind=head.kind,
        qos=head.qos,
        content_type=content_type or OCTET_STREAM,
        ttl_ms=ttl_ms,
        properties=properties,
    )


def _chars(head: UploadHead) -> int:
    return sum(len(text or "") for text in (head.tenant, head.device, head.content_type, head.orig_address))


def _default_content_type(defaults: Mapping[str, Any]) -> str | None:
    given = defaults.get("content-type")
    return given if isinstance(given, str) else None


def _ttl_ms(head: UploadHead, tenant: Tenant, defaults: Mapping[str, Any]) -> int | None:
    if head.kind is MessageKind.EVENT:
        return event_ttl_ms(tenant.resource_limits, defaults, head.ttl_s)
    return telemetry_ttl_ms(tenant.resource_limits, defaults, head.qos)
