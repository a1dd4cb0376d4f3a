"""A Signer whose private key lies in a PEM file that only its owner may read."""

import os
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Final

from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, padding, rsa
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    NoEncryption,
    PrivateFormat,
    PublicFormat,
    load_pem_private_key,
)

from pki import der
from pki.errors import KeyFileExists, KeyFileUnreadable

PrivateKey = ec.EllipticCurvePrivateKey | rsa.RSAPrivateKey | ed25519.Ed25519PrivateKey

KEY_FILE_MAX_BYTES = 65_536


def _rsa(bits: int) -> Callable[[], PrivateKey]:
    return lambda: rsa.generate_private_key(public_exponent=65537, key_size=bits)


KEY_KINDS: Final[Mapping[str, Callable[[], PrivateKey]]] = {
    "ec-p256": lambda: ec.generate_private_key(ec.SECP256R1()),
    "ec-p384": lambda: ec.generate_private_key(ec.SECP384R1()),
    "ed25519": ed25519.Ed25519PrivateKey.generate,
    "rsa-2048": _rsa(2048),
    "rsa-3072": _rsa(3072),
    "rsa-4096": _rsa(4096),
}
DEFAULT_KEY_KIND: Final = "ec-p256"

_NULL = b"\x05\x00"
_SHA256_WITH_RSA = der.write(der.SEQUENCE, der.write(der.OID, der.oid_content("1.2.840.113549.1.1.11")) + _NULL)
_ECDSA_SHA256 = der.write(der.SEQUENCE, der.write(der.OID, der.oid_content("1.2.840.10045.4.3.2")))
_ECDSA_SHA384 = der.write(der.SEQUENCE, der.write(der.OID, der.oid_content("1.2.840.10045.4.3.3")))
_ED25519 = der.write(der.SEQUENCE, der.write(der.OID, der.oid_content("1.3.101.112")))


class FileSigner:
    """Signs with a private key held in memory; `create` and `load` are its ways to and from a file."""

    def __init__(self, key: PrivateKey) -> None:
        self._key = key
        self._public_key_der = key.public_key().public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)

    @classmethod
    def create(cls, path: Path, kind: str = DEFAULT_KEY_KIND) -> "FileSigner":
        """A new key of one of KEY_KINDS, written as unencrypted PKCS 8 to a new file of mode 0600.

        Raises KeyFileExists rather than overwrite anything, a dangling link included; OSError where the folder
        cannot be written.
        """
        try:
            descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600)
        except FileExistsError as fault:
            raise KeyFileExists(f"{path} exists and is not overwritten") from fault
        try:
            with os.fdopen(descriptor, "wb") as file:
                signer = cls(KEY_KINDS[kind]())
                file.write(signer._key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()))
                file.flush()
                os.fsync(file.fileno())
        except BaseException:
            path.unlink(missing_ok=True)  # half a key is no key
            raise
        return signer

    @classmethod
    def load(cls, path: Path) -> "FileSigner":
        """The key in a PEM file. Raises KeyFileUnreadable; OSError where there is no such file."""
        with path.open("rb") as file:
            content = file.read(KEY_FILE_MAX_BYTES + 1)
        try:
            key = load_pem_private_key(content, password=None)
        except (ValueError, TypeError, UnsupportedAlgorithm) as fault:
            raise KeyFileUnreadable(f"{path} holds no private key that can be read without a password") from fault
        if not isinstance(key, ec.EllipticCurvePrivateKey | rsa.RSAPrivateKey | ed25519.Ed25519PrivateKey):
            raise KeyFileUnreadable(f"{path} holds a key of a kind that signs no certificates here")
        return cls(key)

    @property
    def public_key_der(self) -> bytes:
        return self._public_key_der

    @property
    def algorithm_der(self) -> bytes:
        if isinstance(self._key, rsa.RSAPrivateKey):
            return _SHA256_WITH_RSA
        if isinstance(self._key, ed25519.Ed25519PrivateKey):
            return _ED25519
        return _ECDSA_SHA384 if self._key.key_size > 256 else _ECDSA_SHA256

    def sign(self, message: bytes) -> bytes:
        if isinstance(self._key, rsa.RSAPrivateKey):
            return self._key.sign(message, padding.PKCS1v15(), hashes.SHA256())
        if isinstance(self._key, ed25519.Ed25519PrivateKey):
            return self._key.sign(message)
        digest = hashes.SHA384() if self._key.key_size > 256 else hashes.SHA256()
        return self._key.sign(message, ec.ECDSA(digest))
