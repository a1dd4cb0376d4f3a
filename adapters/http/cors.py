"""What a browser must be told before and after it calls, hono-adapters 1.6. Nobody authenticates for it."""

from adapters.http.wire.answers import Answer
from messaging.message import MessageKind

_METHODS = ("Access-Control-Allow-Methods", "POST, PUT")
# The spelling is the one clients compare with, letter by letter.
_ALLOWED_HEADERS = {
    MessageKind.TELEMETRY: ("Access-Control-Allow-Headers", "QoS-Level, hono-ttd, authorization, content-type"),
    MessageKind.EVENT: ("Access-Control-Allow-Headers", "hono-ttd, authorization, content-type"),
}
_EXPOSED = ("Access-Control-Expose-Headers", "hono-command, hono-cmd-req-id")
ANY_ORIGIN = "*"


class Cors:
    """Answers on behalf of the one origin that may call, or of any."""

    def __init__(self, *, allowed_origin: str) -> None:
        self._allowed_origin = allowed_origin
        self._origin: tuple[tuple[str, str], ...] = (("Access-Control-Allow-Origin", allowed_origin),)
        self._vary: tuple[tuple[str, str], ...] = ()
        if allowed_origin != ANY_ORIGIN:
            self._vary = (("Vary", "Origin"),)

    def allows(self, origin: str) -> bool:
        return self._allowed_origin in (ANY_ORIGIN, origin)

    def preflight(self, kind: MessageKind, origin: str) -> Answer:
        """204 in any case; without the permission where the origin has none."""
        headers = self._vary
        if self.allows(origin):
            headers += (*self._origin, _METHODS, _ALLOWED_HEADERS[kind])
        return Answer(status=204, headers=headers)

    def dress(self, answer: Answer, origin: str) -> Answer:
        """The same answer with what lets a page of that origin read it."""
        headers = self._vary
        if self.allows(origin):
            headers += (*self._origin, _EXPOSED)
        return answer.with_headers(*headers)
