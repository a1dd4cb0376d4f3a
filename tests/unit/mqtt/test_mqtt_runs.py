"""Messages that differ in payload and number only: taken as one, and each acknowledged."""

from collections.abc import AsyncIterator

import pytest

from adapters.mqtt.wire import packets as p
from adapters.mqtt.wire import properties as props
from adapters.mqtt.wire import reasons
from adapters.mqtt.wire.connection import Connection
from adapters.mqtt.wire.decoder import PacketDecoder
from adapters.mqtt.wire.effects import UNANSWERED, Delivery
from adapters.mqtt.wire.errors import MalformedPacket, PacketTooLarge, ProtocolViolation, WireFault
from adapters.mqtt.wire.limits import Limits
from conf.mqtt import MqttSettings
from kernel.errors import Malformed
from messaging.errors import NorthboundUnavailable
from tests.support.mqtt import MqttBench, mqtt_bench
from tests.support.mqtt_client import answers, connect, encode, packet, publish, string
from tests.support.waiting import until

pytestmark = pytest.mark.interpreted  # its uplink is a fake that inherits from ours

ENOUGH = 100


def decoder(version: int = 4) -> PacketDecoder:
    made = PacketDecoder(remaining_max_bytes=20_000, connect_max_bytes=100)
    made.feed(encode(connect(version), version))
    assert made.next_packet() == connect(version)
    return made


def sizes(made: PacketDecoder, messages_max: int = ENOUGH) -> list[int]:
    """How many messages there are in each packet that comes out now."""
    found = iter(lambda: made.next_packet(messages_max), None)
    return [len(each.payloads) for each in found if isinstance(each, p.Publish)]


def wire(*sent: p.Publish, version: int = 4) -> bytes:
    return b"".join(encode(each, version) for each in sent)


