"""Peers that take their time: silent ones by the thousand, handshakes never finished, a byte at a time, gone.

Deadlines are set short, so that what the gateway does about them is seen to happen.
"""

import asyncio
import resource
import socket
import ssl
import struct
from collections.abc import Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass

import aiohttp
import pytest

from tests.support.abuse import MIB, BareTls, all_of, bare_tcp, bare_tls, client_hello, crowd, unharmed
from tests.support.certificates import Issued, make_ca
from tests.support.fleet import defects, open_mqtt, present, serves, tls_context, upload_request
from tests.support.gateway import RunningGateway, running_gateway
from tests.support.mqtt_client import connect, encode, publish

PORTS = ("mqtts", "https", "management")
DEVICE_PORTS = ("mqtts", "https")
SILENT = 1_000
SILENT_MAX_BYTES = {  # memory for all of them
    "mqtts": SILENT * 16 * 1024,
    "https": SILENT * 16 * 1024,
    "management": 256 * 96 * 1024,  # connections_max are held, in the standard library's TLS: 78 KiB each
}
BEGUN = 200
BEGUN_MAX_BYTES = 160 * 1024  # memory for one whose hello was answered
GONE_WITHIN_S = 8.0  # every deadline is 1 s; they are looked at once a second
SHORT = {
    "edge": {"handshake_deadline_s": 1.0, "close_deadline_s": 0.5},
    "mqtt": {"connect_deadline_s": 1.0},
    "http": {"request_deadline_s": 1.0, "idle_s": 1.0},
}


@dataclass(frozen=True)
class Target:
    gateway: RunningGateway
    good: Issued
    other: Issued
    context: ssl.SSLContext  # of a device that is admitted


@pytest.fixture(scope="module")
def target(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Target]:
    with running_gateway(tmp_path_factory.mktemp("gateway"), **SHORT) as gateway:
        yield make_target(gateway)


def make_target(gateway: RunningGateway) -> Target:
    ca = make_ca("CN=CA")
    gateway.trust("acme", ca, may_auto_provision=True)
    return Target(gateway, ca.issue("CN=good"), ca.issue("CN=other"), tls_context(gateway, ca.issue("CN=slow")))


async def until_closed_by_the_server(socks: Sequence[socket.socket]) -> None:
    loop = asyncio.get_running_loop()

    async def one(sock: socket.socket) -> None:
        with suppress(ConnectionError):
            while await loop.sock_recv(sock, 65_536):
                pass

    async with asyncio.timeout(GONE_WITHIN_S):
        await asyncio.gather(*(one(sock) for sock in socks))


async def health(gateway: RunningGateway) -> int:
    """The status of /readiness."""
    context = ssl.create_default_context(cafile=str(gateway.server_ca))
    async with aiohttp.ClientSession(timeout=aiohttp.ClientTimeout(total=5)) as session:
        url = f"https://127.0.0.1:{gateway.ports['management']}/readiness"
        async with session.get(url, ssl=context) as answer:
            return answer.status


@pytest.mark.parametrize("port", PORTS)
async def test_a_thousand_connections_that_send_nothing(target: Target, port: str) -> None:
    gateway = target.gateway
    async with unharmed(gateway, target.good, grows_max_bytes=SILENT_MAX_BYTES[port]):
        async with crowd(gateway.ports[port], SILENT) as socks:
            await serves(gateway, target.good, within_s=3)
            assert await health(gateway) == 200
            if port in DEVICE_PORTS:
                await until_closed_by_the_server(socks)


