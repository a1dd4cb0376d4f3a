"""Which code a refusal becomes (hono-adapters 3.4), and the words that go with it.

The only table of the kind in this adapter. What is no TuhonoError is a defect: the peer reads 5.00 and
nothing of its cause.
"""

from adapters.coap.wire.message import uint
from adapters.coap.wire.numbers import (
    BAD_REQUEST,
    CONFLICT,
    FORBIDDEN,
    INTERNAL_SERVER_ERROR,
    MAX_AGE,
    NOT_FOUND,
    PRECONDITION_FAILED,
    REQUEST_ENTITY_TOO_LARGE,
    SERVICE_UNAVAILABLE,
    TOO_MANY_REQUESTS,
    UNAUTHORIZED,
)
from adapters.coap.wire.request import Answer, text_answer
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

RETRY_AFTER_S = 2  # Max-Age of 5.03
_CODES: dict[type[TuhonoError], int] = {
    TuhonoError: INTERNAL_SERVER_ERROR,
    Refused: BAD_REQUEST,
    Malformed: BAD_REQUEST,
    Unauthenticated: UNAUTHORIZED,
    Forbidden: FORBIDDEN,
    NotFound: NOT_FOUND,
    Conflict: CONFLICT,
    VersionMismatch: PRECONDITION_FAILED,
    TooLarge: REQUEST_ENTITY_TOO_LARGE,
    LimitExceeded: TOO_MANY_REQUESTS,
    Unavailable: SERVICE_UNAVAILABLE,
}
_UNAVAILABLE_TEXT = "Temporarily unavailable"  # hono-adapters 0.7, where the error says nothing more precise


def answer_to(refusal: TuhonoError) -> Answer:
    """The answer that tells a peer why not, as far as it may know."""
    code = next(_CODES[kind] for kind in type(refusal).__mro__ if kind in _CODES)
    if code != SERVICE_UNAVAILABLE:
        return text_answer(code, refusal.told)
    told = _UNAVAILABLE_TEXT if refusal.told == Unavailable.told else refusal.told
    return text_answer(code, told).with_option(MAX_AGE, uint(RETRY_AFTER_S))
