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
from enum import Enum
from typing import Protocol

from adapters.edge.engine import INTAKE
from adapters.edge.errors import ConnectionFault, PeerDoesNotRead, PeerVanished
from adapters.edge.lines import Line
from adapters.edge.peer import Peer
from adapters.edge.ports import StreamHandler
from kernel.log import fields

log = logging.getLogger(__name__)


class StreamOwner(Protocol):
    """Who keeps the count of streams and of those about to close."""

    def is_closing(self, stream: "SocketStream") -> None:
        """The stream flushes; to be aborted if that takes too long."""
        ...

    def is_gone(self, stream: "SocketStream", sock: socket.socket, *, said_goodbye: bool) -> None:
        """The stream is done with its socket; whoever owns it must see it off or close it."""
        ...


class _State(Enum):
    OPEN = "open"
    FLUSHING = "flushing"
    GONE = "gone"


class SocketStream:
    """Implements `Stream`. Make it, then `begin`."""

    __slots__ = (
        "__weakref__", "_corked", "_early", "_fd", "_handler", "_has_ended", "_held", "_line", "_loop", "_owner",
        "_paused", "_socket", "_state", "_write_buffer_max_bytes", "peer",
    )  # fmt: skip

    def __init__(
        self, *, sock: socket.socket, line: Line, peer: Peer, write_buffer_max_bytes: int, owner: StreamOwner
    ) -> None:
        self.peer = peer
        self._loop = asyncio.get_running_loop()
        self._socket = sock
        self._fd = sock.fileno()
        self._line: Line | None = line
        self._write_buffer_max_bytes = write_buffer_max_bytes
        self._owner = owner
        self._handler: StreamHandler | None = None
        self._held: bytearray | None = None  # wrapped, waits for the socket
        self._corked: list[bytes] | None = None  # plain, waits for the handler to return
        self._early = b""
        self._state = _State.OPEN
        self._paused = False
        self._has_ended = False  # the peer has said goodbye, and the handler knows

    def begin(self, make_handler: Callable[[], StreamHandler], *, unsent: bytes = b"", early: bytes = b"") -> None:
        """Make the handler, tell it, and read. `unsent` goes on the wire first; `early` is already received."""
        self._loop.add_reader(self._fd, self._on_readable)
        self._early = early
        try:
            if unsent:
                self._put_on_wire(unsent)
            handler = self._handler = make_handler()
            self._corked = []
            handler.connected(self)
            self._uncork()
            self._deliver_early()
        except Exception as fault:
            self._drop(fault)

    @property
    def is_closing(self) -> bool:
        return self._state is not _State.OPEN

    def write(self, data: bytes) -> None:
        if self._state is not _State.OPEN or not data:
            return
        if self._corked is not None:
            self._corked.append(data)
            return
        try:
            self._transmit(data)
        except ConnectionFault as fault:
            self._drop(fault)

    def close(self) -> None:
        if self._state is not _State.OPEN:
            return
        self._state = _State.FLUSHING
        self._loop.remove_reader(self._fd)
        self._owner.is_closing(self)
        if self._corked is None:
            self._say_goodbye()

    def abort(self) -> None:
        if self._state is not _State.GONE:
            self._leave(None, said_goodbye=False)

    def pause_reading(self) -> None:
        if not self._paused:
            self._paused = True
            if self._state is _State.OPEN and not self._has_ended:
                self._loop.remove_reader(self._fd)

    def resume_reading(self) -> None:
        if not self._paused:
            return
        self._paused = False
        if self._state is _State.OPEN and not self._has_ended:
            self._loop.add_reader(self._fd, self._on_readable)
            self._loop.call_soon(self._deliver_early)

    def _on_readable(self) -> None:
        line = self._line
        if line is None or self._state is not _State.OPEN or self._paused:
            return
        try:
            try:
                count = self._socket.recv_into(INTAKE)
            except (BlockingIOError, InterruptedError):
                return
            if count == 0:
                self._on_cut(line)
                return
            data = line.unwrap(count)
            if data:
                self._deliver(data)
            if line.may_reply or line.is_ended or line.fault is not None:
                self._on_housekeeping(line)
        except OSError as fault:
            self._drop(PeerVanished(f"connection lost: {fault.strerror}"))
        except Exception as fault:
            self._drop(fault)

    def _deliver(self, data: bytes) -> None:
        handler = self._handler
        assert handler is not None
        self._corked = []
        handler.received(data)
        self._uncork()

    def _deliver_early(self) -> None:
        """What came with the handshake, or waits for a paused handler to go on."""
        line = self._line
        if line is None or self._paused or self._state is not _State.OPEN:
            return
        try:
            if self._early:
                data, self._early = self._early, b""
                self._deliver(data)
            self._on_housekeeping(line)
        except Exception as fault:
            self._drop(fault)

    def _on_housekeeping(self, line: Line) -> None:
        """The line has something to say itself, has ended, or is broken."""
        if self._state is not _State.OPEN or self._paused:
            return
        if reply := line.reply():
            self._put_on_wire(reply)
        if line.fault is not None:
            self._drop(line.fault)
        elif line.is_ended and not self._has_ended:
            self._on_ended()

    def _on_cut(self, line: Line) -> None:
        fault = line.cut()
        if fault is None:
            self._on_ended()
        else:
            self._drop(fault)

    def _on_ended(self) -> None:
        handler = self._handler
        assert handler is not None
        self._has_ended = True
        self._loop.remove_reader(self._fd)
        self._corked = []
        has_more_to_say = handler.ended()
        self._uncork()
        if not has_more_to_say:
            self.close()

    def _uncork(self) -> None:
        """The handler has returned: what it wrote goes out as one, then the goodbye if it closed."""
        corked, self._corked = self._corked, None
        if self._state is _State.GONE:
            return
        if corked:
            self._transmit(corked[0] if len(corked) == 1 else b"".join(corked))
        if self._state is _State.FLUSHING:
            self._say_goodbye()

    def _transmit(self, data: bytes) -> None:
        line = self._line
        assert line is not None
        held_bytes = 0 if self._held is None else len(self._held)
        if held_bytes + len(data) > self._write_buffer_max_bytes and held_bytes:
            raise PeerDoesNotRead(f"the peer leaves more than {self._write_buffer_max_bytes} bytes unread")
        self._put_on_wire(line.wrap(data))

    def _put_on_wire(self, wire: bytes) -> None:
        """Send it, or hold it for a peer that does not read. Raises PeerDoesNotRead where that is too much."""
        self._send_or_hold(wire)
        if self._held is not None and len(self._held) > self._write_buffer_max_bytes:
            raise PeerDoesNotRead(f"the peer leaves more than {self._write_buffer_max_bytes} bytes unread")

    def _send_or_hold(self, wire: bytes) -> None:
        if self._held is not None:
            self._held += wire
            return
        try:
            sent = self._socket.send(wire)
        except (BlockingIOError, InterruptedError):
            sent = 0
        except OSError as fault:
            raise PeerVanished(f"connection lost: {fault.strerror}") from fault
        if sent < len(wire):
            self._held = bytearray(memoryview(wire)[sent:])
            self._loop.add_writer(self._fd, self._on_writable)

    def _on_writable(self) -> None:
        held = self._held
        if held is None:
            return
        try:
            sent = self._socket.send(held)
        except (BlockingIOError, InterruptedError):
            return
        except OSError as fault:
            self._drop(PeerVanished(f"connection lost: {fault.strerror}"))
            return
        if sent < len(held):
            del held[:sent]
            return
        self._held = None
        self._loop.remove_writer(self._fd)
        if self._state is _State.FLUSHING:
            self._leave(None, said_goodbye=True)

    def _say_goodbye(self) -> None:
        line = self._line
        if line is None:
            return
        try:
            if goodbye := line.goodbye():
                self._send_or_hold(goodbye)  # said once, so it needs no bound
        except ConnectionFault as fault:
            self._drop(fault)
            return
        if self._held is None:
            self._leave(None, said_goodbye=True)

    def _drop(self, fault: Exception) -> None:
        """End it: for a fault of the connection, or of the handler, which is a defect."""
        if not isinstance(fault, ConnectionFault):
            log.error("stream.handler-failed", exc_info=fault, extra=fields(remote=str(self.peer.address)))
        if self._state is not _State.GONE:
            self._leave(None if self._state is _State.FLUSHING else fault, said_goodbye=False)

    def _leave(self, fault: Exception | None, *, said_goodbye: bool) -> None:
        self._state = _State.GONE
        self._loop.remove_reader(self._fd)
        self._loop.remove_writer(self._fd)
        self._line = self._held = None  # OpenSSL's memory goes with the line
        self._owner.is_gone(self, self._socket, said_goodbye=said_goodbye and not self._has_ended)
        self._loop.call_soon(self._tell_lost, fault)

    def _tell_lost(self, fault: Exception | None) -> None:
        handler, self._handler = self._handler, None
        if handler is None:
            return
        try:
            handler.lost(fault)
        except Exception:
            log.exception("stream.handler-failed", extra=fields(remote=str(self.peer.address)))
