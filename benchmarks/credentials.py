"""The CA, the server's certificate and the devices' that every server under measurement is given: EC P-256.

All of it is made before the clock starts: a device on the load's side costs a handshake and nothing else.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from ipaddress import IPv4Address
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID
from OpenSSL import crypto

HOST = "127.0.0.1"
SERVER_NAME = "localhost"


@dataclass(frozen=True, slots=True, kw_only=True)
class Files:
    """What a server is configured with."""

    ca: Path
    certificate: Path
    key: Path


@dataclass(frozen=True, slots=True)
class Device:
    """A name, and what proves it, as the load's OpenSSL wants them."""

    name: str
    certificate: crypto.X509
    key: crypto.PKey


class Authority:
    """One CA for everyone; a new one for each run."""

    def __init__(self) -> None:
        self._key = ec.generate_private_key(ec.SECP256R1())
        self._name = _name("Benchmark CA")
        self._from = datetime.now(UTC) - timedelta(hours=1)
        self._devices = 0
        self._certificate = (
            self._builder(self._name, self._key.public_key())
            .add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
            .add_extension(_usage(signs_certificates=True), critical=True)
            .sign(self._key, hashes.SHA256())
        )

    def write_server_files(self, folder: Path) -> Files:
        """ca.pem, server.pem and server.key."""
        key = ec.generate_private_key(ec.SECP256R1())
        names = x509.SubjectAlternativeName([x509.DNSName(SERVER_NAME), x509.IPAddress(IPv4Address(HOST))])
        certificate = self._leaf(SERVER_NAME, key, ExtendedKeyUsageOID.SERVER_AUTH, names)
        files = Files(ca=folder / "ca.pem", certificate=folder / "server.pem", key=folder / "server.key")
        files.ca.write_bytes(self._certificate.public_bytes(Encoding.PEM))
        files.certificate.write_bytes(certificate.public_bytes(Encoding.PEM))
        files.key.touch(mode=0o600)
        files.key.write_bytes(key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()))
        return files

    def issue_devices(self, count: int) -> Sequence[Device]:
        """That many devices nobody has seen, each with a key of its own."""
        return [self._issue_device() for _ in range(count)]

    def _issue_device(self) -> Device:
        self._devices += 1
        name = f"device-{self._devices:06}"
        key = ec.generate_private_key(ec.SECP256R1())
        certificate = self._leaf(name, key, ExtendedKeyUsageOID.CLIENT_AUTH, None)
        return Device(name, crypto.X509.from_cryptography(certificate), _as_pkey(key))

    def _leaf(
        self,
        name: str,
        key: ec.EllipticCurvePrivateKey,
        purpose: x509.ObjectIdentifier,
        names: x509.ExtensionType | None,
    ) -> x509.Certificate:
        builder = (
            self._builder(_name(name), key.public_key())
            .add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
            .add_extension(_usage(signs_certificates=False), critical=True)
            .add_extension(x509.ExtendedKeyUsage([purpose]), critical=False)
        )
        if names is not None:
            builder = builder.add_extension(names, critical=False)
        return builder.sign(self._key, hashes.SHA256())

    def _builder(self, subject: x509.Name, key: ec.EllipticCurvePublicKey) -> x509.CertificateBuilder:
        return (
            x509.CertificateBuilder()
            .subject_name(subject)
            .issuer_name(self._name)
            .public_key(key)
            .serial_number(x509.random_serial_number())
            .not_valid_before(self._from)
            .not_valid_after(self._from + timedelta(days=2))
            .add_extension(x509.SubjectKeyIdentifier.from_public_key(key), critical=False)
            .add_extension(x509.AuthorityKeyIdentifier.from_issuer_public_key(self._key.public_key()), critical=False)
        )


def _as_pkey(key: ec.EllipticCurvePrivateKey) -> crypto.PKey:
    return crypto.PKey.from_cryptography_key(key)  # its annotation forgot EC


def _name(common_name: str) -> x509.Name:
    return x509.Name(
        [
            x509.NameAttribute(NameOID.ORGANIZATION_NAME, "Tuhono Benchmark"),
            x509.NameAttribute(NameOID.COMMON_NAME, common_name),
        ]
    )


def _usage(*, signs_certificates: bool) -> x509.KeyUsage:
    return x509.KeyUsage(
        digital_signature=not signs_certificates,
        content_commitment=False,
        key_encipherment=False,
        data_encipherment=False,
        key_agreement=False,
        key_cert_sign=signs_certificates,
        crl_sign=signs_certificates,
        encipher_only=False,
        decipher_only=False,
    )
