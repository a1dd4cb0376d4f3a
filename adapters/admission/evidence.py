"""What a peer shows to prove who it is. One class per way; certificates are the first."""

from dataclasses import dataclass

from adapters.edge.peer import Peer


@dataclass(slots=True, kw_only=True, eq=False)
class Evidence:
    """Everything admission may look at. `client_id` is MQTT's; others leave it None. Nobody changes it.

    Passwords, tokens and pre-shared keys join as further members.
    """

    adapter: str
    peer: Peer
    client_id: str | None = None
