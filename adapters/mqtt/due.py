"""Every connection of the adapter, by the second in which it must be looked at again.

One sweep a second instead of a timer a connection, and a sweep sees only those whose second has come:
a connection that was heard of in the meantime is put off then, not with every packet. A connection
without a deadline is kept too, in no second. Bounded by what the edge lets in.
"""

import math
from collections.abc import Iterator
from typing import Final, Generic, Protocol, TypeVar

UNSCHEDULED: Final = -2
_NEVER: Final = -1


class Timed(Protocol):
    """Something with a deadline. `due_second` belongs to `DueSeconds`, and is UNSCHEDULED at first."""

    due_second: int


Item = TypeVar("Item", bound=Timed)


class DueSeconds(Generic[Item]):
    """Items by the second of their deadline; times are in seconds of any clock that never runs backwards."""

    def __init__(self) -> None:
        self._seconds: dict[int, set[Item]] = {}

    def __len__(self) -> int:
        return sum(len(items) for items in self._seconds.values())

    def schedule(self, item: Item, deadline: float) -> None:
        """Keep the item, to be due in the first whole second at or after its deadline. Replaces an earlier one."""
        second = _NEVER if math.isinf(deadline) else math.ceil(deadline)
        if second == item.due_second:
            return
        self.cancel(item)
        self._seconds.setdefault(second, set()).add(item)
        item.due_second = second

    def cancel(self, item: Item) -> None:
        """Forget the item. Safe to repeat."""
        items = self._seconds.get(item.due_second)
        item.due_second = UNSCHEDULED
        if items is not None:
            items.discard(item)

    def take_due(self, now: float) -> list[Item]:
        """Take out the items whose second has come; whoever lives on must be scheduled again."""
        due: list[Item] = []
        for second in [second for second in self._seconds if _NEVER < second <= now]:
            due += self._seconds.pop(second)
        for item in due:
            item.due_second = UNSCHEDULED
        return due

    def __iter__(self) -> Iterator[Item]:
        """All items there are at this moment; the caller may change them meanwhile."""
        return iter([item for items in self._seconds.values() for item in items])
