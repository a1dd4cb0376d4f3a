"""A device that leaves before all it sent is taken: behind CONNECT [MQTT-3.1.4], or ahead of what is kept."""

import asyncio
from collections.abc import AsyncIterator

import pytest

from adapters.mqtt.life import GOODBYE_S
from adapters.mqtt.wire import packets as p
from conf.mqtt import MqttSettings
from registry.errors import CredentialUnknown
from tests.support.mqtt import MqttBench, MqttDevice, mqtt_bench
from tests.support.mqtt_client import connect, publish
from tests.support.waiting import until

pytestmark = pytest.mark.interpreted  # its uplink is a fake that inherits from ours


@pytest.fixture
async def bench() -> AsyncIterator[MqttBench]:
    async with mqtt_bench() as made:
        made.admission.gate = asyncio.Event()
        yield made


def wait(bench: MqttBench, seconds: float) -> None:
    """Time passes, second by second, with its sweeps."""
    for _ in range(int(seconds)):
        bench.clock.advance(1.0)
        bench.adapter.sweep()


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
    await _until_taken(bench, device)
    assert [upload.payload for upload in bench.uplink.uploads] == [b"one", b"two"]
    assert [first for first, _ in device.take()] == [0x20, 0x40]
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


async def test_who_was_let_in_and_owes_nothing_is_let_go_at_once(bench: MqttBench) -> None:
    go(bench)
    device = await bench.connected()
    device.send(publish("t", b"one", qos=1))
    bench.uplink.settle()
    assert device.handler.ended() is False
    assert device.take() == [(0x40, b"\0\1")], "it may still read"
    assert len(bench.sessions) == 0


@pytest.mark.parametrize("version", [4, 5])
@pytest.mark.parametrize("goodbye", [(), (p.Disconnect(),)])
async def test_more_than_may_be_under_way_is_taken_before_the_connection_closes(
    version: int, goodbye: tuple[p.Packet, ...]
) -> None:
    async with mqtt_bench(MqttSettings(unacknowledged_max=4)) as bench:
        device = await bench.connected(version)
        sent = [b"%d" % number for number in range(11)]
        device.send(*[publish("t", payload) for payload in sent], *goodbye)
        assert len(bench.uplink.uploads) == 4
        assert device.handler.ended() is True
        await _until_taken(bench, device)
        assert [upload.payload for upload in bench.uplink.uploads] == sent
        await _until_gone(bench, device)


async def test_more_than_may_be_under_way_is_taken_of_who_did_not_wait_for_the_verdict() -> None:
    async with mqtt_bench(MqttSettings(unacknowledged_max=4)) as bench:
        bench.admission.gate = asyncio.Event()
        device = bench.device()
        device.send(connect(), *[publish("t", b"%d" % number) for number in range(11)], p.Disconnect())
        assert device.handler.ended() is True
        go(bench)
        await until(lambda: len(bench.uplink.uploads) == 4)
        assert not device.is_closed
        await _until_taken(bench, device)
        assert len(bench.uplink.uploads) == 11
        await _until_gone(bench, device)


async def test_packets_for_which_room_was_made_in_the_same_turn_are_taken() -> None:
    async with mqtt_bench(MqttSettings(unacknowledged_max=1)) as bench:
        device = await bench.connected()
        device.send(publish("t", b"one"), publish("t", b"two"))
        bench.uplink.settle()
        assert device.handler.ended() is True
        assert [upload.payload for upload in bench.uplink.uploads] == [b"one", b"two"]
        await _until_taken(bench, device)
        await _until_gone(bench, device)


async def test_a_goodbye_found_at_the_end_closes_at_once() -> None:
    async with mqtt_bench(MqttSettings(unacknowledged_max=1)) as bench:
        device = await bench.connected()
        device.send(publish("t", b"one"), p.Disconnect())
        bench.uplink.settle()
        assert device.handler.ended() is False
        await _until_gone(bench, device)


async def test_a_message_that_is_never_kept_holds_the_connection_for_a_bounded_time(bench: MqttBench) -> None:
    go(bench)
    device = await bench.connected(keep_alive_s=4)
    device.send(publish("t", b"one"))
    assert device.handler.ended() is True
    wait(bench, GOODBYE_S - 1)
    assert not device.is_closed
    wait(bench, 1)
    assert device.is_closed
    await _until_gone(bench, device)


async def test_the_time_for_a_goodbye_begins_when_the_device_is_let_in(bench: MqttBench) -> None:
    device = bench.device()
    device.send(connect(), publish("t", b"one"))
    assert device.handler.ended() is True
    wait(bench, 20)
    go(bench)
    await until(lambda: bool(bench.uplink.uploads))
    wait(bench, GOODBYE_S - 1)
    assert not device.is_closed
    wait(bench, 1)
    assert device.is_closed


async def test_what_is_kept_in_the_last_second_of_a_goodbye_is_acknowledged(bench: MqttBench) -> None:
    go(bench)
    device = await bench.connected(5)
    device.send(publish("t", b"one", qos=1, packet_id=1))
    assert device.handler.ended() is True
    wait(bench, GOODBYE_S - 1)
    bench.uplink.settle()
    await until(lambda: device.is_closed)
    assert device.take() == [(0x40, b"\0\1")]


async def test_its_next_connection_does_not_cost_it_what_it_sent_over_this_one() -> None:
    async with mqtt_bench(MqttSettings(unacknowledged_max=1)) as bench:
        older = await bench.connected(client_id="same")
        older.send(publish("t", b"one"), publish("t", b"two"))
        older.handler.ended()
        newer = await bench.connected(client_id="same")
        await _until_taken(bench, older)
        assert [upload.payload for upload in bench.uplink.uploads] == [b"one", b"two"]
        assert not newer.is_closed


async def test_a_process_that_stops_takes_what_was_said_before_a_goodbye() -> None:
    async with mqtt_bench(MqttSettings(unacknowledged_max=1)) as bench:
        device = await bench.connected()
        device.send(publish("t", b"one"), publish("t", b"two"))
        device.handler.ended()
        draining = asyncio.create_task(bench.adapter.drain(within_s=10.0))
        await until(lambda: bench.adapter.is_draining)
        await _until_taken(bench, device)
        await draining
        assert [upload.payload for upload in bench.uplink.uploads] == [b"one", b"two"]


async def _until_taken(bench: MqttBench, device: MqttDevice) -> None:
    while not device.is_closed:
        await until(lambda: bool(bench.uplink.waiting) or device.is_closed)
        while bench.uplink.waiting:
            bench.uplink.settle()


async def _until_gone(bench: MqttBench, device: MqttDevice) -> None:
    await until(lambda: len(bench.sessions) == 0)
    assert not device.stream.was_aborted
