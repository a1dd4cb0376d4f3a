"""Requests whose head is known from before, on their way through a connection: quicker, and nothing else."""

import asyncio
import json
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from adapters.http.requests import Requests
from adapters.http.wire.head import RequestHead, RequestLimits, parse_head
from conf.http import HttpSettings
from kernel.errors import Unavailable
from kernel.ids import DeviceId, TenantId
from messaging.errors import NorthboundUnavailable
from registry.errors import DeviceDisabled, NotAuthenticated
from tests.support.http import DEVICE, Gateway, post
from tests.support.reachable import reachable

pytestmark = pytest.mark.interpreted  # its uplink is a fake that inherits from ours

VECTORS = json.loads((Path(__file__).parents[2] / "vectors" / "http" / "refused.json").read_text())
BODY = b"22.5"
HEAD = post(body=BODY).removesuffix(BODY)
SECRET = "c2Vuc29yLTE6aHVzaA"


class Counting:
    """Parses heads, and counts how often."""

    def __init__(self) -> None:
        self.count = 0

    def __call__(self, raw: bytes, limits: RequestLimits) -> RequestHead:
        self.count += 1
        return parse_head(raw, limits)


@pytest.fixture
def parsed(monkeypatch: pytest.MonkeyPatch) -> Counting:
    counting = Counting()
    monkeypatch.setattr("adapters.http.requests.parse_head", counting)
    return counting


async def test_a_head_known_from_another_connection_is_not_parsed_again(parsed: Counting) -> None:
    async with Gateway() as gateway:
        for _ in range(5):
            device = await gateway.admitted_device()
            for _ in range(10):
                device.send(post())
            assert device.statuses == [202] * 10
        assert parsed.count == 2


async def test_heads_in_turns_are_parsed_no_more_often(parsed: Counting) -> None:
    async with Gateway() as gateway:
        device = await gateway.admitted_device()
        for _ in range(10):
            device.send(post())
            device.send(post("/event", b"1"))
            device.send(post("/event", b"10"))
        assert device.statuses == [202] * 30 and parsed.count <= 2 * 3
        heads = {id(upload.head) for upload in gateway.uplink.uploads[-9:]}
        assert len(heads) == 2  # whatever the length of the body


async def test_a_known_head_is_not_parsed_again_however_it_arrives(parsed: Counting) -> None:
    async with Gateway() as gateway:
        device = await gateway.admitted_device()
        device.send(post("/event") + post() + post("/event"))
        count = parsed.count
        device.send(HEAD)
        device.send(BODY)
        for byte in post("/event"):
            device.send(bytes([byte]))
        device.send(post() * 5)
        assert device.statuses == [202] * 10 and parsed.count == count


async def test_credentials_stay_nowhere_in_the_adapter() -> None:
    async with Gateway() as gateway:
        device = await gateway.admitted_device()
        for _ in range(3):
            device.send(post("/telemetry", BODY, f"Authorization: Basic {SECRET}"))
            device.send(post("/telemetry", BODY, f"Cookie: {SECRET}"))
        assert device.statuses == [202] * 6
        device.send(post("/event", b"kept in mind"))
        held = [content for content in reachable(gateway.adapter) if isinstance(content, bytes)]
        assert any(b"POST /event" in content for content in held)
        assert not any(SECRET.encode() in content for content in held)
        assert not any(SECRET in content for content in reachable(gateway.adapter) if isinstance(content, str))


async def test_a_stranger_has_nothing_remembered() -> None:
    async with Gateway() as gateway:
        for verdict in (NotAuthenticated("x"), Unavailable("database")):
            gateway.admission.verdict = verdict
            for _ in range(3):
                device = gateway.connect()
                device.send(post())
                await device.statuses_once_there_are(1)
        assert gateway.adapter.requests.find(post()) is None


async def test_what_is_remembered_says_nothing_about_the_sender() -> None:
    request = post("/telemetry/acme/sensor-1")
    async with Gateway() as gateway:
        for _ in range(2):
            first = await gateway.admitted_device()
            first.send(request)
        gateway.admission.verdict = replace(DEVICE, tenant_id=TenantId("other"), device_id=DeviceId("pump-7"))
        second = await gateway.admitted_device()
        second.send(request)
        second.send(request)
        first.send(request)
        assert len({id(upload.head) for upload in gateway.uplink.uploads}) == 1
        assert [(upload.session.tenant_id, upload.session.device_id) for upload in gateway.uplink.uploads] == [
            ("other", "pump-7"),
            ("other", "pump-7"),
            ("acme", "sensor-1"),
        ]


