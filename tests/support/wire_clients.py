"""Devices that speak to a running gateway over real sockets and show every byte: MQTT, HTTP and CoAP.

Nothing of the product's protocol code is used here, so that a test compares two understandings of a
protocol. What is meant to prove interoperability runs other people's programs instead: tests/interop.
They connect to 127.0.0.1 without SNI unless a server name is given.
"""

import asyncio
import http.client
import secrets
import socket
import ssl
from collections.abc import AsyncIterator, Iterator, Mapping
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass, field
from typing import Protocol

from tests.support.certificates import Issued
from tests.support.coap import Reading, ack, datagram
from tests.support.edge import DtlsClient
from tests.support.gateway import RunningGateway

ANSWER_MAX_S = 20.0
WEAK_IS_FINE = "DEFAULT@SECLEVEL=0"  # the gateway is to refuse, not the device's own library
CONNACK, PUBACK, SUBACK, PINGRESP, DISCONNECT = 0x20, 0x40, 0x90, 0xD0, 0xE0


def tls_context(
    gateway: RunningGateway, device: Issued | None, version: ssl.TLSVersion | None = None
) -> ssl.SSLContext:
    """Trusts the gateway, shows the device's chain. The host's name is not looked at: many are used."""
    context = ssl.create_default_context(cafile=gateway.server_ca)
    context.check_hostname = False
    context.set_ciphers(WEAK_IS_FINE)
    if version is not None:
        context.minimum_version = context.maximum_version = version
    if device is not None:
        files = gateway.files(device)
        context.load_cert_chain(files.certificate, files.key)
    return context


def connect_tls(
    gateway: RunningGateway,
    port: str,
    device: Issued | None,
    *,
    server_name: str | None = None,
    version: ssl.TLSVersion | None = None,
    source: str = "127.0.0.1",
) -> ssl.SSLSocket:
    """Raises SSLError where the gateway ends the handshake; of TLS 1.3 the first read may be the one that does."""
    context = tls_context(gateway, device, version)
    sock = socket.create_connection(("127.0.0.1", gateway.ports[port]), ANSWER_MAX_S, (source, 0))
    try:
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        return context.wrap_socket(sock, server_hostname=server_name)
    except BaseException:
        sock.close()
        raise


# HTTP


@dataclass(frozen=True, slots=True)
class HttpAnswer:
    """A status, headers with names in lower case, and a body."""

    status: int
    headers: Mapping[str, str]
    body: bytes


class HttpDevice:
    """Any number of requests over one connection."""

    def __init__(self, sock: socket.socket) -> None:
        self._connection = http.client.HTTPConnection("127.0.0.1")
        self._connection.auto_open = 0  # it must never connect by itself, without TLS
        self._connection.sock = sock

    def ask(self, method: str, target: str, body: bytes | None = None, /, **headers: str) -> HttpAnswer:
        """Headers as keywords, `content_type` for Content-Type."""
        spelled = {name.replace("_", "-"): value for name, value in headers.items()}
        self._connection.request(method, target, body, spelled)
        answer = self._connection.getresponse()
        named = {name.lower(): value for name, value in answer.getheaders()}
        return HttpAnswer(answer.status, named, answer.read())

    def post(self, target: str, body: bytes | None = b"x", /, **headers: str) -> HttpAnswer:
        return self.ask("POST", target, body, **headers)

    def put(self, target: str, body: bytes | None = b"x", /, **headers: str) -> HttpAnswer:
        return self.ask("PUT", target, body, **headers)

    def close(self) -> None:
        self._connection.close()


@contextmanager
def http_device(
    gateway: RunningGateway,
    device: Issued | None,
    *,
    server_name: str | None = None,
    version: ssl.TLSVersion | None = None,
) -> Iterator[HttpDevice]:
    sock = connect_tls(gateway, "https", device, server_name=server_name, version=version)
    client = HttpDevice(sock)
    try:
        yield client
    finally:
        client.close()
        sock.close()


# MQTT


@dataclass(frozen=True, slots=True)
class MqttPacket:
    """A packet as it came: its first byte and what follows the length."""

    first: int
    body: bytes

    @property
    def kind(self) -> int:
        return self.first & 0xF0


