"""What is remembered of requests, so that one sent twice is acted on once (RFC 7252 4.5).

Owns the memory and its bounds: per peer, over all peers, and in time. An exchange whose answer is not yet
out is never forgotten to make room; where only such ones are left, a new request is turned away.
"""

from dataclasses import dataclass, field
from typing import Final, Generic, TypeVar

from adapters.coap.wire.deadlines import EqualDelays
from adapters.coap.wire.heads import UNREAD, Head

K = TypeVar("K")

# how far an exchange is
OPEN: Final = 0
ACKNOWLEDGED: Final = 1  # by an empty ACK, ahead of the answer
ANSWERED: Final = 2  # on its own, and that is sent again until the peer says that it has it
SETTLED: Final = 3  # nothing more will be sent of our own accord


@dataclass(frozen=True, slots=True, kw_only=True)
class WireLimits:
    """Every bound of the message layer, and its times in seconds."""

    payload_max_bytes: int
    exchanges_per_peer_max: int
    exchanges_max: int
    exchange_lifetime_s: float
    ack_delay_s: float
    uploads_per_peer_max: int
    uploads_max: int
    upload_lifetime_s: float
    ack_timeout_s: float = 2.0  # RFC 7252 4.8
    ack_random_factor: float = 1.5
    retransmit_max: int = 4


@dataclass(slots=True, eq=False)
class Line(Generic[K]):
    """All that is kept of one peer. `key` is whatever the caller knows it by."""

    key: K
    next_message_id: int
    exchanges: "dict[int, Exchange[K]]" = field(default_factory=dict)  # by the peer's message id
    sent: "dict[int, Separate[K]]" = field(default_factory=dict)  # by our message id, not yet acknowledged
    is_open: bool = True
    head: Head | None = None  # of the last request, and how one that says the same begins:
    lead: bytes = b""  # version, type and token length; code
    start: int = 0  # of the options
    end: int = 0


@dataclass(slots=True, eq=False)
class Exchange(Generic[K]):
    """A request and what became of it.

    `replay` is what its repetition gets: nothing while there is nothing to say, the empty ACK if one went
    ahead, else the answer. Only these bytes are kept once the answer is out.
    """

    line: Line[K]
    message_id: int
    is_confirmable: bool
    token: bytes
    head: Head = UNREAD
    payload: bytes = b""
    stage: int = OPEN
    replay: bytes = b""


@dataclass(slots=True, eq=False)
class Separate(Generic[K]):
    """A confirmable answer on its way, sent again until the peer acknowledges it."""

    exchange: Exchange[K]
    message_id: int
    datagram: bytes
    timeout_s: float
    repeats_left: int


class ExchangeMemory(Generic[K]):
    """Exchanges of every peer. Not for use from several threads."""

    def __init__(self, limits: WireLimits) -> None:
        self._per_peer_max = limits.exchanges_per_peer_max
        self._max = limits.exchanges_max
        self._lifetime_s = limits.exchange_lifetime_s
        self._settled: EqualDelays[Exchange[K]] = EqualDelays(delay_s=limits.exchange_lifetime_s)
        self.unsettled = 0

    def __len__(self) -> int:
        return len(self._settled) + self.unsettled

    @property
    def next_due(self) -> float | None:
        return self._settled.next_due

    def open(
        self, line: Line[K], message_id: int, is_confirmable: bool, token: bytes, head: Head, payload: bytes
    ) -> Exchange[K] | None:
        """A new exchange, or None where no room can be made for one."""
        exchanges, settled = line.exchanges, self._settled
        if len(exchanges) >= self._per_peer_max and not self._forget_one_of(line):
            return None
        if len(settled) + self.unsettled >= self._max:
            if not settled:
                return None
            self._drop(settled.take_oldest())
        exchange = exchanges[message_id] = Exchange(line, message_id, is_confirmable, token, head, payload)
        self.unsettled += 1
        return exchange

    def settle(self, exchange: Exchange[K], now: float) -> None:
        """From here on the exchange lives for its lifetime, or until its room is needed."""
        exchange.stage = SETTLED
        exchange.head = UNREAD
        exchange.token = exchange.payload = b""
        self.unsettled -= 1
        self._settled[exchange] = now + self._lifetime_s

    def expire(self, now: float) -> None:
        for exchange in self._settled.take_due(now):
            self._drop(exchange)

    def forget_all_of(self, line: Line[K]) -> None:
        for exchange in line.exchanges.values():
            if exchange.stage == SETTLED:
                self._settled.pop(exchange, None)
            else:
                self.unsettled -= 1
        line.exchanges.clear()

    def _forget_one_of(self, line: Line[K]) -> bool:
        for exchange in line.exchanges.values():
            if exchange.stage == SETTLED:
                self._settled.pop(exchange, None)
                self._drop(exchange)
                return True
        return False

    def _drop(self, exchange: Exchange[K]) -> None:
        del exchange.line.exchanges[exchange.message_id]
