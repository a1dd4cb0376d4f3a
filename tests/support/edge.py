"""A running edge on free ports, and clients that speak to it: TLS by the standard library, DTLS by hand."""

import asyncio
import socket
import ssl
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from OpenSSL import SSL

from adapters.edge.datagram import DatagramListener
from adapters.edge.listener import StreamListener
from adapters.edge.peer import Address
from adapters.edge.ports import Association, Stream
from adapters.edge.security import Security
from adapters.edge.tls import TlsContexts
from adapters.edge.turns import Turns
from conf.edge import EdgeSettings
from kernel.clock import SystemClock
from kernel.errors import Refused
from kernel.ids import AnchorId, TenantId
from pki.chains import Authority
from tenant.model import TrustAnchor
from tenant.trust import TrustVerdict
from tests.support.certificates import Issued, make_ca, make_server

_ANCHOR = TrustAnchor(
    anchor_id=AnchorId("test"),
    tenant_id=TenantId("test"),
    authority=Authority(
        subject_dn="CN=Test CA,O=Tuhono",
        public_key_der=b"",
        not_before=datetime(2020, 1, 1, tzinfo=UTC),
        not_after=datetime(2040, 1, 1, tzinfo=UTC),
    ),
)


class ScriptedJudge:
    """Gives the same verdict to everyone and remembers what it was asked."""

    def __init__(self, *, refusal: Refused | None = None, fatal: bool = False, defect: Exception | None = None) -> None:
        self.refusal = refusal
        self.fatal = fatal
        self.defect = defect
        self.asked: list[tuple[list[bytes], str | None, Address]] = []

    def __call__(self, chain_der: list[bytes], server_name: str | None, address: Address) -> TrustVerdict:
        self.asked.append((chain_der, server_name, address))
        if self.defect is not None:
            raise self.defect
        anchor = _ANCHOR if self.refusal is None else None
        return TrustVerdict(presented=(), tenant_id=None, anchor=anchor, refusal=self.refusal, fatal=self.fatal)


class WitnessRecord:
    """Remembers what it was told."""

    def __init__(self) -> None:
        self.refusals: list[tuple[Address, list[bytes], str | None, TrustVerdict]] = []
        self.failures: list[str] = []

    def refused(self, address: Address, chain_der: list[bytes], server_name: str | None, verdict: TrustVerdict) -> None:
        self.refusals.append((address, chain_der, server_name, verdict))

    def failed(self, address: Address, reason: str) -> None:
        self.failures.append(reason)


class Recorder:
    """A stream handler that keeps everything; `answer` makes of received bytes what is written back."""

    def __init__(self, *, answer: Callable[[bytes], bytes] = lambda data: data) -> None:
        self.has_more_to_say = False  # when the peer has said goodbye
        self.stream: Stream | None = None
        self.received_bytes = bytearray()
        self.chunks = 0
        self.has_ended = False
        self.losses: list[Exception | None] = []
        self._answer = answer

    def connected(self, stream: Stream) -> None:
        self.stream = stream

    def received(self, data: bytes) -> None:
        self.received_bytes += data
        self.chunks += 1
        assert self.stream is not None
        self.stream.write(self._answer(data))

    def ended(self) -> bool:
        self.has_ended = True
        return self.has_more_to_say

    def lost(self, fault: Exception | None) -> None:
        self.losses.append(fault)


class DatagramRecorder:
    """A datagram handler that keeps everything and echoes."""

    def __init__(self) -> None:
        self.opened_ones: list[Association] = []
        self.closed_ones: list[Association] = []
        self.datagrams: list[bytes] = []

    def opened(self, association: Association) -> None:
        self.opened_ones.append(association)

    def received(self, association: Association, datagram: bytes) -> None:
        self.datagrams.append(datagram)
        association.send(b"echo " + datagram)

    def closed(self, association: Association) -> None:
        self.closed_ones.append(association)


