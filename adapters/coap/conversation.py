"""One association of the CoAP adapter and what is known of its peer."""

from dataclasses import dataclass, field

from adapters.coap.wire.exchanges import Exchange
from adapters.edge.ports import Association
from adapters.sessions.session import Session
from kernel.errors import TuhonoError

ADAPTER = "hono-coap"

Request = Exchange["Conversation"]  # as the message layer gives it out


@dataclass(slots=True, eq=False)
class Conversation:
    """One association and what is known of its peer. The key of its line in the message layer."""

    association: Association
    session: Session | None = None
    refusal: TuhonoError | None = None
    refused_until: float = 0.0
    is_being_admitted: bool = False
    is_closed: bool = False
    waiting: list[Request] = field(default_factory=list)

    def take_waiting(self) -> list[Request]:
        """The requests that waited for the decision; they wait no longer."""
        requests, self.waiting = self.waiting, []
        return requests
