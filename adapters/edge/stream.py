"""One established TCP connection: the same for TLS and for plain TCP, over a line.

    open ── close() ──► flushing ── all sent ──► gone (the socket is left to the farewells)
      └───── fault, abort(), or the flush takes too long ─────► gone

What the handler writes while it receives leaves as one, when it returns: ten acknowledgements are one record
and one system call. The handler hears `lost` exactly once, from the loop and never from within a call of its
own. A fault of the handler is a defect: logged with its traceback, and this one connection is dropped.
"""

import asyncio
import logging
import socket
from collections.abc import Callable
from typing import Final, Protocol

from adapters.edge.engine import INTAKE
from adapters.edge.errors import ConnectionFault, PeerVanished
from adapters.edge.lines import Line
from adapters.edge.outlet import Outlet
from adapters.edge.peer import Peer
from adapters.edge.poller import READABLE, WRITABLE, Poller
from adapters.edge.ports import StreamHandler
from kernel.log import fields

log = logging.getLogger(__name__)

_OPEN: Final = 0
_FLUSHING: Final = 1
_GONE: Final = 2


class StreamOwner(Protocol):
    """Who keeps the count of streams and of those about to close."""

    def is_closing(self, stream: "SocketStream") -> None:
        """The stream waits for its peer to take what is held; to be aborted if that takes too long."""
        ...

    def is_gone(self, stream: "SocketStream", sock: socket.socket, *, said_goodbye: bool) -> None:
        """The stream is done with its socket; whoever owns it must see it off, or have it forgotten and close it."""
        ...


