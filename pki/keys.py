"""What a SubjectPublicKeyInfo says of its key: kind, size, and whether the curve is a named one.

Reads sizes without loading the key: a leaf's key was used by the handshake already, only issuers' keys
verify anything here.
"""

from dataclasses import dataclass
from functools import cached_property
from hashlib import sha1

from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives.asymmetric import ec, ed448, ed25519, rsa
from cryptography.hazmat.primitives.serialization import load_der_public_key

from pki import der
from pki.extensions import remembered

VerificationKey = rsa.RSAPublicKey | ec.EllipticCurvePublicKey | ed25519.Ed25519PublicKey | ed448.Ed448PublicKey
_VERIFICATION_KEYS = (
    rsa.RSAPublicKey,
    ec.EllipticCurvePublicKey,
    ed25519.Ed25519PublicKey,
    ed448.Ed448PublicKey,
)

RSA = "RSA"
EC = "EC"
ED25519 = "Ed25519"
ED448 = "Ed448"

_RSA_OIDS = (der.oid_content("1.2.840.113549.1.1.1"), der.oid_content("1.2.840.113549.1.1.10"))
_EC_OID = der.oid_content("1.2.840.10045.2.1")
_EDWARDS = {der.oid_content("1.3.101.112"): (ED25519, 256), der.oid_content("1.3.101.113"): (ED448, 456)}
_CURVES = {
    der.oid_content(oid): (name, bits)
    for oid, name, bits in (
        ("1.2.840.10045.3.1.7", "P-256", 256),
        ("1.3.132.0.34", "P-384", 384),
        ("1.3.132.0.35", "P-521", 521),
        ("1.3.132.0.10", "secp256k1", 256),
        ("1.3.36.3.3.2.8.1.1.7", "brainpoolP256r1", 256),
        ("1.3.36.3.3.2.8.1.1.11", "brainpoolP384r1", 384),
        ("1.3.36.3.3.2.8.1.1.13", "brainpoolP512r1", 512),
    )
}
EXPLICIT_CURVE = "explicit"

# Verifying takes 4 ms with 16,384 bits and an exponent of 64, and grows with both; common are 4,096 and 17.
RSA_MAX_BITS = 8192
RSA_EXPONENT_MAX_BITS = 32


@dataclass(frozen=True, slots=True)
class KeyFacts:
    """Kind and size of a public key; of a kind nobody here accepts, `kind` is its dotted OID and `bits` 0."""

    kind: str  # RSA, EC, Ed25519, Ed448, or a dotted OID
    bits: int
    curve: str = ""  # name, dotted OID of one that is not accepted, or EXPLICIT_CURVE; EC only
    exponent_bits: int = 0  # RSA only

    @property
    def is_too_large(self) -> bool:
        """Whether verifying with the key would take longer than a stranger may ask for."""
        return self.kind == RSA and (self.bits > RSA_MAX_BITS or self.exponent_bits > RSA_EXPONENT_MAX_BITS)


def read_key_facts(public_key_der: bytes) -> KeyFacts:
    """Raises DerFault."""
    start, end = der.expect(public_key_der, 0, len(public_key_der), der.SEQUENCE)
    if end != len(public_key_der):
        raise der.DerFault("bytes behind the key")
    algorithm_start, algorithm_end = der.expect(public_key_der, start, end, der.SEQUENCE)
    oid_start, oid_end = der.expect(public_key_der, algorithm_start, algorithm_end, der.OID)
    key_start, key_end = der.expect(public_key_der, algorithm_end, end, der.BIT_STRING)
    if key_end != end or key_start == key_end or public_key_der[key_start] != 0:
        raise der.DerFault("no whole number of octets in the key")
    oid = public_key_der[oid_start:oid_end]
    if oid == _EC_OID:
        return _read_curve(public_key_der[oid_end:algorithm_end])
    if oid in _RSA_OIDS:
        return _read_rsa(public_key_der, key_start + 1, key_end)
    if oid in _EDWARDS:
        return KeyFacts(*_EDWARDS[oid])
    return KeyFacts(der.oid_text(oid), 0)


@remembered
def _read_curve(parameters_der: bytes) -> KeyFacts:
    tag, start, stop = der.read(parameters_der, 0, len(parameters_der))
    if tag == der.SEQUENCE:
        return KeyFacts(EC, _field_bits(parameters_der[start:stop]), EXPLICIT_CURVE)
    if tag != der.OID or stop != len(parameters_der):
        raise der.DerFault("no curve")
    oid = parameters_der[start:stop]
    name, bits = _CURVES.get(oid) or (der.oid_text(oid), 0)
    return KeyFacts(EC, bits, name)


def _field_bits(parameters: bytes) -> int:
    """Size of the prime of explicit parameters (X9.62 SpecifiedECDomain); 0 where there is no prime."""
    members = list(der.elements(parameters))
    if len(members) < 2 or members[1][0] != der.SEQUENCE:
        raise der.DerFault("no curve parameters")
    field = list(der.elements(members[1][1]))
    if len(field) == 2 and field[1][0] == der.INTEGER:
        return int.from_bytes(field[1][1], "big").bit_length()
    return 0


def _read_rsa(data: bytes, at: int, end: int) -> KeyFacts:
    start, stop = der.expect(data, at, end, der.SEQUENCE)
    bits, start = _positive_bits(data, start, stop)
    exponent_bits, _ = _positive_bits(data, start, stop)
    return KeyFacts(RSA, bits, exponent_bits=exponent_bits)


def _positive_bits(data: bytes, at: int, end: int) -> tuple[int, int]:
    """Size of the positive integer at `at`, and where the next element starts."""
    start, stop = der.expect(data, at, end, der.INTEGER)
    octets = stop - start
    while start < stop and data[start] == 0:
        start += 1
    if start == stop or (data[start] & 0x80 and octets == stop - start):
        raise der.DerFault("no positive modulus or exponent")
    return 8 * (stop - start - 1) + data[start].bit_length(), stop


class IssuerKey:
    """A public key that may verify signatures. Loaded when first needed, then kept: loading costs 5 µs (EC)."""

    def __init__(self, public_key_der: bytes) -> None:
        self.public_key_der = public_key_der

    @cached_property
    def facts(self) -> KeyFacts | None:
        """None where the bytes are no key."""
        try:
            return read_key_facts(self.public_key_der)
        except der.DerFault:
            return None

    @cached_property
    def loaded(self) -> VerificationKey | None:
        """None where the key is broken, or of a kind or curve that cannot verify here."""
        try:
            key = load_der_public_key(self.public_key_der)
        except (ValueError, UnsupportedAlgorithm):
            return None
        return key if isinstance(key, _VERIFICATION_KEYS) else None

    @cached_property
    def key_id(self) -> bytes | None:
        """SHA-1 of the key's bits, the usual key identifier (RFC 5280 4.2.1.2); a hint only."""
        try:
            content = der.whole(self.public_key_der, der.SEQUENCE)
            start, stop = der.expect(
                content, der.expect(content, 0, len(content), der.SEQUENCE)[1], len(content), der.BIT_STRING
            )
        except der.DerFault:
            return None
        return sha1(content[start + 1 : stop], usedforsecurity=False).digest()
