"""TCP peers between being accepted and the end of their TLS handshake.

A peer that has sent nothing costs a socket and a table entry: OpenSSL is not asked before its first bytes.
Each step of cryptography is taken in turn with those of all others. At most `handshakes_max` peers are here;
when full, the one silent longest makes room. If none of them has been silent for long, they are many and not
idle: then accepting waits instead, and nobody is refused for being many.
"""

import logging
import socket
from collections.abc import Callable
from functools import partial
from typing import Protocol

from adapters.edge import engine
from adapters.edge.deadlines import Deadlines
from adapters.edge.engine import Outcome, TlsConnection
from adapters.edge.farewells import Farewells
from adapters.edge.gate import Inquiry
from adapters.edge.lines import TlsLine, records_counted
from adapters.edge.peer import Address, Peer
from adapters.edge.poller import READABLE, WRITABLE, Poller
from adapters.edge.security import Security, peer_of
from adapters.edge.tls import Transport
from adapters.edge.turns import SILENCE_S, Turns
from kernel.clock import Clock
from kernel.log import fields

log = logging.getLogger(__name__)


class Established(Protocol):
    """Takes a socket over once its handshake is done; `unsent` is to be sent before anything else, `early` came with
    the end of the handshake.

    The poller still watches it for us, and is to be told who comes next. Where this raises, the socket stays ours.
    """

    def __call__(self, sock: socket.socket, line: TlsLine, peer: Peer, unsent: bytes, early: bytes) -> None: ...


class Arrival:
    """One peer on its way in."""

    __slots__ = ("begun", "connection", "fd", "inquiry", "is_queued", "missing", "sock", "unsent")

    def __init__(self, *, sock: socket.socket, inquiry: Inquiry, begun: float) -> None:
        self.sock = sock
        self.fd = sock.fileno()
        self.inquiry = inquiry
        self.begun = begun
        self.connection: TlsConnection | None = None
        self.missing = 0  # as records_counted counts
        self.is_queued = False
        self.unsent = b""


