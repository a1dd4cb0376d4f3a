"""Paths and queries of the management API are decoded strictly, and never rewritten."""

import pytest

from management.errors import TargetMalformed
from management.targets import PARAMETERS_MAX, parse_target


@pytest.mark.parametrize(
    ("target", "segments"),
    [
        ("/v1/tenants", ["v1", "tenants"]),
        ("/v1/tenants/", ["v1", "tenants", ""]),
        ("//v1", ["", "v1"]),
        ("/", [""]),
        ("/v1/devices/t/a%2Fb", ["v1", "devices", "t", "a/b"]),
        ("/v1/devices/t/a%252Fb", ["v1", "devices", "t", "a%2Fb"]),
        ("/v1/tenants/%C3%A9", ["v1", "tenants", "é"]),
        ("/v1/tenants/a+b", ["v1", "tenants", "a+b"]),
        ("/v1/tenants/...", ["v1", "tenants", "..."]),
        ("http://gateway:28443/v1/tenants", ["v1", "tenants"]),
        ("HTTPS://gateway/v1", ["v1"]),
    ],
)
def test_a_path_is_taken_apart_before_it_is_decoded(target: str, segments: list[str]) -> None:
    assert list(parse_target(target).segments) == segments


@pytest.mark.parametrize(
    "target",
    [
        "",
        "*",
        "v1/tenants",
        "gateway:443",
        "ftp://gateway/v1",
        "http://gateway",
        "http://gateway?x=/v1",
        "/v1/tenants/%",
        "/v1/tenants/%4",
        "/v1/tenants/%zz",
        "/v1/tenants/%+1",
        "/v1/tenants/%FF",
        "/v1/tenants/%C0%AF",
        "/v1/tenants/%ED%A0%80",
        "/v1/tenants/%00",
        "/v1/tenants/a%0d%0aSet-Cookie:x",
        "/v1/tenants/%7f",
        "/v1/tenants/%C2%85",
        "/v1/tenants/.",
        "/v1/tenants/..",
        "/v1/tenants/%2e%2E",
        "/v1/tenants/../devices",
        "/v1/tenants#fragment",
        "/v1/té",
        "/v1/a b",
        "/v1?filter=%",
        "/v1?%FF=1",
        "/v1?" + "&".join(["a=1"] * (PARAMETERS_MAX + 1)),
    ],
)
def test_what_is_not_well_encoded_is_refused(target: str) -> None:
    with pytest.raises(TargetMalformed):
        parse_target(target)


def test_a_query_is_read_as_forms_are() -> None:
    found = parse_target("/v1?a=1&b=x+y%2B&a=2&c&=d&&e==").query
    assert found == {"a": ["1", "2"], "b": ["x y+"], "c": [""], "": ["d"], "e": ["="]}
    assert parse_target("/v1?").query == {}
    assert parse_target("/v1?q=a/../b?c").query == {"q": ["a/../b?c"]}
