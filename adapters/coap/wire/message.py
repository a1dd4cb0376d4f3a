"""One CoAP message, to and from its bytes (RFC 7252 section 3).

Owns the format alone: what an option means stands in request.py, what a message does to an exchange in
endpoint.py. Options are (number, value) pairs in the order of their numbers, values as they came.

Their number is bounded, so that reading takes little however large the datagram.

Numbers and values are taken as they are and kept nowhere: whatever a peer sends, nothing of it outlives the
message.
"""

from collections.abc import Sequence
from struct import Struct
from typing import NamedTuple

from adapters.coap.wire.numbers import OPTION_NUMBER_MAX, TOKEN_MAX_BYTES

Option = tuple[int, bytes]
HEADER_BYTES = 4
VERSION = 1
_pack_header = Struct(">BBH").pack
PAYLOAD_MARKER = 0xFF
OPTIONS_MAX = 64  # of one message; a request a device means has a dozen


class FormatFault(Exception):
    """The bytes after the first four break the message format. Never leaves the wire."""


class Header(NamedTuple):
    """The first four bytes, which can be read even where the rest is broken."""

    type: int
    token_bytes: int
    code: int
    message_id: int


class Message(NamedTuple):
    """A parsed message: a tuple because one is made for every datagram (0.3 µs against 1 µs frozen)."""

    type: int
    code: int
    message_id: int
    token: bytes
    options: Sequence[Option]
    payload: bytes


def read_header(datagram: bytes) -> Header | None:
    """The header, or None for what must be ignored silently: too short, or another version of the protocol."""
    if len(datagram) < HEADER_BYTES or datagram[0] >> 6 != VERSION:
        return None
    first = datagram[0]
    return Header(first >> 4 & 0x03, first & 0x0F, datagram[1], datagram[2] << 8 | datagram[3])


def parse_body(header: Header, datagram: bytes) -> Message:
    """Everything behind the header. Raises FormatFault."""
    start = HEADER_BYTES + header.token_bytes
    if header.token_bytes > TOKEN_MAX_BYTES or start > len(datagram):
        raise FormatFault("token")
    options, payload = _parse_options(datagram, start)
    return Message(header.type, header.code, header.message_id, datagram[HEADER_BYTES:start], options, payload)


def _parse_options(datagram: bytes, position: int) -> tuple[list[Option], bytes]:
    """The options, and the payload behind the marker."""
    options: list[Option] = []
    number = 0
    end = len(datagram)
    while position < end:
        lead = datagram[position]
        position += 1
        if lead == PAYLOAD_MARKER:
            if position == end:
                raise FormatFault("marker without payload")
            return options, datagram[position:]
        delta, length = lead >> 4, lead & 0x0F
        if delta > 12:
            delta, position = _extended(delta, datagram, position)
        if length > 12:
            length, position = _extended(length, datagram, position)
        number += delta
        stop = position + length
        if stop > end or number > OPTION_NUMBER_MAX:
            raise FormatFault("option")
        if len(options) == OPTIONS_MAX:
            raise FormatFault("too many options")
        options.append((number, datagram[position:stop]))
        position = stop
    return options, b""


def _extended(nibble: int, datagram: bytes, position: int) -> tuple[int, int]:
    """A delta or length of 13 or more (RFC 7252 3.1), and the position behind its extra bytes."""
    width = nibble - 12
    if nibble == 15 or position + width > len(datagram):
        raise FormatFault("option delta or length")
    offset = 13 if nibble == 13 else 269
    return int.from_bytes(datagram[position : position + width], "big") + offset, position + width


def render(
    type_: int, code: int, message_id: int, token: bytes = b"", options: Sequence[Option] = (), payload: bytes = b""
) -> bytes:
    """The bytes of a message. `options` must be in ascending order of their numbers."""
    head = _pack_header(VERSION << 6 | type_ << 4 | len(token), code, message_id) + token
    if not options and not payload:
        return head
    parts = [head]
    previous = 0
    for number, value in options:
        delta, delta_bytes = _split(number - previous)
        length, length_bytes = _split(len(value))
        parts += (bytes((delta << 4 | length,)), delta_bytes, length_bytes, value)
        previous = number
    if payload:
        parts += (b"\xff", payload)
    return b"".join(parts)


def _split(amount: int) -> tuple[int, bytes]:
    """A delta or length as nibble and extra bytes."""
    if amount < 13:
        return amount, b""
    if amount < 269:
        return 13, bytes((amount - 13,))
    return 14, (amount - 269).to_bytes(2, "big")


def uint(number: int) -> bytes:
    """A number in as few bytes as it needs; zero needs none (RFC 7252 3.2)."""
    return number.to_bytes((number.bit_length() + 7) // 8, "big")
