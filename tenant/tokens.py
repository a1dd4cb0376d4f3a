"""Short-lived tokens: a JWT that says which operator was proven, and by what.

A token grants nothing by itself: role, reach and whether the operator is still welcome are read from the record
whenever it is shown. It ends with what it was made from: the password of that time, or the API key.
"""

from dataclasses import dataclass
from typing import Any

import jwt

from kernel.clock import Clock
from tenant.operator_errors import BadCredentials, TokenExpired

ALGORITHM = "HS256"
ISSUER = "tuhono"
KEY_MIN_BYTES = 32
TOKEN_MAX_CHARS = 4096


@dataclass(frozen=True, slots=True, kw_only=True)
class Claim:
    """What a token says."""

    operator_name: str
    operator_id: str
    key_id: str | None = None  # made from this key; None: from the password
    password_stamp: str | None = None


class Tokens:
    """Makes tokens and reads them."""

    def __init__(self, *, key: bytes, lifetime_s: int, clock: Clock) -> None:
        if len(key) < KEY_MIN_BYTES:
            raise ValueError(f"a key of {len(key)} bytes signs nothing; {KEY_MIN_BYTES} are the least")
        self._key = key
        self.lifetime_s = lifetime_s
        self._clock = clock

    def issue(self, claim: Claim) -> str:
        now = int(self._clock.now().timestamp())
        payload: dict[str, Any] = {
            "iss": ISSUER,
            "sub": claim.operator_name,
            "oid": claim.operator_id,
            "iat": now,
            "exp": now + self.lifetime_s,
        }
        if claim.key_id is not None:
            payload["kid"] = claim.key_id
        if claim.password_stamp is not None:
            payload["pwd"] = claim.password_stamp
        return jwt.encode(payload, self._key, algorithm=ALGORITHM)

    def read(self, token: str) -> Claim:
        """Raises BadCredentials, TokenExpired."""
        if len(token) > TOKEN_MAX_CHARS:
            raise BadCredentials("the token is longer than ours are")
        try:
            payload = jwt.decode(
                token,
                self._key,
                algorithms=[ALGORITHM],
                issuer=ISSUER,
                options={"require": ["sub", "oid", "exp"], "verify_exp": False, "verify_iat": False},
            )
        except (jwt.InvalidTokenError, ValueError, RecursionError) as fault:
            raise BadCredentials("the token was not made here") from fault
        if payload["exp"] <= self._clock.now().timestamp():
            raise TokenExpired("the token has expired; get another one")
        return Claim(
            operator_name=payload["sub"],
            operator_id=payload["oid"],
            key_id=payload.get("kid"),
            password_stamp=payload.get("pwd"),
        )
