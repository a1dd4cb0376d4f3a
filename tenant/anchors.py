"""Every trust anchor of every tenant in memory, by issuer DN; fresh on every change."""

from collections.abc import Sequence

from kernel.ids import TenantId
from tenant.model import Tenant, TrustAnchor


class AnchorIndex:
    """Issuer DN → anchors. Used on the event loop only."""

    def named(self, subject_dn: str) -> Sequence[TrustAnchor]:
        """Anchors of that name over all tenants, valid or not, in the tenants' own order."""
        raise NotImplementedError

    def of_tenant(self, tenant_id: TenantId) -> Sequence[TrustAnchor]:
        raise NotImplementedError

    def tenant_named(self, id_or_alias: str) -> TenantId | None:
        """The tenant with this id or, failing that, this alias."""
        raise NotImplementedError

    def put(self, tenant: Tenant) -> None:
        """Take the tenant as it is now, in place of what was known of it."""
        raise NotImplementedError

    def remove(self, tenant_id: TenantId) -> None:
        raise NotImplementedError
