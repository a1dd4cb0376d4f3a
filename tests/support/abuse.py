"""Peers that mean no good: bytes of any kind at any moment of a connection, and seeded ways to spoil good bytes.

async with bare_tls(port, context) as peer:     # the handshake is done, by hand
    peer.send(b"garbage")                       # inside TLS
    peer.send_raw(b"garbage")                   # in place of a TLS record
    await peer.leave()                          # close_notify and FIN; the server must close in time
"""

import asyncio
import random
import socket
import ssl
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable, Iterator, Sequence
from contextlib import asynccontextmanager

from OpenSSL import SSL

from tests.support.certificates import Issued
from tests.support.fleet import defects, resident_bytes, serves
from tests.support.gateway import RunningGateway

ENDS_WITHIN_S = 10.0  # how soon the server lets go of whoever has left
AT_ONCE_MAX = 24
MIB = 1 << 20


class BareTls:
    """A TLS client that keeps the wire in its own hands."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, context: ssl.SSLContext) -> None:
        self.reader = reader
        self.writer = writer
        self._incoming, self._outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
        self._tls = context.wrap_bio(self._incoming, self._outgoing, server_hostname="127.0.0.1")

    async def handshake(self) -> None:
        while True:
            try:
                self._tls.do_handshake()
                self._flush()
                return
            except ssl.SSLWantReadError:
                self._flush()
            received = await self.reader.read(65_536)
            if not received:
                raise ConnectionError("closed in the handshake")
            self._incoming.write(received)

    def send(self, data: bytes) -> None:
        self._tls.write(data)
        self._flush()

    def send_raw(self, data: bytes) -> None:
        self.writer.write(data)

    async def leave(self, *, politely: bool = True) -> None:
        """Say that nothing more comes, then wait until the server has closed. Raises TimeoutError if it does not."""
        if politely:
            try:
                self._tls.unwrap()
            except ssl.SSLError:
                pass
            self._flush()
        await until_server_closes(self.reader, self.writer)

    def _flush(self) -> None:
        if pending := self._outgoing.read():
            self.writer.write(pending)


@asynccontextmanager
async def bare_tcp(port: int) -> AsyncIterator[tuple[asyncio.StreamReader, asyncio.StreamWriter]]:
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    try:
        yield reader, writer
    finally:
        writer.transport.abort()
        await asyncio.sleep(0)


@asynccontextmanager
async def bare_tls(port: int, context: ssl.SSLContext) -> AsyncIterator[BareTls]:
    async with bare_tcp(port) as (reader, writer):
        peer = BareTls(reader, writer, context)
        async with asyncio.timeout(ENDS_WITHIN_S):
            await peer.handshake()
        yield peer


@asynccontextmanager
async def crowd(port: int, count: int, say: bytes = b"") -> AsyncIterator[Sequence[socket.socket]]:
    """Connections that are accepted, say this, and nothing more."""
    socks = [socket.socket(socket.AF_INET, socket.SOCK_STREAM) for _ in range(count)]
    loop = asyncio.get_running_loop()
    try:
        for sock in socks:
            sock.setblocking(False)
        async with asyncio.timeout(4):  # nobody's SYN has to be repeated until there is room
            for sock in socks:
                await loop.sock_connect(sock, ("127.0.0.1", port))
                if say:
                    await loop.sock_sendall(sock, say)
        yield socks
    finally:
        for sock in socks:
            sock.close()


async def until_server_closes(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> bytes:
    """FIN, then whatever the server says until it closes."""
    said = b""
    async with asyncio.timeout(ENDS_WITHIN_S):
        try:
            if writer.can_write_eof():
                writer.write_eof()
            while some := await reader.read(65_536):
                said += some
        except OSError:
            pass  # a reset is an end too
    return said


async def speak(port: int, data: bytes) -> bytes:
    """Connect, say this and nothing more; what the server answers before it closes."""
    async with bare_tcp(port) as (reader, writer):
        writer.write(data)
        return await until_server_closes(reader, writer)


async def all_of(attempts: Iterable[Awaitable[object]]) -> None:
    """Carry out every one, some at a time."""
    turns = asyncio.Semaphore(AT_ONCE_MAX)

    async def one(attempt: Awaitable[object]) -> None:
        async with turns:
            await attempt

    await asyncio.gather(*(one(attempt) for attempt in attempts))


def client_hello(context: ssl.SSLContext) -> bytes:
    """The first flight of a TLS client."""
    incoming, outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
    tls = context.wrap_bio(incoming, outgoing, server_hostname="gateway.example.com")
    try:
        tls.do_handshake()
    except ssl.SSLWantReadError:
        pass
    return outgoing.read()


def dtls_hello() -> bytes:
    """The first flight of a DTLS client: one record, without a cookie."""
    context = SSL.Context(SSL.DTLS_CLIENT_METHOD)
    context.set_options(SSL.OP_NO_QUERY_MTU)
    connection = SSL.Connection(context)
    connection.set_connect_state()
    connection.set_ciphertext_mtu(1280)
    try:
        connection.do_handshake()
    except SSL.WantReadError:
        pass
    hello: bytes = connection.bio_read(65_535)
    return hello


def spoiled(good: bytes, count: int, *, seed: int) -> Iterator[bytes]:
    """The bytes with a few things wrong: flipped, cut, doubled, put in, or with a length that lies."""
    chance = random.Random(seed)
    for _ in range(count):
        data = bytearray(good)
        for _ in range(chance.randint(1, 4)):
            at = chance.randrange(len(data) + 1)
            _WRONGS[chance.randrange(len(_WRONGS))](data, at, chance)
        yield bytes(data) or b"\0"


def _flip(data: bytearray, at: int, chance: random.Random) -> None:
    if at < len(data):
        data[at] ^= 1 << chance.randrange(8)


def _cut(data: bytearray, at: int, chance: random.Random) -> None:
    del data[at : at + chance.randint(1, 16)]


def _truncate(data: bytearray, at: int, chance: random.Random) -> None:
    del data[max(1, at) :]


def _double(data: bytearray, at: int, chance: random.Random) -> None:
    data[at:at] = data[at : at + chance.randint(1, 64)]


def _put_in(data: bytearray, at: int, chance: random.Random) -> None:
    data[at:at] = chance.randbytes(chance.randint(1, 32))


def _extreme(data: bytearray, at: int, chance: random.Random) -> None:
    data[at : at + 2] = chance.choice([b"\xff\xff", b"\0\0", b"\x7f\xff", b"\x80\x00"])


_WRONGS: list[Callable[[bytearray, int, random.Random], None]] = [_flip, _cut, _truncate, _double, _put_in, _extreme]


def noise(count: int, *, longest_bytes: int, seed: int, heads: tuple[bytes, ...] = (b"",)) -> Iterator[bytes]:
    """Random bytes of random length, behind one of the heads in turn."""
    chance = random.Random(seed)
    for number in range(count):
        yield heads[number % len(heads)] + chance.randbytes(chance.randint(1, longest_bytes))


@asynccontextmanager
async def unharmed(gateway: RunningGateway, issued: Issued, *, grows_max_bytes: int) -> AsyncIterator[None]:
    """Whatever happens inside: the process is up, the next good device connects at once over every protocol and is
    heard, memory grew by no more than that, and nothing in the log calls for a person."""
    await serves(gateway, issued)  # what is loaded at first use is loaded
    before = resident_bytes(gateway)
    yield
    assert gateway.process.poll() is None
    await serves(gateway, issued)
    grown = resident_bytes(gateway) - before
    assert grown <= grows_max_bytes, f"memory grew by {grown / MIB:.1f} MiB"
    assert defects(gateway) == []


def udp_socket(port: int, host: str = "127.0.0.1") -> socket.socket:
    """Sends to the gateway from a port of its own at the host; any address of 127/8 is ours."""
    sock = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    sock.bind((host, 0))
    sock.connect(("127.0.0.1", port))
    sock.setblocking(False)
    return sock
