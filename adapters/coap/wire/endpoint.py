"""CoAP's message layer for all peers of a server: what arrives becomes a request or an answer.

Owns acknowledgement, repetition, separate answers and their retransmission (RFC 7252 section 4), and turns
block-wise bodies into whole ones. Leaves to the caller what a request means and when it is answered:
an exchange given out is answered once, by `answer`, at once or much later.

A request seen before is never given out again; it gets what its exchange has to say by now, see
exchanges.py. Nothing here reads a clock or draws chance: `now` and `draw` come from outside.

What is no CoAP message of version 1 is ignored. A confirmable message that cannot be processed gets RST, a
non-confirmable one silence (4.2, 4.3); so does an empty confirmable one, which is how CoAP is pinged.
"""

from collections.abc import Callable, Hashable, Sequence
from typing import Generic, NamedTuple, TypeVar

from adapters.coap.wire.deadlines import Agenda, EqualDelays
from adapters.coap.wire.exchanges import (
    ACKNOWLEDGED,
    ANSWERED,
    Exchange,
    ExchangeMemory,
    Line,
    Separate,
    WireLimits,
)
from adapters.coap.wire.heads import UNREAD, Head, Heads
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
from adapters.coap.wire.request import Answer
from adapters.coap.wire.uploads import Uploads
from kernel.meters import Count

K = TypeVar("K", bound=Hashable)
BUSY = Answer(SERVICE_UNAVAILABLE, ((MAX_AGE, uint(2)),))  # the peer has as many requests open as it may


