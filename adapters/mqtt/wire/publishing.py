"""Parses PUBLISH: one, and with it those right behind it that say the same of themselves.

Written out by hand, because it is done for every message; other packets are read through a Reader (bodies.py).
Just as strict: whatever is not plainly one more message of the run ends it, and is judged as the first of the next.

The last topic is remembered with the name it was understood as. Devices publish to one or two topics for years,
and what passed its checks passes them again.
"""

from typing import Final

from adapters.mqtt.wire import properties as props
from adapters.mqtt.wire import reasons
from adapters.mqtt.wire.errors import MalformedPacket, ProtocolViolation
from adapters.mqtt.wire.packets import VERSION_5, Publish
from adapters.mqtt.wire.properties import NO_PROPERTIES, Properties, parse_properties
from adapters.mqtt.wire.reader import Reader, decode_text

TOPIC_REMEMBERED_MAX_BYTES: Final = 128
_FIELD_CUT_SHORT: Final = "packet ends inside a field"


class PublishParser:
    """Parses the PUBLISHes of one connection, whose version is to be told with `version`."""

    __slots__ = ("_known", "_known_as", "_remaining_max_bytes", "version")

    def __init__(self, remaining_max_bytes: int) -> None:
        self._remaining_max_bytes = remaining_max_bytes
        self._known = b""  # the last topic as it stands in a packet, with its length; empty: none
        self._known_as = ""
        self.version = 0

    def parse(self, data: bytes, at: int, body: int, end: int, messages_max: int) -> tuple[Publish, int]:
        """The PUBLISH from `at` on, its body between `body` and `end`, with at most `messages_max` - 1 behind it.

        They have its first byte and its topic, a payload, no properties, and are complete. Returns as well where
        the last of them ends. Raises what is wrong with the first; what is wrong with another ends the run before it.
        """
        flags = data[at] & 0x0F
        qos = flags >> 1 & 3
        if flags > 5:
            _check_flags(flags)
        raw_topic = self._known
        payload_at = topic_end = body + len(raw_topic)
        if raw_topic and topic_end <= end and data.startswith(raw_topic, body):
            topic = self._known_as
        else:
            raw_topic, topic = self._read_topic(data, body, end)
            payload_at = topic_end = body + len(raw_topic)
        packet_ids: list[int] = []
        if qos:
            payload_at += 2
            if payload_at > end:
                raise MalformedPacket(_FIELD_CUT_SHORT)
            packet_ids = [data[topic_end] << 8 | data[topic_end + 1]]
            if packet_ids[0] == 0:  # [MQTT-2.2.1-3]
                raise MalformedPacket("packet identifier is 0")
        properties = NO_PROPERTIES
        if self.version == VERSION_5:
            if payload_at < end and data[payload_at] == 0:  # the usual case costs one comparison
                payload_at += 1
            else:
                reader = Reader(data, payload_at, end)
                properties = parse_properties(reader, props.PUBLISHING)
                payload_at = end - reader.remaining_bytes
        if not topic:
            _check_alias(properties)
        publish = Publish(topic, [data[payload_at:end]], packet_ids, flags, qos, properties)
        if end < len(data) and messages_max > 1 and payload_at < end and properties is NO_PROPERTIES:
            end = self._gather(publish, data, data[at], raw_topic, end, messages_max)
        return publish, end

    def _gather(self, publish: Publish, data: bytes, first: int, raw_topic: bytes, at: int, messages_max: int) -> int:
        """Add what belongs to the run from `at` on; returns where it ends.

        A message without payload is never part of a run, for whether it may be is judged apart. Lengths of three
        bytes and more are left to be a run of their own: so much payload is no matter of parsing.
        """
        payloads, packet_ids = publish.payloads, publish.packet_ids
        is_numbered, is_5 = publish.qos > 0, self.version == VERSION_5
        id_at = len(raw_topic)
        before_payload = id_at + 2 * is_numbered + is_5
        fed, length_max = len(data), self._remaining_max_bytes
        while at + 2 + before_payload < fed and data[at] == first and len(payloads) < messages_max:
            body = at + 2
            length = data[at + 1]
            if length >= 0x80:
                more = data[body]
                if more >= 0x80 or more == 0:
                    break
                length = length & 0x7F | more << 7
                body += 1
            end = body + length
            payload_at = body + before_payload
            if end > fed or payload_at >= end or length > length_max or not data.startswith(raw_topic, body):
                break
            if is_5 and data[payload_at - 1]:
                break
            if is_numbered:
                packet_id = data[body + id_at] << 8 | data[body + id_at + 1]
                if packet_id == 0:
                    break
                packet_ids.append(packet_id)
            payloads.append(data[payload_at:end])
            at = end
        return at

    def _read_topic(self, data: bytes, at: int, end: int) -> tuple[bytes, str]:
        """The topic as it stands there, with its length, and as text. Remembered unless it is long."""
        if at + 2 > end:
            raise MalformedPacket(_FIELD_CUT_SHORT)
        topic_end = at + 2 + (data[at] << 8 | data[at + 1])
        if topic_end > end:
            raise MalformedPacket(_FIELD_CUT_SHORT)
        topic = decode_text(data[at + 2 : topic_end])
        if "#" in topic or "+" in topic:  # [MQTT-3.3.2-2]
            raise MalformedPacket("a topic name holds a wildcard", reason=reasons.TOPIC_NAME_INVALID)
        raw_topic = data[at:topic_end]
        if len(raw_topic) <= TOPIC_REMEMBERED_MAX_BYTES:
            self._known = raw_topic
            self._known_as = topic
        return raw_topic, topic


def _check_flags(flags: int) -> None:
    qos = flags >> 1 & 3
    if qos == 3:  # [MQTT-3.3.1-4]
        raise MalformedPacket("QoS is 3")
    if qos == 0:  # [MQTT-3.3.1-2]
        raise MalformedPacket("a QoS 0 message is marked as sent again")


def _check_alias(properties: Properties) -> None:
    """A message may go without a topic where an alias stands for it. [MQTT-4.7.3-1]"""
    if props.TOPIC_ALIAS not in properties:
        raise ProtocolViolation("a message without a topic", reason=reasons.TOPIC_NAME_INVALID)
