"""The SQLite driver under pressure: a database that others hold, too much waiting, an end with work in hand."""

import asyncio
import sqlite3
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any

import pytest

from kernel.clock import SystemClock
from kernel.errors import Unavailable
from kernel.ids import DeviceId
from registry.errors import StorageUnavailable
from registry.model import X509_CERT, KnownDevice
from storage.connect_path import sqlite_writer
from storage.connect_path.sqlite_thread import WriterThread
from storage.database import DATABASE_FILE
from storage.open import Store
from storage.repositories import devices as devices_module
from storage.repositories import tenants as tenants_module
from tenant.audit import AuditRow
from tests.support.stores import DEED, NOW, TENANT, anchor, device, open_sqlite, order, put, rows_of_devices, tenant
from tests.support.waiting import until


@contextmanager
def opened(data_dir: Path, **settings: Any) -> Iterator[Store]:
    store = open_sqlite(data_dir, **settings)
    if store.tenants.find(TENANT) is None:
        store.tenants.create(tenant(TENANT, anchor()), DEED)
    try:
        yield store
    finally:
        store.close()


@contextmanager
def held(data_dir: Path) -> Iterator[None]:
    """Another process is writing, and takes its time."""
    with closing(sqlite3.connect(data_dir / DATABASE_FILE, isolation_level=None)) as other:
        other.execute("BEGIN IMMEDIATE")
        yield
        other.execute("ROLLBACK")


def refused(number: int) -> AuditRow:
    return AuditRow(moment=NOW, what="device.refused", facts={"number": str(number)})


async def test_a_locked_database_is_told_by_name_and_the_next_try_works(tmp_path: Path) -> None:
    with opened(tmp_path, busy_timeout_s=0.1) as store:
        await store.connect_path.provision(order("before"))
        with held(tmp_path):
            with pytest.raises(StorageUnavailable, match="locked"):
                await store.connect_path.provision(order("during"))
            with pytest.raises(StorageUnavailable, match="locked"):
                await store.connect_path.mark_notified(TENANT, DeviceId("before"))
            known = await store.connect_path.find_by_credential(TENANT, X509_CERT, order("before").auth_id)
            assert known is not None and known.notification_due
            with pytest.raises(StorageUnavailable, match="locked"):
                put(store, device("by-hand"))
        assert (await store.connect_path.provision(order("during"))).device.device_id == "during"
        put(store, device("by-hand"))


async def test_the_writer_waits_for_another_process_as_long_as_it_is_told(tmp_path: Path) -> None:
    with opened(tmp_path) as store:
        with held(tmp_path):
            waiting = asyncio.ensure_future(store.connect_path.provision(order("patient")))
            done, _ = await asyncio.wait([waiting], timeout=0.05)
            assert not done
        assert (await waiting).device.device_id == "patient"


async def test_more_orders_than_may_wait_are_refused_at_once_and_the_others_kept(tmp_path: Path) -> None:
    with opened(tmp_path, provisioning_pending_max=5) as store:
        with held(tmp_path):
            asked = [asyncio.ensure_future(store.connect_path.provision(order(f"s-{n}"))) for n in range(8)]
            done, waiting = await asyncio.wait(asked, timeout=10, return_when=asyncio.FIRST_COMPLETED)
            await until(lambda: sum(entry.done() for entry in asked) == 3)
        outcomes = await asyncio.gather(*asked, return_exceptions=True)
        assert [type(outcome) for outcome in outcomes] == [KnownDevice] * 5 + [StorageUnavailable] * 3
        await store.connect_path.provision(order("s-7"))


@pytest.fixture
def groups(monkeypatch: pytest.MonkeyPatch) -> list[tuple[int, int]]:
    """What each transaction took: devices and marks."""
    taken: list[tuple[int, int]] = []
    commit = WriterThread._commit

    def watched(self: WriterThread, orders: Any, marks: Any, audits: Any) -> Any:
        if orders or marks:
            taken.append((len(orders), len(marks)))
        return commit(self, orders, marks, audits)

    monkeypatch.setattr(WriterThread, "_commit", watched)
    return taken


