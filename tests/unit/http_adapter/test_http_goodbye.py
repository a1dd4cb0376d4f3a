"""A device that has said all it had to say and goes on reading."""

import pytest

from conf.http import HttpSettings
from registry.errors import CredentialUnknown
from tests.support.http import Gateway, post

pytestmark = pytest.mark.interpreted  # its uplink is a fake that inherits from ours


async def test_what_is_under_way_is_answered_before_the_connection_closes() -> None:
    async with Gateway() as gateway:
        device = await gateway.admitted_device()
        gateway.uplink.holds = True
        device.send(post() + post())
        device.finish()
        assert device.writes == [] and not device.is_closed
        gateway.uplink.settle()
        assert await device.statuses_once_there_are(2) == [202, 202]
        await device.until_lost()
        assert not device.is_aborted and len(gateway.sessions) == 0


async def test_a_request_read_in_part_is_dropped_and_those_before_it_are_answered() -> None:
    async with Gateway() as gateway:
        device = await gateway.admitted_device()
        gateway.uplink.holds = True
        device.send(post() + post()[:-1])
        device.finish()
        gateway.uplink.settle()
        assert await device.statuses_once_there_are(1) == [202]
        await device.until_lost()  # at once: nothing more can come that would have to be waited for
        assert device.statuses == [202] and len(gateway.uplink.uploads) == 1


@pytest.mark.parametrize("sent", [b"", post()[:-1], b"POST /tele"])
async def test_a_device_with_nothing_under_way_is_let_go_at_once(sent: bytes) -> None:
    async with Gateway() as gateway:
        device = await gateway.admitted_device()
        if sent:
            device.send(sent)
        device.finish()
        await device.until_lost()
        assert device.writes == []


async def test_who_is_refused_is_told_before_the_connection_closes() -> None:
    async with Gateway() as gateway:
        gateway.admission.verdict = CredentialUnknown("nobody")
        gateway.admission.may_go.clear()
        device = gateway.connect()
        device.send(post())
        assert device.is_paused, "the goodbye would be read before the device is known"
        gateway.admission.may_go.set()
        assert await device.statuses_once_there_are(1) == [401]


async def test_requests_that_wait_for_room_are_taken_before_the_goodbye_is_read() -> None:
    async with Gateway(HttpSettings(pipelined_max=2)) as gateway:
        device = await gateway.admitted_device()
        gateway.uplink.holds = True
        device.send(post() * 5)
        assert device.is_paused and len(gateway.uplink.uploads) == 2
        for answered in (2, 4):
            gateway.uplink.settle()
            await device.statuses_once_there_are(answered)
        assert not device.is_paused
        device.finish()
        gateway.uplink.settle()
        assert await device.statuses_once_there_are(5) == [202] * 5
        await device.until_lost()
