"""Established datagram peers: DTLS associations, and addresses on a plain port.

Both kinds are bounded in number, the one silent longest makes room, and are dropped after `dtls_idle_s`.
The handler hears `closed` once. For a close of its own it hears it from the loop, not from within its call.
"""

import asyncio
import logging
from collections.abc import Sequence
from typing import NamedTuple, Protocol

from OpenSSL import SSL

from adapters.edge import engine
from adapters.edge.deadlines import Deadlines
from adapters.edge.engine import (
    BUFFER_BYTES,
    BUFFER_START,
    BUFFER_TEXT,
    LIB,
    RECORD_MAX_BYTES,
    BIO_read,
    BIO_write,
    Outcome,
    SSL_read,
    SSL_write,
)
from adapters.edge.peer import Peer
from adapters.edge.ports import DatagramHandler
from adapters.edge.records import HEADER_BYTES, ContentType, datagrams
from adapters.edge.sockets import RawAddress, Send
from kernel.clock import Clock
from kernel.log import fields

log = logging.getLogger(__name__)
ERR_clear_error = LIB.ERR_clear_error


class Unwrapped(NamedTuple):
    """What came of a datagram that held anything but one payload."""

    payloads: Sequence[bytes]
    reply: bytes  # to be sent back
    is_there: bool  # whether the peer still is


class Line(Protocol):
    """How datagrams of one association are wrapped and unwrapped."""

    def wrap(self, datagram: bytes) -> bytes | None:
        """What goes on the wire; None where it cannot be sent."""
        ...

    def unwrap(self, datagram: bytes) -> bytes | Unwrapped:
        """The payload inside, where there is just one and nothing else to be done, as nearly always."""
        ...

    def goodbye(self) -> bytes: ...


class PlainLine:
    """No wrapping."""

    __slots__ = ()

    def wrap(self, datagram: bytes) -> bytes | None:
        return datagram

    def unwrap(self, datagram: bytes) -> bytes:
        return datagram

    def goodbye(self) -> bytes:
        return b""


class DtlsLine:
    """DTLS, after its handshake."""

    __slots__ = ("_connection",)

    def __init__(self, *, connection: SSL.Connection) -> None:
        self._connection = connection

    def wrap(self, datagram: bytes) -> bytes | None:
        connection, size = self._connection, len(datagram)
        if size > RECORD_MAX_BYTES or SSL_write(connection._ssl, datagram, size) <= 0:
            engine.forget_errors()
            return None
        count: int = BIO_read(connection._from_ssl, BUFFER_START, BUFFER_BYTES)
        return BUFFER_TEXT[:count] if count > 0 else None

    def unwrap(self, datagram: bytes) -> bytes | Unwrapped:
        connection = self._connection
        ERR_clear_error()  # what somebody left would be read as this datagram's failure
        BIO_write(connection._into_ssl, datagram, len(datagram))
        count: int = SSL_read(connection._ssl, BUFFER_START, RECORD_MAX_BYTES)
        payload: bytes = BUFFER_TEXT[:count] if count > 0 else b""
        if count > 0 and len(datagram) == HEADER_BYTES + (datagram[11] << 8 | datagram[12]):
            return payload  # of the only record: no need to ask for a second
        payloads = []
        while count > 0:
            payloads.append(payload)
            count, payload = engine.read_record(connection)
        is_there = engine.outcome_of(connection, count) is Outcome.WANT_READ
        engine.forget_errors()
        if datagram[0] == ContentType.APPLICATION_DATA and is_there:
            return Unwrapped(payloads, b"", True)
        return Unwrapped(payloads, engine.take_output(connection), is_there)  # our last flight again, where it was lost

    def goodbye(self) -> bytes:
        engine.say_goodbye(self._connection)
        return engine.take_output(self._connection)


class DatagramAssociation:
    """Implements `Association`."""

    __slots__ = ("__weakref__", "_owner", "_transmit", "line", "peer", "raw", "tag")

    def __init__(
        self, *, peer: Peer, raw: RawAddress, line: Line, tag: bytes, owner: "Associations", transmit: Send
    ) -> None:
        self.peer = peer
        self.raw = raw
        self.line: Line | None = line  # None: closed
        self.tag = tag  # DTLS: the client random of the hello that led here
        self._owner = owner
        self._transmit = transmit

    def send(self, datagram: bytes) -> None:
        line = self.line
        if line is None:
            return
        wrapped = line.wrap(datagram)
        if wrapped is None:
            log.warning("datagram.unsendable", extra=fields(remote=str(self.peer.address), bytes=len(datagram)))
        else:
            self._transmit(wrapped, self.raw)

    def close(self) -> None:
        self._owner.close_one(self)


