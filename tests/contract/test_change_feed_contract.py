"""What every driver of `tenant.ports.ChangeFeed` promises, with the repositories that cause its changes."""

import logging
from collections.abc import Iterator
from pathlib import Path

import pytest

from kernel.errors import VersionMismatch
from kernel.ids import AnchorId, DeviceId, TenantId
from registry.errors import DeviceUnknown
from tenant.errors import AnchorTaken, TenantExists
from tenant.model import Tenant
from tenant.ports import Change, ChangeKind
from tests.support.stores import (
    DEED,
    DRIVERS,
    TENANT,
    AnyStore,
    Heard,
    anchor,
    credential,
    device,
    opened,
    order,
    put,
    tenant,
)


@pytest.fixture(params=DRIVERS)
def store(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[AnyStore]:
    with opened(request.param, tmp_path, change_rows_max=100) as store:
        yield store


def test_nothing_is_delivered_where_nothing_changed(store: AnyStore) -> None:
    heard = Heard(store.feed)
    store.feed.catch_up()
    assert heard.changes == []


def test_a_new_tenant_is_delivered_whole_and_once(store: AnyStore) -> None:
    heard = Heard(store.feed)
    created = tenant(TENANT, anchor("b-ca"), anchor("a-ca", name="CN=Other"))
    store.tenants.create(created, DEED)
    assert heard.changes == []
    store.feed.catch_up()
    store.feed.catch_up()
    assert heard.changes == [Change(kind=ChangeKind.TENANT, tenant_id=TENANT, tenant=created)]


def test_every_subscriber_hears_every_change_in_order(store: AnyStore) -> None:
    first, second = Heard(store.feed), Heard(store.feed)
    for name in ("one", "two", "three"):
        store.tenants.create(tenant(name), DEED)
    store.feed.catch_up()
    assert [change.tenant_id for change in first.changes] == ["one", "two", "three"]
    assert first.changes == second.changes


def test_a_replaced_tenant_is_delivered_as_it_is_now_and_each_lost_anchor_by_name(store: AnyStore) -> None:
    store.tenants.create(tenant(TENANT, anchor("old-ca"), anchor("kept-ca"), anchor("renewed-ca")), DEED)
    store.feed.catch_up()
    heard = Heard(store.feed)
    renewed = anchor("renewed-ca", name="CN=Renewed")
    now = tenant(TENANT, renewed, anchor("kept-ca", may_auto_provision=False), version="2")
    store.tenants.replace(now, DEED, expected_version=None)
    store.feed.catch_up()
    assert heard.changes == [
        Change(kind=ChangeKind.TENANT, tenant_id=TENANT, tenant=now),
        Change(kind=ChangeKind.ANCHOR_REMOVED, tenant_id=TENANT, anchor_id=AnchorId("old-ca")),
        Change(kind=ChangeKind.ANCHOR_REMOVED, tenant_id=TENANT, anchor_id=AnchorId("renewed-ca")),
    ]


def test_a_deleted_tenant_takes_its_anchors_along(store: AnyStore) -> None:
    store.tenants.create(tenant(TENANT, anchor()), DEED)
    store.feed.catch_up()
    heard = Heard(store.feed)
    store.tenants.delete(TENANT, DEED, expected_version=None)
    store.feed.catch_up()
    assert heard.changes == [
        Change(kind=ChangeKind.ANCHOR_REMOVED, tenant_id=TENANT, anchor_id=AnchorId("plant-ca")),
        Change(kind=ChangeKind.TENANT_DELETED, tenant_id=TENANT),
    ]


def test_a_tenant_that_came_and_went_between_two_looks_is_delivered_as_gone(store: AnyStore) -> None:
    heard = Heard(store.feed)
    store.tenants.create(tenant(TENANT), DEED)
    store.tenants.delete(TENANT, DEED, expected_version=None)
    store.feed.catch_up()
    assert heard.kinds()[-1] == "tenant-deleted"
    assert all(change.tenant is not None for change in heard.changes if change.kind is ChangeKind.TENANT)


def test_a_tenant_deleted_and_made_anew_ends_as_it_is_now(store: AnyStore) -> None:
    heard = Heard(store.feed)
    store.tenants.create(tenant(TENANT, alias="old"), DEED)
    store.tenants.delete(TENANT, DEED, expected_version=None)
    store.tenants.create(tenant(TENANT, alias="new"), DEED)
    store.feed.catch_up()
    assert heard.changes[-1] == Change(kind=ChangeKind.TENANT, tenant_id=TENANT, tenant=tenant(TENANT, alias="new"))


def test_devices_are_delivered_with_their_new_state(store: AnyStore) -> None:
    store.tenants.create(tenant(TENANT), DEED)
    put(store, device("sensor-1"))
    store.feed.catch_up()
    heard = Heard(store.feed)
    name = DeviceId("sensor-1")
    store.devices.set_enabled(TENANT, [name], DEED, enabled=False)
    store.devices.set_enabled(TENANT, [name], DEED, enabled=True)
    put(store, device("sensor-1"), [credential("sensor-1")])
    store.devices.delete(TENANT, name, DEED, expected_version=None)
    store.feed.catch_up()
    assert heard.changes == [
        Change(kind=ChangeKind.DEVICE, tenant_id=TENANT, device_id=name, enabled=False),
        Change(kind=ChangeKind.DEVICE, tenant_id=TENANT, device_id=name, enabled=True),
        Change(kind=ChangeKind.DEVICE, tenant_id=TENANT, device_id=name, enabled=True),
        Change(kind=ChangeKind.CREDENTIAL, tenant_id=TENANT, device_id=name),
        Change(kind=ChangeKind.DEVICE_DELETED, tenant_id=TENANT, device_id=name),
    ]


def test_a_new_device_is_told_of_too(store: AnyStore) -> None:
    store.tenants.create(tenant(TENANT), DEED)
    store.feed.catch_up()
    heard = Heard(store.feed)
    for name, enabled in (("on", None), ("off", False)):
        store.devices.create(device(name, enabled=enabled), DEED, devices_max=-1, credentials=[credential(name)])
    store.feed.catch_up()
    assert heard.changes == [
        Change(kind=ChangeKind.DEVICE, tenant_id=TENANT, device_id=DeviceId("on"), enabled=True),
        Change(kind=ChangeKind.DEVICE, tenant_id=TENANT, device_id=DeviceId("off"), enabled=False),
    ]


def test_many_devices_are_told_of_one_by_one_and_all_of_a_tenant_at_once(store: AnyStore) -> None:
    store.tenants.create(tenant(TENANT), DEED)
    names = [DeviceId(name) for name in ("a", "b", "c")]
    for name in names:
        put(store, device(name))
    store.feed.catch_up()
    heard = Heard(store.feed)
    store.devices.set_enabled(TENANT, [*names[:2], DeviceId("nobody")], DEED, enabled=False)
    store.devices.delete_many(TENANT, [*names[1:], DeviceId("nobody")], DEED)
    store.devices.delete_all(TENANT, DEED)
    store.devices.delete_all(TENANT, DEED)
    store.feed.catch_up()
    assert [(change.kind.value, change.device_id, change.enabled) for change in heard.changes] == [
        ("device", "a", False),
        ("device", "b", False),
        ("device-deleted", "b", None),
        ("device-deleted", "c", None),
        ("devices-deleted", None, None),
    ]


async def test_devices_that_provision_themselves_are_no_change(store: AnyStore) -> None:
    store.tenants.create(tenant(TENANT, anchor()), DEED)
    store.feed.catch_up()
    heard = Heard(store.feed)
    await store.connect_path.provision(order("sensor-1"))
    await store.connect_path.mark_notified(TENANT, DeviceId("sensor-1"))
    store.feed.catch_up()
    assert heard.changes == []


def test_a_write_that_was_refused_is_no_change(store: AnyStore) -> None:
    store.tenants.create(tenant(TENANT, anchor()), DEED)
    store.feed.catch_up()
    heard = Heard(store.feed)
    with pytest.raises(TenantExists):
        store.tenants.create(tenant(TENANT), DEED)
    with pytest.raises(AnchorTaken):
        store.tenants.create(tenant("other", anchor()), DEED)
    with pytest.raises(VersionMismatch):
        store.tenants.replace(tenant(TENANT), DEED, expected_version="stale")
    with pytest.raises(DeviceUnknown):
        store.devices.delete(TENANT, DeviceId("nobody"), DEED, expected_version=None)
    store.feed.catch_up()
    assert heard.changes == []


def test_a_subscriber_that_fails_does_not_keep_the_change_from_the_others(
    store: AnyStore, caplog: pytest.LogCaptureFixture
) -> None:
    def failing(change: Change) -> None:
        raise RuntimeError("broken subscriber")

    store.feed.subscribe(failing)
    heard = Heard(store.feed)
    with caplog.at_level(logging.ERROR):
        store.tenants.create(tenant("one"), DEED)
        store.tenants.create(tenant("two"), DEED)
        store.feed.catch_up()
    assert [change.tenant_id for change in heard.changes] == ["one", "two"]
    assert [record.getMessage() for record in caplog.records] == ["change.undelivered"] * 2


def test_a_subscriber_may_ask_for_everything_and_for_more_while_it_is_told(store: AnyStore) -> None:
    seen: list[list[Tenant]] = []

    def curious(change: Change) -> None:
        store.feed.catch_up()
        seen.append(list(store.feed.all_tenants()))

    store.feed.subscribe(curious)
    heard = Heard(store.feed)
    store.tenants.create(tenant("one"), DEED)
    store.feed.catch_up()
    assert seen == [[tenant("one")]]
    assert [change.tenant_id for change in heard.changes] == ["one"]


def test_whoever_is_too_far_behind_is_told_to_read_everything_again(store: AnyStore) -> None:
    heard = Heard(store.feed)
    store.tenants.create(tenant(TENANT), DEED)
    put(store, device("sensor-1"))
    for number in range(101):
        store.devices.set_enabled(TENANT, [DeviceId("sensor-1")], DEED, enabled=number % 2 == 0)
    store.feed.catch_up()
    assert heard.changes == [Change(kind=ChangeKind.RESET)]
    assert store.feed.all_tenants() == [tenant(TENANT)]
    store.tenants.create(tenant("later"), DEED)
    store.feed.catch_up()
    assert heard.kinds() == ["reset", "tenant"]


def test_whoever_is_just_near_enough_misses_nothing(store: AnyStore) -> None:
    store.tenants.create(tenant(TENANT), DEED)
    put(store, device("sensor-1"))
    store.feed.catch_up()
    heard = Heard(store.feed)
    for number in range(100):
        store.devices.set_enabled(TENANT, [DeviceId("sensor-1")], DEED, enabled=number % 2 == 0)
    store.feed.catch_up()
    assert [change.enabled for change in heard.changes] == [True, False] * 50


def test_all_tenants_come_with_their_anchors_in_the_tenants_own_order(store: AnyStore) -> None:
    zebra = tenant("zebra", anchor("z-ca", name="CN=z"), anchor("a-ca", name="CN=a"))
    ant = tenant("ant", anchor("m-ca", name="CN=m"))
    for entry in (zebra, ant, tenant("none")):
        store.tenants.create(entry, DEED)
    assert store.feed.all_tenants() == [ant, tenant("none"), zebra]


def test_what_happened_before_all_tenants_was_asked_for_is_in_its_answer(store: AnyStore) -> None:
    heard = Heard(store.feed)
    store.tenants.create(tenant(TENANT), DEED)
    assert store.feed.all_tenants() == [tenant(TENANT)]
    store.tenants.replace(tenant(TENANT, alias="now", version="2"), DEED, expected_version="acme-1")
    store.feed.catch_up()
    assert heard.changes[-1].tenant == tenant(TENANT, alias="now", version="2")


def test_an_id_in_any_script_travels_through_the_feed(store: AnyStore) -> None:
    heard = Heard(store.feed)
    name = TenantId("m\x00ß'; --")
    store.tenants.create(tenant(name, anchor("ca\x00", name="CN=\x00'")), DEED)
    store.feed.catch_up()
    assert heard.changes == [
        Change(kind=ChangeKind.TENANT, tenant_id=name, tenant=tenant(name, anchor("ca\x00", name="CN=\x00'")))
    ]
