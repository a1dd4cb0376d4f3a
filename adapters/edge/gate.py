"""The question of trust inside a handshake: the verify callback of every context.

OpenSSL asks once per certificate and per doubt; the peer's chain is judged at the first question and the
answer repeated. A handshake fails here for a fatal verdict, for any refusal where the listener says so, and
for a defect of our own. Every other refusal travels on with the peer (hono-registry 4.8).

Handshakes are advanced one at a time on the loop's thread, so the one in hand needs no table to be found.
"""

import logging
from dataclasses import dataclass, field, replace
from typing import Any

from OpenSSL import SSL

from adapters.edge import engine
from adapters.edge.engine import FFI, LIB, Connection, Outcome
from adapters.edge.peer import Address, PeerCertificate, PeerKey
from adapters.edge.ports import Judge, KeyFinder
from kernel.log import fields
from pki.errors import ChainTooLarge
from tenant.trust import TrustVerdict

log = logging.getLogger(__name__)

# The alert a peer reads follows from OpenSSL's verify error (RFC 8446 6.2); others become bad_certificate.
_ERROR_OF_REFUSAL: dict[str, int] = {
    "certificate-expired": LIB.X509_V_ERR_CERT_HAS_EXPIRED,  # certificate_expired
    "certificate-not-yet-valid": LIB.X509_V_ERR_CERT_NOT_YET_VALID,  # bad_certificate
    "untrusted-issuer": LIB.X509_V_ERR_UNABLE_TO_GET_ISSUER_CERT_LOCALLY,  # unknown_ca
    "path-incomplete": LIB.X509_V_ERR_UNABLE_TO_GET_ISSUER_CERT_LOCALLY,
    "tenant-ambiguous": LIB.X509_V_ERR_UNABLE_TO_GET_ISSUER_CERT_LOCALLY,
    "no-valid-anchor": LIB.X509_V_ERR_UNABLE_TO_GET_ISSUER_CERT_LOCALLY,
    "anchor-not-valid-now": LIB.X509_V_ERR_UNABLE_TO_GET_ISSUER_CERT_LOCALLY,
    "issuer-not-ca": LIB.X509_V_ERR_INVALID_CA,  # unknown_ca
    "key-usage-forbids": LIB.X509_V_ERR_INVALID_PURPOSE,  # unsupported_certificate
    "extended-key-usage-forbids": LIB.X509_V_ERR_INVALID_PURPOSE,
}
_OTHER_ERROR: int = LIB.X509_V_ERR_CERT_REJECTED  # bad_certificate
_DEFECT_ERROR: int = LIB.X509_V_ERR_OUT_OF_MEM  # internal_error


@dataclass(slots=True, kw_only=True, eq=False)
class Inquiry:
    """One handshake's question of trust, and the answer once it is known."""

    address: Address
    judge: Judge
    refuse_in_handshake: bool
    find_key: KeyFinder | None = None  # None: no pre-shared keys here
    key: PeerKey | None = None  # whose key the handshake goes on with
    server_name: str | None = None
    chain_der: list[bytes] = field(default_factory=list)
    verdict: TrustVerdict | None = None
    error: int | None = None  # OpenSSL's verify error; None until asked, 0 to let the handshake go on

    @property
    def is_refused(self) -> bool:
        """The handshake fails because of what was presented, not because of a defect."""
        return self.error not in (None, 0, _DEFECT_ERROR)

    @property
    def is_defect(self) -> bool:
        return self.error == _DEFECT_ERROR

    def certificate(self) -> PeerCertificate | None:
        """What the finished handshake proved; None where the peer showed no certificate."""
        if self.verdict is None:
            return None
        return PeerCertificate(chain_der=tuple(self.chain_der), verdict=self.verdict)


