"""How a device reads a refusal."""

import json

import pytest

from adapters.http.errors import QosLevelUnsupported
from adapters.http.refusals import Refusals
from adapters.http.wire.faults import BodyTooLarge, HeadTooLarge, RequestTooSlow
from adapters.sessions.errors import ContentTypeMismatch, ForeignTenant
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
from messaging.errors import NorthboundUnavailable
from registry.errors import DeviceDisabled
from tenant.errors import UntrustedIssuer


class Nameless(Refused):
    """A fact without words."""

    code = "nameless"
    told = ""


@pytest.mark.parametrize(
    ("error", "status", "told"),
    [
        (Malformed("x"), 400, "malformed request"),
        (QosLevelUnsupported("x"), 400, "unsupported QoS-Level header value"),
        (ContentTypeMismatch('a"b'), 400, 'content type [a"b] does not match payload'),
        (Unauthenticated("x"), 401, "bad credentials"),
        (UntrustedIssuer("x"), 401, "bad credentials"),
        (Forbidden("x"), 403, "not authorized"),
        (ForeignTenant("x"), 403, "not authorized to upload data for device from other tenant"),
        (NotFound("x"), 404, "not found"),
        (DeviceDisabled("x"), 404, "device is disabled or not registered"),
        (RequestTooSlow("x"), 408, "request timeout"),
        (Conflict("x"), 409, "conflict"),
        (VersionMismatch("x"), 412, "resource version mismatch"),
        (TooLarge("x"), 413, "request body too large"),
        (BodyTooLarge("x"), 413, "request body too large"),
        (LimitExceeded("x"), 429, "limit exceeded"),
        (HeadTooLarge("x"), 431, "request header fields too large"),
        (Refused("x"), 400, "refused"),
        (Nameless("x"), 400, "N/A"),
        (Unavailable("x"), 503, "temporarily unavailable"),
        (NorthboundUnavailable("x"), 503, "temporarily unavailable"),
        (TuhonoError("secret detail"), 503, "temporarily unavailable"),
    ],
)
def test_each_kind_of_error_has_its_status_and_says_no_more_than_it_may(
    error: TuhonoError, status: int, told: str
) -> None:
    answer = Refusals(realm="Hono").answer(error)
    assert answer.status == status
    assert json.loads(answer.body) == {"error": told}
    assert dict(answer.headers)["Content-Type"] == "application/json; charset=utf-8"


def test_who_could_not_prove_anything_is_told_how_to() -> None:
    answer = Refusals(realm='A "B" \\ \r\nX: y').answer(Unauthenticated("x"))
    assert dict(answer.headers)["WWW-Authenticate"] == 'Basic realm="A \\"B\\" \\\\ X: y"'
    assert "WWW-Authenticate" not in dict(Refusals(realm="Hono").answer(Forbidden("x")).headers)


def test_what_may_work_later_is_worth_another_try_in_two_seconds() -> None:
    assert dict(Refusals(realm="Hono").answer(Unavailable("x")).headers)["Retry-After"] == "2"
    assert "Retry-After" not in dict(Refusals(realm="Hono").answer(LimitExceeded("x")).headers)
