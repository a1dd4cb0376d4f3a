"""What a topic name says: endpoint, whose data, and the property bag behind `/?` (hono-adapters 2.2).

A `Topic` is a fact about the string alone, and the head of its uploads one about the string and the packet's
flags. Devices publish to one or two topics for years, so both are made once and remembered, for all connections.

The bag is read first and even where the rest is malformed: it says what to do about the error. A topic
with more than three segments is refused, where Eclipse Hono ignores the rest: a device id with a slash
in it would otherwise be taken for another device's.
"""

import re
from dataclasses import dataclass
from typing import Final
from urllib.parse import parse_qsl

from adapters.mqtt import errors
from adapters.mqtt.wire import properties as props
from adapters.mqtt.wire.packets import RETAIN, Publish
from adapters.sessions.uplink import UploadHead
from kernel.errors import TuhonoError
from messaging.message import MessageKind

ON_ERROR_DEFAULT: Final = "default"
ON_ERROR_DISCONNECT: Final = "disconnect"
ON_ERROR_IGNORE: Final = "ignore"
ON_ERROR_SKIP_ACK: Final = "skip-ack"

_ON_ERROR = frozenset({ON_ERROR_DEFAULT, ON_ERROR_DISCONNECT, ON_ERROR_IGNORE, ON_ERROR_SKIP_ACK})
_KINDS = {
    "t": MessageKind.TELEMETRY,
    "telemetry": MessageKind.TELEMETRY,
    "e": MessageKind.EVENT,
    "event": MessageKind.EVENT,
}
_COMMANDS = frozenset({"c", "command"})
_CONTROL = re.compile(r"[\x00-\x1f\x7f-\x9f]")
_BAG_MAX_PROPERTIES = 64
_TTL_MAX_DIGITS = 10
_CACHE_MAX_TOPICS = 4096
_CACHE_MAX_TYPED = 1024  # heads with a content type from a packet
_CACHED_MAX_CHARS = 128
_QOS_AND_RETAIN = 0x07  # of a packet's flags


@dataclass(frozen=True, slots=True, kw_only=True)
class Topic:
    """A topic name, understood; or the reason why it cannot be, with what the bag says to do about it."""

    kind: MessageKind = MessageKind.TELEMETRY
    tenant: str | None = None
    device: str | None = None
    content_type: str | None = None
    ttl_s: int | None = None  # of an event
    on_error: str = ON_ERROR_DEFAULT
    correlation_id: str | None = None
    refusal: type[TuhonoError] | None = None


class _Known:
    """A topic, and the heads made for it so far by the flags of their packets."""

    __slots__ = ("heads", "topic")

    def __init__(self, topic: Topic) -> None:
        self.topic = topic
        self.heads: list[UploadHead | None] = [None] * (_QOS_AND_RETAIN + 1)


class Topics:
    """Understands topic names, and remembers what it made of the last few thousand short ones."""

    def __init__(self) -> None:
        self._known: dict[str, _Known] = {}
        self._typed: dict[tuple[str, int, str], UploadHead] = {}

    def understand(self, name: str) -> Topic:
        return self._find(name).topic

    def head(self, publish: Publish) -> UploadHead:
        """As `head_for`: the same object for the same topic, flags and content type, as long as it is remembered."""
        known = self._known.get(publish.topic)
        if known is None:
            known = self._find(publish.topic)
        if publish.properties and known.topic.content_type is None:
            content_type = props.text(publish.properties, props.CONTENT_TYPE)
            if content_type is not None:
                return self._typed_head(known.topic, publish, content_type)
        flags = publish.flags & _QOS_AND_RETAIN
        head = known.heads[flags]
        if head is None:
            head = known.heads[flags] = head_for(known.topic, publish)
        return head

    def _find(self, name: str) -> _Known:
        known = self._known.get(name)
        if known is None:
            known = _Known(parse_topic(name))
            if len(name) <= _CACHED_MAX_CHARS:
                if len(self._known) >= _CACHE_MAX_TOPICS:
                    self._known.clear()
                self._known[name] = known
        return known

    def _typed_head(self, topic: Topic, publish: Publish, content_type: str) -> UploadHead:
        key = (publish.topic, publish.flags & _QOS_AND_RETAIN, content_type)
        head = self._typed.get(key)
        if head is None:
            head = head_for(topic, publish)
            if len(publish.topic) + len(content_type) <= _CACHED_MAX_CHARS:
                if len(self._typed) >= _CACHE_MAX_TYPED:
                    self._typed.clear()
                self._typed[key] = head
        return head


