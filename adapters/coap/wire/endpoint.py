"""CoAP's message layer for all peers of a server: what arrives becomes effects, carried out in their order.

Owns acknowledgement, repetition, separate answers and their retransmission (RFC 7252 section 4), and turns
block-wise bodies into whole ones. Leaves to the caller what a request means and when it is answered:
a `Request` given out is answered once, by `answer`, at once or much later.

A request seen before is never given out again; it gets what its exchange has to say by now, see
exchanges.py. Nothing here reads a clock or draws chance: `now` and `draw` come from outside.

What is no CoAP message of version 1 is ignored. A confirmable message that cannot be processed gets RST, a
non-confirmable one silence (4.2, 4.3); so does an empty confirmable one, which is how CoAP is pinged.
"""

from collections.abc import Callable, Hashable, Sequence
from typing import Generic, NamedTuple, TypeVar

from adapters.coap.wire.deadlines import Agenda, EqualDelays
from adapters.coap.wire.exchanges import Exchange, ExchangeMemory, Line, Separate, WireLimits
from adapters.coap.wire.message import HEADER_BYTES, FormatFault, Header, Message, parse_body, read_header, render, uint
from adapters.coap.wire.numbers import (
    ACK,
    BAD_OPTION,
    BLOCK1,
    CON,
    EMPTY,
    MAX_AGE,
    NON,
    RST,
    SERVICE_UNAVAILABLE,
    is_request,
)
from adapters.coap.wire.request import Answer, Asked, read_options
from adapters.coap.wire.uploads import Uploads
from kernel.meters import Count

K = TypeVar("K", bound=Hashable)
BUSY = Answer(SERVICE_UNAVAILABLE, ((MAX_AGE, uint(2)),))  # the peer has as many requests open as it may


class Send(NamedTuple, Generic[K]):
    """One datagram for one peer."""

    key: K
    datagram: bytes


class Request(NamedTuple, Generic[K]):
    """A request seen for the first time, its body complete."""

    exchange: Exchange[K]
    method: int
    is_confirmable: bool
    path: tuple[str, ...]
    query: tuple[str, ...]
    content_format: int | None
    elective: frozenset[int]  # numbers of the options present that may be ignored
    payload: bytes


Effects = Sequence[Send[K] | Request[K]]
_NOTHING: tuple[()] = ()


