"""Sockets whose last words are written and not yet known to have arrived.

Closing a socket that still has unread bytes makes the kernel send a reset, and a reset makes the peer's
kernel throw away what it has not read: the answer, the alert, the goodbye. So the sending side is closed,
whatever still comes is thrown away, and the socket is closed when the peer closes or its time is up.
"""

import asyncio
import socket

from adapters.edge.deadlines import Deadlines

_DISCARD_BYTES = 65_536
_READS_PER_TURN = 4


class Farewells:
    """Owns such sockets; at most `sockets_max`, the one that has waited longest makes room."""

    def __init__(self, *, within_s: float, sockets_max: int = 1024) -> None:
        self._sockets_max = sockets_max
        self._waiting: Deadlines[socket.socket] = Deadlines(after_s=within_s)

    def __len__(self) -> int:
        return len(self._waiting)

    def see_off(self, sock: socket.socket, now: float) -> None:
        """Take the socket over. No reader or writer may be registered for it."""
        try:
            sock.shutdown(socket.SHUT_WR)
        except OSError:
            sock.close()
            return
        longest = self._waiting.oldest()
        if len(self._waiting) >= self._sockets_max and longest is not None:
            self._close(longest)
        self._waiting.touch(sock, now)
        asyncio.get_running_loop().add_reader(sock.fileno(), self._discard, sock)

    def expire(self, now: float) -> None:
        for sock in self._waiting.take_due(now):
            self._close(sock)

    def close(self) -> None:
        for sock in self._waiting.take_all():
            self._close(sock)

    def _discard(self, sock: socket.socket) -> None:
        try:
            for _ in range(_READS_PER_TURN):
                if not sock.recv(_DISCARD_BYTES):
                    break
            else:
                return
        except (BlockingIOError, InterruptedError):
            return
        except OSError:
            pass
        self._close(sock)

    def _close(self, sock: socket.socket) -> None:
        self._waiting.discard(sock)
        asyncio.get_running_loop().remove_reader(sock.fileno())
        sock.close()
