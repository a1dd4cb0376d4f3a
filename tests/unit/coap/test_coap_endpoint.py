"""Acknowledgement, repetition, separate answers: RFC 7252 section 4 with a hand-wound clock."""

from adapters.coap.wire.endpoint import Endpoint, Send
from adapters.coap.wire.exchanges import Exchange, WireLimits
from adapters.coap.wire.heads import UNREAD
from adapters.coap.wire.message import render
from adapters.coap.wire.numbers import ACK, CHANGED, CON, EMPTY, GET, MAX_AGE, NON, RST, SIZE1, spelled
from adapters.coap.wire.request import Answer
from kernel.meters import Count
from tests.support.coap import Reading, ack, datagram, limits, request, reset

OK = Answer(CHANGED)


class Bench:
    """An endpoint with one or two open peers."""

    def __init__(self, bounds: WireLimits | None = None, *, draw: float = 0.0) -> None:
        self.repetitions, self.rejections = Count(), Count()
        self.answered: list[int] = []
        self.endpoint: Endpoint[str] = Endpoint(
            limits=bounds or limits(),
            draw=lambda: draw,
            answered=self.answered.append,
            repetitions=self.repetitions,
            rejections=self.rejections,
        )
        self.lines = {key: self.endpoint.open(key) for key in ("peer", "other")}

    def receive(self, raw: bytes, now: float = 0.0, key: str = "peer") -> Exchange[str] | bytes | None:
        return self.endpoint.receive(self.lines[key], raw, now)

    def reply(self, raw: bytes, now: float = 0.0, key: str = "peer") -> bytes:
        """What a datagram must get at once."""
        heard = self.receive(raw, now, key)
        assert isinstance(heard, bytes)
        return heard

    def take(self, raw: bytes, now: float = 0.0, key: str = "peer") -> Exchange[str]:
        """The request a datagram must lead to."""
        heard = self.receive(raw, now, key)
        assert isinstance(heard, Exchange)
        return heard

    def answer(self, exchange: Exchange[str], now: float = 0.0) -> bytes:
        """What a request gets that goes well."""
        datagram = self.endpoint.answer(exchange, OK, now)
        assert datagram is not None
        return datagram


def test_a_confirmable_request_is_answered_with_its_acknowledgement() -> None:
    bench = Bench()
    asked = bench.take(request("/t/x", message_id=0x1234, token=b"tok", query=["q"], payload=b"body"))
    head = asked.head
    assert (head.path, head.query, asked.payload, head.is_confirmable) == (("t", "x"), ("q",), b"body", True)
    assert bench.answer(asked, 0.1) == bytes.fromhex("63441234746f6b")


def test_a_non_confirmable_request_is_answered_non_confirmably_under_our_own_message_ids() -> None:
    bench = Bench(draw=0.5)
    first = bench.take(request("/t", type_=NON, message_id=1, token=b"a"))
    second = bench.take(request("/t", type_=NON, message_id=2, token=b"b"))
    assert not first.head.is_confirmable
    assert bench.answer(first) == render(NON, CHANGED, 0x8000, b"a")
    assert bench.answer(second) == render(NON, CHANGED, 0x8001, b"b")


def test_a_repetition_gets_the_same_answer_and_is_not_given_out_again() -> None:
    bench = Bench()
    raw = request("/t", message_id=7)
    first = bench.answer(bench.take(raw))
    assert bench.receive(raw, 1.0) == first
    assert bench.repetitions.total == 1


def test_a_repetition_before_the_answer_gets_nothing() -> None:
    bench = Bench()
    raw = request("/t", message_id=7)
    bench.take(raw)
    assert not bench.receive(raw, 0.2)


def test_a_repeated_non_confirmable_request_is_ignored() -> None:
    bench = Bench()
    raw = request("/t", type_=NON, message_id=7)
    bench.answer(bench.take(raw))
    assert not bench.receive(raw, 1.0)


