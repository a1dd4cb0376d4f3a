"""paho, bare and through aiomqtt, against a running gateway, over MQTT 3.1.1 and 5."""

import asyncio
import threading
from typing import Any

import aiomqtt
import paho.mqtt.client as paho
import pytest
from paho.mqtt.enums import CallbackAPIVersion

from tests.support.certificates import Issued, make_ca
from tests.support.site import Site
from tests.support.waiting import until, until_blocking

V311, V5 = aiomqtt.ProtocolVersion.V311, aiomqtt.ProtocolVersion.V5
both_versions = pytest.mark.parametrize("version", [V311, V5], ids=["3.1.1", "5"])


def client(site: Site, device: Issued, version: aiomqtt.ProtocolVersion, **options: Any) -> aiomqtt.Client:
    files = site.gateway.files(device)
    tls = aiomqtt.TLSParameters(str(site.gateway.server_ca), str(files.certificate), str(files.key))
    port = site.gateway.ports["mqtts"]
    return aiomqtt.Client("127.0.0.1", port, protocol=version, tls_params=tls, **options)


@both_versions
@pytest.mark.parametrize("key", ["rsa2048", "ec256", "ed25519"])
async def test_an_unknown_device_is_registered_and_recognised(
    site: Site, version: aiomqtt.ProtocolVersion, key: str
) -> None:
    device = site.issue(key=key)
    for payload in (b"first", b"second"):
        async with client(site, device, version) as connected:
            await connected.publish("event", payload, qos=1)
    first, second = site.wait_for_messages(2)
    assert (first.payload, second.payload) == (b"first", b"second")
    assert [first.device_id, second.device_id] == site.device_ids() * 2
    assert len(site.notifications()) == 1


@both_versions
async def test_many_messages_at_once_are_all_acknowledged_and_kept_in_order(
    site: Site, version: aiomqtt.ProtocolVersion
) -> None:
    async with client(site, site.issue(), version, max_concurrent_outgoing_calls=500) as connected:
        await asyncio.gather(*(connected.publish("telemetry", b"%d" % n, qos=1, timeout=30) for n in range(500)))
    messages = site.wait_for_messages(500)
    assert [message.payload for message in messages] == [b"%d" % number for number in range(500)]


@both_versions
async def test_qos_0_and_1_mixed_keep_their_order(site: Site, version: aiomqtt.ProtocolVersion) -> None:
    async with client(site, site.issue(), version) as connected:
        for number in range(30):
            await connected.publish("t", b"%d" % number, qos=number % 2)
    messages = site.wait_for_messages(30)
    assert [(message.payload, message.qos) for message in messages] == [(b"%d" % n, n % 2) for n in range(30)]


@both_versions
async def test_sixty_devices_connect_at_the_same_time(site: Site, version: aiomqtt.ProtocolVersion) -> None:
    number = 60

    async def come() -> None:
        async with client(site, site.issue(), version, timeout=30) as connected:
            await connected.publish("e", b"x", qos=1, timeout=30)

    await asyncio.gather(*(come() for _ in range(number)))
    site.wait_for_messages(number)
    assert len(site.device_ids()) == len(site.notifications()) == number


@both_versions
@pytest.mark.parametrize(("refused_by", "words"), [("ca", "Bad user name or password"), ("operator", "Not authorized")])
async def test_who_is_refused_is_told_why(
    site: Site, version: aiomqtt.ProtocolVersion, refused_by: str, words: str
) -> None:
    stranger = make_ca("CN=Nobody's CA").issue("CN=x")
    device = stranger if refused_by == "ca" else site.register("dev", enabled=False)
    with pytest.raises(aiomqtt.MqttError, match=words):
        async with client(site, device, version):
            raise AssertionError("connected")


