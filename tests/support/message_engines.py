"""Every engine that implements the ports of messaging, in one shape, for the contract suites."""

import asyncio
import sqlite3
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Protocol

from conf.messaging import MessagingSettings
from kernel.clock import ManualClock
from messaging.drivers.embedded import EmbeddedNorthbound
from messaging.drivers.embedded_reader import EmbeddedLog
from messaging.drivers.memory import MemoryLog, MemoryNorthbound
from messaging.message import DeviceMessage, bundle_of
from messaging.ports import MessageLog, Northbound
from tests.support.messages import Outcomes

DEADLINE_S = 20.0


class Engine(Protocol):
    """A northbound, its log, and a way to keep it from keeping."""

    clock: ManualClock

    @property
    def northbound(self) -> Northbound: ...

    @property
    def log(self) -> MessageLog: ...

    def hold(self) -> None: ...

    def release(self) -> None: ...

    async def close(self) -> None: ...


class MemoryEngine:
    """The engine over a list."""

    def __init__(self, *, settings: MessagingSettings) -> None:
        self.clock = ManualClock()
        self.northbound = MemoryNorthbound(clock=self.clock, pending_max_messages=settings.pending_max_messages)
        self.log: MemoryLog = self.northbound.log

    def hold(self) -> None:
        self.northbound.hold()

    def release(self) -> None:
        self.northbound.release()

    async def close(self) -> None:
        assert self.northbound.pending == 0


class EmbeddedEngine:
    """The engine over a SQLite file. Held by a stranger's write transaction, as another process might."""

    def __init__(self, *, path: Path, settings: MessagingSettings) -> None:
        self.clock = ManualClock()
        self.path = path
        self.northbound = EmbeddedNorthbound(
            path=path, settings=settings, clock=self.clock, loop=asyncio.get_running_loop()
        )
        self.northbound.start()
        self.log = EmbeddedLog(path=path, clock=self.clock)
        self._stranger: sqlite3.Connection | None = None

    def hold(self) -> None:
        self._stranger = sqlite3.connect(self.path, isolation_level=None, check_same_thread=False)
        self._stranger.execute("BEGIN IMMEDIATE")

    def release(self) -> None:
        assert self._stranger is not None
        self._stranger.execute("ROLLBACK")
        self._stranger.close()

    async def close(self) -> None:
        await self.northbound.close(deadline_s=DEADLINE_S)
        self.log.close()


async def until(condition: Callable[[], object]) -> None:
    """Let the event loop turn until the condition holds; fail when it does not within DEADLINE_S."""
    async with asyncio.timeout(DEADLINE_S):
        while not condition():  # noqa: ASYNC110 - the condition belongs to code that offers no event
            await asyncio.sleep(0.001)


async def keep(northbound: Northbound, messages: Iterable[DeviceMessage]) -> None:
    """Submit all and wait until every one is kept."""
    outcomes = Outcomes()
    count = 0
    for count, message in enumerate(messages, start=1):
        northbound.submit(bundle_of(message), outcomes.of(count))
    await until(lambda: len(outcomes.seen) == count)
    assert set(outcomes.reasons) <= {None}
