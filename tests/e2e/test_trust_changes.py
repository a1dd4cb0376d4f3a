"""What an operator changes holds at once: at the next handshake, and for connections that live already.

Two gateway processes share one data directory, and the operator works in a third. Each has a device of
every protocol connected. Tenants are a test's own, so the processes are shared.
"""

import asyncio
import subprocess
import sys
from collections.abc import AsyncIterator, Callable, Iterator, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

import pytest

from kernel.ids import generate_id
from tests.support.certificates import Issued, make_ca
from tests.support.fleet import (
    V5,
    CoapDevice,
    Device,
    HandshakeRefused,
    HttpDevice,
    MqttDevice,
    defects,
    open_mqtt,
    present,
)
from tests.support.gateway import RunningGateway, running_gateway

CLOSED_WITHIN_S = 3.0  # changes of other processes are looked for every 0.2 s; the rest is for a busy machine
BAD_CREDENTIALS, NOT_AUTHORIZED = 4, 5  # CONNACK of 3.1.1
ADMINISTRATIVE_ACTION = 0x98  # DISCONNECT of 5

Pair = tuple[RunningGateway, RunningGateway]


@pytest.fixture(scope="module")
def pair(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Pair]:
    with running_gateway(tmp_path_factory.mktemp("pair")) as left:
        right = left.another()
        yield left, right
        assert defects(left) == []
        assert defects(right) == []


@dataclass(frozen=True)
class Story:
    """A tenant of its own with one CA that provisions."""

    pair: Pair
    tenant: str
    ca: Issued

    @property
    def gateway(self) -> RunningGateway:
        return self.pair[0]

    def device(self, name: str) -> Issued:
        return self.ca.issue(f"CN={name},O={self.tenant}")

    def remove_anchor(self) -> None:
        self.gateway.tenants.distrust(self.tenant, "anchor", self.gateway.deed())

    def disable_tenant(self) -> None:
        self.gateway.tenants.set_enabled(self.tenant, self.gateway.deed(), enabled=False)

    def delete_tenant(self) -> None:
        self.gateway.tenants.delete(self.tenant, self.gateway.deed())

    def disable_devices(self) -> None:
        for device_id in self.gateway.device_ids(self.tenant):
            self.gateway.devices.set_enabled(self.tenant, device_id, self.gateway.deed(), enabled=False)

    def delete_devices(self) -> None:
        for device_id in self.gateway.device_ids(self.tenant):
            self.gateway.devices.delete(self.tenant, device_id, self.gateway.deed())


@pytest.fixture
def story(pair: Pair) -> Story:
    tenant = generate_id()
    ca = make_ca(f"CN=CA,O={tenant}")
    pair[0].trust(tenant, ca, "anchor", may_auto_provision=True)
    return Story(pair, tenant, ca)


def tuhono(gateway: RunningGateway, *words: object) -> None:
    """The operator's command, in a process of its own."""
    command = [sys.executable, "-m", "tuhono", *map(str, words), "--config", gateway.config, "-d", gateway.data_dir]
    subprocess.run(list(map(str, command)), check=True, capture_output=True, timeout=30)


@asynccontextmanager
async def connected(story: Story) -> AsyncIterator[Sequence[Device]]:
    """One device of each protocol at each process, heard and answered."""
    async with AsyncExitStack() as stack:
        devices: list[Device] = []
        for side, gateway in enumerate(story.pair):
            devices.append(await open_mqtt(gateway, story.device(f"mqtt3-{side}")))
            devices.append(await open_mqtt(gateway, story.device(f"mqtt5-{side}"), version=V5))
            devices.append(await HttpDevice.open(gateway, story.device(f"http-{side}")))
            devices.append(await CoapDevice.open(gateway, story.device(f"coap-{side}")))
        await stack.enter_async_context(present(*devices))
        for device in devices:
            assert await device.say(b"I am here")
        yield devices


@pytest.mark.parametrize(
    ("change", "code"),
    [
        (Story.remove_anchor, BAD_CREDENTIALS),
        (Story.disable_tenant, NOT_AUTHORIZED),
        (Story.delete_tenant, BAD_CREDENTIALS),
        (Story.disable_devices, NOT_AUTHORIZED),
    ],
)
async def test_a_change_ends_live_connections_in_every_process_and_refuses_the_next(
    story: Story, change: Callable[[Story], None], code: int
) -> None:
    bystander_ca = make_ca(f"CN=Bystander,O={story.tenant}")
    story.gateway.trust(f"{story.tenant}-bystander", bystander_ca, may_auto_provision=True)
    bystanders = [await open_mqtt(gateway, bystander_ca.issue("CN=bystander")) for gateway in story.pair]
    async with present(*bystanders), connected(story) as devices:
        change(story)
        ends = await asyncio.gather(*(device.until_closed(within_s=CLOSED_WITHIN_S) for device in devices))
        told = [end for device, end in zip(devices, ends, strict=True) if isinstance(device, MqttDevice)]
        assert told == [None, ADMINISTRATIVE_ACTION] * 2
        for side, gateway in enumerate(story.pair):
            again = await MqttDevice.open(gateway, story.device(f"mqtt3-{side}"))
            async with present(again):
                assert await again.connect() == code
        for bystander in bystanders:
            await bystander.ping()  # nobody else's connection was touched


