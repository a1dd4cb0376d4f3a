"""What a connection asks its shell to do for a packet. Two of them are packets themselves.

A `Subscribe` or `Unsubscribe` is answered by the shell with one code a filter; all that is needed to
know which is outside the protocol.
"""

from dataclasses import dataclass
from typing import Final

from adapters.mqtt.wire.packets import Connect, Publish, Subscribe, Unsubscribe

PENDING: Final = -1
UNANSWERED: Final = -2  # settled, but the client is not told


@dataclass(frozen=True, slots=True)
class Admit:
    """Find out who this is; then call `accept` or `refuse`. No packet is taken before that."""

    connect: Connect


class Delivery:
    """Hand these messages on; then call `settle`, once for all of them. At the same time their place in the order
    of PUBACKs."""

    __slots__ = ("behind", "count", "outcome", "publish", "says")

    def __init__(self, publish: Publish) -> None:
        self.publish = publish
        self.count = len(publish.payloads)  # the list itself goes to whoever keeps the messages
        self.outcome: int = PENDING  # or UNANSWERED, or the reason code of the PUBACKs
        self.says: str | None = None
        self.behind: Delivery | None = None  # the next of the connection with QoS 1


@dataclass(frozen=True, slots=True)
class Send:
    """Write these bytes."""

    data: bytes


@dataclass(frozen=True, slots=True)
class Goodbye:
    """The client is done; close."""

    reason: int


Effect = Admit | Delivery | Send | Subscribe | Unsubscribe | Goodbye
