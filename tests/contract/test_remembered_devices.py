"""A device that is remembered is known no longer than what is on record says the same, whoever changes it."""

from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path

import pytest

import registry.directory
from kernel.ids import AuthId, DeviceId, TenantId
from registry.directory import AUTH_ID_REMEMBERED_MAX_CHARS, DeviceDirectory
from registry.model import X509_CERT, DeviceStatus, KnownDevice
from tenant.ports import Change, ChangeKind
from tests.support.stores import (
    DEED,
    DRIVERS,
    NOW,
    TENANT,
    AnyStore,
    anchor,
    credential,
    device,
    opened,
    order,
    put,
    tenant,
)

SENSOR, OTHER = DeviceId("sensor-1"), DeviceId("sensor-2")


@pytest.fixture(params=DRIVERS)
def store(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[AnyStore]:
    with opened(request.param, tmp_path) as store:
        store.tenants.create(tenant(TENANT, anchor()), DEED)
        store.tenants.create(tenant("other", anchor("other-ca", name="CN=Other CA")), DEED)
        for name in (SENSOR, OTHER):
            put(store, device(name), [credential(name)])
        yield store


@pytest.fixture
def devices(store: AnyStore) -> DeviceDirectory:
    return DeviceDirectory(store=store.connect_path, feed=store.feed)


def find(devices: DeviceDirectory, name: str = SENSOR) -> KnownDevice | None:
    return devices.find_by_certificate_now(TENANT, AuthId(f"CN={name}"), comes_again=True)


def remembered(devices: DeviceDirectory, name: str = SENSOR) -> KnownDevice:
    """Looked up and remembered: asked again, it is the same object."""
    find(devices, name)  # what was committed by now is delivered
    known = find(devices, name)
    assert known is not None and find(devices, name) is known
    return known


def test_who_comes_again_is_not_looked_up(
    store: AnyStore, devices: DeviceDirectory, monkeypatch: pytest.MonkeyPatch
) -> None:
    known = remembered(devices)
    monkeypatch.setattr(store.connect_path, "find_by_credential_now", None)
    assert find(devices) is known


def test_who_is_not_worth_it_and_who_is_unknown_are_not_remembered(store: AnyStore, devices: DeviceDirectory) -> None:
    store.feed.catch_up()
    first, second = (devices.find_by_certificate_now(TENANT, AuthId("CN=sensor-1")) for _ in range(2))
    assert first is not second and first == second
    assert find(devices, "nobody") is None
    put(store, device("nobody"), [credential("nobody")])
    assert find(devices, "nobody") is not None


async def test_a_device_whose_event_is_not_kept_yet_is_not_remembered(
    store: AnyStore, devices: DeviceDirectory
) -> None:
    await store.connect_path.provision(order("fresh"))
    for _ in range(3):
        known = find(devices, "fresh")
        assert known is not None and known.notification_due
    await store.connect_path.mark_notified(TENANT, DeviceId("fresh"))
    assert not remembered(devices, "fresh").notification_due


CHANGES: dict[str, Callable[[AnyStore], object]] = {
    "disabled": lambda store: store.devices.set_enabled(TENANT, [SENSOR], DEED, enabled=False),
    "deleted": lambda store: store.devices.delete(TENANT, SENSOR, DEED, expected_version=None),
    "tenant-deleted": lambda store: store.tenants.delete(TENANT, DEED, expected_version=None),
    "defaults": lambda store: put(store, device(SENSOR, defaults={"ttl": 5}), [credential(SENSOR)]),
    "credential-disabled": lambda store: put(store, device(SENSOR), [credential(SENSOR, enabled=False)]),
    "credential-gone": lambda store: put(store, device(SENSOR), []),
    "credential-bound": lambda store: put(store, device(SENSOR), [credential(SENSOR, ext={"client-id": "x"})]),
}


@pytest.mark.parametrize("change", CHANGES)
def test_what_is_changed_is_known_to_the_very_next_lookup(
    store: AnyStore, devices: DeviceDirectory, change: str
) -> None:
    before = remembered(devices)
    CHANGES[change](store)
    after = find(devices)
    assert after == store.connect_path.find_by_credential_now(TENANT, X509_CERT, AuthId("CN=sensor-1"))
    assert after != before


def test_a_change_of_one_device_leaves_the_others_remembered(store: AnyStore, devices: DeviceDirectory) -> None:
    kept, _ = remembered(devices, OTHER), remembered(devices)
    store.devices.set_enabled(TENANT, [SENSOR], DEED, enabled=False)
    store.tenants.delete(TenantId("other"), DEED, expected_version=None)
    assert find(devices, OTHER) is kept


def test_every_credential_of_a_changed_device_is_forgotten(store: AnyStore, devices: DeviceDirectory) -> None:
    both = [credential(SENSOR), credential(SENSOR, auth_id="CN=spare")]
    put(store, device(SENSOR), both)
    remembered(devices)
    remembered(devices, "spare")
    put(store, device(SENSOR), [replace(one, enabled=False) for one in both])
    for name in (SENSOR, "spare"):
        known = find(devices, name)
        assert known is not None and not known.credential_enabled


def test_missed_changes_make_everything_be_looked_up_again(store: AnyStore, devices: DeviceDirectory) -> None:
    known = remembered(devices)
    devices._follow(Change(kind=ChangeKind.RESET))
    assert find(devices) is not known


def test_what_changes_during_a_lookup_is_not_remembered(
    store: AnyStore, devices: DeviceDirectory, monkeypatch: pytest.MonkeyPatch
) -> None:
    store.feed.catch_up()
    look_up = store.connect_path.find_by_credential_now

    def and_then_disabled(tenant_id: TenantId, type_: str, auth_id: AuthId) -> KnownDevice | None:
        known = look_up(tenant_id, type_, auth_id)
        store.devices.set_enabled(TENANT, [SENSOR], DEED, enabled=False)
        store.feed.catch_up()
        return known

    with monkeypatch.context() as meanwhile:
        meanwhile.setattr(store.connect_path, "find_by_credential_now", and_then_disabled)
        assert find(devices) is not None
    known = find(devices)
    assert known is not None and not known.device.is_enabled


def test_only_so_many_are_remembered(
    store: AnyStore, devices: DeviceDirectory, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(registry.directory, "REMEMBERED_MAX", 2)
    for number in range(5):
        put(store, device(f"d-{number}", status=DeviceStatus(created=NOW)), [credential(f"d-{number}")])
    store.feed.catch_up()
    held = [remembered(devices, f"d-{number}") for number in range(5)]
    assert find(devices, "d-4") is held[4] and find(devices, "d-3") is held[3]
    assert find(devices, "d-0") is not held[0]
    assert len(devices._remembered) == len(devices._of_device) == 2


def test_a_name_of_any_length_is_found_and_only_a_short_one_is_remembered(
    store: AnyStore, devices: DeviceDirectory
) -> None:
    """A certificate's owner chooses its subject, and ten thousand of those may be remembered."""
    names = ["s" * (AUTH_ID_REMEMBERED_MAX_CHARS + more) for more in (-3, -2)]  # behind CN=
    for number, name in enumerate(names):
        put(store, device(f"d-{number}"), [credential(f"d-{number}", auth_id=f"CN={name}")])
    store.feed.catch_up()
    assert remembered(devices, names[0])
    found = find(devices, names[1])
    assert found is not None and found == find(devices, names[1]) and found is not find(devices, names[1])
    assert len(devices._remembered) == 1