def test_the_same_message_id_of_another_peer_is_another_request() -> None:
    bench = Bench()
    raw = request("/t", message_id=7)
    bench.take(raw)
    assert bench.take(raw, key="other").line.key == "other"


def test_a_message_id_may_be_used_again_when_the_exchange_lifetime_is_over() -> None:
    bench = Bench()
    raw = request("/t", message_id=7)
    bench.endpoint.answer(bench.take(raw, 0.0), OK, 1.0)
    assert bench.endpoint.next_due() == 248.0
    assert isinstance(bench.receive(raw, 247.9), bytes)
    assert not bench.endpoint.due(248.0)
    assert bench.endpoint.remembered == 0
    bench.take(raw, 248.0)


def test_a_slow_answer_is_acknowledged_ahead_and_comes_on_its_own() -> None:
    bench = Bench()
    raw = request("/t", message_id=7, token=b"tk")
    asked = bench.take(raw, 10.0)
    assert bench.endpoint.next_due() == 10.5
    assert not bench.endpoint.due(10.4)
    assert bench.endpoint.due(10.5) == [Send("peer", bytes.fromhex("60000007"))]
    assert bench.receive(raw, 11.0) == bytes.fromhex("60000007")
    assert bench.answer(asked, 12.0) == render(CON, CHANGED, 0, b"tk")
    assert bench.receive(raw, 12.5) == bytes.fromhex("60000007")
    assert not bench.receive(ack(0), 13.0)
    assert bench.endpoint.due(100.0) == []


def test_without_an_ack_delay_every_answer_comes_on_its_own() -> None:
    bench = Bench(limits(ack_delay_s=0))
    for message_id in (7, 8):  # the second is known by what the first said
        asked = bench.take(request("/t", message_id=message_id))
        assert asked.replay == render(ACK, EMPTY, message_id)
        assert Reading(bench.answer(asked)).type == CON
    assert bench.take(request("/t", type_=NON, message_id=9)).replay == b""


def test_a_separate_answer_is_sent_again_after_2_4_8_and_16_seconds_and_then_given_up() -> None:
    bench = Bench(limits(ack_delay_s=0))
    answer = bench.answer(bench.take(request("/t")))
    moments = []
    while (due := bench.endpoint.next_due()) is not None and due < 200:
        if sends := bench.endpoint.due(due):
            assert sends == [Send("peer", answer)]
            moments.append(due)
    assert moments == [2.0, 6.0, 14.0, 30.0]
    assert bench.endpoint.next_due() == 62.0 + 247.0


def test_the_first_wait_is_stretched_by_chance_up_to_half_again() -> None:
    bench = Bench(limits(ack_delay_s=0), draw=0.999)
    bench.answer(bench.take(request("/t")))
    assert not bench.endpoint.due(2.9)
    assert len(bench.endpoint.due(3.0)) == 1


def test_a_reset_ends_a_separate_answer() -> None:
    bench = Bench(limits(ack_delay_s=0))
    bench.answer(bench.take(request("/t")))
    assert not bench.receive(reset(0), 1.0)
    assert bench.endpoint.due(100.0) == []


def test_acknowledgements_of_nothing_and_with_content_are_ignored() -> None:
    bench = Bench(limits(ack_delay_s=0))
    bench.answer(bench.take(request("/t")))
    assert not bench.receive(ack(99), 0.1)
    assert not bench.receive(datagram(type_=ACK, code=CHANGED, message_id=0), 0.1)
    assert not bench.receive(ack(0) + b"\x00", 0.1)
    assert len(bench.endpoint.due(2.0)) == 1


def test_our_message_ids_wrap_and_skip_one_still_on_its_way() -> None:
    bench = Bench(limits(ack_delay_s=0), draw=0.99999999)
    used = []
    for message_id in (1, 2):
        exchange = bench.take(request("/t", message_id=message_id))
        used.append(Reading(bench.answer(exchange)).message_id)
    assert used == [0xFFFF, 0]
    exchange = bench.take(request("/t", message_id=3))
    exchange.line.next_message_id = 0xFFFF
    assert Reading(bench.answer(exchange)).message_id == 1


