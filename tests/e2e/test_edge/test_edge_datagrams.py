"""DTLS and plain UDP at the edge: cookies, lost flights, peers that start over, bounds."""

import asyncio
import logging
import socket
import tracemalloc
from pathlib import Path

import pytest
from OpenSSL import SSL

from adapters.edge.ports import Association
from conf.edge import EdgeSettings
from pki.errors import SignatureInvalid
from tenant.errors import UntrustedIssuer
from tests.support.certificates import make_ca
from tests.support.edge import DatagramRecorder, DtlsClient, TestBench
from tests.support.waiting import until


@pytest.mark.parametrize("kind", ["ec256", "ec384", "ed25519", "rsa2048"])
async def test_a_device_with_a_certificate_exchanges_datagrams(bench: TestBench, kind: str) -> None:
    device = make_ca().issue("CN=dev", key=kind)
    async with bench.datagram_listener() as listener:
        client = DtlsClient(listener.port, device=device)
        await client.connect()
        assert await client.ask(b"one") == b"echo one"
        assert await client.ask(b"two") == b"echo two"
        peer = bench.datagrams.opened_ones[0].peer
        assert peer.tls_version == "DTLSv1.2"
        assert peer.certificate is not None and peer.certificate.chain_der == (device.der,)
        client.say_goodbye()
        await until(lambda: bench.datagrams.closed_ones == bench.datagrams.opened_ones)
        client.close()
    assert len(bench.judge.asked) == 1
    assert listener.connections == 0


async def test_the_suite_every_coap_device_has_completes(bench: TestBench) -> None:
    async with bench.datagram_listener() as listener:
        client = DtlsClient(listener.port, device=bench.device, ciphers=b"ECDHE-ECDSA-AES128-CCM8:@SECLEVEL=0")
        await client.connect()
        assert bench.datagrams.opened_ones[0].peer.cipher == "ECDHE-ECDSA-AES128-CCM8"
        client.close()


async def test_a_long_chain_is_judged_whole_and_flights_fit_the_mtu(tmp_path: Path) -> None:
    bench = TestBench(tmp_path, settings=EdgeSettings(dtls_mtu_bytes=512))
    ca = make_ca("CN=Root")
    for level in range(4):
        ca = ca.issue_ca(f"CN=Level {level}", key="rsa2048")
    device = ca.issue("CN=dev")
    async with bench.datagram_listener() as listener:
        client = DtlsClient(listener.port, device=device)
        await client.connect()
        assert await client.ask(b"x") == b"echo x"
        assert max(map(len, client.arrived)) <= 512
        client.close()
    assert bench.judge.asked[0][0] == list(device.chain_der)


@pytest.mark.parametrize(
    ("refusal", "alert"), [(UntrustedIssuer("CN=nobody"), "unknown ca"), (SignatureInvalid("CN=x"), "bad certificate")]
)
async def test_every_refusal_fails_the_handshake_with_an_alert(
    bench: TestBench, refusal: Exception, alert: str
) -> None:
    bench.judge.refusal = refusal  # type: ignore[assignment]
    async with bench.datagram_listener(refuse_in_handshake=True) as listener:
        client = DtlsClient(listener.port, device=bench.device)
        with pytest.raises(SSL.Error, match=alert):
            await client.connect()
        client.close()
        await until(lambda: bench.witness.refusals)
        assert listener.handshakes == 0
    assert bench.datagrams.opened_ones == []


async def test_no_certificate_fails_where_one_is_required(bench: TestBench) -> None:
    async with bench.datagram_listener(certificate_required=True) as listener:
        client = DtlsClient(listener.port, device=None)
        with pytest.raises(SSL.Error, match="handshake failure"):
            await client.connect()
        client.close()
        await until(lambda: bench.witness.failures == ["certificate-required"])


async def test_a_lost_client_flight_is_made_up_for(bench: TestBench) -> None:
    lost: list[bytes] = []

    def lose_first_certificate(record: bytes) -> bool:
        if record[0] == 22 and record[13] == 11 and not lost:
            lost.append(record)
            return True
        return False

    async with bench.datagram_listener() as listener:
        client = DtlsClient(listener.port, device=bench.device, lose=lose_first_certificate)
        await client.connect()
        assert await client.ask(b"x") == b"echo x"
        client.close()
    assert lost


