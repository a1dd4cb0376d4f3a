"""The server's own certificate and key: read from files, checked, and watched for a change."""

from dataclasses import dataclass
from pathlib import Path

from cryptography import x509
from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives.asymmetric import dsa, ec, ed448, ed25519, rsa
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat, load_pem_private_key

from adapters.edge.errors import CertificateFilesInvalid

PrivateKey = (
    rsa.RSAPrivateKey
    | ec.EllipticCurvePrivateKey
    | ed25519.Ed25519PrivateKey
    | ed448.Ed448PrivateKey
    | dsa.DSAPrivateKey
)
FileStamp = tuple[int, int, int, int]


@dataclass(frozen=True, slots=True, kw_only=True)
class Identity:
    """A certificate with its intermediates, and the key that belongs to it."""

    leaf: x509.Certificate
    intermediates: tuple[x509.Certificate, ...]
    key: PrivateKey


class IdentityFiles:
    """The two PEM files of the server's identity."""

    def __init__(self, *, certificate_file: Path, key_file: Path) -> None:
        self.certificate_file = certificate_file
        self.key_file = key_file

    def read(self) -> Identity:
        """Raises CertificateFilesInvalid, naming the file, for anything that could not serve a handshake."""
        leaf, *intermediates = self._certificates()
        key = self._key()
        if _public_der(key.public_key()) != self._certified_key(leaf):
            raise CertificateFilesInvalid(
                f"{self.key_file} is not the key of the certificate in {self.certificate_file}"
            )
        return Identity(leaf=leaf, intermediates=tuple(intermediates), key=key)

    def stamp(self) -> tuple[FileStamp, FileStamp] | None:
        """Changes whenever either file does; None while one of them is not there."""
        try:
            return _stamp(self.certificate_file), _stamp(self.key_file)
        except OSError:
            return None

    def _certificates(self) -> list[x509.Certificate]:
        try:
            return x509.load_pem_x509_certificates(self.certificate_file.read_bytes())
        except OSError as fault:
            raise CertificateFilesInvalid(f"{self.certificate_file}: {fault.strerror}") from fault
        except (ValueError, UnsupportedAlgorithm, x509.InvalidVersion) as fault:
            raise CertificateFilesInvalid(f"{self.certificate_file} holds no usable PEM certificate") from fault

    def _certified_key(self, leaf: x509.Certificate) -> bytes:
        try:
            return _public_der(leaf.public_key())
        except (ValueError, UnsupportedAlgorithm) as fault:
            raise CertificateFilesInvalid(f"{self.certificate_file} certifies a key of an unknown kind") from fault

    def _key(self) -> PrivateKey:
        try:
            key = load_pem_private_key(self.key_file.read_bytes(), password=None)
        except OSError as fault:
            raise CertificateFilesInvalid(f"{self.key_file}: {fault.strerror}") from fault
        except TypeError as fault:
            raise CertificateFilesInvalid(
                f"{self.key_file} is encrypted; a key without passphrase is needed"
            ) from fault
        except (ValueError, UnsupportedAlgorithm) as fault:
            raise CertificateFilesInvalid(f"{self.key_file} holds no usable PEM private key") from fault
        if not isinstance(key, (rsa.RSAPrivateKey, ec.EllipticCurvePrivateKey, ed25519.Ed25519PrivateKey)):
            raise CertificateFilesInvalid(f"{self.key_file}: only RSA, EC and Ed25519 keys can serve")
        return key


def _public_der(key: object) -> bytes:
    der: bytes = key.public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)  # type: ignore[attr-defined]
    return der


def _stamp(file: Path) -> FileStamp:
    status = file.stat()
    return status.st_mtime_ns, status.st_size, status.st_ino, status.st_dev
