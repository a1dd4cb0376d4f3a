"""DTLS records as far as their plain headers tell (RFC 6347 4.1, 4.2.2): where one ends, and what a peer wants.

type 1 · version 2 · epoch 2 · sequence 6 · length 2 · payload
a hello's payload: type 1 · length 3 · message 2 · fragment offset 3 · fragment length 3 · version 2 · random 32 …
"""

from enum import IntEnum

HEADER_BYTES = 13
_HELLO_BYTES_MIN = 12 + 2 + 32 + 1 + 1 + 2 + 2  # up to a cipher list that is still to come
_CLIENT_HELLO = 1
_CERTIFICATE = 11
_FRAGMENT_HEADER_BYTES = 12
_MESSAGE_MAX_BYTES = 4096  # of any but the Certificate; the next longest is a proof of possession, 2 KiB with RSA-16384
_NUMBER_MAX = 8  # a client's last message, Finished, is number 5
_CERTIFICATE_NUMBER_MAX = 3
_RANDOM_AT = HEADER_BYTES + 12 + 2


class ContentType(IntEnum):
    """What a record carries."""

    CHANGE_CIPHER_SPEC = 20
    ALERT = 21
    HANDSHAKE = 22
    APPLICATION_DATA = 23


# of every record there is, the most frequent first
_STARTS = tuple(bytes((kind, 0xFE, minor)) for minor in (0xFD, 0xFF) for kind in reversed(ContentType))


def is_record(datagram: bytes) -> bool:
    """Whether the datagram starts with the header of a DTLS record of 1.0 or 1.2 that is all there."""
    size = len(datagram)
    return (
        size > HEADER_BYTES
        and datagram.startswith(_STARTS)
        and HEADER_BYTES + (datagram[11] << 8 | datagram[12]) <= size
    )


def is_encrypted(record: bytes) -> bool:
    """Whether the first record belongs to an epoch after the first, plain one."""
    return record[3:5] != b"\0\0"


def hello_random(record: bytes) -> bytes | None:
    """The client random, if the record is a whole ClientHello in the plain epoch; else None.

    A client keeps its random when it repeats the hello with a cookie, so it names one attempt.
    """
    if record[0] != ContentType.HANDSHAKE or is_encrypted(record):
        return None
    length = int.from_bytes(record[11:13], "big")
    if length < _HELLO_BYTES_MIN or record[HEADER_BYTES] != _CLIENT_HELLO:
        return None
    body, offset, fragment = record[14:17], record[19:22], record[22:25]
    if offset != b"\0\0\0" or body != fragment:
        return None  # in pieces: no state is kept to put it together before the cookie (RFC 6347 4.2.1)
    return record[_RANDOM_AT : _RANDOM_AT + 32]


def claims_too_much(datagram: bytes) -> bool:
    """Whether a plain handshake fragment in it announces a message that no client sends within its handshake.

    OpenSSL sets memory aside for the whole message as soon as it reads the first fragment, for up to ten at once.
    Only the Certificate is long, and it comes first after the two hellos.
    """
    at, end = 0, len(datagram)
    while at + HEADER_BYTES <= end:
        start = at + HEADER_BYTES
        stop = min(start + int.from_bytes(datagram[at + 11 : start], "big"), end)
        if datagram[at] == ContentType.HANDSHAKE and datagram[at + 3 : at + 5] == b"\0\0":
            if _fragments_claim_too_much(datagram, start, stop):
                return True
        at = stop
    return False


def _fragments_claim_too_much(datagram: bytes, at: int, end: int) -> bool:
    while at + _FRAGMENT_HEADER_BYTES <= end:
        length = int.from_bytes(datagram[at + 1 : at + 4], "big")
        number = int.from_bytes(datagram[at + 4 : at + 6], "big")
        longest = number <= _CERTIFICATE_NUMBER_MAX and datagram[at] == _CERTIFICATE
        if number > _NUMBER_MAX or (length > _MESSAGE_MAX_BYTES and not longest):
            return True
        at += _FRAGMENT_HEADER_BYTES + int.from_bytes(datagram[at + 9 : at + 12], "big")
    return False


def datagrams(records: bytes, *, mtu_bytes: int) -> list[bytes]:
    """Records written back to back, packed into datagrams of at most `mtu_bytes`, never cutting a record.

    A single record larger than that goes alone; IP will have to cut it.
    """
    if len(records) <= mtu_bytes:
        return [records] if records else []
    packed: list[bytes] = []
    start = end = 0
    while end < len(records):
        following = end + HEADER_BYTES + int.from_bytes(records[end + 11 : end + 13], "big")
        if following - start > mtu_bytes and end > start:
            packed.append(records[start:end])
            start = end
        end = following
    packed.append(records[start:])
    return packed