async def test_the_server_repeats_its_flight_to_a_silent_peer(bench: TestBench) -> None:
    """The client's second flight never arrives; its own repetitions are lost too, so the server's timer must act."""
    async with bench.datagram_listener() as listener:
        client = DtlsClient(
            listener.port, device=bench.device, lose=lambda record: record[0] == 22 and record[13] == 11
        )
        connecting = asyncio.create_task(client.connect())
        await until(lambda: _count_server_hellos(client) >= 2, every_s=0.01)
        connecting.cancel()
        client.close()


async def test_a_lost_final_flight_is_sent_again(bench: TestBench) -> None:
    async with bench.datagram_listener() as listener:
        client = DtlsClient(listener.port, device=bench.device)
        real = client.sock
        client.sock = _DeafFor(real, of_type=20)  # type: ignore[assignment]
        await client.connect()
        assert await client.ask(b"x") == b"echo x"
        client.close()


async def test_a_handshake_left_unfinished_is_dropped_at_its_deadline(tmp_path: Path) -> None:
    bench = TestBench(tmp_path, settings=EdgeSettings(handshake_deadline_s=0.5))
    async with bench.datagram_listener() as listener:
        client = DtlsClient(
            listener.port, device=bench.device, lose=lambda record: record[0] == 22 and record[13] == 11
        )
        connecting = asyncio.create_task(client.connect())
        await until(lambda: listener.handshakes == 1)
        await until(lambda: bench.witness.failures == ["handshake-timeout"], every_s=0.01)
        assert listener.handshakes == 0
        connecting.cancel()
        client.close()


async def test_hellos_from_anywhere_leave_no_state(bench: TestBench) -> None:
    async with bench.datagram_listener() as listener:
        hello = _first_hello(listener.port)
        dtls = listener._dtls
        assert dtls is not None
        for number in range(200):
            dtls.receive(hello, ("192.0.2.1", 1024 + number))
        tracemalloc.start()
        before = tracemalloc.get_traced_memory()[0]
        for number in range(2000):
            dtls.receive(hello, ("192.0.2.1", 1024 + number))
        grown = tracemalloc.get_traced_memory()[0] - before
        tracemalloc.stop()
        assert (listener.handshakes, listener.connections) == (0, 0)
        assert grown < 20_000
        client = DtlsClient(listener.port, device=bench.device)
        await client.connect()
        client.close()
    assert bench.witness.failures == []


async def test_a_cookie_of_another_address_is_worth_nothing(bench: TestBench) -> None:
    async with bench.datagram_listener() as listener:
        client = DtlsClient(listener.port, device=bench.device)
        hellos: list[bytes] = []

        def keep(record: bytes) -> bool:
            hellos.append(record)
            return len(hellos) == 2

        client._lose = keep
        connecting = asyncio.create_task(client.connect())
        await until(lambda: len(hellos) == 2)  # the second one carries the cookie, and was kept back
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as other:
            other.connect(("127.0.0.1", listener.port))
            other.setblocking(False)
            other.send(hellos[1])
            answer = await asyncio.wait_for(asyncio.get_running_loop().sock_recv(other, 2048), 10)
        assert (answer[0], answer[13]) == (22, 3)  # HelloVerifyRequest, no ServerHello
        assert listener.handshakes == 0
        connecting.cancel()
        client.close()


async def test_a_peer_that_starts_over_at_its_address_replaces_its_association(bench: TestBench) -> None:
    async with bench.datagram_listener() as listener:
        first = DtlsClient(listener.port, device=bench.device)
        await first.connect()
        second = DtlsClient(listener.port, device=bench.device, sock=first.sock)
        await second.connect()
        assert await second.ask(b"again") == b"echo again"
        assert bench.datagrams.closed_ones == bench.datagrams.opened_ones[:1]
        assert listener.connections == 1
        second.close()


async def test_a_hello_alone_disturbs_no_association_not_even_with_its_cookie(bench: TestBench) -> None:
    async with bench.datagram_listener() as listener:
        device = DtlsClient(listener.port, device=bench.device)
        await device.connect()
        rival = DtlsClient(listener.port, device=bench.device, sock=device.sock)
        rival._lose = lambda record: record[0] == 22 and record[13] not in (1,)  # hellos only
        connecting = asyncio.create_task(rival.connect())
        await until(lambda: listener.handshakes == 1)
        connecting.cancel()
        await asyncio.gather(connecting, return_exceptions=True)
        device.send(b"still here")
        await until(lambda: b"still here" in bench.datagrams.datagrams)
        assert bench.datagrams.closed_ones == []
        device.close()


