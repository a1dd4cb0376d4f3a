"""What every driver of `registry.ports.DeviceRepository` promises of devices; of credentials see the file beside."""

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from datetime import timedelta
from pathlib import Path

import pytest

from kernel.errors import Malformed, TuhonoError, VersionMismatch
from kernel.ids import AuthId, DeviceId, TenantId
from registry.errors import CredentialTaken, DeviceExists, DeviceLimitReached, DeviceUnknown
from registry.model import X509_CERT, CommandEndpoint, Device, DeviceStatus
from storage.repositories import devices as devices_module
from tenant.errors import TenantUnknown
from tests.support.stores import (
    DEED,
    DRIVERS,
    NOW,
    TENANT,
    AnyStore,
    anchor,
    credential,
    credentials_of,
    deed_at,
    device,
    open_sqlite,
    opened,
    order,
    put,
    tenant,
)

SENSOR = DeviceId("sensor-1")
OTHER = TenantId("other")
LATER = NOW + timedelta(seconds=3)


@pytest.fixture(params=DRIVERS)
def store(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[AnyStore]:
    with opened(request.param, tmp_path) as store:
        store.tenants.create(tenant(TENANT, anchor()), DEED)
        store.tenants.create(tenant(OTHER), DEED)
        yield store


def ids(store: AnyStore, tenant_id: str = TENANT) -> list[str]:
    return [entry.device_id for entry in store.devices.find_all(TenantId(tenant_id), after=None, limit=10_000)]


def full_device(name: str = SENSOR) -> Device:
    return device(
        name,
        enabled=False,
        via=(DeviceId("gw-2"), DeviceId("gw-1")),
        via_groups=("north",),
        member_of=("south",),
        authorities=("auto-provisioning-enabled",),
        defaults={"ttl": 5},
        ext={"deep": [{"x": None}]},
        downstream_mapper="down",
        upstream_mapper="up",
        command_endpoint=CommandEndpoint(uri="https://x", headers={"a": "b"}, payload_properties={"c": "d"}),
        status=DeviceStatus(
            created=NOW,
            updated=NOW + timedelta(microseconds=7),
            auto_provisioned=True,
            notification_sent=True,
            last_user="ann",
            gateway_id=DeviceId("gw-1"),
        ),
    )


def test_a_device_comes_back_as_it_was_given(store: AnyStore) -> None:
    store.devices.create(full_device(), DEED, devices_max=-1)
    assert store.devices.find(TENANT, SENSOR) == full_device()
    bare = device("bare", command_endpoint=CommandEndpoint())
    store.devices.create(bare, DEED, devices_max=-1)
    assert store.devices.find(TENANT, bare.device_id) == bare


def test_what_was_never_set_stays_unset(store: AnyStore) -> None:
    store.devices.create(device(SENSOR), DEED, devices_max=-1)
    found = store.devices.find(TENANT, SENSOR)
    assert found == device(SENSOR)
    assert found is not None and found.enabled is None


def test_an_unknown_device_is_none(store: AnyStore) -> None:
    assert store.devices.find(TENANT, SENSOR) is None
    assert store.devices.find_all(TENANT, after=None, limit=5) == []


def test_devices_are_paged_in_the_order_of_ids_within_their_tenant(store: AnyStore) -> None:
    names = ["B", "a", "a:1", "b", "é"]
    for name in reversed(names):
        put(store, device(name))
    put(store, device("a", tenant_id=OTHER))

    def page(after: str | None, limit: int) -> list[str]:
        found = store.devices.find_all(TENANT, after=None if after is None else DeviceId(after), limit=limit)
        return [entry.device_id for entry in found]

    assert page(None, 10) == names
    assert page(None, 2) == names[:2]
    assert page("a", 2) == names[2:4]
    assert page("aa", 1) == ["b"]
    assert page("é", 5) == []


def test_a_taken_id_is_refused_and_the_holder_untouched(store: AnyStore) -> None:
    store.devices.create(full_device(), DEED, devices_max=-1)
    with pytest.raises(DeviceExists):
        store.devices.create(device(SENSOR), DEED, devices_max=-1)
    assert store.devices.find(TENANT, SENSOR) == full_device()
    store.devices.create(device(SENSOR, tenant_id=OTHER), DEED, devices_max=-1)


def test_a_device_of_no_tenant_is_refused(store: AnyStore) -> None:
    with pytest.raises(TenantUnknown):
        store.devices.create(device(SENSOR, tenant_id="nobody"), DEED, devices_max=-1)
    assert ids(store, "nobody") == []


@pytest.mark.parametrize("devices_max", [0, 2])
async def test_a_tenant_holds_no_more_devices_than_it_may(store: AnyStore, devices_max: int) -> None:
    for number in range(devices_max):
        store.devices.create(device(f"d{number}"), DEED, devices_max=devices_max)
    with pytest.raises(DeviceLimitReached):
        store.devices.create(device("beyond"), DEED, devices_max=devices_max)
    assert await store.connect_path.count_devices(TENANT) == devices_max
    store.devices.create(device("beyond"), DEED, devices_max=-1)


async def test_a_device_whose_credential_is_taken_is_not_created(store: AnyStore) -> None:
    put(store, device("holder"), [credential("holder", auth_id="CN=x")])
    with pytest.raises(CredentialTaken):
        store.devices.create(
            device(SENSOR),
            DEED,
            devices_max=-1,
            credentials=[credential(SENSOR, auth_id="CN=x", type="psk"), credential(SENSOR, auth_id="CN=x")],
        )
    assert store.devices.find(TENANT, SENSOR) is None
    assert await store.connect_path.count_devices(TENANT) == 1
    assert await store.connect_path.find_by_credential(TENANT, "psk", AuthId("CN=x")) is None


async def test_replacing_keeps_what_only_the_registry_knows(store: AnyStore) -> None:
    before = full_device()
    store.devices.create(before, DEED, devices_max=-1, credentials=[credential(SENSOR)])
    status = DeviceStatus(created=LATER, updated=LATER, last_user="bob", gateway_id=DeviceId("gw-9"))
    after = device(SENSOR, ext={"a": 1}, status=status, version="2")
    store.devices.replace(after, DEED, expected_version=before.version)
    kept = replace(before.status, updated=LATER, last_user="bob")
    assert store.devices.find(TENANT, SENSOR) == replace(after, status=kept)
    assert credentials_of(store, TENANT, SENSOR) == [credential(SENSOR)]
    assert await store.connect_path.count_devices(TENANT) == 1


async def test_replacing_keeps_the_queued_event(store: AnyStore) -> None:
    known = await store.connect_path.provision(order(SENSOR))
    store.devices.replace(replace(known.device, ext={}), DEED, expected_version=None)
    (due,) = await store.connect_path.due_notifications(before=NOW + timedelta(days=1), limit=9)
    assert (due.device_id, due.ext) == (SENSOR, {})


def test_every_write_has_a_version_of_its_own(store: AnyStore) -> None:
    versions = set()
    store.devices.create(replace(device(SENSOR), version=""), DEED, devices_max=-1)
    for _ in range(3):
        found = store.devices.find(TENANT, SENSOR)
        assert found is not None
        versions.add(found.version)
        store.devices.replace(found, DEED, expected_version=found.version)
    assert len(versions) == 3
    assert "" not in versions


def test_a_stale_version_is_refused(store: AnyStore) -> None:
    store.devices.create(device(SENSOR), DEED, devices_max=-1)
    with pytest.raises(VersionMismatch):
        store.devices.replace(device(SENSOR, ext={"a": 1}), DEED, expected_version="stale")
    with pytest.raises(VersionMismatch):
        store.devices.delete(TENANT, SENSOR, DEED, expected_version="stale")
    assert store.devices.find(TENANT, SENSOR) == device(SENSOR)
    store.devices.delete(TENANT, SENSOR, DEED, expected_version="1")


def test_an_unknown_device_is_neither_replaced_nor_switched_nor_deleted(store: AnyStore) -> None:
    put(store, device(SENSOR, tenant_id=OTHER))
    with pytest.raises(DeviceUnknown):
        store.devices.replace(device(SENSOR), DEED, expected_version="1")
    with pytest.raises(DeviceUnknown):
        store.devices.delete(TENANT, SENSOR, DEED, expected_version=None)
    assert store.devices.set_enabled(TENANT, [SENSOR], DEED, enabled=False) == []
    assert store.devices.delete_many(TENANT, [SENSOR], DEED) == []
    assert store.devices.find(OTHER, SENSOR) == device(SENSOR, tenant_id=OTHER)


async def test_switching_a_device_off_and_on_is_an_update(store: AnyStore) -> None:
    known = await store.connect_path.provision(order(SENSOR))
    assert store.devices.set_enabled(TENANT, [SENSOR], deed_at(LATER), enabled=False) == [SENSOR]
    off = store.devices.find(TENANT, SENSOR)
    assert off is not None
    assert (off.is_enabled, off.status.updated, off.status.created) == (False, LATER, NOW)
    assert (off.status.auto_provisioned, off.status.last_user) == (True, DEED.actor)
    assert off.version != known.device.version
    found = await store.connect_path.find_by_credential(TENANT, X509_CERT, AuthId("CN=sensor-1"))
    assert found is not None and found.device == off
    store.devices.set_enabled(TENANT, [SENSOR], deed_at(LATER), enabled=True)
    on = store.devices.find(TENANT, SENSOR)
    assert on is not None and on.enabled is True
    assert on.version not in (off.version, known.device.version)


async def test_switching_off_is_not_undone_by_the_device_coming_again(store: AnyStore) -> None:
    await store.connect_path.provision(order(SENSOR))
    store.devices.set_enabled(TENANT, [SENSOR], DEED, enabled=False)
    again = await store.connect_path.provision(order("new-id", auth_id="CN=sensor-1"))
    await store.connect_path.mark_notified(TENANT, SENSOR)
    assert (again.device.device_id, again.device.is_enabled) == (SENSOR, False)
    assert [entry.is_enabled for entry in store.devices.find_all(TENANT, after=None, limit=9)] == [False]


async def test_many_are_switched_and_deleted_and_only_those_on_record(
    store: AnyStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(devices_module, "IDS_PER_QUERY_MAX", 5)
    names = [DeviceId(f"d{number:02}") for number in range(24)]
    for name in names[::2]:
        put(store, device(name), [credential(name)])
    named = [*reversed(names[:22]), names[0]]
    present = names[:22:2]
    assert store.devices.set_enabled(TENANT, named, DEED, enabled=False) == present
    off = [entry.device_id for entry in store.devices.find_all(TENANT, after=None, limit=9999) if not entry.is_enabled]
    assert off == present
    assert store.devices.delete_many(TENANT, named, DEED) == present
    assert ids(store) == names[22::2]
    assert await store.connect_path.count_devices(TENANT) == 1
    assert credentials_of(store, TENANT, names[0]) == []


@pytest.mark.parametrize("batch", [1, 4, 13, 100])
async def test_all_devices_of_a_tenant_are_deleted(
    store: AnyStore, batch: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(devices_module, "DELETE_BATCH_DEVICES", batch)
    for number in range(13):
        put(store, device(f"d{number}"), [credential(f"d{number}")])
    put(store, device("theirs", tenant_id=OTHER))
    assert store.devices.delete_all(TENANT, DEED) == 13
    assert store.devices.delete_all(TENANT, DEED) == 0
    assert store.devices.delete_all(TenantId("nobody"), DEED) == 0
    assert (ids(store), ids(store, OTHER)) == ([], ["theirs"])
    assert await store.connect_path.count_devices(TENANT) == 0
    assert await store.connect_path.find_by_credential(TENANT, X509_CERT, AuthId("CN=d1")) is None
    store.devices.create(device("anew"), DEED, devices_max=1)


def test_a_deleted_device_takes_its_credentials_along(store: AnyStore) -> None:
    put(store, device(SENSOR), [credential(SENSOR), credential(SENSOR, type="psk")])
    put(store, device("sensor-2"), [credential("sensor-2")])
    store.devices.delete(TENANT, SENSOR, DEED, expected_version=None)
    assert store.devices.find(TENANT, SENSOR) is None
    assert store.devices.find_credentials(TENANT, SENSOR) is None
    assert len(credentials_of(store, TENANT, DeviceId("sensor-2"))) == 1
    with pytest.raises(DeviceUnknown):
        store.devices.delete(TENANT, SENSOR, DEED, expected_version=None)


async def test_deleting_a_device_that_went_with_its_tenant_is_no_error(store: AnyStore) -> None:
    await store.connect_path.provision(order(SENSOR))
    store.tenants.delete(TENANT, DEED, expected_version=None)
    before = store.audit.last_position()
    store.devices.delete(TENANT, SENSOR, DEED, expected_version=None)
    with pytest.raises(DeviceUnknown):  # whoever expects a version expects the device
        store.devices.delete(TENANT, SENSOR, DEED, expected_version="1")
    with pytest.raises(DeviceUnknown):
        store.devices.delete(TenantId("never-there"), SENSOR, DEED, expected_version=None)
    assert store.audit.last_position() == before
    store.tenants.create(tenant(TENANT, anchor()), DEED)
    assert ids(store) == []
    with pytest.raises(DeviceUnknown):
        store.devices.delete(TENANT, SENSOR, DEED, expected_version=None)


@pytest.mark.parametrize("name", ["nul\x00", "'; DROP TABLE devices; --", "%", "\U0001f600", "x" * 10_000, "\udfff"])
def test_hostile_names_come_back_as_they_were_or_are_refused_by_name(store: AnyStore, name: str) -> None:
    given = device(name, ext={name: name}, via=(DeviceId(name),), member_of=(name,))
    try:
        store.devices.create(given, DEED, devices_max=-1, credentials=[credential(name, auth_id=name)])
    except Malformed as refusal:
        assert refusal.code == "name-unstorable"
        assert ids(store) == []
        return
    assert store.devices.find(TENANT, given.device_id) == given
    assert credentials_of(store, TENANT, given.device_id) == [credential(name, auth_id=name)]
    assert store.devices.set_enabled(TENANT, [given.device_id], DEED, enabled=True) == [name]
    assert store.devices.delete_many(TENANT, [given.device_id], DEED) == [name]
    assert ids(store) == []


def test_two_writers_of_one_version_are_one_winner_and_one_refusal(tmp_path: Path) -> None:
    stores = [open_sqlite(tmp_path), open_sqlite(tmp_path)]
    stores[0].tenants.create(tenant(TENANT), DEED)
    put(stores[0], device(SENSOR))

    def write(number: int) -> str:
        given = device(SENSOR, ext={"writer": number}, version=f"new-{number}")
        try:
            stores[number % 2].devices.replace(given, DEED, expected_version="1")
        except TuhonoError as refusal:
            return refusal.code
        return "written"

    with ThreadPoolExecutor(8) as threads:
        told = sorted(threads.map(write, range(8)))
    assert told == ["version-mismatch"] * 7 + ["written"]
    for store in stores:
        store.close()


def test_creations_at_once_never_exceed_the_limit(tmp_path: Path) -> None:
    stores = [open_sqlite(tmp_path), open_sqlite(tmp_path)]
    stores[0].tenants.create(tenant(TENANT), DEED)

    def create(number: int) -> str:
        try:
            stores[number % 2].devices.create(device(f"d{number}"), DEED, devices_max=10)
        except TuhonoError as refusal:
            return refusal.code
        return "created"

    with ThreadPoolExecutor(8) as threads:
        told = sorted(threads.map(create, range(30)))
    assert told == ["created"] * 10 + ["device-limit-reached"] * 20
    assert len(stores[1].devices.find_all(TENANT, after=None, limit=100)) == 10
    for store in stores:
        store.close()
