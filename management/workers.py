"""The threads in which handlers run: as many as are set, with a bounded queue before them."""

import asyncio
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Any, TypeVar

from management.errors import ManagementBusy

T = TypeVar("T")

WAITING_MAX = 256


class Workers:
    """Runs blocking work apart from the event loop."""

    def __init__(self, *, threads_max: int, waiting_max: int | None = None) -> None:
        self._threads = ThreadPoolExecutor(threads_max, thread_name_prefix="management")
        self._held_max = threads_max + (WAITING_MAX if waiting_max is None else waiting_max)
        self._held: set[Future[Any]] = set()

    @property
    def held(self) -> int:
        """How many requests run or wait."""
        return len(self._held)

    async def run(self, work: Callable[[], T]) -> T:
        """What the work returns or raises; it goes on where nobody waits for it any longer. Raises ManagementBusy."""
        if len(self._held) >= self._held_max:
            raise ManagementBusy("too many requests are waiting already")
        doing = self._threads.submit(work)
        self._held.add(doing)
        doing.add_done_callback(self._held.discard)
        try:
            return await asyncio.wrap_future(doing)
        finally:
            del doing  # else what it raised holds this frame, which holds it, and the request with its body

    def close(self) -> None:
        """Begin nothing new. What runs already runs to its end."""
        self._threads.shutdown(wait=False, cancel_futures=True)
