"""Rules about tenants that every database keeps in the same words: identity of anchors, versions, removals."""

from collections.abc import Iterable, Sequence
from dataclasses import replace
from hashlib import sha256

from kernel.errors import VersionMismatch
from kernel.ids import AnchorId, TenantId, generate_id
from tenant.errors import AliasTaken, AnchorExists, AnchorTaken, TenantExists, TenantUnknown
from tenant.model import Tenant, TrustAnchor


def anchor_identity(anchor: TrustAnchor) -> str:
    """What makes two anchors of a tenant one and the same: the certificate or, without one, name and key."""
    authority = anchor.authority
    if authority.certificate_der is not None:
        return sha256(authority.certificate_der).hexdigest()
    name = authority.subject_dn.encode("utf-8", "surrogatepass")
    return sha256(b"name and key\0" + len(name).to_bytes(8, "big") + name + authority.public_key_der).hexdigest()


def check_anchors_differ(tenant: Tenant) -> None:
    """Raises AnchorExists where two anchors of the tenant share an id. They may well be the same CA."""
    ids: set[AnchorId] = set()
    for anchor in tenant.trust_anchors:
        if anchor.anchor_id in ids:
            raise AnchorExists(f"tenant {tenant.tenant_id!r} lists trust anchor {anchor.anchor_id!r} twice")
        ids.add(anchor.anchor_id)


def anchors_gone(before: Iterable[TrustAnchor], after: Iterable[TrustAnchor]) -> Sequence[AnchorId]:
    """Anchors that no longer vouch for what they vouched for: delisted, or another CA under the same id."""
    remaining = {anchor.anchor_id: anchor_identity(anchor) for anchor in after}
    return [anchor.anchor_id for anchor in before if remaining.get(anchor.anchor_id) != anchor_identity(anchor)]


def check_version(tenant_id: TenantId, stored: str, expected: str | None) -> None:
    """Raises VersionMismatch unless the caller expects nothing, or what is stored."""
    if expected is not None and expected != stored:
        raise VersionMismatch(f"tenant {tenant_id!r} is at version {stored}, not {expected}")


def versioned(tenant: Tenant, before: Tenant | None = None) -> Tenant:
    """The tenant as it is stored: a version no earlier write had, and its creation is remembered."""
    stale = not tenant.version or (before is not None and tenant.version == before.version)
    return replace(
        tenant,
        version=generate_id() if stale else tenant.version,
        created=tenant.created or (before.created if before is not None else None),
        trust_anchors=tuple(
            anchor if anchor.tenant_id == tenant.tenant_id else replace(anchor, tenant_id=tenant.tenant_id)
            for anchor in tenant.trust_anchors
        ),
    )


def tenant_exists(tenant_id: TenantId) -> TenantExists:
    return TenantExists(f"{tenant_id!r} is the id of a tenant, or the alias of one")


def tenant_unknown(tenant_id: TenantId) -> TenantUnknown:
    return TenantUnknown(f"no tenant {tenant_id!r}")


def alias_taken(alias: str | None) -> AliasTaken:
    return AliasTaken(f"another tenant has the alias, or the id, {alias!r}")


def anchor_taken(subject_dn: str) -> AnchorTaken:
    return AnchorTaken(f"a tenant outside the trust anchor group lists a CA named {subject_dn!r}", subject_dn)