class TrustGate:
    """Advances handshakes, and answers OpenSSL's questions about the peer's certificates on the way."""

    def __init__(self, *, chain_max_certificates: int, chain_max_bytes: int) -> None:
        self._chain_max_certificates = chain_max_certificates
        self._chain_max_bytes = chain_max_bytes
        self._inquiry: Inquiry | None = None
        self._connection: Connection | None = None
        self._callback = FFI.callback("int(int, X509_STORE_CTX *)", self._verify, error=0)
        self._key_callback = FFI.callback(
            "unsigned int(SSL *, const char *, unsigned char *, unsigned int)", self._put_key, error=0
        )

    def guard(self, context: SSL.Context, *, certificate_required: bool) -> None:
        """Make the context ask every peer for a certificate and bring the answer here."""
        mode = SSL.VERIFY_PEER | (SSL.VERIFY_FAIL_IF_NO_PEER_CERT if certificate_required else 0)
        LIB.SSL_CTX_set_verify(context._context, mode, self._callback)
        # Where the callback lets a refusal go on, OpenSSL verifies every signature of the path it has built, each
        # with a key the stranger chose (RSA of 16,384 bits: 4 ms each). With depth 0 its path ends at the leaf; the
        # judge reads the certificates as sent, and needs a longer path only where these cannot be reached.
        context.set_verify_depth(0 if engine.reaches_presented() else self._chain_max_certificates)

    def take_keys(self, context: SSL.Context) -> None:
        """Make the context ask here for the pre-shared key of whoever names one."""
        LIB.SSL_CTX_set_psk_server_callback(context._context, self._key_callback)

    def advance(self, connection: Connection, inquiry: Inquiry) -> Outcome:
        """Take the handshake as far as the bytes at hand allow. BROKEN: `engine.failure_word` tells why."""
        engine.forget_errors()
        self._inquiry, self._connection = inquiry, connection
        try:
            return engine.outcome_of(connection, LIB.SSL_do_handshake(connection._ssl))
        finally:
            self._inquiry = self._connection = None

    def _verify(self, _ok: int, store_context: Any) -> int:
        inquiry = self._inquiry
        if inquiry is None:
            return 0
        if inquiry.error is None:
            try:
                inquiry.error = self._ask(inquiry, store_context)
            except Exception:
                log.exception("handshake.judge-failed", extra=fields(remote=str(inquiry.address)))
                inquiry.error = _DEFECT_ERROR
        LIB.X509_STORE_CTX_set_error(store_context, inquiry.error)
        return 1 if inquiry.error == 0 else 0

    def _put_key(self, _ssl: Any, identity: Any, buffer: Any, buffer_bytes: int) -> int:
        """The key's length, 0 where the handshake is to fail."""
        inquiry = self._inquiry
        if inquiry is None or inquiry.find_key is None or identity == FFI.NULL:
            return 0
        try:
            found = inquiry.find_key(FFI.string(identity).decode(errors="replace"), inquiry.address)
        except Exception:
            log.exception("handshake.key-failed", extra=fields(remote=str(inquiry.address)))
            return 0
        if found is None or not 0 < len(found.key) <= buffer_bytes:
            return 0
        inquiry.key = found.whose
        FFI.memmove(buffer, found.key, len(found.key))
        return len(found.key)

    def _ask(self, inquiry: Inquiry, store_context: Any) -> int:
        if self._connection is not None:
            inquiry.server_name = engine.server_name(self._connection)
        # One more than allowed, so that the judge sees that there are too many.
        chain = engine.presented_chain(store_context, certificates_max=self._chain_max_certificates + 1)
        verdict = self._bounded(inquiry.judge(chain, inquiry.server_name, inquiry.address), chain)
        inquiry.chain_der = chain[: self._chain_max_certificates]
        inquiry.verdict = verdict
        if verdict.refusal is None or not (verdict.fatal or inquiry.refuse_in_handshake):
            return 0
        return _ERROR_OF_REFUSAL.get(verdict.refusal.code, _OTHER_ERROR)

    def _bounded(self, verdict: TrustVerdict, chain: list[bytes]) -> TrustVerdict:
        """A chain beyond the limits is never accepted, whatever the judge made of it."""
        size = sum(map(len, chain))
        if verdict.refusal is not None:
            return verdict
        if len(chain) > self._chain_max_certificates:
            fault = ChainTooLarge(f"more than {self._chain_max_certificates} certificates presented")
        elif size > self._chain_max_bytes:
            fault = ChainTooLarge(f"{size} bytes of certificates presented, more than {self._chain_max_bytes}")
        else:
            return verdict
        return replace(verdict, anchor=None, refusal=fault, fatal=False)
