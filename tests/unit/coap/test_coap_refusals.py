"""Which code each kind of error becomes."""

import pytest

from adapters.coap.errors import AdapterBusy, EventNotConfirmable
from adapters.coap.refusals import answer_to
from adapters.coap.wire.numbers import CONTENT_FORMAT, MAX_AGE, spelled
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
from registry.errors import DeviceDisabled
from tenant.errors import AdapterDisabled


@pytest.mark.parametrize(
    ("refusal", "code", "text"),
    [
        (Malformed(), "4.00", "malformed request"),
        (EventNotConfirmable(), "4.00", "event endpoint supports confirmable request messages only"),
        (Refused(), "4.00", "refused"),
        (Unauthenticated(), "4.01", "bad credentials"),
        (Forbidden(), "4.03", "not authorized"),
        (AdapterDisabled(), "4.03", "adapter is disabled"),
        (NotFound(), "4.04", "not found"),
        (DeviceDisabled(), "4.04", "device is disabled or not registered"),
        (Conflict(), "4.09", "conflict"),
        (VersionMismatch(), "4.12", "resource version mismatch"),
        (TooLarge(), "4.13", "request body too large"),
        (LimitExceeded(), "4.29", "limit exceeded"),
        (TuhonoError("where the bodies are buried"), "5.00", "Internal server error"),
    ],
)
def test_a_refusal_becomes_its_kinds_code_with_the_words_a_peer_may_read(
    refusal: TuhonoError, code: str, text: str
) -> None:
    answer = answer_to(refusal)
    assert spelled(answer.code) == code
    assert answer.payload == text.encode()
    assert answer.options == ((CONTENT_FORMAT, b""),)


@pytest.mark.parametrize("refusal", [Unavailable(), AdapterBusy()])
def test_what_is_unavailable_says_when_to_come_back(refusal: TuhonoError) -> None:
    answer = answer_to(refusal)
    assert spelled(answer.code) == "5.03"
    assert answer.options == ((CONTENT_FORMAT, b""), (MAX_AGE, b"\x02"))
    assert answer.payload == b"Temporarily unavailable"


def test_a_more_precise_word_for_being_unavailable_is_kept() -> None:
    class NoConsumer(Unavailable):
        code = "test-no-consumer"
        told = "no consumer available"

    assert answer_to(NoConsumer()).payload == b"no consumer available"
