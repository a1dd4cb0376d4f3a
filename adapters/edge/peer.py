"""Who is at the other end of a connection, as far as the handshake can tell."""

from dataclasses import dataclass, field

from kernel.ids import AuthId, TenantId
from tenant.trust import TrustVerdict


@dataclass(frozen=True, slots=True, kw_only=True)
class Address:
    """Where a peer sends from."""

    host: str
    port: int

    def __str__(self) -> str:
        return f"[{self.host}]:{self.port}" if ":" in self.host else f"{self.host}:{self.port}"


@dataclass(frozen=True, slots=True, kw_only=True)
class PeerCertificate:
    """The chain a peer proved to own, leaf first, and what was made of it during the handshake."""

    chain_der: tuple[bytes, ...]
    verdict: TrustVerdict


@dataclass(frozen=True, slots=True, kw_only=True)
class PeerKey:
    """Whose pre-shared key a peer proved to hold. `proof` tells that key from any other (registry.standing)."""

    tenant_id: TenantId
    auth_id: AuthId
    proof: str


@dataclass(frozen=True, slots=True, kw_only=True)
class FoundKey:
    """A pre-shared key on record, for a handshake that is to prove it."""

    key: bytes = field(repr=False)
    whose: PeerKey


@dataclass(frozen=True, slots=True, kw_only=True)
class Peer:
    """A peer after its handshake; on a plain listener there is no certificate, name or cipher."""

    address: Address
    certificate: PeerCertificate | None = None
    key: PeerKey | None = None
    server_name: str | None = None  # SNI
    tls_version: str | None = None
    cipher: str | None = None
    handshake_ms: float = 0.0
