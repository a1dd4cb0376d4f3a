"""SIGTERM, and what a person may rely on: what was acknowledged is kept, who is connected is told, and it ends.

And SIGHUP: another certificate, nobody disturbed.
"""

import asyncio
import shutil
import signal
import ssl
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import aiohttp
import pytest
from cryptography.hazmat.primitives.serialization import Encoding

from adapters.mqtt.wire import packets as p
from tests.support.abuse import bare_tcp, bare_tls, client_hello
from tests.support.certificates import Issued, make_ca, make_server
from tests.support.edge import DtlsClient
from tests.support.fleet import (
    V5,
    CoapDevice,
    HttpDevice,
    MqttDevice,
    TlsLine,
    defects,
    open_mqtt,
    present,
    serves,
    tls_context,
)
from tests.support.gateway import RunningGateway, running_gateway
from tests.support.waiting import until, until_blocking

DRAIN_MAX_S = 2.0
SLACK_S = 3.0  # for a busy machine
SERVER_SHUTTING_DOWN = 0x8B


@pytest.fixture
def ca() -> Issued:
    return make_ca("CN=CA")


@pytest.fixture
def gateway(tmp_path: Path, ca: Issued) -> Iterator[RunningGateway]:
    with running_gateway(tmp_path, lifecycle={"drain_max_s": DRAIN_MAX_S}) as running:
        running.trust("acme", ca, may_auto_provision=True)
        yield running


async def ended(gateway: RunningGateway, *, within_s: float) -> int:
    """The exit status."""
    begun = time.monotonic()
    await until(lambda: gateway.process.poll() is not None, within_s=within_s, every_s=0.02)
    assert time.monotonic() - begun <= within_s
    return gateway.process.returncode


async def acknowledged(device: MqttDevice) -> tuple[int, int | None]:
    """PUBACKs until the end, and the reason of the DISCONNECT before it. The end must be a clean one."""
    count, reason = 0, None
    while True:
        try:
            kind, body = await device.packet()
        except EOFError:
            return count, reason
        if kind == p.PUBACK << 4:
            count += 1
        elif kind == p.DISCONNECT << 4:
            reason = body[0]


async def test_what_was_sent_before_the_end_is_kept_when_acknowledged_and_everyone_is_told(
    gateway: RunningGateway, ca: Issued
) -> None:
    mqtt3 = await open_mqtt(gateway, ca.issue("CN=mqtt3"))
    mqtt5 = await open_mqtt(gateway, ca.issue("CN=mqtt5"), version=V5)
    http = await HttpDevice.open(gateway, ca.issue("CN=http"))
    coap = await CoapDevice.open(gateway, ca.issue("CN=coap"))
    async with present(mqtt3, mqtt5, http, coap):
        assert await http.say(b"http")
        assert await coap.say(b"coap")
        for number in range(100):
            mqtt3.send_publish(b"mqtt3-%d" % number)
            mqtt5.send_publish(b"mqtt5-%d" % number)
        await mqtt3.packet()  # at least one has arrived: the end comes in the middle
        gateway.process.send_signal(signal.SIGTERM)
        (count3, _), (count5, reason) = await asyncio.gather(acknowledged(mqtt3), acknowledged(mqtt5))
        assert reason == SERVER_SHUTTING_DOWN
        assert await http.until_closed(within_s=DRAIN_MAX_S) == b""
        await coap.until_closed(within_s=DRAIN_MAX_S)
        assert await ended(gateway, within_s=DRAIN_MAX_S + SLACK_S) == 0
    kept = gateway.payloads()
    for name, count in ((b"mqtt3", 1 + count3), (b"mqtt5", count5)):
        numbers = [int(payload[6:]) for payload in kept if payload.startswith(name)]
        assert numbers == list(range(len(numbers)))
        assert count == len(numbers)  # what was kept was also acknowledged, before the end
    assert gateway.log()[-1]["event"] == "gateway.stopped"
    assert defects(gateway) == []