class TestDecoding:
    @pytest.mark.parametrize("version", [4, 5])
    @pytest.mark.parametrize("qos", [0, 1, 2])
    def test_a_run_is_one_packet(self, version: int, qos: int) -> None:
        made = decoder(version)
        payloads: list[bytes | None] = [b"1", b"22", b"3" * 200]
        run = p.Publish("t", payloads, [7, 8, 9] if qos else [], qos << 1 | p.RETAIN, qos, {})
        made.feed(wire(run, version=version))
        assert made.next_packet(ENOUGH) == run
        assert made.held_bytes == 0

    def test_it_is_no_longer_than_asked_for(self) -> None:
        made = decoder()
        made.feed(wire(*[publish()] * 7))
        assert sizes(made, 3) == [3, 3, 1]

    def test_asked_for_one_message_a_packet_is_one(self) -> None:
        made = decoder()
        made.feed(wire(publish(), publish()))
        assert [made.next_packet(), made.next_packet(), made.next_packet()] == [publish(), publish(), None]

    @pytest.mark.parametrize(
        "other",
        [
            publish(qos=1),
            publish(retain=True),
            publish("telemetr", b"yx"),
            publish("telemetry2"),
            publish(payload=b""),
            publish(properties={props.CONTENT_TYPE: "x"}),
        ],
    )
    def test_what_differs_is_a_run_of_its_own(self, other: p.Publish) -> None:
        made = decoder(5)
        made.feed(wire(publish(), publish(), other, publish(), publish(), version=5))
        assert sizes(made) == [2, 1, 2]

    def test_messages_without_payload_are_never_together(self) -> None:
        made = decoder()
        made.feed(wire(*[publish(payload=b"")] * 3))
        assert sizes(made) == [1, 1, 1]

    def test_messages_sent_again_are_not_with_new_ones(self) -> None:
        made = decoder()
        made.feed(wire(publish(qos=1, duplicate=True), publish(qos=1, duplicate=True), publish(qos=1)))
        assert sizes(made) == [2, 1]

    def test_messages_with_the_same_properties_are_each_by_themselves(self) -> None:
        made = decoder(5)
        made.feed(wire(*[publish(properties={props.CONTENT_TYPE: "x"})] * 2, version=5))
        assert sizes(made) == [1, 1]

    def test_other_packets_come_between_runs(self) -> None:
        made = decoder()
        made.feed(wire(publish(), publish()) + encode(p.PingRequest(), 4) + wire(publish()))
        assert made.next_packet(ENOUGH) == p.Publish("telemetry", [b"x", b"x"], [], 0, 0, {})
        assert [made.next_packet(ENOUGH), made.next_packet(ENOUGH)] == [p.PingRequest(), publish()]

    @pytest.mark.parametrize(
        ("payload_bytes", "expected"), [(117, [3]), (118, [3]), (16_372, [3]), (16_373, [1, 1, 1])]
    )
    def test_lengths_of_one_byte_and_of_two_may_be_in_a_run(self, payload_bytes: int, expected: list[int]) -> None:
        made = decoder()
        made.feed(wire(*[publish(payload=bytes(payload_bytes))] * 3))
        assert sizes(made) == expected

    def test_a_padded_length_is_a_run_of_its_own_in_3_1_1_and_a_fault_in_5(self) -> None:
        plain, padded = bytes.fromhex("300400017421"), bytes.fromhex("30840000017421")
        made = decoder(4)
        made.feed(plain + padded + plain)
        assert sizes(made) == [1, 2]
        made = decoder(5)
        made.feed(bytes.fromhex("30050001740021") + bytes.fromhex("3085000001740021"))
        assert made.next_packet(ENOUGH) == publish("t", b"!")
        with pytest.raises(MalformedPacket):
            made.next_packet(ENOUGH)

    @pytest.mark.parametrize(
        ("wrong", "fault"),
        [
            (packet(0x32, string("t") + b"\0\0!"), MalformedPacket),
            (packet(0x32, string("t") + b"\0"), MalformedPacket),
            (packet(0x32, string("+") + b"\0\1!"), MalformedPacket),
            (packet(0x32, b"\0\x09t\0\1!"), MalformedPacket),
            (packet(0x36, string("t") + b"\0\1!"), MalformedPacket),
            (packet(0x32, string("t") + bytes(20_001)), PacketTooLarge),
            (b"\x32\xff\xff\xff\xff\xff\xff", MalformedPacket),
        ],
    )
    def test_what_is_before_a_fault_comes_out_first(self, wrong: bytes, fault: type[WireFault]) -> None:
        made = decoder()
        made.feed(wire(publish("t", qos=1), publish("t", qos=1)) + wrong + wire(publish("t", qos=1)))
        run = made.next_packet(ENOUGH)
        assert isinstance(run, p.Publish) and len(run.payloads) == 2
        for _ in range(2):
            with pytest.raises(fault):
                made.next_packet(ENOUGH)

    def test_a_message_too_large_is_no_part_of_a_run_that_is_complete(self) -> None:
        made = PacketDecoder(remaining_max_bytes=140, connect_max_bytes=100)
        made.feed(encode(connect(), 4))
        made.next_packet()
        made.feed(wire(publish(payload=bytes(129)), publish(payload=bytes(129)), publish(payload=bytes(130))))
        assert made.next_packet(ENOUGH) == p.Publish("telemetry", [bytes(129)] * 2, [], 0, 0, {})
        with pytest.raises(PacketTooLarge):
            made.next_packet(ENOUGH)

    def test_what_is_not_there_yet_comes_with_the_next_run(self) -> None:
        made = decoder()
        sent = wire(*[publish()] * 4)
        for cut in range(len(sent) + 1):
            made = decoder()
            taken = []
            for chunk in (sent[:cut], sent[cut:]):
                if chunk:
                    made.feed(chunk)
                taken += sizes(made)
            assert sum(taken) == 4 and made.held_bytes == 0

    @pytest.mark.parametrize("version", [4, 5])
    def test_a_topic_seen_before_is_read_as_before(self, version: int) -> None:
        made = decoder(version)
        for name in ("t", "t", "e", "t" * 200, "t" * 200, "t"):
            made.feed(encode(publish(name), version))
            assert made.next_packet(ENOUGH) == publish(name)

    def test_a_topic_that_was_refused_is_refused_again_where_it_stands_for_an_alias(self) -> None:
        made = decoder(5)
        made.feed(encode(publish("", properties={props.TOPIC_ALIAS: 1}), 5) + encode(publish(""), 5))
        assert made.next_packet(ENOUGH) == publish("", properties={props.TOPIC_ALIAS: 1})
        with pytest.raises(ProtocolViolation):
            made.next_packet(ENOUGH)


