"""What an operator sees from outside: health, metrics, logs. And what must never be seen there."""

import asyncio
import base64
import re
import ssl
from collections.abc import Iterator
from pathlib import Path

import aiohttp
import pytest

from adapters.mqtt.wire import packets as p
from tests.support.certificates import Issued, make_ca
from tests.support.fleet import (
    CoapDevice,
    Device,
    HttpDevice,
    MqttDevice,
    defects,
    open_mqtt,
    present,
    resident_bytes,
    upload_request,
)
from tests.support.gateway import RunningGateway, running_gateway
from tests.support.mqtt_client import connect, encode
from tests.support.waiting import until

TENANT = "acme"
SECRET = "correct-horse-battery-staple"
PAYLOAD = b"PAYLOAD-that-is-nobodys-business-but-the-applications"


@pytest.fixture
def ca() -> Issued:
    return make_ca("CN=CA")


@pytest.fixture
def gateway(tmp_path: Path, ca: Issued) -> Iterator[RunningGateway]:
    with running_gateway(tmp_path, log={"level": "debug"}) as running:
        running.trust(TENANT, ca, may_auto_provision=True)
        yield running


async def ask(gateway: RunningGateway, path: str) -> tuple[int, str]:
    """Over HTTPS, the gateway's certificate checked."""
    context = ssl.create_default_context(cafile=str(gateway.server_ca))
    async with aiohttp.ClientSession() as session:
        async with session.get(f"https://localhost:{gateway.ports['management']}{path}", ssl=context) as answer:
            return answer.status, await answer.text()


class Samples:
    """A page of metrics."""

    def __init__(self, page: str) -> None:
        self._lines = [line for line in page.splitlines() if line and not line.startswith("#")]

    def sum(self, name: str, **labels: str) -> float:
        """Over all series of that name that carry the labels."""
        wanted = [f'{label}="{value}"' for label, value in labels.items()]
        return sum(
            float(line.rpartition(" ")[2])
            for line in self._lines
            if re.split(r"[ {]", line, maxsplit=1)[0] == name and all(each in line for each in wanted)
        )


async def samples(gateway: RunningGateway) -> Samples:
    status, page = await ask(gateway, "/metrics")
    assert status == 200
    return Samples(page)


async def test_health_and_metrics_tell_what_happened(gateway: RunningGateway, ca: Issued) -> None:
    assert (await ask(gateway, "/liveness"))[0] == 200
    assert (await ask(gateway, "/readiness"))[0] == 200
    assert (await ask(gateway, "/nothing"))[0] == 404
    mqtt = await open_mqtt(gateway, ca.issue("CN=mqtt"))
    http = await HttpDevice.open(gateway, ca.issue("CN=http"))
    coap = await CoapDevice.open(gateway, ca.issue("CN=coap"))
    stranger = await MqttDevice.open(gateway, make_ca("CN=Nobody").issue("CN=x"))
    async with present(mqtt, http, coap, stranger):
        for _ in range(5):
            assert await mqtt.say(b"12345678")
            assert await http.say(b"12345678")
            assert await coap.say(b"12345678")
        assert await mqtt.publish(b"12345678", topic="event") == 0
        assert await stranger.connect() == 4
        seen = await samples(gateway)
        assert seen.sum("hono_telemetry_payload_bytes_count", tenant=TENANT, type="telemetry", status="forwarded") == 15
        assert seen.sum("hono_telemetry_payload_bytes_sum", tenant=TENANT, type="telemetry") == 120
        assert seen.sum("hono_telemetry_payload_bytes_count", tenant=TENANT, type="event") == 1
        assert seen.sum("hono_connections_authenticated", tenant=TENANT) >= 1
        assert seen.sum("hono_connections_attempts_total", outcome="succeeded") == 1
        assert seen.sum("hono_connections_attempts_total", outcome="unauthorized") == 1
        assert seen.sum("tuhono_http_connections") == 1
        assert seen.sum("tuhono_coap_associations") == 1
        assert 0.5 < seen.sum("process_resident_memory_bytes") / resident_bytes(gateway) < 2
    async with asyncio.timeout(10):
        while (await samples(gateway)).sum("hono_connections_authenticated", tenant=TENANT):
            pass  # until the gateway has noticed
    assert defects(gateway) == []


