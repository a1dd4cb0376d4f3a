"""A parsed certificate, cached by SHA-256 of its DER.

Reads the encoding itself: devices carry certificates that stricter readers refuse (X.509 v1, serial numbers
of zero or less, extensions nobody can read) and that are nevertheless theirs. Structure, names and validity
are read at once; everything else when it is first asked for, because most connects never ask.
"""

from collections import OrderedDict
from collections.abc import Mapping
from datetime import UTC, datetime
from functools import cached_property
from hashlib import sha256

from pki import der, extensions
from pki.errors import CertificateUnreadable, NameUnreadable
from pki.extensions import Extension
from pki.keys import IssuerKey, KeyFacts, read_key_facts
from pki.names import Name, format_name, read_name
from pki.signatures import SignatureAlgorithm, read_signature_algorithm, verifies

_VERSION = 0xA0
_UNIQUE_IDS = (0x81, 0x82)
_EXTENSIONS = 0xA3
_UTC_TIME = 0x17
_GENERALIZED_TIME = 0x18
_NO_EXTENSIONS: Mapping[bytes, Extension] = {}
_CONTROL_BYTES = bytes((*range(0x20), 0x7F))


class Certificate:
    """What the rest of the code reads of an X.509 certificate. Never changes; equal where the DER is equal."""

    der: bytes
    fingerprint_hex: str  # SHA-256 of the DER, lower case
    version: int  # 1, 2 or 3
    subject_dn: str  # RFC 2253 as hono-registry 4.5 spells it
    issuer_dn: str
    subject_der: bytes
    issuer_der: bytes
    not_before: datetime  # aware, UTC
    not_after: datetime
    public_key_der: bytes  # SubjectPublicKeyInfo
    extensions: Mapping[bytes, Extension]  # by object identifier (content bytes)

    def __init__(self, certificate_der: bytes, *, fingerprint_hex: str | None = None) -> None:
        """Raises CertificateUnreadable or NameUnreadable."""
        self.der = certificate_der
        self._signed_with: bytes | None = None
        self.fingerprint_hex = fingerprint_hex or sha256(certificate_der).hexdigest()
        try:
            self._read(certificate_der)
        except der.DerFault as fault:
            raise CertificateUnreadable(f"certificate {self.fingerprint_hex} is not X.509: {fault}") from fault
        try:
            self.subject_dn = format_name(self.subject_der)
            self.issuer_dn = format_name(self.issuer_der)
        except NameUnreadable as fault:
            raise NameUnreadable(f"certificate {self.fingerprint_hex}: {fault}") from fault

    def _read(self, data: bytes) -> None:
        start, end = der.expect(data, 0, len(data), der.SEQUENCE)
        if end != len(data):
            raise der.DerFault("bytes behind the certificate")
        tbs_start, tbs_end = der.expect(data, start, end, der.SEQUENCE)
        self._signed = data[start:tbs_end]
        self._read_signed_part(data, tbs_start, tbs_end)
        algorithm_end = der.expect(data, tbs_end, end, der.SEQUENCE)[1]
        self._outer_algorithm_der = data[tbs_end:algorithm_end]
        start, stop = der.expect(data, algorithm_end, end, der.BIT_STRING)
        if stop != end or start == stop or data[start] != 0:
            raise der.DerFault("no whole number of octets in the signature")
        self._signature = data[start + 1 : stop]

    def _read_signed_part(self, data: bytes, at: int, end: int) -> None:
        self.version = 1
        tag, start, stop = der.read(data, at, end)
        if tag == _VERSION:
            self.version = _read_version(data[start:stop])
            at = stop
        start, at = der.expect(data, at, end, der.INTEGER)
        if start == at:
            raise der.DerFault("serial number without digits")
        self._serial = data[start:at]
        start, at = at, der.expect(data, at, end, der.SEQUENCE)[1]
        self._inner_algorithm_der = data[start:at]
        start, at = at, der.expect(data, at, end, der.SEQUENCE)[1]
        self.issuer_der = data[start:at]
        start, at = der.expect(data, at, end, der.SEQUENCE)
        self.not_before, start = _read_time(data, start, at)
        self.not_after, start = _read_time(data, start, at)
        if start != at:
            raise der.DerFault("validity of more than two times")
        start, at = at, der.expect(data, at, end, der.SEQUENCE)[1]
        self.subject_der = data[start:at]
        start, at = at, der.expect(data, at, end, der.SEQUENCE)[1]
        self.public_key_der = data[start:at]
        self.extensions = self._read_rest(data, at, end)

    def _read_rest(self, data: bytes, at: int, end: int) -> Mapping[bytes, Extension]:
        previous = 0
        while at < end:
            tag, start, at = der.read(data, at, end)
            if tag <= previous or self.version == 1:
                raise der.DerFault("members out of order, or of a later version")
            if tag == _EXTENSIONS and self.version == 3 and at == end:
                return extensions.read_extensions(data[start:at])
            if tag not in _UNIQUE_IDS:
                raise der.DerFault(f"unknown member {tag:#04x}")
            previous = tag
        return _NO_EXTENSIONS

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Certificate) and self.der == other.der

    def __hash__(self) -> int:
        return hash(self.fingerprint_hex)

    def __repr__(self) -> str:
        return f"Certificate({self.subject_dn!r}, {self.fingerprint_hex})"

    @property
    def is_self_issued(self) -> bool:
        """Whether subject and issuer have one name."""
        return self.subject_dn == self.issuer_dn

    @cached_property
    def subject(self) -> Name:
        return read_name(self.subject_der)

    @cached_property
    def serial_hex(self) -> str:
        """Lower case, no leading zeros, no sign: a negative number shows its octets as they are encoded."""
        return self._serial.hex().lstrip("0") or "0"

    @cached_property
    def key_facts(self) -> KeyFacts | None:
        """None where the key cannot be read."""
        try:
            return read_key_facts(self.public_key_der)
        except der.DerFault:
            return None

    @property
    def key_type(self) -> str:
        """RSA, EC, Ed25519, Ed448, a dotted OID, or `unreadable`."""
        return self.key_facts.kind if self.key_facts else "unreadable"

    @property
    def key_bits(self) -> int:
        return self.key_facts.bits if self.key_facts else 0

    @cached_property
    def issuer_key(self) -> IssuerKey:
        """The certificate's own key, for verifying what it issued."""
        return IssuerKey(self.public_key_der)

    @cached_property
    def algorithm(self) -> SignatureAlgorithm | None:
        """How it was signed; None where that cannot be read, or is told differently inside and outside."""
        if self._inner_algorithm_der != self._outer_algorithm_der:
            return None
        try:
            return read_signature_algorithm(self._inner_algorithm_der)
        except der.DerFault:
            return None

    @property
    def signature_algorithm(self) -> str:
        return self.algorithm.name if self.algorithm else "unreadable"

    @cached_property
    def basic_constraints(self) -> tuple[bool, int | None] | None:
        """CA flag and path length; None where there is no such extension or it cannot be read."""
        extension = self.extensions.get(extensions.BASIC_CONSTRAINTS)
        if extension is None:
            return None
        try:
            return extensions.read_basic_constraints(extension.content)
        except der.DerFault:
            return None

    @property
    def is_ca(self) -> bool:
        """Whether its CA flag is set. Certificates of version 1 have none."""
        return self.basic_constraints is not None and self.basic_constraints[0]

    @cached_property
    def alternative_names(self) -> tuple[tuple[int, bytes], ...] | None:
        """Tag and content of each subject alternative name.

        None where the extension cannot be read, or a name that should be ASCII holds other bytes or control
        characters.
        """
        extension = self.extensions.get(extensions.ALTERNATIVE_NAMES)
        if extension is None:
            return ()
        try:
            names = extensions.read_general_names(extension.content)
        except der.DerFault:
            return None
        ascii_tags = (extensions.EMAIL_NAME, extensions.DNS_NAME, extensions.URI_NAME)
        if all(tag not in ascii_tags or _is_ascii_text(content) for tag, content in names):
            return names
        return None

    @property
    def san_dns(self) -> tuple[str, ...]:
        """DNS names among the alternative names; none where these cannot be read."""
        return self._alternative(extensions.DNS_NAME)

    @property
    def san_uris(self) -> tuple[str, ...]:
        return self._alternative(extensions.URI_NAME)

    @property
    def san_emails(self) -> tuple[str, ...]:
        return self._alternative(extensions.EMAIL_NAME)

    def _alternative(self, wanted: int) -> tuple[str, ...]:
        return tuple(content.decode("ascii") for tag, content in self.alternative_names or () if tag == wanted)

    def is_signed_with(self, key: IssuerKey) -> bool:
        """Whether this key made the signature. The key that last did is remembered: verifying costs 65 µs (EC)."""
        if self._signed_with == key.public_key_der:
            return True
        loaded, algorithm = key.loaded, self.algorithm
        if loaded is None or key.facts is None or algorithm is None:
            return False
        if not verifies(algorithm, loaded, key_kind=key.facts.kind, signature=self._signature, signed=self._signed):
            return False
        self._signed_with = key.public_key_der
        return True


