"""Lets many devices act at once: each is a script that yields whenever it has to wait for its server.

One thread, one epoll. A script is resumed when its socket has something to read; what it yields is ignored.
"""

import select
import time
from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from benchmarks.load.errors import Stalled
from benchmarks.load.links import Link, Steps

_SILENCE_S = 1.0  # then DTLS may have lost a datagram


@dataclass(frozen=True, slots=True)
class Errand:
    """A device and what it does."""

    link: Link
    steps: Steps


def carry_out(errands: Iterable[Errand], *, at_once: int, within_s: float) -> None:
    """Do all of them, never more than `at_once` at one time. The next begins when one is done.

    Raises Stalled when they are not done in time, and whatever a script raises: the first fault ends it all.
    """
    Crew(iter(errands), at_once=at_once, within_s=within_s).work()


class Crew:
    """The errands under way. Use `carry_out`."""

    def __init__(self, errands: Iterator[Errand], *, at_once: int, within_s: float) -> None:
        self._errands = errands
        self._at_once = at_once
        self._within_s = within_s
        self._epoll = select.epoll()
        self._under_way: dict[int, Errand] = {}

    def work(self) -> None:
        deadline = time.monotonic() + self._within_s
        try:
            while self._fill():
                events = self._epoll.poll(_SILENCE_S)
                if time.monotonic() > deadline:
                    raise Stalled(len(self._under_way), self._within_s)
                if not events:
                    for errand in self._under_way.values():
                        errand.link.on_silence()
                for fd, _ in events:
                    try:
                        next(self._under_way[fd].steps)
                    except StopIteration:
                        self._done(fd)
        finally:
            self._epoll.close()

    def _fill(self) -> bool:
        """Begin as many errands as there is room for. False: there is nothing left to do."""
        while len(self._under_way) < self._at_once:
            errand = next(self._errands, None)
            if errand is None:
                break
            try:
                next(errand.steps)
            except StopIteration:
                continue
            self._under_way[errand.link.fd] = errand
            self._epoll.register(errand.link.fd, select.EPOLLIN)
        return bool(self._under_way)

    def _done(self, fd: int) -> None:
        del self._under_way[fd]
        try:
            self._epoll.unregister(fd)
        except OSError:
            pass  # the script closed its socket, which took it off the list
