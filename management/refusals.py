"""From an error to the answer an operator reads: one status a kind, and the error's own words.

A caller may read the message, which names the member and the rule; somebody unproven reads `told` alone.
"""

from typing import Any

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
from kernel.exchange import Reply
from management.errors import BodyTooSlow, ExpectationUnknown, MethodUnknown

MESSAGE_MAX_CHARS = 2000
RETRY_AFTER_S = 1  # where nothing closer is known

STATUSES: tuple[tuple[type[TuhonoError], int], ...] = (
    (MethodUnknown, 405),
    (BodyTooSlow, 408),
    (ExpectationUnknown, 417),
    (Malformed, 400),
    (Unauthenticated, 401),
    (Forbidden, 403),
    (NotFound, 404),
    (Conflict, 409),
    (VersionMismatch, 412),
    (TooLarge, 413),
    (LimitExceeded, 429),
    (Refused, 400),
    (Unavailable, 503),
)


def status_of(error: TuhonoError) -> int:
    """500 for an error of no kind that an edge may tell."""
    return next((status for kind, status in STATUSES if isinstance(error, kind)), 500)


def reply_of(error: TuhonoError) -> Reply:
    """The answer. Says nothing of an error that is nobody's business."""
    status = status_of(error)
    headers: dict[str, str] = {}
    if status in {429, 503}:
        headers["Retry-After"] = str(max(1, round(getattr(error, "retry_after_s", RETRY_AFTER_S))))
    if isinstance(error, MethodUnknown):
        headers["Allow"] = ", ".join(error.allowed)
    if status == 500:
        return defect_reply()
    return Reply(status=status, body={**error.details, **document(_words(error, status), error.code)}, headers=headers)


def defect_reply() -> Reply:
    """What a caller is told of a defect of ours."""
    return Reply(status=500, body=document(TuhonoError.told, TuhonoError.code))


def document(says: str, code: str) -> dict[str, Any]:
    """The body of every refusal."""
    return {"error": says, "code": code}


def _words(error: TuhonoError, status: int) -> str:
    said = error.told if status == 401 else str(error) or error.told
    said = said.encode(errors="backslashreplace").decode()
    return said if len(said) <= MESSAGE_MAX_CHARS else said[:MESSAGE_MAX_CHARS] + "…"