def parse_certificate(certificate_der: bytes) -> Certificate:
    """Raises CertificateUnreadable or NameUnreadable."""
    return Certificate(certificate_der)


class CertificateCache:
    """The certificates parsed last, so that one that comes again is neither parsed nor verified again.

    Holds at most `certificates_max` certificates and `bytes_max` bytes of DER; the longest unused go first.
    """

    def __init__(self, certificates_max: int, *, bytes_max: int = 16_777_216) -> None:
        self._certificates_max = certificates_max
        self._bytes_max = bytes_max
        self._bytes = 0
        self._kept: OrderedDict[bytes, Certificate] = OrderedDict()

    def __len__(self) -> int:
        return len(self._kept)

    def parse(self, certificate_der: bytes) -> Certificate:
        """Raises CertificateUnreadable or NameUnreadable, every time anew."""
        digest = sha256(certificate_der)
        key = digest.digest()
        certificate = self._kept.get(key)
        if certificate is not None:
            self._kept.move_to_end(key)
            return certificate
        certificate = Certificate(certificate_der, fingerprint_hex=digest.hexdigest())
        self._kept[key] = certificate
        self._bytes += len(certificate_der)
        while len(self._kept) > self._certificates_max or self._bytes > self._bytes_max:
            _, dropped = self._kept.popitem(last=False)
            self._bytes -= len(dropped.der)
        return certificate


