"""Random documents and random searches: SQL and memory, written apart, find the same in the same order."""

from collections.abc import Iterator, Sequence
from contextlib import suppress
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sqlalchemy import Connection, Dialect, create_engine, insert, make_url

from kernel.errors import Malformed
from kernel.ids import DeviceId
from registry.model import Device
from storage.memory_search import find_device_ids, find_devices, find_groups, find_tenants
from storage.repositories import search as in_sql
from storage.repositories.search import (
    devices_statement,
    groups_statement,
    ids_statement,
    search_devices,
    search_tenants,
    tenants_statement,
)
from storage.rows import DEVICE_COLUMNS, device_of, device_row
from storage.rows_tenant import TENANT_COLUMNS, tenant_of, tenant_row
from storage.schema import devices, metadata, tenants
from tenant.errors import PointerUnsearchable
from tenant.model import AdapterSettings, Tenant
from tenant.search import Filter, Pointer, Query, Sort, Value
from tests.support.stores import TENANT, device, tenant

POSTGRESQL: Dialect = make_url("postgresql+psycopg://").get_dialect()()
SQLITE: Dialect = make_url("sqlite://").get_dialect()()

LETTERS = "ab*?[]^-%_\\\"'/~{}$. \n\t\0éß😀٠01"
CLEAN = LETTERS.replace("\0", "")

texts = st.text(LETTERS, max_size=4)
clean_texts = st.text(CLEAN, max_size=4)
numbers = st.one_of(
    st.integers(-3, 3),
    st.sampled_from([2**53, 2**53 + 1, 2**63 - 1, -(2**63), 0.0, -0.0, 1.0, 0.5, 1e308, -1e-320, 1e23, float(2**63)]),
)
huge = st.sampled_from([2**63, 2**64, 2**64 + 1, 10**23, 10**400, -(10**400)])
scalars = st.one_of(st.none(), st.booleans(), numbers, huge, texts)
names = st.one_of(st.sampled_from(["a", "b", "0", "1", "a.b", '"', "\\", "é", ""]), clean_texts)
values = st.recursive(
    scalars,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.one_of(names, texts), inner, max_size=3),
    max_leaves=8,
)
objects = st.dictionaries(st.one_of(names, texts), values, max_size=4)

words = st.one_of(names, st.sampled_from(["00", "-1", "2", "999999999", "1234567890", "٠"]))
free = st.tuples(st.sampled_from(["ext", "ext", "ext", "defaults"]), words).flatmap(
    lambda begin: st.lists(words, max_size=4).map(lambda rest: (*begin, *rest))
)
KNOWN: list[Pointer] = [
    ("id",),
    ("enabled",),
    ("via",),
    ("via", "0"),
    ("viaGroups",),
    ("memberOf", "1"),
    ("authorities",),
    ("status", "created"),
    ("status", "updated"),
    ("status", "auto-provisioned"),
    ("alias",),
    ("minimum-message-size",),
    ("adapters", "type"),
    ("adapters", "0", "type"),
    ("adapters", "enabled"),
    ("adapters", "ext", "a"),
    ("adapters", "1", "ext", "a", "0"),
    ("ext",),
    ("nothing",),
    ("resource-limits", "max-ttl"),
    ("resource-limits", "data-volume", "effective-since"),
    ("trusted-ca", "ocsp-revocation-enabled"),
    ("trusted-ca", "0", "subject-dn"),
    ("trusted-ca", "1", "not-before"),
    ("trusted-ca", "device-template", "via"),
]
known = st.sampled_from(KNOWN)
pointers = st.one_of(free, known)
wanted = st.one_of(st.booleans(), numbers, clean_texts, st.sampled_from(["*", "?", "a*", "2026-01-01T00:00:00Z"]))
queries = st.builds(
    Query,
    filters=st.lists(st.builds(Filter, pointer=pointers, value=wanted), max_size=2),
    sorts=st.lists(st.builds(Sort, pointer=pointers, descending=st.booleans()), max_size=3),
    page_size=st.integers(1, 4),
    page_offset=st.integers(0, 2),
    is_gateway=st.sampled_from([None, None, True, False]),
    tenants=st.sampled_from([None, None, frozenset({"a", "é"}), frozenset()]),
)
ids = st.sampled_from(["a", "b", "B", "é", "0", "😀"])
some_ids = st.lists(ids, max_size=3).map(tuple)
made_devices = st.builds(
    device,
    ids,
    enabled=st.sampled_from([None, True, False]),
    ext=objects,
    defaults=objects,
    via=some_ids,
    via_groups=some_ids,
    member_of=some_ids,
    authorities=some_ids,
)
made_adapters = st.builds(AdapterSettings, type=ids, enabled=st.booleans(), ext=objects)
made_tenants = st.builds(
    tenant,
    ids,
    enabled=st.sampled_from([None, True, False]),
    alias=st.none() | ids,
    ext=objects,
    defaults=objects,
    adapters=st.none() | st.lists(made_adapters, max_size=2).map(tuple),
    minimum_message_size=st.integers(0, 2),
)


