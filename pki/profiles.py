"""What a certificate of each purpose contains, besides its names and key."""

from dataclasses import dataclass

from cryptography import x509
from cryptography.x509.oid import ExtendedKeyUsageOID


@dataclass(frozen=True, slots=True, kw_only=True)
class Profile:
    """The extensions of one purpose. Basic constraints and key usage are critical, as RFC 5280 4.2.1 asks."""

    purpose: str  # for messages: authority, device, server
    is_ca: bool
    path_length: int | None = None
    key_usage: frozenset[str] = frozenset({"digital_signature"})  # as cryptography spells them
    purposes: tuple[x509.ObjectIdentifier, ...] = ()
    wants_alternative_names: bool = False  # refused without


AUTHORITY = Profile(purpose="authority", is_ca=True, key_usage=frozenset({"key_cert_sign", "crl_sign"}))
DEVICE = Profile(purpose="device", is_ca=False, purposes=(ExtendedKeyUsageOID.CLIENT_AUTH,))
SERVER = Profile(
    purpose="server", is_ca=False, purposes=(ExtendedKeyUsageOID.SERVER_AUTH,), wants_alternative_names=True
)