class Arrivals:
    """All of them at one listener."""

    def __init__(
        self,
        *,
        clock: Clock,
        poller: Poller,
        turns: Turns,
        security: Security,
        farewells: Farewells,
        established: Established,
        left: Callable[[], None],
        handshakes_max: int,
        handshake_deadline_s: float,
    ) -> None:
        self._clock = clock
        self._poller = poller
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
        """Start the handshake of a peer just accepted. To be asked before: `has_room`. Raises OSError where the socket
        cannot be watched."""
        if len(self._present) >= self._handshakes_max and (silent := self._long_silent()) is not None:
            self._fail(silent, "made-room")
        now = self._clock.monotonic()
        arrival = Arrival(sock=sock, inquiry=self._security.inquiry(address), begun=now)
        self._poller.watch(arrival.fd, partial(self._on_ready, arrival))
        self._present.touch(arrival, now)
        self._silent[arrival] = now

    def expire(self, now: float) -> None:
        """Drop every peer whose handshake took too long."""
        for arrival in self._present.take_due(now):
            self._fail(arrival, "handshake-timeout")

    def close(self) -> None:
        """Drop everyone."""
        for arrival in self._present.take_all():
            self._drop(arrival)

    def _long_silent(self) -> Arrival | None:
        arrival = next(iter(self._silent), None)
        if arrival is None or self._clock.monotonic() - self._silent[arrival] < SILENCE_S:
            return None
        return arrival

    def _await_bytes(self, arrival: Arrival) -> None:
        self._silent[arrival] = self._clock.monotonic()
        self._poller.want(arrival.fd, READABLE)

    def _on_ready(self, arrival: Arrival, _events: int) -> None:
        """The peer's socket is ready: its step at once, or in its turn."""
        if arrival.is_queued:
            self._poller.want(arrival.fd, 0)  # its turn takes longer than one of the loop, which would spin meanwhile
            return
        self._silent.pop(arrival, None)
        step = partial(self._step, arrival)
        if arrival.unsent or not self._turns.take(step):
            arrival.is_queued = True
            self._turns.join(step)

    def _step(self, arrival: Arrival) -> None:
        arrival.is_queued = False
        if arrival not in self._present:
            return  # timed out while it waited for its turn
        try:
            if arrival.unsent:
                self._send(arrival, arrival.unsent)
            else:
                self._receive(arrival)
        except Exception:
            log.exception("handshake.defective", extra=fields(remote=str(arrival.inquiry.address)))
            if arrival in self._present:
                self._fail(arrival, "internal")

    def _receive(self, arrival: Arrival) -> None:
        try:
            count = arrival.sock.recv_into(engine.INTAKE)
        except (BlockingIOError, InterruptedError):
            self._await_bytes(arrival)
            return
        except OSError:
            count = 0
        if count == 0:
            self._fail(arrival, "peer-closed")
            return
        connection = arrival.connection
        if connection is None:
            connection = arrival.connection = TlsConnection(self._security.context(Transport.STREAM))
        arrival.missing = records_counted(arrival.missing, count)
        outcome, fed = self._advance(arrival, connection, count)
        output = engine.take_output(connection)
        if outcome is Outcome.DONE:
            self._finish(arrival, connection, output, fed, count)
        elif outcome is Outcome.WANT_READ:
            self._send(arrival, output)
        else:
            word, detail = engine.failure_word() if outcome is Outcome.BROKEN else ("peer-closed", "")
            self._break(arrival, output, word, detail)

    def _advance(self, arrival: Arrival, connection: TlsConnection, count: int) -> tuple[Outcome, int]:
        """Feed the intake until it is used up or the handshake ends. Returns as well how far it was fed."""
        outcome = Outcome.WANT_READ
        start = 0
        while start < count and outcome is Outcome.WANT_READ:
            start = engine.feed_intake(connection, start, count)
            outcome = self._security.contexts.gate.advance(connection, arrival.inquiry)
        return outcome, start

    def _send(self, arrival: Arrival, output: bytes) -> None:
        try:
            sent = arrival.sock.send(output) if output else 0
        except (BlockingIOError, InterruptedError):
            sent = 0
        except OSError:
            self._fail(arrival, "peer-closed")
            return
        arrival.unsent = output[sent:]
        if arrival.unsent:
            self._poller.want(arrival.fd, WRITABLE)
        else:
            self._await_bytes(arrival)

    def _finish(self, arrival: Arrival, connection: TlsConnection, output: bytes, fed: int, count: int) -> None:
        taken_s = self._clock.monotonic() - arrival.begun
        peer = peer_of(connection, arrival.inquiry, handshake_s=taken_s)
        line = TlsLine(connection=connection, missing=arrival.missing)
        early = line.early(fed, count)
        self._forget(arrival)
        try:
            self._established(arrival.sock, line, peer, output, early)
        except BaseException:
            self._poller.forget(arrival.fd)
            arrival.sock.close()
            raise

    def _break(self, arrival: Arrival, alert: bytes, word: str, detail: str) -> None:
        self._forget(arrival)
        try:
            arrival.sock.send(alert)
        except OSError:
            self._poller.forget(arrival.fd)
            arrival.sock.close()  # nobody there to read it
        else:
            self._farewells.see_off(arrival.sock, self._clock.monotonic())
        self._security.tell_broken(arrival.inquiry, word, detail)

    def _fail(self, arrival: Arrival, reason: str) -> None:
        self._drop(arrival)
        self._security.tell_failed(arrival.inquiry.address, reason)

    def _drop(self, arrival: Arrival) -> None:
        self._forget(arrival)
        self._poller.forget(arrival.fd)
        arrival.sock.close()

    def _forget(self, arrival: Arrival) -> None:
        """It is no arrival any more; its socket is for somebody else to close, or to have watched."""
        self._present.discard(arrival)
        self._silent.pop(arrival, None)
        arrival.connection = None
        self._left()
