"""A parsed certificate, cached by SHA-256 of its DER.

Reads the encoding itself: devices carry certificates that stricter readers refuse (X.509 v1, serial numbers
of zero or less, extensions nobody can read) and that are nevertheless theirs. Structure, names and validity
are read at once; everything else when it is first asked for, because most connects never ask.
"""

from collections import OrderedDict
from collections.abc import Callable, Mapping
from datetime import datetime
from functools import cached_property
from hashlib import sha256

from pki import der
from pki import extensions as known
from pki.errors import CertificateUnreadable, NameUnreadable
from pki.extensions import Extension
from pki.keys import IssuerKey, KeyFacts, read_key_facts
from pki.layout import read_certificate
from pki.name_constraints import NameConstraints, read_name_constraints
from pki.names import Name, format_name, read_name
from pki.signatures import SignatureAlgorithm, read_signature_algorithm, verifies

_CONTROL_BYTES = bytes((*range(0x20), 0x7F))


class Certificate:
    """What the rest of the code reads of an X.509 certificate. Never changes; equal where the DER is equal."""

    der: bytes
    fingerprint_hex: str  # SHA-256 of the DER, lower case
    subject_dn: str  # RFC 2253 as hono-registry 4.5 spells it
    issuer_dn: str
    not_before: datetime  # aware, UTC
    not_after: datetime

    def __init__(self, certificate_der: bytes, *, fingerprint_hex: str | None = None) -> None:
        """Raises CertificateUnreadable or NameUnreadable."""
        self.der = certificate_der
        self._signed_with: bytes | None = None
        self._not_signed_with: bytes | None = None
        self.fingerprint_hex = fingerprint_hex or sha256(certificate_der).hexdigest()
        try:
            self._parts = parts = read_certificate(certificate_der)
        except der.DerFault as fault:
            raise CertificateUnreadable(f"certificate {self.fingerprint_hex} is not X.509: {fault}") from fault
        self.not_before = parts.not_before
        self.not_after = parts.not_after
        try:
            self.subject_dn = format_name(parts.subject_der)
            self.issuer_dn = format_name(parts.issuer_der)
        except NameUnreadable as fault:
            raise NameUnreadable(f"certificate {self.fingerprint_hex}: {fault}") from fault

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Certificate) and self.der == other.der

    def __hash__(self) -> int:
        return hash(self.fingerprint_hex)

    def __repr__(self) -> str:
        return f"Certificate({self.subject_dn!r}, {self.fingerprint_hex})"

    @property
    def version(self) -> int:
        """1, 2 or 3."""
        return self._parts.version

    @property
    def subject_der(self) -> bytes:
        return self._parts.subject_der

    @property
    def issuer_der(self) -> bytes:
        return self._parts.issuer_der

    @property
    def public_key_der(self) -> bytes:
        """SubjectPublicKeyInfo."""
        return self._parts.public_key_der

    @property
    def extensions(self) -> Mapping[bytes, Extension]:
        """By object identifier (content bytes)."""
        return self._parts.extensions

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
        return self._parts.serial.hex().lstrip("0") or "0"

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
        if self._parts.inner_algorithm_der != self._parts.outer_algorithm_der:
            return None
        try:
            return read_signature_algorithm(self._parts.inner_algorithm_der)
        except der.DerFault:
            return None

    @property
    def signature_algorithm(self) -> str:
        return self.algorithm.name if self.algorithm else "unreadable"

    @cached_property
    def basic_constraints(self) -> tuple[bool, int | None] | None:
        """CA flag and path length; None where there is no such extension or it cannot be read."""
        extension = self.extensions.get(known.BASIC_CONSTRAINTS)
        if extension is None:
            return None
        try:
            return known.read_basic_constraints(extension.content)
        except der.DerFault:
            return None

    @property
    def is_ca(self) -> bool:
        """Whether its CA flag is set. Certificates of version 1 have none."""
        return self.basic_constraints is not None and self.basic_constraints[0]

    @cached_property
    def key_usage(self) -> int | None:
        """Bits as in pki/extensions.py; None where there is no such extension, 0 where it cannot be read."""
        extension = self.extensions.get(known.KEY_USAGE)
        if extension is None:
            return None
        try:
            return known.read_key_usage(extension.content)
        except der.DerFault:
            return 0

    @cached_property
    def purposes(self) -> frozenset[bytes] | None:
        """Extended key usages; None where there is no such extension, none at all where it cannot be read."""
        extension = self.extensions.get(known.EXTENDED_KEY_USAGE)
        if extension is None:
            return None
        try:
            return known.read_purposes(extension.content)
        except der.DerFault:
            return frozenset()

    @cached_property
    def critical_unknown(self) -> str | None:
        """Dotted OID of a critical extension nobody here understands, or of basic constraints nobody can read."""
        for oid, extension in self.extensions.items():
            if extension.critical and oid not in known.UNDERSTOOD:
                return _oid_shown(oid)
        if known.BASIC_CONSTRAINTS in self.extensions and self.basic_constraints is None:
            return _oid_shown(known.BASIC_CONSTRAINTS)
        return None

    @cached_property
    def name_constraints(self) -> NameConstraints | None:
        """None where there is no such extension. Raises DerFault or NameUnreadable."""
        extension = self.extensions.get(known.NAME_CONSTRAINTS)
        return None if extension is None else read_name_constraints(extension.content)

    @cached_property
    def subject_key_id(self) -> bytes | None:
        """Only a hint: which of several issuers of one name to try first."""
        return self._key_id(known.SUBJECT_KEY_ID, known.read_key_id)

    @cached_property
    def authority_key_id(self) -> bytes | None:
        return self._key_id(known.AUTHORITY_KEY_ID, known.read_authority_key_id)

    def _key_id(self, oid: bytes, read: Callable[[bytes], bytes | None]) -> bytes | None:
        extension = self.extensions.get(oid)
        try:
            return None if extension is None else read(extension.content)
        except der.DerFault:
            return None

    @cached_property
    def alternative_names(self) -> tuple[tuple[int, bytes], ...] | None:
        """Tag and content of each subject alternative name.

        None where the extension cannot be read, or a name that should be ASCII holds other bytes or control
        characters.
        """
        extension = self.extensions.get(known.ALTERNATIVE_NAMES)
        if extension is None:
            return ()
        try:
            names = known.read_general_names(extension.content)
        except der.DerFault:
            return None
        ascii_tags = (known.EMAIL_NAME, known.DNS_NAME, known.URI_NAME)
        if all(tag not in ascii_tags or _is_ascii_text(content) for tag, content in names):
            return names
        return None

    @property
    def san_dns(self) -> tuple[str, ...]:
        """DNS names among the alternative names; none where these cannot be read."""
        return self._alternative(known.DNS_NAME)

    @property
    def san_uris(self) -> tuple[str, ...]:
        return self._alternative(known.URI_NAME)

    @property
    def san_emails(self) -> tuple[str, ...]:
        return self._alternative(known.EMAIL_NAME)

    def _alternative(self, wanted: int) -> tuple[str, ...]:
        return tuple(content.decode("ascii") for tag, content in self.alternative_names or () if tag == wanted)

    def is_signed_with(self, key: IssuerKey) -> bool:
        """Whether this key made the signature.

        Remembers the last key that did and the last that did not: verifying costs 65 µs (EC).
        """
        if self._signed_with == key.public_key_der:
            return True
        if self._not_signed_with == key.public_key_der:
            return False
        loaded, algorithm = key.loaded, self.algorithm
        if loaded is None or key.facts is None or algorithm is None:
            return False
        if not verifies(
            algorithm, loaded, key_kind=key.facts.kind, signature=self._parts.signature, signed=self._parts.signed
        ):
            self._not_signed_with = key.public_key_der
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


def _oid_shown(oid: bytes) -> str:
    try:
        return der.oid_text(oid)
    except der.DerFault:
        return f"#{oid.hex()}"
