"""Cookies that prove a DTLS peer receives at the address it sends from (RFC 6347 4.2.1), without any state.

A cookie is an HMAC over the address with a secret of the current period. Secrets are drawn anew each
period; the previous one still verifies, so a cookie lives between one and two periods.
"""

import hmac
import secrets

from kernel.clock import Clock

COOKIE_BYTES = 32
_PERIOD_S = 60.0


class Cookies:
    """Makes and checks cookies for addresses."""

    def __init__(self, *, clock: Clock) -> None:
        self._clock = clock
        self._current = self._previous = secrets.token_bytes(32)
        self._rotates_at = clock.monotonic() + _PERIOD_S

    def cookie_for(self, host: str, port: int) -> bytes:
        """The cookie of this moment for an address."""
        self._rotate()
        return _digest(self._current, host, port)

    def accepts(self, cookie: bytes, host: str, port: int) -> bool:
        """Whether the cookie was made here for this very address, at most two periods ago."""
        self._rotate()
        return hmac.compare_digest(cookie, _digest(self._current, host, port)) or hmac.compare_digest(
            cookie, _digest(self._previous, host, port)
        )

    def _rotate(self) -> None:
        now = self._clock.monotonic()
        if now < self._rotates_at:
            return
        missed = now >= self._rotates_at + _PERIOD_S  # silence: the secret in hand is too old even as previous
        self._previous = secrets.token_bytes(32) if missed else self._current
        self._current = secrets.token_bytes(32)
        self._rotates_at = now + _PERIOD_S


def _digest(secret: bytes, host: str, port: int) -> bytes:
    return hmac.digest(secret, f"{host}|{port}".encode(), "sha256")[:COOKIE_BYTES]