class TestBench:
    """Files, contexts and clocks for the listeners of one test."""

    __test__ = False

    def __init__(self, folder: Path, *, settings: EdgeSettings | None = None, server: Issued | None = None) -> None:
        self.ca = make_ca("CN=Server CA")
        self.files = (server or make_server(self.ca)).write(folder, "server")
        self.device_ca = make_ca()
        self.device = self.device_ca.issue("CN=dev1")
        self.device_files = self.device.write(folder, "device")
        self.ca_file = folder / "server-ca.pem"
        self.ca_file.write_bytes(self.ca.pem)
        self.settings = settings or EdgeSettings()
        self.clock = SystemClock()
        self.turns = Turns(clock=self.clock)
        self.judge = ScriptedJudge()
        self.witness = WitnessRecord()
        self.recorders: list[Recorder] = []
        self.datagrams = DatagramRecorder()
        self.contexts = TlsContexts(
            settings=self.settings,
            certificate_file=self.files.certificate,
            key_file=self.files.key,
            clock=self.clock,
        )

    def security(self, **policy: Any) -> Security:
        return Security(contexts=self.contexts, judge=self.judge, witness=self.witness, **policy)

    def recorder(self) -> Recorder:
        recorder = Recorder()
        self.recorders.append(recorder)
        return recorder

    @asynccontextmanager
    async def stream_listener(
        self, *, secure: bool = True, factory: Callable[[], Any] | None = None, **policy: Any
    ) -> AsyncIterator[StreamListener]:
        listener = StreamListener(
            host="127.0.0.1",
            port=0,
            settings=self.settings,
            clock=self.clock,
            turns=self.turns,
            handler_factory=factory or self.recorder,
            security=self.security(**policy) if secure else None,
        )
        await listener.start()
        try:
            yield listener
        finally:
            await listener.close()

    @asynccontextmanager
    async def datagram_listener(
        self, *, secure: bool = True, handler: Any = None, **policy: Any
    ) -> AsyncIterator[DatagramListener]:
        listener = DatagramListener(
            host="127.0.0.1",
            port=0,
            settings=self.settings,
            clock=self.clock,
            turns=self.turns,
            handler=handler or self.datagrams,
            security=self.security(**policy) if secure else None,
        )
        await listener.start()
        try:
            yield listener
        finally:
            await listener.close()

    def client_context(self, *, device: bool = True, version: ssl.TLSVersion | None = None) -> ssl.SSLContext:
        """A client that trusts the server and, unless told otherwise, shows the device's certificate."""
        context = ssl.create_default_context(cadata=self.ca.pem.decode())
        if device:
            context.load_cert_chain(self.device_files.certificate, self.device_files.key)
        if version is not None:
            context.minimum_version = context.maximum_version = version
        return context

    async def connect(
        self, port: int, *, context: ssl.SSLContext | None = None, server_name: str = "localhost"
    ) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
        context = context or self.client_context()
        if server_name != "localhost":
            context.check_hostname = False
        return await asyncio.open_connection("127.0.0.1", port, ssl=context, server_hostname=server_name)


async def hang_up(writer: asyncio.StreamWriter) -> None:
    """Close a client connection whatever state it is in."""
    writer.close()
    try:
        await writer.wait_closed()
    except (OSError, ssl.SSLError):
        pass


class DtlsClient:
    """A DTLS 1.2 client on a UDP socket of its own. `lose` decides which of its datagrams never arrive."""

    def __init__(
        self,
        port: int,
        *,
        device: Issued | None,
        lose: Callable[[bytes], bool] = lambda datagram: False,
        sock: socket.socket | None = None,
        ciphers: bytes | None = None,
    ) -> None:
        context = SSL.Context(SSL.DTLS_CLIENT_METHOD)
        context.set_options(SSL.OP_NO_QUERY_MTU)
        if ciphers is not None:
            context.set_cipher_list(ciphers)
        if device is not None:
            _show(context, device)
        self._connection = SSL.Connection(context)
        self._connection.set_connect_state()
        self._connection.set_ciphertext_mtu(1280)
        self._lose = lose
        self.sock = sock or _udp_socket(port)
        self.arrived: list[bytes] = []

    async def connect(self, *, within_s: float = 10.0) -> None:
        """Raises SSL.Error when the server refuses, TimeoutError when it stays silent."""
        async with asyncio.timeout(within_s):
            while True:
                try:
                    self._connection.do_handshake()
                    self._flush()
                    return
                except SSL.WantReadError:
                    self._flush()
                await self._await_datagram()

    async def ask(self, question: bytes, *, within_s: float = 10.0) -> bytes:
        """Send one datagram and wait for one."""
        self.send(question)
        async with asyncio.timeout(within_s):
            return await self.receive()

    def send(self, datagram: bytes) -> None:
        self._connection.send(datagram)
        self._flush()

    async def receive(self) -> bytes:
        """One datagram. Raises SSL.ZeroReturnError once the server has said goodbye."""
        while True:
            try:
                return self._connection.recv(16_384)
            except SSL.WantReadError:
                await self._await_datagram()

    def say_goodbye(self) -> None:
        self._connection.shutdown()
        self._flush()

    def close(self) -> None:
        self.sock.close()

    async def _await_datagram(self) -> None:
        timeout = self._connection.DTLSv1_get_timeout()
        try:
            async with asyncio.timeout(timeout):
                datagram = await asyncio.get_running_loop().sock_recv(self.sock, 65_535)
        except TimeoutError:
            self._connection.DTLSv1_handle_timeout()
            self._flush()
            return
        self.arrived.append(datagram)
        self._connection.bio_write(datagram)

    def _flush(self) -> None:
        try:
            records = self._connection.bio_read(65_535)
        except SSL.WantReadError:
            return
        while records:
            length = 13 + int.from_bytes(records[11:13], "big")
            record, records = records[:length], records[length:]
            if not self._lose(record):
                self.sock.send(record)


def _udp_socket(port: int) -> socket.socket:
    sock = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    sock.setblocking(False)
    sock.connect(("127.0.0.1", port))
    return sock


def _show(context: Any, device: Issued) -> None:
    context.use_certificate(device.certificate)
    for above in device.intermediates:
        context.add_extra_chain_cert(above.certificate)
    context.use_privatekey(device.key)