@both_versions
async def test_a_newer_connection_of_the_client_takes_over(site: Site, version: aiomqtt.ProtocolVersion) -> None:
    device = site.issue()
    older = client(site, device, version, identifier="pump")
    newer = client(site, device, version, identifier="pump")
    with pytest.raises(aiomqtt.MqttError):
        async with older, newer:
            await newer.publish("e", b"newer", qos=1)
            async for _ in older.messages:
                raise AssertionError("nothing was subscribed to")
    assert site.wait_for_message().payload == b"newer"


@both_versions
async def test_what_cannot_be_subscribed_to_is_refused_and_the_connection_stays(
    site: Site, version: aiomqtt.ProtocolVersion
) -> None:
    async with client(site, site.issue(), version) as connected:
        [granted] = await connected.subscribe("#", qos=1)
        assert (granted if isinstance(granted, int) else granted.value) >= 0x80
        await connected.publish("e", b"still here", qos=1)
    site.wait_for_message()


class PahoDevice:
    """paho with its own thread, and what it was told, in order."""

    def __init__(self, site: Site, device: Issued, version: aiomqtt.ProtocolVersion, *, keep_alive_s: int = 60) -> None:
        files = site.gateway.files(device)
        self.acknowledged: list[int] = []
        self.connections = 0
        self.logged: list[str] = []
        self.connected = threading.Event()
        self.paho = paho.Client(CallbackAPIVersion.VERSION2, protocol=version.value, reconnect_on_failure=True)
        self.paho.tls_set(str(site.gateway.server_ca), str(files.certificate), str(files.key))
        self.paho.reconnect_delay_set(1, 1)
        self.paho.max_inflight_messages_set(100)
        self.paho.on_connect = self._on_connect
        self.paho.on_publish = lambda _, __, mid, ___, ____: self.acknowledged.append(mid)
        self.paho.on_log = lambda _, __, ___, line: self.logged.append(line)
        self.paho.connect_async("127.0.0.1", site.gateway.ports["mqtts"], keep_alive_s)
        self.paho.loop_start()
        assert self.connected.wait(15), self.logged

    def _on_connect(self, *_: object) -> None:
        self.connections += 1
        self.connected.set()

    def close(self) -> None:
        self.paho.disconnect()
        self.paho.loop_stop()


@both_versions
def test_pubacks_come_in_the_order_of_the_messages(site: Site, version: aiomqtt.ProtocolVersion) -> None:
    device = PahoDevice(site, site.issue(), version)
    try:
        sent = [device.paho.publish("event", b"%d" % number, qos=1).mid for number in range(200)]
        until_blocking(lambda: len(device.acknowledged) == 200)
        assert device.acknowledged == sent
    finally:
        device.close()
    assert [message.payload for message in site.wait_for_messages(200)] == [b"%d" % number for number in range(200)]


def test_a_quiet_client_is_kept_alive_by_its_pings(site: Site) -> None:
    device = PahoDevice(site, site.issue(), V311, keep_alive_s=1)
    try:
        until_blocking(lambda: sum("Received PINGRESP" in line for line in device.logged) >= 2)
        device.paho.publish("e", b"still here", qos=1).wait_for_publish(10)
        assert device.connections == 1
    finally:
        device.close()
    site.wait_for_message()


@both_versions
async def test_a_client_that_was_cut_off_comes_back_and_is_recognised(
    site: Site, version: aiomqtt.ProtocolVersion
) -> None:
    """Disabled, its connection ends; enabled again, paho's own reconnecting finds the same device."""
    device = PahoDevice(site, site.issue(), version)
    try:
        device_id = site.only_device().device_id
        site.gateway.devices.set_enabled(site.tenant_id, device_id, site.gateway.deed(), enabled=False)
        await until(lambda: not device.paho.is_connected(), within_s=15, every_s=0.01)
        site.gateway.devices.set_enabled(site.tenant_id, device_id, site.gateway.deed(), enabled=True)
        await until(lambda: device.paho.is_connected(), within_s=15, every_s=0.01)
        device.paho.publish("e", b"back", qos=1).wait_for_publish(10)
    finally:
        device.close()
    assert site.wait_for_message().device_id == device_id
    assert site.device_ids() == [device_id]
