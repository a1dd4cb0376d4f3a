"""The kinds of error. A kind says what an edge may answer; a subclass names the one fact.

Owns the kinds only: the facts (`DeviceDisabled`, `UntrustedIssuer`) stand in the room that finds
them, each with a `code` of its own. The exception's message is for operators and logs; `told` is all
a peer ever reads, because a stranger learns nothing from us about what is on record.
"""

from collections.abc import Mapping
from typing import ClassVar


class TuhonoError(Exception):
    """Base of every error this code base raises on purpose."""

    code: ClassVar[str] = "internal"  # stable word: API replies, logs, metrics and audit carry it
    told: str = "Internal server error"  # what the peer reads (hono-adapters 0.7); an instance may say more
    details: Mapping[str, str] = {}  # what stands beside the message where an operator reads it, as `subject-dn`


class Refused(TuhonoError):
    """The caller asked for something it may not have. Asking again changes nothing."""

    code = "refused"
    told = "refused"


class Malformed(Refused):
    """The request breaks a rule of its form. (400)"""

    code = "malformed"
    told = "malformed request"


class Unauthenticated(Refused):
    """Who is asking could not be proven. (401)"""

    code = "unauthenticated"
    told = "bad credentials"


class Forbidden(Refused):
    """Proven, but not allowed. (403)"""

    code = "forbidden"
    told = "not authorized"


class NotFound(Refused):
    """The thing named does not exist, or the asker may not know that it does. (404)"""

    code = "not-found"
    told = "not found"


class Conflict(Refused):
    """Another thing already holds that name or place. (409)"""

    code = "conflict"
    told = "conflict"


class VersionMismatch(Refused):
    """The thing changed since the caller read it. (412)"""

    code = "version-mismatch"
    told = "resource version mismatch"


class TooLarge(Refused):
    """More bytes than a named limit allows. (413)"""

    code = "too-large"
    told = "request body too large"


class LimitExceeded(Refused):
    """A tenant's or an instance's budget is used up. (429)"""

    code = "limit-exceeded"
    told = "limit exceeded"


class Unavailable(TuhonoError):
    """Something we lean on did not answer. Asking again later may work. (503)"""

    code = "unavailable"
    told = "temporarily unavailable"
