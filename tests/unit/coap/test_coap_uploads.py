"""Bodies in blocks (RFC 7959, Block1)."""

from collections.abc import Sequence

import pytest

from adapters.coap.wire.endpoint import Endpoint
from adapters.coap.wire.exchanges import Exchange, Line, WireLimits
from adapters.coap.wire.numbers import BLOCK1, BLOCK2, CHANGED, NON, SIZE1
from adapters.coap.wire.request import Answer, Block
from adapters.coap.wire.uploads import upload_key
from kernel.meters import Count
from tests.support.coap import Reading, limits, request


class Sender:
    """A peer that sends blocks, each under a new message id."""

    def __init__(self, bounds: WireLimits | None = None) -> None:
        self.endpoint: Endpoint[str] = Endpoint(
            limits=bounds or limits(exchanges_per_peer_max=1000),
            draw=lambda: 0.0,
            answered=lambda _: None,
            repetitions=Count(),
            rejections=Count(),
        )
        self._lines: dict[str, Line[str]] = {}
        self._message_id = 0

    def block(
        self,
        block: Block,
        payload: bytes,
        *,
        path: str = "/t",
        key: str = "peer",
        now: float = 0.0,
        type_: int = 0,
        options: Sequence[tuple[int, bytes]] = (),
    ) -> Reading | Exchange[str]:
        if key not in self._lines:
            self._lines[key] = self.endpoint.open(key)
        self._message_id += 1
        raw = request(
            path,
            message_id=self._message_id,
            type_=type_,
            options=[(BLOCK1, block.rendered()), *options],
            payload=payload,
        )
        heard = self.endpoint.receive(self._lines[key], raw, now)
        assert heard is not None
        return Reading(heard) if isinstance(heard, bytes) else heard


def answered(outcome: Reading | Exchange[str]) -> str:
    assert isinstance(outcome, Reading)
    return outcome.spelled


def body(outcome: Reading | Exchange[str]) -> bytes:
    assert isinstance(outcome, Exchange)
    return outcome.payload


def test_blocks_become_one_body_and_each_is_confirmed_with_its_number() -> None:
    sender = Sender()
    first = sender.block(Block(0, True, 0), b"a" * 16)
    second = sender.block(Block(1, True, 0), b"b" * 16)
    last = sender.block(Block(2, False, 0), b"c")
    assert isinstance(first, Reading) and isinstance(second, Reading) and isinstance(last, Exchange)
    assert (first.spelled, first.option(BLOCK1)) == ("2.31", b"\x08")
    assert (second.spelled, second.option(BLOCK1)) == ("2.31", b"\x18")
    assert last.payload == b"a" * 16 + b"b" * 16 + b"c"
    answer = sender.endpoint.answer(last, Answer(CHANGED), 0.0)
    assert answer is not None
    assert Reading(answer).options == [(BLOCK1, b"\x20")]
    assert sender.endpoint.unfinished_bodies == 0


def test_a_single_block_is_a_whole_body() -> None:
    assert body(Sender().block(Block(0, False, 6), b"all of it")) == b"all of it"


def test_blocks_that_are_not_confirmable_are_answered_so() -> None:
    first = Sender().block(Block(0, True, 0), b"a" * 16, type_=NON)
    assert isinstance(first, Reading) and (first.type, first.spelled) == (NON, "2.31")


def test_a_sender_may_go_on_with_smaller_blocks() -> None:
    sender = Sender()
    sender.block(Block(0, True, 1), b"a" * 32)
    assert body(sender.block(Block(2, False, 0), b"b")) == b"a" * 32 + b"b"


@pytest.mark.parametrize("number", [1, 3])
def test_after_a_repeated_or_missing_block_the_body_must_start_over(number: int) -> None:
    sender = Sender()
    sender.block(Block(0, True, 0), b"a" * 16)
    sender.block(Block(1, True, 0), b"b" * 16)
    assert answered(sender.block(Block(number, True, 0), b"c" * 16)) == "4.08"
    assert answered(sender.block(Block(2, False, 0), b"c")) == "4.08"
    sender.block(Block(0, True, 0), b"d" * 16)
    assert body(sender.block(Block(1, False, 0), b"e")) == b"d" * 16 + b"e"


def test_a_first_block_starts_over_at_any_time() -> None:
    sender = Sender()
    sender.block(Block(0, True, 0), b"a" * 16)
    sender.block(Block(0, True, 0), b"b" * 16)
    assert body(sender.block(Block(1, False, 0), b"c")) == b"b" * 16 + b"c"


def test_a_block_without_a_beginning_is_incomplete() -> None:
    assert answered(Sender().block(Block(1, False, 0), b"x")) == "4.08"


