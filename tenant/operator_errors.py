"""Refusals that operators give rise to: who they are, what they may, what is on record of them."""

from kernel.errors import Conflict, Forbidden, LimitExceeded, Malformed, NotFound, Unauthenticated, Unavailable


class BadCredentials(Unauthenticated):
    """Name and password, API key or token prove nobody who may come; which of them is wrong is not told."""

    code = "bad-credentials"


class CredentialsMissing(Unauthenticated):
    """The request shows nothing that proves who asks, or nothing that can be read."""

    code = "credentials-missing"
    told = "credentials are missing"


class TokenExpired(Unauthenticated):
    """The token was good, and its time is over."""

    code = "token-expired"
    told = "token has expired"


class TooManyAttempts(LimitExceeded):
    """Too many failed logins of this account or from this address; `retry_after_s` says when to come again."""

    code = "too-many-attempts"
    told = "too many failed logins"

    def __init__(self, retry_after_s: float) -> None:
        super().__init__(f"too many failed logins; the next one is looked at in {max(1, round(retry_after_s))} s")
        self.retry_after_s = retry_after_s


class LoginsBusy(Unavailable):
    """More passwords wait to be verified than may."""

    code = "logins-busy"


class OperatorUnknown(NotFound):
    """No operator has this name, or it is out of the asker's reach."""

    code = "operator-unknown"


class OperatorExists(Conflict):
    """The name is taken."""

    code = "operator-exists"


class OperatorInvalid(Malformed):
    """A member of an operator or of a key breaks its rule; the message names both."""

    code = "operator-invalid"


class OperatorLimitReached(Forbidden):
    """As many operators, or keys of one operator, are on record as may be."""

    code = "operator-limit-reached"


class BeyondReach(Forbidden):
    """An administrator of some tenants would give, or take, what only one of all tenants may."""

    code = "beyond-reach"


class LastAdministrator(Conflict):
    """Nobody who administers all tenants would be left."""

    code = "last-administrator"


class KeyUnknown(NotFound):
    """The operator has no API key of this id."""

    code = "api-key-unknown"


class TokenFromToken(Forbidden):
    """A token is asked for with a token."""

    code = "token-from-token"
