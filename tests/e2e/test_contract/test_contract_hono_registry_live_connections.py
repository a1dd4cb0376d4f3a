"""Row 233 of the Hono registry contract and beyond: a change over the management API ends the live connections that it
concerns, of every protocol and in every process, and holds for the next connection and message.

Two gateway processes share one data directory; the API is the first one's. Each has devices connected.
"""

import asyncio
from base64 import b64encode
from collections.abc import AsyncIterator, Callable, Iterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any

import pytest

from tests.support.attempts import basic
from tests.support.certificates import Issued, make_ca
from tests.support.fleet import (
    V3,
    V5,
    CoapDevice,
    Device,
    HttpDevice,
    MqttDevice,
    TlsLine,
    open_mqtt,
    present,
    upload_request,
)
from tests.support.gateway import RunningGateway, running_gateway
from tests.support.management import ManagementClient, operator_of
from tests.support.mqtt_client import connect, encode
from tests.support.waiting import until

CLOSED_WITHIN_S = 5.0  # a second, and what a busy machine takes
ADMINISTRATIVE_ACTION = 0x98  # DISCONNECT of 5
PASSWORD = "hush"

Pair = tuple[RunningGateway, RunningGateway]


@pytest.fixture(scope="module")
def pair(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Pair]:
    with running_gateway(tmp_path_factory.mktemp("live"), mqtt={"take_over": False}) as left:
        yield left, left.another()


@pytest.fixture(scope="module")
def registry(pair: Pair) -> Iterator[ManagementClient]:
    with operator_of(pair[0]) as client:
        yield client


@dataclass(frozen=True)
class Story:
    """A tenant of its own, with a device that proves itself both ways."""

    pair: Pair
    registry: ManagementClient
    tenant: str
    ca: Issued

    @property
    def pump(self) -> Issued:
        return self.ca.issue(f"CN=pump,O={self.tenant}")

    @property
    def login(self) -> tuple[str, str]:
        return f"pump@{self.tenant}", PASSWORD

    def put_tenant(self, **members: Any) -> None:
        trusted = {"id": "ca", "cert": b64encode(self.ca.der).decode()}
        document = {"trusted-ca": [trusted], **members}
        assert self.registry.put(f"/v1/tenants/{self.tenant}", document).status == 204

    def put_device(self, **members: Any) -> None:
        assert self.registry.put(f"/v1/devices/{self.tenant}/pump", members).status == 204

    def put_credentials(self, *without: str, password: str = PASSWORD, **members: Any) -> None:
        """`without` a type of them; `members` are of both."""
        known = [
            {"type": "x509-cert", "auth-id": f"CN=pump,O={self.tenant}", "secrets": [{}], **members},
            {"type": "hashed-password", "auth-id": "pump", "secrets": [{"pwd-plain": password}], **members},
        ]
        kept = [each for each in known if each["type"] not in without]
        assert self.registry.put(f"/v1/credentials/{self.tenant}/pump", kept).status == 204

    def delete(self, path: str) -> None:
        assert self.registry.delete(path.format(tenant=self.tenant)).status == 204

    async def by_certificate(self) -> list[Device]:
        """One device of each protocol at each process."""
        made: list[Device] = []
        for gateway in self.pair:
            made.append(await open_mqtt(gateway, self.pump))
            made.append(await open_mqtt(gateway, self.pump, version=V5))
            made.append(await HttpDevice.open(gateway, self.pump))
            made.append(await CoapDevice.open(gateway, self.pump))
        return made

    async def by_password(self) -> list[Device]:
        made: list[Device] = []
        for gateway in self.pair:
            for version in (V3, V5):
                mqtt = await MqttDevice.open(gateway, None, version=version)
                user_name, password = self.login
                said = connect(version, f"c-{version}", user_name=user_name, password=password.encode())
                mqtt.line.send(encode(said, version))
                kind, body = await mqtt.packet()
                assert (kind, body[1]) == (0x20, 0)
                made.append(mqtt)
            made.append(BasicDevice((await HttpDevice.open(gateway, None)).line, basic(self.login)))
        return made


class BasicDevice(HttpDevice):
    """Says who it is with each request."""

    def __init__(self, line: TlsLine, authorization: str) -> None:
        super().__init__(line)
        self._authorization = authorization

    def send_post(self, payload: bytes, *, path: str = "/telemetry") -> None:
        headers = f"Authorization: {self._authorization}\r\n"
        self.line.send(upload_request(payload, path=path, headers=headers))


