"""The sending side of one stream's socket: what it takes goes at once, the rest is held for a peer that reads later."""

import socket

from adapters.edge.errors import PeerDoesNotRead, PeerVanished

_MORE_FOLLOWS = socket.MSG_MORE  # the FIN: goodbye and FIN leave as one packet


class Outlet:
    """Bytes leave in the order given. Every method may raise PeerVanished; the stream ends then."""

    __slots__ = ("_held_max_bytes", "_socket", "held")

    def __init__(self, *, sock: socket.socket, held_max_bytes: int) -> None:
        self._socket = sock
        self._held_max_bytes = held_max_bytes
        self.held: bytearray | None = None  # waits until the socket is writable

    def check(self, count: int) -> None:
        """Raises PeerDoesNotRead where so many more bytes are too many behind those already held."""
        if self.held is not None and len(self.held) + count > self._held_max_bytes:
            raise self._refusal()

    def send(self, wire: bytes) -> bool:
        """Whether it is gone. Raises PeerDoesNotRead where more is held than may be."""
        if self.held is None:
            try:
                sent = self._socket.send(wire)
            except (BlockingIOError, InterruptedError):
                sent = 0
            except OSError as fault:
                raise _vanished(fault) from fault
            if sent == len(wire):
                return True
            self.held = bytearray(memoryview(wire)[sent:])
        else:
            self.held += wire
        if len(self.held) > self._held_max_bytes:
            raise self._refusal()
        return False

    def send_last(self, wire: bytes) -> bool:
        """Whether all is gone, but for the FIN that must follow. Asks no bound: it is said once."""
        if self.held is not None:
            self.held += wire
            return False
        if not wire:
            return True
        try:
            sent = self._socket.send(wire, _MORE_FOLLOWS)
        except (BlockingIOError, InterruptedError):
            sent = 0
        except OSError as fault:
            raise _vanished(fault) from fault
        if sent < len(wire):
            self.held = bytearray(memoryview(wire)[sent:])
        return self.held is None

    def go_on(self) -> bool:
        """The socket is writable: whether nothing is held any more."""
        if self.held is None:
            return True
        try:
            sent = self._socket.send(self.held)
        except (BlockingIOError, InterruptedError):
            return False
        except OSError as fault:
            raise _vanished(fault) from fault
        if sent < len(self.held):
            del self.held[:sent]
            return False
        self.held = None
        return True

    def _refusal(self) -> PeerDoesNotRead:
        return PeerDoesNotRead(f"the peer leaves more than {self._held_max_bytes} bytes unread")


def _vanished(fault: OSError) -> PeerVanished:
    return PeerVanished(f"connection lost: {fault.strerror}")
