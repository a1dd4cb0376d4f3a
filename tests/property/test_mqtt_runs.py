"""A run of messages is nothing but those messages: whatever else comes, however it is cut, whatever becomes of them."""

from collections.abc import Iterator

from hypothesis import given, settings
from hypothesis import strategies as st

from adapters.mqtt.wire.connection import Connection
from adapters.mqtt.wire.decoder import PacketDecoder
from adapters.mqtt.wire.effects import UNANSWERED, Delivery, Send
from adapters.mqtt.wire.errors import WireFault
from adapters.mqtt.wire.limits import Limits
from adapters.mqtt.wire.packets import Packet, Publish
from adapters.mqtt.wire.properties import NO_PROPERTIES
from adapters.mqtt.wire.reasons import SUCCESS, UNSPECIFIED_ERROR
from tests.support.mqtt_client import answers, connect, encode, packet, string

VERSIONS = st.sampled_from([4, 5])
LIMITS = Limits(
    remaining_max_bytes=20_000,
    connect_max_bytes=200,
    unacknowledged_max=4,
    keep_alive_max_s=60,
    connect_deadline_s=10.0,
    admission_deadline_s=10.0,
)
TOPICS = ["t", "te", "telemetry", "t" * 130]
SIZES = [0, 1, 7, 120, 130, 300, 16_370, 16_385]
PROPERTIES = [b"\0", b"\0", b"\0", b"\x04\x03\0\x01x"]
FLAGS = [2, 2, 2, 2, 0, 0, 1, 3, 4, 10]
PING = b"\xc0\x00"
FAULTY = [b"\xc1\x00", b"\x32\x84\x00\x00\x01t\x00", b"\x30\x03\x00\x01+", b"\x30\x04\x00\x00xx"]


@st.composite
def kindred(draw: st.DrawFn, version: int) -> bytes:
    """Messages that mostly belong to one run, seldom a faulty one."""
    first = 0x30 | draw(st.sampled_from(FLAGS))
    topic = string(draw(st.sampled_from(TOPICS)))
    wire = b""
    for number in range(draw(st.integers(1, 7))):
        packet_id = draw(st.sampled_from([number + 1] * 29 + [0])).to_bytes(2, "big") if first & 6 else b""
        properties = draw(st.sampled_from(PROPERTIES)) if version == 5 else b""
        wire += packet(first, topic + packet_id + properties + b"p" * draw(st.sampled_from(SIZES)))
    return wire


def conversations(version: int) -> st.SearchStrategy[bytes]:
    parts = st.lists(kindred(version) | kindred(version) | kindred(version) | st.just(PING), max_size=6)
    return st.builds(bytes.__add__, parts.map(b"".join), st.just(b"") | st.sampled_from(FAULTY))


def cut_up(data: st.DataObject, wire: bytes) -> Iterator[bytes]:
    at = 0
    while at < len(wire):
        step = data.draw(st.sampled_from([1, 2, 3, 5, 11, 40, 300, 20_000]))
        yield wire[at : at + step]
        at += step


def decoder(version: int) -> PacketDecoder:
    made = PacketDecoder(remaining_max_bytes=LIMITS.remaining_max_bytes, connect_max_bytes=LIMITS.connect_max_bytes)
    made.feed(encode(connect(version), version))
    made.next_packet()
    return made


def one_by_one(taken: Packet) -> list[Packet]:
    if not isinstance(taken, Publish):
        return [taken]
    numbers: list[list[int]] = [[number] for number in taken.packet_ids] or [[]] * len(taken.payloads)
    return [
        Publish(taken.topic, [payload], number, taken.flags, taken.qos, taken.properties)
        for number, payload in zip(numbers, taken.payloads, strict=True)
    ]


def take(made: PacketDecoder, messages_max: int, into: list[Packet]) -> str | None:
    """All there is at the moment; the fault that ended it, if one did."""
    try:
        while (taken := made.next_packet(messages_max)) is not None:
            if isinstance(taken, Publish):
                assert 1 <= len(taken.payloads) <= messages_max
                assert len(taken.packet_ids) == (len(taken.payloads) if taken.qos else 0)
            into += one_by_one(taken)
    except WireFault as fault:
        return str(fault)
    return None


