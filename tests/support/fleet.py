"""Devices over real sockets, quick enough to come by the hundred: MQTT and HTTP over TLS, CoAP over DTLS.

    device = await MqttDevice.open(gateway, issued)         # the TLS handshake
    assert await device.connect() == 0                      # CONNACK
    assert await device.publish(b"hello") == 0              # PUBACK
    await device.until_closed()

A handshake that the server refuses raises HandshakeRefused, whenever the refusal arrives: with TLS 1.3 that
is after the client's own side is done. Everything waits with a deadline. `abort` is safe to repeat.
"""

import asyncio
import socket
import sqlite3
import ssl
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, closing
from pathlib import Path
from typing import Protocol, Self

from OpenSSL import SSL

from adapters.coap.wire.numbers import POST, PUT
from adapters.mqtt.wire import packets as p
from messaging.message import PROVISIONING_NOTIFICATION
from tests.support.certificates import Issued, Paths
from tests.support.coap import Reading, request
from tests.support.edge import DtlsClient
from tests.support.gateway import RunningGateway
from tests.support.mqtt_client import connect, encode, publish

DEADLINE_S = 20.0
V3, V5 = 4, 5
WEAK_IS_FINE = "DEFAULT@SECLEVEL=0"  # the server is to refuse, not the client's own library
NO_SNI = "127.0.0.1"  # an address is never sent as a server name


class HandshakeRefused(Exception):
    """The server ended the handshake."""


class Device(Protocol):
    """What a device of any protocol can do."""

    async def say(self, payload: bytes) -> bool:
        """Send one message that is to be acknowledged. Whether it was."""
        ...

    async def until_closed(self, *, within_s: float = DEADLINE_S) -> object: ...

    def abort(self) -> None: ...


def tls_context(gateway: RunningGateway, device: Issued | Paths | None) -> ssl.SSLContext:
    """A client that trusts the gateway, whatever name it is asked for, and shows even a weak certificate."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname = False
    context.load_verify_locations(gateway.server_ca)
    context.set_ciphers(WEAK_IS_FINE)
    if isinstance(device, Issued):
        device = gateway.files(device)
    if device is not None:
        context.load_cert_chain(device.certificate, device.key)
    return context


class TlsLine:
    """Bytes over TLS, and what became of the connection."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.reader = reader
        self.writer = writer

    @classmethod
    async def open(cls, port: int, context: ssl.SSLContext, *, server_name: str = NO_SNI) -> Self:
        try:
            async with asyncio.timeout(DEADLINE_S):
                opened = await asyncio.open_connection("127.0.0.1", port, ssl=context, server_hostname=server_name)
        except (ssl.SSLError, ConnectionError) as fault:
            raise HandshakeRefused(str(fault)) from fault
        return cls(*opened)

    def send(self, data: bytes) -> None:
        self.writer.write(data)

    async def read(self, count: int) -> bytes:
        """Exactly so many bytes. Raises HandshakeRefused, or EOFError where the server closed."""
        try:
            async with asyncio.timeout(DEADLINE_S):
                return await self.reader.readexactly(count)
        except ssl.SSLError as fault:
            raise HandshakeRefused(str(fault)) from fault
        except ConnectionError as fault:
            raise EOFError(str(fault)) from fault
        except asyncio.IncompleteReadError as fault:
            raise EOFError(f"closed after {fault.partial!r}") from fault

    async def rest(self, *, within_s: float = DEADLINE_S) -> bytes:
        """Everything that still comes, until the server closes. Raises TimeoutError where it does not."""
        async with asyncio.timeout(within_s):
            try:
                return await self.reader.read()
            except (ssl.SSLError, ConnectionError):
                return b""

    def abort(self) -> None:
        self.writer.transport.abort()