class Associations:
    """All of them at one port, by address."""

    def __init__(
        self, *, clock: Clock, handler: DatagramHandler, send: Send, mtu_bytes: int, peers_max: int, idle_s: float
    ) -> None:
        self._clock = clock
        self._handler = handler
        self._send = send
        self._mtu_bytes = mtu_bytes
        self._peers_max = peers_max
        self._present: dict[RawAddress, DatagramAssociation] = {}
        self.find = self._present.get  # a method of the dict itself: asked for every datagram
        self._idle: Deadlines[DatagramAssociation] = Deadlines(after_s=idle_s)

    def __len__(self) -> int:
        return len(self._present)

    def open(self, *, peer: Peer, raw: RawAddress, line: Line, tag: bytes = b"") -> DatagramAssociation:
        """Take a peer in. One of the same address is replaced, without a goodbye: its successor would read it."""
        replaced = self._present.get(raw)
        if replaced is not None:
            self._forget(replaced)
            self._tell_closed(replaced)
        elif len(self._present) >= self._peers_max and (idle := self._idle.oldest()) is not None:
            self._dismiss(idle)
        association = DatagramAssociation(peer=peer, raw=raw, line=line, tag=tag, owner=self, transmit=self._send)
        self._present[raw] = association
        self._idle.touch(association, self._clock.monotonic())
        try:
            self._handler.opened(association)
        except Exception as fault:
            self._drop_defective(association, fault)
        return association

    def receive(self, association: DatagramAssociation, datagram: bytes) -> None:
        """Unwrap a datagram and hand its payloads on. Only what is genuine counts as a sign of life."""
        line = association.line
        if line is None:
            return
        unwrapped = line.unwrap(datagram)
        if isinstance(unwrapped, bytes):
            self._deliver(association, unwrapped)
            return
        for payload in unwrapped.payloads:
            if association.line is None:
                return
            self._deliver(association, payload)
        if unwrapped.reply:
            self._transmit(unwrapped.reply, association.raw)
        if not unwrapped.is_there:
            self._dismiss(association)

    def _deliver(self, association: DatagramAssociation, payload: bytes) -> None:
        self._idle.touch(association, self._clock.monotonic())
        try:
            self._handler.received(association, payload)
        except Exception as fault:
            self._drop_defective(association, fault)

    def close_one(self, association: DatagramAssociation) -> None:
        """At the handler's own wish."""
        if self._part(association):
            asyncio.get_running_loop().call_soon(self._tell_closed, association)

    def expire(self, now: float) -> None:
        for association in self._idle.take_due(now):
            self._dismiss(association)

    def close(self) -> None:
        for association in self._idle.take_all():
            self._dismiss(association)

    def _drop_defective(self, association: DatagramAssociation, fault: Exception) -> None:
        log.error("datagram.handler-failed", exc_info=fault, extra=fields(remote=str(association.peer.address)))
        self._dismiss(association)

    def _dismiss(self, association: DatagramAssociation) -> None:
        if self._part(association):
            self._tell_closed(association)

    def _part(self, association: DatagramAssociation) -> bool:
        line = association.line
        if line is None:
            return False
        self._transmit(line.goodbye(), association.raw)
        self._forget(association)
        return True

    def _forget(self, association: DatagramAssociation) -> None:
        association.line = None
        self._idle.discard(association)
        if self._present.get(association.raw) is association:
            del self._present[association.raw]

    def _tell_closed(self, association: DatagramAssociation) -> None:
        try:
            self._handler.closed(association)
        except Exception:
            log.exception("datagram.handler-failed", extra=fields(remote=str(association.peer.address)))

    def _transmit(self, records: bytes, raw: RawAddress) -> None:
        for datagram in datagrams(records, mtu_bytes=self._mtu_bytes):
            self._send(datagram, raw)