class SocketStream:
    """Implements `Stream`. Make it, then `begin`."""

    __slots__ = (
        "__weakref__", "_corked", "_early", "_fd", "_handler", "_has_ended", "_is_corked", "_is_paused", "_is_reading",
        "_line", "_loop", "_outlet", "_owner", "_poller", "_socket", "_state", "peer",
    )  # fmt: skip

    def __init__(
        self,
        *,
        sock: socket.socket,
        line: Line,
        peer: Peer,
        write_buffer_max_bytes: int,
        owner: StreamOwner,
        poller: Poller,
    ) -> None:
        self.peer = peer
        self._loop = asyncio.get_running_loop()
        self._poller = poller
        self._socket = sock
        self._fd = sock.fileno()
        self._line: Line | None = line
        self._outlet = Outlet(sock=sock, held_max_bytes=write_buffer_max_bytes)
        self._owner = owner
        self._handler: StreamHandler | None = None
        self._is_corked = False
        self._corked: list[bytes] | None = None  # plain, waits for the handler to return
        self._early = b""
        self._state: int = _OPEN
        self._is_paused = False
        self._has_ended = False  # the peer has said goodbye, and the handler knows
        self._is_reading = True  # open, not paused, not ended

    def begin(self, make_handler: Callable[[], StreamHandler], *, unsent: bytes = b"", early: bytes = b"") -> None:
        """Make the handler, tell it, and read. `unsent` goes on the wire first; `early` is already received.

        Raises OSError where the socket cannot be watched; it is the caller's then.
        """
        self._poller.watch(self._fd, self._on_ready)
        self._early = early
        try:
            if unsent:
                self._put_on_wire(unsent)
            handler = self._handler = make_handler()
            self._is_corked = True
            handler.connected(self)
            self._uncork()
            self._read_on()
        except Exception as fault:
            self._drop(fault)

    @property
    def is_closing(self) -> bool:
        return self._state != _OPEN

    def write(self, data: bytes) -> None:
        if self._state != _OPEN or not data:
            return
        if self._is_corked:
            if self._corked is None:
                self._corked = [data]
            else:
                self._corked.append(data)
            return
        try:
            self._transmit(data)
        except ConnectionFault as fault:
            self._drop(fault)

    def close(self) -> None:
        if self._state != _OPEN:
            return
        self._state = _FLUSHING
        self._is_reading = False
        if not self._is_corked:
            self._say_goodbye()

    def abort(self) -> None:
        if self._state != _GONE:
            self._leave(None, said_goodbye=False)

    def pause_reading(self) -> None:
        self._is_paused = True
        self._is_reading = False  # the poller is told when something comes meanwhile

    def resume_reading(self) -> None:
        if not self._is_paused:
            return
        self._is_paused = False
        line = self._line
        if line is not None and (self._early or line.is_stirred):
            self._loop.call_soon(self._read_on)  # until then nobody reads: what waits here came first
        else:
            self._read_on()

    def _read_on(self) -> None:
        """From now on, and first what came with the handshake, or waits for a paused handler to go on."""
        line, handler = self._line, self._handler
        if line is None or handler is None or self._state != _OPEN or self._is_paused or self._has_ended:
            return
        try:
            self._is_reading = True
            self._tell_poller()
            if self._early:
                data, self._early = self._early, b""
                self._is_corked = True
                handler.received(data)
                self._uncork()
            if line.is_stirred:
                self._on_stirred(line)
        except Exception as fault:
            self._drop(fault)

    def _on_ready(self, events: int) -> None:
        if (events != READABLE or not self._is_reading) and not self._is_to_read(events):
            return
        line, handler = self._line, self._handler
        if line is None or handler is None:
            return
        try:
            try:
                count = self._socket.recv_into(INTAKE)
            except (BlockingIOError, InterruptedError):
                return
            except OSError as fault:
                self._drop(PeerVanished(f"connection lost: {fault.strerror}"))
                return
            if count == 0:
                line.cut()
            elif data := line.unwrap(count):
                self._is_corked = True
                handler.received(data)
                if self._corked is None and self._state == _OPEN:
                    self._is_corked = False
                else:
                    self._uncork()
            if line.is_stirred:
                self._on_stirred(line)
        except Exception as fault:
            self._drop(fault)

    def _is_to_read(self, events: int) -> bool:
        """Whether to read, at a moment that is out of the ordinary: one to write, a failure, or nobody reads."""
        if self._outlet.held is not None and events != READABLE:
            self._on_writable()
        if self._is_reading:
            return events != WRITABLE
        if events != WRITABLE and self._state != _GONE:
            self._tell_poller()  # or the loop would spin
        return False

    def _tell_poller(self) -> None:
        wanted = READABLE if self._is_reading else 0
        self._poller.want(self._fd, wanted if self._outlet.held is None else wanted | WRITABLE)

    def _on_stirred(self, line: Line) -> None:
        """The line has something to say itself, has ended, or is broken."""
        if not self._is_reading:
            return
        if reply := line.reply():
            self._put_on_wire(reply)
        if line.fault is not None:
            self._drop(line.fault)
        elif line.is_ended:
            self._on_ended()

    def _on_ended(self) -> None:
        handler = self._handler
        assert handler is not None
        self._has_ended = True
        self._is_reading = False
        self._is_corked = True
        has_more_to_say = handler.ended()
        self._uncork()
        if not has_more_to_say:
            self.close()

    def _uncork(self) -> None:
        """The handler has returned: what it wrote goes out as one, then the goodbye if it closed."""
        corked, self._corked = self._corked, None
        self._is_corked = False
        if self._state == _GONE:
            return
        if corked is not None:
            self._transmit(corked[0] if len(corked) == 1 else b"".join(corked))
        if self._state == _FLUSHING:
            self._say_goodbye()

    def _transmit(self, data: bytes) -> None:
        """Raises ConnectionFault."""
        line, outlet = self._line, self._outlet
        assert line is not None
        if outlet.held is not None:
            outlet.check(len(data))
        if not outlet.send(line.wrap(data)):
            self._tell_poller()

    def _put_on_wire(self, wire: bytes) -> None:
        """Raises ConnectionFault."""
        if not self._outlet.send(wire):
            self._tell_poller()

    def _on_writable(self) -> None:
        try:
            if not self._outlet.go_on():
                return
        except ConnectionFault as fault:
            self._drop(fault)
            return
        if self._state == _FLUSHING:
            self._leave(None, said_goodbye=True)
        else:
            self._tell_poller()

    def _say_goodbye(self) -> None:
        line = self._line
        if line is None:
            return
        try:
            is_gone = self._outlet.send_last(line.goodbye())
        except ConnectionFault as fault:
            self._drop(fault)
            return
        if is_gone:
            self._leave(None, said_goodbye=True)
        else:
            self._tell_poller()
            self._owner.is_closing(self)

    def _drop(self, fault: Exception) -> None:
        """End it: for a fault of the connection, or of the handler, which is a defect."""
        if not isinstance(fault, ConnectionFault):
            log.error("stream.handler-failed", exc_info=fault, extra=fields(remote=str(self.peer.address)))
        if self._state != _GONE:
            self._leave(None if self._state == _FLUSHING else fault, said_goodbye=False)

    def _leave(self, fault: Exception | None, *, said_goodbye: bool) -> None:
        line = self._line
        has_ended = self._has_ended or (line is not None and line.is_ended)  # whom would a farewell wait for?
        self._state = _GONE
        self._is_reading = False
        self._line = self._outlet.held = None  # OpenSSL's memory goes with the line
        self._owner.is_gone(self, self._socket, said_goodbye=said_goodbye and not has_ended)
        self._loop.call_soon(self._tell_lost, fault)

    def _tell_lost(self, fault: Exception | None) -> None:
        handler, self._handler = self._handler, None
        if handler is None:
            return
        try:
            handler.lost(fault)
        except Exception:
            log.exception("stream.handler-failed", extra=fields(remote=str(self.peer.address)))
