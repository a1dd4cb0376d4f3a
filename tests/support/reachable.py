"""What an object of the program keeps in memory."""

import gc
from collections.abc import Iterator
from types import FunctionType, ModuleType


def reachable(root: object) -> Iterator[object]:
    """All that an object of an adapter holds, itself and what adapters' objects in it hold included.

    Code is left out, and so is what lies behind objects of other rooms and of tests.
    """
    seen: set[int] = set()
    due = [root]
    while due:
        found = due.pop()
        if id(found) in seen or isinstance(found, type | ModuleType | FunctionType):
            continue
        seen.add(id(found))
        yield found
        if isinstance(found, list | dict | tuple | set) or type(found).__module__.startswith("adapters."):
            due += gc.get_referents(found)
