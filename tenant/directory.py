"""Every tenant in memory, by id and alias, fresh on every change; the one reader of the change feed's tenants.

A connection costs no query for its tenant. One tenant is about 1.5 KB here, so a hundred thousand of
them fit where the anchors have to be anyway.
"""

import logging

from kernel.ids import TenantId
from kernel.log import fields
from tenant.anchors import AnchorIndex
from tenant.errors import TenantUnknown
from tenant.model import Tenant
from tenant.ports import Change, ChangeFeed, ChangeKind

log = logging.getLogger(__name__)


class TenantDirectory:
    """Finds tenants by id or alias. Used on the event loop only."""

    def __init__(self, *, feed: ChangeFeed, anchors: AnchorIndex) -> None:
        self._feed = feed
        self._anchors = anchors
        self._by_id: dict[TenantId, Tenant] = {}
        self._by_alias: dict[str, TenantId] = {}
        self._is_stale = False  # changes were missed and could not be made up for yet
        feed.subscribe(self._follow)

    def load(self) -> None:
        """Read every tenant. Called once at start, and again whenever changes were missed.

        Raises StorageUnavailable; then what was known stays, and the next `catch_up` tries again.
        """
        self._is_stale = True
        tenants = self._feed.all_tenants()
        for tenant_id in self._by_id.keys() - {tenant.tenant_id for tenant in tenants}:
            self._remove(tenant_id)
        for tenant in tenants:
            self._put(tenant)
        self._is_stale = False
        log.info("tenants.loaded", extra=fields(tenants=len(self._by_id)))

    @property
    def version(self) -> int:
        """Another one after every change that has come to be known here, of any tenant."""
        return self._anchors.version

    def catch_up(self) -> None:
        """Apply what other processes committed before this call. Raises StorageUnavailable."""
        self._feed.catch_up()
        self.make_up()

    def make_up(self) -> None:
        """Read what was missed, if anything was. Raises StorageUnavailable."""
        if self._is_stale:
            self.load()

    def find(self, tenant_id: TenantId) -> Tenant | None:
        return self._by_id.get(tenant_id)

    def find_named(self, id_or_alias: str) -> Tenant | None:
        """The tenant with this id or, failing that, this alias."""
        tenant = self._by_id.get(TenantId(id_or_alias))
        if tenant is not None:
            return tenant
        tenant_id = self._by_alias.get(id_or_alias)
        return None if tenant_id is None else self._by_id[tenant_id]

    def get_named(self, id_or_alias: str) -> Tenant:
        """The same. Raises TenantUnknown."""
        tenant = self.find_named(id_or_alias)
        if tenant is None:
            raise TenantUnknown(f"no tenant has the id or alias {id_or_alias!r}")
        return tenant

    def get_by_subject(self, subject_dn: str) -> Tenant:
        """The one tenant that lists a CA of this name, valid or not (hono-registry 3.1).

        Raises TenantUnknown where none does, or several of one trust-anchor group do.
        """
        tenant_ids = self._anchors.tenants_naming(subject_dn)
        if len(tenant_ids) != 1:
            raise TenantUnknown(f"{len(tenant_ids)} tenants list a CA named {subject_dn!r}")
        [tenant_id] = tenant_ids
        return self._by_id[tenant_id]

    def _follow(self, change: Change) -> None:
        if change.kind is ChangeKind.TENANT and change.tenant is not None:
            self._put(change.tenant)
        elif change.kind is ChangeKind.TENANT_DELETED and change.tenant_id is not None:
            self._remove(change.tenant_id)
        elif change.kind is ChangeKind.RESET:
            self.load()

    def _put(self, tenant: Tenant) -> None:
        self._remove(tenant.tenant_id)
        self._by_id[tenant.tenant_id] = tenant
        if tenant.alias is not None:
            self._by_alias[tenant.alias] = tenant.tenant_id
        self._anchors.put(tenant)

    def _remove(self, tenant_id: TenantId) -> None:
        known = self._by_id.pop(tenant_id, None)
        if known is not None and known.alias is not None and self._by_alias.get(known.alias) == tenant_id:
            del self._by_alias[known.alias]
        self._anchors.remove(tenant_id)
