"""What is known of a body before anybody parses it."""

import pytest

from kernel.errors import TuhonoError
from management.bodies import DEPTH_MAX, check_body
from management.errors import BodyMissing, BodyTooDeep, ContentTypeWrong

JSON = "application/json"


def refusal(body: bytes, content_type: str | None = JSON, *, wanted: str = JSON, required: bool = True) -> object:
    try:
        check_body(body, content_type=content_type, wanted=wanted, required=required)
    except TuhonoError as error:
        return type(error)
    return None


def test_an_empty_body_needs_no_content_type_and_tolerates_any() -> None:
    for content_type in (None, JSON, "text/html"):
        assert refusal(b"", content_type, required=False) is None
        assert refusal(b"", content_type) is BodyMissing


@pytest.mark.parametrize("content_type", [JSON, "application/json; charset=utf-8", "Application/JSON", JSON + " ;x"])
def test_json_is_json_however_it_is_written(content_type: str) -> None:
    assert refusal(b"{}", content_type) is None


@pytest.mark.parametrize(
    "content_type", [None, "", "text/plain", "application/x-www-form-urlencoded", "application/jsonx", "json"]
)
def test_any_other_content_type_is_wrong(content_type: str | None) -> None:
    assert refusal(b"{}", content_type) is ContentTypeWrong


def test_a_route_may_want_another_content_type() -> None:
    assert refusal(b"{}\n{}", "application/x-ndjson", wanted="application/x-ndjson") is None
    assert refusal(b"{}\n{}", JSON, wanted="application/x-ndjson") is ContentTypeWrong


@pytest.mark.parametrize(
    ("body", "refused"),
    [
        (b"[" * DEPTH_MAX + b"]" * DEPTH_MAX, False),
        (b"[" * (DEPTH_MAX + 1), True),
        (b'{"a":' * (DEPTH_MAX + 1), True),
        (b"[{" * DEPTH_MAX, True),
        (b"[" + b"[]," * 500 + b"[]]", False),
        (b'{"a": "' + b"[" * 500 + b'"}', False),
        (b'{"a": "\\"' + b"[" * 500 + b'"}', False),
        (b'{"a": "\\\\"' + b"[" * 500, True),
        (b'"' + b"[" * 500, False),  # no JSON, which the parser will say
    ],
)
def test_depth_counts_brackets_outside_of_strings(body: bytes, refused: bool) -> None:
    assert refusal(body) is (BodyTooDeep if refused else None)


def test_a_body_of_quotes_is_looked_at_once() -> None:
    body = b"[" * 65 + b']"' * 65 + b'"' + b'\\"' * 8_000_000  # takes hours where each quote begins anew
    assert refusal(body) is BodyTooDeep
    assert refusal(b"[]" * 65 + body[195:]) is None
