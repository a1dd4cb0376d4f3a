"""A parsed certificate, and the cache of those parsed last.

Reads the encoding itself: devices carry certificates that stricter readers refuse (X.509 v1, serial numbers
of zero or less, extensions nobody can read) and that are nevertheless theirs. Structure, names and validity
are read at once; everything else when it is first asked for, because most connects never ask.
"""

from collections import OrderedDict
from collections.abc import Callable, Mapping
from datetime import datetime
from hashlib import sha256
from itertools import count
from sys import getsizeof
from typing import TypeVar

from pki import der
from pki import extensions as known
from pki.errors import CertificateUnreadable, KeyTooLarge, NameUnreadable
from pki.extensions import Extension, GeneralName
from pki.keys import RSA_EXPONENT_MAX_BITS, RSA_MAX_BITS, IssuerKey, KeyFacts, read_key_facts
from pki.layout import Parts, read_certificate
from pki.name_constraints import NameConstraints, read_name_constraints
from pki.names import Name, format_issuer, format_name, read_name
from pki.signatures import SignatureAlgorithm, read_signature_algorithm, verifies

T = TypeVar("T")
_ASCII_NAMES = (known.EMAIL_NAME, known.DNS_NAME, known.URI_NAME)
_numbers = count()
_CONTROL_BYTES = bytes((*range(0x20), 0x7F))
_OBJECTS_BYTES = 3_400  # of a certificate's own small objects, whatever it says, and of a note with it
_MEMBER_BYTES = 250  # of an extension, a purpose or a name, beside its content


