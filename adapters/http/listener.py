"""What a connection needs from the adapter it belongs to."""

from typing import TYPE_CHECKING, Protocol

from adapters.http.cors import Cors
from adapters.http.refusals import Refusals
from adapters.http.requests import Request, Requests
from adapters.http.wire.answers import AnswerEncoder
from adapters.http.wire.reader import RequestReader
from adapters.sessions.session import Session
from adapters.sessions.uplink import Uplink
from kernel.clock import Clock

if TYPE_CHECKING:
    from adapters.http.shell import HttpConnection


class Listener(Protocol):
    """Shared by all connections of an adapter. Used on the event loop only."""

    uplink: Uplink
    refusals: Refusals
    cors: Cors
    requests: Requests
    encoder: AnswerEncoder
    clock: Clock
    pipelined_max: int
    admission_deadline_s: float
    is_draining: bool

    def opened(self, connection: "HttpConnection") -> RequestReader[Request]: ...

    def admit(self, connection: "HttpConnection", request: Request | None) -> None:
        """Decide who sends that request; `admitted` or `refused` is called later, never before this returns."""
        ...

    def joined(self, session: Session) -> None: ...

    def left(self, session: Session) -> None:
        """Another one took its place on the same connection."""
        ...

    def flush_soon(self, connection: "HttpConnection") -> None:
        """Call `flush` once the callbacks now running have run."""
        ...

    def answered(self, status: int) -> None: ...

    def gone(self, connection: "HttpConnection", session: Session | None) -> None: ...
