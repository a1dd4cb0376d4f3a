"""The properties of MQTT 5, section 2.2.2: which there are, where each may stand, and their bytes.

A packet's properties are a mapping from identifier to value: int, str or bytes; user properties are a
tuple of name and value pairs, in their order. What is absent is not in the mapping: `number` takes the
default from whoever asks. Rendering knows what a server sends: numbers and texts.
"""

from collections.abc import Mapping
from types import MappingProxyType
from typing import Final

from adapters.mqtt.wire import reasons
from adapters.mqtt.wire.errors import MalformedPacket, ProtocolViolation
from adapters.mqtt.wire.reader import Reader

Pairs = tuple[tuple[str, str], ...]
PropertyValue = int | str | bytes | Pairs
Properties = Mapping[int, PropertyValue]
NO_PROPERTIES: Final[Properties] = MappingProxyType({})

PAYLOAD_FORMAT_INDICATOR: Final = 0x01
MESSAGE_EXPIRY_INTERVAL: Final = 0x02
CONTENT_TYPE: Final = 0x03
RESPONSE_TOPIC: Final = 0x08
CORRELATION_DATA: Final = 0x09
SUBSCRIPTION_IDENTIFIER: Final = 0x0B
SESSION_EXPIRY_INTERVAL: Final = 0x11
ASSIGNED_CLIENT_IDENTIFIER: Final = 0x12
SERVER_KEEP_ALIVE: Final = 0x13
AUTHENTICATION_METHOD: Final = 0x15
AUTHENTICATION_DATA: Final = 0x16
REQUEST_PROBLEM_INFORMATION: Final = 0x17
WILL_DELAY_INTERVAL: Final = 0x18
REQUEST_RESPONSE_INFORMATION: Final = 0x19
RESPONSE_INFORMATION: Final = 0x1A
SERVER_REFERENCE: Final = 0x1C
REASON_STRING: Final = 0x1F
RECEIVE_MAXIMUM: Final = 0x21
TOPIC_ALIAS_MAXIMUM: Final = 0x22
TOPIC_ALIAS: Final = 0x23
MAXIMUM_QOS: Final = 0x24
RETAIN_AVAILABLE: Final = 0x25
USER_PROPERTY: Final = 0x26
MAXIMUM_PACKET_SIZE: Final = 0x27
WILDCARD_SUBSCRIPTION_AVAILABLE: Final = 0x28
SUBSCRIPTION_IDENTIFIER_AVAILABLE: Final = 0x29
SHARED_SUBSCRIPTION_AVAILABLE: Final = 0x2A

BYTE: Final = "byte"
TWO_BYTES: Final = "two bytes"
FOUR_BYTES: Final = "four bytes"
VARIABLE: Final = "variable byte integer"
TEXT: Final = "text"
BINARY: Final = "binary"
PAIR: Final = "pair"

SHAPES: Final[Mapping[int, str]] = {
    PAYLOAD_FORMAT_INDICATOR: BYTE,
    MESSAGE_EXPIRY_INTERVAL: FOUR_BYTES,
    CONTENT_TYPE: TEXT,
    RESPONSE_TOPIC: TEXT,
    CORRELATION_DATA: BINARY,
    SUBSCRIPTION_IDENTIFIER: VARIABLE,
    SESSION_EXPIRY_INTERVAL: FOUR_BYTES,
    ASSIGNED_CLIENT_IDENTIFIER: TEXT,
    SERVER_KEEP_ALIVE: TWO_BYTES,
    AUTHENTICATION_METHOD: TEXT,
    AUTHENTICATION_DATA: BINARY,
    REQUEST_PROBLEM_INFORMATION: BYTE,
    WILL_DELAY_INTERVAL: FOUR_BYTES,
    REQUEST_RESPONSE_INFORMATION: BYTE,
    RESPONSE_INFORMATION: TEXT,
    SERVER_REFERENCE: TEXT,
    REASON_STRING: TEXT,
    RECEIVE_MAXIMUM: TWO_BYTES,
    TOPIC_ALIAS_MAXIMUM: TWO_BYTES,
    TOPIC_ALIAS: TWO_BYTES,
    MAXIMUM_QOS: BYTE,
    RETAIN_AVAILABLE: BYTE,
    USER_PROPERTY: PAIR,
    MAXIMUM_PACKET_SIZE: FOUR_BYTES,
    WILDCARD_SUBSCRIPTION_AVAILABLE: BYTE,
    SUBSCRIPTION_IDENTIFIER_AVAILABLE: BYTE,
    SHARED_SUBSCRIPTION_AVAILABLE: BYTE,
}

