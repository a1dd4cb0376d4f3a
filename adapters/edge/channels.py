"""Bytes in and out of one non-blocking socket: through TLS, or as they are. Knows nothing of event loops."""

import socket
from typing import Protocol

from OpenSSL import SSL

from adapters.edge import engine
from adapters.edge.engine import RECORD_MAX_BYTES, Outcome
from adapters.edge.errors import PeerVanished, TlsBroken


class Channel(Protocol):
    """What a stream needs of its transport. `read` and `write` raise a ConnectionFault when it is broken."""

    def read(self) -> bytes | None:
        """Some bytes; b"" when none are there yet; None when the peer has said goodbye."""
        ...

    def write(self, data: bytes | bytearray | memoryview) -> int:
        """How many bytes were taken; fewer than given when the peer must read first."""
        ...

    def pending_bytes(self) -> int:
        """Bytes that `read` would give although the socket stays silent."""
        ...

    def say_goodbye(self) -> bool:
        """Tell the peer that nothing more will come. False: the socket is full, try again when it is not."""
        ...


class PlainChannel:
    """Plain TCP."""

    __slots__ = ("_socket",)

    def __init__(self, *, sock: socket.socket) -> None:
        self._socket = sock

    def read(self) -> bytes | None:
        try:
            return self._socket.recv(RECORD_MAX_BYTES) or None
        except (BlockingIOError, InterruptedError):
            return b""
        except OSError as fault:
            raise PeerVanished(f"connection lost: {fault.strerror}") from fault

    def write(self, data: bytes | bytearray | memoryview) -> int:
        try:
            return self._socket.send(data)
        except (BlockingIOError, InterruptedError):
            return 0
        except OSError as fault:
            raise PeerVanished(f"connection lost: {fault.strerror}") from fault

    def pending_bytes(self) -> int:
        return 0

    def say_goodbye(self) -> bool:
        return True  # a FIN says it, and whoever closes the socket sends that


class TlsChannel:
    """TLS, after its handshake."""

    __slots__ = ("_connection",)

    def __init__(self, *, connection: SSL.Connection) -> None:
        self._connection = connection

    def read(self) -> bytes | None:
        count, data = engine.read_record(self._connection)
        if count > 0:
            return data
        outcome = engine.outcome_of(self._connection, count)
        if outcome is Outcome.WANT_READ or outcome is Outcome.WANT_WRITE:
            return b""
        if outcome is Outcome.ENDED:
            return None
        raise _fault()

    def write(self, data: bytes | bytearray | memoryview) -> int:
        taken = 0
        while taken < len(data):
            count = engine.write(self._connection, memoryview(data)[taken:] if taken else data)
            if count > 0:
                taken += count
                continue
            outcome = engine.outcome_of(self._connection, count)
            if outcome is Outcome.WANT_WRITE or outcome is Outcome.WANT_READ:
                break
            raise _fault()
        return taken

    def pending_bytes(self) -> int:
        return engine.pending_bytes(self._connection)

    def say_goodbye(self) -> bool:
        return engine.say_goodbye(self._connection) is not Outcome.WANT_WRITE


def _fault() -> PeerVanished | TlsBroken:
    word, reason = engine.failure_word()
    return PeerVanished(reason) if word == "peer-closed" else TlsBroken(reason)
