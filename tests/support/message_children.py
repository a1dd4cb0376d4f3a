"""Programs that write to an embedded log in a process of their own, to be killed, crowded or starved by a test.

Run as a module: `python -m tests.support.message_children PROGRAM LOG_PATH NAME COUNT`. Each acknowledged
number goes to standard output at once, one a line.
"""

import asyncio
import itertools
import os
import resource
import sys
from collections.abc import Awaitable, Callable
from pathlib import Path

from conf.messaging import MessagingSettings
from kernel.clock import SystemClock
from kernel.errors import Unavailable
from messaging.drivers.embedded import EmbeddedNorthbound
from tests.support.messages import Outcomes, a_bundle

IN_FLIGHT = 500
PAYLOAD_BYTES = 1_000  # so that a commit takes long enough to be killed in the middle


BUNDLE_SIZES = range(1, 8)  # of consecutive bundles, over and over


class Submitter:
    """Keeps IN_FLIGHT numbered messages in flight, in bundles of various sizes, until `count` are acknowledged."""

    def __init__(self, *, northbound: EmbeddedNorthbound, name: str, count: int) -> None:
        self._northbound = northbound
        self._name = name
        self._count = count
        self._sizes = itertools.cycle(BUNDLE_SIZES)
        self._submitted = 0
        self._acknowledged = 0
        self._done = asyncio.get_running_loop().create_future()

    async def run(self) -> None:
        while self._submitted < min(IN_FLIGHT, self._count):
            self._submit()
        await self._done

    def _submit(self) -> None:
        numbers = range(self._submitted, min(self._submitted + next(self._sizes), self._count))
        self._submitted = numbers.stop

        def kept(reason: Unavailable | None) -> None:
            self._acknowledge(numbers, reason)

        payloads = [(b"%d" % number).ljust(PAYLOAD_BYTES) for number in numbers]
        self._northbound.submit(a_bundle(*payloads, device_id=self._name), kept)

    def _acknowledge(self, numbers: range, reason: Unavailable | None) -> None:
        assert reason is None, reason
        os.write(1, b"".join(b"%d\n" % number for number in numbers))
        self._acknowledged += len(numbers)
        if self._submitted < self._count:
            self._submit()
        elif self._acknowledged == self._count:
            self._done.set_result(None)


async def submit_numbers(northbound: EmbeddedNorthbound, name: str, count: int) -> None:
    await Submitter(northbound=northbound, name=name, count=count).run()


async def fill_the_disk(northbound: EmbeddedNorthbound, name: str, count: int) -> None:
    """Until a file may not grow any more, then give room again. Prints what became of each of three messages."""
    _, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    outcomes = Outcomes()
    for stage, limit in (("room", hard), ("full", count), ("room again", hard)):
        resource.setrlimit(resource.RLIMIT_FSIZE, (limit, hard))
        before = len(outcomes.seen)
        for _ in range(2):
            northbound.submit(a_bundle(stage.encode() + bytes(count), device_id=name), outcomes.of(stage))
        async with asyncio.timeout(20):
            while len(outcomes.seen) < before + 2:  # noqa: ASYNC110 - the callback is the engine's to call
                await asyncio.sleep(0.001)
    for name_of_stage, reason in outcomes.seen:
        os.write(1, f"{name_of_stage}: {'kept' if reason is None else reason.code}\n".encode())


PROGRAMS: dict[str, Callable[[EmbeddedNorthbound, str, int], Awaitable[None]]] = {
    "submit": submit_numbers,
    "fill": fill_the_disk,
}


async def main(program: str, path: str, name: str, count: str) -> None:
    northbound = EmbeddedNorthbound(
        path=Path(path), settings=MessagingSettings(), clock=SystemClock(), loop=asyncio.get_running_loop()
    )
    northbound.start()
    await PROGRAMS[program](northbound, name, int(count))
    await northbound.close(deadline_s=20.0)


if __name__ == "__main__":
    asyncio.run(main(*sys.argv[1:]))
