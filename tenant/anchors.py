"""Every trust anchor of every tenant in memory, by issuer DN; fresh on every change.

Holds the anchors, not the tenants' other members: a handshake asks thousands of times a second who
vouches for a name. Whoever owns the change feed calls `put` and `remove`; nobody else writes.
"""

from collections.abc import Collection, Sequence

from kernel.ids import TenantId
from tenant.model import Tenant, TrustAnchor


class AnchorIndex:
    """Issuer DN → anchors. Used on the event loop only; as large as what operators registered."""

    def __init__(self) -> None:
        self.version = 0  # another one after every change
        self._by_name: dict[str, dict[TenantId, tuple[TrustAnchor, ...]]] = {}
        self._by_tenant: dict[TenantId, tuple[TrustAnchor, ...]] = {}

    def tenants_naming(self, subject_dn: str) -> Collection[TenantId]:
        """Tenants that list an anchor of that name, valid or not."""
        return self._by_name.get(subject_dn, {}).keys()

    def named(self, subject_dn: str) -> Sequence[TrustAnchor]:
        """Anchors of that name over all tenants, valid or not, in each tenant's own order."""
        return [anchor for anchors in self._by_name.get(subject_dn, {}).values() for anchor in anchors]

    def of_tenant(self, tenant_id: TenantId) -> Sequence[TrustAnchor]:
        """Everything a tenant lists, valid or not, in its own order."""
        return self._by_tenant.get(tenant_id, ())

    def put(self, tenant: Tenant) -> None:
        """Take the tenant's anchors as they are now, in place of what was known of it."""
        self.remove(tenant.tenant_id)  # with a new version
        if not tenant.trust_anchors:
            return
        self._by_tenant[tenant.tenant_id] = tenant.trust_anchors
        for anchor in tenant.trust_anchors:
            of_name = self._by_name.setdefault(anchor.authority.subject_dn, {})
            of_name[tenant.tenant_id] = (*of_name.get(tenant.tenant_id, ()), anchor)

    def remove(self, tenant_id: TenantId) -> None:
        """Forget the tenant's anchors. Safe to repeat."""
        self.version += 1
        for name in {anchor.authority.subject_dn for anchor in self._by_tenant.pop(tenant_id, ())}:
            of_name = self._by_name[name]
            del of_name[tenant_id]
            if not of_name:
                del self._by_name[name]
