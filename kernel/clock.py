"""Time as an argument: the real clock and one wound by hand.

`now` is wall time for validity periods and stamps; `monotonic` is for deadlines. Nothing else in the
code base reads a clock.
"""

import time
from datetime import UTC, datetime, timedelta
from typing import Protocol


class Clock(Protocol):
    """Readings of time. None ever blocks."""

    def now(self) -> datetime:
        """Wall time, aware, UTC."""
        ...

    def now_ms(self) -> int:
        """The same in milliseconds since the epoch, rounded down."""
        ...

    def monotonic(self) -> float:
        """Seconds that never run backwards, from an arbitrary start."""
        ...


class SystemClock:
    """The machine's own clock."""

    monotonic = staticmethod(time.monotonic)  # bound as it is: asked several times for every message

    def now(self) -> datetime:
        return datetime.now(UTC)

    def now_ms(self) -> int:
        return time.time_ns() // 1_000_000


class ManualClock:
    """A clock that stands still until told to advance; for tests."""

    def __init__(self, start: datetime = datetime(2026, 1, 1, tzinfo=UTC)) -> None:
        self._now = start
        self._monotonic = 0.0

    def now(self) -> datetime:
        return self._now

    def now_ms(self) -> int:
        return milliseconds(self._now)

    def monotonic(self) -> float:
        return self._monotonic

    def advance(self, seconds: float) -> None:
        self._now += timedelta(seconds=seconds)
        self._monotonic += seconds


def milliseconds(moment: datetime) -> int:
    """Milliseconds since the epoch, rounded down."""
    return int(moment.timestamp() * 1000)
