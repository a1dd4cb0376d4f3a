"""The decoder: which packet, by which bytes, and where it says no."""

from pathlib import Path

import pytest

from adapters.mqtt.wire import packets as p
from adapters.mqtt.wire import properties as props
from adapters.mqtt.wire.decoder import PacketDecoder
from adapters.mqtt.wire.errors import MalformedPacket, PacketTooLarge, WireFault
from tests.support.mqtt_client import connect, encode, publish

REFUSED = Path(__file__).parents[2] / "vectors" / "mqtt" / "refused.txt"


def decoder(version: int = 0, *, remaining_max_bytes: int = 3968, connect_max_bytes: int = 8192) -> PacketDecoder:
    """A decoder that has seen a CONNECT of that version; of none for 0."""
    made = PacketDecoder(remaining_max_bytes=remaining_max_bytes, connect_max_bytes=connect_max_bytes)
    if version:
        made.feed(encode(connect(version), version))
        assert made.next_packet() == connect(version)
    return made


def decoded(data: str, version: int = 0) -> p.Packet | None:
    made = decoder(version)
    made.feed(bytes.fromhex(data))
    packet = made.next_packet()
    assert packet is None or made.held_bytes == 0
    return packet


def refused_cases() -> list[object]:
    cases: list[object] = []
    for line in REFUSED.read_text().splitlines():
        facts, _, what = line.partition("#")
        if facts.strip():
            version, code, reason, *data = facts.split()
            cases.append(pytest.param(int(version), code, int(reason, 16), "".join(data), id=what.strip()))
    return cases


@pytest.mark.parametrize(("version", "code", "reason", "data"), refused_cases())
def test_refused(version: int, code: str, reason: int, data: str) -> None:
    made = decoder(version)
    made.feed(bytes.fromhex(data))
    with pytest.raises(WireFault) as raised:
        made.next_packet()
    assert (raised.value.code, raised.value.reason) == (code, reason)


def test_connect_of_3_1_1_with_everything() -> None:
    packet = decoded("102200044d51545404ee000a0001630003612f620002 68690004 75736572 0004 70617373".replace(" ", ""))
    assert packet == p.Connect(
        version=4,
        client_id="c",
        clean_start=True,
        keep_alive_s=10,
        will=p.Will(topic="a/b", payload=b"hi", qos=1, retain=True),
        user_name="user",
        password=b"pass",
    )


def test_connect_of_5_with_properties_and_a_password_alone() -> None:
    packet = decoded("101e 0004 4d515454 05 42 003c 0a 21000a 11ffffffff 1700 0001 63 0004 70617373".replace(" ", ""))
    assert packet == p.Connect(
        version=5,
        client_id="c",
        clean_start=True,
        keep_alive_s=60,
        password=b"pass",
        properties={props.RECEIVE_MAXIMUM: 10, props.SESSION_EXPIRY_INTERVAL: 4_294_967_295, 0x17: 0},
    )


@pytest.mark.parametrize("version", [4, 5])
def test_the_example_publish_of_the_standard(version: int) -> None:
    data = "320700 03612f62 000a" if version == 4 else "320800 03612f62 000a 00"
    assert decoded(data.replace(" ", ""), version) == publish("a/b", b"", qos=1, packet_id=10)


def test_flags_of_a_publish() -> None:
    packet = decoded("3b06 0001 61 0005 21".replace(" ", ""), 4)
    assert packet == publish("a", b"!", qos=1, packet_id=5, retain=True, duplicate=True)


def test_properties_of_a_publish() -> None:
    bag = "0101 020000001e 03000474657874 0800017a 090002ffff 23 0007 2600016b000176 2600016b000177".replace(" ", "")
    data = f"0001 61 {len(bag) // 2:02x} {bag} 21".replace(" ", "")
    assert decoded(f"30{len(data) // 2:02x}{data}", 5) == publish(
        "a",
        b"!",
        properties={
            props.PAYLOAD_FORMAT_INDICATOR: 1,
            props.MESSAGE_EXPIRY_INTERVAL: 30,
            props.CONTENT_TYPE: "text",
            props.RESPONSE_TOPIC: "z",
            props.CORRELATION_DATA: b"\xff\xff",
            props.TOPIC_ALIAS: 7,
            props.USER_PROPERTY: (("k", "v"), ("k", "w")),
        },
    )


def test_an_empty_topic_with_an_alias_is_well_formed() -> None:
    packet = decoded("3006 0000 03 230001".replace(" ", ""), 5)
    assert packet == publish("", b"", properties={props.TOPIC_ALIAS: 1})


def test_the_example_string_of_the_standard() -> None:
    assert decoded("3007 0005 41f0aa9b94".replace(" ", ""), 4) == publish("A\U0002a6d4", b"")


def test_a_byte_order_mark_is_kept() -> None:
    assert decoded("3006 0004 efbbbf61".replace(" ", ""), 4) == publish("\ufeffa", b"")