@pytest.fixture(scope="module")
def connection() -> Iterator[Connection]:
    engine = create_engine("sqlite://")
    metadata.create_all(engine)
    with engine.connect() as connection:
        yield connection
    engine.dispose()


def write_devices(connection: Connection, given: Sequence[Device]) -> None:
    connection.execute(devices.delete())
    for entry in given:
        connection.execute(insert(devices).values(dict(zip(DEVICE_COLUMNS, device_row(entry), strict=True))))


def write_tenants(connection: Connection, given: Sequence[Tenant]) -> None:
    connection.execute(tenants.delete())
    for entry in given:
        connection.execute(insert(tenants).values(dict(zip(TENANT_COLUMNS, tenant_row(entry), strict=True))))


def outcome(search: Any) -> Any:
    """What it finds, or that it is refused; anything else it raises is a fault."""
    try:
        return search()
    except Malformed as refusal:
        return type(refusal)


@settings(max_examples=150)
@given(st.lists(made_devices, max_size=5, unique_by=lambda entry: entry.device_id), queries)
def test_devices_are_found_alike(connection: Connection, given: list[Device], query: Query) -> None:
    write_devices(connection, given)

    def in_memory() -> Any:
        page = find_devices(given, query)
        return page.total, [found.device_id for found in page.found]

    def in_database() -> Any:
        total, rows = search_devices(connection, TENANT, query)
        return total, [device_of(row).device_id for row in rows]

    assert outcome(in_database) == outcome(in_memory)


@settings(max_examples=60)
@given(st.lists(made_devices, max_size=5, unique_by=lambda entry: entry.device_id), queries, ids, st.integers(1, 3))
def test_ids_and_groups_are_found_alike(
    connection: Connection, given: list[Device], query: Query, after: str, limit: int
) -> None:
    write_devices(connection, given)
    behind = DeviceId(after)
    assert outcome(lambda: in_sql.find_device_ids(connection, TENANT, query, after=behind, limit=limit)) == outcome(
        lambda: find_device_ids(given, query, after=behind, limit=limit)
    )
    assert in_sql.find_groups(connection, TENANT, after=after, limit=limit, members_max=2) == find_groups(
        given, after=after, limit=limit, members_max=2
    )


@settings(max_examples=200)
@given(
    st.lists(made_tenants, max_size=4, unique_by=(lambda entry: entry.tenant_id, lambda entry: entry.alias)), queries
)
def test_tenants_are_found_alike(connection: Connection, given: list[Tenant], query: Query) -> None:
    write_tenants(connection, given)

    def in_memory() -> Any:
        page = find_tenants(given, query)
        return page.total, [found.tenant_id for found in page.found]

    def in_database() -> Any:
        total, rows = search_tenants(connection, query)
        return total, [tenant_of(row, ()).tenant_id for row in rows]

    assert outcome(in_database) == outcome(in_memory)


@pytest.mark.parametrize("value", [True, 7, 1e-7, "text", "text*", "2026-01-01T00:00:00Z", "2026-*"])
def test_every_search_can_be_said_to_postgresql(value: Value) -> None:
    statements = [groups_statement(TENANT, "after", 3, 3)]
    for pointer in [*KNOWN, ("ext", "a"), ("ext", "a", "0"), ("ext", '"'), ("defaults", "\\", "1", "2")]:
        query = Query(filters=[Filter(pointer=pointer, value=value)], is_gateway=True, tenants=frozenset({"a"}))
        with suppress(PointerUnsearchable):
            statements += [devices_statement(TENANT, query), ids_statement(TENANT, query, DeviceId("a"), 5)]
        with suppress(PointerUnsearchable):
            statements.append(tenants_statement(query))
        query = Query(sorts=[Sort(pointer=pointer, descending=value is True)])
        with suppress(PointerUnsearchable):
            statements.append(devices_statement(TENANT, query))
        with suppress(PointerUnsearchable):
            statements.append(tenants_statement(query))
    assert len(statements) > 2 * len(KNOWN)
    for statement in statements:
        said = str(statement.compile(dialect=POSTGRESQL))
        assert "json_" not in said.replace("jsonb_", "") and "GLOB" not in said


@pytest.mark.parametrize("dialect", [POSTGRESQL, SQLITE])
def test_nothing_that_is_asked_for_becomes_text_of_the_statement(dialect: Dialect) -> None:
    filters = [
        Filter(pointer=("ext", "needle", word), value=value) for word in ("x", "7") for value in ("needle", "n*e")
    ]
    numbered = [Filter(pointer=("ext", "x"), value=value) for value in (987654321, 98765.4321, True)]
    query = Query(filters=[*filters, *numbered], sorts=[Sort(pointer=("defaults", "needle"))], page_offset=98765)
    text = str(devices_statement(TENANT, query).compile(dialect=dialect))
    assert not [told for told in ("needle", "n*e", "n%e", "98765", "acme") if told in text]
