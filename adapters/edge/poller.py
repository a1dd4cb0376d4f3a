"""Tells which of very many sockets are ready: one epoll of our own, and a single reader with the loop.

A reader with the loop for each costs a handle, a context run and a dozen system calls per change (24 `epoll_ctl`
in the life of a connection). Here a socket is registered once; who is called for it may change without any.
At most `events_per_turn` are served in a turn of the loop; whoever is still ready then is told in the next.

A socket stays ready until it is read: whoever is called and does not want that says so with `want`, or the
loop spins. `forget` comes before `close`, which takes the socket out of the kernel's own list.
"""

import asyncio
import logging
import select
from collections.abc import Callable
from typing import Any, Final

from kernel.log import fields

log = logging.getLogger(__name__)

READABLE: Final[int] = select.EPOLLIN
WRITABLE: Final[int] = select.EPOLLOUT
_EVENTS_PER_TURN = 256

# Called with what the socket is ready for: READABLE, WRITABLE, EPOLLERR, EPOLLHUP. May be called in vain.
Ready = Callable[[int], None]


class Poller:
    """The sockets of one owner, on the loop that ran at `start`. A callback that raises is logged; the others go on."""

    __slots__ = ("_epoll", "_events_per_turn", "_left", "_loop", "_ready", "_wanted", "turns")

    def __init__(self, *, events_per_turn: int = _EVENTS_PER_TURN) -> None:
        self._events_per_turn = events_per_turn
        self.turns = 0  # so far
        self._loop: Any = None  # uvloop's answers are not of the types asyncio declares, and compiled code looks
        self._epoll: select.epoll | None = None
        self._ready: dict[int, Ready] = {}
        self._wanted: dict[int, int] = {}  # of those who want other than to read
        self._left: set[int] = set()  # forgotten in this turn: an event still in hand is none of a successor's

    def __len__(self) -> int:
        return len(self._ready)

    def start(self) -> None:
        """Serve from now on. Raises OSError where the process has no descriptor left."""
        self._epoll = select.epoll()
        self._loop = asyncio.get_running_loop()
        self._loop.add_reader(self._epoll.fileno(), self._turn)

    def close(self) -> None:
        """Call nobody any more. Safe to repeat, and before `start`."""
        if self._epoll is not None and self._loop is not None:
            self._loop.remove_reader(self._epoll.fileno())
            self._epoll.close()
        self._loop = self._epoll = None
        self._ready.clear()
        self._wanted.clear()

    def watch(self, fd: int, ready: Ready) -> None:
        """Call `ready` when there is something to read, in place of whoever was called for this socket before.

        Raises OSError where the kernel has no room for another.
        """
        if fd in self._ready:
            if fd in self._wanted:
                self.want(fd, READABLE)
        else:
            self._running().register(fd, READABLE)
        self._ready[fd] = ready

    def want(self, fd: int, wanted: int) -> None:
        """Be called for READABLE, WRITABLE, both, or not at all: 0. A repetition costs nothing."""
        before = self._wanted.get(fd, READABLE)
        if wanted == before:
            return
        epoll = self._running()
        if not wanted:
            epoll.unregister(fd)  # a mask of 0 would still let EPOLLHUP and EPOLLERR through, for ever
        elif before:
            epoll.modify(fd, wanted)
        else:
            epoll.register(fd, wanted)
        if wanted == READABLE:
            del self._wanted[fd]
        else:
            self._wanted[fd] = wanted

    def forget(self, fd: int) -> None:
        """The socket is about to be closed. Safe to repeat."""
        if self._ready.pop(fd, None) is not None:
            self._wanted.pop(fd, None)
            self._left.add(fd)

    def _turn(self) -> None:
        epoll = self._epoll
        if epoll is None:
            return
        self.turns += 1
        left = self._left
        left.clear()
        find = self._ready.get
        for fd, events in epoll.poll(0, self._events_per_turn):
            ready = find(fd)
            if ready is None or (left and fd in left):
                continue
            try:
                ready(events)
            except Exception:
                log.exception("poller.callback-failed", extra=fields(descriptor=fd))

    def _running(self) -> select.epoll:
        if self._epoll is None:
            raise RuntimeError("the poller is not started")
        return self._epoll