class Certificate:
    """What the rest of the code reads of an X.509 certificate. Never changes; equal where the DER is equal.

    An extension that is absent reads as None. One that cannot be read never reads as permission: it is an empty
    key usage or purpose, no CA flag, and where a rule has to tell the difference a member of its own says so.
    """

    __slots__ = (
        "_issuer_key",
        "_name_constraints",
        "_not_signed_with",
        "_parts",
        "_signed_with",
        "_subject",
        "algorithm",
        "alternative_names",
        "basic_constraints",
        "der",
        "issuer_dn",
        "key_facts",
        "key_usage",
        "not_after",
        "not_before",
        "number",
        "purposes",
        "subject_dn",
        "unknown_critical",
    )

    der: bytes
    number: int  # of this object: no other of the process ever has it, not even one of the same DER
    subject_dn: str  # RFC 2253 as hono-registry 4.5 spells it
    issuer_dn: str
    not_before: datetime  # aware, UTC
    not_after: datetime
    algorithm: SignatureAlgorithm | None  # None: unreadable, or told differently inside and outside
    key_facts: KeyFacts | None  # None: unreadable
    basic_constraints: tuple[bool, int | None] | None  # CA flag, path length
    key_usage: int | None  # bits as in pki/extensions.py; 0: unreadable, or none at all
    purposes: frozenset[bytes] | None  # extended key usages; empty: unreadable, or none at all
    alternative_names: tuple[GeneralName, ...] | None  # None: unreadable, or not the characters their kind allows
    unknown_critical: str | None  # OID of a critical extension not understood, or of unreadable basic constraints

    def __init__(self, certificate_der: bytes) -> None:
        """Raises CertificateUnreadable (KeyTooLarge among them) or NameUnreadable."""
        self.der = certificate_der
        self.number = next(_numbers)
        try:
            self._parts = parts = read_certificate(certificate_der)
        except der.DerFault as fault:
            raise CertificateUnreadable(f"certificate {self.fingerprint_hex} is not X.509: {fault}") from fault
        self.not_before = parts.not_before
        self.not_after = parts.not_after
        try:
            self.subject_dn = format_name(parts.subject_der)
            self.issuer_dn = format_issuer(parts.issuer_der)
        except NameUnreadable as fault:
            raise NameUnreadable(f"certificate {self.fingerprint_hex}: {fault}") from fault
        self.algorithm = _algorithm(parts)
        self.key_facts = _or_else(read_key_facts, parts.public_key_der, None)
        if self.key_facts is not None and self.key_facts.is_too_large:
            raise KeyTooLarge(
                f"certificate {self.fingerprint_hex} has an RSA key of {self.key_bits} bits with an exponent of"
                f" {self.key_facts.exponent_bits}; at most {RSA_MAX_BITS} and {RSA_EXPONENT_MAX_BITS} are verified with"
            )
        self._read_extensions(parts.extensions)
        self._subject: Name | None = None
        self._issuer_key: IssuerKey | None = None
        self._name_constraints: NameConstraints | None = None
        self._signed_with: bytes | None = None
        self._not_signed_with: bytes | None = None

    def _read_extensions(self, present: Mapping[bytes, Extension]) -> None:
        self.basic_constraints = None
        self.key_usage = None
        self.purposes = None
        self.alternative_names = ()
        self.unknown_critical = None
        for oid, extension in present.items():
            if oid == known.BASIC_CONSTRAINTS:
                self.basic_constraints = _or_else(known.read_basic_constraints, extension.content, None)
                if self.basic_constraints is None:
                    self.unknown_critical = _oid_shown(oid)
            elif oid == known.KEY_USAGE:
                self.key_usage = _or_else(known.read_key_usage, extension.content, 0)
            elif oid == known.EXTENDED_KEY_USAGE:
                self.purposes = _or_else(known.read_purposes, extension.content, frozenset[bytes]())
            elif oid == known.ALTERNATIVE_NAMES:
                self.alternative_names = _or_else(_read_alternative_names, extension.content, None)
            elif extension.critical and oid not in known.UNDERSTOOD:
                self.unknown_critical = _oid_shown(oid)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Certificate) and self.der == other.der

    def __hash__(self) -> int:
        return hash(self.der)

    def __repr__(self) -> str:
        return f"Certificate({self.subject_dn!r}, {self.fingerprint_hex})"

    @property
    def held_bytes(self) -> int:
        """The memory it takes, rather too much than too little: a stranger chooses what is in it."""
        members = len(self.extensions) + len(self.alternative_names or ()) + len(self.purposes or ())
        names = getsizeof(self.subject_dn) + getsizeof(self.issuer_dn)
        # The bytes are there whole, as what is signed, as its parts, and once more as the names within.
        return 4 * len(self.der) + names + members * _MEMBER_BYTES + _OBJECTS_BYTES

    @property
    def fingerprint_hex(self) -> str:
        """SHA-256 of the DER, lower case."""
        return sha256(self.der).hexdigest()

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

    @property
    def subject(self) -> Name:
        if self._subject is None:
            self._subject = read_name(self.subject_der)
        return self._subject

    @property
    def serial_hex(self) -> str:
        """Lower case, no leading zeros, no sign: a negative number shows its octets as they are encoded."""
        return self._parts.serial.hex().lstrip("0") or "0"

    @property
    def key_type(self) -> str:
        """RSA, EC, Ed25519, Ed448, a dotted OID, or `unreadable`."""
        return self.key_facts.kind if self.key_facts else "unreadable"

    @property
    def key_bits(self) -> int:
        return self.key_facts.bits if self.key_facts else 0

    @property
    def issuer_key(self) -> IssuerKey:
        """The certificate's own key, for verifying what it issued."""
        if self._issuer_key is None:
            self._issuer_key = IssuerKey(self.public_key_der)
        return self._issuer_key

    @property
    def signature_algorithm(self) -> str:
        return self.algorithm.name if self.algorithm else "unreadable"

    @property
    def is_ca(self) -> bool:
        """Whether its CA flag is set. Certificates of version 1 have none."""
        return self.basic_constraints is not None and self.basic_constraints[0]

    @property
    def name_constraints(self) -> NameConstraints | None:
        """None where there is no such extension. Raises DerFault or NameUnreadable."""
        if self._name_constraints is None:
            extension = self.extensions.get(known.NAME_CONSTRAINTS)
            self._name_constraints = None if extension is None else read_name_constraints(extension.content)
        return self._name_constraints

    @property
    def subject_key_id(self) -> bytes | None:
        """Only a hint: which of several issuers of one name to try first."""
        extension = self.extensions.get(known.SUBJECT_KEY_ID)
        return None if extension is None else _or_else(known.read_key_id, extension.content, None)

    @property
    def authority_key_id(self) -> bytes | None:
        extension = self.extensions.get(known.AUTHORITY_KEY_ID)
        return None if extension is None else _or_else(known.read_authority_key_id, extension.content, None)

    @property
    def san_dns(self) -> tuple[str, ...]:
        """DNS names among the alternative names; none where these cannot be read."""
        return self._alternative(known.DNS_NAME)

    @property
    def san_uris(self) -> tuple[str, ...]:
        return self._alternative(known.URI_NAME)

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