class Send(NamedTuple, Generic[K]):
    """One datagram for one peer."""

    key: K
    datagram: bytes


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
        self._payload_max_bytes = limits.payload_max_bytes
        self._ack_delay_s = limits.ack_delay_s
        self._draw = draw
        self._answered = answered
        self._repetitions = repetitions
        self._rejections = rejections
        self._heads = Heads()
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

    def open(self, key: K) -> Line[K]:
        """Begin to listen to a peer."""
        return Line(key, int(self._draw() * 0x10000))

    def close(self, line: Line[K]) -> None:
        """Forget a peer with all it left undone. Answers to its requests come to nothing. Safe to repeat."""
        if not line.is_open:
            return
        line.is_open = False
        for exchange in line.exchanges.values():
            if exchange.stage < ANSWERED:
                self.unanswered -= 1
                self._unacknowledged.pop(exchange, None)
        for separate in line.sent.values():
            self._separate.discard(separate)
        self._memory.forget_all_of(line)
        self._uploads.forget_all_of(line)

    def receive(self, line: Line[K], datagram: bytes, now: float) -> Exchange[K] | bytes | None:
        """Whatever a peer sent: a request seen for the first time, its body complete, or what is to be sent back.

        A request that has a `replay` already gets that sent before anything else. Never raises; a peer that was
        closed is ignored.
        """
        head = line.head
        if (
            head is not None
            and datagram[:2] == line.lead
            and datagram.startswith(head.options, line.start)
            and (len(datagram) > line.end) is head.has_payload
            and len(datagram) - line.end <= self._payload_max_bytes
            and line.is_open
        ):  # it says what the peer's last one said: nothing of it need be read again
            message_id = datagram[2] << 8 | datagram[3]
            known = line.exchanges.get(message_id)
            if known is not None:
                return self._repeat(known)
            token, payload = datagram[HEADER_BYTES : line.start], datagram[line.end :]
            exchange = self._memory.open(line, message_id, head.is_confirmable, token, head, payload)
            if exchange is None:
                return self._render_busy(line, message_id, head.is_confirmable, token)
            self.unanswered += 1
            return self._give_out(exchange, now)
        header = read_header(datagram)
        if header is None or not line.is_open:
            return None
        if header.type == ACK or header.type == RST:
            if header.code == EMPTY and len(datagram) == HEADER_BYTES:
                self._end_separate(line, header.message_id, now)
            return None
        if header.code == EMPTY and header.type == CON and len(datagram) == HEADER_BYTES:  # a ping
            return render(RST, EMPTY, header.message_id)
        if not is_request(header.code):
            return self._reject(header)
        known = line.exchanges.get(header.message_id)
        if known is not None:
            return self._repeat(known)
        try:
            message = parse_body(header, datagram)
        except FormatFault:
            return self._reject(header)
        return self._begin(line, message, datagram, now)

    def answer(self, exchange: Exchange[K], answer: Answer, now: float) -> bytes | None:
        """Answer a request: with its ACK, or on its own where that went ahead. Only the first answer counts.

        Returns the datagram for the peer, if it is still there.
        """
        line = exchange.line
        if exchange.stage >= ANSWERED or not line.is_open:
            return None
        self.unanswered -= 1
        self._answered(answer.code)
        block1 = exchange.head.block1
        if block1 is not None:
            answer = answer.with_option(BLOCK1, block1.rendered())
        if exchange.stage == ACKNOWLEDGED:
            return self._begin_separate(exchange, answer, now)
        token = exchange.token
        if exchange.is_confirmable:
            self._unacknowledged.pop(exchange, None)
            datagram = render(ACK, answer.code, exchange.message_id, token, answer.options, answer.payload)
            exchange.replay = datagram
        else:
            datagram = render(NON, answer.code, self._draw_message_id(line), token, answer.options, answer.payload)
        self._memory.settle(exchange, now)
        return datagram

    def due(self, now: float) -> Sequence[Send[K]]:
        """Acknowledge what waits too long, send again what was not acknowledged, forget what is old."""
        sends: list[Send[K]] = []
        for exchange in self._unacknowledged.take_due(now):
            self._acknowledge(exchange)
            sends.append(Send(exchange.line.key, exchange.replay))
        for separate in self._separate.take_due(now):
            if separate.repeats_left == 0:
                self._end_separate(separate.exchange.line, separate.message_id, now)
                continue
            separate.repeats_left -= 1
            separate.timeout_s *= 2
            self._separate.set(separate, now + separate.timeout_s)
            sends.append(Send(separate.exchange.line.key, separate.datagram))
        self._memory.expire(now)
        self._uploads.expire(now)
        return sends

    def next_due(self) -> float | None:
        """When `due` has something to do next."""
        moments = (
            self._unacknowledged.next_due,
            self._separate.next_due,
            self._memory.next_due,
            self._uploads.next_due,
        )
        return min((moment for moment in moments if moment is not None), default=None)

    def _repeat(self, exchange: Exchange[K]) -> bytes | None:
        self._repetitions.add()
        return exchange.replay or None

    def _reject(self, header: Header) -> bytes | None:
        self._rejections.add()
        return render(RST, EMPTY, header.message_id) if header.type == CON else None

    def _begin(self, line: Line[K], message: Message, datagram: bytes, now: float) -> Exchange[K] | bytes | None:
        """A request that does not say what the peer's last one said."""
        is_confirmable = message.type == CON
        exchange = self._memory.open(line, message.message_id, is_confirmable, message.token, UNREAD, b"")
        if exchange is None:
            return self._render_busy(line, message.message_id, is_confirmable, message.token)
        self.unanswered += 1
        start, end = HEADER_BYTES + len(message.token), len(datagram) - len(message.payload)
        head = self._heads.read(message, datagram[start:end])
        if isinstance(head, Answer):
            if head.code == BAD_OPTION and not is_confirmable:  # 5.4.1: rejected, not answered
                return self._reset(exchange, now)
            return self.answer(exchange, head, now)
        body = self._body(line, message, head, now)
        if isinstance(body, Answer):
            return self.answer(exchange, body, now)
        exchange.head, exchange.payload = head, body
        if head.is_lasting:
            line.head, line.lead, line.start, line.end = head, datagram[:2], start, end
        return self._give_out(exchange, now)

    def _give_out(self, exchange: Exchange[K], now: float) -> Exchange[K]:
        if exchange.is_confirmable:
            if self._ack_delay_s == 0:
                self._acknowledge(exchange)
            else:
                self._unacknowledged[exchange] = now + self._ack_delay_s
        return exchange

    def _body(self, line: Line[K], message: Message, head: Head, now: float) -> bytes | Answer:
        if head.block1 is not None:
            return self._uploads.take(line, message.code, message.options, head.block1, message.payload, now)
        if len(message.payload) > self._payload_max_bytes:
            return self._uploads.too_large()
        return message.payload

    def _render_busy(self, line: Line[K], message_id: int, is_confirmable: bool, token: bytes) -> bytes:
        """Said without remembering it: the request, sent again, may find room."""
        self._answered(BUSY.code)
        if is_confirmable:
            return render(ACK, BUSY.code, message_id, token, BUSY.options)
        return render(NON, BUSY.code, self._draw_message_id(line), token, BUSY.options)

    def _reset(self, exchange: Exchange[K], now: float) -> bytes:
        self._rejections.add()
        self.unanswered -= 1
        self._memory.settle(exchange, now)
        return render(RST, EMPTY, exchange.message_id)

    def _acknowledge(self, exchange: Exchange[K]) -> None:
        """Say that the request is here and that its answer will come on its own (5.2.2)."""
        exchange.stage = ACKNOWLEDGED
        exchange.replay = render(ACK, EMPTY, exchange.message_id)

    def _begin_separate(self, exchange: Exchange[K], answer: Answer, now: float) -> bytes:
        line = exchange.line
        message_id = self._draw_message_id(line)
        exchange.stage, exchange.head, exchange.payload = ANSWERED, UNREAD, b""
        datagram = render(CON, answer.code, message_id, exchange.token, answer.options, answer.payload)
        spread = 1 + self._draw() * (self._limits.ack_random_factor - 1)
        separate = Separate(
            exchange, message_id, datagram, self._limits.ack_timeout_s * spread, self._limits.retransmit_max
        )
        line.sent[message_id] = separate
        self._separate.set(separate, now + separate.timeout_s)
        return datagram

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
