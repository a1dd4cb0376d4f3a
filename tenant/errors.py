"""Refusals that tenants and their trust anchors give rise to."""

from kernel.errors import Conflict, Forbidden, LimitExceeded, Malformed, NotFound, Unauthenticated


class TenantUnknown(NotFound):
    """No tenant has this id or alias."""

    code = "tenant-unknown"
    told = "tenant is disabled or not registered"


class TenantDisabled(Forbidden):
    """The operator switched the tenant off."""

    code = "tenant-disabled"
    told = "tenant is disabled or not registered"


class AdapterDisabled(Forbidden):
    """The tenant does not take devices over this protocol."""

    code = "adapter-disabled"
    told = "adapter is disabled"


class UntrustedIssuer(Unauthenticated):
    """No tenant lists the CA that signed this certificate."""

    code = "untrusted-issuer"


class TenantAmbiguous(Unauthenticated):
    """Several tenants trust this CA and the device did not name one through SNI."""

    code = "tenant-ambiguous"


class ServerNameWithoutTenant(Malformed):
    """The SNI host has no dot, so it names no tenant (hono-registry 4.2)."""

    code = "server-name-without-tenant"
    told = "could not determine tenant"


class NoValidAnchor(Unauthenticated):
    """Every trust anchor of that name is outside its validity."""

    code = "no-valid-anchor"


class RevocationUnchecked(Unauthenticated):
    """The trust anchor wants revocation checked, and it cannot be."""

    code = "revocation-unchecked"


class TenantExists(Conflict):
    """The tenant id is taken."""

    code = "tenant-exists"


class AliasTaken(Conflict):
    """Another tenant has this alias."""

    code = "alias-taken"


class AnchorTaken(Conflict):
    """Another tenant, outside the own trust-anchor group, lists a CA of this name."""

    code = "anchor-taken"

    def __init__(self, message: str, subject_dn: str) -> None:
        super().__init__(message)
        self.details = {"subject-dn": subject_dn}


class AnchorUnknown(NotFound):
    """The tenant lists no such trust anchor."""

    code = "anchor-unknown"


class AnchorExists(Conflict):
    """The tenant lists a trust anchor of this id, or this very certificate, already."""

    code = "anchor-exists"


class TenantInvalid(Malformed):
    """A member of a tenant breaks its rule; the message names both."""

    code = "tenant-invalid"

    @classmethod
    def member(cls, member: str, rule: str) -> "TenantInvalid":
        """`member` as a path into the tenant's JSON: trusted-ca[1].auth-id-template."""
        return cls(f"{member}: {rule}")


class ProvisioningRateExceeded(LimitExceeded):
    """A trust anchor provisions more devices per second than it may."""

    code = "provisioning-rate-exceeded"
    told = "too many devices are being provisioned"


class PointerUnsearchable(Malformed):
    """A filter or sort names a member that cannot be looked into; nothing is ever left unfiltered instead."""

    code = "pointer-unsearchable"
    told = "member cannot be searched"


class SearchInvalid(Malformed):
    """A parameter of a search breaks its rule; the message names both."""

    code = "search-invalid"


class NothingFound(NotFound):
    """Nothing matches what was searched for (hono-registry 1.5)."""

    code = "nothing-found"
