"""A parsed certificate, cached by SHA-256 of its DER."""

from dataclasses import dataclass
from datetime import datetime


@dataclass(frozen=True, slots=True, kw_only=True)
class Certificate:
    """What the rest of the code reads of an X.509 certificate."""

    der: bytes
    fingerprint_hex: str  # SHA-256 of the DER, lower case
    subject_dn: str  # RFC 2253 as hono-registry 4.5 spells it
    issuer_dn: str
    serial_hex: str  # lower case, no leading zeros, no sign
    not_before: datetime
    not_after: datetime
    public_key_der: bytes
    key_type: str  # RSA, EC, Ed25519, …
    key_bits: int
    signature_algorithm: str
    is_ca: bool
    san_dns: tuple[str, ...]
    san_uris: tuple[str, ...]


def parse_certificate(der: bytes) -> Certificate:
    """Raises CertificateUnreadable or NameUnreadable."""
    raise NotImplementedError
