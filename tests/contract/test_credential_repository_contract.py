"""What every driver of `registry.ports.DeviceRepository` promises of credentials."""

from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from pathlib import Path

import pytest

from kernel.errors import Conflict, TuhonoError, VersionMismatch
from kernel.ids import AuthId, DeviceId, TenantId
from registry.errors import CredentialTaken, DeviceUnknown
from registry.model import X509_CERT, Credential, CredentialSet, Secret
from tests.support.stores import (
    DEED,
    DRIVERS,
    NOW,
    TENANT,
    AnyStore,
    anchor,
    credential,
    credentials_of,
    device,
    open_sqlite,
    opened,
    order,
    put,
    tenant,
)

SENSOR = DeviceId("sensor-1")
OTHER = TenantId("other")


@pytest.fixture(params=DRIVERS)
def store(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[AnyStore]:
    with opened(request.param, tmp_path) as store:
        store.tenants.create(tenant(TENANT, anchor()), DEED)
        store.tenants.create(tenant(OTHER), DEED)
        yield store


def written(store: AnyStore, *given: Credential, device_id: str = SENSOR, expected: str | None = None) -> str:
    return store.devices.replace_credentials(
        TENANT, DeviceId(device_id), lambda _: given, DEED, expected_version=expected
    )


def version(store: AnyStore, device_id: str = SENSOR) -> str:
    held = store.devices.find_credentials(TENANT, DeviceId(device_id))
    assert held is not None
    return held.version


def test_credentials_come_back_as_they_were_given(store: AnyStore) -> None:
    secret = Secret(
        secret_id="s",
        enabled=False,
        not_before=NOW,
        not_after=NOW + timedelta(days=1),
        comment="it's\x00fine",
        material={"key": "aGVsbG8="},
    )
    held = [
        credential(SENSOR, type="psk", auth_id="name", comment="c", ext={"client-id": "x"}, secrets=(secret,)),
        credential(SENSOR, enabled=True, secrets=(Secret(secret_id="a"), Secret(secret_id="b", enabled=True))),
        credential(SENSOR, type="z", secrets=(Secret(secret_id="g", material={"deep": [{"x": None}, 1.5]}),)),
    ]
    store.devices.create(device(SENSOR), DEED, devices_max=-1, credentials=held)
    assert credentials_of(store, TENANT, SENSOR) == held
    store.devices.create(device("sensor-2"), DEED, devices_max=-1)
    written(store)
    written(store, *reversed(held))
    assert credentials_of(store, TENANT, SENSOR) == held


def test_what_was_never_set_stays_unset(store: AnyStore) -> None:
    put(store, device(SENSOR), [credential(SENSOR)])
    assert credentials_of(store, TENANT, SENSOR) == [credential(SENSOR)]
    assert credentials_of(store, TENANT, SENSOR)[0].enabled is None


def test_an_unknown_device_has_no_set_of_credentials(store: AnyStore) -> None:
    assert store.devices.find_credentials(TENANT, SENSOR) is None
    with pytest.raises(DeviceUnknown):
        written(store)


async def test_a_new_device_has_an_empty_set_with_a_version(store: AnyStore) -> None:
    store.devices.create(device(SENSOR), DEED, devices_max=-1)
    held = store.devices.find_credentials(TENANT, SENSOR)
    assert held is not None
    assert held == CredentialSet(version=held.version)
    assert held.version
    await store.connect_path.provision(order("born"))
    assert version(store, "born") == version(store, "born") != held.version


async def test_the_set_has_a_version_of_its_own(store: AnyStore) -> None:
    await store.connect_path.provision(order(SENSOR))
    await store.connect_path.provision(order("sensor-2"))
    first = version(store)
    assert first != version(store, "sensor-2")
    store.devices.set_enabled(TENANT, [SENSOR], DEED, enabled=False)
    assert version(store) == first
    found = store.devices.find(TENANT, SENSOR)
    told = [written(store, credential(SENSOR), expected=version(store)) for _ in range(2)]
    assert len({first, *told}) == 3
    assert version(store) == told[1]
    assert store.devices.find(TENANT, SENSOR) == found


def test_a_stale_version_is_refused(store: AnyStore) -> None:
    put(store, device(SENSOR), [credential(SENSOR)])
    stale = version(store)
    written(store, credential(SENSOR, comment="new"))
    with pytest.raises(VersionMismatch):
        written(store, expected=stale)
    assert credentials_of(store, TENANT, SENSOR) == [credential(SENSOR, comment="new")]


def test_the_change_sees_what_is_on_record_and_undoes_everything_it_refuses(store: AnyStore) -> None:
    put(store, device(SENSOR), [credential(SENSOR)])
    before = version(store)
    seen: list[CredentialSet] = []

    def refusing(held: CredentialSet) -> Sequence[Credential]:
        seen.append(held)
        raise Conflict("no")

    with pytest.raises(Conflict, match="no"):
        store.devices.replace_credentials(TENANT, SENSOR, refusing, DEED, expected_version=None)
    assert seen == [CredentialSet(version=before, credentials=(credential(SENSOR),))]
    assert store.devices.find_credentials(TENANT, SENSOR) == seen[0]


def test_a_credential_belongs_to_one_device_of_a_tenant(store: AnyStore) -> None:
    put(store, device(SENSOR), [credential(SENSOR, auth_id="CN=x")])
    put(store, device("sensor-2"))
    before = version(store, "sensor-2")
    wanted = [credential("sensor-2", auth_id=f"CN={number}") for number in range(300)]
    with pytest.raises(CredentialTaken) as refusal:
        written(store, *wanted, credential("sensor-2", auth_id="CN=x"), device_id="sensor-2")
    assert (refusal.value.code, "CN=x" in str(refusal.value)) == ("credential-taken", True)
    assert store.devices.find_credentials(TENANT, DeviceId("sensor-2")) == CredentialSet(version=before)
    written(store, credential("sensor-2", auth_id="CN=x", type="psk"), device_id="sensor-2")
    put(store, device(SENSOR, tenant_id=OTHER), [credential(SENSOR, tenant_id=OTHER, auth_id="CN=x")])
    written(store, credential(SENSOR, auth_id="CN=y"))
    written(store, credential("sensor-2", auth_id="CN=x"), device_id="sensor-2")


def test_one_credential_twice_in_a_set_is_refused(store: AnyStore) -> None:
    put(store, device(SENSOR), [credential(SENSOR)])
    with pytest.raises(CredentialTaken):
        written(store, credential(SENSOR, comment="a"), credential(SENSOR, comment="b"))
    assert credentials_of(store, TENANT, SENSOR) == [credential(SENSOR)]


async def test_a_credential_that_was_removed_opens_nothing(store: AnyStore) -> None:
    put(store, device(SENSOR), [credential(SENSOR)])
    written(store)
    assert await store.connect_path.find_by_credential(TENANT, X509_CERT, AuthId("CN=sensor-1")) is None


def test_two_writers_of_one_version_are_one_winner_and_one_refusal(tmp_path: Path) -> None:
    stores = [open_sqlite(tmp_path), open_sqlite(tmp_path)]
    stores[0].tenants.create(tenant(TENANT), DEED)
    put(stores[0], device(SENSOR))
    expected = version(stores[0])

    def write(number: int) -> str:
        try:
            written(stores[number % 2], credential(SENSOR, comment=str(number)), expected=expected)
        except TuhonoError as refusal:
            return refusal.code
        return "written"

    with ThreadPoolExecutor(8) as threads:
        told = sorted(threads.map(write, range(8)))
    assert told == ["version-mismatch"] * 7 + ["written"]
    for store in stores:
        store.close()
