"""Requests that were taken, and their answers in the order of the requests."""

from collections.abc import Callable
from typing import Protocol

from adapters.http.wire.answers import Answer, AnswerEncoder
from adapters.http.wire.head import RequestHead
from kernel.errors import TuhonoError


class Asker(Protocol):
    """Whoever owes the answer to a peer."""

    def concluded(self, exchange: "Exchange", error: TuhonoError | None) -> None: ...


class Exchange:
    """One request and its answer, None until its outcome is known.

    A plain class: made once a request, where a frozen dataclass costs 1 us more.
    """

    __slots__ = ("_asker", "answer", "head")

    def __init__(self, asker: Asker, head: RequestHead | None) -> None:
        self._asker = asker
        self.head = head  # None where the fault came before its head was complete
        self.answer: Answer | None = None

    def done(self, error: TuhonoError | None) -> None:
        """What the uplink calls with the outcome."""
        self._asker.concluded(self, error)


class AnswerQueue:
    """The exchanges of one connection. Whoever adds to it keeps it short."""

    __slots__ = ("_undecided", "exchanges")

    def __init__(self) -> None:
        self.exchanges: list[Exchange] = []  # oldest first; for reading only
        self._undecided = 0

    @property
    def is_decided(self) -> bool:
        """Whether everything in the queue can be sent."""
        return self._undecided == 0

    def add(self, exchange: Exchange) -> None:
        self.exchanges.append(exchange)
        self._undecided += 1

    def decide(self, exchange: Exchange, answer: Answer) -> None:
        exchange.answer = answer
        self._undecided -= 1

    def take_ready(self, encoder: AnswerEncoder, *, last_closes: bool, tell: Callable[[int], None]) -> bytes:
        """Remove and render the answers that no undecided exchange stands before; `tell` each one's status.

        With `last_closes` the answer that empties the queue announces the end of the connection.
        """
        rendered: list[bytes] = []
        waiting = len(self.exchanges)
        for exchange in self.exchanges:
            answer, head = exchange.answer, exchange.head
            if answer is None:
                break
            waiting -= 1
            closes = last_closes and waiting == 0
            if head is None:
                rendered.append(encoder.encode(answer, closes=closes))
            else:
                rendered.append(
                    encoder.encode(
                        answer, closes=closes, is_http_1_0=head.is_http_1_0, omits_body=head.method == "HEAD"
                    )
                )
            tell(answer.status)
        del self.exchanges[: len(rendered)]
        return rendered[0] if len(rendered) == 1 else b"".join(rendered)
