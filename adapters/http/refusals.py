"""The one table from a kind of error to the status and body a device reads, hono-adapters 1.3."""

import json
from typing import Final

from adapters.http.wire.answers import Answer
from adapters.http.wire.faults import ExpectationUnknown, HeadTooLarge, RequestTooSlow, VersionUnsupported
from adapters.sessions.errors import ForeignTenant
from kernel.errors import (
    Conflict,
    Forbidden,
    LimitExceeded,
    Malformed,
    NotFound,
    Refused,
    TooLarge,
    TuhonoError,
    Unauthenticated,
    Unavailable,
    VersionMismatch,
)

STATUS: dict[type[TuhonoError], int] = {
    ExpectationUnknown: 417,
    HeadTooLarge: 431,
    RequestTooSlow: 408,
    VersionUnsupported: 505,
    Malformed: 400,
    Unauthenticated: 401,
    Forbidden: 403,
    NotFound: 404,
    Conflict: 409,
    VersionMismatch: 412,
    TooLarge: 413,
    LimitExceeded: 429,
    Refused: 400,
    TuhonoError: 503,  # an upload that fails through no fault of the device may be tried again
}
TOLD: dict[type[TuhonoError], str] = {ForeignTenant: "not authorized to upload data for device from other tenant"}
RETRY_AFTER_S = 2
JSON_TYPE = ("Content-Type", "application/json; charset=utf-8")

ACCEPTED: Final = Answer(status=202)
NO_ROUTE = Answer(
    status=404,
    headers=(("Content-Type", "text/html; charset=utf-8"),),
    body=b"<html><body><h1>Resource not found</h1></body></html>",
)
DEFECT = Answer(status=500, headers=(JSON_TYPE,), body=b'{"error": "Internal server error"}')


class Refusals:
    """Words refusals for one listener."""

    def __init__(self, *, realm: str) -> None:
        quoted = "".join(letter for letter in realm if " " <= letter <= "~").replace("\\", "\\\\").replace('"', '\\"')
        self._challenge = ("WWW-Authenticate", f'Basic realm="{quoted}"')
        self._retry_after = ("Retry-After", str(RETRY_AFTER_S))

    def answer(self, error: TuhonoError) -> Answer:
        """The answer to an upload that ended with `error`."""
        status = status_of(error)
        headers: tuple[tuple[str, str], ...] = (JSON_TYPE,)
        if status == 401:
            headers += (self._challenge,)
        if status == 503:
            headers += (self._retry_after,)
        return Answer(status=status, headers=headers, body=json.dumps({"error": _told(error)}).encode())


def status_of(error: TuhonoError) -> int:
    """The status of the nearest kind in the table."""
    return next(STATUS[kind] for kind in type(error).__mro__ if kind in STATUS)


def _told(error: TuhonoError) -> str:
    if not isinstance(error, Refused | Unavailable):
        return Unavailable.told
    return TOLD.get(type(error)) or error.told or "N/A"
