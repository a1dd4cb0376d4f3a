"""Certificates that no well-meaning library makes: assembled byte by byte, then signed properly.

Version 1, odd serial numbers, extensions with any content, MD5 and SHA-1, two voices about the algorithm:
whatever a test needs to see refused, or accepted although it is strange.
"""

from collections.abc import Sequence

from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, padding
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from tests.support.certificates import PrivateKey

DIGESTS: dict[str, hashes.HashAlgorithm] = {
    "md5": hashes.MD5(),
    "sha1": hashes.SHA1(),
    "sha256": hashes.SHA256(),
    "sha384": hashes.SHA384(),
}
_RSA = {"md5": "2a864886f70d010104", "sha1": "2a864886f70d010105", "sha256": "2a864886f70d01010b"}
_ECDSA = {"sha1": "2a8648ce3d0401", "sha256": "2a8648ce3d040302", "sha384": "2a8648ce3d040303"}
_ED25519 = "2b6570"

CRITICAL = True


def tlv(tag: int, *contents: bytes) -> bytes:
    """One DER element."""
    content = b"".join(contents)
    if len(content) < 0x80:
        return bytes((tag, len(content))) + content
    size = len(content).to_bytes(4, "big").lstrip(b"\x00")
    return bytes((tag, 0x80 | len(size))) + size + content


def sequence(*contents: bytes) -> bytes:
    return tlv(0x30, *contents)


def oid(dotted: str) -> bytes:
    """An object identifier; arcs of any size."""
    first, second, *others = map(int, dotted.split("."))
    content = b""
    for arc in (40 * first + second, *others):
        octets = [arc & 0x7F]
        while arc := arc >> 7:
            octets.insert(0, arc & 0x7F | 0x80)
        content += bytes(octets)
    return tlv(0x06, content)


def rdn(*attributes: tuple[str, int, bytes]) -> bytes:
    """A relative name of attributes given as OID, string tag and content, in the order given."""
    return tlv(0x31, *(sequence(oid(type_), tlv(tag, content)) for type_, tag, content in attributes))


def common_name(text: str, tag: int = 0x0C) -> bytes:
    """A name of one common name."""
    return sequence(rdn(("2.5.4.3", tag, text.encode())))


def extension(type_: str, content: bytes, *, critical: bool = False) -> bytes:
    return sequence(oid(type_), tlv(0x01, b"\xff") if critical else b"", tlv(0x04, content))


def utc_time(text: str) -> bytes:
    return tlv(0x17, text.encode())


def algorithm_of(key: PrivateKey, digest: str) -> bytes:
    if isinstance(key, ed25519.Ed25519PrivateKey):
        return sequence(tlv(0x06, bytes.fromhex(_ED25519)))
    if isinstance(key, ec.EllipticCurvePrivateKey):
        return sequence(tlv(0x06, bytes.fromhex(_ECDSA[digest])))
    return sequence(tlv(0x06, bytes.fromhex(_RSA[digest])), b"\x05\x00")


def sign(key: PrivateKey, message: bytes, digest: str) -> bytes:
    if isinstance(key, ed25519.Ed25519PrivateKey):
        return key.sign(message)
    if isinstance(key, ec.EllipticCurvePrivateKey):
        return key.sign(message, ec.ECDSA(DIGESTS[digest]))
    return key.sign(message, padding.PKCS1v15(), DIGESTS[digest])


def public_key_der(key: PrivateKey) -> bytes:
    return key.public_key().public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)


def assemble(
    *,
    subject: bytes,
    issuer: bytes,
    key: PrivateKey,
    signed_by: PrivateKey,
    version: int = 3,
    serial: bytes = b"\x01",
    not_before: bytes = utc_time("200101000000Z"),
    not_after: bytes = utc_time("400101000000Z"),
    extensions: Sequence[bytes] | None = None,
    rest: bytes = b"",
    digest: str = "sha256",
    outer_algorithm: bytes | None = None,
    spki: bytes | None = None,
) -> bytes:
    """DER of a certificate. `rest` stands between key and extensions; `spki` replaces the key's own encoding."""
    algorithm = algorithm_of(signed_by, digest)
    signed = sequence(
        tlv(0xA0, tlv(0x02, bytes((version - 1,)))) if version != 1 else b"",
        tlv(0x02, serial),
        algorithm,
        issuer,
        sequence(not_before, not_after),
        subject,
        public_key_der(key) if spki is None else spki,
        rest,
        tlv(0xA3, sequence(*extensions)) if extensions is not None else b"",
    )
    signature = sign(signed_by, signed, digest)
    return sequence(signed, outer_algorithm or algorithm, tlv(0x03, b"\x00", signature))
