"""A device that sends all it has behind CONNECT, and leaves without waiting for CONNACK [MQTT-3.1.4]."""

import asyncio
from collections.abc import AsyncIterator

import pytest

from registry.errors import CredentialUnknown
from tests.support.mqtt import MqttBench, MqttDevice, mqtt_bench
from tests.support.mqtt_client import connect, publish
from tests.support.waiting import until


@pytest.fixture
async def bench() -> AsyncIterator[MqttBench]:
    async with mqtt_bench() as made:
        made.admission.gate = asyncio.Event()
        yield made


def go(bench: MqttBench) -> None:
    assert bench.admission.gate is not None
    bench.admission.gate.set()


@pytest.mark.parametrize("version", [4, 5])
async def test_what_it_sent_is_taken_once_it_is_let_in(bench: MqttBench, version: int) -> None:
    device = bench.device(version)
    device.send(connect(version), publish("t", b"one"), publish("t", b"two", qos=1))
    assert device.handler.ended() is True
    assert not device.is_closed and bench.uplink.uploads == []
    go(bench)
    await until(lambda: device.is_closed)
    assert [upload.payload for upload in bench.uplink.uploads] == [b"one", b"two"]
    assert device.take()[0][0] == 0x20
    await _until_gone(bench, device)


async def test_nothing_is_taken_of_who_is_refused(bench: MqttBench) -> None:
    bench.admission.verdict = CredentialUnknown("nobody")
    device = bench.device()
    device.send(connect(), publish("t", b"one"))
    assert device.handler.ended() is True
    go(bench)
    await until(lambda: device.is_closed)
    assert bench.uplink.uploads == []
    assert device.take() == [(0x20, b"\0\4")]


async def test_who_sent_nothing_behind_connect_is_let_go_at_once(bench: MqttBench) -> None:
    device = bench.device()
    device.send(connect())
    assert device.handler.ended() is False
    go(bench)
    await until(lambda: len(bench.admission.asked) == 1)
    assert device.take() == [] and len(bench.sessions) == 0


async def test_who_was_let_in_is_let_go_at_once(bench: MqttBench) -> None:
    go(bench)
    device = await bench.connected()
    device.send(publish("t", b"one", qos=1))
    assert device.handler.ended() is False
    assert [upload.payload for upload in bench.uplink.uploads] == [b"one"]
    assert len(bench.sessions) == 0


async def _until_gone(bench: MqttBench, device: MqttDevice) -> None:
    await until(lambda: len(bench.sessions) == 0)
    assert not device.stream.was_aborted
