"""Reads and writes DER, the encoding of certificates, one element at a time.

Strict: definite, minimal lengths only, and no element may reach past the one around it. Elements with a
tag number above 30 occur in no certificate and are refused.
"""

from collections.abc import Iterator

BOOLEAN = 0x01
INTEGER = 0x02
BIT_STRING = 0x03
OCTET_STRING = 0x04
OID = 0x06
SEQUENCE = 0x30
SET = 0x31

OID_MAX_BYTES = 128
_LENGTH_MAX_BYTES = 4


class DerFault(ValueError):
    """The bytes are not the DER expected. Never leaves the room."""


def read(data: bytes, at: int, end: int) -> tuple[int, int, int]:
    """Tag of the element at `at`, and where its content starts and ends; it must end by `end`."""
    if end - at < 2:
        raise DerFault("cut short")
    tag = data[at]
    length = data[at + 1]
    at += 2
    if tag & 0x1F == 0x1F:
        raise DerFault("tag number above 30")
    if length >= 0x80:
        octets = length & 0x7F
        if not 1 <= octets <= _LENGTH_MAX_BYTES or end - at < octets:
            raise DerFault("length of an unknown form")
        length = int.from_bytes(data[at : at + octets], "big")
        if length < 0x80 or data[at] == 0:
            raise DerFault("length not minimal")
        at += octets
    stop = at + length
    if stop > end:
        raise DerFault("longer than what holds it")
    return tag, at, stop


def expect(data: bytes, at: int, end: int, tag: int) -> tuple[int, int]:
    """Where the content of the element at `at` starts and ends; it must have this tag."""
    if end - at >= 2 and data[at] == tag and (length := data[at + 1]) < 0x80:  # nearly all there are
        stop = at + 2 + length
        if stop <= end:
            return at + 2, stop
    found, start, stop = read(data, at, end)
    if found != tag:
        raise DerFault(f"tag {found:#04x} where {tag:#04x} belongs")
    return start, stop


def whole(data: bytes, tag: int) -> bytes:
    """Content of the single element that `data` consists of."""
    start, stop = expect(data, 0, len(data), tag)
    if stop != len(data):
        raise DerFault("bytes behind the end")
    return data[start:]


def elements(data: bytes) -> Iterator[tuple[int, bytes]]:
    """Tag and content of each element in `data`."""
    at, end = 0, len(data)
    while at < end:
        tag, start, at = read(data, at, end)
        yield tag, data[start:at]


def oid_text(content: bytes) -> str:
    """Dotted form of an object identifier."""
    if not content or len(content) > OID_MAX_BYTES or content[-1] & 0x80:
        raise DerFault("no object identifier")
    arcs: list[int] = []
    arc = 0
    fresh = True
    for octet in content:
        if fresh and octet == 0x80:
            raise DerFault("object identifier not minimal")
        arc = arc << 7 | octet & 0x7F
        fresh = octet < 0x80
        if fresh:
            arcs.append(arc)
            arc = 0
    first = min(arcs[0] // 40, 2)
    return ".".join(map(str, (first, arcs[0] - 40 * first, *arcs[1:])))


def oid_content(text: str) -> bytes:
    """Content bytes of a dotted object identifier."""
    parts = text.split(".")
    if len(text) > 4 * OID_MAX_BYTES or len(parts) < 2 or not all(_is_arc(part) for part in parts):
        raise DerFault("no object identifier")
    first, second, *others = map(int, parts)
    if first > 2 or (first < 2 and second > 39):
        raise DerFault("no object identifier")
    content = b"".join(_base128(arc) for arc in (40 * first + second, *others))
    if len(content) > OID_MAX_BYTES:
        raise DerFault("object identifier too long")
    return content


def _is_arc(part: str) -> bool:
    return part.isascii() and part.isdigit() and (part == "0" or part[0] != "0")


def _base128(arc: int) -> bytes:
    octets = [arc & 0x7F]
    while arc := arc >> 7:
        octets.append(arc & 0x7F | 0x80)
    return bytes(reversed(octets))


def write(tag: int, content: bytes) -> bytes:
    """One element."""
    length = len(content)
    if length < 0x80:
        return bytes((tag, length)) + content
    octets = length.to_bytes((length.bit_length() + 7) // 8, "big")
    return bytes((tag, 0x80 | len(octets))) + octets + content