def test_an_empty_confirmable_message_is_a_ping_and_gets_a_reset() -> None:
    bench = Bench()
    assert bench.receive(bytes.fromhex("4000abcd")) == bytes.fromhex("7000abcd")
    assert bench.rejections.total == 0


def test_an_empty_message_with_anything_behind_it_is_no_ping() -> None:
    bench = Bench()
    assert bench.receive(bytes.fromhex("4000abcd00")) == bytes.fromhex("7000abcd")
    assert bench.rejections.total == 1


def test_every_answer_is_told_once_whoever_gave_it() -> None:
    bench = Bench(limits(exchanges_per_peer_max=1, payload_max_bytes=20))
    block = {"options": [(27, b"\x08")], "payload": b"x" * 16}
    bench.receive(datagram(options=[(9, b"")], message_id=1))
    bench.receive(datagram(options=[(9, b"")], message_id=1))
    bench.receive(request("/t", message_id=2, payload=b"x" * 21))
    bench.receive(request("/t", message_id=3, **block))
    asked = bench.take(request("/t", message_id=4))
    bench.receive(request("/t", message_id=5))
    bench.answer(asked)
    assert bench.endpoint.answer(asked, OK, 0.0) is None
    assert [spelled(code) for code in bench.answered] == ["4.02", "4.13", "2.31", "5.03", "2.04"]


def test_confirmable_messages_that_cannot_be_processed_get_a_reset() -> None:
    bench = Bench()
    broken = bytes.fromhex("40020001ff")
    response, reserved = datagram(code=CHANGED, message_id=1), bytes.fromhex("40200001")
    for raw in (broken, response, reserved):
        assert bench.receive(raw) == bytes.fromhex("70000001")
    assert bench.rejections.total == 3
    assert bench.endpoint.remembered == 0


def test_non_confirmable_messages_that_cannot_be_processed_get_silence() -> None:
    bench = Bench()
    broken, empty = bytes.fromhex("50020001ff"), bytes.fromhex("50000001")
    for raw in (broken, empty, datagram(type_=NON, code=CHANGED)):
        assert not bench.receive(raw)


def test_another_version_is_ignored() -> None:
    bench = Bench()
    assert not bench.receive(b"\x80\x02\x00\x01")


def test_an_unknown_critical_option_is_a_bad_option_where_confirmable_and_a_reset_where_not() -> None:
    bench = Bench()
    con = Reading(bench.reply(datagram(options=[(9, b"")], token=b"t", message_id=1)))
    non = bench.reply(datagram(type_=NON, options=[(9, b"")], token=b"t", message_id=2))
    assert (con.type, con.spelled) == (ACK, "4.02")
    assert non == render(RST, EMPTY, 2)
    assert not bench.receive(datagram(type_=NON, options=[(9, b"")], token=b"t", message_id=2))


def test_a_proxy_request_is_refused_even_where_not_confirmable() -> None:
    bench = Bench()
    answer = Reading(bench.reply(datagram(type_=NON, options=[(35, b"coap://x/")])))
    assert (answer.type, answer.spelled) == (NON, "5.05")


def test_a_payload_above_the_limit_is_refused_with_the_size_that_would_do() -> None:
    bench = Bench(limits(payload_max_bytes=300))
    answer = Reading(bench.reply(request("/t", payload=b"x" * 301)))
    assert (answer.spelled, answer.option(SIZE1)) == ("4.13", b"\x01\x2c")
    assert bench.take(request("/t", message_id=2, payload=b"x" * 300)).payload == b"x" * 300


def test_an_unknown_method_is_left_to_the_adapter() -> None:
    assert Bench().take(datagram(code=31)).head.method == 31


