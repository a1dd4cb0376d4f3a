"""kill -9 of the gateway, at a moment it did not choose: what it acknowledged is kept, what it began is whole."""

import asyncio
import random
import signal
import ssl
from collections.abc import Awaitable, Mapping
from pathlib import Path

import pytest

from tests.support.certificates import make_ca, new_key
from tests.support.fleet import (
    CoapDevice,
    HandshakeRefused,
    HttpDevice,
    MqttDevice,
    announced,
    defects,
    open_mqtt,
    present,
    tls_context,
    unpaired_rows,
)
from tests.support.gateway import RunningGateway, running_gateway
from tests.support.waiting import until_blocking

TENANT = "acme"
ROUNDS = 3
PROTOCOLS = (b"-mqtt-", b"-http-", b"-coap-")
ACCEPTED = 0
PUBACK = 0x40
GONE = (EOFError, HandshakeRefused, ConnectionError, TimeoutError)


class Ledger:
    """What was acknowledged. Kills the gateway, mid-flight, as soon as that is enough, of every protocol."""

    def __init__(self, gateway: RunningGateway, *, kill_after: int) -> None:
        self.acknowledged: set[bytes] = set()
        self._gateway = gateway
        self._kill_after = kill_after
        self._has_killed = False

    def add(self, payload: bytes) -> None:
        self.acknowledged.add(payload)
        if len(self.acknowledged) >= self._kill_after and not self._has_killed and self._has_all():
            self._has_killed = True
            self._gateway.process.send_signal(signal.SIGKILL)

    def _has_all(self) -> bool:
        return all(any(protocol in payload for payload in self.acknowledged) for protocol in PROTOCOLS)


async def publish_until_killed(device: MqttDevice, name: str, ledger: Ledger, *, window: int) -> None:
    """QoS 1 over MQTT, so many in flight. Acknowledgements come in the order of what they acknowledge."""
    in_flight: dict[int, bytes] = {}
    number = 0
    while True:
        while len(in_flight) < window:
            payload = f"{name}-{number}".encode()
            in_flight[device.send_publish(payload)] = payload
            number += 1
        kind, body = await device.packet()
        assert kind == PUBACK
        packet_id = int.from_bytes(body[:2], "big")
        assert packet_id == next(iter(in_flight))
        ledger.add(in_flight.pop(packet_id))


async def post_until_killed(device: HttpDevice | CoapDevice, name: str, ledger: Ledger) -> None:
    number = 0
    while True:
        payload = f"{name}-{number}".encode()
        if await device.say(payload):
            ledger.add(payload)
        number += 1


async def until_killed(work: Awaitable[None]) -> None:
    with pytest.raises(GONE):
        await work


async def test_every_message_acknowledged_over_any_protocol_survives_kill_9(tmp_path: Path) -> None:
    with running_gateway(tmp_path, coap={"ack_delay_s": 0.1}) as gateway:
        ca = make_ca("CN=CA")
        gateway.trust(TENANT, ca, may_auto_provision=True)
        acknowledged: set[bytes] = set()
        for turn in range(ROUNDS):
            mqtt = [await open_mqtt(gateway, ca.issue(f"CN=mqtt-{at}")) for at in range(4)]
            http = [await HttpDevice.open(gateway, ca.issue(f"CN=http-{at}")) for at in range(3)]
            coap = [await CoapDevice.open(gateway, ca.issue(f"CN=coap-{at}")) for at in range(2)]
            ledger = Ledger(gateway, kill_after=random.randint(300, 900))
            async with present(*mqtt, *http, *coap):
                # A CoAP client is told of no death: it would wait for an answer until its own deadline.
                coaps = [
                    asyncio.create_task(post_until_killed(device, f"{turn}-coap-{at}", ledger))
                    for at, device in enumerate(coap)
                ]
                await asyncio.gather(
                    *(
                        until_killed(publish_until_killed(device, f"{turn}-mqtt-{at}", ledger, window=8))
                        for at, device in enumerate(mqtt)
                    ),
                    *(
                        until_killed(post_until_killed(device, f"{turn}-http-{at}", ledger))
                        for at, device in enumerate(http)
                    ),
                )
                for task in coaps:
                    task.cancel()
                await asyncio.gather(*coaps, return_exceptions=True)
            assert gateway.process.wait(10) == -signal.SIGKILL
            acknowledged |= ledger.acknowledged
            gateway.restart()
            kept = gateway.payloads()
            assert acknowledged - set(kept) == set()
            assert len(kept) == len(set(kept))  # and nothing twice
        assert len(gateway.device_ids(TENANT)) == 9
        assert unpaired_rows(gateway) == []
        assert defects(gateway) == []


class Storm:
    """Strangers that all come at once, as often as told."""

    def __init__(self, gateway: RunningGateway, contexts: Mapping[str, ssl.SSLContext]) -> None:
        self.admitted: set[str] = set()
        self._gateway = gateway
        self._contexts = contexts

    async def rage(self, *, kill_after: int | None = None) -> None:
        """Connect all of them; kill -9 after so many CONNACKs. A connection that dies is nobody's fault."""
        await asyncio.gather(*(self._connect(name, kill_after) for name in self._contexts))

    async def _connect(self, name: str, kill_after: int | None) -> None:
        try:
            device = await MqttDevice.open(self._gateway, self._contexts[name])
            async with present(device):
                assert await device.connect() == ACCEPTED
        except GONE:
            assert kill_after is not None
            return
        self.admitted.add(name)
        if len(self.admitted) == kill_after:
            self._gateway.process.send_signal(signal.SIGKILL)


@pytest.mark.parametrize("kill_after", [1, 75])
async def test_kill_9_in_a_storm_of_strangers_leaves_whole_devices_all_announced_in_the_end(
    tmp_path: Path, kill_after: int
) -> None:
    """Devices and credentials in pairs; who was let in is on record; and every device on record is announced
    without having to come back."""
    with running_gateway(tmp_path, registry={"notification_retry_s": 0.3}) as gateway:
        ca = make_ca("CN=CA")
        gateway.trust(TENANT, ca, may_auto_provision=True, device_id_template="{{subject-cn}}")
        key = new_key()
        names = [f"stranger-{number}" for number in range(150)]
        storm = Storm(gateway, {name: tls_context(gateway, ca.issue(f"CN={name}", key=key)) for name in names})
        await storm.rage(kill_after=kill_after)
        assert gateway.process.wait(10) == -signal.SIGKILL
        assert len(storm.admitted) >= kill_after
        assert unpaired_rows(gateway) == []
        on_record = set(gateway.device_ids(TENANT))
        assert storm.admitted <= on_record

        gateway.restart()
        until_blocking(lambda: on_record <= set(announced(gateway, TENANT)), every_s=0.1)
        until_blocking(lambda: all(device.status.notification_sent for device in gateway.devices.all(TENANT)))
        await storm.rage()
        assert storm.admitted == set(names)
        assert sorted(gateway.device_ids(TENANT)) == sorted(names)
        assert unpaired_rows(gateway) == []
        assert defects(gateway) == []