async def test_nobody_in_particular_is_told_what_is_missing_though_the_head_is_known() -> None:
    async with Gateway() as gateway:
        device = await gateway.admitted_device()
        for target in ("/telemetry", "/event//sensor-9", "/event/acme/sensor-9") * 3:
            device.send(post(target))
        assert gateway.adapter.requests.find(post()) is not None
        gateway.admission.verdict = None
        nobody = gateway.connect()
        nobody.send(post("/event/acme/sensor-9"))
        await nobody.statuses_once_there_are(1)
        for target in ("/event/acme/sensor-9", "/telemetry", "/event//sensor-9", "/event/acme/sensor-9"):
            nobody.send(post(target))
        assert nobody.statuses == [202, 202, 404, 404, 202]


async def test_a_known_request_leaves_room_for_no_more_than_the_limit() -> None:
    async with Gateway(HttpSettings(pipelined_max=1)) as gateway:
        device = await gateway.admitted_device()
        device.send(post())
        gateway.uplink.holds = True
        device.send(post())
        assert device.is_paused and len(gateway.uplink.uploads) == 2
        gateway.uplink.settle()
        assert not device.is_paused
        device.send(post())
        assert device.is_paused and device.statuses == [202, 202]


async def test_a_body_that_reads_like_a_known_request_is_a_body() -> None:
    async with Gateway() as gateway:
        for _ in range(2):
            device = await gateway.admitted_device()
        assert gateway.adapter.requests.find(post()) is not None
        outer = post("/event", post())
        for end in range(1, len(outer)):
            device.send(outer[:end])
            device.send(outer[end:])
        assert [upload.payload for upload in gateway.uplink.uploads] == [post()] * (len(outer) - 1)
        assert device.statuses == [202] * (len(outer) - 1)


async def test_a_blank_line_before_a_known_request_is_ignored_once_each_time() -> None:
    async with Gateway() as gateway:
        device = await gateway.admitted_device()
        for _ in range(3):
            device.send(b"\r\n")
            device.send(post())
            device.send(post())
        assert device.statuses == [202] * 6
        device.send(b"\r\n")
        device.send(b"\r\n")
        assert device.statuses == [202] * 6 + [400]


async def test_a_known_request_waits_behind_one_that_is_not_answered() -> None:
    async with Gateway(HttpSettings(pipelined_max=3)) as gateway:
        device = await gateway.admitted_device()
        gateway.uplink.holds = True
        for body in (b"1111", b"2222", b"3333"):
            assert not device.is_paused
            device.send(post(body=body))
        assert device.is_paused and device.writes == []
        first, second, third = gateway.uplink.held
        third(None)
        second(NorthboundUnavailable("backlog is full"))
        await asyncio.sleep(0)
        assert device.writes == []
        first(None)
        assert device.statuses == [202, 503, 202] and not device.is_paused


async def test_what_arrives_though_nothing_is_read_waits_however_well_known() -> None:
    async with Gateway(HttpSettings(pipelined_max=1)) as gateway:
        device = await gateway.admitted_device()
        gateway.uplink.holds = True
        device.send(post(body=b"1111"))
        device.send(post(body=b"2222"))
        assert device.is_paused and len(gateway.uplink.uploads) == 1
        gateway.uplink.settle()
        assert device.statuses == [202] and len(gateway.uplink.uploads) == 2


async def test_an_answer_to_a_known_request_waits_until_the_message_is_kept_and_idle_time_counts_from_it() -> None:
    async with Gateway() as gateway:
        device = await gateway.admitted_device()
        gateway.uplink.holds = True
        device.send(post())
        gateway.pass_time(600)
        assert device.writes == [] and not device.is_closed
        gateway.uplink.settle()
        assert device.statuses == [202]
        gateway.pass_time(74)
        assert not device.is_closed
        gateway.pass_time(1)
        assert device.is_closed


