"""Reaches below pyOpenSSL, into the OpenSSL binding it stands on; gate.py and tls.py borrow the binding from here.

Everything above speaks of connections, bytes and outcomes. Four things are here because pyOpenSSL lacks
them: reads and writes through shared buffers, a connection without a registry and a dictionary of its own,
the certificates a peer presented while they are still being judged, and the reason of a failure as a word.

Every connection stands on memory BIOs, TLS and DTLS alike: one `recv` and one `send` serve a whole batch of
records, where OpenSSL on the socket makes two reads and a write for each (ten messages at once: 3.5 µs each
against 10).

All of it runs on the event loop's thread: the buffers are per process, OpenSSL's error queue is per thread,
and whoever meets a failure empties the queue. A call into OpenSSL costs 0.05–0.15 µs before it does anything,
and lets go of the interpreter: what runs per message is called by its name in lines.py, and once.
"""

from enum import Enum
from typing import Any, Final

from cryptography.hazmat.bindings.openssl.binding import Binding
from OpenSSL import SSL

LIB: Final[Any] = Binding.lib
FFI: Final[Any] = Binding.ffi

BIO_read: Final[Any] = LIB.BIO_read
BIO_write: Final[Any] = LIB.BIO_write
SSL_read: Final[Any] = LIB.SSL_read
SSL_write: Final[Any] = LIB.SSL_write

RECORD_MAX_BYTES: Final = 16_384
TLS_HEADER_BYTES: Final = 5
INTAKE_BYTES: Final = 65_536
INTAKE_START: Final[Any] = FFI.new("char[]", INTAKE_BYTES)
INTAKE_TEXT: Final[Any] = FFI.buffer(INTAKE_START)  # a slice of it is a copy, of type bytes
INTAKE: Final = memoryview(INTAKE_TEXT)  # where every stream's socket is read to; good until the next read
BUFFER_BYTES: Final = 65_536  # a whole handshake flight out of a memory BIO; a record fits four times
BUFFER_START: Final[Any] = FFI.new("char[]", BUFFER_BYTES)
BUFFER_TEXT: Final[Any] = FFI.buffer(BUFFER_START)
SLICE_BYTES: Final = 2048  # a memory BIO keeps the size of the most it ever held, so it is never given more at once
_ALERT_REASONS_FROM = 1000  # OpenSSL numbers a received alert's reason 1000 + the alert
_CERTIFICATE_ALERTS = frozenset({42, 43, 44, 45, 46, 48})  # RFC 8446 6.2: the peer dislikes our certificate


class Outcome(Enum):
    """How an operation on a connection went."""

    DONE = "done"
    WANT_READ = "want-read"
    WANT_WRITE = "want-write"
    ENDED = "ended"  # close_notify
    BROKEN = "broken"


class TlsConnection:
    """The server's end of one TLS connection, its handshake still to come.

    pyOpenSSL's `Connection` would do the same; its registry and dictionary cost 2 µs and 0.2 KiB more.
    """

    __slots__ = ("_from_ssl", "_into_ssl", "_ssl")

    def __init__(self, context: SSL.Context) -> None:
        ssl = LIB.SSL_new(context._context)
        if ssl == FFI.NULL:
            raise MemoryError
        self._ssl: Any = FFI.gc(ssl, LIB.SSL_free)
        self._into_ssl: Any = LIB.BIO_new(LIB.BIO_s_mem())  # freed with the connection
        self._from_ssl: Any = LIB.BIO_new(LIB.BIO_s_mem())
        LIB.SSL_set_bio(ssl, self._into_ssl, self._from_ssl)
        LIB.SSL_set_accept_state(ssl)


Connection = SSL.Connection | TlsConnection


_DONE, _BROKEN = Outcome.DONE, Outcome.BROKEN  # to look up an Enum's member takes 0.1 µs
_OUTCOMES: dict[int, Outcome] = {
    LIB.SSL_ERROR_WANT_READ: Outcome.WANT_READ,
    LIB.SSL_ERROR_WANT_WRITE: Outcome.WANT_WRITE,
    LIB.SSL_ERROR_ZERO_RETURN: Outcome.ENDED,
}