def test_a_peers_oldest_answer_makes_room_for_its_next_request() -> None:
    bench = Bench(limits(exchanges_per_peer_max=2))
    for message_id in (1, 2, 3):
        exchange = bench.take(request("/t", message_id=message_id))
        bench.answer(exchange)
    assert bench.endpoint.remembered == 2
    assert isinstance(bench.receive(request("/t", message_id=2)), bytes)
    bench.take(request("/t", message_id=1))


def test_a_peer_with_too_many_open_requests_is_told_to_come_back() -> None:
    bench = Bench(limits(exchanges_per_peer_max=2))
    first = bench.take(request("/t", message_id=1))
    bench.take(request("/t", message_id=2))
    con = Reading(bench.reply(request("/t", message_id=3, token=b"x")))
    non = Reading(bench.reply(request("/t", type_=NON, message_id=4, token=b"y")))
    assert (con.type, con.spelled, con.token, con.option(MAX_AGE)) == (ACK, "5.03", b"x", b"\x02")
    assert (non.type, non.spelled, non.token) == (NON, "5.03", b"y")
    bench.answer(first)
    bench.take(request("/t", message_id=3))


def test_a_peer_that_acknowledges_nothing_keeps_no_more_than_its_share() -> None:
    bench = Bench(limits(exchanges_per_peer_max=2, ack_delay_s=0))
    for message_id in (1, 2):
        bench.answer(bench.take(request("/t", message_id=message_id)))
    assert Reading(bench.reply(request("/t", message_id=3))).spelled == "5.03"


def test_over_all_peers_the_oldest_answer_makes_room() -> None:
    bench = Bench(limits(exchanges_per_peer_max=4, exchanges_max=4))
    for key in ("peer", "other"):
        for message_id in (1, 2, 3):
            exchange = bench.take(request("/t", message_id=message_id), key=key)
            bench.answer(exchange)
    assert bench.endpoint.remembered == 4
    bench.take(request("/t", message_id=1))


def test_where_every_exchange_is_open_a_request_is_turned_away() -> None:
    bench = Bench(limits(exchanges_per_peer_max=4, exchanges_max=4))
    for message_id in range(4):
        bench.take(request("/t", message_id=message_id))
    answer = Reading(bench.reply(request("/t", message_id=1), key="other"))
    assert answer.spelled == "5.03"


def test_only_the_first_answer_counts() -> None:
    bench = Bench()
    exchange = bench.take(request("/t"))
    assert bench.endpoint.unanswered == 1
    assert bench.endpoint.answer(exchange, OK, 0.0)
    assert not bench.endpoint.answer(exchange, OK, 0.0)
    assert bench.endpoint.unanswered == 0


def test_of_an_answered_request_only_the_answer_is_kept() -> None:
    bench = Bench()
    exchange = bench.take(request("/t", message_id=7, token=b"longish"))
    answer = bench.answer(exchange)
    assert (exchange.token, exchange.payload, exchange.head, exchange.replay) == (b"", b"", UNREAD, answer)


def test_closing_a_peer_forgets_all_of_it() -> None:
    bench = Bench(limits(ack_delay_s=0.5))
    answered = bench.take(request("/t", message_id=1))
    bench.answer(answered)
    separate = bench.take(request("/t", message_id=2))
    bench.endpoint.due(0.5)
    bench.endpoint.answer(separate, OK, 0.6)
    waiting = bench.take(request("/t", message_id=3), 0.7)
    bench.receive(request("/t", message_id=4, options=[(27, b"\x08")], payload=b"x" * 16), 0.7)
    assert bench.endpoint.unfinished_bodies == 1

    for _ in range(2):
        bench.endpoint.close(bench.lines["peer"])
    assert not bench.endpoint.answer(waiting, OK, 0.8)
    assert bench.endpoint.next_due() is None
    assert (bench.endpoint.remembered, bench.endpoint.unanswered, bench.endpoint.unfinished_bodies) == (0, 0, 0)
    assert not bench.receive(request("/t", message_id=5, code=GET))
    assert not bench.receive(request("/t", message_id=5))
