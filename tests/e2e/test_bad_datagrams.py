"""Datagrams no device would send: before the cookie, in the handshake, inside DTLS, and from everywhere at once."""

import asyncio
import random
import socket
from collections.abc import Callable, Iterator
from contextlib import ExitStack, suppress
from dataclasses import dataclass
from typing import Any

import pytest
from OpenSSL import SSL

from tests.support.abuse import MIB, all_of, dtls_hello, noise, spoiled, udp_socket, unharmed
from tests.support.certificates import Issued, make_ca
from tests.support.coap import request
from tests.support.edge import DtlsClient
from tests.support.fleet import CoapDevice, present
from tests.support.gateway import RunningGateway, running_gateway
from tests.support.waiting import until

GROWS_MAX_BYTES = 24 * MIB
FLOOD_HELLOS = 10_000
BATCH = 100
FLOOD_GROWS_MAX_BYTES = 8 * MIB  # under 1 KiB a hello: no state is kept for any
HANDSHAKES_BEGUN = 300
HANDSHAKE_MAX_BYTES = 128 * 1024  # kept for one that has shown its cookie
CLIENT_HELLO = 1
RANDOM_AT = 13 + 12 + 2  # of a hello's 32 random bytes


@dataclass(frozen=True)
class Target:
    gateway: RunningGateway
    good: Issued
    mutant: Issued

    @property
    def port(self) -> int:
        return self.gateway.ports["coaps"]


@pytest.fixture(scope="module")
def target(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Target]:
    with running_gateway(tmp_path_factory.mktemp("gateway"), edge={"handshake_deadline_s": 3.0}) as gateway:
        ca = make_ca("CN=CA")
        gateway.trust("acme", ca, may_auto_provision=True)
        yield Target(gateway, ca.issue("CN=good"), ca.issue("CN=mutant"))


async def test_bytes_that_are_no_dtls(target: Target) -> None:
    heads = (b"", b"\x16\xfe\xfd", b"\x16\xfe\xff" + b"\0" * 8, b"\x17\xfe\xfd\0\1", b"\x15\xfe\xfd", b"\x14\xfe\xfd")
    sent = [
        *noise(400, longest_bytes=1_500, seed=1, heads=heads),
        b"",
        b"\x16",
        b"\x16\xfe\xfd" + b"\0" * 8 + b"\xff\xff" + b"\0" * 60_000,
        b"\x16\xfe\xfd" + b"\0" * 10,
        b"\0" * 65_507,
        *(b"\x16\xfe\xfd" + b"\0" * 8 + length.to_bytes(2, "big") + b"\1" * length for length in (1, 11, 12, 25, 60)),
    ]
    async with unharmed(target.gateway, target.good, grows_max_bytes=GROWS_MAX_BYTES):
        with udp_socket(target.port) as sock:
            for datagram in sent:
                await send(sock, datagram)


async def test_a_hello_cut_short_spoiled_or_in_pieces(target: Target) -> None:
    hello = dtls_hello()
    sent = [*(hello[:length] for length in range(1, len(hello), 5)), *spoiled(hello, 400, seed=2)]
    async with unharmed(target.gateway, target.good, grows_max_bytes=GROWS_MAX_BYTES):
        with udp_socket(target.port) as sock:
            for datagram in sent:
                await send(sock, datagram)


class SpoilingSocket(socket.socket):
    """Spoils every record of a handshake after the cookie, once in a while."""

    spoil: Callable[[bytes], bytes]
    sent = 0

    def send(self, record: Any, flags: int = 0) -> int:
        self.sent += 1
        return super().send(self.spoil(record) if self.sent > 2 else record, flags)


async def shake_hands_badly(target: Target, seed: int) -> None:
    """A client whose own flight is spoiled on the way. It ends however it ends, within the client's patience."""
    chance = random.Random(seed)
    with SpoilingSocket(socket.AF_INET, socket.SOCK_DGRAM) as sock:
        sock.setblocking(False)
        sock.connect(("127.0.0.1", target.port))
        sock.spoil = lambda record: (
            next(spoiled(record, 1, seed=chance.randrange(1 << 30))) if chance.random() < 0.5 else record
        )
        client = DtlsClient(target.port, device=target.mutant, sock=sock)
        with suppress(SSL.Error, TimeoutError, OSError):
            await client.connect(within_s=0.5)


async def test_handshakes_spoiled_in_the_middle(target: Target) -> None:
    async with unharmed(target.gateway, target.good, grows_max_bytes=GROWS_MAX_BYTES):
        await all_of(shake_hands_badly(target, seed) for seed in range(96))


async def test_spoiled_coap_inside_dtls(target: Target) -> None:
    good = request("/telemetry", message_id=1, token=b"token", payload=b"x" * 40)
    sent = [
        *spoiled(good, 250, seed=3),
        *noise(100, longest_bytes=1_200, seed=4, heads=(b"", b"\x40\x02", b"\x48\x02", b"\x50\x45")),
        b"\x4f\x02\0\1",  # a token of 15 bytes
        b"\x40\x02\0\2" + b"\xdd\xff\xff" * 300,
        b"\x40\x02\0\3\xff",  # a payload marker and no payload
        b"\x40\x02\0\4" + b"\x0e\xff\xff",
        b"\x40\x02\0\5" + b"\xb1t" * 500,  # 500 path segments
        b"\x40\x02\0\6\xb9telemetry\xff" + b"x" * 15_000,
        b"\x70\0\0\7" * 50,
    ]
    async with unharmed(target.gateway, target.good, grows_max_bytes=GROWS_MAX_BYTES):
        device = await CoapDevice.open(target.gateway, target.mutant)
        async with present(device):
            for datagram in sent:
                device.dtls.send(datagram)
                await asyncio.sleep(0)
        again = await CoapDevice.open(target.gateway, target.mutant)
        async with present(again):
            assert await again.say(b"sober again")


