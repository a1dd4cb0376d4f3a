"""The device's side of MQTT, written apart from the product's code: renders what a client sends.

Also a Hypothesis strategy for every packet a client may send, in both versions.
"""

from collections.abc import Sequence
from typing import Any

from hypothesis import strategies as st

from adapters.mqtt.wire import packets as p
from adapters.mqtt.wire import properties as props

TEXTS = st.text(st.characters(codec="utf-8", exclude_characters="\0"), max_size=20)
FILTERS = st.text(st.characters(codec="utf-8", exclude_characters="\0"), min_size=1, max_size=20)
TOPICS = st.text(st.characters(codec="utf-8", exclude_characters="\0+#"), min_size=1, max_size=20)
IDS = st.integers(1, 65_535)


def variable_integer(value: int) -> bytes:
    out = b""
    while True:
        value, digit = divmod(value, 128)
        if value == 0:
            return out + bytes([digit])
        out += bytes([digit | 128])


def string(value: str) -> bytes:
    return binary(value.encode())


def binary(value: bytes) -> bytes:
    return len(value).to_bytes(2, "big") + value


def packet(first: int, body: bytes) -> bytes:
    return bytes([first]) + variable_integer(len(body)) + body


def property_list(properties: props.Properties) -> bytes:
    body = b""
    for identifier, value in properties.items():
        shape = props.SHAPES[identifier]
        head = bytes([identifier])
        if isinstance(value, tuple):
            body += b"".join(head + string(name) + string(content) for name, content in value)
        elif isinstance(value, str):
            body += head + string(value)
        elif isinstance(value, bytes):
            body += head + binary(value)
        elif shape == props.VARIABLE:
            body += head + variable_integer(value)
        else:
            body += head + value.to_bytes({props.BYTE: 1, props.TWO_BYTES: 2, props.FOUR_BYTES: 4}[shape], "big")
    return variable_integer(len(body)) + body


def encode(sent: p.Packet, version: int) -> bytes:
    def bag(properties: props.Properties) -> bytes:
        return property_list(properties) if version == 5 else b""

    def tail(reason: int, properties: props.Properties) -> bytes:
        if version != 5 or (reason == 0 and not properties):
            return b""
        return bytes([reason]) + (property_list(properties) if properties else b"")

    match sent:
        case p.Connect():
            return _connect(sent)
        case p.Publish():
            numbers = [packet_id.to_bytes(2, "big") for packet_id in sent.packet_ids] or [b""] * len(sent.payloads)
            return b"".join(
                packet(0x30 | sent.flags, string(sent.topic) + number + bag(sent.properties) + (payload or b""))
                for number, payload in zip(numbers, sent.payloads, strict=True)
            )
        case p.Acknowledgement():
            first = sent.kind << 4 | (2 if sent.kind == p.PUBREL else 0)
            return packet(first, sent.packet_id.to_bytes(2, "big") + tail(sent.reason, sent.properties))
        case p.Subscribe():
            body = sent.packet_id.to_bytes(2, "big") + bag(sent.properties)
            for line in sent.filters:
                options = line.qos | line.no_local << 2 | line.retain_as_published << 3 | line.retain_handling << 4
                body += string(line.topic_filter) + bytes([options])
            return packet(0x82, body)
        case p.Unsubscribe():
            body = sent.packet_id.to_bytes(2, "big") + bag(sent.properties)
            return packet(0xA2, body + b"".join(string(line) for line in sent.topic_filters))
        case p.PingRequest():
            return packet(0xC0, b"")
        case p.Disconnect():
            return packet(0xE0, tail(sent.reason, sent.properties))
        case p.Auth():
            return packet(0xF0, tail(sent.reason, sent.properties))


def _connect(sent: p.Connect) -> bytes:
    flags = sent.clean_start << 1 | (sent.user_name is not None) << 7 | (sent.password is not None) << 6
    body = b""
    if sent.will is not None:
        flags |= 4 | sent.will.qos << 3 | sent.will.retain << 5
        if sent.version == 5:
            body += property_list(sent.will.properties)
        body += string(sent.will.topic) + binary(sent.will.payload)
    if sent.user_name is not None:
        body += string(sent.user_name)
    if sent.password is not None:
        body += binary(sent.password)
    head = string("MQTT") + bytes([sent.version, flags]) + sent.keep_alive_s.to_bytes(2, "big")
    if sent.version == 5:
        head += property_list(sent.properties)
    return packet(0x10, head + string(sent.client_id) + body)


def connect(version: int = 4, client_id: str = "c", **facts: Any) -> p.Connect:
    given: dict[str, Any] = {"clean_start": True, "keep_alive_s": 60} | facts
    return p.Connect(version=version, client_id=client_id, **given)


def publish(
    topic: str = "telemetry",
    payload: bytes = b"x",
    *,
    qos: int = 0,
    packet_id: int = 0,
    retain: bool = False,
    duplicate: bool = False,
    properties: props.Properties = props.NO_PROPERTIES,
) -> p.Publish:
    flags = p.DUPLICATE * duplicate | qos << 1 | p.RETAIN * retain
    return p.Publish(topic, [payload], [packet_id or 1] if qos else [], flags, qos, properties)


