"""What a table of sessions asks where nothing is on record."""

from kernel.clock import ManualClock
from registry.standing import Standing
from storage.memory import MemoryStore


def standing_on_nothing() -> Standing:
    """Every credential is gone, and every device."""
    clock = ManualClock()
    return Standing(store=MemoryStore(clock).connect_path, clock=clock)