async def test_what_comes_in_one_turn_is_one_transaction(tmp_path: Path, groups: list[tuple[int, int]]) -> None:
    with opened(tmp_path) as store:
        path = store.connect_path
        await asyncio.gather(*(path.provision(order(f"s-{number}")) for number in range(20)))
        await asyncio.gather(*(path.mark_notified(TENANT, DeviceId(f"s-{number}")) for number in range(20)))
    assert groups == [(20, 0), (0, 20)]


async def test_a_device_alone_waits_for_nobody_and_a_storm_shares_its_commits(
    tmp_path: Path, groups: list[tuple[int, int]], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sqlite_writer, "COMPANY_WAIT_S", 60.0)
    monkeypatch.setattr(sqlite_writer, "STORM_S", 60.0)
    monkeypatch.setattr(sqlite_writer, "IDLE_S", -1.0)  # the loop is always busy
    with opened(tmp_path, provisioning_group_max=3) as store:
        path = store.connect_path
        await path.provision(order("alone"))
        await path.mark_notified(TENANT, DeviceId("alone"))
        second = path.provision(order("second"))  # so soon after the first: it waits
        await asyncio.sleep(0)
        third, fourth = path.provision(order("third")), path.provision(order("fourth"))  # until the group is full
        assert [known.device.device_id for known in (await second, await third, await fourth)] == [
            "second",
            "third",
            "fourth",
        ]
        marks = [path.mark_notified(TENANT, DeviceId(name)) for name in ("second", "third")]
        await asyncio.sleep(0)
        assert not any(mark.done() for mark in marks)
    await asyncio.gather(*marks)  # the end does not wait for company
    assert groups == [(1, 0), (0, 1), (3, 0), (0, 2)]


async def test_nobody_waits_for_company_while_there_is_nothing_else_to_do(
    tmp_path: Path, groups: list[tuple[int, int]], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sqlite_writer, "COMPANY_WAIT_S", 60.0)
    monkeypatch.setattr(sqlite_writer, "STORM_S", 60.0)
    with opened(tmp_path, clock=SystemClock()) as store:
        for number in range(3):
            await store.connect_path.provision(order(f"s-{number}"))
            await store.connect_path.mark_notified(TENANT, DeviceId(f"s-{number}"))
    assert groups == [(1, 0), (0, 1)] * 3


async def test_more_than_one_group_takes_is_written_in_several(tmp_path: Path, groups: list[tuple[int, int]]) -> None:
    with opened(tmp_path, provisioning_group_max=8) as store:
        await asyncio.gather(*(store.connect_path.provision(order(f"s-{number}")) for number in range(20)))
    assert groups == [(8, 0), (8, 0), (4, 0)]