class _Kept:
    """A certificate in the cache, what it takes there, and what was noted with it."""

    __slots__ = ("certificate", "held_bytes", "note")

    def __init__(self, certificate: Certificate) -> None:
        self.certificate = certificate
        self.held_bytes = certificate.held_bytes
        self.note: object = None


class CertificateCache:
    """The certificates parsed last, so that one that comes again is neither parsed nor verified again.

    Holds at most `certificates_max` certificates and `bytes_max` bytes of memory; the longest unused go first.
    Found by the DER itself: its digest would cost more than all else that is done here.
    """

    def __init__(self, certificates_max: int, *, bytes_max: int = 67_108_864) -> None:
        self._certificates_max = certificates_max
        self._bytes_max = bytes_max
        self._bytes = 0
        self._kept: OrderedDict[bytes, _Kept] = OrderedDict()

    def __len__(self) -> int:
        return len(self._kept)

    def find(self, certificate_der: bytes) -> Certificate | None:
        """The certificate, if it is still here."""
        kept = self._kept.get(certificate_der)
        if kept is None:
            return None
        self._kept.move_to_end(certificate_der)
        return kept.certificate

    def parse(self, certificate_der: bytes) -> Certificate:
        """Raises CertificateUnreadable or NameUnreadable, every time anew."""
        certificate = self.find(certificate_der)
        if certificate is not None:
            return certificate
        certificate = Certificate(certificate_der)
        kept = self._kept[certificate_der] = _Kept(certificate)
        self._bytes += kept.held_bytes
        while len(self._kept) > self._certificates_max or self._bytes > self._bytes_max:
            _, dropped = self._kept.popitem(last=False)
            self._bytes -= dropped.held_bytes
        return certificate

    def note_of(self, certificate_der: bytes) -> object:
        """What was noted with this certificate, if it is still here."""
        kept = self._kept.get(certificate_der)
        if kept is None:
            return None
        self._kept.move_to_end(certificate_der)
        return kept.note

    def note(self, certificate_der: bytes, note: object) -> None:
        """Keep a note with a certificate, in place of any other, for as long as that is here.

        It may refer to that certificate and to no other, and is small: 400 bytes are counted for it.
        """
        kept = self._kept.get(certificate_der)
        if kept is not None:
            kept.note = note


def _or_else(read: Callable[[bytes], T], content: bytes, unreadable: T) -> T:
    try:
        return read(content)
    except der.DerFault:
        return unreadable


def _algorithm(parts: Parts) -> SignatureAlgorithm | None:
    if parts.inner_algorithm_der != parts.outer_algorithm_der:
        return None
    return _or_else(read_signature_algorithm, parts.inner_algorithm_der, None)


def _read_alternative_names(content: bytes) -> tuple[GeneralName, ...]:
    """Raises DerFault also for a name that should be ASCII and holds other bytes or control characters."""
    names = known.read_general_names(content)
    for tag, name in names:
        if tag in _ASCII_NAMES and not (name.isascii() and name.translate(None, _CONTROL_BYTES) == name):
            raise der.DerFault("characters that such a name may not hold")
    return names


def _oid_shown(oid: bytes) -> str:
    try:
        return der.oid_text(oid)
    except der.DerFault:
        return f"#{oid.hex()}"