@pytest.fixture
def story(pair: Pair, registry: ManagementClient) -> Story:
    tenant = registry.new_tenant()
    story = Story(pair, registry, tenant, make_ca(f"CN=CA,O={tenant}"))
    story.put_tenant()
    assert registry.post(f"/v1/devices/{tenant}/pump").status == 201
    story.put_credentials()
    return story


@asynccontextmanager
async def heard(*devices: Device) -> AsyncIterator[None]:
    """They are connected, and each has been answered."""
    async with present(*devices):
        for device in devices:
            assert await device.say(b"I am here")
        yield


async def ended(devices: Sequence[Device]) -> None:
    """Every connection closes; version 5 is told that an operator did it."""
    ends = await asyncio.gather(*(device.until_closed(within_s=CLOSED_WITHIN_S) for device in devices))
    for device, end in zip(devices, ends, strict=True):
        if isinstance(device, MqttDevice):
            assert end == (ADMINISTRATIVE_ACTION if device.version == V5 else None)


@pytest.mark.parametrize(
    "change",
    [
        lambda story: story.delete("/v1/devices/{tenant}/pump"),
        lambda story: story.put_device(enabled=False),
        lambda story: story.delete("/v1/tenants/{tenant}"),
        lambda story: story.put_tenant(enabled=False),
        lambda story: story.delete("/v1/devices/{tenant}"),
        lambda story: story.put_credentials(enabled=False),
        lambda story: story.put_credentials("x509-cert", "hashed-password"),
    ],
    ids=[
        "device-deleted",
        "device-disabled",
        "tenant-deleted",
        "tenant-disabled",
        "all-devices-deleted",
        "credentials-disabled",
        "credentials-deleted",
    ],
)
async def test_hono_registry_233_live_connections_end_with_what_they_stand_on(
    story: Story, change: Callable[[Story], None]
) -> None:
    devices = [*await story.by_certificate(), *await story.by_password()]
    async with heard(*devices):
        await asyncio.to_thread(change, story)
        await ended(devices)


async def test_hono_registry_233_a_removed_ca_ends_the_connections_it_vouched_for(story: Story) -> None:
    vouched, others = await story.by_certificate(), await story.by_password()
    async with heard(*vouched, *others):
        await asyncio.to_thread(story.put_tenant, **{"trusted-ca": []})
        await ended(vouched)
        for device in others:
            assert await device.say(b"still here")


async def test_a_changed_password_ends_the_sessions_it_let_in_and_no_other(story: Story) -> None:
    vouched, others = await story.by_certificate(), await story.by_password()
    async with heard(*vouched, *others):
        await asyncio.to_thread(story.put_credentials, password="another")
        await ended(others)
        for device in vouched:
            assert await device.say(b"still here")


async def test_a_removed_credential_ends_its_own_sessions_and_no_other(story: Story) -> None:
    vouched, others = await story.by_certificate(), await story.by_password()
    async with heard(*vouched, *others):
        await asyncio.to_thread(story.put_credentials, "x509-cert", password=PASSWORD)
        await ended(vouched)


async def test_what_does_not_concern_a_session_leaves_it_alone(story: Story) -> None:
    devices = await story.by_certificate()
    async with heard(*devices):
        await asyncio.to_thread(story.put_credentials, comment="said of it")
        await asyncio.to_thread(story.put_device, ext={"said": "of it"})
        await asyncio.to_thread(story.put_tenant, ext={"said": "of it"})
        for device in devices:
            assert await device.say(b"still here")


@pytest.mark.parametrize("side", [0, 1], ids=["this-process", "the-other"])
async def test_what_a_device_says_of_its_messages_holds_for_the_next_one(story: Story, side: int) -> None:
    gateway = story.pair[side]
    device = await open_mqtt(gateway, story.pump)
    async with heard(device):
        for room in ("cellar", "attic"):
            await asyncio.to_thread(story.put_device, defaults={"room": room})
            assert await device.say(room.encode())
            await until(lambda room=room: room.encode() in gateway.payloads())  # type: ignore[misc]
            [message] = [kept for kept in gateway.messages(story.tenant) if kept.payload == room.encode()]
            assert message.properties["room"] == room
