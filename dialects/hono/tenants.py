"""Tenants over the management API: create, read, replace, delete, search (hono-registry 1.2).

Parses, calls TenantAdministration, renders; no rule of tenants stands here, only who may ask for what. Creating and
deleting tenants is an administrator's; a tenant's document is for whoever may write in it.
"""

from collections.abc import Sequence

from dialects.hono.conventions import (
    CHANGED,
    CREATED,
    DELETED,
    ETAG,
    IF_MATCH,
    changed,
    created,
    deed_of,
    etag,
    if_match,
    require_body,
)
from dialects.hono.errors import TenantOutOfReach
from dialects.hono.shapes.search import PageBody, page_body, query_of, search_parameters
from dialects.hono.shapes.tenant import TenantBody, TenantEntry, tenant_entry, tenant_of, tenant_shown
from dialects.hono.shapes.values import decode
from kernel.clock import Clock
from kernel.exchange import Answer, Exchange, Need, Reply, Route
from tenant.administration import TenantAdministration
from tenant.model import Tenant

TENANTS = "/v1/tenants"
TENANT_WITHOUT_ID = "/v1/tenants/"  # as clients ask that put an id, here none, into the path of one tenant
ONE_TENANT = "/v1/tenants/{tenantId}"
TENANT_ID = "tenantId"
TAG = "tenants"


class TenantRoutes:
    """The operations on tenants."""

    def __init__(self, *, administration: TenantAdministration, clock: Clock) -> None:
        self._tenants = administration
        self._clock = clock

    def routes(self) -> Sequence[Route]:
        return (
            Route(
                method="POST",
                path=TENANTS,
                also_at=(TENANT_WITHOUT_ID,),
                handler=self._create_unnamed,
                need=Need.ADMINISTER,
                tag=TAG,
                summary="Create a tenant with a random id",
                answers={201: CREATED},
                refusals=(409, 413),
                body=TenantBody,
            ),
            Route(
                method="GET",
                path=TENANTS,
                also_at=(TENANT_WITHOUT_ID,),
                handler=self._search,
                need=Need.READ,
                tag=TAG,
                summary="Search tenants",
                says="Nothing found at all is 404; a page beyond the end of what was found is empty.",
                answers={200: Answer(says="One page of what was found.", type=PageBody[TenantEntry])},
                parameters=search_parameters(gateways=False),
            ),
            Route(
                method="POST",
                path=ONE_TENANT,
                handler=self._create,
                need=Need.ADMINISTER,
                tag=TAG,
                summary="Create a tenant",
                answers={201: CREATED},
                refusals=(409, 413),
                tenant_in=TENANT_ID,
                body=TenantBody,
            ),
            Route(
                method="GET",
                path=ONE_TENANT,
                handler=self._read,
                need=Need.READ,
                tag=TAG,
                summary="Read a tenant",
                answers={200: Answer(says="The tenant. ETag tells its version.", type=TenantBody, headers=(ETAG,))},
                tenant_in=TENANT_ID,
            ),
            Route(
                method="PUT",
                path=ONE_TENANT,
                handler=self._replace,
                need=Need.WRITE,
                tag=TAG,
                summary="Replace a tenant",
                says="What the body does not say is gone, but for certificates: a trust anchor that comes back under "
                "its id, with its name and key, keeps the certificate it was given with.",
                answers={204: CHANGED},
                refusals=(409, 412, 413),
                tenant_in=TENANT_ID,
                parameters=(IF_MATCH,),
                body=TenantBody,
                body_required=True,
            ),
            Route(
                method="DELETE",
                path=ONE_TENANT,
                handler=self._delete,
                need=Need.ADMINISTER,
                tag=TAG,
                summary="Delete a tenant with all its devices and their credentials",
                answers={204: DELETED},
                refusals=(412,),
                tenant_in=TENANT_ID,
                parameters=(IF_MATCH,),
            ),
        )

    def _create_unnamed(self, exchange: Exchange) -> Reply:
        if exchange.caller is not None and exchange.caller.tenants is not None:
            raise TenantOutOfReach("an operator of certain tenants creates no tenant with a random id")
        return self._created(exchange, "")

    def _create(self, exchange: Exchange) -> Reply:
        return self._created(exchange, self._id(exchange))

    def _created(self, exchange: Exchange, tenant_id: str) -> Reply:
        asked = _asked(exchange, tenant_id)
        if asked.trust_anchor_group is not None:
            _require_all_tenants(exchange)
        tenant = self._tenants.create(asked, deed_of(exchange, self._clock))
        return created("tenants", tenant.tenant_id, version=tenant.version)

    def _read(self, exchange: Exchange) -> Reply:
        tenant = self._tenants.get(self._id(exchange))
        return Reply(body=tenant_shown(tenant), headers=etag(tenant.version))

    def _replace(self, exchange: Exchange) -> Reply:
        tenant_id = self._id(exchange)
        require_body(exchange)
        asked = _asked(exchange, tenant_id)
        group = asked.trust_anchor_group
        if group is not None and group != self._tenants.get(tenant_id).trust_anchor_group:
            _require_all_tenants(exchange)
        tenant = self._tenants.replace(asked, deed_of(exchange, self._clock), expected_version=if_match(exchange))
        return changed(tenant.version)

    def _delete(self, exchange: Exchange) -> Reply:
        self._tenants.delete(self._id(exchange), deed_of(exchange, self._clock), expected_version=if_match(exchange))
        return Reply(status=204)

    def _search(self, exchange: Exchange) -> Reply:
        page = self._tenants.search(query_of(exchange, gateways=False))
        return Reply(body=page_body(page, tenant_entry))

    def _id(self, exchange: Exchange) -> str:
        """Raises TenantInvalid."""
        tenant_id = exchange.path[TENANT_ID]
        self._tenants.check_id(tenant_id)
        return tenant_id


def _require_all_tenants(exchange: Exchange) -> None:
    """Of who puts a tenant into a group: its CAs may then keep devices of the others out. Raises TenantOutOfReach."""
    if exchange.caller is not None and exchange.caller.tenants is not None:
        raise TenantOutOfReach("an operator of certain tenants puts none into a trust-anchor-group")


def _asked(exchange: Exchange, tenant_id: str) -> Tenant:
    """The tenant in the body; without one, a tenant of which nothing is said. Raises BodyInvalid."""
    return tenant_of(decode(TenantBody, exchange.body) if exchange.body else TenantBody(), tenant_id)
