"""What every driver of `registry.ports.Publications` promises, with the writes that give it something to tell."""

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from kernel.errors import Unavailable
from kernel.ids import DeviceId
from registry.notifications import RecordedChange
from storage import publications
from tenant.audit import AuditRow
from tests.support.stores import (
    DEED,
    DRIVERS,
    NOW,
    TENANT,
    AnyStore,
    anchor,
    credential,
    device,
    open_sqlite,
    opened,
    order,
    put,
    tenant,
)
from tests.support.waiting import until_blocking

SENSOR = DeviceId("sensor-1")


@pytest.fixture(params=DRIVERS)
def store(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[AnyStore]:
    with opened(request.param, tmp_path, audit_rows_max=100) as store:
        assert store.publications.take_turn()
        yield store


def told(store: AnyStore, *, limit: int = 500) -> list[RecordedChange]:
    """All there is, page by page, each noted."""
    found: list[RecordedChange] = []
    while store.publications.may_have_more():
        page = store.publications.read(limit=limit)
        assert len(page.changes) <= limit
        found += page.changes
        store.publications.note(page)
    return found


def names(changes: list[RecordedChange]) -> list[str]:
    return [change.what for change in changes]


def test_where_nothing_was_changed_there_is_nothing_to_tell(store: AnyStore) -> None:
    assert told(store) == []
    assert not store.publications.may_have_more()


@pytest.mark.parametrize("limit", [1, 2, 500])
async def test_every_write_is_told_once_in_the_order_of_commits(store: AnyStore, limit: int) -> None:
    store.tenants.create(tenant(TENANT, anchor()), DEED)
    await store.connect_path.provision(order("stranger"))
    store.devices.create(device(), DEED, devices_max=-1)
    store.devices.replace_credentials(TENANT, SENSOR, lambda _: [credential()], DEED, expected_version=None)
    store.devices.replace(device(enabled=False), DEED, expected_version=None)
    store.devices.delete(TENANT, SENSOR, DEED, expected_version=None)
    await store.connect_path.provision(order("another"))
    store.devices.delete_all(TENANT, DEED)
    store.tenants.replace(tenant(TENANT, anchor(), enabled=False), DEED, expected_version=None)
    store.tenants.delete(TENANT, DEED, expected_version=None)
    changes = told(store, limit=limit)
    assert [(change.what, change.device_id, change.enabled, change.with_credentials) for change in changes] == [
        ("tenant.created", None, True, False),
        ("device.provisioned", "stranger", True, True),
        ("device.created", SENSOR, True, False),
        ("credentials.updated", SENSOR, True, False),
        ("device.updated", SENSOR, False, False),
        ("device.deleted", SENSOR, True, False),
        ("device.provisioned", "another", True, True),
        ("devices.deleted", None, True, False),
        ("tenant.updated", None, False, False),
        ("tenant.deleted", None, True, False),
    ]
    assert {change.tenant_id for change in changes} == {TENANT}
    assert {change.moment for change in changes} == {NOW}
    assert [change.position for change in changes] == sorted({change.position for change in changes})
    assert told(store) == []


def test_a_device_created_with_credentials_is_told_so(store: AnyStore) -> None:
    store.tenants.create(tenant(TENANT), DEED)
    store.devices.create(device(), DEED, devices_max=-1, credentials=[credential()])
    assert [change.with_credentials for change in told(store)] == [False, True]


@pytest.mark.parametrize(("wish", "expected"), [(True, True), (False, False), ("true", False), (None, False)])
def test_a_tenant_s_wish_to_have_caches_emptied_is_told(store: AnyStore, wish: object, expected: bool) -> None:
    store.tenants.create(tenant(TENANT, ext={"invalidate-cache-on-update": wish}), DEED)
    assert [change.invalidates for change in told(store)] == [expected]


def test_each_of_many_devices_written_at_once_is_told(store: AnyStore) -> None:
    store.tenants.create(tenant(TENANT), DEED)
    ids = [DeviceId(f"d{number}") for number in range(3)]
    for device_id in ids:
        store.devices.create(device(device_id), DEED, devices_max=-1)
    told(store)
    store.devices.set_enabled(TENANT, ids, DEED, enabled=False)
    store.devices.delete_many(TENANT, ids, DEED)
    changes = told(store)
    assert sorted((change.what, change.device_id or "", change.enabled) for change in changes) == [
        *(("device.deleted", f"d{number}", True) for number in range(3)),
        *(("device.updated", f"d{number}", False) for number in range(3)),
    ]


def test_what_was_read_and_not_noted_is_read_again(store: AnyStore) -> None:
    store.tenants.create(tenant(TENANT), DEED)
    first = store.publications.read(limit=10)
    assert store.publications.may_have_more()
    assert store.publications.read(limit=10) == first
    store.publications.note(first)
    assert not store.publications.may_have_more()


def test_refusals_are_nobody_else_s_business(store: AnyStore) -> None:
    store.tenants.create(tenant(TENANT), DEED)
    for _ in range(3):
        store.connect_path.record(AuditRow(moment=NOW, what="device.refused", code="untrusted-issuer"))
    put(store, device())
    assert names(told(store)) == ["tenant.created", "device.created"]


def test_what_made_room_before_it_was_told_is_said_to_be_missed(store: AnyStore) -> None:
    store.tenants.create(tenant(TENANT), DEED)
    put(store, device())
    told(store)
    for number in range(1_000):
        store.devices.set_enabled(TENANT, [SENSOR], DEED, enabled=number % 2 == 0)
    page = store.publications.read(limit=10_000)
    assert page.missed > 0
    assert page.missed + len(page.changes) == 1_000, "every change was either told or said to be missed"
    store.publications.note(page)
    assert store.publications.read(limit=10).missed == 0


def test_a_process_that_has_told_everything_misses_nothing_however_many_are_refused(store: AnyStore) -> None:
    store.tenants.create(tenant(TENANT), DEED)
    told(store)
    for _ in range(5):
        for _ in range(50):
            store.connect_path.record(AuditRow(moment=NOW, what="device.refused", code="untrusted-issuer"))
        told(store)
    put(store, device())
    page = store.publications.read(limit=10)
    assert page.missed == 0
    assert names(list(page.changes)) in ([], ["device.created"])


# What only a database on a disk can promise.


def test_one_process_at_a_time_has_the_turn_and_the_next_goes_on_where_it_was(tmp_path: Path) -> None:
    first, second = open_sqlite(tmp_path), open_sqlite(tmp_path)
    assert first.publications.take_turn() and first.publications.take_turn()
    assert not second.publications.take_turn()
    assert not second.publications.may_have_more()
    first.tenants.create(tenant("one"), DEED)
    first.tenants.create(tenant("two"), DEED)
    page = first.publications.read(limit=1)
    first.publications.note(page)
    first.close()
    assert second.publications.take_turn()
    assert [change.tenant_id for change in told(second)] == ["two"]
    second.close()


def test_what_was_changed_while_nobody_ran_is_told_by_whoever_comes(tmp_path: Path) -> None:
    command_line = open_sqlite(tmp_path)
    command_line.tenants.create(tenant(TENANT), DEED)
    command_line.close()
    gateway = open_sqlite(tmp_path)
    assert gateway.publications.take_turn()
    assert names(told(gateway)) == ["tenant.created"]
    gateway.close()


def test_who_does_not_have_the_turn_reads_nothing(tmp_path: Path) -> None:
    store = open_sqlite(tmp_path)
    with pytest.raises(Unavailable):
        store.publications.read(limit=1)
    store.close()


def test_a_change_by_another_process_is_noticed(tmp_path: Path) -> None:
    gateway, command_line = open_sqlite(tmp_path), open_sqlite(tmp_path)
    assert gateway.publications.take_turn()
    assert told(gateway) == [] and not gateway.publications.may_have_more()
    command_line.tenants.create(replace(tenant(TENANT), ext={"a": 1}), DEED)
    assert gateway.publications.may_have_more()
    assert names(told(gateway)) == ["tenant.created"]
    gateway.close()
    command_line.close()


def test_refusals_that_made_room_are_not_taken_for_changes_after_a_restart(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(publications, "NOTE_EVERY", 100)
    gateway = open_sqlite(tmp_path, audit_rows_max=100)
    assert gateway.publications.take_turn()
    for _ in range(300):
        gateway.connect_path.record(AuditRow(moment=NOW, what="device.refused", code="untrusted-issuer"))
    until_blocking(lambda: gateway.audit.last_position() == 300)
    assert told(gateway) == []
    gateway.close()
    command_line = open_sqlite(tmp_path, audit_rows_max=100)
    command_line.tenants.create(tenant(TENANT), DEED)
    command_line.close()
    again = open_sqlite(tmp_path, audit_rows_max=100)
    assert again.publications.take_turn()
    page = again.publications.read(limit=10)
    assert (names(list(page.changes)), page.missed) == (["tenant.created"], 0)
    again.close()