async def test_a_request_under_way_is_finished_while_newcomers_are_turned_away(
    gateway: RunningGateway, ca: Issued
) -> None:
    head = b"POST /telemetry HTTP/1.1\r\nHost: x\r\nContent-Type: text/plain\r\nContent-Length: 10\r\n\r\n"
    busy = HttpDevice(await TlsLine.open(gateway.ports["https"], tls_context(gateway, ca.issue("CN=busy"))))
    async with present(busy):
        busy.line.send(head + b"half ")
        idle = await open_mqtt(gateway, ca.issue("CN=idle"))
        async with present(idle):
            gateway.process.send_signal(signal.SIGTERM)
            await idle.until_closed(within_s=DRAIN_MAX_S)
        for port in ("mqtts", "https"):
            with pytest.raises(ConnectionRefusedError):
                await asyncio.open_connection("127.0.0.1", gateway.ports[port])
        assert await readiness(gateway) == 503
        busy.line.send(b"done!")
        assert await busy.status() == 202
        await busy.until_closed(within_s=DRAIN_MAX_S)
        assert await ended(gateway, within_s=DRAIN_MAX_S + SLACK_S) == 0
    assert b"half done!" in gateway.payloads()
    assert defects(gateway) == []


async def readiness(gateway: RunningGateway) -> int:
    context = ssl.create_default_context(cafile=str(gateway.server_ca))
    async with aiohttp.ClientSession() as session:
        async with session.get(f"https://127.0.0.1:{gateway.ports['management']}/readiness", ssl=context) as answer:
            return answer.status


async def test_nobody_can_keep_it_from_ending(gateway: RunningGateway, ca: Issued) -> None:
    """Every kind of unfinished business is open when the signal comes; the bound holds all the same."""
    context = tls_context(gateway, ca.issue("CN=clinging"))
    endless = b"POST /telemetry HTTP/1.1\r\nHost: x\r\nContent-Type: text/plain\r\nContent-Length: 100\r\n\r\nx"
    mute = await open_mqtt(gateway, ca.issue("CN=mute"))
    waiting = await MqttDevice.open(gateway, context)
    coap = await CoapDevice.open(gateway, ca.issue("CN=coap"))
    async with present(mute, waiting, coap):
        async with (
            bare_tcp(gateway.ports["mqtts"]),
            bare_tcp(gateway.ports["https"]) as (_, begun),
            bare_tcp(gateway.ports["management"]),
            bare_tls(gateway.ports["https"], context) as posting,
            bare_tls(gateway.ports["mqtts"], context) as connecting,
            bare_tls(gateway.ports["management"], context) as asking,
        ):
            begun.write(client_hello(context))
            posting.send(endless)
            connecting.send(b"\x10\x20\x00")
            asking.send(b"GET /metrics HTTP/1.1\r\nHost: ")
            assert await mute.say(b"the last word")
            for _ in range(50):
                mute.send_publish(b"not read any more")
            gateway.process.send_signal(signal.SIGTERM)
            assert await ended(gateway, within_s=DRAIN_MAX_S + SLACK_S) == 0
    assert defects(gateway) == []


async def test_a_second_signal_ends_it_at_once(gateway: RunningGateway, ca: Issued) -> None:
    context = tls_context(gateway, ca.issue("CN=clinging"))
    async with bare_tls(gateway.ports["https"], context) as posting:
        posting.send(b"POST /telemetry HTTP/1.1\r\nHost: x\r\nContent-Length: 100\r\n\r\nx")
        await serves(gateway, ca.issue("CN=other"))
        gateway.process.send_signal(signal.SIGTERM)
        until_blocking(lambda: any(record["event"] == "gateway.stopping" for record in gateway.log()))
        gateway.process.send_signal(signal.SIGTERM)
        assert await ended(gateway, within_s=SLACK_S) != 0


# Certificates


