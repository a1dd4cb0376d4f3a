"""The layout of an X.509 certificate (RFC 5280 4.1): where in the bytes each part stands. No part is interpreted
further than its name says."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime

from pki import der
from pki.extensions import Extension, read_extensions

_VERSION = 0xA0
_VERSION_3 = b"\xa0\x03\x02\x01\x02"
_UNIQUE_IDS = (0x81, 0x82)
_EXTENSIONS = 0xA3
_UTC_TIME = 0x17
_GENERALIZED_TIME = 0x18
_Z = 0x5A
_NO_EXTENSIONS: Mapping[bytes, Extension] = {}


@dataclass(slots=True, eq=False)
class Parts:
    """A certificate taken apart. `…_der` members are whole elements, the others content."""

    version: int  # 1, 2 or 3
    serial: bytes  # two's complement, at least one octet
    inner_algorithm_der: bytes
    issuer_der: bytes
    not_before: datetime
    not_after: datetime
    subject_der: bytes
    public_key_der: bytes
    extensions: Mapping[bytes, Extension]
    signed: bytes  # what the signature covers
    outer_algorithm_der: bytes
    signature: bytes


def read_certificate(data: bytes) -> Parts:
    """Raises DerFault."""
    start, end = der.expect(data, 0, len(data), der.SEQUENCE)
    if end != len(data):
        raise der.DerFault("bytes behind the certificate")
    at, signed_end = der.expect(data, start, end, der.SEQUENCE)
    algorithm_end = der.expect(data, signed_end, end, der.SEQUENCE)[1]
    signature_start, signature_end = der.expect(data, algorithm_end, end, der.BIT_STRING)
    if signature_end != end or signature_start == end or data[signature_start] != 0:
        raise der.DerFault("no whole number of octets in the signature")

    version, at = _read_version(data, at, signed_end)
    serial_start, serial_end = der.expect(data, at, signed_end, der.INTEGER)
    if serial_start == serial_end:
        raise der.DerFault("serial number without digits")
    inner_end = der.expect(data, serial_end, signed_end, der.SEQUENCE)[1]
    issuer_end = der.expect(data, inner_end, signed_end, der.SEQUENCE)[1]
    at, validity_end = der.expect(data, issuer_end, signed_end, der.SEQUENCE)
    not_before, at = _read_time(data, at, validity_end)
    not_after, at = _read_time(data, at, validity_end)
    if at != validity_end:
        raise der.DerFault("validity of more than two times")
    subject_end = der.expect(data, validity_end, signed_end, der.SEQUENCE)[1]
    key_end = der.expect(data, subject_end, signed_end, der.SEQUENCE)[1]
    return Parts(
        version,
        data[serial_start:serial_end],
        data[serial_end:inner_end],
        data[inner_end:issuer_end],
        not_before,
        not_after,
        data[validity_end:subject_end],
        data[subject_end:key_end],
        _read_rest(data, key_end, signed_end, version),
        data[start:signed_end],
        data[signed_end:algorithm_end],
        data[signature_start + 1 : end],
    )


def _read_version(data: bytes, at: int, end: int) -> tuple[int, int]:
    """The version and where the next member starts; absent means 1."""
    if data.startswith(_VERSION_3, at, end):  # nearly all there are
        return 3, at + len(_VERSION_3)
    tag, start, stop = der.read(data, at, end)
    if tag != _VERSION:
        return 1, at
    number = der.whole(data[start:stop], der.INTEGER)
    if number not in (b"\x00", b"\x01", b"\x02"):
        raise der.DerFault("unknown version")
    return number[0] + 1, stop


def _read_rest(data: bytes, at: int, end: int, version: int) -> Mapping[bytes, Extension]:
    """The extensions; the unique identifiers of version 2 say nothing to anybody."""
    previous = 0
    while at < end:
        tag, start, at = der.read(data, at, end)
        if tag <= previous or version == 1:
            raise der.DerFault("members out of order, or of a later version")
        if tag == _EXTENSIONS and version == 3 and at == end:
            return read_extensions(data[start:at])
        if tag not in _UNIQUE_IDS:
            raise der.DerFault(f"unknown member {tag:#04x}")
        previous = tag
    return _NO_EXTENSIONS


def _read_time(data: bytes, at: int, end: int) -> tuple[datetime, int]:
    """A moment of the validity and where it ends (RFC 5280 4.1.2.5: to the second, in UTC)."""
    tag, start, stop = der.read(data, at, end)
    digits = data[start : stop - 1]
    if tag == _UTC_TIME and stop - start == 13:
        digits = (b"19" if digits >= b"5" else b"20") + digits
    elif tag != _GENERALIZED_TIME or stop - start != 15:
        raise der.DerFault("no moment in time")
    if not digits.isdigit() or data[stop - 1] != _Z:
        raise der.DerFault("no moment in UTC")
    text = digits.decode("ascii")
    try:
        return datetime.fromisoformat(f"{text[:8]}T{text[8:]}Z"), stop
    except ValueError as fault:
        raise der.DerFault("no moment of the calendar") from fault