@dataclass(slots=True)
class MqttDevice:
    """One connection. `version` is the protocol level: 3, 4 (3.1.1) or 5."""

    sock: socket.socket
    version: int
    _held: bytearray = field(default_factory=bytearray)

    def connect(
        self,
        client_id: str = "",
        *,
        keep_alive_s: int = 60,
        clean: bool = True,
        will: tuple[str, bytes] | None = None,
        user_name: str | None = None,
        password: str | None = None,
    ) -> MqttPacket | None:
        """Send CONNECT and return what comes back."""
        flags = (2 if clean else 0) | (4 if will else 0)
        flags |= (0 if user_name is None else 0x80) | (0 if password is None else 0x40)
        head = _text("MQTT") + bytes([self.version, flags]) + keep_alive_s.to_bytes(2, "big")
        rest = _text(client_id)
        if will is not None:
            rest += (b"\0" if self.version == 5 else b"") + _text(will[0]) + _blob(will[1])
        rest += b"".join(_text(each) for each in (user_name, password) if each is not None)
        self._send(0x10, head + self._no_properties + rest)
        return self.read()

    def connect_code(self, client_id: str = "", *, user_name: str | None = None, password: str | None = None) -> int:
        """The return or reason code of CONNACK; a refused connection must be closed behind it."""
        answer = self.connect(client_id, user_name=user_name, password=password)
        assert answer is not None and answer.kind == CONNACK, answer
        assert answer.body[0] == 0, "session present"
        if answer.body[1] != 0:
            assert self.read() is None, "refused and not closed"
        return answer.body[1]

    def publish(
        self,
        topic: str,
        payload: bytes = b"x",
        *,
        qos: int = 0,
        packet_id: int = 1,
        retain: bool = False,
        content_type: str | None = None,
    ) -> None:
        head = _text(topic) + (packet_id.to_bytes(2, "big") if qos else b"")
        properties = self._no_properties
        if content_type is not None:
            entry = b"\x03" + _text(content_type)
            properties = _length(len(entry)) + entry
        self._send(0x30 | qos << 1 | retain, head + properties + payload)

    def ping(self) -> MqttPacket | None:
        self._send(0xC0, b"")
        return self.read()

    def subscribe(self, topic_filter: str, qos: int = 0, packet_id: int = 1) -> MqttPacket | None:
        self._send(0x82, packet_id.to_bytes(2, "big") + self._no_properties + _text(topic_filter) + bytes([qos]))
        return self.read()

    def disconnect(self) -> None:
        self._send(0xE0, b"")

    def acknowledged(self) -> int:
        """The packet id of the PUBACK that comes next; its reason, if it has one, must be success."""
        packet = self.read()
        assert packet is not None and packet.kind == PUBACK, packet
        assert len(packet.body) == 2 or packet.body[2] == 0, packet
        return int.from_bytes(packet.body[:2], "big")

    def is_closed(self) -> bool:
        """Wait for the end; a version 5 client is told why before. Anything else read is a failure."""
        packet = self.read()
        if packet is not None:
            assert self.version == 5 and packet.kind == DISCONNECT, packet
            packet = self.read()
        return packet is None

    def read(self) -> MqttPacket | None:
        """The next packet, None once the gateway has closed. Raises TimeoutError, SSLError for an alert."""
        while (packet := self._cut()) is None:
            try:
                chunk = self.sock.recv(4096)
            except ConnectionError:
                chunk = b""
            if not chunk:
                return None
            self._held += chunk
        return packet

    @property
    def _no_properties(self) -> bytes:
        return b"\0" if self.version == 5 else b""

    def _send(self, first: int, body: bytes) -> None:
        self.sock.sendall(bytes([first]) + _length(len(body)) + body)

    def _cut(self) -> MqttPacket | None:
        length = 0
        for index, digit in enumerate(self._held[1:5], start=1):
            length |= (digit & 127) << 7 * (index - 1)
            if digit < 128:
                end = index + 1 + length
                if len(self._held) < end:
                    return None
                packet = MqttPacket(self._held[0], bytes(self._held[index + 1 : end]))
                del self._held[:end]
                return packet
        return None


def _text(value: str) -> bytes:
    return _blob(value.encode())


def _blob(value: bytes) -> bytes:
    return len(value).to_bytes(2, "big") + value


