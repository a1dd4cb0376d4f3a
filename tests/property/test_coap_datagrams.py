"""Whatever arrives, in whatever order: nothing is raised, memory stays bounded, requests are acted on once."""

from hypothesis import given
from hypothesis import strategies as st

from adapters.coap.wire.endpoint import Endpoint
from adapters.coap.wire.exchanges import Exchange, WireLimits
from adapters.coap.wire.message import FormatFault, parse_body, read_header, render
from adapters.coap.wire.numbers import CHANGED, CON, NON
from adapters.coap.wire.request import Answer
from kernel.meters import Count
from tests.support.coap import Reading, datagram, limits

BOUNDS = limits(exchanges_per_peer_max=3, exchanges_max=5, ack_delay_s=0.5, payload_max_bytes=64)
ROOMY = limits(exchanges_per_peer_max=100, exchanges_max=100, payload_max_bytes=64)
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


def new_endpoint(bounds: WireLimits = BOUNDS) -> Endpoint[str]:
    return Endpoint(limits=bounds, draw=lambda: 0.3, answered=lambda _: None, repetitions=Count(), rejections=Count())


@given(steps)
def test_nothing_is_raised_and_memory_stays_bounded(script: list[tuple[str, str, bytes, int]]) -> None:
    endpoint = new_endpoint()
    lines = {peer: endpoint.open(peer) for peer in PEERS}
    pending: list[Exchange[str]] = []
    now = 0.0
    for what, peer, raw, number in script:
        now += number / 4
        sent: list[bytes | None] = []
        if what == "receive":
            heard = endpoint.receive(lines[peer], raw, now)
            if isinstance(heard, Exchange):
                pending.append(heard)
            else:
                sent.append(heard)
        elif what == "due":
            sent += [each.datagram for each in endpoint.due(now)]
        elif what == "answer" and pending:
            sent.append(endpoint.answer(pending.pop(number % len(pending)), Answer(CHANGED), now))
        elif what == "close":
            endpoint.close(lines[peer])
            lines[peer] = endpoint.open(peer)
        for datagram_ in sent:
            if datagram_ is not None:
                Reading(datagram_)
                assert len(datagram_) < 200
        assert endpoint.remembered <= BOUNDS.exchanges_max
        assert endpoint.unfinished_bodies <= BOUNDS.uploads_max
        assert 0 <= endpoint.unanswered <= BOUNDS.exchanges_max
    for waiting in pending:
        endpoint.answer(waiting, Answer(CHANGED), now)
    assert endpoint.unanswered == 0
    endpoint.due(now + 1000)
    endpoint.due(now + 2000)
    for line in lines.values():
        endpoint.close(line)
    assert endpoint.remembered == endpoint.unfinished_bodies == 0
    assert endpoint.next_due() is None


@given(st.lists(st.tuples(st.integers(0, 3), st.booleans()), max_size=40), st.sampled_from([CON, NON]))
def test_in_any_order_of_repetitions_each_request_is_given_out_once(order: list[tuple[int, bool]], type_: int) -> None:
    endpoint = new_endpoint(limits(exchanges_per_peer_max=4))
    line = endpoint.open("peer")
    given_out: list[int] = []
    for message_id, answers in order:
        heard = endpoint.receive(line, datagram(type_=type_, message_id=message_id), 1.0)
        if isinstance(heard, Exchange):
            given_out.append(message_id)
            if answers:
                endpoint.answer(heard, Answer(CHANGED), 1.0)
    assert sorted(given_out) == sorted({message_id for message_id, _ in order})


# A device that goes on saying the same, and says it differently now and then.
similar = st.builds(
    lambda type_, code, token, found, payload: render(type_, code, 0, token, found, payload),
    st.sampled_from([CON, CON, NON]),
    st.sampled_from([2, 2, 2, 3]),
    st.sampled_from([b"", b"t", b"tk"]),
    st.sampled_from([[(11, b"t")], [(11, b"t")], [(11, b"t"), (12, b"2")], [(11, b"t"), (15, b"x")], [], [(27, b"")]]),
    st.sampled_from([b"", b"x", b"\xff", b"t", b"x" * 64, b"x" * 65]),
)
saying = st.one_of(
    similar,
    similar,
    st.builds(with_one_byte_changed, similar, st.integers(0, 99), st.integers(0, 255)),
    st.builds(lambda raw, cut: raw[:cut], similar, st.integers(0, 20)),
)


def understood(heard: Exchange[str] | bytes | None) -> object:
    if not isinstance(heard, Exchange):
        return heard
    head = heard.head
    facts = (head.method, head.is_confirmable, head.path, head.query, head.content_format, head.elective, head.block1)
    return (heard.message_id, heard.is_confirmable, heard.token, heard.payload, facts)


@given(st.lists(saying, min_size=2, max_size=12))
def test_what_a_peer_said_before_changes_nothing_of_what_is_understood(datagrams: list[bytes]) -> None:
    knowing, forgetful = new_endpoint(ROOMY), new_endpoint(ROOMY)
    known, forgotten = knowing.open("peer"), forgetful.open("peer")
    for message_id, raw in enumerate(datagrams):
        told = raw[:2] + message_id.to_bytes(2, "big") + raw[4:] if len(raw) >= 4 else raw
        forgotten.head = None
        heard = knowing.receive(known, told, 0.0), forgetful.receive(forgotten, told, 0.0)
        assert understood(heard[0]) == understood(heard[1])


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