# Which properties a client's packets may carry; a subscription identifier in its PUBLISH is an error. [MQTT-3.3.4-6]
ACKNOWLEDGEMENT: Final = frozenset({REASON_STRING, USER_PROPERTY})
AUTHENTICATION: Final = frozenset({AUTHENTICATION_METHOD, AUTHENTICATION_DATA, REASON_STRING, USER_PROPERTY})
CONNECTING: Final = frozenset(
    {
        SESSION_EXPIRY_INTERVAL,
        RECEIVE_MAXIMUM,
        MAXIMUM_PACKET_SIZE,
        TOPIC_ALIAS_MAXIMUM,
        REQUEST_RESPONSE_INFORMATION,
        REQUEST_PROBLEM_INFORMATION,
        USER_PROPERTY,
        AUTHENTICATION_METHOD,
        AUTHENTICATION_DATA,
    }
)
DISCONNECTING: Final = frozenset({SESSION_EXPIRY_INTERVAL, SERVER_REFERENCE, REASON_STRING, USER_PROPERTY})
PUBLISHING: Final = frozenset(
    {
        PAYLOAD_FORMAT_INDICATOR,
        MESSAGE_EXPIRY_INTERVAL,
        TOPIC_ALIAS,
        RESPONSE_TOPIC,
        CORRELATION_DATA,
        USER_PROPERTY,
        CONTENT_TYPE,
    }
)
SUBSCRIBING: Final = frozenset({SUBSCRIPTION_IDENTIFIER, USER_PROPERTY})
UNSUBSCRIBING: Final = frozenset({USER_PROPERTY})
WILL: Final = (PUBLISHING - {TOPIC_ALIAS}) | {WILL_DELAY_INTERVAL}

_SWITCHES: Final = frozenset({PAYLOAD_FORMAT_INDICATOR, REQUEST_PROBLEM_INFORMATION, REQUEST_RESPONSE_INFORMATION})
_NEVER_ZERO: Final = frozenset({RECEIVE_MAXIMUM, MAXIMUM_PACKET_SIZE, SUBSCRIPTION_IDENTIFIER})


def parse_properties(reader: Reader, allowed: frozenset[int]) -> Properties:
    """The property length and that many bytes of properties.

    Raises MalformedPacket for one that may not stand here, ProtocolViolation for one that stands twice or
    has a value it may not have.
    """
    length = reader.variable_integer()
    if length == 0:
        return NO_PROPERTIES
    body = reader.sub_reader(length)
    found: dict[int, PropertyValue] = {}
    pairs: list[tuple[str, str]] = []
    while body.remaining_bytes:
        identifier = body.variable_integer()
        if identifier not in allowed:
            raise MalformedPacket(f"property {identifier:#04x} may not stand here")
        if identifier == USER_PROPERTY:
            pairs.append((body.text(), body.text()))
            continue
        if identifier in found:
            raise ProtocolViolation(f"property {identifier:#04x} stands twice")
        value = _parse_value(body, SHAPES[identifier])
        _check_value(identifier, value)
        found[identifier] = value
    if pairs:
        found[USER_PROPERTY] = tuple(pairs)
    if AUTHENTICATION_DATA in found and AUTHENTICATION_METHOD not in found:
        raise ProtocolViolation("authentication data without a method")
    return found


def render_properties(properties: Mapping[int, int | str]) -> bytes:
    """The property length and the properties in the order of the mapping."""
    body = b"".join(bytes((identifier,)) + _render_value(identifier, value) for identifier, value in properties.items())
    return render_variable_integer(len(body)) + body


def no_properties() -> Properties:
    return NO_PROPERTIES


def number(properties: Properties, identifier: int, default: int) -> int:
    value = properties.get(identifier, default)
    assert isinstance(value, int)
    return value


def text(properties: Properties, identifier: int) -> str | None:
    value = properties.get(identifier)
    assert value is None or isinstance(value, str)
    return value


def render_variable_integer(value: int) -> bytes:
    """One to four bytes, least significant seven bits first."""
    digits = bytearray()
    while value >= 0x80:
        digits.append(value & 0x7F | 0x80)
        value >>= 7
    digits.append(value)
    return bytes(digits)


def render_text(value: str) -> bytes:
    raw = value.encode()
    return len(raw).to_bytes(2, "big") + raw


def _parse_value(body: Reader, shape: str) -> int | str | bytes:
    if shape == BYTE:
        return body.byte()
    if shape == TWO_BYTES:
        return body.two_bytes()
    if shape == FOUR_BYTES:
        return body.four_bytes()
    if shape == TEXT:
        return body.text()
    if shape == BINARY:
        return body.binary()
    return body.variable_integer()


def _check_value(identifier: int, value: int | str | bytes) -> None:
    if identifier in _SWITCHES and value not in (0, 1):
        raise ProtocolViolation(f"property {identifier:#04x} is neither 0 nor 1")
    if identifier in _NEVER_ZERO and value == 0:
        raise ProtocolViolation(f"property {identifier:#04x} is 0")
    if identifier == TOPIC_ALIAS and value == 0:  # [MQTT-3.3.2-8]
        raise ProtocolViolation("topic alias is 0", reason=reasons.TOPIC_ALIAS_INVALID)
    if identifier == RESPONSE_TOPIC:
        assert isinstance(value, str)
        if "+" in value or "#" in value:  # [MQTT-3.3.2-14]
            raise ProtocolViolation("response topic holds a wildcard")


def _render_value(identifier: int, value: int | str) -> bytes:
    if isinstance(value, str):
        return render_text(value)
    shape = SHAPES[identifier]
    return value.to_bytes(1 if shape == BYTE else 2 if shape == TWO_BYTES else 4, "big")