@pytest.mark.parametrize(("more", "bytes_"), [(True, 15), (True, 17), (False, 17)])
def test_a_payload_that_does_not_fill_its_block_is_a_bad_request(more: bool, bytes_: int) -> None:
    assert answered(Sender().block(Block(0, more, 0), b"x" * bytes_)) == "4.00"


def test_a_body_that_grows_too_large_is_refused_and_forgotten() -> None:
    sender = Sender(limits(payload_max_bytes=40))
    sender.block(Block(0, True, 0), b"a" * 16)
    sender.block(Block(1, True, 0), b"a" * 16)
    refusal = sender.block(Block(2, True, 0), b"a" * 16)
    assert isinstance(refusal, Reading) and (refusal.spelled, refusal.option(SIZE1)) == ("4.13", b"\x28")
    assert sender.endpoint.unfinished_bodies == 0


def test_a_body_announced_too_large_is_refused_at_its_first_block() -> None:
    outcome = Sender().block(Block(0, True, 0), b"a" * 16, options=[(SIZE1, b"\x10\x00")])
    assert answered(outcome) == "4.13"


def test_bodies_for_different_options_are_different_bodies() -> None:
    sender = Sender()
    sender.block(Block(0, True, 0), b"a" * 16, path="/t")
    sender.block(Block(0, True, 0), b"b" * 16, path="/e")
    assert body(sender.block(Block(1, False, 0), b"!", path="/t")) == b"a" * 16 + b"!"
    assert body(sender.block(Block(1, False, 0), b"!", path="/e")) == b"b" * 16 + b"!"


def test_what_is_kept_to_tell_bodies_apart_is_small_however_large_the_options() -> None:
    large = [(11, b"t"), *((6, bytes([number]) * 1000) for number in range(60))]
    assert len(upload_key(2, large)) == len(upload_key(2, [])) == 32


@pytest.mark.parametrize(
    ("method", "options"),
    [
        (3, [(11, b"t"), (11, b"u")]),
        (2, [(11, b"tu")]),
        (2, [(11, b"t"), (15, b"u")]),
        (2, [(11, b"t"), (11, b""), (11, b"u")]),
        (2, [(11, b"u"), (11, b"t")]),
        (2, [(11, b"t\x00\x0b\x00\x00\x00\x01u")]),
    ],
)
def test_another_method_or_another_cut_of_the_options_is_another_body(
    method: int, options: list[tuple[int, bytes]]
) -> None:
    assert upload_key(method, options) != upload_key(2, [(11, b"t"), (11, b"u")])


def test_options_that_do_not_name_the_body_may_change_between_blocks() -> None:
    sender = Sender()
    sender.block(Block(0, True, 0), b"a" * 16, options=[(SIZE1, b"\x11"), (BLOCK2, b"\x06")])
    assert body(sender.block(Block(1, False, 0), b"!")) == b"a" * 16 + b"!"


def test_a_peers_oldest_body_makes_room_for_its_next() -> None:
    sender = Sender()
    for path in ("/a", "/b", "/c"):
        sender.block(Block(0, True, 0), b"x" * 16, path=path)
    assert sender.endpoint.unfinished_bodies == 2
    assert answered(sender.block(Block(1, False, 0), b"!", path="/a")) == "4.08"
    assert body(sender.block(Block(1, False, 0), b"!", path="/b")) == b"x" * 16 + b"!"


def test_over_all_peers_the_longest_idle_body_makes_room() -> None:
    sender = Sender()
    for key in ("p1", "p2", "p3", "p4"):
        sender.block(Block(0, True, 0), b"x" * 16, key=key)
    assert sender.endpoint.unfinished_bodies == 3
    assert answered(sender.block(Block(1, False, 0), b"!", key="p1")) == "4.08"


def test_a_peer_may_have_its_only_body_replaced_by_another() -> None:
    sender = Sender(limits(uploads_per_peer_max=1))
    sender.block(Block(0, True, 0), b"x" * 16, path="/a")
    sender.block(Block(0, True, 0), b"y" * 16, path="/b")
    assert body(sender.block(Block(1, False, 0), b"!", path="/b")) == b"y" * 16 + b"!"


def test_a_body_is_forgotten_when_no_block_comes_for_its_lifetime() -> None:
    sender = Sender()
    sender.block(Block(0, True, 0), b"a" * 16, now=0.0)
    sender.block(Block(1, True, 0), b"a" * 16, now=200.0)
    sender.endpoint.due(499.0)
    assert sender.endpoint.unfinished_bodies == 1
    sender.endpoint.due(500.0)
    assert sender.endpoint.unfinished_bodies == 0
    assert answered(sender.block(Block(2, False, 0), b"a", now=500.0)) == "4.08"
