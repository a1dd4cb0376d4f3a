"""Searches tenants and devices (hono-registry 1.5): a Query becomes one statement, for SQLite and PostgreSQL.

The statement gives a page and the number of all matches, of one moment; only the page leaves the database. To sort,
the database sets aside the ids and sort keys of all matches, on disk where they are many. Without a sort it counts
them, and finds the page on its way through the ids.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import groupby
from typing import Any

from sqlalchemy import ColumnElement, Connection, FromClause, Select, and_, func, not_, or_, select, true
from sqlalchemy import Table as SqlTable

from kernel.ids import DeviceId, TenantId
from storage.repositories.search_documents import device_member, tenant_member
from storage.repositories.search_members import Condition, Member
from storage.repositories.search_sql import bytewise, document, texts
from storage.rows import DEVICE_COLUMNS, Row
from storage.rows_tenant import TENANT_COLUMNS
from storage.schema import devices, tenants
from tenant.search import Pointer, Query, Sort


def search_devices(connection: Connection, tenant_id: TenantId, query: Query) -> tuple[int, Sequence[Row]]:
    """How many match, and the rows of the page, of DEVICE_COLUMNS. Raises PointerUnsearchable."""
    return _run(connection, devices_statement(tenant_id, query))


def search_tenants(connection: Connection, query: Query) -> tuple[int, Sequence[Row]]:
    """How many match, and the rows of the page, of TENANT_COLUMNS. Raises PointerUnsearchable."""
    return _run(connection, tenants_statement(query))


def find_groups(
    connection: Connection, tenant_id: TenantId, *, after: str | None, limit: int, members_max: int
) -> Sequence[tuple[str, Sequence[DeviceId]]]:
    """Groups in the order of names, those behind `after`, each with its first members by id."""
    rows = connection.execute(groups_statement(tenant_id, after, limit, members_max))
    return [(name, [DeviceId(row.device_id) for row in found]) for name, found in groupby(rows, lambda row: row.name)]


def find_device_ids(
    connection: Connection, tenant_id: TenantId, query: Query, *, after: DeviceId | None, limit: int
) -> Sequence[DeviceId]:
    """What the query finds, in the order of ids, those behind `after`. Raises PointerUnsearchable."""
    return [DeviceId(row.device_id) for row in connection.execute(ids_statement(tenant_id, query, after, limit))]


def devices_statement(tenant_id: TenantId, query: Query) -> Select[Any]:
    ours = devices.c.tenant_id == tenant_id
    thing = _Thing(devices, devices.c.device_id, [devices.c[name] for name in DEVICE_COLUMNS], ours)
    return thing.page(_device_conditions(tenant_id, query), _keys(query, device_member), query)


def ids_statement(tenant_id: TenantId, query: Query, after: DeviceId | None, limit: int) -> Select[Any]:
    chosen = select(devices.c.device_id).where(*_device_conditions(tenant_id, query))
    if after is not None:
        chosen = chosen.where(bytewise(devices.c.device_id) > after)
    return chosen.order_by(bytewise(devices.c.device_id)).limit(limit)


def _device_conditions(tenant_id: TenantId, query: Query) -> Sequence[Condition]:
    conditions = [devices.c.tenant_id == tenant_id, *_conditions(query, device_member)]
    if query.is_gateway is not None:
        gateways = or_(devices.c.member_of.is_not(None), devices.c.device_id.in_(_listed_gateways(tenant_id)))
        conditions.append(gateways if query.is_gateway else not_(gateways))
    return conditions


def tenants_statement(query: Query) -> Select[Any]:
    conditions = _conditions(query, tenant_member)
    if query.tenants is not None:
        conditions.append(tenants.c.tenant_id.in_(sorted(query.tenants)))
    thing = _Thing(tenants, tenants.c.tenant_id, [tenants.c[name] for name in TENANT_COLUMNS], true())
    return thing.page(conditions, _keys(query, tenant_member), query)


def groups_statement(tenant_id: TenantId, after: str | None, limit: int, members_max: int) -> Select[Any]:
    member_of = devices.c.member_of
    listed = texts(document(member_of)).table_valued("value", joins_implicitly=True)
    name = bytewise(listed.c.value)
    members = select(listed.c.value.label("name"), devices.c.device_id).select_from(devices, listed).distinct()
    members = members.where(devices.c.tenant_id == tenant_id, member_of.is_not(None))
    if after is not None:
        members = members.where(name > after)
    found = members.subquery("members")
    name, device_id = bytewise(found.c.name), bytewise(found.c.device_id)
    numbered = select(
        found.c.name,
        found.c.device_id,
        func.dense_rank().over(order_by=name).label("group_number"),
        func.row_number().over(partition_by=found.c.name, order_by=device_id).label("member_number"),
    ).subquery("numbered")
    return (
        select(numbered.c.name, numbered.c.device_id)
        .where(numbered.c.group_number <= limit, numbered.c.member_number <= members_max)
        .order_by(numbered.c.group_number, numbered.c.member_number)
    )


@dataclass(frozen=True, slots=True)
class _Thing:
    """What is searched for: a table, its key, what is wanted of a row."""

    table: SqlTable
    key: ColumnElement[Any]
    columns: Sequence[ColumnElement[Any]]
    ours: Condition  # with the key it says which row

    def page(self, conditions: Sequence[Condition], keys: "Sequence[_Key]", query: Query) -> Select[Any]:
        counted, matched = self._sorted(conditions, keys) if keys else self._unsorted(conditions)
        page = (
            select(matched)
            .order_by(*_order(matched, keys))
            .limit(query.page_size)
            .offset(query.page_size * query.page_offset)
            .subquery("page")
        )
        found = counted.outerjoin(page, true()).outerjoin(self.table, and_(self.ours, self.key == page.c.id))
        return select(page.c.id, counted.c.total, *self.columns).select_from(found).order_by(*_order(page, keys))

    def _unsorted(self, conditions: Sequence[Condition]) -> tuple[FromClause, FromClause]:
        counted = select(func.count().label("total")).select_from(self.table).where(*conditions)
        return counted.subquery("counted"), select(self.key.label("id")).where(*conditions).subquery("matched")

    def _sorted(self, conditions: Sequence[Condition], keys: "Sequence[_Key]") -> tuple[FromClause, FromClause]:
        columns = [key.said.label(f"key_{number}") for number, key in enumerate(keys)]
        matched = select(self.key.label("id"), *columns).where(*conditions).cte("matched")
        matched = matched.prefix_with("MATERIALIZED")
        return select(func.count().label("total")).select_from(matched).subquery("counted"), matched


@dataclass(frozen=True, slots=True)
class _Key:
    """Something to sort by."""

    said: ColumnElement[Any]
    descending: bool


def _order(found: FromClause, keys: Sequence[_Key]) -> Sequence[ColumnElement[Any]]:
    order: list[ColumnElement[Any]] = []
    for number, key in enumerate(keys):
        said = found.c[f"key_{number}"]
        order.append(said.desc().nulls_last() if key.descending else said.asc().nulls_first())
    return [*order, bytewise(found.c.id)]


def _conditions(query: Query, member: Callable[[Pointer], Member]) -> list[Condition]:
    return [member(wanted.pointer).equals(wanted.value) for wanted in query.filters]


def _keys(query: Query, member: Callable[[Pointer], Member]) -> Sequence[_Key]:
    if list(query.sorts) == [Sort(pointer=("id",))]:  # as without any
        return []
    return [_Key(said, sort.descending) for sort in query.sorts for said in member(sort.pointer).keys()]


def _listed_gateways(tenant_id: TenantId) -> Select[Any]:
    """Ids that devices of the tenant list in their `via`. Few lists differ, and those are in an index."""
    lists = select(devices.c.via).where(devices.c.tenant_id == tenant_id, devices.c.via.is_not(None)).distinct()
    differing = lists.subquery("lists")
    listed = texts(document(differing.c.via)).table_valued("value", joins_implicitly=True)
    return select(listed.c.value).select_from(differing, listed)


def _run(connection: Connection, statement: Select[Any]) -> tuple[int, Sequence[Row]]:
    rows = connection.execute(statement).all()
    return rows[0].total, [tuple(row[2:]) for row in rows if row.id is not None]