@pytest.mark.parametrize("port", PORTS)
async def test_handshakes_begun_and_never_finished(target: Target, port: str) -> None:
    """And a second crowd costs no more memory than the first: nothing is left of it."""
    gateway, hello = target.gateway, client_hello(target.context)

    async def come_and_go() -> None:
        async with crowd(gateway.ports[port], BEGUN, hello) as socks:
            await serves(gateway, target.good, within_s=3)
            assert await health(gateway) == 200
            if port in DEVICE_PORTS:
                await until_closed_by_the_server(socks)

    async with unharmed(gateway, target.good, grows_max_bytes=BEGUN * BEGUN_MAX_BYTES):
        await come_and_go()
    async with unharmed(gateway, target.good, grows_max_bytes=BEGUN * BEGUN_MAX_BYTES // 4):
        await come_and_go()


async def drip(reader: asyncio.StreamReader, send: object, data: bytes) -> None:
    """One byte at a time until the server has had enough."""
    assert callable(send)
    ends = asyncio.ensure_future(reader.read(-1))
    try:
        async with asyncio.timeout(GONE_WITHIN_S):
            for byte in data * 1_000:
                try:
                    send(bytes([byte]))
                except OSError:
                    break
                done, _ = await asyncio.wait([ends], timeout=0.02)
                if done:
                    break
            with suppress(OSError):
                await ends
    finally:
        ends.cancel()
        await asyncio.gather(ends, return_exceptions=True)


@pytest.mark.parametrize("port", DEVICE_PORTS)
async def test_a_handshake_a_byte_at_a_time_is_cut_off(target: Target, port: str) -> None:
    async def loris() -> None:
        async with bare_tcp(target.gateway.ports[port]) as (reader, writer):
            await drip(reader, writer.write, client_hello(target.context))

    async with unharmed(target.gateway, target.good, grows_max_bytes=16 * MIB):
        lorises = asyncio.gather(*(loris() for _ in range(20)))
        await serves(target.gateway, target.good, within_s=3)
        await lorises


ENDLESS = b"POST /telemetry HTTP/1.1\r\nHost: x\r\nContent-Type: text/plain\r\n"


DRIPPING = [
    ("mqtts", b"", encode(connect(client_id="c" * 100), 4)),
    ("mqtts", b"\x10\x80", b"\x80"),
    ("https", b"", ENDLESS),
    ("https", ENDLESS, b"X-Padding: aaaaaaaaaaaaaaaa\r\n"),
    ("https", ENDLESS + b"Content-Length: 2000\r\n\r\n", b"x"),
    ("https", ENDLESS + b"Transfer-Encoding: chunked\r\n\r\n", b"1\r\nx\r\n"),
    ("https", upload_request(b"first"), ENDLESS),
]


async def test_a_protocol_a_byte_at_a_time_is_cut_off_wherever_it_starts(target: Target) -> None:
    async def loris(port: str, at_once: bytes, slowly: bytes) -> None:
        async with bare_tls(target.gateway.ports[port], target.context) as peer:
            if at_once:
                peer.send(at_once)
            await drip(peer.reader, peer.send, slowly)

    async with unharmed(target.gateway, target.good, grows_max_bytes=16 * MIB):
        lorises = asyncio.gather(*(loris(*how) for how in DRIPPING for _ in range(5)))
        await serves(target.gateway, target.good, within_s=3)
        await lorises


async def test_probes_are_answered_although_the_management_port_is_held_by_others(target: Target) -> None:
    gateway = target.gateway
    context = ssl.create_default_context(cafile=str(gateway.server_ca))

    async with unharmed(gateway, target.good, grows_max_bytes=64 * MIB):
        async with crowd(gateway.ports["management"], 300):
            peers: list[BareTls] = []
            for _ in range(20):
                reader, writer = await asyncio.open_connection("127.0.0.1", gateway.ports["management"])
                peer = BareTls(reader, writer, context)
                async with asyncio.timeout(5):
                    await peer.handshake()
                peer.send(b"GET /metrics HTTP/1.1\r\nHost: x\r\nX-Slow: ")
                peers.append(peer)
            assert await health(gateway) == 200
            for peer in peers:
                peer.writer.transport.abort()
            await asyncio.sleep(0)


def reset(writer: asyncio.StreamWriter) -> None:
    """Gone without a word: the kernel sends RST."""
    sock = writer.get_extra_info("socket")
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    writer.transport.abort()


@pytest.mark.parametrize("port", PORTS)
async def test_peers_that_vanish_at_every_stage(target: Target, port: str) -> None:
    number = target.gateway.ports[port]
    hello = client_hello(target.context)
    said = {
        "mqtts": [
            b"",
            encode(connect(), 4)[:5],
            encode(connect(), 4),
            encode(connect(), 4) + encode(publish(qos=1), 4),
        ],
        "https": [b"", ENDLESS, ENDLESS + b"Content-Length: 50\r\n\r\nx", upload_request(b"x")],
        "management": [b"", b"GET /met", b"GET /metrics HTTP/1.1\r\nHost: x\r\n\r\n"],
    }[port]

    async def vanish_before_tls(data: bytes) -> None:
        reader, writer = await asyncio.open_connection("127.0.0.1", number)
        writer.write(data)
        reset(writer)

    async def vanish_in_tls(data: bytes) -> None:
        async with bare_tls(number, target.context) as peer:
            if data:
                peer.send(data)
            reset(peer.writer)

    async with unharmed(target.gateway, target.good, grows_max_bytes=16 * MIB):
        await all_of(vanish_before_tls(hello[:length]) for length in range(0, len(hello) + 1, 20))
        await all_of(vanish_in_tls(data) for data in said for _ in range(15))


async def test_a_peer_that_asks_and_never_reads_is_held_to_a_bound(target: Target) -> None:
    """Answers to 200,000 pipelined requests would be 40 MB: the gateway stops reading, or lets go."""
    request = b"GET / HTTP/1.1\r\nHost: x\r\n\r\n"
    async with unharmed(target.gateway, target.good, grows_max_bytes=12 * MIB):
        async with bare_tls(target.gateway.ports["https"], target.context) as peer:
            with suppress(TimeoutError, ConnectionError):
                for _ in range(400):
                    peer.send(request * 500)
                    async with asyncio.timeout(1):
                        await peer.writer.drain()
            await serves(target.gateway, target.good, within_s=3)


async def test_out_of_descriptors_the_gateway_waits_and_serves_again(
    tmp_path_factory: pytest.TempPathFactory,
) -> None:
    with running_gateway(tmp_path_factory.mktemp("poor"), **SHORT) as gateway:
        target = make_target(gateway)
        live = await open_mqtt(gateway, target.other)
        async with present(live):
            resource.prlimit(gateway.process.pid, resource.RLIMIT_NOFILE, (120, 120))
            async with crowd(gateway.ports["mqtts"], 200):
                assert await live.say(b"while there is nothing left")
            await serves(gateway, target.good, within_s=10)
            assert await live.say(b"and afterwards")
        complaints = [line for line in gateway.log() if line["event"] == "listener.out-of-resources"]
        assert 1 <= len(complaints) <= 30
        assert [line for line in defects(gateway) if "out-of-resources" not in line] == []
