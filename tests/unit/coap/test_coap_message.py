"""The message format, byte for byte."""

from typing import Any

import pytest

from adapters.coap.wire.message import OPTIONS_MAX, FormatFault, Header, Message, parse_body, read_header, render, uint
from adapters.coap.wire.numbers import ACK, CON, NON, POST, spelled
from tests.support.coap import Reading, datagram


def parse(raw: bytes) -> Message:
    header = read_header(raw)
    assert header is not None
    return parse_body(header, raw)


def test_a_message_is_read_as_its_bytes_say() -> None:
    raw = bytes.fromhex("44021234" + "61626364" + "b974656c656d65747279" + "1132" + "ff" + "686921")
    assert parse(raw) == Message(CON, POST, 0x1234, b"abcd", [(11, b"telemetry"), (12, b"2")], b"hi!")


@pytest.mark.parametrize("raw", [b"", b"\x40", b"\x40\x02\x00"])
def test_what_is_shorter_than_a_header_is_no_message(raw: bytes) -> None:
    assert read_header(raw) is None


@pytest.mark.parametrize("first", [0x00, 0x80, 0xC0])
def test_another_version_is_no_message(first: int) -> None:
    assert read_header(bytes([first, 0x02, 0, 1])) is None


def test_a_header_is_read_even_where_the_rest_is_broken() -> None:
    assert read_header(b"\x5f\x02\xab\xcd") == Header(NON, 15, POST, 0xABCD)


@pytest.mark.parametrize(
    ("rest", "why"),
    [
        ("49020001" + "00" * 9, "token of nine bytes"),
        ("4f020001" + "00" * 15, "token length fifteen"),
        ("44020001616263", "token cut short"),
        ("40020001ff", "marker without payload"),
        ("40020001b9746865", "option value cut short"),
        ("40020001f0000000", "delta fifteen"),
        ("400200010f000000" + "00" * 269, "length fifteen"),
        ("40020001d0", "one-byte delta cut short"),
        ("40020001e000", "two-byte delta cut short"),
        ("400200010d", "one-byte length cut short"),
        ("400200010e00", "two-byte length cut short"),
        ("40020001e0ffff", "option number above 65535"),
    ],
)
def test_a_broken_body_is_a_format_fault(rest: str, why: str) -> None:
    with pytest.raises(FormatFault):
        parse(bytes.fromhex(rest))


class CountedBytes(bytes):
    """Bytes that note how often they are looked at."""

    looks = 0

    def __getitem__(self, index: Any) -> Any:
        self.looks += 1
        return super().__getitem__(index)


def test_a_message_may_have_as_many_options_as_allowed_and_no_more() -> None:
    allowed = datagram(options=[(60, b"")] * OPTIONS_MAX)
    assert len(parse(allowed).options) == OPTIONS_MAX
    with pytest.raises(FormatFault):
        parse(datagram(options=[(60, b"")] * (OPTIONS_MAX + 1)))


@pytest.mark.parametrize("option", [b"\x00", b"\x20", b"\x01x"], ids=["repeated", "all different", "with values"])
def test_a_datagram_full_of_options_is_refused_after_looking_at_the_first_few(option: bytes) -> None:
    raw = CountedBytes(bytes.fromhex("40020001") + option * (65_000 // len(option)))
    header = read_header(raw)
    assert header is not None
    with pytest.raises(FormatFault):
        parse_body(header, raw)
    assert raw.looks < 10 * OPTIONS_MAX


@pytest.mark.parametrize("length", [0, 12, 13, 268, 269, 1000])
def test_option_values_of_every_length_encoding_are_written_as_others_read_them(length: int) -> None:
    raw = render(ACK, 0x44, 7, b"tk", ((11, b"x" * length), (65_000, b"y")), b"payload")
    reading = Reading(raw)
    assert reading.options == [(11, b"x" * length), (65_000, b"y")]
    assert (reading.type, reading.code, reading.message_id) == (ACK, 0x44, 7)
    assert (reading.token, reading.payload) == (b"tk", b"payload")


@pytest.mark.parametrize("number", [1, 12, 13, 14, 268, 269, 270, 65_535])
def test_option_numbers_of_every_delta_encoding_are_read_as_others_write_them(number: int) -> None:
    raw = datagram(options=[(number, b"v")])
    assert parse(raw).options == [(number, b"v")]


def test_an_answer_without_token_options_and_payload_is_its_header() -> None:
    assert render(ACK, 0x44, 0x1234) == bytes.fromhex("60441234")


def test_numbers_take_as_few_bytes_as_they_need() -> None:
    assert [uint(0), uint(1), uint(255), uint(256), uint(65_536)] == [
        b"",
        b"\x01",
        b"\xff",
        b"\x01\x00",
        b"\x01\x00\x00",
    ]


def test_codes_are_written_as_people_write_them() -> None:
    assert [spelled(0x44), spelled(0x5F), spelled(0xA3)] == ["2.04", "2.31", "5.03"]