def _is_ascii_text(content: bytes) -> bool:
    return content.isascii() and content.translate(None, _CONTROL_BYTES) == content


def _read_version(content: bytes) -> int:
    number = der.whole(content, der.INTEGER)
    if number not in (b"\x00", b"\x01", b"\x02"):
        raise der.DerFault("unknown version")
    return number[0] + 1


def _read_time(data: bytes, at: int, end: int) -> tuple[datetime, int]:
    """A moment of the validity and where it ends (RFC 5280 4.1.2.5: to the second, in UTC)."""
    tag, start, stop = der.read(data, at, end)
    digits = data[start : stop - 1]
    if tag == _UTC_TIME and stop - start == 13:
        century = b"19" if digits >= b"5" else b"20"
        digits = century + digits
    elif tag != _GENERALIZED_TIME or stop - start != 15:
        raise der.DerFault("no moment in time")
    if not digits.isdigit() or data[stop - 1] != 0x5A:  # Z
        raise der.DerFault("no moment in UTC")
    text = digits.decode("ascii")
    try:
        moment = datetime(
            int(text[:4]),
            int(text[4:6]),
            int(text[6:8]),
            int(text[8:10]),
            int(text[10:12]),
            int(text[12:14]),
            tzinfo=UTC,
        )
    except ValueError as fault:
        raise der.DerFault("no moment of the calendar") from fault
    return moment, stop
