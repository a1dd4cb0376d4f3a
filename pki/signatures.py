"""Signature algorithms of certificates: what each is called, how strong it is, and verifying with it."""

from collections.abc import Callable
from dataclasses import dataclass

from cryptography.exceptions import InvalidSignature, UnsupportedAlgorithm
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, ed448, ed25519, padding, rsa

from pki import der
from pki.extensions import remembered
from pki.keys import EC, ED448, ED25519, RSA, VerificationKey

MD5 = "MD5"
SHA1 = "SHA-1"

_PSS_OID = der.oid_content("1.2.840.113549.1.1.10")
_MGF1_OID = der.oid_content("1.2.840.113549.1.1.8")
_SALT_MAX_BYTES = 1024

_DIGESTS: dict[bytes, tuple[str, type[hashes.HashAlgorithm]]] = {
    der.oid_content("1.2.840.113549.2.5"): (MD5, hashes.MD5),
    der.oid_content("1.3.14.3.2.26"): (SHA1, hashes.SHA1),
    der.oid_content("2.16.840.1.101.3.4.2.4"): ("SHA-224", hashes.SHA224),
    der.oid_content("2.16.840.1.101.3.4.2.1"): ("SHA-256", hashes.SHA256),
    der.oid_content("2.16.840.1.101.3.4.2.2"): ("SHA-384", hashes.SHA384),
    der.oid_content("2.16.840.1.101.3.4.2.3"): ("SHA-512", hashes.SHA512),
}


@dataclass(frozen=True, slots=True)
class SignatureAlgorithm:
    """How a certificate was signed."""

    name: str  # as OpenSSL spells it; a dotted OID for one that is not known here
    key_kind: str  # the kind of key that can have made it; empty for one that is not known here
    digest: str  # SHA-256, …, MD5; empty where the algorithm has none of its own choice
    verify: Callable[[VerificationKey, bytes, bytes], None] | None  # raises InvalidSignature


def _rsa(digest: hashes.HashAlgorithm) -> Callable[[VerificationKey, bytes, bytes], None]:
    scheme = padding.PKCS1v15()

    def verify(key: VerificationKey, signature: bytes, signed: bytes) -> None:
        assert isinstance(key, rsa.RSAPublicKey)
        key.verify(signature, signed, scheme, digest)

    return verify


def _ecdsa(digest: hashes.HashAlgorithm) -> Callable[[VerificationKey, bytes, bytes], None]:
    scheme = ec.ECDSA(digest)

    def verify(key: VerificationKey, signature: bytes, signed: bytes) -> None:
        assert isinstance(key, ec.EllipticCurvePublicKey)
        key.verify(signature, signed, scheme)

    return verify


def _edwards(key: VerificationKey, signature: bytes, signed: bytes) -> None:
    assert isinstance(key, ed25519.Ed25519PublicKey | ed448.Ed448PublicKey)
    key.verify(signature, signed)


def _pss(digest: hashes.HashAlgorithm, mask: hashes.HashAlgorithm, salt_bytes: int) -> Callable[..., None]:
    scheme = padding.PSS(mgf=padding.MGF1(mask), salt_length=salt_bytes)

    def verify(key: VerificationKey, signature: bytes, signed: bytes) -> None:
        assert isinstance(key, rsa.RSAPublicKey)
        key.verify(signature, signed, scheme, digest)

    return verify


