"""How the bytes of one stream are wrapped for the wire: in TLS, or not at all. No socket, no loop.

What came from the socket lies in `engine.INTAKE`, one buffer for all, and is unwrapped before the next read.
"""

from typing import Final, Protocol

from adapters.edge import engine
from adapters.edge.engine import (
    BUFFER_BYTES,
    BUFFER_START,
    BUFFER_TEXT,
    INTAKE,
    INTAKE_START,
    INTAKE_TEXT,
    RECORD_MAX_BYTES,
    SLICE_BYTES,
    TLS_HEADER_BYTES,
    BIO_read,
    BIO_write,
    Connection,
    Outcome,
    SSL_read,
    SSL_write,
    outcome_of,
)
from adapters.edge.errors import ConnectionFault, PeerVanished, TlsBroken

LOST_COUNT: Final = -1


class Line(Protocol):
    """One direction each: `wrap` for what is sent, `unwrap` for what came."""

    @property
    def is_stirred(self) -> bool:
        """Other than data came: `reply`, `is_ended` and `fault` are worth a look. `reply` ends it."""
        ...

    @property
    def is_ended(self) -> bool:
        """The peer has said goodbye: nothing more will come."""
        ...

    @property
    def fault(self) -> ConnectionFault | None:
        """Why nothing more can be understood of what comes."""
        ...

    def unwrap(self, count: int) -> bytes:
        """The plain bytes within the intake's first `count` bytes; may be none."""
        ...

    def wrap(self, data: bytes) -> bytes:
        """What goes on the wire for these bytes. Raises ConnectionFault."""
        ...

    def reply(self) -> bytes:
        """What the line itself has to say to the peer: an alert, an answer to its housekeeping."""
        ...

    def goodbye(self) -> bytes:
        """Tells the peer that nothing more will come."""
        ...

    def cut(self) -> None:
        """The peer closed the connection, and stirs the line: `is_ended` where that is a proper end, else `fault`."""
        ...


class PlainLine:
    """Plain TCP."""

    __slots__ = ("fault", "is_ended", "is_stirred")

    def __init__(self) -> None:
        self.is_stirred = self.is_ended = False
        self.fault: ConnectionFault | None = None

    def unwrap(self, count: int) -> bytes:
        data: bytes = INTAKE_TEXT[:count]
        return data

    def wrap(self, data: bytes) -> bytes:
        return data

    def reply(self) -> bytes:
        return b""

    def goodbye(self) -> bytes:
        return b""  # a FIN says it, and whoever closes the socket sends that

    def cut(self) -> None:
        self.is_stirred = self.is_ended = True


def records_counted(missing: int, count: int) -> int:
    """How many bytes are missing of the last TLS record in an intake of `count` bytes, where `missing` were before
    it. To be called for every intake of a connection, from the first. LOST_COUNT once a header was cut in two."""
    if missing == LOST_COUNT:
        return LOST_COUNT
    while missing + TLS_HEADER_BYTES <= count:
        missing += TLS_HEADER_BYTES + (INTAKE[missing + 3] << 8 | INTAKE[missing + 4])
    return missing - count if missing >= count else LOST_COUNT


class TlsLine:
    """TLS, after its handshake. `missing` bytes of a record are still to come, as `records_counted` counted them."""

    __slots__ = ("_connection", "_missing", "fault", "is_ended", "is_stirred")

    def __init__(self, *, connection: Connection, missing: int = 0) -> None:
        self._connection = connection
        self._missing = missing
        self.is_stirred = self.is_ended = False
        self.fault: ConnectionFault | None = None
        engine.forget_errors()  # whatever the handshake left; from here on, nobody leaves any

    def early(self, fed: int, count: int) -> bytes:
        """What the peer sent together with the end of its handshake, in an intake of `count` bytes, `fed` of which
        OpenSSL has."""
        return self._read_all() + self._unwrap_from(fed, count)

    def unwrap(self, count: int) -> bytes:
        missing = self._missing
        if missing == 0 and count <= SLICE_BYTES and count == TLS_HEADER_BYTES + (INTAKE[3] << 8 | INTAKE[4]):
            connection = self._connection
            BIO_write(connection._into_ssl, INTAKE_START, count)
            got: int = SSL_read(connection._ssl, BUFFER_START, RECORD_MAX_BYTES)
            if got > 0:  # one record whole: no need to ask OpenSSL for a second
                data: bytes = BUFFER_TEXT[:got]
                return data
            return self._read_on(got)
        self._missing = records_counted(missing, count)
        return self._unwrap_from(0, count)

    def _unwrap_from(self, start: int, count: int) -> bytes:
        plain = []
        while start < count and self.fault is None and not self.is_ended:
            start = engine.feed_intake(self._connection, start, count)
            plain.append(self._read_all())
        return b"".join(plain)

    def wrap(self, data: bytes) -> bytes:
        size = len(data)
        if size > RECORD_MAX_BYTES:
            return self._wrap_many(data)
        connection = self._connection
        if SSL_write(connection._ssl, data, size) <= 0:
            raise _fault()
        count: int = BIO_read(connection._from_ssl, BUFFER_START, BUFFER_BYTES)
        wire: bytes = BUFFER_TEXT[:count]
        return wire

    def _wrap_many(self, data: bytes) -> bytes:
        return b"".join(self.wrap(data[at : at + RECORD_MAX_BYTES]) for at in range(0, len(data), RECORD_MAX_BYTES))

    def reply(self) -> bytes:
        self.is_stirred = False
        return engine.take_output(self._connection)

    def goodbye(self) -> bytes:
        engine.say_goodbye(self._connection)
        return engine.take_output(self._connection)

    def cut(self) -> None:
        self.is_stirred = True
        if not self.is_ended and self.fault is None:
            self.fault = PeerVanished("connection closed without a goodbye")

    def _read_all(self) -> bytes:
        return self._read_on(SSL_read(self._connection._ssl, BUFFER_START, RECORD_MAX_BYTES))

    def _read_on(self, got: int) -> bytes:
        """What a read brought, and all there is behind it; then why there is no more."""
        plain = []
        while got > 0:
            plain.append(BUFFER_TEXT[:got])
            got = SSL_read(self._connection._ssl, BUFFER_START, RECORD_MAX_BYTES)
        self.is_stirred = True
        outcome = outcome_of(self._connection, got)
        if outcome is Outcome.ENDED:
            self.is_ended = True
        elif outcome is Outcome.BROKEN and self.fault is None:
            self._examine(_fault())
        return b"".join(plain)

    def _examine(self, fault: ConnectionFault) -> None:
        """OpenSSL before 4.0 reads an error that somebody else left in its queue as a failure, once: what is broken
        stays so."""
        outcome = outcome_of(self._connection, SSL_read(self._connection._ssl, BUFFER_START, RECORD_MAX_BYTES))
        if outcome is Outcome.ENDED:
            self.is_ended = True
        elif outcome is not Outcome.WANT_READ:
            self.fault = fault
        engine.forget_errors()


def _fault() -> TlsBroken:
    _, reason = engine.failure_word()
    return TlsBroken(reason)