def _length(value: int) -> bytes:
    digits = b""
    while value > 127:
        digits += bytes([value & 127 | 128])
        value >>= 7
    return digits + bytes([value])


@contextmanager
def mqtt_device(
    gateway: RunningGateway,
    device: Issued | None,
    *,
    version: int = 4,
    server_name: str | None = None,
    tls: ssl.TLSVersion | None = None,
    source: str = "127.0.0.1",
) -> Iterator[MqttDevice]:
    """A connection without CONNECT yet. `source`: the address it comes from."""
    with connect_tls(gateway, "mqtts", device, server_name=server_name, version=tls, source=source) as sock:
        yield MqttDevice(sock, version)


@contextmanager
def connected_mqtt(
    gateway: RunningGateway, device: Issued, *, version: int = 4, client_id: str = ""
) -> Iterator[MqttDevice]:
    """A device that was let in."""
    with mqtt_device(gateway, device, version=version) as client:
        assert client.connect_code(client_id) == 0
        yield client


# CoAP


class DatagramSocket(Protocol):
    """What plain UDP and DTLS have in common."""

    def send(self, datagram: bytes) -> None: ...

    async def receive(self) -> bytes: ...


class UdpClient:
    """Plain UDP to a port of this host."""

    def __init__(self, port: int) -> None:
        self._sock = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self._sock.setblocking(False)
        self._sock.connect(("127.0.0.1", port))

    def send(self, datagram: bytes) -> None:
        self._sock.send(datagram)

    async def receive(self) -> bytes:
        return await asyncio.get_running_loop().sock_recv(self._sock, 65_535)

    def close(self) -> None:
        self._sock.close()


class NamedDtlsClient(DtlsClient):
    """A DTLS client that sends SNI where it is given a name."""

    def __init__(self, port: int, *, device: Issued | None, server_name: str | None = None) -> None:
        super().__init__(port, device=device, ciphers=WEAK_IS_FINE.encode())
        if server_name is not None:
            self._connection.set_tlsext_host_name(server_name.encode())


class CoapDevice:
    """Asks one question at a time; a separate answer is acknowledged, and its empty ACK left out."""

    def __init__(self, datagrams: DatagramSocket) -> None:
        self.datagrams = datagrams
        # Not always the same: the port may be one that a peer before had, and its answers would be repeated.
        self._message_id = secrets.randbelow(60_000)

    async def ask(
        self,
        method: int,
        path: str,
        payload: bytes = b"",
        *,
        confirmable: bool = True,
        content_format: int | None = None,
        query: tuple[str, ...] = (),
        options: tuple[tuple[int, bytes], ...] = (),
    ) -> Reading:
        """The path as in a URI: an empty segment becomes an empty option."""
        self._message_id += 1
        if content_format is not None:
            options += ((12, content_format.to_bytes(2, "big").lstrip(b"\0")),)
        sent = datagram(
            type_=0 if confirmable else 1,
            code=method,
            message_id=self._message_id,
            token=self._message_id.to_bytes(2, "big"),
            path=path.removeprefix("/").split("/"),
            query=query,
            options=options,
            payload=payload,
        )
        return await self.exchange(sent)

    async def exchange(self, sent: bytes) -> Reading:
        """Send bytes and wait for the answer that has a code."""
        self.datagrams.send(sent)
        async with asyncio.timeout(ANSWER_MAX_S):
            while True:
                answer = Reading(await self.datagrams.receive())
                if answer.type == 0:
                    self.datagrams.send(ack(answer.message_id))
                if answer.code != 0:
                    return answer


@asynccontextmanager
async def coap_device(
    gateway: RunningGateway, device: Issued | None, *, server_name: str | None = None
) -> AsyncIterator[CoapDevice]:
    """A device whose handshake is done. Raises SSL.Error where the gateway ends it."""
    client = NamedDtlsClient(gateway.ports["coaps"], device=device, server_name=server_name)
    try:
        await client.connect()
        yield CoapDevice(client)
        client.say_goodbye()
    finally:
        client.close()


@asynccontextmanager
async def plain_coap_device(gateway: RunningGateway) -> AsyncIterator[CoapDevice]:
    """A peer nobody knows, without DTLS."""
    client = UdpClient(gateway.ports["coap"])
    try:
        yield CoapDevice(client)
    finally:
        client.close()
