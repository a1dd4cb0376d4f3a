"""What falls due when, without a timer for each: two orders that are looked at from time to time.

Owns the order only. Both are bounded by whoever adds to them; what was discarded takes no room for long.
"""

from collections import OrderedDict
from collections.abc import Iterator
from heapq import heapify, heappop, heappush
from typing import Generic, TypeVar

T = TypeVar("T")


class EqualDelays(OrderedDict[T, float]):
    """Things and the moment each falls due, the same time after it was added, so that the oldest is always next.

    A dict, because each message adds one and takes it out again: `delays[thing] = now + delays.delay_s` for one that
    is not here, and `delays.pop(thing, None)`, take 50 ns each.
    """

    def __init__(self, *, delay_s: float) -> None:
        super().__init__()
        self.delay_s = delay_s

    @property
    def next_due(self) -> float | None:
        for due in self.values():
            return due
        return None

    def take_oldest(self) -> T:
        """Raises KeyError when there is none."""
        return self.popitem(last=False)[0]

    def take_due(self, now: float) -> Iterator[T]:
        """Those whose delay is over, oldest first; each is gone from here when it is given out."""
        while self:
            thing, due = next(iter(self.items()))
            if due > now:
                return
            del self[thing]
            yield thing


class Agenda(Generic[T]):
    """Things that fall due at any moment, each at one only."""

    _SPARE = 64  # entries of discarded things kept beyond the live ones before the heap is rebuilt

    def __init__(self) -> None:
        self._heap: list[tuple[float, int, T]] = []
        self._current: dict[T, int] = {}
        self._sequence = 0

    def __len__(self) -> int:
        return len(self._current)

    @property
    def next_due(self) -> float | None:
        self._drop_stale()
        return self._heap[0][0] if self._heap else None

    def set(self, thing: T, due: float) -> None:
        """Put a thing on the agenda, instead of where it stood."""
        self._sequence += 1
        self._current[thing] = self._sequence
        heappush(self._heap, (due, self._sequence, thing))
        if len(self._heap) > 2 * len(self._current) + self._SPARE:
            self._heap = [entry for entry in self._heap if self._is_current(entry)]
            heapify(self._heap)

    def discard(self, thing: T) -> None:
        self._current.pop(thing, None)

    def take_due(self, now: float) -> Iterator[T]:
        """Those due, earliest first; each is gone from here when it is given out."""
        while (due := self.next_due) is not None and due <= now:
            thing = heappop(self._heap)[2]
            del self._current[thing]
            yield thing

    def _drop_stale(self) -> None:
        while self._heap and not self._is_current(self._heap[0]):
            heappop(self._heap)

    def _is_current(self, entry: tuple[float, int, T]) -> bool:
        return self._current.get(entry[2]) == entry[1]
