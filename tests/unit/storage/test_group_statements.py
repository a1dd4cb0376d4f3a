"""A group's statements on a database in memory: any number of rows, and never a look at every row of a table."""

import sqlite3
from collections.abc import Iterator
from contextlib import closing

import pytest
from sqlalchemy import create_engine
from sqlalchemy.pool import StaticPool

from registry.model import KnownDevice
from storage.connect_path import sqlite as lookups
from storage.connect_path import sqlite_group
from storage.connect_path.sqlite_group import GroupStatements
from storage.schema import metadata
from tenant.audit import AuditRow
from tests.support.stores import ANCHOR, NOW, TENANT, order


@pytest.fixture
def connection() -> Iterator[sqlite3.Connection]:
    with closing(sqlite3.connect(":memory:", isolation_level=None)) as connection:
        engine = create_engine("sqlite+pysqlite://", creator=lambda: connection, poolclass=StaticPool)
        metadata.create_all(engine)
        connection.execute("PRAGMA foreign_keys=ON")
        connection.execute("INSERT INTO tenants (tenant_id, enabled, version) VALUES (?, 1, '1')", (TENANT,))
        connection.execute(
            """INSERT INTO trust_anchors (tenant_id, anchor_id, ordinal, identity_hex, subject_dn, public_key_der,
            not_before, not_after, may_auto_provision, provisions_gateways) VALUES (?, ?, 0, '', '', '', 0, 0, 1, 0)""",
            (TENANT, ANCHOR),
        )
        yield connection


def count(connection: sqlite3.Connection, table: str) -> int:
    return int(connection.execute(f"SELECT count(*) FROM {table}").fetchone()[0])


@pytest.mark.parametrize("orders", [1, 2, 3, 7, 32, 33, 64, 255, 256, 257, 600])
def test_a_group_of_any_size_is_written_whole_and_then_known(connection: sqlite3.Connection, orders: int) -> None:
    group = GroupStatements(connection, audit_rows_max=1000)
    asked = [order(f"d{number}") for number in range(orders)]
    outcomes = group.provision(asked)
    assert [outcome.device.device_id for outcome in outcomes if isinstance(outcome, KnownDevice)] == [
        entry.device_id for entry in asked
    ]
    group.audit([])
    assert [count(connection, table) for table in ("devices", "credentials", "audit")] == [orders] * 3
    assert group.provision(asked) == outcomes
    group.audit([])
    assert count(connection, "audit") == orders
    group.mark_notified([(TENANT, entry.device_id) for entry in asked], NOW)
    assert count(connection, "devices WHERE notification_sent AND updated IS NOT NULL") == orders
    assert count(connection, "(SELECT DISTINCT version FROM devices)") == orders


@pytest.mark.parametrize("rows", [1, 99, 100, 101, 250])
def test_the_audit_never_holds_more_rows_than_it_may(connection: sqlite3.Connection, rows: int) -> None:
    group = GroupStatements(connection, audit_rows_max=100)
    refusals = [AuditRow(moment=NOW, what="device.refused", code="untrusted-issuer")]
    for _ in range(2):
        group.audit(refusals * rows)
    assert count(connection, "audit") == min(100, 2 * rows)
    assert connection.execute("SELECT max(position) FROM audit").fetchone() == (2 * rows,)


def test_refusals_never_push_out_what_was_done(connection: sqlite3.Connection) -> None:
    group = GroupStatements(connection, audit_rows_max=100)
    group.provision([order("d")])
    group.audit([])
    for _ in range(3):
        group.audit([AuditRow(moment=NOW, what="device.refused")] * 1000)
    assert count(connection, "audit WHERE what = 'device.provisioned'") == 1
    assert count(connection, "audit WHERE what = 'device.refused'") == 100


def test_what_was_done_is_bounded_too(connection: sqlite3.Connection) -> None:
    group = GroupStatements(connection, audit_rows_max=100)
    for _ in range(30):
        group.audit([AuditRow(moment=NOW, what="device.provisioned")] * 100)
    assert count(connection, "audit") <= 100 + sqlite_group.PRUNE_OF_DEVICES_EVERY
    assert connection.execute("SELECT max(position) FROM audit").fetchone() == (3000,)


@pytest.mark.parametrize(
    ("statement", "parameters"),
    [
        (lookups._FIND_BY_CREDENTIAL, 3),
        (lookups._FIND_DEVICE, 2),
        (lookups._COUNT_DEVICES, 1),
        (lookups._DUE, 2),
        (sqlite_group._statement(sqlite_group._EXCEPTIONS, 3, 5), 15),
        (sqlite_group._statement(sqlite_group._MARK_NOTIFIED, 3, 4), 12),
        (sqlite_group._PRUNE_REFUSALS, 1),
    ],
)
def test_no_statement_of_the_connect_path_reads_a_whole_table(
    connection: sqlite3.Connection, statement: str, parameters: int
) -> None:
    plan = [row[3] for row in connection.execute("EXPLAIN QUERY PLAN " + statement, [None] * parameters)]
    scans = [step for step in plan if step.startswith("SCAN") and "CONSTANT ROW" not in step and step != "SCAN o"]
    assert any(step.startswith("SEARCH") for step in plan)
    assert scans == []
    assert not any("TEMP B-TREE" in step for step in plan)
