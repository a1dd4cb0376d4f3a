"""What no connection does alone: silence, draining, and the tables behind them."""

import asyncio
import math
from collections.abc import Callable

import pytest

from adapters.mqtt.adapter import limits_of
from adapters.mqtt.due import UNSCHEDULED, DueSeconds
from adapters.mqtt.holders import Holders
from adapters.mqtt.life import ConnectionLife
from adapters.mqtt.wire import packets as p
from conf.mqtt import MqttSettings
from kernel.ids import DeviceId, TenantId
from tests.support.mqtt import MqttBench, mqtt_bench
from tests.support.mqtt_client import connect, publish
from tests.support.waiting import until

pytestmark = pytest.mark.interpreted  # its uplink is a fake that inherits from ours


def wait(bench: MqttBench, seconds: int) -> None:
    """Time passes, second by second, with its sweeps."""
    for _ in range(seconds):
        bench.clock.advance(1.0)
        bench.adapter.sweep()


class TestSilence:
    async def test_who_never_introduces_itself_is_closed(self) -> None:
        async with mqtt_bench(MqttSettings(connect_deadline_s=5.0)) as bench:
            device = bench.device()
            wait(bench, 4)
            assert not device.is_closed
            wait(bench, 1)
            assert device.is_closed and not device.stream.written

    async def test_who_dribbles_is_closed_too(self) -> None:
        async with mqtt_bench(MqttSettings(connect_deadline_s=5.0)) as bench:
            device = bench.device()
            for byte in (b"\x10", b"\x10", b"\x00", b"\x04", b"M"):
                device.send_bytes(byte)
                wait(bench, 1)
            assert device.is_closed

    @pytest.mark.parametrize(("version", "goodbye"), [(4, []), (5, [(0xE0, 0x8D)])])
    async def test_a_device_that_falls_silent_is_closed_after_one_and_a_half_keep_alives(
        self, version: int, goodbye: list[tuple[int, int]]
    ) -> None:
        async with mqtt_bench() as bench:
            device = await bench.connected(version, keep_alive_s=4)
            wait(bench, 5)
            device.send(p.PingRequest())
            wait(bench, 5)
            assert not device.is_closed
            device.take()
            wait(bench, 1)
            assert device.is_closed
            assert [(first, body[0]) for first, body in device.take()] == goodbye

    async def test_a_3_1_1_device_that_asked_for_no_keep_alive_may_be_silent(self) -> None:
        async with mqtt_bench() as bench:
            device = await bench.connected(4, keep_alive_s=0)
            wait(bench, 40_000)
            assert not device.is_closed

    async def test_admission_that_does_not_answer_is_answered_for(self) -> None:
        async with mqtt_bench(MqttSettings(admission_deadline_s=7.0)) as bench:
            bench.admission.gate = asyncio.Event()
            device = bench.device()
            device.send(connect())
            await until(lambda: bench.admission.asked)
            wait(bench, 6)
            assert not device.is_closed
            wait(bench, 1)
            assert device.take() == [(0x20, b"\0\x03")]
            assert device.is_closed

    async def test_the_adapter_sweeps_by_itself(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr("adapters.mqtt.adapter.SWEEP_S", 0.001)
        async with mqtt_bench() as bench:
            device = bench.device()
            bench.clock.advance(60.0)
            await until(lambda: device.is_closed)


class TestDraining:
    async def test_messages_under_way_are_acknowledged_before_the_goodbye(self) -> None:
        async with mqtt_bench() as bench:
            busy, idle = await bench.connected(5, client_id="a"), await bench.connected(4, client_id="b")
            busy.send(publish(qos=1, packet_id=1))
            draining = asyncio.create_task(bench.adapter.drain(within_s=10.0))
            await until(lambda: busy.stream.is_paused)
            busy.send(publish(qos=1, packet_id=2))
            assert len(bench.uplink.uploads) == 1
            assert not busy.is_closed
            bench.uplink.settle()
            await draining
            (ack, _), (goodbye, body) = busy.take()
            assert (ack, goodbye, body[0]) == (0x40, 0xE0, 0x8B)
            assert busy.is_closed and idle.is_closed
            assert not busy.stream.was_aborted

    async def test_who_waits_to_be_let_in_is_told_to_come_again(self) -> None:
        async with mqtt_bench() as bench:
            bench.admission.gate = asyncio.Event()
            waiting, silent = bench.device(5), bench.device()
            waiting.send(connect(5))
            await bench.adapter.drain(within_s=10.0)
            ((first, body),) = waiting.take()
            assert (first, body[1]) == (0x20, 0x88)
            assert silent.is_closed

    async def test_it_ends_in_time_whatever_is_not_kept(self, caplog: pytest.LogCaptureFixture) -> None:
        caplog.set_level("INFO")
        async with mqtt_bench() as bench:
            device = await bench.connected(4)
            device.send(publish(qos=1))
            await bench.adapter.drain(within_s=0.05)
            assert device.is_closed
            assert "mqtt.drain-cut-short" in caplog.messages

    async def test_who_does_not_take_the_goodbye_is_aborted(self, monkeypatch: pytest.MonkeyPatch) -> None:
        async with mqtt_bench() as bench:
            device = await bench.connected(4)
            monkeypatch.setattr(device.stream, "close", lambda: None)
            await bench.adapter.drain(within_s=0.05)
            assert device.stream.was_aborted
            device.handler.lost(None)

    async def test_a_device_that_goes_by_itself_is_not_waited_for(self) -> None:
        async with mqtt_bench() as bench:
            device = await bench.connected(4)
            device.send(publish(qos=1))
            draining = asyncio.create_task(bench.adapter.drain(within_s=10.0))
            await until(lambda: device.stream.is_paused)
            device.handler.ended()
            device.stream.close()
            await draining

    async def test_nobody_new_comes_in(self) -> None:
        async with mqtt_bench() as bench:
            await bench.adapter.drain(within_s=1.0)
            assert bench.device().is_closed

    async def test_stopping_without_draining_leaves_no_task(self) -> None:
        async with mqtt_bench() as bench:
            bench.admission.gate = asyncio.Event()
            bench.device().send(connect())
            await until(lambda: bench.admission.asked)
        assert len(asyncio.all_tasks()) == 1


class _Item:
    def __init__(self) -> None:
        self.due_second = UNSCHEDULED


class TestDueSeconds:
    def test_an_item_is_due_in_the_first_second_at_or_after_its_deadline(self) -> None:
        due: DueSeconds[_Item] = DueSeconds()
        item = _Item()
        due.schedule(item, 10.2)
        assert due.take_due(10.9) == []
        assert due.take_due(11.0) == [item]
        assert due.take_due(12.0) == []
        assert len(due) == 0

    def test_a_new_deadline_replaces_the_old(self) -> None:
        due: DueSeconds[_Item] = DueSeconds()
        item = _Item()
        due.schedule(item, 10.0)
        due.schedule(item, 10.0)
        due.schedule(item, 20.0)
        assert due.take_due(19.0) == []
        due.schedule(item, 5.0)
        assert due.take_due(19.0) == [item]

    def test_an_item_without_a_deadline_is_kept_and_never_due(self) -> None:
        due: DueSeconds[_Item] = DueSeconds()
        item = _Item()
        due.schedule(item, math.inf)
        assert due.take_due(1e12) == []
        assert list(due) == [item]
        due.cancel(item)
        due.cancel(item)
        assert list(due) == []


def test_a_client_identifier_is_held_by_the_last_who_took_it() -> None:
    holders: Holders[str] = Holders()
    key = (TenantId("t"), DeviceId("d"), "c")
    assert holders.take(key, "older") is None
    assert holders.take(key, "newer") == "older"
    holders.release(key, "older")
    assert holders.take(key, "newest") == "newer"
    holders.release(key, "newest")
    holders.release(key, "newest")
    assert holders.take(key, "again") is None


def test_a_connect_is_bounded_by_its_own_setting_however_large_a_message_may_be() -> None:
    limits = limits_of(MqttSettings(payload_max_bytes=1_000_000, connect_max_bytes=512))
    assert (limits.connect_max_bytes, limits.remaining_max_bytes) == (512, 1_000_128)


class TestDefects:
    """What should never happen ends one connection, is logged, and leaves the others alone."""

    async def test_in_a_sweep(self, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture) -> None:
        async with mqtt_bench() as bench:
            broken, sound = bench.device(), bench.device()
            monkeypatch.setattr(ConnectionLife, "expire", _raise_for(broken.life))
            wait(bench, 11)
            assert broken.stream.was_aborted
            assert sound.is_closed and not sound.stream.was_aborted
            assert "connection.failed" in caplog.messages

    async def test_while_acknowledging(self, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture) -> None:
        async with mqtt_bench() as bench:
            broken, sound = await bench.connected(client_id="a"), await bench.connected(client_id="b")
            for device in (broken, sound):
                device.send(publish(qos=1, packet_id=1))
            monkeypatch.setattr(broken.stream, "write", None)
            bench.uplink.settle()
            bench.uplink.settle()
            await until(lambda: bool(sound.stream.written))
            assert broken.stream.was_aborted and not sound.is_closed
            assert "connection.failed" in caplog.messages

    @pytest.mark.parametrize("step", ["retire", "end", "abort"])
    async def test_in_a_drain(self, step: str, monkeypatch: pytest.MonkeyPatch) -> None:
        async with mqtt_bench() as bench:
            broken, sound = await bench.connected(client_id="a"), await bench.connected(client_id="b")
            before = getattr(ConnectionLife, step)

            def fail(self: ConnectionLife, *told: object) -> None:
                if self is broken.life:
                    raise ValueError("a defect")
                before(self, *told)

            monkeypatch.setattr(ConnectionLife, step, fail)
            if step == "abort":
                for device in (broken, sound):
                    monkeypatch.setattr(device.stream, "close", lambda: None)
            await bench.adapter.drain(within_s=0.05)
            assert sound.is_closed or sound.stream.was_aborted

    async def test_while_letting_a_device_in(
        self, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
    ) -> None:
        async with mqtt_bench() as bench:
            broken = bench.device()
            monkeypatch.setattr(bench.sessions, "add", None)
            broken.send(connect())
            await until(lambda: broken.is_closed)
            assert broken.stream.was_aborted
            monkeypatch.undo()
            assert not (await bench.connected()).is_closed
            assert "connection.failed" in caplog.messages


def _raise_for(life: ConnectionLife) -> Callable[[ConnectionLife, float], None]:
    sound = ConnectionLife.expire

    def expire(self: ConnectionLife, now: float) -> None:
        if self is life:
            raise ValueError("a defect")
        sound(self, now)

    return expire
