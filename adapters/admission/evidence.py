"""What a peer shows to prove who it is. One class per way; certificates are the first."""

from dataclasses import dataclass, field

from adapters.edge.peer import Peer


@dataclass(frozen=True, slots=True, kw_only=True)
class Login:
    """User name and password, as an MQTT CONNECT or a Basic Authorization header brought them."""

    user_name: str
    password: bytes = field(default=b"", repr=False)


@dataclass(slots=True, kw_only=True, eq=False)
class Evidence:
    """Everything admission may look at. `client_id` is MQTT's; others leave it None. Nobody changes it.

    Tokens and pre-shared keys join as further members.
    """

    adapter: str
    peer: Peer
    client_id: str | None = None
    login: Login | None = None
