"""What every driver of `registry.ports.DeviceRepository` promises."""

from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path

import pytest

from kernel.ids import AuthId, DeviceId, TenantId
from registry.errors import DeviceUnknown
from registry.model import X509_CERT, DeviceStatus, Secret
from storage.errors import CredentialTaken
from tests.support.stores import DRIVERS, NOW, TENANT, AnyStore, anchor, credential, device, opened, order, tenant

SENSOR = DeviceId("sensor-1")


@pytest.fixture(params=DRIVERS)
def store(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[AnyStore]:
    with opened(request.param, tmp_path) as store:
        store.tenants.create(tenant(TENANT, anchor()))
        yield store


def test_device_and_credentials_come_back_as_they_were_given(store: AnyStore) -> None:
    given = device(
        "sensor-1",
        enabled=False,
        via=(DeviceId("gw-2"), DeviceId("gw-1")),
        via_groups=("north",),
        member_of=("south",),
        authorities=("auto-provisioning-enabled",),
        defaults={"ttl": 5},
        ext={"deep": [{"x": None}]},
        status=DeviceStatus(
            created=NOW, updated=NOW + timedelta(microseconds=7), auto_provisioned=True, notification_sent=True
        ),
    )
    secret = Secret(
        secret_id="s", enabled=False, not_before=NOW, not_after=NOW + timedelta(days=1), comment="it's\x00fine"
    )
    held = [
        credential("sensor-1", type="psk", auth_id="name", comment="c", ext={"client-id": "x"}, secrets=(secret,)),
        credential("sensor-1", enabled=True, secrets=(Secret(secret_id="a"), Secret(secret_id="b", enabled=True))),
    ]
    store.devices.put(given, held)
    assert store.devices.find(TENANT, SENSOR) == given
    assert store.devices.credentials_of(TENANT, SENSOR) == held


def test_what_was_never_set_stays_unset(store: AnyStore) -> None:
    store.devices.put(device("sensor-1"), [credential("sensor-1")])
    found = store.devices.find(TENANT, SENSOR)
    assert found == device("sensor-1")
    assert found is not None and found.enabled is None
    assert store.devices.credentials_of(TENANT, SENSOR)[0].enabled is None


def test_an_unknown_device_is_none_and_has_no_credentials(store: AnyStore) -> None:
    assert store.devices.find(TENANT, SENSOR) is None
    assert store.devices.credentials_of(TENANT, SENSOR) == []


def test_devices_are_paged_in_the_order_of_ids_within_their_tenant(store: AnyStore) -> None:
    names = ["B", "a", "a:1", "b", "é"]
    for name in reversed(names):
        store.devices.put(device(name))
    store.devices.put(device("a", tenant_id="other"))

    def page(after: str | None, limit: int) -> list[str]:
        found = store.devices.find_all(TENANT, after=None if after is None else DeviceId(after), limit=limit)
        return [entry.device_id for entry in found]

    assert page(None, 10) == names
    assert page(None, 2) == names[:2]
    assert page("a", 2) == names[2:4]
    assert page("aa", 1) == ["b"]
    assert page("é", 5) == []


async def test_switching_a_device_off_and_on_is_an_update(store: AnyStore) -> None:
    known = await store.connect_path.provision(order("sensor-1"))
    later = NOW + timedelta(seconds=3)
    store.devices.set_enabled(TENANT, SENSOR, enabled=False, moment=later)
    off = store.devices.find(TENANT, SENSOR)
    assert off is not None
    assert (off.is_enabled, off.status.updated, off.status.created) == (False, later, NOW)
    assert off.status.auto_provisioned
    assert off.version != known.device.version
    found = await store.connect_path.find_by_credential(TENANT, X509_CERT, AuthId("CN=sensor-1"))
    assert found is not None and found.device == off
    store.devices.set_enabled(TENANT, SENSOR, enabled=True, moment=later)
    on = store.devices.find(TENANT, SENSOR)
    assert on is not None and on.enabled is True
    assert on.version not in (off.version, known.device.version)


async def test_switching_off_is_not_undone_by_the_device_coming_again(store: AnyStore) -> None:
    await store.connect_path.provision(order("sensor-1"))
    store.devices.set_enabled(TENANT, SENSOR, enabled=False, moment=NOW)
    again = await store.connect_path.provision(order("new-id", auth_id="CN=sensor-1"))
    await store.connect_path.mark_notified(TENANT, SENSOR)
    assert (again.device.device_id, again.device.is_enabled) == (SENSOR, False)
    assert [entry.is_enabled for entry in store.devices.find_all(TENANT, after=None, limit=9)] == [False]


def test_an_unknown_device_is_neither_switched_nor_deleted(store: AnyStore) -> None:
    store.devices.put(device("sensor-1", tenant_id="other"))
    with pytest.raises(DeviceUnknown):
        store.devices.set_enabled(TENANT, SENSOR, enabled=True, moment=NOW)
    with pytest.raises(DeviceUnknown):
        store.devices.delete(TENANT, SENSOR)
    assert store.devices.find(TenantId("other"), SENSOR) is not None


def test_a_deleted_device_takes_its_credentials_along(store: AnyStore) -> None:
    store.devices.put(device("sensor-1"), [credential("sensor-1"), credential("sensor-1", type="psk")])
    store.devices.put(device("sensor-2"), [credential("sensor-2")])
    store.devices.delete(TENANT, SENSOR)
    assert store.devices.find(TENANT, SENSOR) is None
    assert store.devices.credentials_of(TENANT, SENSOR) == []
    assert len(store.devices.credentials_of(TENANT, DeviceId("sensor-2"))) == 1
    with pytest.raises(DeviceUnknown):
        store.devices.delete(TENANT, SENSOR)


async def test_a_device_of_a_deleted_tenant_is_gone(store: AnyStore) -> None:
    await store.connect_path.provision(order("sensor-1"))
    store.tenants.delete(TENANT, expected_version=None)
    with pytest.raises(DeviceUnknown):
        store.devices.delete(TENANT, SENSOR)


def test_putting_a_device_again_replaces_it_with_its_credentials(store: AnyStore) -> None:
    store.devices.put(device("sensor-1", ext={"a": 1}), [credential("sensor-1"), credential("sensor-1", type="psk")])
    store.devices.put(device("sensor-1", version="2"), [credential("sensor-1", type="psk", auth_id="other")])
    assert store.devices.find(TENANT, SENSOR) == device("sensor-1", version="2")
    assert [entry.auth_id for entry in store.devices.credentials_of(TENANT, SENSOR)] == ["other"]


async def test_putting_a_device_again_keeps_its_queued_event(store: AnyStore) -> None:
    known = await store.connect_path.provision(order("sensor-1"))
    store.devices.put(known.device, store.devices.credentials_of(TENANT, SENSOR))
    assert await store.connect_path.due_notifications(before=NOW + timedelta(days=1), limit=9) == [known.device]


def test_a_credential_belongs_to_one_device_of_a_tenant(store: AnyStore) -> None:
    store.devices.put(device("sensor-1"), [credential("sensor-1", auth_id="CN=x")])
    with pytest.raises(CredentialTaken):
        store.devices.put(device("sensor-2"), [credential("sensor-2", auth_id="CN=x")])
    assert store.devices.find(TENANT, DeviceId("sensor-2")) is None
    store.devices.put(device("sensor-2"), [credential("sensor-2", auth_id="CN=x", type="psk")])
    store.devices.put(
        device("sensor-1", tenant_id="other"), [credential("sensor-1", tenant_id="other", auth_id="CN=x")]
    )
