"""Long work is done a little at a time, in order, and everyone else gets the loop in between."""

import asyncio
import logging

import pytest

from adapters.edge.turns import Turns
from kernel.clock import ManualClock


async def test_steps_run_in_order_as_many_as_the_budget_allows_per_turn() -> None:
    clock = ManualClock()
    turns = Turns(clock=clock, budget_s=0.010)
    done: list[int] = []

    def step(number: int) -> None:
        done.append(number)
        clock.advance(0.004)

    for number in range(7):
        turns.join(lambda number=number: step(number))  # type: ignore[misc]
    assert done == []
    await asyncio.sleep(0)
    assert done == [0, 1, 2]
    await asyncio.sleep(0)
    assert done == [0, 1, 2, 3, 4, 5]
    await asyncio.sleep(0)
    assert done == list(range(7))
    assert len(turns) == 0


async def test_a_step_longer_than_the_budget_runs_alone() -> None:
    clock = ManualClock()
    turns = Turns(clock=clock, budget_s=0.001)
    done: list[int] = []
    for number in range(2):
        turns.join(lambda number=number: (done.append(number), clock.advance(1))[1])  # type: ignore[misc,func-returns-value]
    await asyncio.sleep(0)
    assert done == [0]
    await asyncio.sleep(0)
    assert done == [0, 1]


async def test_a_step_may_join_again_and_takes_its_place_at_the_end() -> None:
    clock = ManualClock()
    turns = Turns(clock=clock, budget_s=0.001)
    done: list[str] = []

    def first() -> None:
        done.append("first")
        clock.advance(1)
        turns.join(lambda: done.append("first again"))

    turns.join(first)
    turns.join(lambda: done.append("second"))
    for _ in range(3):
        await asyncio.sleep(0)
    assert done == ["first", "second", "first again"]


async def test_a_step_that_raises_is_logged_and_the_rest_goes_on(caplog: pytest.LogCaptureFixture) -> None:
    turns = Turns(clock=ManualClock())
    done: list[str] = []
    turns.join(lambda: 1 // 0)  # type: ignore[arg-type]
    turns.join(lambda: done.append("second"))
    await asyncio.sleep(0)
    assert done == ["second"]
    assert [record.message for record in caplog.records if record.levelno >= logging.ERROR] == ["turn.failed"]
