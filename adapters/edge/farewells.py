"""Sockets whose last words are written and not yet known to have arrived.

Closing a socket that still has unread bytes makes the kernel send a reset, and a reset makes the peer's
kernel throw away what it has not read: the answer, the alert, the goodbye. So the sending side is closed,
whatever still comes is thrown away, and the socket is closed when the peer closes or its time is up.
"""

import socket
from functools import partial

from adapters.edge.deadlines import Deadlines
from adapters.edge.engine import INTAKE
from adapters.edge.poller import Poller

_READS_PER_TURN = 4


class Farewells:
    """Owns such sockets; at most `sockets_max`, the one that has waited longest makes room."""

    def __init__(self, *, poller: Poller, within_s: float, sockets_max: int = 1024) -> None:
        self._poller = poller
        self._sockets_max = sockets_max
        self._waiting: Deadlines[socket.socket] = Deadlines(after_s=within_s)

    def __len__(self) -> int:
        return len(self._waiting)

    def see_off(self, sock: socket.socket, now: float) -> None:
        """Take the socket over, which the poller watches for whoever had it."""
        fd = sock.fileno()
        try:
            sock.shutdown(socket.SHUT_WR)
            self._poller.watch(fd, partial(self._discard, sock))
        except OSError:
            self._poller.forget(fd)
            sock.close()
            return
        longest = self._waiting.oldest()
        if len(self._waiting) >= self._sockets_max and longest is not None:
            self._close(longest)
        self._waiting.touch(sock, now)

    def expire(self, now: float) -> None:
        for sock in self._waiting.take_due(now):
            self._close(sock)

    def close(self) -> None:
        for sock in self._waiting.take_all():
            self._close(sock)

    def _discard(self, sock: socket.socket, _events: int) -> None:
        try:
            for _ in range(_READS_PER_TURN):
                if not sock.recv_into(INTAKE):
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
        self._poller.forget(sock.fileno())
        sock.close()
