"""Tenants over dicts: `tenant.ports.TenantRepository`."""

from collections.abc import Sequence

from kernel.ids import TenantId
from storage.memory_search import find_tenants
from storage.memory_state import MemoryState, require_storable
from storage.registration import DELETED_TENANTS_MAX
from storage.tenancy import (
    alias_taken,
    anchor_taken,
    anchors_gone,
    check_anchors_differ,
    check_version,
    tenant_exists,
    tenant_unknown,
    versioned,
)
from tenant.audit import Deed, tenant_document, written_by
from tenant.model import Tenant
from tenant.ports import Change, ChangeKind
from tenant.search import Page, Query


class MemoryTenants:
    """`tenant.ports.TenantRepository` over dicts."""

    def __init__(self, state: MemoryState) -> None:
        self._state = state

    def create(self, tenant: Tenant, deed: Deed) -> None:
        require_storable(tenant.tenant_id, tenant.alias or "")
        aliases = (other.alias for other in self._state.tenants.values())
        if tenant.tenant_id in self._state.tenants or tenant.tenant_id in aliases:
            raise tenant_exists(tenant.tenant_id)
        stored = self._put(tenant, None)
        self._state.deleted_tenants.pop(tenant.tenant_id, None)
        self._state.audited(written_by(deed, "tenant.created", tenant.tenant_id, after=tenant_document(stored)))

    def find(self, tenant_id: TenantId) -> Tenant | None:
        return self._state.tenants.get(tenant_id)

    def find_all(self, *, after: TenantId | None, limit: int) -> Sequence[Tenant]:
        chosen = sorted(tenant_id for tenant_id in self._state.tenants if after is None or tenant_id > after)
        return [self._state.tenants[tenant_id] for tenant_id in chosen[:limit]]

    def search(self, query: Query) -> Page[Tenant]:
        return find_tenants(self._state.tenants.values(), query)

    def replace(self, tenant: Tenant, deed: Deed, *, expected_version: str | None) -> None:
        before = self._get(tenant.tenant_id)
        check_version(tenant.tenant_id, before.version, expected_version)
        is_now = tenant_document(self._put(tenant, before))
        was = tenant_document(before)
        self._state.audited(written_by(deed, "tenant.updated", tenant.tenant_id, before=was, after=is_now))

    def delete(self, tenant_id: TenantId, deed: Deed, *, expected_version: str | None) -> None:
        tenant = self._get(tenant_id)
        check_version(tenant_id, tenant.version, expected_version)
        for key in [key for key in self._state.devices if key[0] == tenant_id]:
            self._state.drop_device(key)
        del self._state.tenants[tenant_id]
        self._state.deleted_tenants[tenant_id] = None
        while len(self._state.deleted_tenants) > DELETED_TENANTS_MAX:
            del self._state.deleted_tenants[next(iter(self._state.deleted_tenants))]
        self._anchors_removed(tenant, None)
        self._state.changed(Change(kind=ChangeKind.TENANT_DELETED, tenant_id=tenant_id))
        self._state.audited(written_by(deed, "tenant.deleted", tenant_id, before=tenant_document(tenant)))

    def _get(self, tenant_id: TenantId) -> Tenant:
        tenant = self._state.tenants.get(tenant_id)
        if tenant is None:
            raise tenant_unknown(tenant_id)
        return tenant

    def _put(self, tenant: Tenant, before: Tenant | None) -> Tenant:
        check_anchors_differ(tenant)
        names = {anchor.authority.subject_dn for anchor in tenant.trust_anchors}
        for other in self._state.tenants.values():
            if other.tenant_id == tenant.tenant_id:
                continue
            if tenant.alias is not None and tenant.alias in {other.alias, other.tenant_id}:
                raise alias_taken(tenant.alias)
            if tenant.trust_anchor_group is not None and other.trust_anchor_group == tenant.trust_anchor_group:
                continue
            for name in sorted(names & {anchor.authority.subject_dn for anchor in other.trust_anchors}):
                raise anchor_taken(name)
        stored = versioned(tenant, before)
        self._state.tenants[tenant.tenant_id] = stored
        self._state.changed(Change(kind=ChangeKind.TENANT, tenant_id=tenant.tenant_id))
        if before is not None:
            self._anchors_removed(before, tenant)
        return stored

    def _anchors_removed(self, before: Tenant, after: Tenant | None) -> None:
        for anchor_id in anchors_gone(before.trust_anchors, after.trust_anchors if after is not None else ()):
            self._state.changed(Change(kind=ChangeKind.ANCHOR_REMOVED, tenant_id=before.tenant_id, anchor_id=anchor_id))