async def test_only_what_may_be_done_again_is_not_flushed_to_the_disk(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    flushed: list[tuple[str, bool]] = []
    commit = WriterThread._commit

    def watched(self: WriterThread, orders: Any, marks: Any, audits: Any) -> Any:
        outcomes = commit(self, orders, marks, audits)
        kinds = [kind for kind, entries in (("order", orders), ("mark", marks), ("audit", audits)) if entries]
        if kinds and self._connection is not None:
            (synchronous,) = self._connection.execute("PRAGMA synchronous").fetchone()
            flushed.append(("+".join(kinds), synchronous == 2))
        return outcomes

    monkeypatch.setattr(WriterThread, "_commit", watched)
    monkeypatch.setattr(sqlite_writer, "STORM_S", 0.0)
    with opened(tmp_path) as store:
        path = store.connect_path
        for number in range(2):
            await path.provision(order(f"s-{number}"))
            await path.mark_notified(TENANT, DeviceId(f"s-{number}"))
        await asyncio.gather(path.provision(order("s-2")), path.mark_notified(TENANT, DeviceId("s-0")))
        await path.mark_notified(TENANT, DeviceId("s-2"))
        path.record(refused(1))
    assert flushed == [
        ("order", True),
        ("mark", False),
        ("order", True),
        ("mark", False),
        ("order+mark", True),
        ("mark", False),
        ("audit", True),
    ]


async def test_audit_rows_beyond_the_bound_are_counted_and_the_count_is_written(tmp_path: Path) -> None:
    with opened(tmp_path, audit_pending_max=5) as store:
        with held(tmp_path):
            for number in range(12):
                store.connect_path.record(refused(number))
        await until(lambda: store.audit.last_position() >= 7)
        rows = rows_of_devices(store)
        assert [row.facts.get("number") for row in rows[:5]] == ["0", "1", "2", "3", "4"]
        assert [(row.what, row.facts) for row in rows[5:]] == [("audit.overflowed", {"rows": "7"})]
        await until(lambda: kept_again(store))


def kept_again(store: Store) -> bool:
    """Rows seen in the database may for a moment still count as waiting: then another one is lost, and counted."""
    store.connect_path.record(refused(99))
    rows = store.audit.read(after=7, limit=1000)
    assert all(row.facts == {"number": "99"} or row.what == "audit.overflowed" for row in rows), rows
    return any(row.facts == {"number": "99"} for row in rows)


async def test_a_lost_audit_row_is_told_without_another_one(tmp_path: Path) -> None:
    """The count of what was lost is written although nothing is recorded after it."""
    with opened(tmp_path, audit_pending_max=1) as store:
        with held(tmp_path):
            store.connect_path.record(refused(0))
            store.connect_path.record(refused(1))
        await until(lambda: store.audit.last_position() == 3)
        assert [row.what for row in rows_of_devices(store)] == ["device.refused", "audit.overflowed"]


async def test_audit_rows_that_could_not_be_written_are_written_later(tmp_path: Path) -> None:
    with opened(tmp_path, busy_timeout_s=0.05) as store:
        with held(tmp_path):
            store.connect_path.record(refused(1))
            with pytest.raises(StorageUnavailable):
                await store.connect_path.provision(order("during"))
        await until(lambda: store.audit.last_position() == 2)
        assert rows_of_devices(store)[0].facts == {"number": "1"}


async def test_closing_writes_everything_that_was_taken(tmp_path: Path) -> None:
    with opened(tmp_path) as store:
        asked = [asyncio.ensure_future(store.connect_path.provision(order(f"s-{n}"))) for n in range(700)]
        for number in range(50):
            store.connect_path.record(refused(number))
        await asyncio.sleep(0)
    assert all(isinstance(outcome, KnownDevice) for outcome in await asyncio.gather(*asked))
    with opened(tmp_path) as store:
        assert await store.connect_path.count_devices(TENANT) == 700
        assert len(store.audit.read(after=0, limit=1000, what="device.refused")) == 50


async def test_a_closed_store_refuses_by_name(tmp_path: Path) -> None:
    with opened(tmp_path) as store:
        await store.connect_path.provision(order("s"))
    path = store.connect_path
    store.connect_path.record(refused(1))
    for ask in (
        path.provision(order("late")),
        path.mark_notified(TENANT, DeviceId("s")),
        path.find_by_credential(TENANT, X509_CERT, order("s").auth_id),
        path.find_device(TENANT, DeviceId("s")),
        path.count_devices(TENANT),
        path.due_notifications(before=NOW, limit=1),
    ):
        with pytest.raises(Unavailable):
            await ask
    for read in (store.feed.catch_up, store.feed.all_tenants):
        with pytest.raises(Unavailable):
            read()
    store.close()


async def test_a_database_that_does_not_answer_does_not_end_the_follower(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    with opened(tmp_path) as store:
        pass
    follower = asyncio.ensure_future(store.feed.run())
    await until(lambda: len(caplog.records) >= 2)
    follower.cancel()
    with pytest.raises(asyncio.CancelledError):
        await follower
    assert {record.getMessage() for record in caplog.records} == {"changes.unread"}


async def test_a_tenants_devices_are_removed_in_batches(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tenants_module, "PURGE_BATCH_DEVICES", 4)
    with opened(tmp_path) as store:
        await asyncio.gather(*(store.connect_path.provision(order(f"s-{number}")) for number in range(12)))
        store.tenants.delete(TENANT, DEED, expected_version=None)
        assert store.devices.find_all(TENANT, after=None, limit=100) == []
        assert not store.has_unfinished_purges()


class Killed(BaseException):
    """The process ends here."""


def delete_until_killed(store: Store) -> None:
    """Delete the tenant, but end before the first of its devices is removed."""

    def kill(*_: object) -> None:
        raise Killed

    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(tenants_module.SqlTenants, "_purge", kill)
        with pytest.raises(Killed):
            store.tenants.delete(TENANT, DEED, expected_version=None)
    assert store.tenants.find(TENANT) is None
    assert store.has_unfinished_purges()


async def test_a_deletion_that_was_cut_short_is_finished_by_the_next_start(tmp_path: Path) -> None:
    with opened(tmp_path) as store:
        await asyncio.gather(*(store.connect_path.provision(order(f"s-{number}")) for number in range(12)))
        delete_until_killed(store)
    store = open_sqlite(tmp_path)
    assert store.devices.find_all(TENANT, after=None, limit=100) == []
    assert not store.has_unfinished_purges()
    store.close()


async def test_a_tenant_is_deleted_though_its_devices_cannot_be_removed_now(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    def busy(*_: object) -> bool:
        raise StorageUnavailable("busy")

    with opened(tmp_path) as store:
        await store.connect_path.provision(order("s-1"))
        with pytest.MonkeyPatch.context() as patched:
            patched.setattr(tenants_module, "_purge_batch", busy)
            store.tenants.delete(TENANT, DEED, expected_version=None)
        assert store.tenants.find(TENANT) is None and store.has_unfinished_purges()
        assert "tenant.purge-postponed" in {record.getMessage() for record in caplog.records}
        store.tenants.create(tenant(TENANT), DEED)
        assert store.devices.find_all(TENANT, after=None, limit=100) == []
        assert not store.has_unfinished_purges()


async def test_a_deletion_of_all_devices_that_was_cut_short_says_how_far_it_came(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(devices_module, "DELETE_BATCH_DEVICES", 4)
    removed = 0
    remove = devices_module._remove

    def remove_two_batches(*arguments: Any) -> None:
        nonlocal removed
        if removed == 2:
            raise Killed
        removed += 1
        remove(*arguments)

    with opened(tmp_path) as store:
        await asyncio.gather(*(store.connect_path.provision(order(f"s-{number}")) for number in range(14)))
        with pytest.MonkeyPatch.context() as patched:
            patched.setattr(devices_module, "_remove", remove_two_batches)
            with pytest.raises(Killed):
                store.devices.delete_all(TENANT, DEED)
        assert await store.connect_path.count_devices(TENANT) == 6
        (row,) = store.audit.read(after=0, limit=100, what="devices.deleted")
        assert row.facts == {"devices": "8"}
        assert store.devices.delete_all(TENANT, DEED) == 6
        assert await store.connect_path.count_devices(TENANT) == 0


async def test_a_new_tenant_never_inherits_from_a_deletion_that_was_cut_short(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(tenants_module, "PURGE_BATCH_DEVICES", 4)
    with opened(tmp_path) as store:
        await asyncio.gather(*(store.connect_path.provision(order(f"s-{number}")) for number in range(12)))
        delete_until_killed(store)
        store.tenants.create(tenant(TENANT, anchor()), DEED)
        assert store.devices.find_all(TENANT, after=None, limit=100) == []
        assert await store.connect_path.count_devices(TENANT) == 0
        await store.connect_path.provision(order("s-1", devices_max=1))
