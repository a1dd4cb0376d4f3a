"""The poller with real sockets: who is called, who is not any more, and that nobody waits for anybody."""

import asyncio
import logging
import select
import socket
import struct
from collections.abc import Iterator
from contextlib import ExitStack

import pytest

from adapters.edge.poller import READABLE, WRITABLE, Poller
from tests.support.waiting import until


class Sockets:
    """Connected pairs, closed with the test: ours is non-blocking, theirs is the peer's."""

    def __init__(self, stack: ExitStack) -> None:
        self._stack = stack

    def pair(self) -> tuple[socket.socket, socket.socket]:
        listening = socket.create_server(("127.0.0.1", 0))
        theirs = self._stack.enter_context(socket.create_connection(listening.getsockname()))
        ours, _ = listening.accept()
        listening.close()
        ours.setblocking(False)
        return self._stack.enter_context(ours), theirs


@pytest.fixture
def sockets() -> Iterator[Sockets]:
    with ExitStack() as stack:
        yield Sockets(stack)


@pytest.fixture
def poller() -> Poller:
    return Poller()


class Reader:
    """Reads its socket whenever it is called."""

    def __init__(self, sock: socket.socket) -> None:
        self.sock = sock
        self.calls: list[int] = []
        self.heard = b""

    def __call__(self, events: int) -> None:
        self.calls.append(events)
        self.heard += self.sock.recv(100)


async def turns(count: int = 5) -> None:
    """Let the loop go round."""
    for _ in range(count):
        await asyncio.sleep(0)


async def test_who_has_something_to_read_is_called_and_nobody_else(poller: Poller, sockets: Sockets) -> None:
    poller.start()
    (ours, theirs), (silent, _) = sockets.pair(), sockets.pair()
    reader, other = Reader(ours), Reader(silent)
    poller.watch(ours.fileno(), reader)
    poller.watch(silent.fileno(), other)
    theirs.send(b"hello")
    await until(lambda: reader.heard == b"hello")
    await turns()
    assert reader.calls == [READABLE]
    assert other.calls == []
    poller.close()


async def test_whoever_comes_later_is_called_in_place_of_the_first(poller: Poller, sockets: Sockets) -> None:
    poller.start()
    ours, theirs = sockets.pair()
    first, second = Reader(ours), Reader(ours)
    poller.watch(ours.fileno(), first)
    theirs.send(b"x")
    poller.watch(ours.fileno(), second)
    await until(lambda: second.heard)
    assert first.calls == []
    assert len(poller) == 1
    poller.close()


async def test_a_callback_that_raises_costs_no_other_its_call(
    poller: Poller, sockets: Sockets, caplog: pytest.LogCaptureFixture
) -> None:
    poller.start()
    pairs = [sockets.pair() for _ in range(5)]
    readers = [Reader(ours) for ours, _ in pairs]

    def fail(events: int) -> None:
        readers[2](events)
        raise ZeroDivisionError

    for number, (ours, theirs) in enumerate(pairs):
        poller.watch(ours.fileno(), fail if number == 2 else readers[number])
        theirs.send(b"x")
    await until(lambda: all(reader.heard for reader in readers))
    poller.close()
    logged = [record for record in caplog.records if record.levelno >= logging.ERROR]
    assert [record.message for record in logged] == ["poller.callback-failed"]


async def test_who_is_forgotten_in_a_turn_is_not_called_in_it(poller: Poller, sockets: Sockets) -> None:
    poller.start()
    pairs = [sockets.pair() for _ in range(2)]
    called: list[int] = []

    def close_the_other(number: int) -> None:
        called.append(number)
        other = pairs[1 - number][0]
        poller.forget(other.fileno())
        other.close()
        pairs[number][0].recv(1)

    for number, (ours, theirs) in enumerate(pairs):
        poller.watch(ours.fileno(), lambda _, number=number: close_the_other(number))  # type: ignore[misc]
        theirs.send(b"x")
    await until(lambda: called)
    await turns()
    assert len(called) == 1
    assert len(poller) == 1
    poller.close()


async def test_an_event_is_never_told_to_a_socket_that_took_over_the_number(poller: Poller, sockets: Sockets) -> None:
    poller.start()
    pairs = [sockets.pair() for _ in range(2)]
    successors: list[Reader] = []
    numbers = {ours.fileno() for ours, _ in pairs}

    def replace_the_other(number: int) -> None:
        pairs[number][0].recv(1)
        if successors:
            return
        old = pairs[1 - number][0]
        poller.forget(old.fileno())
        old.close()
        heirs = [new for pair in (sockets.pair(), sockets.pair()) for new in pair if new.fileno() in numbers]
        assert heirs  # the kernel gives the lowest free number
        heirs[0].setblocking(False)
        successors.append(Reader(heirs[0]))
        poller.watch(heirs[0].fileno(), successors[0])

    for number, (ours, theirs) in enumerate(pairs):
        poller.watch(ours.fileno(), lambda _, number=number: replace_the_other(number))  # type: ignore[misc]
        theirs.send(b"x")
    await until(lambda: successors)
    await turns()
    assert successors[0].calls == []
    poller.close()


async def test_a_socket_that_took_over_the_number_is_called_for_its_own_bytes(poller: Poller, sockets: Sockets) -> None:
    poller.start()
    ours, theirs = sockets.pair()
    successors: list[Reader] = []

    def give_way(_: int) -> None:
        number = ours.fileno()
        poller.forget(number)
        ours.close()
        pair = sockets.pair()
        heir, peer = pair if pair[0].fileno() == number else (pair[1], pair[0])
        heir.setblocking(False)
        successors.append(Reader(heir))
        poller.watch(heir.fileno(), successors[0])
        peer.send(b"new")

    poller.watch(ours.fileno(), give_way)
    theirs.send(b"old")
    await until(lambda: successors and successors[0].heard == b"new")
    poller.close()


