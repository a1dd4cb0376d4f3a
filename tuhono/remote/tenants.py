"""`tenant.ports.TenantRepository` over the management API; the gateway knows by the credentials whose wish it is."""

from collections.abc import Sequence
from urllib.parse import quote, urlencode

from dialects.hono.shapes.registration import tenant_document
from kernel.errors import NotFound
from kernel.ids import TenantId
from tenant.audit import Deed
from tenant.model import Tenant
from tenant.search import PAGE_SIZE_MAX, Page, Query
from tuhono.remote.api import RemoteApi, search_of
from tuhono.remote.wire import tenant_in


class RemoteTenants:
    """Tenants on record at a gateway."""

    def __init__(self, api: RemoteApi) -> None:
        self._api = api
        self._page_behind: dict[TenantId | None, int] = {}

    def create(self, tenant: Tenant, deed: Deed) -> None:
        self._api.send("POST", _path(tenant.tenant_id), document=tenant_document(tenant))

    def find(self, tenant_id: TenantId) -> Tenant | None:
        try:
            answer = self._api.send("GET", _path(tenant_id))
        except NotFound:
            return None
        return tenant_in(answer.json, tenant_id, version=answer.etag)

    def find_all(self, *, after: TenantId | None, limit: int) -> Sequence[Tenant]:
        """Pages of PAGE_SIZE_MAX, whatever the limit: asked for one after the other."""
        page = 0 if after is None else self._page_behind.get(after, 0)
        found = self.search(Query(page_size=PAGE_SIZE_MAX, page_offset=page)).found
        if found:
            self._page_behind[found[-1].tenant_id] = page + 1
        return [tenant for tenant in found if after is None or tenant.tenant_id > after]

    def search(self, query: Query) -> Page[Tenant]:
        try:
            answer = self._api.send("GET", f"/v1/tenants?{urlencode(search_of(query))}")
        except NotFound:
            return Page(total=0, found=())
        found = [tenant_in(entry, entry["id"]) for entry in answer.json["result"]]
        return Page(total=answer.json["total"], found=found)

    def replace(self, tenant: Tenant, deed: Deed, *, expected_version: str | None) -> None:
        self._api.send("PUT", _path(tenant.tenant_id), document=tenant_document(tenant), if_match=expected_version)

    def delete(self, tenant_id: TenantId, deed: Deed, *, expected_version: str | None) -> None:
        self._api.send("DELETE", _path(tenant_id), if_match=expected_version)


def _path(tenant_id: str) -> str:
    return f"/v1/tenants/{quote(tenant_id, safe='')}"