LIMITS = Limits(
    remaining_max_bytes=2176,
    connect_max_bytes=8192,
    unacknowledged_max=5,
    keep_alive_max_s=600,
    connect_deadline_s=10.0,
    admission_deadline_s=30.0,
)


def opened(version: int = 4) -> Connection:
    made = Connection(LIMITS, 0.0)
    made.receive(connect(version), 0.0)
    made.accept(0.0)
    return made


def delivered(made: Connection, *packet_ids: int) -> Delivery:
    effect = made.receive(p.Publish("t", [b"x"] * len(packet_ids), [*packet_ids], 2, 1, {}), 0.0)
    assert isinstance(effect, Delivery)
    return effect


def delivered_without_puback(made: Connection, count: int) -> Delivery:
    effect = made.receive(p.Publish("t", [b"x"] * count, [], 0, 0, {}), 0.0)
    assert isinstance(effect, Delivery)
    return effect


class TestRoom:
    @pytest.mark.parametrize("version", [4, 5])
    def test_it_is_what_may_still_be_under_way(self, version: int) -> None:
        made = opened(version)
        assert made.room == 5
        numbered = delivered(made, 1, 2, 3)
        assert (made.room, made.outstanding) == (2, 3)
        others = delivered_without_puback(made, 4)
        assert (made.room, made.outstanding) == (1, 7)
        made.settle(others, reasons.SUCCESS)
        made.settle(numbered, reasons.SUCCESS)
        assert (made.room, made.outstanding) == (5, 0)

    @pytest.mark.parametrize(("version", "room"), [(4, 0), (5, 1)])
    def test_beyond_it_3_1_1_is_slowed_down_and_5_cut_off(self, version: int, room: int) -> None:
        made = opened(version)
        delivered(made, 1, 2, 3, 4, 5)
        assert made.room == room
        with pytest.raises(ProtocolViolation) as raised:
            delivered(made, 6)
        assert raised.value.reason == reasons.RECEIVE_MAXIMUM_EXCEEDED

    @pytest.mark.parametrize("version", [4, 5])
    def test_there_is_none_before_the_verdict_and_after_the_end(self, version: int) -> None:
        made = Connection(LIMITS, 0.0)
        assert made.room == 1
        made.receive(connect(version), 0.0)
        assert made.room == 0
        made.accept(0.0)
        made.close(reasons.SUCCESS)
        assert made.room == 0


class TestAcknowledging:
    def test_each_message_of_a_run_has_its_puback(self) -> None:
        made = opened()
        assert made.settle(delivered(made, 1, 0x1234), reasons.SUCCESS) == bytes.fromhex("4002000140021234")

    def test_pubacks_keep_their_order_across_runs(self) -> None:
        made = opened()
        first, second, third = delivered(made, 1, 2), delivered(made, 3), delivered(made, 4, 5)
        assert made.settle(third, reasons.SUCCESS) == b""
        assert made.settle(first, reasons.SUCCESS) == bytes.fromhex("4002000140020002")
        assert made.settle(second, reasons.SUCCESS) == bytes.fromhex("400200034002000440020005")
        assert made.outstanding == 0

    @pytest.mark.parametrize(
        ("version", "due"), [(4, "40020001 40020002"), (5, "4008 0001 80 04 1f0001 6e 4008 0002 80 04 1f0001 6e")]
    )
    def test_a_run_that_failed_is_told_so_message_by_message(self, version: int, due: str) -> None:
        made = opened(version)
        run = delivered(made, 1, 2)
        assert made.settle(run, reasons.UNSPECIFIED_ERROR, "n") == bytes.fromhex(due.replace(" ", ""))

    def test_an_unanswered_run_makes_way(self) -> None:
        made = opened()
        first, second = delivered(made, 1, 2), delivered(made, 3)
        made.settle(second, reasons.SUCCESS)
        assert made.settle(first, UNANSWERED) == bytes.fromhex("40020003")
        assert made.outstanding == 0


