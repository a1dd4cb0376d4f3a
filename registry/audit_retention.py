"""Lets rows of the audit go when they are too old. How many there may be is the store's own affair."""

import asyncio
import logging
from datetime import timedelta

from kernel.clock import Clock
from kernel.errors import Unavailable
from kernel.log import fields
from registry.ports import AuditRepository

log = logging.getLogger(__name__)

CHECK_S = 3600.0
BATCH_ROWS = 1000  # in one transaction: connecting devices wait for it
BETWEEN_BATCHES_S = 0.2


class AuditRetention:
    """Looks at the oldest rows every hour. Any number of processes may do so."""

    def __init__(self, *, audit: AuditRepository, days_max: int, clock: Clock) -> None:
        """`days_max`: 0 keeps rows for ever."""
        self._audit = audit
        self._days_max = days_max
        self._clock = clock

    async def run(self) -> None:
        """For ever; a database that does not answer is asked again at the next turn."""
        while True:
            if self._days_max:
                try:
                    await self.prune()
                except Unavailable as fault:
                    log.warning("audit.not-pruned", extra=fields(reason=str(fault)))
            await asyncio.sleep(CHECK_S)

    async def prune(self) -> int:
        """Remove what is too old by now, in batches; how many rows that were."""
        older_than = self._clock.now() - timedelta(days=self._days_max)
        removed = 0
        while batch := await asyncio.to_thread(self._audit.prune, older_than=older_than, limit=BATCH_ROWS):
            removed += batch
            await asyncio.sleep(BETWEEN_BATCHES_S)
        return removed