def answers(data: bytes) -> list[tuple[int, bytes]]:
    """What a server wrote, as (first byte, body) of each packet. Fails where it ends inside one."""
    found = []
    at = 0
    while at < len(data):
        length = shift = 0
        index = at + 1
        while True:
            digit = data[index]
            length |= (digit & 127) << shift
            shift += 7
            index += 1
            if digit < 128:
                break
        assert index + length <= len(data)
        found.append((data[at], data[index : index + length]))
        at = index + length
    return found


def _values(identifier: int) -> st.SearchStrategy[Any]:
    if identifier in (
        props.PAYLOAD_FORMAT_INDICATOR,
        props.REQUEST_PROBLEM_INFORMATION,
        props.REQUEST_RESPONSE_INFORMATION,
    ):
        return st.integers(0, 1)
    if identifier == props.RESPONSE_TOPIC:
        return TOPICS
    return {
        props.BYTE: st.integers(0, 255),
        props.TWO_BYTES: st.integers(1, 65_535),
        props.FOUR_BYTES: st.integers(1, 4_294_967_295),
        props.VARIABLE: st.integers(1, 268_435_455),
        props.TEXT: TEXTS,
        props.BINARY: st.binary(max_size=20),
        props.PAIR: st.lists(st.tuples(TEXTS, TEXTS), min_size=1, max_size=3).map(tuple),
    }[props.SHAPES[identifier]]


def properties_of(version: int, allowed: frozenset[int]) -> st.SearchStrategy[dict[int, Any]]:
    if version != 5:
        return st.just({})
    found = st.fixed_dictionaries({}, optional={identifier: _values(identifier) for identifier in sorted(allowed)})
    return found.map(_with_method)


def _with_method(properties: dict[int, Any]) -> dict[int, Any]:
    if props.AUTHENTICATION_DATA in properties:
        properties.setdefault(props.AUTHENTICATION_METHOD, "m")
    return properties


def connects(version: int) -> st.SearchStrategy[p.Connect]:
    will = st.builds(
        p.Will,
        topic=TOPICS,
        payload=st.binary(max_size=20),
        qos=st.integers(0, 2),
        retain=st.booleans(),
        properties=properties_of(version, props.WILL),
    )
    made = st.builds(
        p.Connect,
        version=st.just(version),
        client_id=TEXTS,
        clean_start=st.booleans(),
        keep_alive_s=st.integers(0, 65_535),
        will=st.none() | will,
        user_name=st.none() | TEXTS,
        password=st.none() | st.binary(max_size=20),
        properties=properties_of(version, props.CONNECTING),
    )
    if version == 5:
        return made
    return made.filter(_is_of_3_1_1)


def _is_of_3_1_1(made: p.Connect) -> bool:
    return bool(made.clean_start or made.client_id) and (made.user_name is not None or made.password is None)


@st.composite
def publishes(draw: st.DrawFn, version: int) -> p.Publish:
    qos = draw(st.integers(0, 2))
    return publish(
        draw(TOPICS),
        draw(st.binary(max_size=200)),
        qos=qos,
        packet_id=draw(IDS) if qos else 0,
        retain=draw(st.booleans()),
        duplicate=draw(st.booleans()) if qos else False,
        properties=draw(properties_of(version, props.PUBLISHING)),
    )


def followers(version: int) -> st.SearchStrategy[p.Packet]:
    """Any packet but CONNECT."""
    reasons = st.integers(0, 255) if version == 5 else st.just(0)
    v5 = st.booleans() if version == 5 else st.just(False)
    handling = st.integers(0, 2) if version == 5 else st.just(0)
    lines = st.builds(p.Filter, FILTERS, st.integers(0, 2), v5, v5, handling)
    lines = lines.filter(lambda line: not (line.no_local and line.topic_filter.startswith("$share/")))
    kinds: Sequence[st.SearchStrategy[p.Packet]] = [
        publishes(version),
        st.builds(
            p.Acknowledgement,
            st.sampled_from([p.PUBACK, p.PUBREC, p.PUBREL, p.PUBCOMP]),
            IDS,
            reasons,
            properties_of(version, props.ACKNOWLEDGEMENT),
        ),
        st.builds(
            p.Subscribe,
            IDS,
            st.lists(lines, min_size=1, max_size=4).map(tuple),
            properties_of(version, props.SUBSCRIBING),
        ),
        st.builds(
            p.Unsubscribe,
            IDS,
            st.lists(FILTERS, min_size=1, max_size=4).map(tuple),
            properties_of(version, props.UNSUBSCRIBING),
        ),
        st.builds(p.PingRequest),
        st.builds(p.Disconnect, reasons, properties_of(version, props.DISCONNECTING)),
    ]
    if version == 5:
        kinds = [*kinds, st.builds(p.Auth, reasons, properties_of(version, props.AUTHENTICATION))]
    return st.one_of(*kinds)