class MqttDevice:
    """One MQTT connection; packets are answered in order."""

    def __init__(self, line: TlsLine, version: int) -> None:
        self.line = line
        self.version = version
        self._packet_id = 0

    @classmethod
    async def open(
        cls,
        gateway: RunningGateway,
        device: Issued | Paths | ssl.SSLContext | None,
        *,
        version: int = V3,
        server_name: str = NO_SNI,
    ) -> Self:
        context = device if isinstance(device, ssl.SSLContext) else tls_context(gateway, device)
        return cls(await TlsLine.open(gateway.ports["mqtts"], context, server_name=server_name), version)

    async def connect(self, client_id: str = "c") -> int:
        """The code of the CONNACK."""
        self.line.send(encode(connect(self.version, client_id), self.version))
        kind, body = await self.packet()
        assert kind == p.CONNACK << 4, kind
        return body[1]

    async def publish(self, payload: bytes, *, topic: str = "telemetry") -> int:
        """The reason code of the PUBACK; 3.1.1 knows only success."""
        packet_id = self.send_publish(payload, topic=topic)
        kind, body = await self.packet()
        assert (kind, body[:2]) == (p.PUBACK << 4, packet_id.to_bytes(2, "big")), (kind, body)
        return body[2] if len(body) > 2 else 0

    def send_publish(self, payload: bytes, *, topic: str = "telemetry") -> int:
        """Send without waiting; the packet id."""
        self._packet_id = self._packet_id % 65_535 + 1
        sent = publish(topic, payload, qos=1, packet_id=self._packet_id)
        self.line.send(encode(sent, self.version))
        return self._packet_id

    async def packet(self) -> tuple[int, bytes]:
        """First byte and body of the next packet from the server."""
        first = (await self.line.read(1))[0]
        length = shift = 0
        while True:
            digit = (await self.line.read(1))[0]
            length |= (digit & 127) << shift
            shift += 7
            if digit < 128:
                return first, await self.line.read(length)

    async def ping(self) -> None:
        self.line.send(b"\xc0\x00")
        assert await self.packet() == (p.PINGRESP << 4, b"")

    async def say(self, payload: bytes) -> bool:
        return await self.publish(payload) == 0

    async def until_closed(self, *, within_s: float = DEADLINE_S) -> int | None:
        """The reason of the DISCONNECT that came before the end, if one did."""
        said = await self.line.rest(within_s=within_s)
        if not said:
            return None
        assert said[0] == p.DISCONNECT << 4, said
        return said[2] if len(said) > 2 else 0

    def abort(self) -> None:
        self.line.abort()


class HttpDevice:
    """One keep-alive connection; a request at a time."""

    def __init__(self, line: TlsLine) -> None:
        self.line = line

    @classmethod
    async def open(
        cls,
        gateway: RunningGateway,
        device: Issued | Paths | ssl.SSLContext | None,
        *,
        server_name: str = NO_SNI,
    ) -> Self:
        context = device if isinstance(device, ssl.SSLContext) else tls_context(gateway, device)
        return cls(await TlsLine.open(gateway.ports["https"], context, server_name=server_name))

    async def post(self, payload: bytes, *, path: str = "/telemetry") -> int:
        """The status."""
        self.send_post(payload, path=path)
        return await self.status()

    async def put(self, payload: bytes, path: str) -> int:
        """The status."""
        self.line.send(upload_request(payload, path=path, method="PUT"))
        return await self.status()

    def send_post(self, payload: bytes, *, path: str = "/telemetry") -> None:
        self.line.send(upload_request(payload, path=path))

    async def status(self) -> int:
        """Of the next answer, which is read to its end."""
        head = b""
        while not head.endswith(b"\r\n\r\n"):
            head += await self.line.read(1)
        lines = head.decode("latin-1").lower().split("\r\n")
        lengths = [int(line.partition(":")[2]) for line in lines if line.startswith("content-length:")]
        await self.line.read(lengths[0] if lengths else 0)
        return int(lines[0].split()[1])

    async def say(self, payload: bytes) -> bool:
        return await self.post(payload) == 202

    async def until_closed(self, *, within_s: float = DEADLINE_S) -> bytes:
        return await self.line.rest(within_s=within_s)

    def abort(self) -> None:
        self.line.abort()


def upload_request(payload: bytes, *, path: str = "/telemetry", headers: str = "", method: str = "POST") -> bytes:
    """An upload that is answered when it is kept."""
    head = (
        f"{method} {path} HTTP/1.1\r\nHost: gateway\r\nContent-Type: text/plain\r\nQoS-Level: 1\r\n{headers}"
        f"Content-Length: {len(payload)}\r\n\r\n"
    )
    return head.encode() + payload


