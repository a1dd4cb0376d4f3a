"""Authorization headers as user names and passwords."""

from base64 import b64encode

import pytest
from hypothesis import given
from hypothesis import strategies as st

from adapters.http.logins import UNREADABLE, login_of


def basic(pair: bytes, scheme: bytes = b"Basic") -> bytes:
    return scheme + b" " + b64encode(pair)


@pytest.mark.parametrize(
    ("authorization", "expected"),
    [
        (basic(b"pump@acme:hush"), ("pump@acme", b"hush")),
        (basic(b"pump@acme:a:b", b"bAsIc"), ("pump@acme", b"a:b")),
        (basic(b"pump@acme:"), ("pump@acme", b"")),
        (basic("pümp@acme:päss".encode()), ("pümp@acme", "päss".encode())),
        (b"Basic   " + b64encode(b"a@b:c") + b" ", ("a@b", b"c")),
    ],
)
def test_basic_names_a_device_and_its_password(authorization: bytes, expected: tuple[str, bytes]) -> None:
    login = login_of(authorization)
    assert (login.user_name, login.password) == expected


@pytest.mark.parametrize(
    "authorization",
    [
        b"",
        b"Basic",
        b"Basic ",
        b"Basic !!",
        b"Basic YQ",
        basic(b"no colon"),
        basic(b"\xff@t:p"),
        b"Bearer YTpi",
        b"YTpi",
    ],
)
def test_anything_else_names_nobody(authorization: bytes) -> None:
    assert login_of(authorization) is UNREADABLE


@given(st.binary(max_size=60))
def test_whatever_comes_is_read_without_a_fault(authorization: bytes) -> None:
    login_of(authorization)
    login_of(b"Basic " + authorization)
