"""DTLS peers between their cookie and the end of their handshake.

Each step of cryptography is taken in turn with those of all others. A flight that stays unanswered is sent
again when OpenSSL's timer says so; one sweep looks at all of them. At most `handshakes_max` peers are here,
the one silent longest makes room if it has been for a while.
"""

import logging
from collections import deque
from typing import Protocol

from OpenSSL import SSL

from adapters.edge import engine
from adapters.edge.deadlines import Deadlines
from adapters.edge.engine import Outcome
from adapters.edge.gate import Inquiry
from adapters.edge.peer import Peer
from adapters.edge.records import claims_too_much, datagrams
from adapters.edge.security import Security, peer_of
from adapters.edge.sockets import RawAddress, Send, address_of
from adapters.edge.turns import SILENCE_S, Turns
from conf.edge import EdgeSettings
from kernel.clock import Clock
from kernel.log import fields

log = logging.getLogger(__name__)

KEY_UNPROVEN = "key-unproven"  # what a peer with another key sends cannot be read, and DTLS passes over that
_INBOX_MAX = 32  # datagrams that wait for one handshake's turn; the longest flight of a client has a dozen


class DtlsHandshake:
    """One peer on its way in."""

    __slots__ = ("begun", "connection", "inbox", "inquiry", "is_queued", "random", "raw", "retransmit_at")

    def __init__(
        self, *, connection: SSL.Connection, raw: RawAddress, inquiry: Inquiry, random: bytes, begun: float
    ) -> None:
        self.connection = connection
        self.raw = raw
        self.inquiry = inquiry
        self.random = random
        self.begun = begun
        self.inbox: deque[bytes] = deque()
        self.is_queued = False
        self.retransmit_at: float | None = None


class Established(Protocol):
    """Takes a peer over once its handshake is done; `handshake.inbox` holds what came meanwhile."""

    def __call__(self, handshake: DtlsHandshake, peer: Peer) -> None: ...


class DtlsHandshakes:
    """All of them at one port, by address."""

    def __init__(
        self,
        *,
        clock: Clock,
        turns: Turns,
        settings: EdgeSettings,
        security: Security,
        send: Send,
        established: Established,
    ) -> None:
        self._clock = clock
        self._turns = turns
        self._mtu_bytes = settings.dtls_mtu_bytes
        self._handshakes_max = settings.handshakes_max
        self._security = security
        self._send = send
        self._established = established
        self._present: dict[RawAddress, DtlsHandshake] = {}
        self._deadlines: Deadlines[DtlsHandshake] = Deadlines(after_s=settings.handshake_deadline_s)
        self._silent: dict[DtlsHandshake, float] = {}  # waited for, since when; the longest silent first

    def __len__(self) -> int:
        return len(self._present)

    def find(self, raw: RawAddress) -> DtlsHandshake | None:
        return self._present.get(raw)

    def begin(self, connection: SSL.Connection, raw: RawAddress, random: bytes) -> None:
        """Go on with a hello whose cookie was good. An unfinished handshake of the same address is forgotten."""
        previous = self._present.get(raw)
        if previous is not None:
            self._forget(previous)
        elif not self._make_room():
            return
        now = self._clock.monotonic()
        inquiry = self._security.inquiry(address_of(raw))
        handshake = DtlsHandshake(connection=connection, raw=raw, inquiry=inquiry, random=random, begun=now)
        self._present[raw] = handshake
        self._deadlines.touch(handshake, now)
        self._queue(handshake)

    def deliver(self, handshake: DtlsHandshake, datagram: bytes) -> None:
        """Keep a datagram for the handshake's next turn; beyond a bound it is dropped, the peer will repeat it."""
        if len(handshake.inbox) < _INBOX_MAX and not claims_too_much(datagram):
            handshake.inbox.append(datagram)
            self._queue(handshake)

    def expire(self, now: float) -> None:
        """Drop handshakes that took too long, and send the flights again that are due."""
        for handshake in self._deadlines.take_due(now):
            self._fail(handshake, "handshake-timeout" if handshake.inquiry.key is None else KEY_UNPROVEN)
        due = [each for each in self._silent if each.retransmit_at is not None and each.retransmit_at <= now]
        for handshake in due:
            self._retransmit(handshake)

    def close(self) -> None:
        """Forget everyone."""
        for handshake in self._deadlines.take_all():
            self._forget(handshake)

    def _make_room(self) -> bool:
        """False: everyone here is busy. Who knocks meanwhile will repeat it, the cookie stays good."""
        if len(self._present) < self._handshakes_max:
            return True
        silent = next(iter(self._silent), None)
        if silent is None or self._clock.monotonic() - self._silent[silent] < SILENCE_S:
            return False
        self._fail(silent, "made-room")
        return True

    def _queue(self, handshake: DtlsHandshake) -> None:
        if not handshake.is_queued:
            handshake.is_queued = True
            self._silent.pop(handshake, None)
            self._turns.join(lambda: self._step(handshake))

    def _step(self, handshake: DtlsHandshake) -> None:
        handshake.is_queued = False
        if self._present.get(handshake.raw) is not handshake:
            return  # timed out, or replaced, while it waited for its turn
        try:
            self._advance(handshake)
        except Exception:
            log.exception("handshake.defective", extra=fields(remote=str(handshake.inquiry.address)))
            if self._present.get(handshake.raw) is handshake:
                self._fail(handshake, "internal")

    def _advance(self, handshake: DtlsHandshake) -> None:
        gate, connection, inquiry = self._security.contexts.gate, handshake.connection, handshake.inquiry
        outcome = gate.advance(connection, inquiry)
        while outcome is Outcome.WANT_READ and handshake.inbox:
            engine.feed(connection, handshake.inbox.popleft())
            outcome = gate.advance(connection, inquiry)
        word, detail = engine.failure_word() if outcome is Outcome.BROKEN else ("peer-closed", "")
        self._flush(handshake)  # the next flight, or the alert
        if outcome is Outcome.DONE:
            self._forget(handshake)
            taken_s = self._clock.monotonic() - handshake.begun
            self._established(handshake, peer_of(connection, inquiry, handshake_s=taken_s))
        elif outcome is Outcome.WANT_READ:
            self._await_bytes(handshake)
        else:
            self._forget(handshake)
            self._security.tell_broken(inquiry, word, detail)

    def _await_bytes(self, handshake: DtlsHandshake) -> None:
        now = self._clock.monotonic()
        self._silent.setdefault(handshake, now)  # a flight sent again does not make the peer less silent
        left = engine.retransmission_timeout_s(handshake.connection)
        handshake.retransmit_at = None if left is None else now + left

    def _retransmit(self, handshake: DtlsHandshake) -> None:
        engine.forget_errors()
        try:
            handshake.connection.DTLSv1_handle_timeout()
        except SSL.Error:
            self._fail(handshake, "handshake-timeout")
            return
        self._flush(handshake)
        self._await_bytes(handshake)

    def _flush(self, handshake: DtlsHandshake) -> None:
        for datagram in datagrams(engine.take_output(handshake.connection), mtu_bytes=self._mtu_bytes):
            self._send(datagram, handshake.raw)

    def _fail(self, handshake: DtlsHandshake, reason: str) -> None:
        self._forget(handshake)
        self._security.tell_failed(handshake.inquiry.address, reason)

    def _forget(self, handshake: DtlsHandshake) -> None:
        self._deadlines.discard(handshake)
        self._silent.pop(handshake, None)
        if self._present.get(handshake.raw) is handshake:
            del self._present[handshake.raw]
