"""The in-memory engine's test controls."""

import asyncio

from messaging.errors import NorthboundUnavailable
from tests.support.messages import Outcomes, a_bundle, a_northbound


async def test_a_held_message_is_neither_kept_nor_acknowledged_until_released() -> None:
    northbound, outcomes = a_northbound(), Outcomes()
    northbound.hold()
    northbound.submit(a_bundle(b"1"), outcomes.of(1))
    northbound.submit(a_bundle(b"2"), outcomes.of(2))
    await asyncio.sleep(0)
    assert (outcomes.seen, northbound.messages, northbound.pending) == ([], [], 2)
    northbound.release(1)
    await asyncio.sleep(0)
    assert (outcomes.names, northbound.pending) == ([1], 1)
    northbound.release()
    await asyncio.sleep(0)
    assert outcomes.names == [1, 2]
    assert [message.payload for message in northbound.messages] == [b"1", b"2"]


async def test_the_next_message_fails_when_told_to_and_the_one_after_is_kept() -> None:
    northbound, outcomes = a_northbound(), Outcomes()
    northbound.fail_next()
    northbound.submit(a_bundle(b"lost"), outcomes.of(1))
    northbound.submit(a_bundle(b"kept"), outcomes.of(2))
    await asyncio.sleep(0)
    assert isinstance(outcomes.reasons[0], NorthboundUnavailable)
    assert outcomes.reasons[1] is None
    assert [message.payload for message in northbound.messages] == [b"kept"]


async def test_a_failure_may_carry_the_tests_own_reason() -> None:
    northbound, outcomes, reason = a_northbound(), Outcomes(), NorthboundUnavailable("mine")
    northbound.fail_next(reason=reason)
    northbound.submit(a_bundle(), outcomes.of(1))
    await asyncio.sleep(0)
    assert outcomes.reasons == [reason]
