"""The server's TLS and DTLS contexts: what is offered to peers, and the exchange of certificates at run time.

A context is made from the identity in hand when a listener first asks for its kind. A reload reads the
files anew and starts over; connections keep the context they began with. A context asks every peer for a
certificate, names no acceptable issuers, and never resumes: a resumed session skips the judgement.
"""

import asyncio
import logging
from enum import Enum
from pathlib import Path
from typing import Any

from OpenSSL import SSL, crypto

from adapters.edge import engine
from adapters.edge.cookies import Cookies
from adapters.edge.engine import FFI, LIB
from adapters.edge.errors import CertificateFilesInvalid
from adapters.edge.gate import TrustGate
from adapters.edge.identity import Identity, IdentityFiles
from conf.edge import EdgeSettings
from kernel.clock import Clock
from kernel.log import fields

log = logging.getLogger(__name__)

# Forward secrecy and authenticated encryption only. AES-128 first: no device gains from the longer key.
_TLS12_CIPHERS = (
    "ECDHE-ECDSA-AES128-GCM-SHA256:ECDHE-RSA-AES128-GCM-SHA256:ECDHE-ECDSA-AES256-GCM-SHA384:"
    "ECDHE-RSA-AES256-GCM-SHA384:ECDHE-ECDSA-CHACHA20-POLY1305:ECDHE-RSA-CHACHA20-POLY1305:"
    "ECDHE-ECDSA-AES128-CCM:ECDHE-ECDSA-AES256-CCM"
)
_TLS13_CIPHERS = "TLS_AES_128_GCM_SHA256:TLS_AES_256_GCM_SHA384:TLS_CHACHA20_POLY1305_SHA256:TLS_AES_128_CCM_SHA256"
# RFC 7252 9.1.3.3 makes CCM_8 the one suite every CoAP device has. OpenSSL counts its short tag as level 0.
# Pre-shared keys come last: who has a certificate as well is to show it.
_PSK_CIPHERS = (
    "ECDHE-PSK-CHACHA20-POLY1305:PSK-AES128-GCM-SHA256:PSK-AES256-GCM-SHA384:PSK-CHACHA20-POLY1305:PSK-AES128-CCM:"
    "PSK-AES256-CCM:PSK-AES128-CCM8:PSK-AES256-CCM8"
)
_DTLS_CIPHERS = (
    f"{_TLS12_CIPHERS}:ECDHE-ECDSA-AES128-CCM8:ECDHE-ECDSA-AES256-CCM8"
    f"{':' + _PSK_CIPHERS if engine.takes_keys() else ''}:@SECLEVEL=0"
)
# At level 0 SHA-1 would come back; the list shuts it out for both.
_SIGNATURES = (
    "ECDSA+SHA256:ECDSA+SHA384:ECDSA+SHA512:ed25519:ed448:"
    "rsa_pss_pss_sha256:rsa_pss_pss_sha384:rsa_pss_pss_sha512:RSA-PSS+SHA256:RSA-PSS+SHA384:RSA-PSS+SHA512:"
    "RSA+SHA256:RSA+SHA384:RSA+SHA512"
)
_DTLS_1_2 = 0xFEFD
_SESSION_CONTEXT = b"tuhono"  # OpenSSL refuses client certificates without one as soon as a session is offered
_VERSIONS = {"1.2": SSL.TLS1_2_VERSION, "1.3": SSL.TLS1_3_VERSION}


class Transport(Enum):
    """What a context is for."""

    STREAM = "tls"
    DATAGRAM = "dtls"