async def test_thousands_that_are_ready_are_all_served_a_bounded_number_a_turn(sockets: Sockets) -> None:
    poller = Poller(events_per_turn=64)
    poller.start()
    pairs = [sockets.pair() for _ in range(400)]
    per_turn = [0]
    heard: set[int] = set()

    def read(sock: socket.socket) -> None:
        per_turn[-1] += 1
        heard.add(sock.fileno())
        assert sock.recv(1) == b"x"

    for ours, theirs in pairs:
        for _ in range(8):  # 3200 bytes, one a call
            theirs.send(b"x")
        poller.watch(ours.fileno(), lambda _, sock=ours: read(sock))  # type: ignore[misc]
    rounds_until_all = 0
    while sum(per_turn) < 3200:
        per_turn.append(0)
        await asyncio.sleep(0)
        if len(heard) < 400:
            rounds_until_all += 1
    assert max(per_turn) <= 2 * 64  # a turn of the loop may lie before and one behind our own
    assert rounds_until_all <= 400 / 64 + 3  # nobody comes twice before everybody came once
    poller.close()


async def test_who_does_not_want_to_read_is_left_alone_until_it_does(poller: Poller, sockets: Sockets) -> None:
    poller.start()
    ours, theirs = sockets.pair()
    reader = Reader(ours)
    poller.watch(ours.fileno(), reader)
    poller.want(ours.fileno(), 0)
    poller.want(ours.fileno(), 0)
    theirs.send(b"x")
    await turns()
    assert reader.calls == []
    poller.want(ours.fileno(), READABLE)
    await until(lambda: reader.heard == b"x")
    poller.want(ours.fileno(), 0)
    poller.watch(ours.fileno(), reader)  # who takes over wants to read
    theirs.send(b"y")
    await until(lambda: reader.heard == b"xy")
    poller.close()


async def test_who_wants_nothing_is_not_even_told_of_a_reset(poller: Poller, sockets: Sockets) -> None:
    poller.start()
    ours, theirs = sockets.pair()
    calls: list[int] = []
    poller.watch(ours.fileno(), calls.append)
    poller.want(ours.fileno(), 0)
    theirs.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    theirs.close()
    await turns()
    assert calls == []
    poller.want(ours.fileno(), READABLE)
    await until(lambda: calls)
    assert calls[0] & (select.EPOLLERR | select.EPOLLHUP)
    poller.close()


async def test_who_wants_to_write_is_called_when_there_is_room(poller: Poller, sockets: Sockets) -> None:
    poller.start()
    ours, theirs = sockets.pair()
    calls: list[int] = []

    def ready(events: int) -> None:
        calls.append(events)
        poller.want(ours.fileno(), READABLE)

    poller.watch(ours.fileno(), ready)
    sent = 0
    with pytest.raises(BlockingIOError):
        while True:
            sent += ours.send(b"x" * 65_536)
    poller.want(ours.fileno(), READABLE | WRITABLE)
    await turns()
    assert calls == []
    theirs.setblocking(False)
    await until(lambda: calls or not _drain(theirs))
    assert calls == [WRITABLE]
    poller.close()


async def test_a_peer_that_only_reads_any_more_shows_as_readable(poller: Poller, sockets: Sockets) -> None:
    poller.start()
    ours, theirs = sockets.pair()
    ends: list[bytes] = []

    def ready(_: int) -> None:
        ends.append(ours.recv(1))
        poller.want(ours.fileno(), 0)

    poller.watch(ours.fileno(), ready)
    theirs.shutdown(socket.SHUT_WR)
    await until(lambda: ends)
    ours.send(b"still here")
    assert theirs.recv(100) == b"still here"
    await turns()
    assert ends == [b""]
    poller.close()


async def test_a_poller_closed_in_a_callback_calls_nobody_any_more(poller: Poller, sockets: Sockets) -> None:
    poller.start()
    pairs = [sockets.pair() for _ in range(3)]
    calls: list[int] = []

    def close(events: int) -> None:
        calls.append(events)
        poller.close()

    for ours, theirs in pairs:
        poller.watch(ours.fileno(), close)
        theirs.send(b"x")
    await until(lambda: calls)
    await turns()
    assert len(calls) == 1
    for ours, _ in pairs:
        poller.forget(ours.fileno())  # whoever leaves late does no harm
    poller.close()


async def test_each_loop_has_its_own(sockets: Sockets) -> None:
    """What another loop watches is none of this one's, even while both run."""
    ours, theirs = sockets.pair()
    elsewhere = Poller()
    here = Poller()
    here.start()
    reader = Reader(ours)
    here.watch(ours.fileno(), reader)

    async def live() -> None:
        elsewhere.start()
        theirs.send(b"x")
        await turns(20)
        elsewhere.close()

    await asyncio.to_thread(asyncio.run, live())
    await until(lambda: reader.heard == b"x")
    here.close()


async def test_a_poller_that_does_not_run_watches_nobody(poller: Poller, sockets: Sockets) -> None:
    ours, _ = sockets.pair()
    poller.close()
    with pytest.raises(RuntimeError):
        poller.watch(ours.fileno(), lambda _: None)
    assert len(poller) == 0


def _drain(sock: socket.socket) -> int:
    """How many bytes there were."""
    try:
        return len(sock.recv(1_000_000))
    except BlockingIOError:
        return 1
