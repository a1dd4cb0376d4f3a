"""Properties as paho-mqtt writes and reads them: two independent understandings of MQTT 5, section 2.2.2."""

from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st
from paho.mqtt import properties as paho_properties
from paho.mqtt.packettypes import PacketTypes

from adapters.mqtt.wire import properties as props
from adapters.mqtt.wire.properties import parse_properties, render_properties
from adapters.mqtt.wire.reader import Reader
from tests.support.mqtt_client import properties_of

ForeignProperties: Any = paho_properties.Properties  # not typed
PLACES = {
    PacketTypes.CONNECT: props.CONNECTING,
    PacketTypes.PUBLISH: props.PUBLISHING,
    PacketTypes.PUBACK: props.ACKNOWLEDGEMENT,
    PacketTypes.SUBSCRIBE: props.SUBSCRIBING,
    PacketTypes.UNSUBSCRIBE: props.UNSUBSCRIBING,
    PacketTypes.DISCONNECT: props.DISCONNECTING,
    PacketTypes.AUTH: props.AUTHENTICATION,
    PacketTypes.WILLMESSAGE: props.WILL,
}
BY_SERVERS = {
    props.SERVER_KEEP_ALIVE: st.integers(0, 65_535),
    props.RECEIVE_MAXIMUM: st.integers(1, 65_535),
    props.MAXIMUM_QOS: st.integers(0, 1),
    props.MAXIMUM_PACKET_SIZE: st.integers(1, 268_435_455),  # paho takes no more
    props.SESSION_EXPIRY_INTERVAL: st.integers(0, 2**32 - 1),
    props.SUBSCRIPTION_IDENTIFIER_AVAILABLE: st.integers(0, 1),
    props.ASSIGNED_CLIENT_IDENTIFIER: st.text(st.characters(codec="ascii", exclude_characters="\0"), max_size=200),
    props.REASON_STRING: st.text(st.characters(codec="ascii", exclude_characters="\0"), max_size=200),
}


def foreign_name(identifier: int) -> str:
    return str(ForeignProperties(PacketTypes.CONNECT).getNameFromIdent(identifier)).replace(" ", "")


@st.composite
def placed(draw: st.DrawFn) -> tuple[int, dict[int, Any]]:
    place = draw(st.sampled_from(sorted(PLACES)))
    return place, draw(properties_of(5, PLACES[place]))


@settings(max_examples=60)
@given(placed())
def test_what_paho_writes_is_read(case: tuple[int, dict[int, Any]]) -> None:
    place, sent = case
    foreign = ForeignProperties(place)
    sent.pop(props.MAXIMUM_PACKET_SIZE, None)  # of which paho allows less than the standard does
    for identifier, value in sent.items():
        setattr(foreign, foreign_name(identifier), list(value) if isinstance(value, tuple) else value)
    wire = bytes(foreign.pack())
    reader = Reader(wire, 0, len(wire))
    assert parse_properties(reader, PLACES[place]) == sent
    reader.expect_end()


@settings(max_examples=60)
@given(st.fixed_dictionaries({}, optional=BY_SERVERS))
def test_what_is_written_paho_reads(sent: dict[int, Any]) -> None:
    foreign = ForeignProperties(PacketTypes.CONNACK)
    wire = render_properties(sent)
    _, read_bytes = foreign.unpack(wire)
    assert read_bytes == len(wire)
    assert {identifier: getattr(foreign, foreign_name(identifier)) for identifier in sent} == sent
