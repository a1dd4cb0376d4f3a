"""One established TCP connection: the same for TLS and for plain TCP, over a channel.

    open ── close() ──► flushing ── all sent ──► gone (the socket is left to the farewells)
      └───── fault, abort(), or the flush takes too long ─────► gone

The handler hears `lost` exactly once, from the loop and never from within a call of its own. A fault of the
handler is a defect: logged with its traceback, and this one connection is dropped.
"""

import asyncio
import logging
import socket
from collections.abc import Callable
from enum import Enum
from typing import Protocol

from adapters.edge.channels import Channel
from adapters.edge.errors import ConnectionFault, PeerDoesNotRead
from adapters.edge.peer import Peer
from adapters.edge.ports import StreamHandler
from kernel.log import fields

log = logging.getLogger(__name__)

_RECORDS_PER_TURN = 8  # then everyone else gets to read


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
        "__weakref__", "_channel", "_ended", "_fd", "_handler", "_held", "_loop", "_owner", "_paused", "_socket",
        "_state", "_writes_blocked", "_write_buffer_max_bytes", "peer",
    )  # fmt: skip

    def __init__(
        self, *, sock: socket.socket, channel: Channel, peer: Peer, write_buffer_max_bytes: int, owner: StreamOwner
    ) -> None:
        self.peer = peer
        self._loop = asyncio.get_running_loop()
        self._socket = sock
        self._fd = sock.fileno()
        self._channel: Channel | None = channel
        self._write_buffer_max_bytes = write_buffer_max_bytes
        self._owner = owner
        self._handler: StreamHandler | None = None
        self._held: bytearray | None = None
        self._state = _State.OPEN
        self._paused = False
        self._ended = False  # the peer has said goodbye
        self._writes_blocked = False

    def begin(self, make_handler: Callable[[], StreamHandler]) -> None:
        """Make the handler, tell it, and start to read."""
        self._loop.add_reader(self._fd, self._on_readable)
        try:
            handler = self._handler = make_handler()
            handler.connected(self)
        except Exception as fault:
            self._drop_defective(fault)

    @property
    def is_closing(self) -> bool:
        return self._state is not _State.OPEN

    def write(self, data: bytes) -> None:
        if self._state is not _State.OPEN or not data:
            return
        channel = self._channel
        assert channel is not None
        taken = 0
        if self._held is None:
            try:
                taken = channel.write(data)
            except ConnectionFault as fault:
                self._drop(fault)
                return
            if taken == len(data):
                return
            self._held = bytearray()
        if len(self._held) + len(data) - taken > self._write_buffer_max_bytes:
            self._drop(PeerDoesNotRead(f"the peer leaves more than {self._write_buffer_max_bytes} bytes unread"))
            return
        self._held += memoryview(data)[taken:]
        self._wait_for_room()

    def close(self) -> None:
        if self._state is not _State.OPEN:
            return
        self._state = _State.FLUSHING
        self._loop.remove_reader(self._fd)
        self._owner.is_closing(self)
        self._flush()

    def abort(self) -> None:
        if self._state is not _State.GONE:
            self._leave(None, said_goodbye=False)

    def pause_reading(self) -> None:
        if not self._paused:
            self._paused = True
            if self._state is _State.OPEN and not self._ended:
                self._loop.remove_reader(self._fd)

    def resume_reading(self) -> None:
        if not self._paused:
            return
        self._paused = False
        if self._state is _State.OPEN and not self._ended:
            assert self._channel is not None
            self._loop.add_reader(self._fd, self._on_readable)
            if self._channel.pending_bytes():
                self._loop.call_soon(self._on_readable)

    def _on_readable(self) -> None:
        channel, handler = self._channel, self._handler
        try:
            for _ in range(_RECORDS_PER_TURN):
                if self._paused or self._ended or self._state is not _State.OPEN:
                    return
                assert channel is not None and handler is not None
                data = channel.read()
                if data:
                    handler.received(data)
                elif data is None:
                    self._on_ended(handler)
                    return
                else:
                    break
            else:
                self._read_on(channel)
            if self._held is not None and self._state is _State.OPEN:
                self._flush()  # TLS may have waited for the peer's bytes in order to write
        except ConnectionFault as fault:
            self._drop(fault)
        except Exception as fault:
            self._drop_defective(fault)

    def _read_on(self, channel: Channel | None) -> None:
        if self._state is _State.OPEN and channel is not None and channel.pending_bytes():
            self._loop.call_soon(self._on_readable)

    def _on_ended(self, handler: StreamHandler) -> None:
        self._ended = True
        self._loop.remove_reader(self._fd)
        handler.ended()
        self.close()

    def _wait_for_room(self) -> None:
        if not self._writes_blocked:
            self._writes_blocked = True
            self._loop.add_writer(self._fd, self._flush)

    def _flush(self) -> None:
        channel = self._channel
        if channel is None:
            return
        try:
            while self._held is not None:
                taken = channel.write(self._held)
                if taken == 0:
                    self._wait_for_room()
                    return
                if taken == len(self._held):
                    self._held = None
                else:
                    del self._held[:taken]
            if self._state is _State.FLUSHING and not channel.say_goodbye():
                self._wait_for_room()
                return
        except ConnectionFault as fault:
            self._drop(fault)
            return
        if self._state is _State.FLUSHING:
            self._leave(None, said_goodbye=True)
        elif self._writes_blocked:
            self._writes_blocked = False
            self._loop.remove_writer(self._fd)

    def _drop(self, fault: ConnectionFault) -> None:
        if self._state is not _State.GONE:
            self._leave(None if self._state is _State.FLUSHING else fault, said_goodbye=False)

    def _drop_defective(self, fault: Exception) -> None:
        log.error("stream.handler-failed", exc_info=fault, extra=fields(remote=str(self.peer.address)))
        if self._state is not _State.GONE:
            self._leave(fault, said_goodbye=False)

    def _leave(self, fault: Exception | None, *, said_goodbye: bool) -> None:
        self._state = _State.GONE
        self._loop.remove_reader(self._fd)
        self._loop.remove_writer(self._fd)
        self._channel = self._held = None  # OpenSSL's memory goes before the socket does
        self._owner.is_gone(self, self._socket, said_goodbye=said_goodbye and not self._ended)
        self._loop.call_soon(self._tell_lost, fault)

    def _tell_lost(self, fault: Exception | None) -> None:
        handler, self._handler = self._handler, None
        if handler is None:
            return
        try:
            handler.lost(fault)
        except Exception:
            log.exception("stream.handler-failed", extra=fields(remote=str(self.peer.address)))
