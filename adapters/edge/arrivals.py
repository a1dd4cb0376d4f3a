"""TCP peers between being accepted and the end of their TLS handshake.

A peer that has sent nothing costs a socket and a table entry: OpenSSL is not asked before its first bytes.
Each step of cryptography is taken in turn with those of all others. At most `handshakes_max` peers are here;
when full, the one silent longest makes room. If none of them has been silent for long, they are many and not
idle: then accepting waits instead, and nobody is refused for being many.
"""

import asyncio
import logging
import socket
from collections.abc import Callable
from typing import Protocol

from OpenSSL import SSL

from adapters.edge import engine
from adapters.edge.deadlines import Deadlines
from adapters.edge.engine import Outcome
from adapters.edge.farewells import Farewells
from adapters.edge.gate import Inquiry
from adapters.edge.peer import Address, Peer
from adapters.edge.security import Security, peer_of
from adapters.edge.tls import Transport
from adapters.edge.turns import SILENCE_S, Turns
from kernel.clock import Clock
from kernel.log import fields

log = logging.getLogger(__name__)


class Established(Protocol):
    """Takes a socket over once its handshake is done."""

    def __call__(self, sock: socket.socket, connection: SSL.Connection, peer: Peer) -> None: ...


class Arrival:
    """One peer on its way in."""

    __slots__ = ("begun", "connection", "fd", "inquiry", "sock")

    def __init__(self, *, sock: socket.socket, inquiry: Inquiry, begun: float) -> None:
        self.sock = sock
        self.fd = sock.fileno()
        self.inquiry = inquiry
        self.begun = begun
        self.connection: SSL.Connection | None = None


class Arrivals:
    """All of them at one listener."""

    def __init__(
        self,
        *,
        clock: Clock,
        turns: Turns,
        security: Security,
        farewells: Farewells,
        established: Established,
        left: Callable[[], None],
        handshakes_max: int,
        handshake_deadline_s: float,
    ) -> None:
        self._clock = clock
        self._turns = turns
        self._security = security
        self._farewells = farewells
        self._established = established
        self._left = left  # called whenever there is one fewer
        self._handshakes_max = handshakes_max
        self._present: Deadlines[Arrival] = Deadlines(after_s=handshake_deadline_s)
        self._silent: dict[Arrival, float] = {}  # waited for, since when; the longest silent first

    def __len__(self) -> int:
        return len(self._present)

    def has_room(self) -> bool:
        """Whether another peer may come: there is a place, or somebody silent long enough to leave it."""
        return len(self._present) < self._handshakes_max or self._long_silent() is not None

    def add(self, sock: socket.socket, address: Address) -> None:
        """Start the handshake of a peer just accepted. To be asked before: `has_room`."""
        if len(self._present) >= self._handshakes_max and (silent := self._long_silent()) is not None:
            self._fail(silent, "made-room")
        now = self._clock.monotonic()
        arrival = Arrival(sock=sock, inquiry=self._security.inquiry(address), begun=now)
        self._present.touch(arrival, now)
        self._await_bytes(arrival)

    def expire(self, now: float) -> None:
        """Drop every peer whose handshake took too long."""
        for arrival in self._present.take_due(now):
            self._fail(arrival, "handshake-timeout")

    def close(self) -> None:
        """Drop everyone."""
        for arrival in self._present.take_all():
            self._forget(arrival)
            arrival.sock.close()

    def _long_silent(self) -> Arrival | None:
        arrival = next(iter(self._silent), None)
        if arrival is None or self._clock.monotonic() - self._silent[arrival] < SILENCE_S:
            return None
        return arrival

    def _await_bytes(self, arrival: Arrival) -> None:
        self._silent[arrival] = self._clock.monotonic()
        asyncio.get_running_loop().add_reader(arrival.fd, self._queue, arrival)

    def _queue(self, arrival: Arrival) -> None:
        """The peer's socket is ready: no more of it until its step was taken, or the loop would spin."""
        loop = asyncio.get_running_loop()
        loop.remove_reader(arrival.fd)
        loop.remove_writer(arrival.fd)
        self._silent.pop(arrival, None)
        self._turns.join(lambda: self._step(arrival))

    def _step(self, arrival: Arrival) -> None:
        if arrival not in self._present:
            return  # timed out while it waited for its turn
        try:
            connection = arrival.connection
            if connection is None:
                connection = arrival.connection = SSL.Connection(self._security.context(Transport.STREAM), arrival.sock)
                connection.set_accept_state()
            outcome = self._security.contexts.gate.advance(connection, arrival.inquiry)
            if outcome is Outcome.DONE:
                self._finish(arrival, connection)
            elif outcome is Outcome.WANT_READ:
                self._await_bytes(arrival)
            elif outcome is Outcome.WANT_WRITE:
                asyncio.get_running_loop().add_writer(arrival.fd, self._queue, arrival)
            else:
                self._break(arrival)
        except Exception:
            log.exception("handshake.defective", extra=fields(remote=str(arrival.inquiry.address)))
            if arrival in self._present:
                self._fail(arrival, "internal")

    def _finish(self, arrival: Arrival, connection: SSL.Connection) -> None:
        taken_s = self._clock.monotonic() - arrival.begun
        peer = peer_of(connection, arrival.inquiry, handshake_s=taken_s)
        self._forget(arrival)
        self._established(arrival.sock, connection, peer)

    def _break(self, arrival: Arrival) -> None:
        """OpenSSL has put its alert on the wire, if there is one: see to it that the peer can read it."""
        word, detail = engine.failure_word()
        self._forget(arrival)
        self._farewells.see_off(arrival.sock, self._clock.monotonic())
        self._security.tell_broken(arrival.inquiry, word, detail)

    def _fail(self, arrival: Arrival, reason: str) -> None:
        self._forget(arrival)
        arrival.sock.close()
        self._security.tell_failed(arrival.inquiry.address, reason)

    def _forget(self, arrival: Arrival) -> None:
        loop = asyncio.get_running_loop()
        self._present.discard(arrival)
        self._silent.pop(arrival, None)
        loop.remove_reader(arrival.fd)
        loop.remove_writer(arrival.fd)
        arrival.connection = None
        self._left()
