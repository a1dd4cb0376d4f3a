"""What plain DTLS headers tell, for any bytes, and how records become datagrams."""

import struct

import pytest
from hypothesis import given
from hypothesis import strategies as st

from adapters.edge.records import HEADER_BYTES, claims_too_much, datagrams, hello_random, is_encrypted, is_record

RANDOM = bytes(range(32))


def record(kind: int, payload: bytes, *, epoch: int = 0, version: bytes = b"\xfe\xfd") -> bytes:
    return bytes([kind]) + version + struct.pack(">H", epoch) + b"\0" * 6 + struct.pack(">H", len(payload)) + payload


def hello(*, kind: int = 1, offset: int = 0, fragment: int | None = None) -> bytes:
    body = b"\xfe\xfd" + RANDOM + b"\0" + b"\0" + b"\0\2\xc0\x2b" + b"\1\0"
    length = struct.pack(">I", len(body))[1:]
    cut = struct.pack(">I", len(body) if fragment is None else fragment)[1:]
    return bytes([kind]) + length + b"\0\0" + struct.pack(">I", offset)[1:] + cut + body


@given(st.lists(st.binary(min_size=1, max_size=400), max_size=20), st.integers(64, 2000))
def test_packing_loses_nothing_cuts_no_record_and_keeps_to_the_mtu(payloads: list[bytes], mtu_bytes: int) -> None:
    records = [record(22, payload) for payload in payloads]
    packed = datagrams(b"".join(records), mtu_bytes=mtu_bytes)
    assert b"".join(packed) == b"".join(records)
    for datagram in packed:
        assert datagram
        inside = []
        while datagram:
            length = HEADER_BYTES + int.from_bytes(datagram[11:13], "big")
            inside.append(datagram[:length])
            datagram = datagram[length:]
        assert all(each in records for each in inside)
        assert len(inside) == 1 or sum(map(len, inside)) <= mtu_bytes


def test_records_are_packed_as_tightly_as_they_fit() -> None:
    small, large = record(22, b"a" * 100), record(22, b"b" * 900)
    assert datagrams(small + small + large + small, mtu_bytes=1000) == [small + small, large, small]
    assert datagrams(small + small, mtu_bytes=1000) == [small + small]
    assert datagrams(b"", mtu_bytes=1000) == []


@given(st.binary(max_size=200))
def test_any_bytes_are_looked_at_without_a_fault(datagram: bytes) -> None:
    if is_record(datagram):
        hello_random(datagram)
        is_encrypted(datagram)
        claims_too_much(datagram)


@given(st.binary(max_size=80), st.integers(0, 80))
def test_a_damaged_hello_is_looked_at_without_a_fault(junk: bytes, at: int) -> None:
    whole = record(22, hello())
    damaged = whole[:at] + junk + whole[at + len(junk) :]
    if is_record(damaged):
        found = hello_random(damaged)
        assert found is None or len(found) == 32


def test_a_hello_gives_its_random() -> None:
    assert is_record(record(22, hello()))
    assert hello_random(record(22, hello())) == RANDOM


@pytest.mark.parametrize(
    "other",
    [
        record(23, hello()),
        record(22, hello(), epoch=1),
        record(22, hello(kind=2)),
        record(22, hello(offset=1)),
        record(22, hello(fragment=10)),
        record(22, hello()[:40]),
    ],
)
def test_what_is_no_whole_plain_hello_gives_none(other: bytes) -> None:
    assert hello_random(other) is None


@pytest.mark.parametrize(
    "other",
    [
        b"",
        b"\x16",
        record(22, b""),
        record(19, b"x"),
        record(24, b"x"),
        record(22, b"x", version=b"\x03\x03"),
        record(22, b"xyz")[:-1],
    ],
)
def test_what_is_no_whole_record_is_told_apart(other: bytes) -> None:
    assert not is_record(other)


def test_only_the_first_epoch_is_plain() -> None:
    assert not is_encrypted(record(21, b"x"))
    assert is_encrypted(record(21, b"x", epoch=1))
    assert is_encrypted(record(21, b"x", epoch=256))


def fragment(kind: int, *, number: int, length: int, body: bytes = b"x" * 10) -> bytes:
    sizes = (struct.pack(">I", size)[1:] for size in (length, 0, len(body)))
    length_, offset, cut = sizes
    return bytes([kind]) + length_ + struct.pack(">H", number) + offset + cut + body


CERTIFICATE, KEY_EXCHANGE, PROOF = 11, 16, 15


@pytest.mark.parametrize(
    "honest",
    [
        record(22, fragment(CERTIFICATE, number=2, length=100_000)),
        record(22, fragment(KEY_EXCHANGE, number=3, length=66)) + record(22, fragment(PROOF, number=4, length=2060)),
        record(22, fragment(KEY_EXCHANGE, number=3, length=10) + fragment(PROOF, number=4, length=4096)),
        record(22, b"\xff" * 60, epoch=1),  # encrypted: what looks like a length is none
        record(21, b"\xff" * 60),
        record(22, b"\xff" * 11),
    ],
)
def test_what_clients_send_claims_nothing_unusual(honest: bytes) -> None:
    assert not claims_too_much(honest)


@pytest.mark.parametrize("ahead", [b"", record(20, b"\1"), record(22, fragment(KEY_EXCHANGE, number=3, length=10))])
@pytest.mark.parametrize(
    "greedy",
    [
        fragment(KEY_EXCHANGE, number=3, length=4097),
        fragment(CERTIFICATE, number=4, length=100_000),
        fragment(CERTIFICATE, number=9, length=10),
        fragment(KEY_EXCHANGE, number=3, length=10) + fragment(PROOF, number=4, length=100_000),
    ],
)
def test_memory_for_messages_nobody_sends_is_not_asked_for(ahead: bytes, greedy: bytes) -> None:
    assert claims_too_much(ahead + record(22, greedy))
