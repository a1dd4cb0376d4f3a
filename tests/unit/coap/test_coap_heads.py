"""What requests have in common is read once, and bounded."""

from adapters.coap.wire.endpoint import Endpoint
from adapters.coap.wire.exchanges import Exchange, Line
from adapters.coap.wire.heads import HEAD_MAX_BYTES, HEADS_MAX
from adapters.coap.wire.numbers import NON, PUT
from kernel.meters import Count
from tests.support.coap import limits, request


def new_endpoint() -> Endpoint[str]:
    return Endpoint(
        limits=limits(exchanges_per_peer_max=10_000, exchanges_max=10_000),
        draw=lambda: 0.0,
        answered=lambda _: None,
        repetitions=Count(),
        rejections=Count(),
    )


def take(endpoint: Endpoint[str], line: Line[str], raw: bytes) -> Exchange[str]:
    heard = endpoint.receive(line, raw, 0.0)
    assert isinstance(heard, Exchange)
    return heard


def test_requests_that_say_the_same_share_their_head_whoever_sends_them() -> None:
    endpoint = new_endpoint()
    lines = [endpoint.open(peer) for peer in ("a", "b")]
    heads = {
        take(endpoint, line, request("/t", message_id=number, token=token, payload=bytes([number]))).head
        for line in lines
        for number, token in enumerate((b"", b"t", b"u", b"tk"), start=1)
    }
    assert len(heads) == 1


def test_requests_that_say_anything_else_do_not() -> None:
    endpoint = new_endpoint()
    line = endpoint.open("a")
    asked = [
        request("/t", message_id=1, payload=b"x"),
        request("/t", message_id=2),
        request("/t", message_id=3, payload=b"x", type_=NON),
        request("/t", message_id=4, payload=b"x", code=PUT),
        request("/t/x", message_id=5, payload=b"x"),
        request("/t", message_id=6, payload=b"x", query=["empty"]),
    ]
    assert len({take(endpoint, line, raw).head for raw in asked}) == len(asked)


def test_what_was_made_of_a_head_stays_with_it() -> None:
    endpoint = new_endpoint()
    line = endpoint.open("a")
    first = take(endpoint, line, request("/t", message_id=1, payload=b"x"))
    first.head.plan = "made once"
    take(endpoint, line, request("/e", message_id=2, payload=b"x"))
    assert take(endpoint, line, request("/t", message_id=3, payload=b"y")).head.plan == "made once"


def test_no_more_heads_are_known_than_may() -> None:
    endpoint = new_endpoint()
    line = endpoint.open("a")
    for number in range(HEADS_MAX + 10):
        take(endpoint, line, request(f"/t/{number}", message_id=number, payload=b"x"))
    assert len(endpoint._heads) == HEADS_MAX


def test_a_head_with_long_options_or_of_a_block_is_not_known_again() -> None:
    endpoint = new_endpoint()
    line = endpoint.open("a")
    long = ["x" * 100] * (HEAD_MAX_BYTES // 100 + 1)
    for options, query in (([], long), ([(27, b"")], [])):
        first, second = (
            take(endpoint, line, request("/t", message_id=number, query=query, options=options, payload=b"x")).head
            for number in (len(query) + 1, len(query) + 100)
        )
        assert first is not second
    assert len(endpoint._heads) == 0
    assert line.head is None