class Shown:
    """What a gateway shows at each of its ports."""

    def __init__(self, gateway: RunningGateway, device: Issued) -> None:
        self._gateway = gateway
        self._context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
        self._context.check_hostname = False
        self._context.verify_mode = ssl.CERT_NONE
        files = gateway.files(device)
        self._context.load_cert_chain(files.certificate, files.key)
        self._device = device

    @property
    def context(self) -> ssl.SSLContext:
        return self._context

    async def at(self, port: str) -> bytes:
        if port == "coaps":
            client = DtlsClient(self._gateway.ports[port], device=self._device)
            try:
                await client.connect()
                certificate = client._connection.get_peer_certificate()
                assert certificate is not None
                return certificate.to_cryptography().public_bytes(Encoding.DER)
            finally:
                client.close()
        _, writer = await asyncio.open_connection("127.0.0.1", self._gateway.ports[port], ssl=self._context)
        shown: bytes = writer.get_extra_info("ssl_object").getpeercert(True)
        writer.transport.abort()
        await asyncio.sleep(0)
        return shown

    async def everywhere(self) -> set[bytes]:
        return {await self.at(port) for port in ("mqtts", "https", "coaps", "management")}


def by_signal(gateway: RunningGateway) -> None:
    gateway.process.send_signal(signal.SIGHUP)


def by_itself(_: RunningGateway) -> None:
    """The change of the file is enough."""


@pytest.mark.parametrize(("told", "check_s"), [(by_signal, 3600.0), (by_itself, 0.1)])
async def test_a_renewed_certificate_is_shown_at_every_port_and_nobody_is_disturbed(
    tmp_path: Path, ca: Issued, told: Callable[[RunningGateway], None], check_s: float
) -> None:
    server_ca = make_ca("CN=Server CA")
    old, new = make_server(server_ca), make_server(server_ca)
    files = old.write(tmp_path, "server")
    edge = {
        "certificate_file": str(files.certificate),
        "key_file": str(files.key),
        "reload_check_s": check_s,
    }
    with running_gateway(tmp_path, edge=edge) as gateway:
        gateway.trust("acme", ca, may_auto_provision=True)
        device = ca.issue("CN=device")
        shown = Shown(gateway, device)
        assert await shown.everywhere() == {old.der}
        mqtt = await MqttDevice.open(gateway, shown.context)
        coap = await CoapDevice.open(gateway, device)
        async with present(mqtt, coap):
            assert await mqtt.connect() == 0
            assert await coap.say(b"before")
            (tmp_path / "renewed").mkdir()
            renewed = new.write(tmp_path / "renewed", "server")
            for source, target in ((renewed.certificate, files.certificate), (renewed.key, files.key)):
                shutil.copy(source, target)
            told(gateway)
            async with asyncio.timeout(10):
                while await shown.everywhere() != {new.der}:
                    pass
            assert await mqtt.say(b"the old connection lives")
            assert await coap.say(b"and so does this one")
        caught_between = ("reload-failed", "certificate-kept")  # one file was new already, and the other one not yet
        assert [line for line in defects(gateway) if not any(word in line for word in caught_between)] == []


async def test_certificate_files_caught_broken_leave_the_old_ones_in_use(tmp_path: Path, ca: Issued) -> None:
    server_ca = make_ca("CN=Server CA")
    old = make_server(server_ca)
    files = old.write(tmp_path, "server")
    edge = {"certificate_file": str(files.certificate), "key_file": str(files.key), "reload_check_s": 3600.0}
    with running_gateway(tmp_path, edge=edge) as gateway:
        gateway.trust("acme", ca, may_auto_provision=True)
        shown = Shown(gateway, ca.issue("CN=device"))
        spoilings: list[Callable[[], object]] = [
            lambda: files.certificate.write_bytes(b"half a certific"),
            lambda: files.certificate.write_bytes(make_server(server_ca).pem),  # of another key
            lambda: files.certificate.unlink(),
        ]
        for number, spoil in enumerate(spoilings, start=1):
            spoil()
            gateway.process.send_signal(signal.SIGHUP)
            await until(lambda least=number: failures(gateway) >= least, every_s=0.02)  # type: ignore[misc]
            assert await shown.everywhere() == {old.der}
        assert not any("traceback" in record for record in gateway.log())
        assert gateway.process.poll() is None


def failures(gateway: RunningGateway) -> int:
    return sum("reload-failed" in record["event"] for record in gateway.log())