class TlsContexts:
    """Hands out the context of the moment to every listener.

    Raises CertificateFilesInvalid when made with files that cannot serve.
    """

    def __init__(self, *, settings: EdgeSettings, certificate_file: Path, key_file: Path, clock: Clock) -> None:
        self._settings = settings
        self._files = IdentityFiles(certificate_file=certificate_file, key_file=key_file)
        self._cookies = Cookies(clock=clock)
        self.gate = TrustGate(
            chain_max_certificates=settings.chain_max_certificates, chain_max_bytes=settings.chain_max_bytes
        )
        self._disable_tickets = FFI.callback("int(SSL *, int *, void *)", _disable_tickets, error=0)
        self._stamp = self._files.stamp()
        self._identity = self._files.read()
        self._contexts: dict[tuple[Transport, bool], SSL.Context] = {}
        try:
            self.context(Transport.STREAM, certificate_required=False)
        except (SSL.Error, crypto.Error, ValueError) as fault:
            raise CertificateFilesInvalid(f"{certificate_file} cannot serve: {fault}") from fault

    @property
    def identity(self) -> Identity:
        """What the next handshake will show."""
        return self._identity

    def context(self, transport: Transport, *, certificate_required: bool) -> SSL.Context:
        """The context for the next handshake; the same object until a reload."""
        kind = (transport, certificate_required)
        found = self._contexts.get(kind)
        if found is None:
            found = self._contexts[kind] = self._make(transport, self._identity, certificate_required)
        return found

    def reload(self) -> bool:
        """Read the files again and use them from the next handshake on. False: they are broken, the old ones stay."""
        self._stamp = self._files.stamp()
        try:
            identity = self._files.read()
            made = {kind: self._make(kind[0], identity, kind[1]) for kind in self._contexts}
        except (CertificateFilesInvalid, SSL.Error, crypto.Error) as fault:
            log.error("certificate.reload-failed", extra=fields(detail=str(fault)))
            return False
        except Exception as fault:  # whatever stands in a file, the certificate in use goes on serving
            log.exception("certificate.reload-failed", extra=fields(detail=repr(fault)))
            return False
        self._identity, self._contexts = identity, made
        log.info("certificate.reloaded", extra=_described(identity))
        return True

    def reload_if_changed(self) -> bool:
        """Reload once per change of either file. True: new files are in use."""
        stamp = self._files.stamp()
        if stamp is None or stamp == self._stamp:
            return False
        return self.reload()

    async def run(self) -> None:
        """Watch the files until cancelled."""
        while True:
            await asyncio.sleep(self._settings.reload_check_s)
            self.reload_if_changed()

    def _make(self, transport: Transport, identity: Identity, certificate_required: bool) -> SSL.Context:
        is_stream = transport is Transport.STREAM
        context = SSL.Context(SSL.TLS_SERVER_METHOD if is_stream else SSL.DTLS_SERVER_METHOD)
        _install(context, identity)
        context.set_options(SSL.OP_NO_COMPRESSION | SSL.OP_CIPHER_SERVER_PREFERENCE | LIB.SSL_OP_NO_RENEGOTIATION)
        context.set_mode(SSL.MODE_RELEASE_BUFFERS)
        context.set_session_cache_mode(SSL.SESS_CACHE_OFF)
        context.set_session_id(_SESSION_CONTEXT)
        context.set_cipher_list((_TLS12_CIPHERS if is_stream else _DTLS_CIPHERS).encode())
        _require(LIB.SSL_CTX_set1_sigalgs_list(context._context, _SIGNATURES.encode()), "signature algorithms")
        if is_stream:
            context.set_min_proto_version(_VERSIONS[self._settings.tls_version_min])
            context.set_tls13_ciphersuites(_TLS13_CIPHERS.encode())
            LIB.SSL_CTX_set_tlsext_servername_callback(context._context, self._disable_tickets)
        else:
            context.set_min_proto_version(_DTLS_1_2)
            context.set_options(SSL.OP_NO_QUERY_MTU | SSL.OP_NO_TICKET)
            if engine.takes_keys():
                self.gate.take_keys(context)
            context.set_cookie_generate_callback(self._cookie)
            context.set_cookie_verify_callback(self._accepts_cookie)
        self.gate.guard(context, certificate_required=certificate_required)
        return context

    def _cookie(self, connection: SSL.Connection) -> bytes:
        host, port = connection.get_app_data()
        return self._cookies.cookie_for(host, port)

    def _accepts_cookie(self, connection: SSL.Connection, cookie: bytes) -> bool:
        host, port = connection.get_app_data()
        return self._cookies.accepts(cookie, host, port)


def _described(identity: Identity) -> dict[str, object]:
    """For the log. A certificate can serve although its name cannot be shown."""
    leaf = identity.leaf
    try:
        return fields(subject=leaf.subject.rfc4514_string(), not_after=leaf.not_valid_after_utc)
    except Exception as fault:
        return fields(detail=f"its subject cannot be shown: {fault!r}")


def _install(context: Any, identity: Identity) -> None:
    context.use_certificate(identity.leaf)
    for intermediate in identity.intermediates:
        context.add_extra_chain_cert(intermediate)
    context.use_privatekey(identity.key)
    context.check_privatekey()


def _disable_tickets(ssl: Any, _alert: Any, _argument: Any) -> int:
    """Runs for each ClientHello, with or without SNI. TLS 1.3 would send two tickets whatever the context says:
    the binding lacks SSL_CTX_set_num_tickets, and OP_NO_TICKET on the context only makes them stateful. Set here,
    after they were planned, it cancels them. A ticket costs 155–215 µs per connect."""
    LIB.SSL_set_options(ssl, SSL.OP_NO_TICKET)
    return 0


def _require(result: int, what: str) -> None:
    if result != 1:
        raise RuntimeError(f"this OpenSSL does not know the {what} asked for")
