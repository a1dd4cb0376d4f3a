"""One wish for many devices, and the groups gateways are members of. Beyond Hono."""

from collections.abc import Sequence
from typing import Annotated, Literal

import msgspec
from msgspec import UNSET, Meta, UnsetType

from dialects.hono.asked import Asked
from dialects.hono.conventions import deed_of, require_body
from dialects.hono.errors import BodyInvalid
from dialects.hono.shapes.search import FilterJson, filter_of
from dialects.hono.shapes.values import decode
from kernel.clock import Clock
from kernel.exchange import Answer, Exchange, Need, Parameter, Reply, Route
from kernel.ids import ID_MAX_CHARS
from registry.administration import DeviceAdministration
from registry.bulk import DEVICES_PER_CALL_MAX, IDS_MAX, BulkAction, BulkAdministration, BulkOutcome
from tenant.search import FILTERS_MAX, Query

GROUPS_DEFAULT = 50
GROUPS_MAX = 200
MEMBERS_TOLD_MAX = 100
_TAG = "beyond Hono"
_GROUPS = (
    Parameter(name="after", type=str, says="only groups behind this name"),
    Parameter(
        name="limit",
        type=Annotated[int, Meta(ge=1, le=GROUPS_MAX)],
        says=f"how many groups at most; {GROUPS_DEFAULT} unless given",
    ),
)

_Id = Annotated[str, Meta(min_length=1, max_length=ID_MAX_CHARS)]


class BulkBody(msgspec.Struct, forbid_unknown_fields=True, kw_only=True, rename={"is_gateway": "isGateway"}):
    """What is to become of which devices: those with these ids, or those that meet all the filters."""

    action: Literal["enable", "disable", "delete"]
    ids: Annotated[list[_Id], Meta(min_length=1, max_length=IDS_MAX)] | UnsetType = UNSET
    filters: (
        Annotated[
            list[FilterJson],
            Meta(max_length=FILTERS_MAX, description="As in a search; an empty list means all devices of the tenant."),
        ]
        | UnsetType
    ) = UNSET
    is_gateway: bool | UnsetType = UNSET
    after: Annotated[_Id, Meta(description="With filters: only devices behind this id.")] | UnsetType = UNSET


class BulkView(msgspec.Struct, kw_only=True):
    """What was done."""

    done: int
    unknown: Annotated[list[str], Meta(description="Ids that were named, but are not on record.")] | UnsetType = UNSET
    after: Annotated[str, Meta(description="There may be more: ask again with this as `after`.")] | UnsetType = UNSET


class GroupView(msgspec.Struct, kw_only=True):
    """A group, and gateways that are members of it."""

    id: str
    members: list[str]


class GroupsPage(msgspec.Struct, kw_only=True):
    """Groups in the order of their names."""

    groups: list[GroupView]
    after: Annotated[str, Meta(description="There may be more: ask again with this as `after`.")] | UnsetType = UNSET


class BulkRoutes:
    """Enables, disables and deletes many devices at once; lists groups."""

    def __init__(self, *, bulk: BulkAdministration, devices: DeviceAdministration, clock: Clock) -> None:
        self._bulk = bulk
        self._devices = devices
        self._clock = clock

    def routes(self) -> Sequence[Route]:
        return (
            Route(
                method="POST",
                path="/tuhono/v1/bulk/{tenantId}",
                handler=self.change,
                need=Need.WRITE,
                tag=_TAG,
                summary="Enable, disable or delete many devices",
                says=f"By ids, at most {IDS_MAX}, or by filters, at most {DEVICES_PER_CALL_MAX} devices a call. Live"
                " connections of devices that are disabled or deleted end. Deleting by isGateway is done in one call,"
                " or not at all.",
                tenant_in="tenantId",
                body=BulkBody,
                body_required=True,
                body_max_bytes=IDS_MAX * (ID_MAX_CHARS + 8),
                answers={200: Answer(says="What was done.", type=BulkView)},
                refusals=(413,),
            ),
            Route(
                method="GET",
                path="/tuhono/v1/groups/{tenantId}",
                handler=self.groups,
                need=Need.READ,
                tag=_TAG,
                summary="List the groups that gateways are members of",
                says=f"Of each group at most {MEMBERS_TOLD_MAX} members.",
                tenant_in="tenantId",
                parameters=_GROUPS,
                answers={200: Answer(says="Groups.", type=GroupsPage)},
            ),
        )

    def change(self, exchange: Exchange) -> Reply:
        body = decode(BulkBody, require_body(exchange))
        if (body.ids is UNSET) == (body.filters is UNSET and body.is_gateway is UNSET):
            raise BodyInvalid("", "must have either ids, or filters (or isGateway)")
        tenant_id, deed = exchange.path["tenantId"], deed_of(exchange, self._clock)
        action = BulkAction(body.action)
        if body.ids is not UNSET:
            if body.after is not UNSET:
                raise BodyInvalid("after", "goes with filters, not with ids")
            return Reply(body=_view(self._bulk.change_named(tenant_id, body.ids, action, deed)))
        filters = [] if body.filters is UNSET else body.filters
        query = Query(
            filters=[filter_of(shape) for shape in filters],
            is_gateway=None if body.is_gateway is UNSET else body.is_gateway,
        )
        after = None if body.after is UNSET else body.after
        return Reply(body=_view(self._bulk.change_found(tenant_id, query, action, deed, after=after)))

    def groups(self, exchange: Exchange) -> Reply:
        asked = Asked(exchange, _GROUPS)
        limit = asked.whole("limit", default=GROUPS_DEFAULT, most=GROUPS_MAX)
        found = self._devices.groups(
            exchange.path["tenantId"], after=asked.text("after"), limit=limit, members_max=MEMBERS_TOLD_MAX
        )
        views = [GroupView(id=name, members=list(members)) for name, members in found]
        return Reply(body=GroupsPage(groups=views, after=views[-1].id if len(views) == limit else UNSET))


def _view(outcome: BulkOutcome) -> BulkView:
    return BulkView(
        done=outcome.done,
        unknown=list(outcome.unknown) or UNSET,
        after=UNSET if outcome.after is None else outcome.after,
    )
