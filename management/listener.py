"""A TCP listener for aiohttp's request handlers that bounds what strangers may hold.

aiohttp's own sites accept any number of connections and wait for a request for ever. Here connections,
handshakes and lifetimes have limits. When all places are taken, the stranger's connection makes room that is the
oldest; but where strangers hold fewer than their share, which is what newcomers need until they are known, that of
somebody proven who asked nothing for the longest time. So neither strangers nor the known keep the others out.
"""

import asyncio
import logging
import socket
import ssl
from collections.abc import Callable
from itertools import islice
from typing import cast

from kernel.log import fields
from management.conversation import Conversation
from management.errors import ManagementPortUnavailable

log = logging.getLogger(__name__)

CONNECTIONS_MAX = 128
HANDSHAKE_MAX_S = 10.0
LIFE_MAX_S = 120.0  # a stranger's, from the handshake to the last answer
PROVEN_LIFE_MAX_S = 3600.0  # of a peer that proved who it is; whoever needs longer connects again
STRANGERS_SHARE = 4  # one place in so many
GOODBYE_MAX_S = 5.0  # for the answer under way when that time is over
ACCEPT_RETRY_S = 0.1  # after the system refused to accept, out of descriptors for one
_BACKLOG = 1024  # a burst of strangers must not make a probe wait for its SYN to be repeated

MakeHandler = Callable[[], Conversation]
MakeContext = Callable[[], ssl.SSLContext | None]


class BoundedListener:
    """Listens on one address and gives every connection a request handler of its own.

    `context` is asked for each connection, so that a new certificate serves from the next handshake on; None
    means plain TCP.
    """

    def __init__(
        self,
        *,
        host: str,
        port: int,
        handler: MakeHandler,
        context: MakeContext,
        connections_max: int = CONNECTIONS_MAX,
        handshake_max_s: float = HANDSHAKE_MAX_S,
        life_max_s: float = LIFE_MAX_S,
        proven_life_max_s: float = PROVEN_LIFE_MAX_S,
        goodbye_max_s: float = GOODBYE_MAX_S,
    ) -> None:
        self._host = host
        self._wanted_port = port
        self._handler = handler
        self._context = context
        self._connections_max = connections_max
        self._handshake_max_s = handshake_max_s
        self._life_max_s = life_max_s
        self._proven_life_max_s = proven_life_max_s
        self._goodbye_max_s = goodbye_max_s
        self._socket: socket.socket | None = None
        self._run: asyncio.Task[None] | None = None
        self._connections: dict[asyncio.Task[None], Conversation] = {}  # oldest first

    @property
    def port(self) -> int:
        """The port listened on, which differs from the one asked for where that was 0."""
        assert self._socket is not None, "not started"
        port: int = self._socket.getsockname()[1]
        return port

    async def start(self) -> None:
        """Listen. Raises ManagementPortUnavailable."""
        loop = asyncio.get_running_loop()
        try:
            found = await loop.getaddrinfo(
                self._host, self._wanted_port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE
            )
            family, _, _, _, address = found[0]
            self._socket = socket.create_server(address[:2], family=family, backlog=_BACKLOG)
        except (OSError, ValueError) as fault:
            says = f"cannot listen on {self._host} port {self._wanted_port}: {fault}"
            raise ManagementPortUnavailable(says) from fault
        self._socket.setblocking(False)
        self._run = asyncio.create_task(self._accept(self._socket), name="management-listener")

    async def close(self) -> None:
        """Stop listening and end what is still open. Safe to repeat."""
        run, self._run = self._run, None
        if run is not None:
            run.cancel()
            await asyncio.gather(run, return_exceptions=True)
        if self._socket is not None:
            self._socket.close()

    async def _accept(self, listening: socket.socket) -> None:
        loop = asyncio.get_running_loop()
        async with asyncio.TaskGroup() as group:
            while True:
                try:
                    accepted, _ = await loop.sock_accept(listening)
                except OSError as fault:
                    log.error("management.accept-failed", extra=fields(reason=str(fault)))
                    await asyncio.sleep(ACCEPT_RETRY_S)
                    continue
                if len(self._connections) >= self._connections_max:
                    self._make_room()
                handler = self._handler()
                task = group.create_task(self._serve(accepted, handler))
                self._connections[task] = handler
                task.add_done_callback(lambda done: self._connections.pop(done, None))
                await asyncio.sleep(0)  # it starts, and from here on closes its socket whatever happens

    def _make_room(self) -> None:
        share = max(1, self._connections_max // STRANGERS_SHARE)
        strangers = list(islice((task for task, one in self._connections.items() if not one.is_proven), share))
        leaving = strangers[0] if len(strangers) == share else min(self._connections, key=self._staying)
        del self._connections[leaving]
        leaving.cancel()

    def _staying(self, task: asyncio.Task[None]) -> tuple[bool, float]:
        """The least of these leaves first: of the proven, whoever asked last the longest time ago."""
        handler = self._connections[task]
        return not handler.is_proven, handler.asked_at

    async def _serve(self, accepted: socket.socket, handler: Conversation) -> None:
        connection = _Connection(handler)
        try:
            await self._connect(accepted, connection)
            if await connection.is_lost_within(self._life_max_s):
                return
            if handler.is_proven and await connection.is_lost_within(self._proven_life_max_s - self._life_max_s):
                return
            handler.close()
            await connection.is_lost_within(self._goodbye_max_s)
        except OSError as fault:  # the peer's own affair: no TLS, reset, too slow
            log.debug("management.connection-failed", extra=fields(reason=str(fault)))
        except Exception:
            log.exception("management.connection-broke")
        finally:
            connection.abort()
            accepted.close()

    async def _connect(self, accepted: socket.socket, connection: "_Connection") -> None:
        loop = asyncio.get_running_loop()
        context = self._context()
        await loop.connect_accepted_socket(
            lambda: connection,
            accepted,
            ssl=context,
            ssl_handshake_timeout=None if context is None else self._handshake_max_s,
        )


class _Connection(asyncio.Protocol):
    """Passes everything on to the handler, and tells when the connection is gone."""

    def __init__(self, handler: Conversation) -> None:
        self._handler = handler
        self._transport: asyncio.Transport | None = None
        self._lost = asyncio.Event()

    async def is_lost_within(self, seconds: float) -> bool:
        """Wait until the connection is gone; False where it is still there after that time."""
        try:
            async with asyncio.timeout(seconds):
                await self._lost.wait()
        except TimeoutError:
            return False
        return True

    def abort(self) -> None:
        if self._transport is not None:
            self._transport.abort()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast("asyncio.Transport", transport)  # uvloop's own classes derive from no other
        self._handler.connection_made(transport)

    def data_received(self, data: bytes) -> None:
        self._handler.data_received(data)

    def eof_received(self) -> None:
        self._handler.eof_received()

    def pause_writing(self) -> None:
        self._handler.pause_writing()

    def resume_writing(self) -> None:
        self._handler.resume_writing()

    def connection_lost(self, exc: Exception | None) -> None:
        self._handler.connection_lost(exc)
        self._lost.set()
