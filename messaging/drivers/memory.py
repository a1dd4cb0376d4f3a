"""The ports of messaging over a list: for tests, and for whoever wants to see what a driver owes.

`MemoryNorthbound` keeps messages in a `MemoryLog`. A test may hold it back (`hold`, `release`) or make
it fail (`fail_next`); otherwise a bundle is in the log, and its callback called, one turn of the event
loop after `submit`.
"""

import asyncio
from collections import deque
from collections.abc import Sequence
from typing import NamedTuple

from kernel.clock import Clock, milliseconds
from kernel.errors import Unavailable
from kernel.ids import TenantId
from messaging.delivery import call_kept
from messaging.errors import NorthboundUnavailable
from messaging.message import Bundle, DeviceMessage, KeptMessage
from messaging.notification import News, bundled
from messaging.ports import Kept


class MemoryLog:
    """The kept messages in a list: position n is the n-th entry. Nothing is ever removed."""

    def __init__(self, *, clock: Clock) -> None:
        self._clock = clock
        self._kept: list[KeptMessage] = []
        self._cursors: dict[str, int] = {}

    @property
    def messages(self) -> list[DeviceMessage]:
        """Every message kept so far, expired or not, oldest first."""
        return [kept.message for kept in self._kept]

    def append(self, message: DeviceMessage) -> None:
        self._kept.append(KeptMessage(position=len(self._kept) + 1, message=message))

    def read(self, *, after: int, limit: int, tenant_id: TenantId | None = None) -> Sequence[KeptMessage]:
        now_ms = milliseconds(self._clock.now())
        behind = (
            kept
            for kept in self._kept[max(after, 0) :]
            if tenant_id in {None, kept.message.tenant_id} and not kept.message.is_expired_at(now_ms)
        )
        return [kept for kept, _ in zip(behind, range(limit), strict=False)]

    def last_position(self) -> int:
        return len(self._kept)

    def first_position_since(self, time_ms: int) -> int:
        for kept in self._kept:
            if kept.message.creation_time_ms >= time_ms:
                return kept.position - 1
        return self.last_position()

    def change_mark(self) -> int:
        return len(self._kept)

    def cursor(self, name: str) -> int:
        return self._cursors.get(name, 0)

    def commit_cursor(self, name: str, position: int) -> None:
        self._cursors[name] = max(position, self.cursor(name))


class _Waiting(NamedTuple):
    """Bundles submitted together and not settled yet, and why they will be refused, if they will."""

    bundles: Sequence[Bundle]
    kept: Kept
    reason: Unavailable | None


class MemoryNorthbound:
    """Northbound and NotificationSink over a `MemoryLog`, on the running event loop; needs neither start nor close."""

    def __init__(self, *, clock: Clock, pending_max_messages: int = 20_000) -> None:
        self.log = MemoryLog(clock=clock)
        self._pending_max_messages = pending_max_messages
        self._waiting: deque[_Waiting] = deque()
        self._pending = 0
        self._failures: deque[Unavailable] = deque()
        self._is_held = False

    @property
    def messages(self) -> list[DeviceMessage]:
        """Every message kept so far, oldest first."""
        return self.log.messages

    @property
    def pending(self) -> int:
        """Messages submitted and neither kept nor refused."""
        return self._pending

    def hold(self) -> None:
        """Settle nothing until `release`."""
        self._is_held = True

    def release(self, count: int | None = None) -> None:
        """Settle the oldest `count` bundles and hold the rest; without a count, settle all and hold no more."""
        if count is None:
            self._is_held = False
        asyncio.get_running_loop().call_soon(self._settle, len(self._waiting) if count is None else count)

    def fail_next(self, count: int = 1, reason: Unavailable | None = None) -> None:
        """Refuse the next `count` bundles submitted."""
        self._failures.extend([reason or NorthboundUnavailable("writing failed")] * count)

    def submit(self, bundle: Bundle, kept: Kept) -> None:
        self._submit([bundle], kept)

    def publish(self, news: Sequence[News], kept: Kept) -> None:
        self._submit(list(bundled(news)), kept)

    def _submit(self, bundles: Sequence[Bundle], kept: Kept) -> None:
        reason: Unavailable | None = None
        messages = sum(len(bundle.payloads) for bundle in bundles)
        if self._pending and self._pending + messages > self._pending_max_messages:
            reason = NorthboundUnavailable("backlog is full")
        elif self._failures:
            reason = self._failures.popleft()
        if reason is None:
            self._pending += messages
        self._waiting.append(_Waiting(bundles, kept, reason))
        if not self._is_held:
            asyncio.get_running_loop().call_soon(self._settle, 1)

    def _settle(self, count: int) -> None:
        for _ in range(min(count, len(self._waiting))):
            waiting = self._waiting.popleft()
            if waiting.reason is None:
                for bundle in waiting.bundles:
                    self._pending -= len(bundle.payloads)
                    for message in bundle.messages():
                        self.log.append(message)
            call_kept(waiting.kept, waiting.reason)
