"""A TCP port: accepting, the bounds on who may come in, and the count of who is there.

    accepted ──► arrivals (TLS handshake) ──► streams ──► farewells
        └────────── plain port ──────────────┘

Everything runs in callbacks of the loop; there is no task per connection, and one sweep serves all deadlines.
"""

import asyncio
import errno
import logging
import socket

from adapters.edge.arrivals import Arrivals
from adapters.edge.deadlines import Deadlines, Sweep
from adapters.edge.farewells import Farewells
from adapters.edge.lines import Line, PlainLine, TlsLine
from adapters.edge.peer import Address, Peer
from adapters.edge.poller import READABLE, Poller
from adapters.edge.ports import StreamHandlerFactory
from adapters.edge.security import Security
from adapters.edge.sockets import accepted, address_of, listening_socket
from adapters.edge.stream import SocketStream
from adapters.edge.tls import Transport
from adapters.edge.turns import Turns
from conf.edge import EdgeSettings
from kernel.clock import Clock
from kernel.log import fields

log = logging.getLogger(__name__)

_ACCEPTS_PER_TURN = 32
_OUT_OF_RESOURCES = frozenset({errno.EMFILE, errno.ENFILE, errno.ENOBUFS, errno.ENOMEM})


class StreamListener:
    """One TCP port. Without `security` it is plain. `start` once, `close` once; `close` may follow any state."""

    def __init__(
        self,
        *,
        host: str,
        port: int,
        settings: EdgeSettings,
        clock: Clock,
        turns: Turns,
        handler_factory: StreamHandlerFactory,
        security: Security | None = None,
        reuse_port: bool = False,
    ) -> None:
        self._host = host
        self._asked_port = port
        self._settings = settings
        self._clock = clock
        self._handler_factory = handler_factory
        self._reuse_port = reuse_port
        self._socket: socket.socket | None = None
        self._port: int | None = None
        self._family = 0
        self._is_accepting = False
        self._accepts = 1  # per turn
        self._accepted_in = 0  # the poller's turn
        self._turned_away = 0
        self._poller = Poller()
        self._streams: set[SocketStream] = set()
        self._closing: Deadlines[SocketStream] = Deadlines(after_s=settings.close_deadline_s)
        self._farewells = Farewells(poller=self._poller, within_s=settings.close_deadline_s)
        self._arrivals = None if security is None else self._make_arrivals(security, turns)
        self._sweep = Sweep(clock=clock, checks=(self._expire,))
        self._emptied: asyncio.Event | None = None

    async def start(self) -> None:
        """Bind and accept. Raises OSError where the address cannot be had."""
        self._socket = await listening_socket(
            self._host, self._asked_port, backlog=self._settings.accept_backlog, reuse_port=self._reuse_port
        )
        self._port = self._socket.getsockname()[1]
        self._family = int(self._socket.family)
        self._poller.start()
        self._poller.watch(self._socket.fileno(), self._on_acceptable)
        self._is_accepting = True
        self._sweep.start()

    @property
    def port(self) -> int:
        """The port really bound."""
        if self._port is None:
            raise RuntimeError("the listener is not started")
        return self._port

    @property
    def connections(self) -> int:
        """Peers connected now, their handshakes done."""
        return len(self._streams)

    @property
    def handshakes(self) -> int:
        """Peers in their handshake now."""
        return 0 if self._arrivals is None else len(self._arrivals)

    def stop_accepting(self) -> None:
        """Let nobody new in: the port is free again. Handshakes and connections go on. Safe to repeat."""
        if self._socket is not None:
            self._is_accepting = False
            self._poller.forget(self._socket.fileno())
            self._socket.close()
            self._socket = None

    async def close(self) -> None:
        """Close everything: connections are flushed and told goodbye, within `close_deadline_s`, then dropped."""
        self.stop_accepting()
        if self._arrivals is not None:
            self._arrivals.close()
        for stream in list(self._streams):
            stream.close()
        await self._wait_until_empty()
        for stream in list(self._streams):
            stream.abort()
        self._farewells.close()
        self._poller.close()
        self._sweep.stop()
        await asyncio.sleep(0)  # handlers hear `lost` on the loop's next turn

    def is_closing(self, stream: SocketStream) -> None:
        self._closing.touch(stream, self._clock.monotonic())

    def is_gone(self, stream: SocketStream, sock: socket.socket, *, said_goodbye: bool) -> None:
        self._streams.discard(stream)
        self._closing.discard(stream)
        if said_goodbye:
            self._farewells.see_off(sock, self._clock.monotonic())
        else:
            self._poller.forget(sock.fileno())
            sock.close()
        if self._emptied is not None and not self._streams:
            self._emptied.set()

    async def _wait_until_empty(self) -> None:
        if not self._streams:
            return
        self._emptied = asyncio.Event()
        try:
            async with asyncio.timeout(self._settings.close_deadline_s):
                await self._emptied.wait()
        except TimeoutError:
            log.info("listener.dropped-connections", extra=fields(connections=len(self._streams)))

    def _make_arrivals(self, security: Security, turns: Turns) -> Arrivals:
        security.context(Transport.STREAM)  # a fault of the certificate shows now, not at the first peer
        return Arrivals(
            clock=self._clock,
            poller=self._poller,
            turns=turns,
            security=security,
            farewells=self._farewells,
            established=self._established,
            left=self._resume,
            handshakes_max=self._settings.handshakes_max,
            handshake_deadline_s=self._settings.handshake_deadline_s,
        )

    def _resume(self) -> None:
        """Accept again after a pause for lack of room."""
        if self._socket is not None and not self._is_accepting:
            self._is_accepting = True
            self._poller.want(self._socket.fileno(), READABLE)

    def _pause(self) -> None:
        if self._socket is not None and self._is_accepting:
            self._is_accepting = False
            self._poller.want(self._socket.fileno(), 0)

    def _expire(self, now: float) -> None:
        if self._arrivals is not None:
            self._arrivals.expire(now)
        self._farewells.expire(now)
        for stream in self._closing.take_due(now):
            stream.abort()
        if self._turned_away:
            log.warning("listener.full", extra=fields(turned_away=self._turned_away, connections=len(self._streams)))
            self._turned_away = 0
        self._resume()

    def _on_acceptable(self, _events: int) -> None:
        if self._socket is None:
            return
        # One, and twice as many with each turn in which there are more: to ask in vain costs as much as a connection.
        turn = self._poller.turns
        self._accepts = min(2 * self._accepts, _ACCEPTS_PER_TURN) if turn == self._accepted_in + 1 else 1
        self._accepted_in = turn
        for _ in range(self._accepts):
            if self._arrivals is not None and not self._arrivals.has_room():
                self._pause()
                return
            try:
                sock, raw = accepted(self._socket, self._family)
            except (BlockingIOError, InterruptedError):
                return
            except OSError as fault:
                if fault.errno in _OUT_OF_RESOURCES:
                    log.error("listener.out-of-resources", extra=fields(detail=fault.strerror))
                    self._pause()
                    return
                continue  # that peer gave up while it was queued
            self._admit(sock, address_of(raw))

    def _admit(self, sock: socket.socket, address: Address) -> None:
        if len(self._streams) + self.handshakes >= self._settings.connections_max:
            self._turned_away += 1
            sock.close()
            return
        try:
            if self._arrivals is not None:
                self._arrivals.add(sock, address)
            else:
                self._open(sock, PlainLine(), Peer(address=address))
        except OSError as fault:
            log.error("listener.out-of-resources", extra=fields(detail=fault.strerror))
            sock.close()

    def _established(self, sock: socket.socket, line: TlsLine, peer: Peer, unsent: bytes, early: bytes) -> None:
        self._open(sock, line, peer, unsent=unsent, early=early)

    def _open(self, sock: socket.socket, line: Line, peer: Peer, *, unsent: bytes = b"", early: bytes = b"") -> None:
        stream = SocketStream(
            sock=sock,
            line=line,
            peer=peer,
            write_buffer_max_bytes=self._settings.write_buffer_max_bytes,
            owner=self,
            poller=self._poller,
        )
        self._streams.add(stream)
        try:
            stream.begin(self._handler_factory, unsent=unsent, early=early)
        except OSError:
            self._streams.discard(stream)
            raise
