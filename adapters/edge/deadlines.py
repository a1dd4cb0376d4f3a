"""Things that end when nothing happens for a fixed time: many of them, without a timer each.

Pure: the caller says what time it is. `Sweep` looks a few times a second whether something is due.
"""

import asyncio
import logging
from collections.abc import Callable, Hashable, Sequence
from typing import Generic, TypeVar

from kernel.clock import Clock

log = logging.getLogger(__name__)
T = TypeVar("T", bound=Hashable)


class Deadlines(Generic[T]):
    """Items with the moment each is due, `after_s` after it was last touched. The longest untouched comes first."""

    def __init__(self, *, after_s: float) -> None:
        self._after_s = after_s
        self._due: dict[T, float] = {}  # insertion order is due order, because the span is one for all

    def __len__(self) -> int:
        return len(self._due)

    def __contains__(self, item: T) -> bool:
        return item in self._due

    def touch(self, item: T, now: float) -> None:
        """Start or restart the item's time."""
        self._due.pop(item, None)
        self._due[item] = now + self._after_s

    def discard(self, item: T) -> None:
        self._due.pop(item, None)

    def oldest(self) -> T | None:
        return next(iter(self._due), None)

    def take_due(self, now: float) -> list[T]:
        """Remove and return every item whose time has passed, longest overdue first."""
        due = []
        for item, moment in self._due.items():
            if moment > now:
                break
            due.append(item)
        for item in due:
            del self._due[item]
        return due

    def take_all(self) -> list[T]:
        items = list(self._due)
        self._due.clear()
        return items


class Sweep:
    """Calls each check with the time every `every_s`, from `start` to `stop`. One that raises is logged, no more."""

    def __init__(self, *, clock: Clock, checks: Sequence[Callable[[float], None]], every_s: float = 0.2) -> None:
        self._clock = clock
        self._checks = tuple(checks)
        self._every_s = every_s
        self._timer: asyncio.TimerHandle | None = None

    def start(self) -> None:
        self._timer = asyncio.get_running_loop().call_later(self._every_s, self._look)

    def stop(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def _look(self) -> None:
        now = self._clock.monotonic()
        for check in self._checks:
            try:
                check(now)
            except Exception:
                log.exception("sweep.failed")
        self.start()