@pytest.mark.parametrize("version", [4, 5])
def test_the_example_subscribe_of_the_standard(version: int) -> None:
    data = "820e 000a 0003612f62 01 0003632f64 02" if version == 4 else "820f 000a 00 0003612f62 01 0003632f64 02"
    assert decoded(data.replace(" ", ""), version) == p.Subscribe(10, (p.Filter("a/b", 1), p.Filter("c/d", 2)))


def test_subscription_options_of_5() -> None:
    packet = decoded("8207 0001 00 0001 61 2e".replace(" ", ""), 5)
    assert packet == p.Subscribe(1, (p.Filter("a", 2, True, True, 2),))


def test_the_example_unsubscribe_of_the_standard() -> None:
    assert decoded("a20c 000a 0003612f62 0003632f64".replace(" ", ""), 4) == p.Unsubscribe(10, ("a/b", "c/d"))


@pytest.mark.parametrize(
    ("data", "packet"),
    [
        ("c000", p.PingRequest()),
        ("e000", p.Disconnect()),
        ("e00104", p.Disconnect(4)),
        ("e0020400", p.Disconnect(4)),
        ("e00700051100000001", p.Disconnect(0, {props.SESSION_EXPIRY_INTERVAL: 1})),
        ("f000", p.Auth()),
        ("f0061804150001 6d".replace(" ", ""), p.Auth(0x18, {props.AUTHENTICATION_METHOD: "m"})),
        ("40020001", p.Acknowledgement(p.PUBACK, 1)),
        ("4003000110", p.Acknowledgement(p.PUBACK, 1, 0x10)),
        ("50020001", p.Acknowledgement(p.PUBREC, 1)),
        ("62020001", p.Acknowledgement(p.PUBREL, 1)),
        ("70020001", p.Acknowledgement(p.PUBCOMP, 1)),
    ],
)
def test_small_packets_of_5(data: str, packet: p.Packet) -> None:
    assert decoded(data, 5) == packet


@pytest.mark.parametrize("data", ["", "30", "3080", "308080", "30808080", "300400016121"[:-2]])
def test_an_incomplete_packet_is_none_yet(data: str) -> None:
    made = decoder(4)
    if data:
        made.feed(bytes.fromhex(data))
    assert made.next_packet() is None
    assert made.next_packet() is None


@pytest.mark.parametrize("length", [0, 1, 127, 128, 16_383, 16_384, 2_097_151, 2_097_152])
def test_every_length_of_the_standards_table_is_read(length: int) -> None:
    made = decoder(4, remaining_max_bytes=2_097_155)
    payload = bytes(max(0, length - 3))
    sent = publish("a", payload)
    wire = encode(sent, 4)
    made.feed(wire)
    assert made.next_packet() == sent


def test_a_3_1_1_client_may_pad_its_lengths() -> None:
    assert decoded("c08000", 4) == p.PingRequest()
    assert decoded("108d8000 0004 4d515454 04 02 0000 0001 61".replace(" ", "")) == connect(4, "a", keep_alive_s=0)


def test_a_connect_has_a_bound_of_its_own() -> None:
    long = connect(4, "x" * 300)
    small = decoder(remaining_max_bytes=100, connect_max_bytes=400)
    small.feed(encode(long, 4) + encode(publish(payload=bytes(100)), 4))
    assert small.next_packet() == long
    with pytest.raises(PacketTooLarge):
        small.next_packet()


@pytest.mark.parametrize(("data", "version"), [("100d00044d51545404030000000161", 4), ("100d000000", None)])
def test_a_fault_in_a_connect_tells_its_version_once_it_was_read(data: str, version: int | None) -> None:
    made = decoder()
    made.feed(bytes.fromhex(data).ljust(15, b"\0"))
    with pytest.raises(MalformedPacket) as raised:
        made.next_packet()
    assert raised.value.version == version


def test_packets_before_a_fault_come_out_first_and_the_fault_repeats() -> None:
    made = decoder(4)
    made.feed(bytes.fromhex("c000c000c100c000"))
    assert [made.next_packet(), made.next_packet()] == [p.PingRequest(), p.PingRequest()]
    for _ in range(2):
        with pytest.raises(MalformedPacket):
            made.next_packet()
    assert made.held_bytes == 0


def test_nothing_is_held_between_packets() -> None:
    made = decoder(4)
    wire = encode(publish(payload=bytes(1000)), 4)
    for cut in range(0, len(wire), 7):
        made.feed(wire[cut : cut + 7])
        assert made.held_bytes == min(cut + 7, len(wire))
        packet = made.next_packet()
    assert packet == publish(payload=bytes(1000))
    assert made.held_bytes == 0


def test_a_chunk_that_begins_inside_a_packet_gives_all_the_packets_in_it() -> None:
    made = decoder(4)
    wire = encode(publish(payload=b"1"), 4) + encode(publish(payload=b"2"), 4) + encode(publish(payload=b"3"), 4)
    made.feed(wire[:5])
    assert made.next_packet() is None
    made.feed(wire[5:])
    assert [packet.payloads for packet in iter(made.next_packet, None) if isinstance(packet, p.Publish)] == [
        [b"1"], [b"2"], [b"3"],
    ]  # fmt: skip
