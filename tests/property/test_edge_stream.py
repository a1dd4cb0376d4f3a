"""Whatever handler, peer and socket do to a stream, in whatever order: bytes keep their order, nobody spins or is left
waiting, and the end is told once."""

import asyncio
from collections.abc import Callable
from unittest import mock

from hypothesis import given, settings
from hypothesis import strategies as st

from adapters.edge.lines import PlainLine
from adapters.edge.peer import Address, Peer
from adapters.edge.poller import READABLE, WRITABLE, Ready
from adapters.edge.ports import Stream
from adapters.edge.stream import SocketStream

CALM = ["comes", "comes", "drains", "turn", "turn", "soon", "pause", "resume", "write"]
LAST = ["soon", "ends", "resets", "close", "abort"]  # and more may follow
CALM_HABITS = ["answer", "answer", "nothing", "pause", "pause and resume"]
LAST_HABITS = ["answer", "close", "abort", "raise", "abort and raise", "close and raise"]
STEPS = st.builds(
    lambda before, last, behind: [*before, last, *behind],
    st.lists(st.sampled_from(CALM), max_size=15),
    st.sampled_from(LAST),
    st.lists(st.sampled_from(CALM + LAST), max_size=10),
)
HABITS = st.builds(
    lambda last, calm, first: [last, *calm, first],
    st.sampled_from(LAST_HABITS),
    st.lists(st.sampled_from(CALM_HABITS), max_size=6),
    st.sampled_from(["answer", "pause"]),
)
HELD_MAX_BYTES = 40


class World:
    """Loop, poller, socket and owner of one stream: nothing in it happens by itself."""

    def __init__(self) -> None:
        self.soon: list[Callable[[], None]] = []
        self.ready: Ready | None = None
        self.wanted = READABLE
        self.incoming = bytearray()  # comes from the peer, not yet received
        self.sent = bytearray()
        self.room = 4  # bytes the socket takes
        self.has_ended = self.is_reset = False
        self.gone = 0
        self.received_calls = 0

    def call_soon(self, callback: Callable[..., None], *arguments: object) -> None:
        self.soon.append(lambda: callback(*arguments))

    def watch(self, fd: int, ready: Ready) -> None:
        self.ready = ready

    def want(self, fd: int, wanted: int) -> None:
        assert not self.gone
        self.wanted = wanted

    def fileno(self) -> int:
        return 7

    def recv_into(self, buffer: memoryview) -> int:
        assert not self.gone
        self.received_calls += 1
        if self.is_reset:
            raise ConnectionResetError(104, "reset")
        if not self.incoming and not self.has_ended:
            raise BlockingIOError
        count = min(len(self.incoming), 5)
        buffer[:count] = self.incoming[:count]
        del self.incoming[:count]
        return count

    def send(self, data: bytes, flags: int = 0) -> int:
        assert not self.gone
        if self.is_reset:
            raise BrokenPipeError(32, "broken pipe")
        if self.room == 0:
            raise BlockingIOError
        count = min(self.room, len(data))
        self.room -= count
        self.sent += data[:count]
        return count

    def is_closing(self, stream: object) -> None:
        assert not self.gone

    def is_gone(self, stream: object, sock: object, *, said_goodbye: bool) -> None:
        self.gone += 1

    @property
    def events(self) -> int:
        """As epoll would tell them: again and again, as long as they are so."""
        found = READABLE * bool(self.incoming or self.has_ended or self.is_reset) | WRITABLE * (self.room > 0)
        return found & self.wanted

    def turn(self) -> bool:
        """Whether the stream was called."""
        if self.gone or self.ready is None or not self.events:
            return False
        self.ready(self.events)
        return True

    def run_soon(self) -> None:
        soon, self.soon = self.soon, []
        for callback in soon:
            callback()


class Handler:
    """Behaves as drawn, and says where it was called out of turn."""

    def __init__(self, habits: list[str], *, stays: bool) -> None:
        self._habits = habits
        self._stays = stays
        self.stream: Stream | None = None
        self.is_paused = self.has_closed = self.has_ended = False
        self.heard = b""
        self.written = b""
        self.lost_times = 0
        self.is_called_out_of_turn = False

    @property
    def _is_deaf(self) -> bool:
        return self.is_paused or self.has_closed or self.has_ended or self.lost_times > 0

    def connected(self, stream: Stream) -> None:
        self.stream = stream
        self._behave(b"hi")

    def received(self, data: bytes) -> None:
        self.is_called_out_of_turn |= not data or self._is_deaf
        self.heard += data
        self._behave(data)

    def ended(self) -> bool:
        self.is_called_out_of_turn |= self._is_deaf
        self.has_ended = True
        return self._stays

    def lost(self, fault: Exception | None) -> None:
        self.lost_times += 1

    def do(self, step: str, data: bytes = b"") -> None:
        stream = self.stream
        assert stream is not None
        if step == "write":
            if not stream.is_closing:
                self.written += data
            stream.write(data)
        elif step == "pause":
            self.is_paused = True
            stream.pause_reading()
        elif step == "resume":
            self.is_paused = False
            stream.resume_reading()
        elif step == "close":
            self.has_closed = True
            stream.close()
        elif step == "abort":
            self.has_closed = True
            stream.abort()

    def _behave(self, data: bytes) -> None:
        habit = self._habits.pop() if self._habits else "answer"
        for step in habit.split(" and "):
            if step == "raise":
                raise ZeroDivisionError
            self.do("write" if step == "answer" else step, data)


@settings(max_examples=500)
@given(STEPS, HABITS, st.booleans(), st.sampled_from([b"", b"early"]))
def test_a_stream_keeps_order_wakes_and_ends_once(
    steps: list[str], habits: list[str], stays: bool, early: bytes
) -> None:
    world, handler = World(), Handler(habits, stays=stays)
    sent_by_peer = bytearray(early)
    number = 0
    with mock.patch.object(asyncio, "get_running_loop", lambda: world):
        stream = SocketStream(
            sock=world,  # type: ignore[arg-type]
            line=PlainLine(),
            peer=Peer(address=Address(host="192.0.2.1", port=1)),
            write_buffer_max_bytes=HELD_MAX_BYTES,
            owner=world,
            poller=world,  # type: ignore[arg-type]
        )
    stream.begin(lambda: handler, early=early)
    for step in steps:
        number += 1
        data = number.to_bytes(1) * 3
        if step == "comes" and not world.has_ended:
            world.incoming += data
            sent_by_peer += data
        elif step == "ends":
            world.has_ended = True
        elif step == "resets":
            world.is_reset = True
        elif step == "drains":
            world.room = 5
        elif step == "turn":
            world.turn()
        elif step == "soon":
            world.run_soon()
        elif step != "comes":
            handler.do(step, data)
        assert handler.lost_times <= world.gone <= 1
        assert not handler.is_called_out_of_turn
        assert sent_by_peer.startswith(handler.heard)
        assert handler.written.startswith(world.sent)
        assert len(stream._outlet.held or b"") <= HELD_MAX_BYTES
    idle_turns = 0
    for _ in range(100):  # level-triggered: whoever is called in vain more than twice spins
        before = (world.received_calls, len(world.sent), world.gone)
        world.run_soon()
        world.room = 10
        if world.turn() and before == (world.received_calls, len(world.sent), world.gone):
            idle_turns += 1
    assert idle_turns <= 2
    if world.gone:
        assert handler.lost_times == 1
    elif not handler.is_paused and not handler.has_ended:
        assert not world.incoming and not world.has_ended and not world.is_reset
        assert handler.heard == sent_by_peer
        assert world.sent == handler.written