# OpenSSL's reason strings and the stable word each becomes; what is not listed is "protocol-error".
_WORDS = {
    "http request": "not-tls",
    "https proxy request": "not-tls",
    "wrong version number": "not-tls",
    "unknown protocol": "not-tls",
    "bad record type": "not-tls",
    "packet length too long": "not-tls",
    "record too small": "not-tls",
    "no shared cipher": "no-shared-cipher",
    "no suitable signature algorithm": "no-shared-signature-algorithm",
    "no shared signature algorithms": "no-shared-signature-algorithm",
    "no suitable key share": "no-shared-group",
    "no suitable groups": "no-shared-group",
    "unsupported protocol": "version-unsupported",
    "version too low": "version-unsupported",
    "peer did not return a certificate": "certificate-required",
    "certificate verify failed": "certificate-refused",
    "unexpected eof while reading": "peer-closed",
    "excessive message size": "message-too-large",
    "bad signature": "possession-unproven",
    "bad ecc cert": "certificate-unreadable",
    "wrong signature type": "possession-unproven",
    "wrong signature length": "possession-unproven",
    "bad certificate": "certificate-unreadable",
    "read timeout expired": "handshake-timeout",
}
_CERTIFICATE_LIBRARIES = frozenset({"asn1 encoding routines", "x509 certificate routines"})


def forget_errors() -> None:
    """Empty OpenSSL's error queue: before 4.0, an entry left in it is read as the failure of the next operation."""
    LIB.ERR_clear_error()


def outcome_of(connection: Connection, result: int) -> Outcome:
    """What a non-positive result of an operation means. The error queue is left for `failure_word`."""
    return _DONE if result > 0 else _OUTCOMES.get(LIB.SSL_get_error(connection._ssl, result), _BROKEN)


def failure_word() -> tuple[str, str]:
    """One stable word for the failure just met, and OpenSSL's own reason. Empties the error queue.

    An empty queue means that the socket failed: the peer reset or closed it.
    """
    words: list[str] = []
    reasons: list[str] = []
    while (code := LIB.ERR_get_error()) != 0:
        library, reason = _text(LIB.ERR_lib_error_string(code)), _text(LIB.ERR_reason_error_string(code))
        reasons.append(reason)
        words.append(_word_of(LIB.ERR_GET_REASON(code), library, reason))
    if not reasons:
        return "peer-closed", "connection closed or reset by the peer"
    named = [word for word in words if word != "protocol-error"]
    return (named[0] if named else "protocol-error"), "; ".join(reasons)


def _word_of(number: int, library: str, reason: str) -> str:
    if library in _CERTIFICATE_LIBRARIES:
        return "certificate-unreadable"
    if reason in _WORDS:
        return _WORDS[reason]
    if _ALERT_REASONS_FROM <= number < _ALERT_REASONS_FROM + 256:
        refused = number - _ALERT_REASONS_FROM in _CERTIFICATE_ALERTS
        return "server-certificate-refused" if refused else "peer-alert"
    return "protocol-error"


def _text(pointer: Any) -> str:
    return "" if pointer == FFI.NULL else FFI.string(pointer).decode("ascii", "replace")


def read_record(connection: Connection) -> tuple[int, bytes]:
    """At most one record's plain bytes. The first member is OpenSSL's result: positive when bytes came."""
    LIB.ERR_clear_error()
    count: int = LIB.SSL_read(connection._ssl, BUFFER_START, RECORD_MAX_BYTES)
    return count, BUFFER_TEXT[:count] if count > 0 else b""


def feed_intake(connection: Connection, start: int, count: int) -> int:
    """Hand over a slice of the intake's first `count` bytes, from `start`; returns where the next one starts."""
    length = min(count - start, SLICE_BYTES)
    LIB.BIO_write(connection._into_ssl, INTAKE_START + start, length)
    return start + length


def say_goodbye(connection: Connection) -> None:
    """Put a close_notify into the output."""
    LIB.SSL_shutdown(connection._ssl)
    LIB.ERR_clear_error()


def take_output(connection: Connection) -> bytes:
    """Everything a connection on memory BIOs wants to send, records back to back."""
    return _drained(connection._from_ssl)


def _drained(bio: Any) -> bytes:
    count = BIO_read(bio, BUFFER_START, BUFFER_BYTES)
    if count <= 0:
        return b""
    taken: bytes = BUFFER_TEXT[:count]
    return taken if count < BUFFER_BYTES else taken + _drained(bio)


def feed(connection: Connection, datagram: bytes) -> None:
    """Hand over bytes that came from the peer: one datagram, or some of a stream."""
    LIB.BIO_write(connection._into_ssl, datagram, len(datagram))


def retransmission_timeout_s(connection: Any) -> float | None:  # it says int, gives a float, and compiled code looks
    """Seconds until a DTLS flight must be sent again; None while none is due."""
    left = connection.DTLSv1_get_timeout()
    return None if left is None else float(left)


