"""POST /tuhono/v1/token: a token for a while, in return for a password or an API key."""

from collections.abc import Sequence

import msgspec

from kernel.exchange import Answer, Exchange, Need, Reply, Route
from tenant.authentication import ProvenOperator
from tenant.operator_errors import TokenFromToken
from tenant.tokens import Tokens


class TokenAnswer(msgspec.Struct):
    """As OAuth 2.0 spells it (RFC 6749, 5.1)."""

    access_token: str
    token_type: str
    expires_in: int  # seconds


class TokenRoutes:
    """Whoever is proven may have one; a token makes none, so it ends when its time is over."""

    def __init__(self, tokens: Tokens) -> None:
        self._tokens = tokens

    def routes(self) -> Sequence[Route]:
        return [
            Route(
                method="POST",
                path="/tuhono/v1/token",
                handler=self._issue,
                need=Need.READ,
                tag="operators",
                summary="Get a token",
                says="In return for Basic credentials or an API key. Send it as `Authorization: Bearer`. It is good"
                " until its time is over, or what it was made from is changed or revoked.",
                answers={200: Answer(says="A token.", type=TokenAnswer, headers=("Cache-Control",))},
                refusals=(429,),
            )
        ]

    def _issue(self, exchange: Exchange) -> Reply:
        caller = exchange.caller
        assert isinstance(caller, ProvenOperator)
        if caller.by_token:
            raise TokenFromToken("a token is made from a password or an API key, not from a token")
        answer = TokenAnswer(
            access_token=self._tokens.issue(caller.claim()), token_type="Bearer", expires_in=self._tokens.lifetime_s
        )
        return Reply(body=answer, headers={"Cache-Control": "no-store"})