def parse_topic(name: str) -> Topic:
    """Never raises: a fault of the name is its `refusal`."""
    path, bag_at, bag = name, name.rfind("/?"), ""
    if bag_at >= 0:
        path, bag = name[:bag_at], name[bag_at + 2 :]
    try:
        given = _parse_bag(bag)
    except ValueError:
        return Topic(refusal=errors.TopicMalformed)
    on_error = given.get("on-error", ON_ERROR_DEFAULT)
    if on_error not in _ON_ERROR:
        on_error = ON_ERROR_DEFAULT
    correlation_id = given.get("correlation-id")
    try:
        if any(map(_CONTROL.search, given.values())):
            raise errors.TopicMalformed("a property holds control characters")
        kind, tenant, device = _parse_path(path)
    except TuhonoError as refusal:
        return Topic(on_error=on_error, correlation_id=correlation_id, refusal=type(refusal))
    return Topic(
        kind=kind,
        tenant=tenant,
        device=device,
        content_type=given.get("content-type"),
        ttl_s=_parse_ttl(given.get("hono-ttl", "")) if kind is MessageKind.EVENT else None,
        on_error=on_error,
        correlation_id=correlation_id,
    )


def head_for(topic: Topic, publish: Publish) -> UploadHead:
    """The packet's messages as uploads, all but their payloads. Raises what hono-adapters 2.2 refuses of a topic and
    its QoS; whose data it may be is the uplink's to judge.
    """
    if topic.refusal is not None:
        raise topic.refusal(f"a message to topic {publish.topic!r}")
    _check_qos(topic.kind, publish.qos)
    content_type = topic.content_type
    if content_type is None and publish.properties:
        content_type = props.text(publish.properties, props.CONTENT_TYPE)
        if content_type is not None and _CONTROL.search(content_type):
            raise errors.ContentTypeMalformed(f"content type {content_type!r}")
    return UploadHead(
        kind=topic.kind,
        tenant=topic.tenant,
        device=topic.device,
        qos=publish.qos,
        content_type=content_type,
        orig_address=publish.topic,
        ttl_s=topic.ttl_s,
        retain=publish.flags & RETAIN != 0,
    )


def _parse_bag(bag: str) -> dict[str, str]:
    """Names in lower case; the first value of a name wins. Raises ValueError for too many."""
    given: dict[str, str] = {}
    if bag:
        for name, value in parse_qsl(bag, keep_blank_values=True, max_num_fields=_BAG_MAX_PROPERTIES):
            given.setdefault(name.lower(), value)
    return given


def _parse_path(path: str) -> tuple[MessageKind, str | None, str | None]:
    segments = path.rstrip("/").split("/")
    endpoint = segments[0]
    if not endpoint:
        raise errors.TopicMalformed("a topic name begins with its endpoint")
    if endpoint in _COMMANDS:
        raise errors.CommandsUnavailable("command responses are not taken yet")
    kind = _KINDS.get(endpoint)
    if kind is None:
        raise errors.EndpointUnknown(f"no endpoint {endpoint!r}")
    if len(segments) == 1:
        return kind, None, None
    if len(segments) == 2:
        raise errors.TopicWithoutDevice("a topic name with a tenant and no device")
    if len(segments) > 3:
        raise errors.TopicMalformed("a topic name has at most three segments")
    return kind, segments[1] or None, segments[2]


def _parse_ttl(value: str) -> int | None:
    """Seconds; anything but a plain number of bounded length is no ttl at all."""
    return int(value) if value.isascii() and value.isdigit() and len(value) <= _TTL_MAX_DIGITS else None


def _check_qos(kind: MessageKind, qos: int) -> None:
    if kind is MessageKind.EVENT:
        if qos != 1:
            raise errors.EventQosUnsupported(f"an event with QoS {qos}")
    elif qos == 2:
        raise errors.TelemetryQosUnsupported("telemetry with QoS 2")
