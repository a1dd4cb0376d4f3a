"""How the bytes of one stream are wrapped for the wire: in TLS, or not at all. No socket, no loop.

What came from the socket lies in `engine.INTAKE`, one buffer for all, and is unwrapped before the next read.
"""

from typing import Protocol

from OpenSSL import SSL

from adapters.edge import engine
from adapters.edge.engine import INTAKE, RECORD_MAX_BYTES, SLICE_BYTES, TLS_HEADER_BYTES, Outcome
from adapters.edge.errors import ConnectionFault, PeerVanished, TlsBroken


class Line(Protocol):
    """One direction each: `wrap` for what is sent, `unwrap` for what came."""

    @property
    def is_ended(self) -> bool:
        """The peer has said goodbye: nothing more will come."""
        ...

    @property
    def fault(self) -> ConnectionFault | None:
        """Why nothing more can be understood of what comes."""
        ...

    @property
    def may_reply(self) -> bool:
        """Whether `reply` is worth a call: something came that the line may have to answer itself."""
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

    def cut(self) -> ConnectionFault | None:
        """The peer closed the connection: None where that is a proper end."""
        ...


class PlainLine:
    """Plain TCP."""

    __slots__ = ("fault", "is_ended", "may_reply")

    def __init__(self) -> None:
        self.is_ended = self.may_reply = False
        self.fault: ConnectionFault | None = None

    def unwrap(self, count: int) -> bytes:
        return bytes(INTAKE[:count])

    def wrap(self, data: bytes) -> bytes:
        return data

    def reply(self) -> bytes:
        return b""

    def goodbye(self) -> bytes:
        return b""  # a FIN says it, and whoever closes the socket sends that

    def cut(self) -> ConnectionFault | None:
        return None


class RecordCount:
    """Counts through TLS records as their bytes come by, so that a single whole one is known as such."""

    __slots__ = ("_missing_bytes",)

    def __init__(self) -> None:
        self._missing_bytes: int | None = 0  # of the record last begun; None: a header was cut, the count is lost

    def is_one_record(self, count: int) -> bool:
        """Whether the intake is exactly one record. To be called for every intake of the connection, from the first."""
        missing = self._missing_bytes
        if missing is None:
            return False
        if missing == 0 and count == TLS_HEADER_BYTES + (INTAKE[3] << 8 | INTAKE[4]):
            return True
        while missing + TLS_HEADER_BYTES <= count:
            missing += TLS_HEADER_BYTES + (INTAKE[missing + 3] << 8 | INTAKE[missing + 4])
        self._missing_bytes = missing - count if missing >= count else None
        return False


class TlsLine:
    """TLS, after its handshake."""

    __slots__ = ("_connection", "_records", "fault", "is_ended", "may_reply")

    def __init__(self, *, connection: SSL.Connection, records: RecordCount) -> None:
        self._connection = connection
        self._records = records
        self.is_ended = self.may_reply = False
        self.fault: ConnectionFault | None = None

    def early(self) -> bytes:
        """What the peer sent together with the end of its handshake."""
        return self._read_all()

    def unwrap(self, count: int) -> bytes:
        connection = self._connection
        if self._records.is_one_record(count) and count <= SLICE_BYTES:
            engine.feed_intake(connection, 0, count)
            got, data = engine.read_record(connection)  # no need to ask OpenSSL for a second one
            return data if got > 0 else self._read_all()  # not data: housekeeping, or the end
        plain = []
        start = 0
        while start < count:
            start = engine.feed_intake(connection, start, count)
            plain.append(self._read_all())
        return b"".join(plain)

    def wrap(self, data: bytes) -> bytes:
        connection = self._connection
        if len(data) <= RECORD_MAX_BYTES:
            if engine.write(connection, data) <= 0:
                raise _fault()
            return engine.take_output(connection)
        return b"".join(self.wrap(data[at : at + RECORD_MAX_BYTES]) for at in range(0, len(data), RECORD_MAX_BYTES))

    def reply(self) -> bytes:
        self.may_reply = False
        return engine.take_output(self._connection)

    def goodbye(self) -> bytes:
        engine.say_goodbye(self._connection)
        return engine.take_output(self._connection)

    def cut(self) -> ConnectionFault | None:
        return None if self.is_ended else PeerVanished("connection closed without a goodbye")

    def _read_all(self) -> bytes:
        connection = self._connection
        plain = []
        count, data = engine.read_record(connection)
        while count > 0:
            plain.append(data)
            count, data = engine.read_record(connection)
        self.may_reply = True
        outcome = engine.outcome_of(connection, count)
        if outcome is Outcome.ENDED:
            self.is_ended = True
        elif outcome is Outcome.BROKEN and self.fault is None:
            self.fault = _fault()
        return b"".join(plain)


def _fault() -> TlsBroken:
    _, reason = engine.failure_word()
    return TlsBroken(reason)
