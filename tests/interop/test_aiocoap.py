"""aiocoap's client against a running gateway, over plain UDP: without pre-shared keys it has no DTLS."""

import asyncio
import socket
from collections.abc import AsyncIterator
from typing import Any

import aiocoap  # type: ignore[import-untyped]
import pytest
from aiocoap.numbers import ContentFormat  # type: ignore[import-untyped]

from tests.support.gateway import RunningGateway
from tests.support.site import Site, open_site


def has_ipv6() -> bool:
    try:
        with socket.socket(socket.AF_INET6, socket.SOCK_DGRAM) as probe:
            probe.bind(("::1", 0))
    except OSError:
        return False
    return True


@pytest.fixture
async def context() -> AsyncIterator[Any]:
    """Its other transport leaves sockets open behind it."""
    if not has_ipv6():
        pytest.skip("aiocoap's UDP takes IPv6 sockets, and this machine has none")
    made = await aiocoap.Context.create_client_context(transports=["udp6"])
    try:
        yield made
    finally:
        await made.shutdown()


@pytest.fixture
def site(open_gateway: RunningGateway) -> Site:
    site = open_site(open_gateway)
    site.add_device("valve")
    return site


def put(site: Site, path: str, payload: bytes, **facts: Any) -> Any:
    uri = f"coap://127.0.0.1:{site.gateway.ports['coap']}{path.format(tenant=site.tenant_id)}"
    return aiocoap.Message(code=aiocoap.PUT, uri=uri, payload=payload, **facts)


@pytest.mark.parametrize(("path", "kind"), [("/telemetry", "telemetry"), ("/t", "telemetry"), ("/e", "event")])
async def test_a_confirmable_request_is_answered_and_kept(site: Site, context: Any, path: str, kind: str) -> None:
    asked = put(site, path + "/{tenant}/valve", b"open", content_format=ContentFormat.JSON)
    answer = await context.request(asked).response
    assert answer.code is aiocoap.CHANGED
    message = site.wait_for_message()
    assert (message.kind.value, message.qos, message.content_type) == (kind, 1, "application/json")


async def test_a_request_that_is_not_confirmable_is_answered_and_kept(site: Site, context: Any) -> None:
    asked = put(site, "/t/{tenant}/valve", b"open", transport_tuning=aiocoap.Unreliable)
    answer = await context.request(asked).response
    assert answer.code is aiocoap.CHANGED
    assert site.wait_for_message().qos == 0


@pytest.mark.parametrize("length", [1025, 2048])
async def test_a_large_payload_is_sent_in_blocks(site: Site, context: Any, length: int) -> None:
    payload = (bytes(range(256)) * 8)[:length]
    answer = await context.request(put(site, "/event/{tenant}/valve", payload)).response
    assert answer.code is aiocoap.CHANGED
    assert site.wait_for_message().payload == payload


async def test_a_payload_that_is_too_large_is_refused(site: Site, context: Any) -> None:
    answer = await context.request(put(site, "/event/{tenant}/valve", bytes(4096))).response
    assert answer.code is aiocoap.REQUEST_ENTITY_TOO_LARGE
    assert site.messages() == []


async def test_many_requests_at_once_are_all_answered(site: Site, context: Any) -> None:
    asked = [context.request(put(site, "/event/{tenant}/valve", b"%d" % number)).response for number in range(40)]
    answers = await asyncio.gather(*asked)
    assert {answer.code for answer in answers} == {aiocoap.CHANGED}
    assert {message.payload for message in site.wait_for_messages(40)} == {b"%d" % number for number in range(40)}


@pytest.mark.parametrize(
    ("path", "code", "text"),
    [
        ("/event/{tenant}/nowhere", aiocoap.NOT_FOUND, b"device is disabled or not registered"),
        ("/event/{tenant}", aiocoap.NOT_FOUND, b"request URI must contain device ID"),
        ("/nowhere", aiocoap.NOT_FOUND, b""),
    ],
)
async def test_a_refusal_is_told_in_words(site: Site, context: Any, path: str, code: Any, text: bytes) -> None:
    answer = await context.request(put(site, path, b"x")).response
    assert (answer.code, answer.payload) == (code, text)