_KNOWN = {
    der.oid_content(oid): algorithm
    for oid, algorithm in (
        ("1.2.840.113549.1.1.4", SignatureAlgorithm("md5WithRSAEncryption", RSA, MD5, _rsa(hashes.MD5()))),
        ("1.2.840.113549.1.1.5", SignatureAlgorithm("sha1WithRSAEncryption", RSA, SHA1, _rsa(hashes.SHA1()))),
        ("1.3.14.3.2.29", SignatureAlgorithm("sha1WithRSA", RSA, SHA1, _rsa(hashes.SHA1()))),
        ("1.2.840.113549.1.1.14", SignatureAlgorithm("sha224WithRSAEncryption", RSA, "SHA-224", _rsa(hashes.SHA224()))),
        ("1.2.840.113549.1.1.11", SignatureAlgorithm("sha256WithRSAEncryption", RSA, "SHA-256", _rsa(hashes.SHA256()))),
        ("1.2.840.113549.1.1.12", SignatureAlgorithm("sha384WithRSAEncryption", RSA, "SHA-384", _rsa(hashes.SHA384()))),
        ("1.2.840.113549.1.1.13", SignatureAlgorithm("sha512WithRSAEncryption", RSA, "SHA-512", _rsa(hashes.SHA512()))),
        ("1.2.840.10045.4.1", SignatureAlgorithm("ecdsa-with-SHA1", EC, SHA1, _ecdsa(hashes.SHA1()))),
        ("1.2.840.10045.4.3.1", SignatureAlgorithm("ecdsa-with-SHA224", EC, "SHA-224", _ecdsa(hashes.SHA224()))),
        ("1.2.840.10045.4.3.2", SignatureAlgorithm("ecdsa-with-SHA256", EC, "SHA-256", _ecdsa(hashes.SHA256()))),
        ("1.2.840.10045.4.3.3", SignatureAlgorithm("ecdsa-with-SHA384", EC, "SHA-384", _ecdsa(hashes.SHA384()))),
        ("1.2.840.10045.4.3.4", SignatureAlgorithm("ecdsa-with-SHA512", EC, "SHA-512", _ecdsa(hashes.SHA512()))),
        ("1.3.101.112", SignatureAlgorithm("Ed25519", ED25519, "", _edwards)),
        ("1.3.101.113", SignatureAlgorithm("Ed448", ED448, "", _edwards)),
    )
}


@remembered
def read_signature_algorithm(algorithm_der: bytes) -> SignatureAlgorithm:
    """What an AlgorithmIdentifier names. Raises DerFault."""
    content = der.whole(algorithm_der, der.SEQUENCE)
    start, end = der.expect(content, 0, len(content), der.OID)
    oid = content[start:end]
    if oid == _PSS_OID:
        return _read_pss(content[end:])
    return _KNOWN.get(oid) or SignatureAlgorithm(der.oid_text(oid), "", "", None)


def _read_pss(parameters_der: bytes) -> SignatureAlgorithm:
    """RSASSA-PSS with its parameters (RFC 4055 3.1); each one absent means SHA-1, MGF1 with SHA-1, 20 bytes."""
    digest: tuple[str, type[hashes.HashAlgorithm]] | None = (SHA1, hashes.SHA1)
    mask: tuple[str, type[hashes.HashAlgorithm]] | None = (SHA1, hashes.SHA1)
    salt_bytes = 20
    for tag, content in der.elements(der.whole(parameters_der, der.SEQUENCE)):
        if tag == 0xA0:
            digest = _digest(der.whole(content, der.SEQUENCE))
        elif tag == 0xA1:
            mask = _mask_digest(der.whole(content, der.SEQUENCE))
        elif tag == 0xA2:
            salt_bytes = int.from_bytes(der.whole(content, der.INTEGER), "big")
        elif tag != 0xA3 or der.whole(content, der.INTEGER) != b"\x01":
            raise der.DerFault("unknown PSS parameter")
    if digest is None or mask is None or salt_bytes > _SALT_MAX_BYTES:
        return SignatureAlgorithm("rsassaPss", RSA, "", None)
    weakest = min((digest[0], mask[0]), key=(MD5, SHA1, "SHA-224", "SHA-256", "SHA-384", "SHA-512").index)
    return SignatureAlgorithm("rsassaPss", RSA, weakest, _pss(digest[1](), mask[1](), salt_bytes))


def _mask_digest(content: bytes) -> tuple[str, type[hashes.HashAlgorithm]] | None:
    start, end = der.expect(content, 0, len(content), der.OID)
    if content[start:end] != _MGF1_OID:
        return None
    return _digest(der.whole(content[end:], der.SEQUENCE))


def _digest(content: bytes) -> tuple[str, type[hashes.HashAlgorithm]] | None:
    start, end = der.expect(content, 0, len(content), der.OID)
    return _DIGESTS.get(content[start:end])


def verifies(
    algorithm: SignatureAlgorithm, key: VerificationKey, *, key_kind: str, signature: bytes, signed: bytes
) -> bool:
    """Whether this key made this signature. An algorithm that cannot be used here verifies nothing."""
    if algorithm.verify is None or algorithm.key_kind != key_kind:
        return False
    try:
        algorithm.verify(key, signature, signed)
    except (InvalidSignature, UnsupportedAlgorithm, ValueError):
        return False
    return True