async def test_the_longest_silent_association_makes_room(tmp_path: Path) -> None:
    bench = TestBench(tmp_path, settings=EdgeSettings(dtls_peers_max=2))
    async with bench.datagram_listener() as listener:
        clients = [DtlsClient(listener.port, device=bench.device) for _ in range(3)]
        await clients[0].connect()
        await clients[1].connect()
        assert await clients[0].ask(b"x") == b"echo x"
        await clients[2].connect()
        await until(lambda: len(bench.datagrams.opened_ones) == 3)
        assert bench.datagrams.closed_ones == [bench.datagrams.opened_ones[1]]
        with pytest.raises(SSL.ZeroReturnError):
            await clients[1].receive()
        for client in clients:
            client.close()


async def test_close_says_goodbye_to_every_association(bench: TestBench) -> None:
    async with bench.datagram_listener() as listener:
        client = DtlsClient(listener.port, device=bench.device)
        await client.connect()
    with pytest.raises(SSL.ZeroReturnError):
        await client.receive()
    client.close()
    assert bench.datagrams.closed_ones == bench.datagrams.opened_ones


async def test_a_handler_that_raises_costs_its_own_association_only(
    bench: TestBench, caplog: pytest.LogCaptureFixture
) -> None:
    class Faulty(DatagramRecorder):
        def received(self, association: Association, datagram: bytes) -> None:
            if datagram == b"bad":
                raise ZeroDivisionError
            super().received(association, datagram)

    handler = Faulty()
    async with bench.datagram_listener(handler=handler) as listener:
        good = DtlsClient(listener.port, device=bench.device)
        bad = DtlsClient(listener.port, device=bench.device)
        await good.connect()
        await bad.connect()
        with pytest.raises(SSL.ZeroReturnError):
            await bad.ask(b"bad")
        assert await good.ask(b"good") == b"echo good"
        assert len(handler.closed_ones) == 1
        good.close()
        bad.close()
    logged = [record for record in caplog.records if record.levelno >= logging.ERROR]
    assert [record.message for record in logged] == ["datagram.handler-failed"]


async def test_plain_datagrams_are_told_apart_by_address(bench: TestBench) -> None:
    async with bench.datagram_listener(secure=False) as listener:
        loop = asyncio.get_running_loop()
        sockets = [socket.socket(socket.AF_INET, socket.SOCK_DGRAM) for _ in range(2)]
        for number, sock in enumerate(sockets):
            sock.setblocking(False)
            sock.connect(("127.0.0.1", listener.port))
            sock.send(b"%d" % number)
            assert await asyncio.wait_for(loop.sock_recv(sock, 100), 10) == b"echo %d" % number
            sock.close()
        assert listener.connections == 2
        association = bench.datagrams.opened_ones[0]
        association.close()
        association.close()
        await until(lambda: bench.datagrams.closed_ones == [association])
        assert listener.connections == 1


def _count_server_hellos(client: DtlsClient) -> int:
    return sum(1 for datagram in client.arrived if datagram[0] == 22 and datagram[13] == 2)


def _first_hello(port: int) -> bytes:
    sent: list[bytes] = []

    def keep(record: bytes) -> bool:
        sent.append(record)
        return True

    client = DtlsClient(port, device=None, lose=keep)
    with pytest.raises(SSL.WantReadError):
        client._connection.do_handshake()
    client._flush()
    client.close()
    return sent[0]


class _DeafFor:
    """A socket that does not hear the first datagram that starts with a record of some type."""

    def __init__(self, sock: socket.socket, *, of_type: int) -> None:
        self._sock = sock
        self._of_type = of_type
        self._is_deaf = True

    def fileno(self) -> int:
        return self._sock.fileno()

    def gettimeout(self) -> float | None:
        return self._sock.gettimeout()

    def send(self, data: bytes) -> int:
        return self._sock.send(data)

    def recv(self, size: int) -> bytes:
        data = self._sock.recv(size)
        if self._is_deaf and data[0] == self._of_type:
            self._is_deaf = False
            raise BlockingIOError
        return data

    def close(self) -> None:
        self._sock.close()
