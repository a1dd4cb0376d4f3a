"""JSON, times and Base64 of the management API: read strictly, written one way, refused with member and rule."""

from datetime import UTC, datetime
from typing import Annotated, Any, Literal

import msgspec
import pytest
from msgspec import Meta

from dialects.hono.shapes.values import (
    BodyInvalid,
    base64_text,
    decode,
    der_of,
    moment_of,
    moment_text,
    parse_json,
)


class Inner(msgspec.Struct, rename="kebab", forbid_unknown_fields=True):
    at_least: Annotated[int, Meta(ge=-1)] = 1
    mode: Literal["a", "b"] | msgspec.UnsetType = msgspec.UNSET
    name: Annotated[str, Meta(min_length=1, max_length=3)] = "a"
    modes: dict[str, Literal["x"]] = {}
    ratio: float = 0.5


class Outer(msgspec.Struct, rename="kebab", forbid_unknown_fields=True):
    kind: str
    list_of: list[Inner] = []
    one: Inner | None = None
    flag: bool = False
    ext: dict[str, Any] = {}


@pytest.mark.parametrize(
    ("body", "says"),
    [
        ("", "body: is not JSON: expecting value at line 1, column 1"),
        ("null", "body: must be an object, not null"),
        ("[]", "body: must be an object, not an array"),
        ("{}", "kind: is required"),
        ('{"kind":1}', "kind: must be a string, not an integer"),
        ('{"kind":"k","flag":"true"}', "flag: must be a boolean, not a string"),
        ('{"kind":"k","flag":null}', "flag: must be a boolean, not null"),
        ('{"kind":"k","other":1}', "other: there is no such member here"),
        ('{"kind":"k","list-of":[{},{"other":1}]}', "list-of[1].other: there is no such member here"),
        ('{"kind":"k","list-of":[{"at-least":-2}]}', "list-of[0].at-least: must be an integer of at least -1"),
        ('{"kind":"k","list-of":[{"at-least":1.0}]}', "list-of[0].at-least: must be an integer, not a number"),
        ('{"kind":"k","list-of":[{"name":""}]}', "list-of[0].name: must have at least 1 characters"),
        ('{"kind":"k","list-of":[{"mode":"c"}]}', 'list-of[0].mode: must be one of "a", "b"'),
        ('{"kind":"k","one":{"modes":{"m":"c"}}}', 'one.modes[...]: must be one of "x"'),
        ('{"kind":"k","list-of":{}}', "list-of: must be an array, not an object"),
        ('{"kind":"k","kind":"l"}', 'body: names the member "kind" twice in one object'),
        ('{"kind":"k","ext":{"a":NaN}}', "body: is not JSON: NaN is no number there"),
        ('{"kind":"k","ext":{"a":-Infinity}}', "body: is not JSON: -Infinity is no number there"),
        ('{"kind":"k","ext":{"a":1e400}}', 'body: holds a number that is too large: "1e400"'),
        ('{"kind":"k","ext":{"a":9223372036854775808}}', "body: holds an integer beyond 64 bits"),
        ('{"kind":"k","ext":{"a":' + "9" * 5000 + "}}", "body: holds an integer beyond 64 bits"),
        ('{"kind":"k","ext":{"a":["\\ud800"]}}', "ext.a[0]: holds half of a surrogate pair"),
        ('{"kind":"k","ext":{"\\udfff":1}}', "ext: holds half of a surrogate pair"),
        ('{"kind":"k","ext":{"a":"x\\u0000"}}', "ext.a: holds a NUL"),
        (
            '{"kind":"k","ext":' + '{"a":' * 64 + "1" + "}" * 64 + "}",
            "body: holds arrays and objects more than 64 deep",
        ),
        ("[" * 100_000, "body: holds arrays and objects more than 64 deep"),
        ('{"kind":"k"} {}', "body: is not JSON: extra data at line 1, column 14"),
        ("{'kind':'k'}", "body: is not JSON"),
        ("\ufeff{}", "body: is not JSON"),
    ],
)
def test_a_bad_body_is_refused_with_member_and_rule(body: str, says: str) -> None:
    with pytest.raises(BodyInvalid) as refusal:
        decode(Outer, body.encode())
    assert str(refusal.value).startswith(says)
    assert len(str(refusal.value)) < 400


def test_bytes_that_are_no_text_are_refused() -> None:
    with pytest.raises(BodyInvalid, match="body: is not UTF-8 at byte 2"):
        decode(Outer, b'{"\xff":1}')


def test_a_long_name_is_not_repeated_in_full() -> None:
    with pytest.raises(BodyInvalid) as refusal:
        decode(Outer, ('{"kind":"k","' + "x" * 10_000 + '":1}').encode())
    assert len(str(refusal.value)) < 300


def test_what_is_allowed_comes_through_as_it_was_sent() -> None:
    body = '{"a":[1,-9223372036854775808,1.5,true,null,"\\ud83d\\ude00"," ",{}],"é":""}'
    assert parse_json(body.encode()) == {"a": [1, -(2**63), 1.5, True, None, "\U0001f600", " ", {}], "é": ""}
    deep = "[" * 64 + "]" * 64
    assert parse_json(deep.encode()) is not None


@pytest.mark.parametrize(
    ("text", "moment"),
    [
        ("2019-10-03T13:45:16Z", datetime(2019, 10, 3, 13, 45, 16, tzinfo=UTC)),
        ("2019-10-03T13:45:16+02:00", datetime(2019, 10, 3, 11, 45, 16, tzinfo=UTC)),
        ("2019-10-03t13:45:16.1234567-00:30", datetime(2019, 10, 3, 14, 15, 16, 123456, tzinfo=UTC)),
        ("", None),
    ],
)
def test_a_time_is_read_in_utc(text: str, moment: datetime | None) -> None:
    assert moment_of(text, "m") == moment


@pytest.mark.parametrize(
    "text",
    [
        "2019-07-27T14:30:00+0200",
        "2019-07-27T14:30:00",
        "2019-07-27",
        "2019-07-27 14:30:00Z",
        "2019-07-27T14:30Z",
        "2019-02-30T14:30:00Z",
        "2019-07-27T24:30:00Z",
        "2019-07-27T14:30:60Z",
        "2019-07-27T14:30:00+24:00",
        "2019-07-27T14:30:00+01:60",
        "2019-07-27T14:30:00Z\n",
        "0001-01-01T00:00:00+01:00",
        "9999-12-31T23:59:59-01:00",
        "\u0662019-07-27T14:30:00Z",
        " ",
    ],
)
def test_a_time_without_offset_or_that_never_is_is_refused(text: str) -> None:
    with pytest.raises(BodyInvalid, match="^a.b: "):
        moment_of(text, "a.b")


def test_a_time_is_written_in_utc_and_whole_seconds() -> None:
    assert moment_text(datetime(2019, 10, 3, 11, 45, 16, 999_999, tzinfo=UTC)) == "2019-10-03T11:45:16Z"
    assert moment_text(datetime(1, 1, 1, tzinfo=UTC)) == "0001-01-01T00:00:00Z"


def test_bytes_are_standard_base64_both_ways() -> None:
    assert der_of(base64_text(b"\xfb\xff"), "m") == b"\xfb\xff"
    assert base64_text(b"\xfb\xff") == "+/8="


@pytest.mark.parametrize("text", ["", "QQ", "QQ=", "QR==", "-_8=", "QQ==\n", "Q Q=", "QQ====", "é", "=", "QUJD="])
def test_anything_near_base64_is_refused(text: str) -> None:
    with pytest.raises(BodyInvalid, match="^m: must be standard Base64 with padding"):
        der_of(text, "m")
