"""Waiting for a condition, with a deadline; never for a time."""

import asyncio
import time
from collections.abc import Callable


async def until(condition: Callable[[], object], *, within_s: float = 10.0, every_s: float = 0.0) -> None:
    """Return once the condition holds; looked at on every turn of the loop, or every so often."""
    async with asyncio.timeout(within_s):
        while not condition():  # noqa: ASYNC110
            await asyncio.sleep(every_s)


def until_blocking(condition: Callable[[], object], *, within_s: float = 10.0, every_s: float = 0.02) -> None:
    """The same without a loop. Raises TimeoutError."""
    deadline = time.monotonic() + within_s
    while not condition():
        if time.monotonic() > deadline:
            raise TimeoutError("the condition did not come true in time")
        time.sleep(every_s)
