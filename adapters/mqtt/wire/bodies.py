"""Parses the body of each packet a client may send but PUBLISH: everything behind the fixed header.

Strict: what the standard calls malformed or a protocol error is refused, whether or not anything here
would have used it.
"""

from adapters.mqtt.wire import packets, reasons
from adapters.mqtt.wire import properties as props
from adapters.mqtt.wire.errors import IdentifierRejected, MalformedPacket, ProtocolViolation, VersionUnsupported
from adapters.mqtt.wire.packets import VERSION_3_1_1, VERSION_5
from adapters.mqtt.wire.properties import NO_PROPERTIES, Properties, parse_properties
from adapters.mqtt.wire.reader import Reader


def parse_connect(reader: Reader) -> packets.Connect:
    """Faults behind the protocol level carry the version, so that they can be answered in its words."""
    name = reader.binary()
    if name not in (b"MQTT", b"MQIsdp"):  # [MQTT-3.1.2-1]
        raise MalformedPacket("protocol name is not MQTT")
    version = reader.byte()
    if name != b"MQTT" or version not in (VERSION_3_1_1, VERSION_5):  # [MQTT-3.1.2-2]
        raise VersionUnsupported(f"protocol level is {version}", version=version)
    try:
        return _parse_connect(reader, version)
    except (MalformedPacket, ProtocolViolation, IdentifierRejected) as fault:
        fault.version = version
        raise


def _parse_connect(reader: Reader, version: int) -> packets.Connect:
    flags = reader.byte()
    _check_connect_flags(flags, version)
    keep_alive_s = reader.two_bytes()
    properties = parse_properties(reader, props.CONNECTING) if version == VERSION_5 else NO_PROPERTIES
    client_id = reader.text()
    clean_start = flags & 0x02 != 0
    if not client_id and not clean_start and version == VERSION_3_1_1:  # [3.1.1: MQTT-3.1.3-8]
        raise IdentifierRejected("an empty client identifier without a clean session")
    will = _parse_will(reader, flags, version) if flags & 0x04 else None
    user_name = reader.text() if flags & 0x80 else None
    password = reader.binary() if flags & 0x40 else None
    reader.expect_end()
    return packets.Connect(
        version=version,
        client_id=client_id,
        clean_start=clean_start,
        keep_alive_s=keep_alive_s,
        will=will,
        user_name=user_name,
        password=password,
        properties=properties,
    )


def _check_connect_flags(flags: int, version: int) -> None:
    if flags & 0x01:  # [MQTT-3.1.2-3]
        raise MalformedPacket("the reserved connect flag is set")
    if flags & 0x04 == 0 and flags & 0x38:  # [MQTT-3.1.2-11] [MQTT-3.1.2-13]
        raise MalformedPacket("will flags without a will")
    if flags & 0x18 == 0x18:  # [MQTT-3.1.2-12]
        raise MalformedPacket("will QoS is 3")
    if version == VERSION_3_1_1 and flags & 0xC0 == 0x40:  # [3.1.1: MQTT-3.1.2-22]
        raise MalformedPacket("a password without a user name")


def _parse_will(reader: Reader, flags: int, version: int) -> packets.Will:
    properties = parse_properties(reader, props.WILL) if version == VERSION_5 else NO_PROPERTIES
    topic = reader.text()
    if not topic or "#" in topic or "+" in topic:  # [MQTT-4.7.0-1] [MQTT-4.7.3-1]
        raise MalformedPacket("the will's topic is no topic name", reason=reasons.TOPIC_NAME_INVALID)
    return packets.Will(
        topic=topic, payload=reader.binary(), qos=flags >> 3 & 3, retain=flags & 0x20 != 0, properties=properties
    )


def parse_acknowledgement(kind: int, reader: Reader, version: int) -> packets.Acknowledgement:
    """PUBACK, PUBREC, PUBREL, PUBCOMP; version 5 may leave out the reason, and then the properties."""
    packet_id = reader.packet_id()
    reason, properties = _parse_tail(reader, version, props.ACKNOWLEDGEMENT)
    return packets.Acknowledgement(kind, packet_id, reason, properties)


def parse_subscribe(reader: Reader, version: int) -> packets.Subscribe:
    packet_id = reader.packet_id()
    properties = parse_properties(reader, props.SUBSCRIBING) if version == VERSION_5 else NO_PROPERTIES
    filters = []
    while reader.remaining_bytes:
        filters.append(_parse_filter(reader, version))
    if not filters:  # [MQTT-3.8.3-2]
        raise ProtocolViolation("a SUBSCRIBE without a filter")
    return packets.Subscribe(packet_id, tuple(filters), properties)


def _parse_filter(reader: Reader, version: int) -> packets.Filter:
    topic_filter = _parse_topic_filter(reader)
    options = reader.byte()
    if options & (0xC0 if version == VERSION_5 else 0xFC):  # [MQTT-3.8.3-5]
        raise MalformedPacket("a reserved subscription option is set")
    if options & 0x03 == 3:
        raise MalformedPacket("requested QoS is 3")
    retain_handling = options >> 4 & 3
    if retain_handling == 3:
        raise ProtocolViolation("retain handling is 3")
    no_local = options & 0x04 != 0
    if no_local and topic_filter.startswith("$share/"):  # [MQTT-3.8.3-4]
        raise ProtocolViolation("no local on a shared subscription")
    return packets.Filter(topic_filter, options & 0x03, no_local, options & 0x08 != 0, retain_handling)


def _parse_topic_filter(reader: Reader) -> str:
    topic_filter = reader.text()
    if not topic_filter:  # [MQTT-4.7.3-1]
        raise MalformedPacket("a topic filter is empty")
    return topic_filter


def parse_unsubscribe(reader: Reader, version: int) -> packets.Unsubscribe:
    packet_id = reader.packet_id()
    properties = parse_properties(reader, props.UNSUBSCRIBING) if version == VERSION_5 else NO_PROPERTIES
    topic_filters = []
    while reader.remaining_bytes:
        topic_filters.append(_parse_topic_filter(reader))
    if not topic_filters:  # [MQTT-3.10.3-2]
        raise ProtocolViolation("an UNSUBSCRIBE without a filter")
    return packets.Unsubscribe(packet_id, tuple(topic_filters), properties)


def parse_ping_request(reader: Reader) -> packets.PingRequest:
    reader.expect_end()
    return packets.PingRequest()


def parse_disconnect(reader: Reader, version: int) -> packets.Disconnect:
    reason, properties = _parse_tail(reader, version, props.DISCONNECTING)
    return packets.Disconnect(reason, properties)


def parse_auth(reader: Reader, version: int) -> packets.Auth:
    reason, properties = _parse_tail(reader, version, props.AUTHENTICATION)
    return packets.Auth(reason, properties)


def _parse_tail(reader: Reader, version: int, allowed: frozenset[int]) -> tuple[int, Properties]:
    """A reason code and properties, each of which may be left out in version 5; nothing in 3.1.1."""
    reason, properties = reasons.SUCCESS, NO_PROPERTIES
    if version == VERSION_5 and reader.remaining_bytes:
        reason = reader.byte()
        if reader.remaining_bytes:
            properties = parse_properties(reader, allowed)
    reader.expect_end()
    return reason, properties
