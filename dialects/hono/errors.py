"""Why a request of this API is refused before anything else looks at it."""

from kernel.errors import Forbidden, Malformed


class BodyInvalid(Malformed):
    """A body is not JSON, or a member of it breaks its rule; the message names both."""

    code = "body-invalid"

    def __init__(self, member: str, rule: str) -> None:
        super().__init__(f"{member or 'body'}: {rule}")
        self.member = member
        self.rule = rule

    def within(self, outer: str) -> "BodyInvalid":
        """The same fault, told of a thing this one is a member of."""
        dot = "." if self.member and not self.member.startswith("[") else ""
        return BodyInvalid(f"{outer}{dot}{self.member}", self.rule)


class TenantOutOfReach(Forbidden):
    """An operator of certain tenants asked for a new one, which is none of those, or to share trust with others."""

    code = "tenant-out-of-reach"


class QueryInvalid(Malformed):
    """A query parameter is unknown, is given twice, or breaks its rule."""

    code = "query-invalid"


class SecretsWithheld(Forbidden):
    """Hashes and keys leave the registry for administrators alone."""

    code = "secrets-withheld"
