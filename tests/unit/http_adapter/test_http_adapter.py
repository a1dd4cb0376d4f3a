"""The adapter over many connections: what is counted, and how it ends."""

import asyncio

import pytest

from adapters.http.shell import HttpConnection
from tests.support.http import Gateway, post
from tests.support.waiting import until

pytestmark = pytest.mark.interpreted  # its uplink is a fake that inherits from ours


def total(gateway: Gateway, name: str, **labels: str) -> float:
    return gateway.meters.counter(name, "", **labels).total


async def test_open_connections_and_answers_are_counted() -> None:
    async with Gateway() as gateway:
        device, other = await gateway.admitted_device(), gateway.connect()
        other.send(post("/nowhere"))
        assert gateway.meters.gauge("tuhono_http_connections", "").total == 2
        assert total(gateway, "tuhono_http_answers", status="202") == 1
        assert total(gateway, "tuhono_http_answers", status="404") == 1
        device.hang_up()
        other.hang_up()
        assert gateway.meters.gauge("tuhono_http_connections", "").total == 0


async def test_draining_closes_idle_connections_at_once() -> None:
    async with Gateway() as gateway:
        devices = [await gateway.admitted_device(), gateway.connect()]
        await gateway.adapter.drain(within_s=5)
        assert all(device.is_closed and not device.is_aborted for device in devices)
        assert len(gateway.sessions) == 0


async def test_draining_an_adapter_without_connections_is_done() -> None:
    async with Gateway() as gateway:
        await gateway.adapter.drain(within_s=5)


async def test_draining_waits_for_the_answers_under_way() -> None:
    async with Gateway() as gateway:
        answering, sending = await gateway.admitted_device(), await gateway.admitted_device()
        gateway.uplink.holds = True
        answering.send(post())
        sending.send(post()[:-1])
        draining = asyncio.create_task(gateway.adapter.drain(within_s=5))
        await asyncio.sleep(0)
        assert not answering.is_closed and not sending.is_closed
        sending.send(post()[-1:])
        gateway.uplink.settle()
        await draining
        for device in (answering, sending):
            assert device.statuses == [202] and device.answers[0].headers["connection"] == "close"
            assert not device.is_aborted


async def test_draining_lets_an_admission_end() -> None:
    async with Gateway() as gateway:
        gateway.admission.may_go.clear()
        device = gateway.connect()
        device.send(post())
        draining = asyncio.create_task(gateway.adapter.drain(within_s=5))
        await asyncio.sleep(0)
        gateway.admission.may_go.set()
        await draining
        assert device.statuses == [202] and device.answers[0].headers["connection"] == "close"


async def test_draining_ends_in_time_whatever_is_open() -> None:
    async with Gateway() as gateway:
        device = await gateway.admitted_device()
        gateway.uplink.holds = True
        device.send(post())
        await gateway.adapter.drain(within_s=0)
        assert device.is_aborted


async def test_a_silent_newcomer_does_not_hold_a_drain_up() -> None:
    async with Gateway() as gateway:
        busy = await gateway.admitted_device()
        gateway.uplink.holds = True
        busy.send(post())
        draining = asyncio.create_task(gateway.adapter.drain(within_s=60))
        await until(lambda: gateway.adapter.is_draining)
        newcomer = gateway.connect()
        assert newcomer.is_closed
        newcomer.send(post())
        gateway.uplink.settle()
        async with asyncio.timeout(5):
            await draining
        assert busy.statuses == [202] and newcomer.writes == []


@pytest.mark.parametrize("step", ["retire", "abort"])
async def test_a_defect_of_one_connection_does_not_keep_a_drain_from_the_others(
    step: str, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    async with Gateway() as gateway:
        devices = [await gateway.admitted_device() for _ in range(3)]
        gateway.uplink.holds = step == "abort"
        if gateway.uplink.holds:
            for device in devices:
                device.send(post())
        sound = getattr(HttpConnection, step)
        steps = iter([ZeroDivisionError("defect")])

        def fail_once(self: HttpConnection) -> None:
            if (defect := next(steps, None)) is not None:
                raise defect
            sound(self)

        monkeypatch.setattr(HttpConnection, step, fail_once)
        await gateway.adapter.drain(within_s=0 if step == "abort" else 5)
        assert all(device.is_closed for device in devices)
        assert "http.connection-failed" in caplog.messages


async def test_the_date_of_answers_moves_with_the_clock() -> None:
    async with Gateway() as gateway:
        device = await gateway.admitted_device()
        gateway.pass_time(3)
        device.send(post())
        assert device.answers[0].headers["date"] == "Thu, 01 Jan 2026 00:00:03 GMT"


async def test_a_running_adapter_sweeps_by_itself(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("adapters.http.adapter.SWEEP_S", 0)
    async with Gateway() as gateway:
        device = gateway.connect()
        gateway.clock.advance(75)
        await device.until_lost()


async def test_a_defect_in_one_connection_costs_no_other_its_turn(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    async with Gateway() as gateway:
        broken, sound = gateway.connect(), gateway.connect()
        monkeypatch.setattr(broken, "close", failing)
        gateway.pass_time(75)
        assert broken.is_aborted and sound.is_closed
        assert "http.connection-failed" in caplog.messages


def failing() -> None:
    raise ZeroDivisionError("defect")
