"""What makes a port secure, and what is told of the handshakes at it."""

import logging
from dataclasses import dataclass

from OpenSSL import SSL

from adapters.edge import engine
from adapters.edge.engine import Connection
from adapters.edge.gate import Inquiry
from adapters.edge.peer import Address, Peer
from adapters.edge.ports import HandshakeWitness, Judge, KeyFinder
from adapters.edge.tls import TlsContexts, Transport
from kernel.log import fields

log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True, kw_only=True)
class Security:
    """One port's policy: who judges, who is told, and when a handshake fails."""

    contexts: TlsContexts
    judge: Judge
    witness: HandshakeWitness
    certificate_required: bool = False
    refuse_in_handshake: bool = False  # every refusal ends the handshake, not only the fatal ones
    find_key: KeyFinder | None = None  # of whoever has a pre-shared key instead of a certificate; over DTLS only

    def context(self, transport: Transport) -> SSL.Context:
        """The context for the next handshake."""
        return self.contexts.context(transport, certificate_required=self.certificate_required)

    def inquiry(self, address: Address) -> Inquiry:
        """The question of trust for a peer that just came."""
        return Inquiry(
            address=address,
            judge=self.judge,
            refuse_in_handshake=self.refuse_in_handshake,
            find_key=self.find_key,
        )

    def tell_failed(self, address: Address, reason: str) -> None:
        """The handshake did not end. A fault of the witness is logged and goes no further."""
        try:
            self.witness.failed(address, reason)
        except Exception:
            log.exception("witness.failed", extra=fields(remote=str(address)))

    def tell_broken(self, inquiry: Inquiry, word: str, detail: str) -> None:
        """OpenSSL ended the handshake: because the peer's chain was refused, or for the reason given."""
        if inquiry.is_refused and inquiry.verdict is not None:
            try:
                self.witness.refused(inquiry.address, inquiry.chain_der, inquiry.server_name, inquiry.verdict)
            except Exception:
                log.exception("witness.failed", extra=fields(remote=str(inquiry.address)))
            return
        log.debug("handshake.broken", extra=fields(remote=str(inquiry.address), reason=word, detail=detail))
        self.tell_failed(inquiry.address, "internal" if inquiry.is_defect else word)


def peer_of(connection: Connection, inquiry: Inquiry, *, handshake_s: float) -> Peer:
    """The peer at the other end of a finished handshake."""
    return Peer(
        address=inquiry.address,
        certificate=inquiry.certificate(),
        key=inquiry.key,
        server_name=inquiry.server_name or engine.server_name(connection),
        tls_version=engine.version_name(connection),
        cipher=engine.cipher_name(connection),
        handshake_ms=handshake_s * 1000,
    )