@pytest.fixture
async def bench() -> AsyncIterator[MqttBench]:
    async with mqtt_bench(MqttSettings(unacknowledged_max=4)) as made:
        yield made


def run_of(topic: str, *packet_ids: int) -> list[p.Publish]:
    return [publish(topic, b"%d" % packet_id, qos=1, packet_id=packet_id) for packet_id in packet_ids]


class TestDelivering:
    async def test_a_run_is_handed_on_as_one_and_answered_with_one_write(self, bench: MqttBench) -> None:
        device = await bench.connected()
        device.send(*run_of("t", 1, 2, 3))
        assert [upload.payload for upload in bench.uplink.uploads] == [b"1", b"2", b"3"]
        assert len(bench.uplink.waiting) == 1 and not device.stream.written
        bench.uplink.settle()
        await until(lambda: bool(device.stream.written))
        assert device.stream.written == [bytes.fromhex("400200014002000240020003")]

    async def test_all_messages_to_a_topic_have_the_same_head(self, bench: MqttBench) -> None:
        one, other = await bench.connected(client_id="a"), await bench.connected(client_id="b")
        one.send(*run_of("t", 1, 2))
        other.send(*run_of("t", 1))
        assert len({id(upload.head) for upload in bench.uplink.uploads}) == 1

    async def test_a_3_1_1_device_too_far_ahead_waits_and_goes_on(self, bench: MqttBench) -> None:
        device = await bench.connected()
        device.send(*run_of("t", 1, 2, 3, 4, 5, 6))
        assert len(bench.uplink.uploads) == 4
        bench.uplink.settle()
        await until(lambda: len(bench.uplink.uploads) == 6)
        bench.uplink.settle()
        await until(lambda: len(device.stream.written) == 2)
        assert [body[1] for _, body in device.take()] == [1, 2, 3, 4, 5, 6]

    async def test_a_version_5_device_too_far_ahead_is_cut_off_behind_what_it_might_send(
        self, bench: MqttBench
    ) -> None:
        device = await bench.connected(5)
        device.send(*run_of("t", 1, 2, 3, 4, 5))
        assert [upload.payload for upload in bench.uplink.uploads] == [b"1", b"2", b"3", b"4"]
        assert [(first, body[0]) for first, body in device.take()] == [(0xE0, 0x93)]

    async def test_messages_without_puback_are_bounded_too(self, bench: MqttBench) -> None:
        device = await bench.connected(5)
        device.send(*[publish("t")] * 6)
        assert len(bench.uplink.uploads) == 4
        bench.uplink.settle()
        await until(lambda: len(bench.uplink.uploads) == 6)

    async def test_an_empty_message_among_others_is_handed_on_by_itself(self, bench: MqttBench) -> None:
        device = await bench.connected()
        device.send(publish("t"), publish("t", b""), publish("t"))
        assert [upload.payload for upload in bench.uplink.uploads] == [b"x", b"", b"x"]
        assert len(bench.uplink.waiting) == 3

    async def test_a_run_that_is_refused_is_answered_message_by_message(self, bench: MqttBench) -> None:
        device = await bench.connected()
        device.send(*run_of("t/?on-error=ignore", 1, 2))
        bench.uplink.settle(Malformed("no"))
        await until(lambda: bool(device.stream.written))
        assert device.take() == [(0x40, b"\0\1"), (0x40, b"\0\2")]

    async def test_a_run_to_no_endpoint_is_answered_message_by_message(self, bench: MqttBench) -> None:
        device = await bench.connected()
        device.send(*run_of("foo/?on-error=ignore", 1, 2))
        assert answers(b"".join(device.stream.written)) == [(0x40, b"\0\1"), (0x40, b"\0\2")]

    async def test_a_run_that_is_not_kept_closes(self, bench: MqttBench) -> None:
        device = await bench.connected(5)
        device.send(*run_of("t", 1, 2))
        bench.uplink.settle(NorthboundUnavailable("full"))
        assert [(first, body[0]) for first, body in device.take()] == [(0xE0, 0x89)]
        assert device.is_closed
