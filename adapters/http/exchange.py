"""One request that was taken, and its answer."""

from typing import Protocol

from adapters.http.requests import Request
from adapters.http.wire.answers import Answer
from kernel.errors import TuhonoError


class Asker(Protocol):
    """Whoever owes the answer to a peer."""

    def concluded(self, exchange: "Exchange", error: TuhonoError | None) -> None: ...


class Exchange:
    """One request and its answer, None until its outcome is known.

    A plain class: made once a request, where a frozen dataclass costs 1 us more.
    """

    __slots__ = ("_asker", "answer", "request")

    def __init__(self, asker: Asker, request: Request | None) -> None:
        self._asker = asker
        self.request = request  # None where the fault came before its head was complete
        self.answer: Answer | None = None

    def done(self, error: TuhonoError | None) -> None:
        """What the uplink calls with the outcome."""
        self._asker.concluded(self, error)