async def test_a_live_association_survives_what_is_sent_in_its_name(target: Target) -> None:
    """UDP lets anybody write anybody's address: only what is genuine counts."""
    device = await CoapDevice.open(target.gateway, target.good)
    sock = device.dtls.sock
    hello = dtls_hello()
    forged = [
        b"\x15\xfe\xfd\0\0" + b"\0" * 6 + b"\0\2\2\x28",  # a plain fatal alert
        b"\x15\xfe\xfd\0\1" + b"\xff" * 6 + b"\0\x1a" + b"\1" * 26,  # a protected one, of another key
        b"\x17\xfe\xfd\0\1" + b"\xff" * 6 + b"\0\x20" + b"\2" * 32,
        b"\x17\xfe\xfd\0\0" + b"\0" * 6 + b"\0\4data",
        b"\x14\xfe\xfd\0\0" + b"\0" * 6 + b"\0\1\1",
        hello,
        hello[:RANDOM_AT] + b"\7" * 32 + hello[RANDOM_AT + 32 :],
        *noise(50, longest_bytes=200, seed=5, heads=(b"\x17\xfe\xfd\0\1", b"\x16\xfe\xfd\0\1", b"\x15\xfe\xfd\0\1")),
    ]
    async with unharmed(target.gateway, target.good, grows_max_bytes=GROWS_MAX_BYTES), present(device):
        for number, datagram in enumerate(forged):
            await send(sock, datagram)
            if number % 8 == 0:
                assert await device.say(b"still me %d" % number)
        assert await device.say(b"still me")


async def test_a_flood_of_hellos_from_everywhere_leaves_nothing_and_keeps_nobody_out(target: Target) -> None:
    """10,000 hellos, each from an address and port of its own that never answers its cookie."""
    gateway, hello = target.gateway, dtls_hello()
    async with unharmed(gateway, target.good, grows_max_bytes=FLOOD_GROWS_MAX_BYTES):
        chance = random.Random(6)
        sources = set()
        for batch in range(FLOOD_HELLOS // BATCH):
            with ExitStack() as stack:
                socks = [
                    stack.enter_context(udp_socket(target.port, f"127.1.{batch}.{number + 1}"))
                    for number in range(BATCH)
                ]
                for sock in socks:
                    sock.send(hello[:RANDOM_AT] + chance.randbytes(32) + hello[RANDOM_AT + 32 :])
                    sources.add(sock.getsockname())
                if batch % 10 == 5:
                    device = await CoapDevice.open(gateway, target.good, within_s=5)
                    async with present(device):
                        assert await device.say(b"through the flood")
                for sock in socks:
                    assert len(await answer(sock)) <= len(hello)  # a cookie, and nothing worth spoofing an address for
        assert len(sources) == FLOOD_HELLOS


async def answer(sock: socket.socket) -> bytes:
    async with asyncio.timeout(5):
        return await asyncio.get_running_loop().sock_recv(sock, 65_535)


class Halted(Exception):
    """The client goes no further."""


class HaltingSocket(socket.socket):
    """Sends hellos, with and without their cookie, and nothing that would follow."""

    def send(self, record: Any, flags: int = 0) -> int:
        if record[13] != CLIENT_HELLO:
            raise Halted
        return super().send(record, flags)


async def test_handshakes_that_never_finish_are_bounded_forgotten_and_in_nobodys_way(target: Target) -> None:
    gateway = target.gateway
    async with unharmed(gateway, target.good, grows_max_bytes=HANDSHAKES_BEGUN * HANDSHAKE_MAX_BYTES):
        with ExitStack() as stack:
            clients = []
            for _ in range(HANDSHAKES_BEGUN):
                sock = stack.enter_context(HaltingSocket(socket.AF_INET, socket.SOCK_DGRAM))
                sock.setblocking(False)
                sock.connect(("127.0.0.1", target.port))
                clients.append(DtlsClient(target.port, device=target.mutant, sock=sock))
            await asyncio.gather(*(begin(client) for client in clients))
            device = await CoapDevice.open(gateway, target.good, within_s=2)
            async with present(device):
                assert await device.say(b"past them all")
            ours = {f"127.0.0.1:{client.sock.getsockname()[1]}" for client in clients}
            await until(lambda: ours <= timed_out(gateway), within_s=15, every_s=0.1)


async def begin(client: DtlsClient) -> None:
    """As far as the server's flight, which is left unanswered."""
    with suppress(Halted):
        await client.connect()


def timed_out(gateway: RunningGateway) -> set[str]:
    """Addresses of those whose handshake was given up."""
    return {line["remote"] for line in gateway.log() if line.get("reason") == "handshake-timeout"}


async def send(sock: socket.socket, datagram: bytes) -> None:
    """Send, and let the gateway have a turn; what the socket refuses is no test of the gateway."""
    try:
        sock.send(datagram)
    except (ConnectionRefusedError, BlockingIOError):
        pass
    await asyncio.sleep(0)
