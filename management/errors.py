"""Why the management listener does not open, and what it refuses by itself before any handler is asked."""

from collections.abc import Sequence

from kernel.errors import Forbidden, Malformed, NotFound, Refused, TooLarge, Unavailable


class ManagementCertificateUnusable(Malformed):
    """The certificate or key cannot be read, or the two do not belong together."""

    code = "management-certificate-unusable"
    told = "server certificate is unusable"


class ManagementPortUnavailable(Unavailable):
    """The address is not this machine's, or its port is taken."""

    code = "management-port-unavailable"


class TargetMalformed(Malformed):
    """The path or query of a request breaks the grammar, or holds what no id may hold."""

    code = "target-malformed"


class PathUnknown(NotFound):
    """Nothing is served under this path."""

    code = "path-unknown"

    def __init__(self) -> None:
        super().__init__("there is nothing under this path")


class MethodUnknown(Refused):
    """The path is served, but not with this method. (405)"""

    code = "method-unknown"
    told = "method not allowed"

    def __init__(self, allowed: Sequence[str]) -> None:
        super().__init__(f"this path takes {', '.join(allowed)}")
        self.allowed = allowed


class HeaderRepeated(Malformed):
    """A header that may come once came again: two readers could disagree on which one counts."""

    code = "header-repeated"


class ExpectationUnknown(Refused):
    """Expect asks for something other than 100-continue. (417)"""

    code = "expectation-unknown"


class BodyTooLarge(TooLarge):
    """The body is longer than this request may have."""

    code = "body-too-large"


class BodyTooSlow(Refused):
    """The body did not arrive in time. (408)"""

    code = "body-too-slow"


class BodyBroken(Malformed):
    """The body's framing breaks the grammar of HTTP, or it is compressed."""

    code = "body-broken"


class BodyMissing(Malformed):
    """This request needs a body."""

    code = "body-missing"


class BodyTooDeep(Malformed):
    """Arrays and objects stand inside each other deeper than anything here does."""

    code = "body-too-deep"


class ContentTypeWrong(Malformed):
    """A body came with no content type, or with another one than is read here."""

    code = "content-type-wrong"


class RoleTooSmall(Forbidden):
    """The caller is known, and may not do this."""

    code = "role-too-small"


class ManagementBusy(Unavailable):
    """As many requests wait for a thread as may."""

    code = "management-busy"


class RequestMalformed(Malformed):
    """The bytes received are no HTTP, or more than a request line and its headers may be."""

    code = "request-malformed"
