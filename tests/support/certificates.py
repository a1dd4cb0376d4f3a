"""Makes CAs, intermediates and leaves of any shape in memory, for every test that needs a certificate.

    ca = make_ca("CN=Test CA,O=Tuhono")
    device = ca.issue("CN=dev1,O=x")
    paths = device.write(tmp_path, "dev1")      # dev1.pem (leaf and intermediates), dev1.key, dev1-chain.pem

Everything is valid from 2020 to 2040 unless told otherwise. EC and Ed25519 keys are new each time (20 µs);
RSA keys are taken from a few made once a process, so pass `key=new_key("rsa2048")` where two must differ.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import cache
from ipaddress import ip_address
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat, PublicFormat
from cryptography.x509.oid import ExtendedKeyUsageOID

PrivateKey = ec.EllipticCurvePrivateKey | rsa.RSAPrivateKey | ed25519.Ed25519PrivateKey
Extensions = Sequence[tuple[x509.ExtensionType, bool]]

NOT_BEFORE = datetime(2020, 1, 1, tzinfo=UTC)
NOT_AFTER = datetime(2040, 1, 1, tzinfo=UTC)
NOON = datetime(2026, 1, 1, 12, tzinfo=UTC)  # a moment inside every default validity

USAGES = {
    "digitalSignature": "digital_signature",
    "nonRepudiation": "content_commitment",
    "keyEncipherment": "key_encipherment",
    "dataEncipherment": "data_encipherment",
    "keyAgreement": "key_agreement",
    "keyCertSign": "key_cert_sign",
    "cRLSign": "crl_sign",
}
PURPOSES = {
    "clientAuth": ExtendedKeyUsageOID.CLIENT_AUTH,
    "serverAuth": ExtendedKeyUsageOID.SERVER_AUTH,
    "codeSigning": ExtendedKeyUsageOID.CODE_SIGNING,
    "anyExtendedKeyUsage": ExtendedKeyUsageOID.ANY_EXTENDED_KEY_USAGE,
}


def new_key(kind: str = "ec256") -> PrivateKey:
    """A key nobody else has: ec256, ec384, ed25519, rsa1024, rsa2048, rsa3072 …"""
    if kind == "ec256":
        return ec.generate_private_key(ec.SECP256R1())
    if kind == "ec384":
        return ec.generate_private_key(ec.SECP384R1())
    if kind == "ed25519":
        return ed25519.Ed25519PrivateKey.generate()
    return rsa.generate_private_key(public_exponent=65537, key_size=int(kind.removeprefix("rsa")))


@cache
def _kept_rsa_key(kind: str, role: str) -> PrivateKey:
    return new_key(kind)


def _key(asked: str | PrivateKey, role: str) -> PrivateKey:
    if not isinstance(asked, str):
        return asked
    return _kept_rsa_key(asked, role) if asked.startswith("rsa") else new_key(asked)


@dataclass(frozen=True, slots=True, kw_only=True)
class Paths:
    """The files `write` made."""

    certificate: Path  # the certificate, then the intermediates above it
    key: Path  # PKCS 8, unencrypted
    chain: Path  # the intermediates only; empty for a certificate directly below its root


@dataclass(frozen=True, slots=True, kw_only=True)
class Issued:
    """A certificate, its private key, and what a peer would send along."""

    certificate: x509.Certificate
    key: PrivateKey
    intermediates: tuple["Issued", ...] = ()  # nearest issuer first, without the self-signed root

    @property
    def der(self) -> bytes:
        return self.certificate.public_bytes(Encoding.DER)

    @property
    def pem(self) -> bytes:
        return self.certificate.public_bytes(Encoding.PEM)

    @property
    def key_pem(self) -> bytes:
        return self.key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())

    @property
    def public_key_der(self) -> bytes:
        return self.key.public_key().public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)

    @property
    def chain_der(self) -> tuple[bytes, ...]:
        """What a peer presents: this certificate, then the intermediates."""
        return (self.der, *(above.der for above in self.intermediates))

    def issue(
        self,
        subject: str | x509.Name,
        *,
        key: str | PrivateKey = "ec256",
        ca: bool | None = None,
        path_length: int | None = None,
        key_usage: Sequence[str] | None = None,
        eku: Sequence[str] | None = None,
        san: Sequence[str] = (),
        serial: int | None = None,
        not_before: datetime = NOT_BEFORE,
        not_after: datetime = NOT_AFTER,
        extensions: Extensions = (),
        digest: hashes.HashAlgorithm | None = None,
    ) -> "Issued":
        """Sign a certificate.

        `ca` writes basicConstraints (None: no such extension); `key_usage` and `eku` take the names of RFC 5280;
        `san` takes `dns:…`, `uri:…`, `email:…`, `ip:…`; `extensions` adds any other with its critical flag.
        """
        private_key = _key(key, "leaf")
        name = _name(subject)
        certificate = _sign(
            subject=name,
            issuer=self.certificate.subject,
            public_key=private_key,
            signed_by=self.key,
            serial=serial,
            not_before=not_before,
            not_after=not_after,
            extensions=[*_extensions(ca, path_length, key_usage, eku, san), *extensions],
            digest=digest,
        )
        is_root = self.certificate.subject == self.certificate.issuer
        above = self.intermediates if is_root else (self, *self.intermediates)
        return Issued(certificate=certificate, key=private_key, intermediates=above)

    def issue_ca(
        self,
        subject: str | x509.Name,
        *,
        key: str | PrivateKey = "ec256",
        path_length: int | None = None,
        key_usage: Sequence[str] | None = ("keyCertSign", "cRLSign"),
        eku: Sequence[str] | None = None,
        not_before: datetime = NOT_BEFORE,
        not_after: datetime = NOT_AFTER,
        extensions: Extensions = (),
        digest: hashes.HashAlgorithm | None = None,
    ) -> "Issued":
        """An intermediate CA."""
        return self.issue(
            subject,
            key=key,
            ca=True,
            path_length=path_length,
            key_usage=key_usage,
            eku=eku,
            not_before=not_before,
            not_after=not_after,
            extensions=extensions,
            digest=digest,
        )

    def write(self, folder: Path, stem: str) -> Paths:
        """Write STEM.pem, STEM.key and STEM-chain.pem into the folder."""
        paths = Paths(
            certificate=folder / f"{stem}.pem", key=folder / f"{stem}.key", chain=folder / f"{stem}-chain.pem"
        )
        chain = b"".join(above.pem for above in self.intermediates)
        paths.certificate.write_bytes(self.pem + chain)
        paths.key.write_bytes(self.key_pem)
        paths.chain.write_bytes(chain)
        return paths


def make_ca(
    name: str | x509.Name = "CN=Test CA,O=Tuhono",
    *,
    key: str | PrivateKey = "ec256",
    ca: bool | None = True,
    path_length: int | None = None,
    key_usage: Sequence[str] | None = ("keyCertSign", "cRLSign"),
    eku: Sequence[str] | None = None,
    not_before: datetime = NOT_BEFORE,
    not_after: datetime = NOT_AFTER,
    extensions: Extensions = (),
    digest: hashes.HashAlgorithm | None = None,
) -> Issued:
    """A self-signed CA."""
    private_key = _key(key, "ca")
    subject = _name(name)
    certificate = _sign(
        subject=subject,
        issuer=subject,
        public_key=private_key,
        signed_by=private_key,
        serial=None,
        not_before=not_before,
        not_after=not_after,
        extensions=[*_extensions(ca, path_length, key_usage, eku, ()), *extensions],
        digest=digest,
    )
    return Issued(certificate=certificate, key=private_key)


def make_self_signed(
    subject: str | x509.Name = "CN=device,O=Tuhono",
    *,
    key: str | PrivateKey = "ec256",
    ca: bool | None = None,
    not_before: datetime = NOT_BEFORE,
    not_after: datetime = NOT_AFTER,
    eku: Sequence[str] | None = None,
    extensions: Extensions = (),
) -> Issued:
    """A device certificate signed with its own key, without CA flag unless asked for."""
    return make_ca(
        subject,
        key=key,
        ca=ca,
        key_usage=None,
        eku=eku,
        not_before=not_before,
        not_after=not_after,
        extensions=extensions,
    )


def make_server(ca: Issued, *names: str) -> Issued:
    """A server certificate for DNS names and addresses; by default for localhost."""
    wanted = names or ("localhost", "127.0.0.1", "::1")
    return ca.issue(
        f"CN={wanted[0]}",
        key_usage=("digitalSignature",),
        eku=("serverAuth",),
        san=[_alternative(name) for name in wanted],
    )


def _alternative(name: str) -> str:
    try:
        ip_address(name)
    except ValueError:
        return f"dns:{name}"
    return f"ip:{name}"


def _name(name: str | x509.Name) -> x509.Name:
    return x509.Name.from_rfc4514_string(name) if isinstance(name, str) else name


def _extensions(
    ca: bool | None,
    path_length: int | None,
    key_usage: Sequence[str] | None,
    eku: Sequence[str] | None,
    san: Sequence[str],
) -> list[tuple[x509.ExtensionType, bool]]:
    made: list[tuple[x509.ExtensionType, bool]] = []
    if ca is not None:
        made.append((x509.BasicConstraints(ca=ca, path_length=path_length), True))
    if key_usage is not None:
        flags = {member: usage in key_usage for usage, member in USAGES.items()}
        made.append((x509.KeyUsage(**flags, encipher_only=False, decipher_only=False), True))
    if eku is not None:
        purposes = [PURPOSES.get(purpose) or x509.ObjectIdentifier(purpose) for purpose in eku]
        made.append((x509.ExtendedKeyUsage(purposes), False))
    if san:
        made.append((x509.SubjectAlternativeName([general_name(entry) for entry in san]), False))
    return made


def general_name(entry: str) -> x509.GeneralName:
    """A general name from `dns:…`, `uri:…`, `email:…`, `ip:…`."""
    kind, _, text = entry.partition(":")
    if kind == "dns":
        return x509.DNSName(text)
    if kind == "uri":
        return x509.UniformResourceIdentifier(text)
    if kind == "email":
        return x509.RFC822Name(text)
    return x509.IPAddress(ip_address(text))


def _sign(
    *,
    subject: x509.Name,
    issuer: x509.Name,
    public_key: PrivateKey,
    signed_by: PrivateKey,
    serial: int | None,
    not_before: datetime,
    not_after: datetime,
    extensions: Extensions,
    digest: hashes.HashAlgorithm | None,
) -> x509.Certificate:
    builder = (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(issuer)
        .public_key(public_key.public_key())
        .serial_number(serial if serial is not None else x509.random_serial_number())
        .not_valid_before(not_before)
        .not_valid_after(not_after)
    )
    for extension, critical in extensions:
        builder = builder.add_extension(extension, critical=critical)
    if isinstance(signed_by, ed25519.Ed25519PrivateKey):
        return builder.sign(signed_by, None)
    algorithm = digest or hashes.SHA256()
    return builder.sign(signed_by, algorithm)  # type: ignore[arg-type]
