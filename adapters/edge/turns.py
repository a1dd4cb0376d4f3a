"""A fair queue for work that is long for an event loop: the steps of handshakes.

A step costs 100–600 µs of cryptography. Run as they arrive, the steps of 500 peers would hold the messages
of everyone else for a third of a second; here the loop gets to serve others after every `budget_s`.
"""

import asyncio
import logging
from collections import deque
from collections.abc import Callable

from kernel.clock import Clock

SILENCE_S = 0.5  # a peer that answers later than that may have to make room for another

log = logging.getLogger(__name__)


class Turns:
    """Runs steps first come, first served, about `budget_s` of them per turn of the loop, at least one.

    Whoever joins bounds how often: a handshake is in the queue at most once.
    """

    def __init__(self, *, clock: Clock, budget_s: float = 0.001) -> None:
        self._clock = clock
        self._budget_s = budget_s
        self._steps: deque[Callable[[], None]] = deque()
        self._is_scheduled = False
        self._has_taken = False  # in this turn of the loop

    def __len__(self) -> int:
        return len(self._steps)

    def join(self, step: Callable[[], None]) -> None:
        """Run the step in its turn. A step that raises is logged; the others go on."""
        self._steps.append(step)
        if not self._is_scheduled:
            self._is_scheduled = True
            asyncio.get_running_loop().call_soon(self.run_some)

    def take(self, step: Callable[[], None]) -> bool:
        """Run the step at once where nobody waits and no other did so in this turn of the loop; whether it was run.

        Whoever may go on at once need not have its socket's readiness switched off and on again.
        """
        if self._steps or self._has_taken:
            return False
        self._has_taken = True
        asyncio.get_running_loop().call_soon(self._next_turn)
        step()
        return True

    def _next_turn(self) -> None:
        self._has_taken = False

    def run_some(self) -> None:
        """One turn: run steps until the budget is used up, and ask for another turn if some are left."""
        ends_at = self._clock.monotonic() + self._budget_s
        while self._steps:
            try:
                self._steps.popleft()()
            except Exception:
                log.exception("turn.failed")
            if self._clock.monotonic() >= ends_at:
                break
        self._is_scheduled = bool(self._steps)
        if self._is_scheduled:
            asyncio.get_running_loop().call_soon(self.run_some)