def server_name(connection: Connection) -> str | None:
    """The host name of the peer's SNI extension; None when absent or no ASCII text."""
    name = LIB.SSL_get_servername(connection._ssl, LIB.TLSEXT_NAMETYPE_host_name)
    try:
        return None if name == FFI.NULL else FFI.string(name).decode("ascii")
    except UnicodeDecodeError:
        return None


def version_name(connection: Connection) -> str:
    """As OpenSSL spells it: TLSv1.3."""
    return _constant(LIB.SSL_get_version(connection._ssl))


def cipher_name(connection: Connection) -> str | None:
    """As OpenSSL spells it: TLS_AES_128_GCM_SHA256. None before the handshake has come that far."""
    cipher = LIB.SSL_get_current_cipher(connection._ssl)
    return None if cipher == FFI.NULL else _constant(LIB.SSL_CIPHER_get_name(cipher))


def _constant(pointer: Any) -> str:
    """The text at an address where the same stands for ever: read once."""
    found = _CONSTANTS.get(pointer)
    if found is None:
        found = _CONSTANTS[pointer] = _text(pointer)
    return found


_CONSTANTS: dict[Any, str] = {}


def presented_chain(store_context: Any, *, certificates_max: int) -> list[bytes]:
    """The certificates a peer sent, DER, leaf first, in the order sent; at most `certificates_max` of them.

    To be called from a verify callback only. Where the certificates as sent cannot be reached, those of the
    path that OpenSSL built from them are taken.
    """
    stack = _presented_stack(store_context)
    if stack is not None:
        return [_der(LIB.sk_X509_value(stack, i)) for i in range(min(LIB.sk_X509_num(stack), certificates_max))]
    built = LIB.X509_STORE_CTX_get1_chain(store_context)
    chain = []
    for i in range(LIB.sk_X509_num(built)):
        certificate = LIB.sk_X509_value(built, i)
        if i < certificates_max:
            chain.append(_der(certificate))
        LIB.X509_free(certificate)
    LIB.sk_X509_free(built)
    return chain


def takes_keys() -> bool:
    """Whether the binding can ask for pre-shared keys; it can be built without."""
    return bool(getattr(LIB, "Cryptography_HAS_PSK", 0))


def reaches_presented() -> bool:
    """Whether `presented_chain` reads the certificates as sent, whatever path OpenSSL builds."""
    return _PRESENTED_WORD is not None


def _der(certificate: Any) -> bytes:
    if LIB.i2d_X509_bio(_DER, certificate) != 1:
        raise MemoryError
    return _drained(_DER)


_DER: Any = LIB.BIO_new(LIB.BIO_s_mem())  # on its way to become Python's; a new one each time costs 1 µs more


def _presented_stack(store_context: Any) -> Any | None:
    """OpenSSL's list of the certificates as sent, or None. Checked: its first must be the leaf being verified."""
    if _PRESENTED_WORD is None:
        return None
    stack = FFI.cast("Cryptography_STACK_OF_X509 *", FFI.cast("uintptr_t *", store_context)[_PRESENTED_WORD])
    if stack == FFI.NULL or LIB.sk_X509_num(stack) < 1:
        return None
    return stack if LIB.sk_X509_value(stack, 0) == LIB.X509_STORE_CTX_get0_cert(store_context) else None


def _find_presented_word() -> int | None:
    """Which word of an X509_STORE_CTX points at the certificates a peer sent; None if that cannot be told.

    The binding has no X509_STORE_CTX_get0_untrusted, and the path OpenSSL builds leaves out cross-signed
    alternatives and whatever does not fit. So a context is filled twice with lists of our own and searched
    for them: the layout is found out, never assumed. The first eight words lie well inside the structure.
    """
    found = set(range(8))
    store, certificate = LIB.X509_STORE_new(), LIB.X509_new()
    for _ in range(2):
        stack, context = LIB.sk_X509_new_null(), LIB.X509_STORE_CTX_new()
        LIB.X509_STORE_CTX_init(context, store, certificate, stack)
        words, wanted = FFI.cast("uintptr_t *", context), int(FFI.cast("uintptr_t", stack))
        found &= {index for index in range(8) if words[index] == wanted}
        LIB.X509_STORE_CTX_free(context)
        LIB.sk_X509_free(stack)
    LIB.X509_free(certificate)
    LIB.X509_STORE_free(store)
    return found.pop() if len(found) == 1 else None


_PRESENTED_WORD = _find_presented_word()
