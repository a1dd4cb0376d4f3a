"""Any bytes, in any chunks: a device reads valid answers, or is disconnected; nothing else happens."""

import asyncio

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.support.http import Gateway, post

pytestmark = pytest.mark.interpreted  # its uplink is a fake that inherits from ours

PIECES = [
    post(),
    post("/event", b"", "QoS-Level: 1"),
    post("/telemetry/acme/sensor-1", b"x", "Origin: https://a.example"),
    post("/telemetry/%zz"),
    post("/nowhere"),
    post("/event", b"x", "Connection: close"),
    post("/event", b"22.5", "Connection: keep-alive", version="1.0"),
    b"OPTIONS /event HTTP/1.1\r\nHost: h\r\nOrigin: o\r\nAccess-Control-Request-Method: POST\r\n\r\n",
    b"POST /telemetry HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n0\r\n\r\n",
    b"POST /telemetry HTTP/1.1\r\nHost: h\r\nContent-Length: 4096\r\n\r\n",
    b"POST /telemetry HTTP/1.1\r\n",
    b"Transfer-Encoding: chunked\r\n",
    b"\r\n",
    b"\n",
]
STATUSES = {202, 204, 400, 404, 408, 413, 417, 431, 505}


@settings(max_examples=60)
@given(st.lists(st.sampled_from(PIECES) | st.binary(max_size=12), max_size=12), st.integers(1, 300), st.booleans())
def test_any_bytes_are_answered_in_http_or_the_connection_ends(
    pieces: list[bytes], chunk_bytes: int, holds: bool
) -> None:
    asyncio.run(converse(b"".join(pieces), chunk_bytes, holds))


async def converse(stream: bytes, chunk_bytes: int, holds: bool) -> None:
    async with Gateway() as gateway:
        gateway.uplink.holds = holds
        device = gateway.connect()
        for start in range(0, len(stream), chunk_bytes):
            device.send(stream[start : start + chunk_bytes])
            await asyncio.sleep(0)
            gateway.uplink.settle()
        for _ in range(100):
            await asyncio.sleep(0)
            gateway.uplink.settle()
        gateway.pass_time(90)
        answers = device.answers
        assert device.is_closed and not device.is_aborted
        assert set(device.statuses) <= STATUSES
        assert all(answer.keep_alive for answer in answers[:-1])
        accepted = [answer for answer in answers if answer.status == 202]
        assert len(accepted) == len(gateway.uplink.uploads)


@settings(max_examples=40)
@given(st.lists(st.sampled_from(PIECES[:6]), min_size=1, max_size=30), st.integers(1, 2000), st.integers(1, 4))
def test_every_request_has_one_answer_and_they_come_in_order(
    pieces: list[bytes], chunk_bytes: int, pipelined: int
) -> None:
    asyncio.run(compare(pieces, chunk_bytes, pipelined))


async def compare(pieces: list[bytes], chunk_bytes: int, kept_at_once: int) -> None:
    async with Gateway() as gateway:
        expected = []
        for piece in pieces:
            alone = await gateway.admitted_device()
            alone.send(piece)
            expected += alone.statuses
            if alone.is_closed:
                break
        device = await gateway.admitted_device()
        gateway.uplink.holds = True
        stream = b"".join(pieces)
        for start in range(0, len(stream), chunk_bytes):
            device.send(stream[start : start + chunk_bytes])
        for _ in range(2 * len(pieces)):
            gateway.uplink.settle(kept_at_once)
            await asyncio.sleep(0)
        assert device.statuses == expected