async def test_an_answer_known_at_once_follows_one_that_was_waited_for() -> None:
    async with Gateway() as gateway:
        device = await gateway.admitted_device()
        for _ in range(2):
            gateway.uplink.holds = True
            device.send(post())
            gateway.uplink.settle()
            gateway.uplink.holds = False
            device.send(post())
        assert device.statuses == [202] * 4


async def test_a_session_ended_by_a_known_request_of_its_own_says_so_with_the_answer() -> None:
    async with Gateway() as gateway:
        device = await gateway.admitted_device()
        gateway.uplink.ends_session = DeviceDisabled("x")
        device.send(post())
        assert device.statuses == [202] and device.is_closed
        assert device.answers[0].headers["connection"] == "close"


@pytest.mark.parametrize(
    "request_",
    [
        post("/telemetry", BODY, "Origin: https://a.example"),
        post("/telemetry", BODY, "Connection: keep-alive", version="1.0"),
        post("/telemetry", BODY, version="1.0"),
        post("/telemetry", BODY, "Connection: close"),
        post("/telemetry", BODY, "Authorization: Basic eDp5"),
        post(),
    ],
)
async def test_a_request_is_answered_alike_at_once_and_later(request_: bytes) -> None:
    async with Gateway() as gateway:
        at_once, later = await gateway.admitted_device(), await gateway.admitted_device()
        at_once.send(request_)
        gateway.uplink.holds = True
        later.send(request_)
        gateway.uplink.settle()
        assert at_once.writes == later.writes and at_once.statuses == [202]
        assert at_once.is_closed == later.is_closed


async def test_a_word_given_twice_acknowledges_one_request() -> None:
    async with Gateway() as gateway:
        device = await gateway.admitted_device()
        gateway.uplink.holds = True
        device.send(post())
        [done] = gateway.uplink.held
        done(None)
        device.send(post())
        done(None)
        assert device.statuses == [202]
        gateway.uplink.settle()
        assert device.statuses == [202, 202]


@pytest.mark.parametrize("vector", VECTORS, ids=lambda vector: vector["name"])
async def test_what_two_readers_could_understand_differently_is_refused_behind_known_heads(
    vector: dict[str, Any],
) -> None:
    async with Gateway() as gateway:
        device = await gateway.admitted_device()
        for _ in range(3):
            device.send(post())
        gateway.uplink.uploads.clear()
        device.send(vector["request"].encode("latin-1"))
        assert device.statuses[3:] == [vector["status"]] and gateway.uplink.uploads == []
        assert device.answers[-1].headers["connection"] == "close"


async def test_a_head_that_differs_in_one_byte_from_a_known_one_means_what_it_means_to_a_stranger_to_it() -> None:
    async with Gateway() as knowing, Gateway() as forgetful:
        forgetful.adapter.requests = Requests(
            limits=RequestLimits(header_max_bytes=8192, headers_max=64, body_max_bytes=2048), head_max_bytes=0
        )
        for _ in range(2):
            await knowing.admitted_device()
        assert knowing.adapter.requests.find(post()) is not None
        for data in almost(HEAD):
            heard = [await said_to(gateway, data + BODY) for gateway in (knowing, forgetful)]
            assert heard[0] == heard[1], data


async def said_to(gateway: Gateway, data: bytes) -> tuple[list[bytes], list[str], bool, bool]:
    device = await gateway.admitted_device()
    device.send(data)
    device.send(data)
    uploads = [f"{each.head.orig_address} {each.head.content_type} {each.payload!r}" for each in gateway.uplink.uploads]
    heard = (device.writes, uploads, device.is_closed, device.is_paused)
    device.hang_up()
    return heard


def almost(head: bytes) -> Iterator[bytes]:
    for at in range(len(head)):
        yield head[:at] + head[at + 1 :]
        for byte in b"\r\n\x00 :5\xff":
            yield head[:at] + bytes([byte]) + head[at + 1 :]
            yield head[:at] + bytes([byte]) + head[at:]
    for line in (b"Content-Length: 3", b"Content-Length: 4", b"Transfer-Encoding: chunked", b"Host: x", b"\tx"):
        yield head[:-2] + line + b"\r\n\r\n"
