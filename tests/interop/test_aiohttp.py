"""aiohttp's client against a running gateway."""

import asyncio
import socket
import ssl
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import aiohttp
import pytest

from tests.support.certificates import Issued, make_ca
from tests.support.gateway import RunningGateway
from tests.support.site import Site, open_sites_of_one_ca
from tests.support.waiting import until


@asynccontextmanager
async def session(
    gateway: RunningGateway, device: Issued | None, *, limit: int = 1, verifies: bool = True
) -> AsyncIterator[aiohttp.ClientSession]:
    context = ssl.create_default_context(cafile=gateway.server_ca)
    context.check_hostname = verifies
    if device is not None:
        files = gateway.files(device)
        context.load_cert_chain(files.certificate, files.key)
    sockets: list[socket.socket] = []

    def make_socket(address: tuple[Any, ...]) -> socket.socket:
        sockets.append(socket.socket(*address[:3]))
        return sockets[-1]

    connector = aiohttp.TCPConnector(ssl=context, limit=limit, socket_factory=make_socket)
    base = f"https://127.0.0.1:{gateway.ports['https']}"
    async with aiohttp.ClientSession(base, connector=connector, timeout=aiohttp.ClientTimeout(20)) as opened:
        yield opened
    await until(lambda: all(made.fileno() < 0 for made in sockets))  # it does not wait for those the gateway closed


@pytest.mark.parametrize("key", ["rsa2048", "ec256", "ed25519"])
async def test_an_unknown_device_is_registered_and_recognised(site: Site, key: str) -> None:
    device = site.issue(key=key)
    for number in range(2):
        async with session(site.gateway, device) as client:
            async with client.post("/event", json={"n": number}) as answer:
                assert (answer.status, await answer.read()) == (202, b"")
    messages = site.wait_for_messages(2)
    assert [(message.payload, message.content_type) for message in messages] == [
        (b'{"n": 0}', "application/json"),
        (b'{"n": 1}', "application/json"),
    ]
    assert [message.device_id for message in messages] == site.device_ids() * 2


async def test_a_hundred_uploads_use_one_connection(site: Site) -> None:
    async with session(site.gateway, site.issue()) as client:
        for number in range(100):
            async with client.put("/telemetry", data=b"%d" % number) as answer:
                assert answer.status == 202
    assert [message.payload for message in site.wait_for_messages(100)] == [b"%d" % number for number in range(100)]
    admitted = [row for row in site.gateway.log() if row["event"] == "device.admitted"]
    assert len([row for row in admitted if row["tenant_id"] == site.tenant_id]) == 1


async def test_uploads_over_many_connections_at_once_make_one_device(site: Site) -> None:
    async def upload(client: aiohttp.ClientSession, number: int) -> int:
        async with client.post("/event", data=b"%d" % number) as answer:
            return answer.status

    async with session(site.gateway, site.issue(), limit=30) as client:
        assert await asyncio.gather(*(upload(client, number) for number in range(60))) == [202] * 60
    site.wait_for_messages(60)
    assert len(site.device_ids()) == len(site.notifications()) == 1


async def test_a_streamed_body_arrives_whole(site: Site) -> None:
    async def parts() -> AsyncIterator[bytes]:
        for number in range(20):
            yield b"%03d" % number * 30
            await asyncio.sleep(0)

    async with session(site.gateway, site.issue()) as client:
        async with client.post("/event", data=parts(), expect100=True) as answer:
            assert answer.status == 202
    assert site.wait_for_message().payload == b"".join(b"%03d" % number * 30 for number in range(20))


async def test_a_body_that_is_too_large_is_refused(site: Site) -> None:
    async with session(site.gateway, site.issue()) as client:
        async with client.post("/event", data=bytes(4096)) as answer:
            assert (answer.status, await answer.json()) == (413, {"error": "request body too large"})


@pytest.mark.parametrize("shows", ["a certificate of nobody", "nothing"])
async def test_who_proves_nothing_is_told_how_to(site: Site, shows: str) -> None:
    stranger = make_ca("CN=Nobody's CA").issue("CN=x") if shows != "nothing" else None
    async with session(site.gateway, stranger) as client:
        async with client.post("/event", data=b"x") as answer:
            assert (answer.status, await answer.json()) == (401, {"error": "bad credentials"})
            assert answer.headers["WWW-Authenticate"].startswith("Basic ")


async def test_the_server_certificate_is_good_for_the_address(site: Site) -> None:
    async with session(site.gateway, site.issue(), verifies=True) as client:
        async with client.post("/event", data=b"x") as answer:
            assert answer.status == 202


async def test_the_server_name_decides_between_tenants_of_one_ca(gateway: RunningGateway) -> None:
    first, second = open_sites_of_one_ca(gateway, aliases=[None, "aiohttp-alias"], may_auto_provision=True)
    device = first.issue()
    for name, status in ((first.tenant_id, 202), ("aiohttp-alias", 202), ("nobody", 401)):
        async with session(gateway, device, verifies=False) as client:
            async with client.post("/event", data=b"x", server_hostname=f"{name}.example.com") as answer:
                assert answer.status == status
    assert len(first.device_ids()) == len(second.device_ids()) == 1
