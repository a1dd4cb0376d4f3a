"""Provisioning under way when the process ends."""

import asyncio

import pytest

from tests.support.certificates import Issued, make_ca
from tests.support.domain import ACME, World, an_anchor, build_world
from tests.support.waiting import until


@pytest.fixture
def ca() -> Issued:
    return make_ca("CN=CA,O=Acme")


@pytest.fixture
def world(ca: Issued) -> World:
    world = build_world()
    world.put_tenant("acme", an_anchor(ca, may_auto_provision=True))
    return world


async def test_the_end_waits_for_devices_under_way(world: World, ca: Issued) -> None:
    world.northbound.hold()
    entering = [asyncio.create_task(world.admission.admit(world.evidence(ca.issue(f"CN=dev-{n}")))) for n in range(3)]
    await until(lambda: world.northbound.pending == 3)
    ending = asyncio.create_task(world.provisioner.close(within_s=30))
    await asyncio.sleep(0)
    assert not ending.done()
    world.northbound.release()
    await ending
    assert all(one is not None and one.provisioned for one in await asyncio.gather(*entering))


async def test_what_takes_too_long_is_given_up_and_stays_due(world: World, ca: Issued) -> None:
    device = ca.issue("CN=dev-1")
    world.northbound.hold()
    entering = [asyncio.create_task(world.admission.admit(world.evidence(device))) for _ in range(3)]
    await until(lambda: world.northbound.pending)
    await world.provisioner.close(within_s=0)
    outcomes = await asyncio.gather(*entering, return_exceptions=True)
    assert [type(outcome) for outcome in outcomes] == [asyncio.CancelledError] * 3
    [kept] = world.store.devices.find_all(ACME, after=None, limit=10)
    assert not kept.status.notification_sent
    world.northbound.release()  # the engine was faster than it seemed: the mark follows, and nobody minds
    await until(lambda: world.store.devices.find_all(ACME, after=None, limit=10)[0].status.notification_sent)


async def test_waiting_for_another_process_is_given_up_too(world: World, ca: Issued) -> None:
    device = ca.issue("CN=dev-1")
    world.northbound.fail_next()
    await asyncio.gather(world.admission.admit(world.evidence(device)), return_exceptions=True)
    entering = asyncio.create_task(world.admission.admit(world.evidence(device)))  # the event is due, and new enough
    await asyncio.sleep(0)
    await world.announcer.close(within_s=0)
    assert [type(one) for one in await asyncio.gather(entering, return_exceptions=True)] == [asyncio.CancelledError]
    assert world.northbound.messages == []
