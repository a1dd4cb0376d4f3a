"""What the management edge asks of others."""

from collections.abc import Mapping
from typing import Protocol

from kernel.exchange import Caller


class Authenticator(Protocol):
    """Proves who asks."""

    async def authenticate(self, headers: Mapping[str, str], remote: str) -> Caller:
        """Who sent these headers, whose names are in lower case, from that address.

        Raises Unauthenticated where nobody is proven, LimitExceeded where somebody tries too often, Unavailable. An
        Unauthenticated is told by its code and `told`, never by its message. An error that has a number as
        `retry_after_s` is told with that many seconds in Retry-After.
        """
        ...

    def close(self) -> None:
        """Nobody is proven any more; what was counted is written. Safe to repeat."""
        ...
