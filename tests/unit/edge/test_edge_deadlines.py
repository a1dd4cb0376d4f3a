"""Many deadlines without a timer each."""

import asyncio
import logging

import pytest

from adapters.edge.deadlines import Deadlines, Sweep
from kernel.clock import ManualClock


def test_items_fall_due_in_the_order_they_were_last_touched() -> None:
    deadlines: Deadlines[str] = Deadlines(after_s=10)
    deadlines.touch("a", 0)
    deadlines.touch("b", 1)
    deadlines.touch("c", 2)
    deadlines.touch("a", 3)
    assert deadlines.oldest() == "b"
    assert deadlines.take_due(10.9) == []
    assert deadlines.take_due(12) == ["b", "c"]
    assert len(deadlines) == 1 and "a" in deadlines
    assert deadlines.take_due(13) == ["a"]
    assert deadlines.oldest() is None


def test_a_discarded_item_never_falls_due() -> None:
    deadlines: Deadlines[str] = Deadlines(after_s=1)
    deadlines.touch("a", 0)
    deadlines.discard("a")
    deadlines.discard("never there")
    assert deadlines.take_due(100) == []


def test_take_all_empties() -> None:
    deadlines: Deadlines[int] = Deadlines(after_s=1)
    for number in range(3):
        deadlines.touch(number, 0)
    assert deadlines.take_all() == [0, 1, 2]
    assert len(deadlines) == 0


async def test_a_sweep_runs_every_check_even_after_one_that_raises(caplog: pytest.LogCaptureFixture) -> None:
    looked: list[float] = []
    done = asyncio.Event()

    def good(now: float) -> None:
        looked.append(now)
        if len(looked) == 2:
            done.set()

    def bad(now: float) -> None:
        raise ZeroDivisionError

    sweep = Sweep(clock=ManualClock(), checks=(bad, good), every_s=0.001)
    sweep.start()
    async with asyncio.timeout(5):
        await done.wait()
    sweep.stop()
    sweep.stop()
    assert looked == [0.0, 0.0]
    assert {record.message for record in caplog.records if record.levelno >= logging.ERROR} == {"sweep.failed"}