async def test_a_deleted_device_loses_its_connections_and_returns_as_a_new_one(story: Story) -> None:
    async with connected(story) as devices:
        before = set(story.gateway.device_ids(story.tenant))
        assert len(before) == 8
        story.delete_devices()
        await asyncio.gather(*(device.until_closed(within_s=CLOSED_WITHIN_S) for device in devices))
        assert story.gateway.device_ids(story.tenant) == []
        again = await open_mqtt(story.pair[1], story.device("mqtt3-0"))
        async with present(again):
            assert await again.say(b"back")
        [anew] = story.gateway.device_ids(story.tenant)
        assert anew not in before


async def test_a_device_enabled_again_is_welcome_again(story: Story) -> None:
    issued = story.device("on-and-off")
    first = await open_mqtt(story.gateway, issued)
    async with present(first):
        [device_id] = story.gateway.device_ids(story.tenant)
        story.gateway.devices.set_enabled(story.tenant, device_id, story.gateway.deed(), enabled=False)
        await first.until_closed(within_s=CLOSED_WITHIN_S)
    story.gateway.devices.set_enabled(story.tenant, device_id, story.gateway.deed(), enabled=True)
    for gateway in story.pair:
        again = await open_mqtt(gateway, issued)
        async with present(again):
            assert await again.say(b"on again")
    assert story.gateway.device_ids(story.tenant) == [device_id]


async def test_a_ca_trusted_on_the_command_line_holds_at_the_next_handshake_in_every_process(
    story: Story, tmp_path: Path
) -> None:
    ca = make_ca(f"CN=Late,O={story.tenant}")
    late = ca.issue("CN=late")
    for gateway in story.pair:
        too_early = await MqttDevice.open(gateway, late)
        async with present(too_early):
            assert await too_early.connect() == BAD_CREDENTIALS
        with pytest.raises(HandshakeRefused):
            await CoapDevice.open(gateway, late)
    file = tmp_path / "late.pem"
    file.write_bytes(ca.pem)
    tuhono(story.gateway, "tenant", "trust", story.tenant, file, "--auto-provision")
    for gateway in story.pair:  # at once: nothing is waited for
        devices: list[Device] = [await open_mqtt(gateway, late), await CoapDevice.open(gateway, late)]
        async with present(*devices):
            assert await devices[0].say(b"trusted now")
            assert await devices[1].say(b"trusted now")
    tuhono(story.gateway, "tenant", "trust", story.tenant, file, "--remove")
    for gateway in story.pair:
        refused = await MqttDevice.open(gateway, late)
        async with present(refused):
            assert await refused.connect() == BAD_CREDENTIALS
        with pytest.raises(HandshakeRefused):
            await CoapDevice.open(gateway, late)


async def test_trust_withdrawn_between_handshake_and_first_word_refuses_and_creates_nothing(story: Story) -> None:
    for gateway in story.pair:
        mqtt = await MqttDevice.open(gateway, story.device("mqtt"))
        http = await HttpDevice.open(gateway, story.device("http"))
        async with present(mqtt, http):
            story.remove_anchor()
            assert await mqtt.connect() == BAD_CREDENTIALS
            assert await http.post(b"x") == 401
        story.gateway.trust(story.tenant, story.ca, "anchor", may_auto_provision=True)
    assert story.gateway.device_ids(story.tenant) == []


async def test_one_of_two_anchors_removed_ends_only_the_devices_it_vouched_for(story: Story) -> None:
    other_ca = make_ca(f"CN=Other,O={story.tenant}")
    story.gateway.trust(story.tenant, other_ca, "other", may_auto_provision=True)
    leaving = await open_mqtt(story.pair[1], story.device("leaving"))
    staying = await open_mqtt(story.pair[1], other_ca.issue("CN=staying"))
    async with present(leaving, staying):
        story.remove_anchor()
        await leaving.until_closed(within_s=CLOSED_WITHIN_S)
        assert await staying.say(b"still here")