class CoapDevice:
    """One DTLS association; a confirmable request at a time."""

    def __init__(self, dtls: DtlsClient) -> None:
        self.dtls = dtls
        self._message_id = 0

    @classmethod
    async def open(
        cls,
        gateway: RunningGateway,
        device: Issued | None,
        *,
        within_s: float = DEADLINE_S,
        sock: socket.socket | None = None,
    ) -> Self:
        """`sock`: connected and non-blocking, where it is to do something of its own."""
        dtls = DtlsClient(gateway.ports["coaps"], device=device, sock=sock, ciphers=WEAK_IS_FINE.encode())
        try:
            await dtls.connect(within_s=within_s)
        except SSL.Error as fault:
            dtls.close()
            raise HandshakeRefused(str(fault)) from fault
        except TimeoutError:
            dtls.close()
            raise
        return cls(dtls)

    async def post(self, payload: bytes, *, path: str = "/telemetry") -> str:
        """The code of the answer, as in 2.04. Raises EOFError where the server has said goodbye."""
        return await self._ask(POST, payload, path)

    async def put(self, payload: bytes, path: str) -> str:
        """The same with PUT."""
        return await self._ask(PUT, payload, path)

    async def _ask(self, code: int, payload: bytes, path: str) -> str:
        self._message_id += 1
        token = self._message_id.to_bytes(4, "big")
        self.dtls.send(request(path, code=code, message_id=self._message_id, token=token, payload=payload))
        async with asyncio.timeout(DEADLINE_S):
            while True:
                try:
                    answer = Reading(await self.dtls.receive())
                except (SSL.ZeroReturnError, SSL.SysCallError) as fault:
                    raise EOFError(str(fault)) from fault
                if answer.token == token and answer.code:  # else an empty acknowledgement ahead of it
                    return answer.spelled

    async def say(self, payload: bytes) -> bool:
        return await self.post(payload) == "2.04"

    async def until_closed(self, *, within_s: float = DEADLINE_S) -> None:
        async with asyncio.timeout(within_s):
            try:
                while True:
                    await self.dtls.receive()
            except (SSL.ZeroReturnError, SSL.SysCallError):
                return

    def abort(self) -> None:
        self.dtls.close()


async def open_mqtt(gateway: RunningGateway, issued: Issued, *, version: int = V3) -> MqttDevice:
    """Connected and admitted."""
    device = await MqttDevice.open(gateway, issued, version=version)
    assert await device.connect() == 0
    return device


@asynccontextmanager
async def present(*devices: Device) -> AsyncIterator[None]:
    """Ends the devices with the block."""
    try:
        yield
    finally:
        for device in devices:
            device.abort()
        await asyncio.sleep(0)  # transports close their sockets in the next turn


async def serves(gateway: RunningGateway, issued: Issued, *, within_s: float = 5.0) -> None:
    """A good device connects over each protocol at once, and its message is acknowledged."""
    async with asyncio.timeout(within_s):
        mqtt = await open_mqtt(gateway, issued)
        http = await HttpDevice.open(gateway, issued)
        coap = await CoapDevice.open(gateway, issued)
        async with present(mqtt, http, coap):
            assert await mqtt.say(b"over mqtt")
            assert await http.say(b"over http")
            assert await coap.say(b"over coap")


def resident_bytes(gateway: RunningGateway) -> int:
    """Memory of the process, as the kernel counts it."""
    lines = Path(f"/proc/{gateway.process.pid}/status").read_text().splitlines()
    return next(int(line.split()[1]) * 1024 for line in lines if line.startswith("VmRSS:"))


def defects(gateway: RunningGateway) -> list[str]:
    """Everything in the log that must not be there: tracebacks, records of a fault of ours, lines that are none."""
    lines = gateway.log_file.read_text().splitlines()
    return [
        line
        for line in lines
        if not line.startswith("{") or '"traceback"' in line or '"level": "error"' in line or "Traceback" in line
    ]


def unpaired_rows(gateway: RunningGateway) -> list[tuple[str, ...]]:
    """Devices without exactly one credential, credentials without device, and counts that are not true.

    Read from the file itself, past every layer that could look away.
    """
    with closing(sqlite3.connect(f"file:{gateway.data_dir / 'registry.db'}?mode=ro", uri=True)) as connection:
        return connection.execute(_UNPAIRED).fetchall()


_UNPAIRED = """
SELECT 'device', d.tenant_id, d.device_id FROM devices AS d
WHERE (SELECT count(*) FROM credentials AS c WHERE c.tenant_id = d.tenant_id AND c.device_id = d.device_id) <> 1
UNION ALL
SELECT 'credential', c.tenant_id, c.auth_id FROM credentials AS c
WHERE NOT EXISTS (SELECT 1 FROM devices AS d WHERE d.tenant_id = c.tenant_id AND d.device_id = c.device_id)
UNION ALL
SELECT 'count', n.tenant_id, n.devices FROM device_counts AS n
WHERE n.devices <> (SELECT count(*) FROM devices AS d WHERE d.tenant_id = n.tenant_id)
"""


def announced(gateway: RunningGateway, tenant_id: str) -> list[str]:
    """Device ids of the provisioning events kept so far, in order; one may come twice."""
    kept = gateway.messages(tenant_id)
    return [message.device_id for message in kept if message.content_type == PROVISIONING_NOTIFICATION]
