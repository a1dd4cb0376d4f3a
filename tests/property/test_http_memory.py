"""Whatever is sent in whatever pieces: an adapter that remembers heads does what one does that forgets them."""

import asyncio
import re
from dataclasses import dataclass, replace
from itertools import pairwise

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from adapters.admission.admission import Admitted
from adapters.http.requests import Requests
from adapters.http.wire.head import RequestLimits
from conf.http import HttpSettings
from kernel.ids import DeviceId
from messaging.errors import NorthboundUnavailable
from tests.support.http import DEVICE, Device, Gateway, post

pytestmark = pytest.mark.interpreted  # its uplink is a fake that inherits from ours

DEVICES = 2
USUAL = [
    post(),
    post(body=b"19.0"),
    post(body=b"7"),
    post("/event", b"open"),
    post("/telemetry/acme/sensor-1", b"x", "QoS-Level: 1"),
    post("/event//sensor-1"),
    post("/event", b"", "hono-ttl: 5"),
]
RARE = [
    post("/telemetry", b"x", "Authorization: Basic eDp5"),
    post("/telemetry", b"x", "Origin: https://a.example"),
    post("/telemetry", b"x", "Connection: keep-alive", version="1.0"),
    post("/event", b"x", "Connection: close"),
    post("/event", b"x", "Expect: 100-continue"),
    post("/event", b"x", "QoS-Level: 9"),
    post("/telemetry/acme"),
    post("/nowhere"),
    post(body=b"x" * 2049),
    post()[:-1],
    post() + b"\r\n",
    post().replace(b"Host: ", b"Host : "),
    post().replace(b"Content-Length: 4", b"Content-Length: 4\r\nContent-Length: 3"),
    post().replace(b"Content-Length: 4", b"Content-Length: 4\r\nTransfer-Encoding: chunked"),
    post().replace(b"\r\n", b"\n"),
    b"POST /telemetry HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n0\r\n\r\n",
    b"\r\n",
    b"\n",
]
NESTED = [post("/event", USUAL[0]), post("/event", b"\r\n" + USUAL[4] + USUAL[6]), b"\r\n", b"\r\n" + USUAL[0]]


@dataclass(frozen=True)
class Sends:
    """One of the devices sends these, cut at these places and behind some of what ends as a head does."""

    device: int
    requests: tuple[bytes, ...]
    cuts: tuple[int, ...]
    cut_heads: frozenset[int]

    def chunks(self) -> list[bytes]:
        data = b"".join(self.requests)
        ends = {*(cut % len(data) for cut in self.cuts), 0, len(data)}
        ends |= {end.end() for at, end in enumerate(re.finditer(b"\r\n\r\n", data)) if at in self.cut_heads}
        return [data[start:end] for start, end in pairwise(sorted(ends))]


@dataclass(frozen=True)
class Settles:
    """The engine keeps the oldest so many messages, or says that it cannot."""

    count: int
    fails: bool


@dataclass(frozen=True)
class Passes:
    """Time, in seconds."""

    seconds: int


def sends(requests: st.SearchStrategy[bytes], most: int) -> st.SearchStrategy[Sends]:
    return st.builds(
        Sends,
        st.integers(0, DEVICES - 1),
        st.lists(requests, min_size=1, max_size=most).map(tuple),
        st.lists(st.integers(0, 4000), max_size=2).map(tuple),
        st.frozensets(st.integers(0, 4), max_size=2),
    )


STEPS = st.lists(
    sends(st.sampled_from(USUAL), 1)
    | sends(st.sampled_from(USUAL), 4)
    | sends(st.sampled_from(USUAL + RARE), 3)
    | sends(st.sampled_from(NESTED), 1)
    | st.builds(Settles, st.integers(0, 4), st.booleans())
    | st.builds(Passes, st.sampled_from([1, 4, 11, 40])),
    min_size=8,
    max_size=40,
)


@settings(max_examples=200, deadline=None)
@given(STEPS, st.sampled_from([1, 2, 3]), st.booleans(), st.booleans())
def test_remembering_heads_changes_nothing_that_can_be_seen(
    steps: list[Sends | Settles | Passes], pipelined_max: int, is_last_anonymous: bool, holds: bool
) -> None:
    heard = [asyncio.run(converse(steps, pipelined_max, is_last_anonymous, holds, knows)) for knows in (True, False)]
    assert heard[0] == heard[1]


async def converse(
    steps: list[Sends | Settles | Passes], pipelined_max: int, is_last_anonymous: bool, holds: bool, knows: bool
) -> list[object]:
    async with Gateway(HttpSettings(pipelined_max=pipelined_max)) as gateway:
        if not knows:
            limits = RequestLimits(header_max_bytes=8192, headers_max=64, body_max_bytes=2048)
            gateway.adapter.requests = Requests(limits=limits, head_max_bytes=0)
        verdicts: list[Admitted | None] = [replace(DEVICE, device_id=DeviceId(f"sensor-{at}")) for at in range(DEVICES)]
        if is_last_anonymous:
            verdicts[-1] = None
        for _ in range(2):  # from the second on, all usual heads are remembered
            await a_device_that_knows(gateway, DEVICE)
        devices = [await a_device_that_knows(gateway, verdict) for verdict in verdicts]
        gateway.uplink.uploads.clear()
        gateway.uplink.holds = holds
        trace: list[object] = []
        for step in steps:
            if isinstance(step, Sends):
                if devices[step.device].is_closed:
                    trace.append(devices[step.device].writes)
                    gateway.uplink.holds = False
                    devices[step.device] = await a_device_that_knows(gateway, verdicts[step.device])
                    gateway.uplink.holds = holds
                for chunk in step.chunks():
                    devices[step.device].send(chunk)
            elif isinstance(step, Settles):
                gateway.uplink.settle(step.count, NorthboundUnavailable("full") if step.fails else None)
                await asyncio.sleep(0)
            else:
                gateway.pass_time(step.seconds)
            trace += [len(gateway.uplink.uploads), *map(state_of, devices)]
        gateway.uplink.settle()
        await asyncio.sleep(0)
        gateway.pass_time(80)
        uploads = [
            (by.device_id, head.orig_address, head.content_type, head.qos, head.ttl_s, payload)
            for by, head, payload in gateway.uplink.uploads
        ]
        return [trace, [device.writes for device in devices], [*map(state_of, devices)], uploads]


async def a_device_that_knows(gateway: Gateway, verdict: Admitted | None) -> Device:
    """One that has sent each usual request."""
    gateway.admission.verdict = verdict
    device = gateway.connect()
    for count, request in enumerate((post("/telemetry/acme/sensor-1", b"x", "QoS-Level: 1"), *USUAL), 1):
        device.send(request)
        await device.statuses_once_there_are(count)
    return device


def state_of(device: Device) -> tuple[int, bool, bool, bool]:
    return len(device.writes), device.is_paused, device.is_closed, device.is_aborted
