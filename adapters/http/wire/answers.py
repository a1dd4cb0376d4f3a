"""Answers, and the bytes they become. What is answered often is rendered once a second."""

from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Final

CONTINUE = b"HTTP/1.1 100 Continue\r\n\r\n"
REMEMBERED_ANSWERS_MAX: Final = 64

REASONS = {
    200: "OK",
    202: "Accepted",
    204: "No Content",
    400: "Bad Request",
    401: "Unauthorized",
    403: "Forbidden",
    404: "Not Found",
    408: "Request Timeout",
    409: "Conflict",
    412: "Precondition Failed",
    413: "Content Too Large",
    417: "Expectation Failed",
    429: "Too Many Requests",
    431: "Request Header Fields Too Large",
    500: "Internal Server Error",
    503: "Service Unavailable",
    505: "HTTP Version Not Supported",
}
_DAYS = ("Mon", "Tue", "Wed", "Thu", "Fri", "Sat", "Sun")
_MONTHS = ("Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec")


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Answer:
    """A final answer without what depends on the connection. Header values are ours: never a peer's bytes."""

    status: int
    headers: tuple[tuple[str, str], ...] = ()
    body: bytes = b""

    def with_headers(self, *headers: tuple[str, str]) -> "Answer":
        return Answer(status=self.status, headers=self.headers + headers, body=self.body)


class AnswerEncoder:
    """Renders answers with the date last told. One for all connections of a listener.

    `usual` is the answer that nearly every request has; its bytes lie ready, for a connection that is kept.
    """

    def __init__(self, now: datetime, *, usual: Answer) -> None:
        self._remembered: dict[tuple[Answer, bool, bool, bool], bytes] = {}
        self._date = ""
        self._usual = usual
        self.usual = b""
        self.set_date(now)

    def set_date(self, now: datetime) -> None:
        """Tell the wall time, aware, about once a second; RFC 9110 section 6.6.1."""
        date = imf_date(now)
        if date != self._date:
            self._date = date
            self._remembered.clear()
            self.usual = self.encode(self._usual, closes=False)

    def encode(self, answer: Answer, *, closes: bool, is_http_1_0: bool = False, omits_body: bool = False) -> bytes:
        """The bytes of an answer. `omits_body` for HEAD: the length is told, the body left out."""
        key = (answer, closes, is_http_1_0, omits_body)
        rendered = self._remembered.get(key)
        if rendered is None:
            if len(self._remembered) >= REMEMBERED_ANSWERS_MAX:
                self._remembered.clear()
            rendered = self._remembered[key] = self._render(answer, closes, is_http_1_0, omits_body)
        return rendered

    def _render(self, answer: Answer, closes: bool, is_http_1_0: bool, omits_body: bool) -> bytes:
        lines = [f"HTTP/1.1 {answer.status} {REASONS[answer.status]}", f"Date: {self._date}"]
        lines += [f"{name}: {value}" for name, value in answer.headers]
        if answer.status != 204:  # RFC 9110 section 8.6
            lines.append(f"Content-Length: {len(answer.body)}")
        if closes:
            lines.append("Connection: close")
        elif is_http_1_0:
            lines.append("Connection: keep-alive")
        head = "\r\n".join(lines).encode("latin-1") + b"\r\n\r\n"
        return head if omits_body else head + answer.body


def imf_date(now: datetime) -> str:
    """Spell a moment as RFC 9110 section 5.6.7 does, whatever the locale."""
    moment = now.astimezone(UTC)
    return (
        f"{_DAYS[moment.weekday()]}, {moment.day:02} {_MONTHS[moment.month - 1]} {moment.year:04} {moment:%H:%M:%S} GMT"
    )
