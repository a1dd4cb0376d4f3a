"""Any packets in any chunks come out as they went in; any bytes at all end in nothing but a WireFault."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from adapters.mqtt.wire.connection import CLOSED, Connection
from adapters.mqtt.wire.decoder import PacketDecoder
from adapters.mqtt.wire.effects import Admit, Delivery, Send
from adapters.mqtt.wire.errors import WireFault
from adapters.mqtt.wire.limits import Limits
from adapters.mqtt.wire.packets import Packet
from adapters.mqtt.wire.reasons import SUCCESS
from tests.support.mqtt_client import answers, connect, connects, encode, followers, publish

VERSIONS = st.sampled_from([4, 5])
LIMITS = Limits(
    remaining_max_bytes=4096,
    connect_max_bytes=4096,
    unacknowledged_max=4,
    keep_alive_max_s=60,
    connect_deadline_s=10.0,
    admission_deadline_s=10.0,
)


def decoder() -> PacketDecoder:
    return PacketDecoder(remaining_max_bytes=LIMITS.remaining_max_bytes, connect_max_bytes=LIMITS.connect_max_bytes)


@st.composite
def conversations(draw: st.DrawFn) -> tuple[int, list[Packet]]:
    version = draw(VERSIONS)
    return version, [draw(connects(version)), *draw(st.lists(followers(version), max_size=6))]


@settings(max_examples=60)
@given(conversations(), st.integers(1, 64))
def test_chunks_of_any_size_yield_the_packets_that_were_sent(
    conversation: tuple[int, list[Packet]], chunk_bytes: int
) -> None:
    version, sent = conversation
    wire = b"".join(encode(packet, version) for packet in sent)
    cutter = decoder()
    received: list[Packet] = []
    for start in range(0, len(wire), chunk_bytes):
        cutter.feed(wire[start : start + chunk_bytes])
        received += iter(cutter.next_packet, None)
    assert received == sent
    assert cutter.held_bytes == 0


@settings(max_examples=60)
@given(conversations(), st.lists(st.integers(0, 63), max_size=8))
def test_packets_taken_now_and_then_are_the_packets_that_were_sent(
    conversation: tuple[int, list[Packet]], cuts: list[int]
) -> None:
    version, sent = conversation
    wire = b"".join(encode(packet, version) for packet in sent)
    cutter = decoder()
    received: list[Packet] = []
    for cut in cuts:
        if wire[:cut]:
            cutter.feed(wire[:cut])
        wire = wire[cut:]
        packet = cutter.next_packet()
        received += [] if packet is None else [packet]
    if wire:
        cutter.feed(wire)
    received += iter(cutter.next_packet, None)
    assert received == sent


@given(st.lists(st.binary(min_size=1, max_size=40), max_size=8))
def test_any_bytes_give_packets_or_one_fault_that_repeats(chunks: list[bytes]) -> None:
    cutter = decoder()
    for chunk in chunks:
        cutter.feed(chunk)
        try:
            list(iter(cutter.next_packet, None))
        except WireFault as fault:
            cutter.feed(chunk)
            with pytest.raises(type(fault)) as again:
                cutter.next_packet()
            assert again.value is fault
            break


@settings(max_examples=60)
@given(conversations(), st.data())
def test_a_conversation_with_a_flipped_byte_never_leads_out_of_the_protocol(
    conversation: tuple[int, list[Packet]], data: st.DataObject
) -> None:
    version, sent = conversation
    wire = bytearray(b"".join(encode(packet, version) for packet in sent))
    position = data.draw(st.integers(0, len(wire) - 1))
    wire[position] = data.draw(st.integers(0, 255))
    cutter, connection = decoder(), Connection(LIMITS, 0.0)
    cutter.feed(bytes(wire))
    out = b""
    try:
        while (room := connection.room) and (packet := cutter.next_packet(room)) is not None:
            effect = connection.receive(packet, 1.0)
            if isinstance(effect, Admit):
                out += connection.accept(1.0)
            elif isinstance(effect, Send):
                out += effect.data
            elif isinstance(effect, Delivery):
                out += connection.settle(effect, SUCCESS)
    except WireFault as fault:
        out += connection.fail(fault)
        assert connection.state == CLOSED
    answers(out)


@given(VERSIONS, st.data())
def test_pubacks_come_in_the_order_of_the_messages_however_they_are_settled(version: int, data: st.DataObject) -> None:
    connection = Connection(LIMITS, 0.0)
    connection.receive(connect(version), 0.0)
    connection.accept(0.0)
    in_flight: list[Delivery] = []
    sent: list[int] = []
    out = b""
    for is_message in data.draw(st.lists(st.booleans(), max_size=30)):
        if is_message and connection.outstanding < LIMITS.unacknowledged_max:
            sent.append(len(sent) + 1)
            effect = connection.receive(publish(qos=1, packet_id=len(sent)), 0.0)
            assert isinstance(effect, Delivery)
            in_flight.append(effect)
        elif in_flight:
            out += connection.settle(in_flight.pop(data.draw(st.integers(0, len(in_flight) - 1))), SUCCESS)
    for delivery in data.draw(st.permutations(in_flight)):
        out += connection.settle(delivery, SUCCESS)
    assert [int.from_bytes(body, "big") for _, body in answers(out)] == sent
    assert connection.outstanding == 0