@settings(max_examples=100)
@given(st.data(), VERSIONS, st.sampled_from([2, 3, 1000]))
def test_taken_in_runs_or_one_by_one_the_messages_are_the_same(
    data: st.DataObject, version: int, messages_max: int
) -> None:
    wire = data.draw(conversations(version))
    singly, in_runs = decoder(version), decoder(version)
    expected: list[Packet] = []
    found: list[Packet] = []
    for chunk in cut_up(data, wire):
        singly.feed(chunk)
        in_runs.feed(chunk)
        fault = take(singly, 1, expected)
        assert take(in_runs, messages_max, found) == fault
        assert found == expected
        assert in_runs.held_bytes == singly.held_bytes
        if fault is not None:
            break


class Server:
    """A connection that takes what it may, and keeps each message when it is told to."""

    def __init__(self, version: int, *, takes_runs: bool) -> None:
        self._takes_runs = takes_runs
        self._decoder = decoder(version)
        self._connection = Connection(LIMITS, 0.0)
        self._connection.receive(connect(version), 0.0)
        self._connection.accept(0.0)
        self._waiting: list[Delivery] = []
        self.taken: list[Packet] = []
        self.out = b""

    def receive(self, chunk: bytes) -> None:
        self._decoder.feed(chunk)
        self.pump()

    def pump(self) -> None:
        connection = self._connection
        try:
            while room := connection.room:
                packet = self._decoder.next_packet(room if self._takes_runs else 1)
                if packet is None:
                    return
                effect = connection.receive(packet, 0.0)
                self.taken += one_by_one(packet)
                if isinstance(effect, Delivery):
                    self._waiting.append(effect)
                elif isinstance(effect, Send):
                    self.out += effect.data
        except WireFault as fault:
            self.out += connection.fail(fault)

    def keep_all(self) -> None:
        waiting, self._waiting = self._waiting, []
        for delivery in waiting:
            self.out += self._connection.settle(delivery, SUCCESS)
        self.pump()

    @property
    def state(self) -> tuple[int, int, int]:
        return self._connection.state, self._connection.outstanding, self._connection.room


@settings(max_examples=100)
@given(st.data(), VERSIONS)
def test_a_connection_that_takes_runs_says_what_one_says_that_takes_single_messages(
    data: st.DataObject, version: int
) -> None:
    wire = data.draw(conversations(version))
    singly, in_runs = Server(version, takes_runs=False), Server(version, takes_runs=True)
    for chunk in cut_up(data, wire):
        keeps = data.draw(st.booleans())
        for server in (singly, in_runs):
            server.receive(chunk)
            if keeps:
                server.keep_all()
        assert in_runs.taken == singly.taken
        assert in_runs.out == singly.out
        assert in_runs.state == singly.state


@given(st.data(), VERSIONS)
def test_pubacks_come_in_the_order_of_the_messages_in_whatever_order_runs_are_settled(
    data: st.DataObject, version: int
) -> None:
    connection = Connection(LIMITS, 0.0)
    connection.receive(connect(version), 0.0)
    connection.accept(0.0)
    in_flight: list[Delivery] = []
    expected: list[int] = []
    out = b""
    number = 0

    def settle(at: int) -> bytes:
        delivery = in_flight.pop(at)
        outcome = data.draw(st.sampled_from([SUCCESS, SUCCESS, UNSPECIFIED_ERROR, UNANSWERED]))
        if outcome == UNANSWERED:
            for packet_id in delivery.publish.packet_ids:
                expected.remove(packet_id)
        return connection.settle(delivery, outcome, "why")

    for count in data.draw(st.lists(st.integers(0, 4), max_size=30)):
        if 0 < count <= LIMITS.unacknowledged_max - connection.outstanding:
            packet_ids = list(range(number + 1, number + 1 + count))
            number += count
            expected += packet_ids
            effect = connection.receive(Publish("t", [b"x"] * count, packet_ids, 2, 1, NO_PROPERTIES), 0.0)
            assert isinstance(effect, Delivery)
            in_flight.append(effect)
        elif in_flight:
            out += settle(data.draw(st.integers(0, len(in_flight) - 1)))
    while in_flight:
        out += settle(data.draw(st.integers(0, len(in_flight) - 1)))
    assert [int.from_bytes(body[:2], "big") for first, body in answers(out) if first == 0x40] == expected
    assert connection.outstanding == 0