async def test_tenants_beyond_counting_do_not_spoil_the_page(gateway: RunningGateway) -> None:
    """Names are labels: whatever an operator may call a tenant, the page stays one a scraper reads."""
    for number, name in enumerate(("a", "A-_.z", "x" * 200)):
        own = make_ca(f"CN=CA {number}")
        gateway.trust(name, own, may_auto_provision=True)
        device = await open_mqtt(gateway, own.issue("CN=d"))
        async with present(device):
            assert await device.say(b"x")
    seen = await samples(gateway)
    assert seen.sum("hono_telemetry_payload_bytes_count", tenant="x" * 200) == 1


async def test_no_payload_key_or_secret_is_ever_logged(gateway: RunningGateway, ca: Issued) -> None:
    """At the most talkative level, over every protocol, when all goes well and when it does not."""
    issued = ca.issue("CN=talkative")
    devices: list[Device] = [
        await open_mqtt(gateway, issued),
        await HttpDevice.open(gateway, issued),
        await CoapDevice.open(gateway, issued),
    ]
    async with present(*devices):
        for device in devices:
            assert await device.say(PAYLOAD)
    for topic in ("nonsense", "telemetry/other/device", f"event/{TENANT}/x"):
        failing = await open_mqtt(gateway, issued)
        async with present(failing):
            failing.send_publish(PAYLOAD, topic=topic)
            await failing.until_closed()
    for topic_like in (b"\xff\xfe" + PAYLOAD, PAYLOAD * 3):  # bytes that are no packet
        failing = await open_mqtt(gateway, issued)
        async with present(failing):
            failing.line.send(topic_like)
            await failing.until_closed()
    for version in (4, 5):
        for shown in (issued, None, make_ca("CN=Nobody").issue("CN=x")):
            claiming = await MqttDevice.open(gateway, shown, version=version)
            async with present(claiming):
                words = connect(version, "c", user_name=f"device@{TENANT}", password=SECRET.encode())
                claiming.line.send(encode(words, version))
                kind, _ = await claiming.packet()
                assert kind == p.CONNACK << 4
    basic = base64.b64encode(f"device@{TENANT}:{SECRET}".encode()).decode()
    for headers in (f"Authorization: Basic {basic}\r\n", f"Authorization: Bearer {SECRET}\r\nCookie: {SECRET}\r\n"):
        for path in ("/telemetry", "/nothing", f"/telemetry?token={SECRET}"):
            http = await HttpDevice.open(gateway, issued)
            async with present(http):
                http.line.send(upload_request(PAYLOAD, path=path, headers=headers))
                await http.status()
                http.line.send(b"POST /telemetry HTTP/1.1\r\nHost: x\r\nBad header " + SECRET.encode() + b"\r\n\r\n")
                assert await http.status() == 400
    context = ssl.create_default_context(cafile=str(gateway.server_ca))
    async with aiohttp.ClientSession(headers={"Authorization": f"Bearer {SECRET}"}) as session:
        async with session.get(f"https://localhost:{gateway.ports['management']}/{SECRET}", ssl=context) as answer:
            assert answer.status == 404
    coap = await CoapDevice.open(gateway, issued)
    async with present(coap):
        assert (await coap.put(PAYLOAD, "/telemetry/other/x")).startswith("4.")
        assert (await coap.post(PAYLOAD, path="/nothing")) == "4.04"
    await until(lambda: gateway.audit("device.refused"), every_s=0.05)
    assert gateway.stop() == 0

    written = gateway.log_file.read_bytes()
    written += repr(gateway.audit()).encode()
    server_key = (gateway.data_dir / "tls" / "server.key").read_bytes()
    private = [line for line in server_key.splitlines() if not line.startswith(b"-----")]
    for secret in (PAYLOAD, SECRET.encode(), *private, b"PRIVATE KEY"):
        for spelled in (secret, base64.b64encode(secret).rstrip(b"=")[:-1], secret.hex().encode()):
            assert spelled not in written
    assert issued.key_pem.splitlines()[1] not in written
