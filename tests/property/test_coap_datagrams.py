"""Whatever arrives, in whatever order: nothing is raised, memory stays bounded, requests are acted on once."""

from hypothesis import given
from hypothesis import strategies as st

from adapters.coap.wire.endpoint import Effects, Endpoint, Request, Send
from adapters.coap.wire.message import FormatFault, parse_body, read_header, render
from adapters.coap.wire.numbers import CHANGED, CON, NON
from adapters.coap.wire.request import Answer
from kernel.meters import Count
from tests.support.coap import Reading, datagram, limits

BOUNDS = limits(exchanges_per_peer_max=3, exchanges_max=5, ack_delay_s=0.5, payload_max_bytes=64)
PEERS = ("a", "b", "c")

options = st.lists(
    st.tuples(
        st.sampled_from([1, 3, 6, 7, 11, 12, 15, 17, 23, 27, 35, 60, 65_000, 65_001]) | st.integers(0, 65_535),
        st.binary(max_size=20),
    ),
    max_size=5,
).map(lambda found: sorted(found, key=lambda option: option[0]))

sound = st.builds(
    lambda type_, code, message_id, token, found, payload: render(type_, code, message_id, token, found, payload),
    st.integers(0, 3),
    st.sampled_from([0, 1, 2, 2, 2, 3, 4, 31, 32, 68, 69, 132, 192, 224]),
    st.integers(0, 6),
    st.binary(max_size=8),
    options,
    st.binary(max_size=80),
)


def with_one_byte_changed(raw: bytes, place: int, byte: int) -> bytes:
    changed = bytearray(raw)
    changed[place % len(raw)] = byte
    return bytes(changed)


hostile = st.one_of(
    sound,
    st.binary(max_size=64),
    st.builds(lambda raw, cut: raw[:cut], sound, st.integers(0, 30)),
    st.builds(with_one_byte_changed, sound, st.integers(0, 99), st.integers(0, 255)),
)
steps = st.lists(
    st.tuples(
        st.sampled_from(["receive", "receive", "receive", "answer", "due", "close"]),
        st.sampled_from(PEERS),
        hostile,
        st.integers(0, 40),
    ),
    max_size=60,
)


def new_endpoint() -> Endpoint[str]:
    endpoint: Endpoint[str] = Endpoint(
        limits=BOUNDS, draw=lambda: 0.3, answered=lambda _: None, repetitions=Count(), rejections=Count()
    )
    for peer in PEERS:
        endpoint.open(peer)
    return endpoint


@given(steps)
def test_nothing_is_raised_and_memory_stays_bounded(script: list[tuple[str, str, bytes, int]]) -> None:
    endpoint = new_endpoint()
    pending: list[Request[str]] = []
    now = 0.0
    for what, peer, raw, number in script:
        now += number / 4
        effects: Effects[str] = ()
        if what == "receive":
            effects = endpoint.receive(peer, raw, now)
        elif what == "due":
            effects = endpoint.due(now)
        elif what == "answer" and pending:
            effects = endpoint.answer(pending.pop(number % len(pending)).exchange, Answer(CHANGED), now)
        elif what == "close":
            endpoint.close(peer)
            endpoint.open(peer)
        for effect in effects:
            if isinstance(effect, Send):
                Reading(effect.datagram)
                assert len(effect.datagram) < 200
            else:
                pending.append(effect)
        assert endpoint.remembered <= BOUNDS.exchanges_max
        assert endpoint.unfinished_bodies <= BOUNDS.uploads_max
        assert 0 <= endpoint.unanswered <= BOUNDS.exchanges_max
    for waiting in pending:
        endpoint.answer(waiting.exchange, Answer(CHANGED), now)
    assert endpoint.unanswered == 0
    endpoint.due(now + 1000)
    endpoint.due(now + 2000)
    for peer in PEERS:
        endpoint.close(peer)
    assert endpoint.remembered == endpoint.unfinished_bodies == 0
    assert endpoint.next_due() is None


@given(st.lists(st.tuples(st.integers(0, 3), st.booleans()), max_size=40), st.sampled_from([CON, NON]))
def test_in_any_order_of_repetitions_each_request_is_given_out_once(order: list[tuple[int, bool]], type_: int) -> None:
    endpoint: Endpoint[str] = Endpoint(
        limits=limits(exchanges_per_peer_max=4),
        draw=lambda: 0.0,
        answered=lambda _: None,
        repetitions=Count(),
        rejections=Count(),
    )
    endpoint.open("peer")
    given_out: list[int] = []
    for message_id, answers in order:
        for effect in endpoint.receive("peer", datagram(type_=type_, message_id=message_id), 1.0):
            if isinstance(effect, Request):
                given_out.append(message_id)
                if answers:
                    endpoint.answer(effect.exchange, Answer(CHANGED), 1.0)
    assert sorted(given_out) == sorted({message_id for message_id, _ in order})


@given(
    st.integers(0, 3),
    st.integers(1, 255),
    st.integers(0, 65_535),
    st.binary(max_size=8),
    st.lists(st.tuples(st.integers(0, 2000), st.binary(max_size=400)), max_size=6),
    st.binary(max_size=50),
)
def test_any_message_is_written_and_read_as_another_codec_does(
    type_: int, code: int, message_id: int, token: bytes, found: list[tuple[int, bytes]], payload: bytes
) -> None:
    ordered = sorted(found, key=lambda option: option[0])
    theirs = datagram(type_=type_, code=code, message_id=message_id, token=token, options=ordered, payload=payload)
    assert render(type_, code, message_id, token, ordered, payload) == theirs
    header = read_header(theirs)
    assert header is not None
    assert parse_body(header, theirs) == (type_, code, message_id, token, ordered, payload)


@given(st.binary(min_size=4, max_size=200))
def test_any_bytes_are_a_message_or_a_format_fault_and_nothing_else(raw: bytes) -> None:
    header = read_header(raw)
    if header is None:
        return
    try:
        message = parse_body(header, raw)
    except FormatFault:
        return
    again = render(*message)
    second = read_header(again)
    assert second is not None
    assert parse_body(second, again) == message
