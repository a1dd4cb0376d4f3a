"""Waiting for a condition, with a deadline; never for a time."""

import asyncio
import itertools
import time
from collections.abc import Callable

TURNS = 50
PAUSE_S = 0.005


async def until(condition: Callable[[], object], *, within_s: float = 30.0, every_s: float = PAUSE_S) -> None:
    """Return once the condition holds: looked at on some turns of the loop, then every few milliseconds.

    Not on every turn for ever: a loop that spins takes the interpreter from the threads it waits for.
    """
    async with asyncio.timeout(within_s):
        for turn in itertools.count():
            if condition():
                return
            await asyncio.sleep(0 if turn < TURNS else every_s)


def until_blocking(condition: Callable[[], object], *, within_s: float = 30.0, every_s: float = 0.02) -> None:
    """The same without a loop. Raises TimeoutError."""
    deadline = time.monotonic() + within_s
    while not condition():
        if time.monotonic() > deadline:
            raise TimeoutError("the condition did not come true in time")
        time.sleep(every_s)
