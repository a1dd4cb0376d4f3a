"""A token says who was proven, for a while, and nothing that was not made here is one."""

import base64
import json

import jwt
import pytest

from kernel.clock import ManualClock
from tenant.operator_errors import BadCredentials, TokenExpired
from tenant.tokens import TOKEN_MAX_CHARS, Claim, Tokens

KEY = b"k" * 32
CLAIM = Claim(operator_name="ada", operator_id="id-1", key_id="key-1")


def tokens(clock: ManualClock | None = None, key: bytes = KEY) -> Tokens:
    return Tokens(key=key, lifetime_s=900, clock=clock or ManualClock())


@pytest.mark.parametrize("claim", [CLAIM, Claim(operator_name="b", operator_id="id-2", password_stamp="s")])
def test_a_token_says_what_it_was_made_from(claim: Claim) -> None:
    assert tokens().read(tokens().issue(claim)) == claim


def test_a_token_ends_when_its_time_is_over() -> None:
    clock = ManualClock()
    made = tokens(clock).issue(CLAIM)
    clock.advance(899)
    assert tokens(clock).read(made) == CLAIM
    clock.advance(1)
    with pytest.raises(TokenExpired):
        tokens(clock).read(made)


def forged(header: object, payload: object) -> str:
    parts = (base64.urlsafe_b64encode(json.dumps(part).encode()).rstrip(b"=").decode() for part in (header, payload))
    return ".".join((*parts, ""))


PAYLOAD = {"iss": "tuhono", "sub": "ada", "oid": "id-1", "exp": 4_000_000_000}


@pytest.mark.parametrize(
    "token",
    [
        "",
        "a.b.c",
        "\ud800",
        "x" * 10_000,
        forged({"alg": "none"}, PAYLOAD),
        forged({"alg": "HS256"}, PAYLOAD),
        jwt.encode(PAYLOAD, b"x" * 32, algorithm="HS256"),
        jwt.encode(PAYLOAD, KEY * 2, algorithm="HS512"),
        jwt.encode({**PAYLOAD, "iss": "other"}, KEY, algorithm="HS256"),
        jwt.encode({"iss": "tuhono", "sub": "ada", "oid": "id-1"}, KEY, algorithm="HS256"),
        jwt.encode({"iss": "tuhono", "oid": "id-1", "exp": 4_000_000_000}, KEY, algorithm="HS256"),
    ],
)
def test_nothing_else_is_a_token(token: str) -> None:
    with pytest.raises(BadCredentials):
        tokens().read(token)


def test_a_token_is_short() -> None:
    longest = Claim(operator_name="x" * 128, operator_id="i" * 36, password_stamp="s" * 16)
    assert len(tokens().issue(longest)) < TOKEN_MAX_CHARS / 4


def test_a_short_key_signs_nothing() -> None:
    with pytest.raises(ValueError, match="31"):
        tokens(key=b"k" * 31)