class Endpoint(Generic[K]):
    """The server's side of every exchange. `draw` gives numbers from 0 to 1, 1 excluded, at random.

    `answered` hears the code of every answer, whether it was given by `answer` or here; not of one sent again.
    """

    def __init__(
        self,
        *,
        limits: WireLimits,
        draw: Callable[[], float],
        answered: Callable[[int], None],
        repetitions: Count,
        rejections: Count,
    ) -> None:
        self._limits = limits
        self._draw = draw
        self._answered = answered
        self._repetitions = repetitions
        self._rejections = rejections
        self._lines: dict[K, Line[K]] = {}
        self._memory: ExchangeMemory[K] = ExchangeMemory(limits)
        self._uploads: Uploads[K] = Uploads(limits)
        self._unacknowledged: EqualDelays[Exchange[K]] = EqualDelays(delay_s=limits.ack_delay_s)
        self._separate: Agenda[Separate[K]] = Agenda()
        self.unanswered = 0  # requests given out, and not yet answered

    @property
    def remembered(self) -> int:
        """Exchanges held, answered or not."""
        return len(self._memory)

    @property
    def unacknowledged(self) -> int:
        """Answers sent on their own that the peer may not have: they are sent again until it says so."""
        return len(self._separate)

    @property
    def unfinished_bodies(self) -> int:
        return len(self._uploads)

    def open(self, key: K) -> None:
        """Begin to listen to a peer."""
        self._lines[key] = Line(key, int(self._draw() * 0x10000))

    def close(self, key: K) -> None:
        """Forget a peer with all it left undone. Answers to its requests come to nothing. Safe to repeat."""
        line = self._lines.pop(key, None)
        if line is None:
            return
        line.is_open = False
        for exchange in line.exchanges.values():
            if not exchange.is_answered:
                self.unanswered -= 1
                self._unacknowledged.discard(exchange)
        for separate in line.sent.values():
            self._separate.discard(separate)
        self._memory.forget_all_of(line)
        self._uploads.forget_all_of(line)

    def receive(self, key: K, datagram: bytes, now: float) -> Effects[K]:
        """Whatever a peer sent. Never raises; a peer never opened is ignored."""
        line = self._lines.get(key)
        header = read_header(datagram)
        if line is None or header is None:
            return _NOTHING
        if header.type == ACK or header.type == RST:
            if header.code == EMPTY and len(datagram) == HEADER_BYTES:
                self._end_separate(line, header.message_id, now)
            return _NOTHING
        if header.code == EMPTY and header.type == CON and len(datagram) == HEADER_BYTES:  # a ping
            return [Send(key, render(RST, EMPTY, header.message_id))]
        if not is_request(header.code):
            return self._reject(line, header)
        exchange = line.exchanges.get(header.message_id)
        if exchange is not None:
            self._repetitions.add()
            return [Send(key, exchange.replay)] if exchange.replay else _NOTHING
        try:
            message = parse_body(header, datagram)
        except FormatFault:
            return self._reject(line, header)
        return self._begin(line, message, now)

    def answer(self, exchange: Exchange[K], answer: Answer, now: float) -> Effects[K]:
        """Answer a request: with its ACK, or on its own where that went ahead. Only the first answer counts."""
        line = exchange.line
        if exchange.is_answered or not line.is_open:
            return _NOTHING
        exchange.is_answered = True
        self.unanswered -= 1
        self._answered(answer.code)
        if exchange.block1 is not None:
            answer = answer.with_option(BLOCK1, exchange.block1.rendered())
        if exchange.is_acknowledged:
            return self._begin_separate(exchange, answer, now)
        self._unacknowledged.discard(exchange)
        token = exchange.token
        if exchange.is_confirmable:
            datagram = render(ACK, answer.code, exchange.message_id, token, answer.options, answer.payload)
            exchange.replay = datagram
        else:
            datagram = render(NON, answer.code, self._draw_message_id(line), token, answer.options, answer.payload)
        self._memory.settle(exchange, now)
        return [Send(line.key, datagram)]

    def due(self, now: float) -> Effects[K]:
        """Acknowledge what waits too long, send again what was not acknowledged, forget what is old."""
        effects: list[Send[K] | Request[K]] = []
        for exchange in self._unacknowledged.take_due(now):
            effects.append(self._acknowledge(exchange))
        for separate in self._separate.take_due(now):
            if separate.repeats_left == 0:
                self._end_separate(separate.exchange.line, separate.message_id, now)
                continue
            separate.repeats_left -= 1
            separate.timeout_s *= 2
            self._separate.set(separate, now + separate.timeout_s)
            effects.append(Send(separate.exchange.line.key, separate.datagram))
        self._memory.expire(now)
        self._uploads.expire(now)
        return effects

    def next_due(self) -> float | None:
        """When `due` has something to do next."""
        moments = (
            self._unacknowledged.next_due,
            self._separate.next_due,
            self._memory.next_due,
            self._uploads.next_due,
        )
        return min((moment for moment in moments if moment is not None), default=None)

    def _reject(self, line: Line[K], header: Header) -> Effects[K]:
        self._rejections.add()
        if header.type != CON:
            return _NOTHING
        return [Send(line.key, render(RST, EMPTY, header.message_id))]

    def _begin(self, line: Line[K], message: Message, now: float) -> Effects[K]:
        is_confirmable = message.type == CON
        exchange = self._memory.open(line, message.message_id, is_confirmable=is_confirmable, token=message.token)
        if exchange is None:
            return [Send(line.key, self._render_busy(line, message))]
        self.unanswered += 1
        asked = read_options(message.options)
        if isinstance(asked, Answer):
            if asked.code == BAD_OPTION and not is_confirmable:  # 5.4.1: rejected, not answered
                return self._reset(exchange, now)
            return self.answer(exchange, asked, now)
        body = self._body(line, message, asked, now)
        if isinstance(body, Answer):
            return self.answer(exchange, body, now)
        exchange.block1 = asked.block1
        request = Request(
            exchange, message.code, is_confirmable, asked.path, asked.query, asked.content_format, asked.elective, body
        )
        if not is_confirmable:
            return [request]
        if self._limits.ack_delay_s == 0:
            return [self._acknowledge(exchange), request]
        self._unacknowledged.add(exchange, now)
        return [request]

    def _body(self, line: Line[K], message: Message, asked: Asked, now: float) -> bytes | Answer:
        if asked.block1 is not None:
            return self._uploads.take(line, message.code, message.options, asked.block1, message.payload, now)
        if len(message.payload) > self._limits.payload_max_bytes:
            return self._uploads.too_large()
        return message.payload

    def _render_busy(self, line: Line[K], message: Message) -> bytes:
        """Said without remembering it: the request, sent again, may find room."""
        self._answered(BUSY.code)
        if message.type == CON:
            return render(ACK, BUSY.code, message.message_id, message.token, BUSY.options)
        return render(NON, BUSY.code, self._draw_message_id(line), message.token, BUSY.options)

    def _reset(self, exchange: Exchange[K], now: float) -> Effects[K]:
        self._rejections.add()
        exchange.is_answered = True
        self.unanswered -= 1
        self._memory.settle(exchange, now)
        return [Send(exchange.line.key, render(RST, EMPTY, exchange.message_id))]

    def _acknowledge(self, exchange: Exchange[K]) -> Send[K]:
        """Say that the request is here and that its answer will come on its own (5.2.2)."""
        exchange.is_acknowledged = True
        exchange.replay = render(ACK, EMPTY, exchange.message_id)
        return Send(exchange.line.key, exchange.replay)

    def _begin_separate(self, exchange: Exchange[K], answer: Answer, now: float) -> Effects[K]:
        line = exchange.line
        message_id = self._draw_message_id(line)
        datagram = render(CON, answer.code, message_id, exchange.token, answer.options, answer.payload)
        spread = 1 + self._draw() * (self._limits.ack_random_factor - 1)
        separate = Separate(
            exchange, message_id, datagram, self._limits.ack_timeout_s * spread, self._limits.retransmit_max
        )
        line.sent[message_id] = separate
        self._separate.set(separate, now + separate.timeout_s)
        return [Send(line.key, datagram)]

    def _end_separate(self, line: Line[K], message_id: int, now: float) -> None:
        """Acknowledged, refused, or given up: nothing is sent again."""
        separate = line.sent.pop(message_id, None)
        if separate is not None:
            self._separate.discard(separate)
            self._memory.settle(separate.exchange, now)

    def _draw_message_id(self, line: Line[K]) -> int:
        """The next of our own; never one whose message may still be sent again."""
        while True:
            message_id = line.next_message_id
            line.next_message_id = (message_id + 1) & 0xFFFF
            if message_id not in line.sent:
                return message_id
