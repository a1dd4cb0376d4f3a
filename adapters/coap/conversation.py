"""One association of the CoAP adapter and what is known of its peer."""

from dataclasses import dataclass, field
from typing import Protocol

from adapters.admission.admission import Admitted
from adapters.coap.wire.endpoint import Request
from adapters.edge.ports import Association
from adapters.sessions.session import Session
from kernel.errors import TuhonoError

ADAPTER = "hono-coap"


class Sessions(Protocol):
    """What this adapter needs of the table of sessions."""

    def add(self, session: Session) -> None: ...

    def remove(self, session: Session) -> None: ...


@dataclass(slots=True, eq=False)
class Conversation:
    """One association and what is known of its peer. The key of its line in the message layer."""

    association: Association
    session: Session | None = None
    refusal: TuhonoError | None = None
    refused_until: float = 0.0
    is_being_admitted: bool = False
    is_closed: bool = False
    waiting: "list[Request[Conversation]]" = field(default_factory=list)

    def take_waiting(self) -> "list[Request[Conversation]]":
        """The requests that waited for the decision; they wait no longer."""
        requests, self.waiting = self.waiting, []
        return requests


def session_of(association: Association, admitted: Admitted | None) -> Session:
    """The session of a device, or an anonymous one."""
    return Session(
        adapter=ADAPTER,
        tenant_id=admitted.tenant_id if admitted else None,
        device_id=admitted.device_id if admitted else None,
        anchor_id=admitted.anchor_id if admitted else None,
        auth_id=admitted.auth_id if admitted else None,
        remote=str(association.peer.address),
        end=lambda _: association.close(),  # there is no word CoAP could say unasked
    )
