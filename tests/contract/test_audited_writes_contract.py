"""Every driver writes with each administrative change who wished it, and what was there before and after."""

import asyncio
from collections.abc import Iterator, Sequence
from dataclasses import replace
from datetime import timedelta
from pathlib import Path

import pytest

from kernel.errors import Conflict, TuhonoError
from kernel.ids import DeviceId, TenantId
from registry.model import Credential, CredentialSet, Secret
from tenant.audit import AuditRow, Deed
from tests.support.stores import (
    DRIVERS,
    NOW,
    TENANT,
    AnyStore,
    anchor,
    credential,
    device,
    opened,
    order,
    tenant,
)
from tests.support.waiting import until

ANN = Deed(actor="ann", moment=NOW + timedelta(hours=1), remote="192.0.2.9")
SENSOR = DeviceId("sensor-1")


@pytest.fixture(params=DRIVERS)
def store(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[AnyStore]:
    with opened(request.param, tmp_path) as store:
        yield store


def audited(store: AnyStore, after: int = 0) -> list[AuditRow]:
    return list(store.audit.read(after=after, limit=1000))


def test_rows_of_a_tenant(store: AnyStore) -> None:
    store.tenants.create(tenant(TENANT, alias="plant"), ANN)
    store.tenants.replace(tenant(TENANT, enabled=False), ANN, expected_version=None)
    store.tenants.delete(TENANT, ANN, expected_version=None)
    common = AuditRow(moment=ANN.moment, what="", tenant_id=TENANT, actor="ann", remote="192.0.2.9")
    assert audited(store) == [
        replace(common, what="tenant.created", after={"alias": "plant"}, position=1),
        replace(common, what="tenant.updated", before={"alias": "plant"}, after={"enabled": False}, position=2),
        replace(common, what="tenant.deleted", before={"enabled": False}, position=3),
    ]


def test_a_wish_from_this_machine_comes_from_nowhere(store: AnyStore) -> None:
    store.tenants.create(tenant(TENANT), replace(ANN, remote=""))
    (row,) = audited(store)
    assert (row.actor, row.remote, row.before, row.after) == ("ann", None, None, {})


def test_rows_of_a_device_and_its_credentials(store: AnyStore) -> None:
    store.tenants.create(tenant(TENANT), ANN)
    secret = Secret(secret_id="s", material={"key": "sesame"})
    held = credential(SENSOR, type="psk", auth_id="name", secrets=(secret,))
    told = {"type": "psk", "auth-id": "name", "secrets": [{"id": "s", "material": "masked"}]}
    changed = {**told, "secrets": [{"id": "s", "material": "changed"}]}
    renewed = replace(held, secrets=(replace(secret, material={"key": "open"}),))
    store.devices.create(device(SENSOR, ext={"a": 1}), ANN, devices_max=-1, credentials=[held])
    store.devices.replace(device(SENSOR, via=(DeviceId("gw"),)), ANN, expected_version=None)
    store.devices.set_enabled(TENANT, [SENSOR], ANN, enabled=False)
    store.devices.replace_credentials(TENANT, SENSOR, lambda _: [renewed], ANN, expected_version=None)
    store.devices.delete(TENANT, SENSOR, ANN, expected_version=None)
    common = AuditRow(
        moment=ANN.moment, what="device.updated", tenant_id=TENANT, device_id=SENSOR, actor="ann", remote="192.0.2.9"
    )
    off = {"via": ["gw"], "enabled": False}
    assert [replace(row, position=0) for row in audited(store, after=1)] == [
        replace(common, what="device.created", after={"ext": {"a": 1}, "credentials": [told]}),
        replace(common, before={"ext": {"a": 1}}, after={"via": ["gw"]}),
        replace(common, before={"via": ["gw"]}, after=off),
        replace(common, what="credentials.updated", before={"credentials": [told]}, after={"credentials": [changed]}),
        replace(common, what="device.deleted", before={**off, "credentials": [told]}),
    ]
    assert "sesame" not in str(audited(store))


def test_rows_of_many_devices(store: AnyStore) -> None:
    store.tenants.create(tenant(TENANT), ANN)
    for number in range(4):
        store.devices.create(device(f"d{number}"), ANN, devices_max=-1)
    last = store.audit.last_position()
    store.devices.set_enabled(TENANT, [DeviceId("d1"), DeviceId("d0"), DeviceId("d9")], ANN, enabled=False)
    store.devices.delete_many(TENANT, [DeviceId("d0"), DeviceId("d9")], ANN)
    store.devices.delete_all(TENANT, ANN)
    store.devices.delete_all(TENANT, ANN)
    rows = [(row.what, row.device_id, row.facts) for row in audited(store, after=last)]
    assert rows == [
        ("device.updated", "d0", {}),
        ("device.updated", "d1", {}),
        ("device.deleted", "d0", {}),
        ("devices.deleted", None, {"devices": "3"}),
    ]


def test_a_write_that_was_refused_leaves_no_row(store: AnyStore) -> None:
    store.tenants.create(tenant(TENANT, anchor()), ANN)
    store.devices.create(device(SENSOR), ANN, devices_max=-1, credentials=[credential(SENSOR)])
    before = audited(store)

    def refusing(held: CredentialSet) -> Sequence[Credential]:
        raise Conflict("no")

    other, nobody = TenantId("other"), DeviceId("nobody")
    for write in (
        lambda: store.tenants.create(tenant(TENANT), ANN),
        lambda: store.tenants.create(tenant(other, anchor()), ANN),
        lambda: store.tenants.replace(tenant(TENANT), ANN, expected_version="stale"),
        lambda: store.tenants.delete(TENANT, ANN, expected_version="stale"),
        lambda: store.devices.create(device(SENSOR), ANN, devices_max=-1),
        lambda: store.devices.create(device("d"), ANN, devices_max=1),
        lambda: store.devices.create(device("d"), ANN, devices_max=-1, credentials=[credential(SENSOR)]),
        lambda: store.devices.replace(device(SENSOR), ANN, expected_version="stale"),
        lambda: store.devices.delete(TENANT, nobody, ANN, expected_version=None),
        lambda: store.devices.replace_credentials(TENANT, SENSOR, refusing, ANN, expected_version=None),
        lambda: store.devices.replace_credentials(TENANT, SENSOR, lambda _: [], ANN, expected_version="stale"),
    ):
        with pytest.raises(TuhonoError):
            write()
    store.devices.set_enabled(TENANT, [nobody], ANN, enabled=False)
    store.devices.delete_many(TENANT, [nobody], ANN)
    assert audited(store) == before


@pytest.mark.parametrize("driver", DRIVERS)
def test_the_oldest_rows_make_room(driver: str, tmp_path: Path) -> None:
    with opened(driver, tmp_path, audit_rows_max=100) as store:
        store.tenants.create(tenant(TENANT), ANN)
        for number in range(400):
            store.devices.delete_many(TENANT, [SENSOR], ANN)
            store.devices.create(device(SENSOR, ext={"number": number}), ANN, devices_max=-1)
        rows = audited(store)
        assert len(rows) <= 100 + 256
        assert rows[-1].after == {"ext": {"number": 399}}
        assert rows[-1].position == store.audit.last_position() == 800


@pytest.mark.parametrize("driver", DRIVERS)
async def test_devices_by_the_hundred_do_not_push_out_who_did_what(driver: str, tmp_path: Path) -> None:
    with opened(driver, tmp_path, audit_rows_max=100) as store:
        store.tenants.create(tenant(TENANT, anchor()), ANN)
        orders = [order(f"d{number}") for number in range(2500)]
        await asyncio.gather(*(store.connect_path.provision(entry) for entry in orders))
        store.connect_path.record(AuditRow(moment=NOW, what="device.refused"))
        await until(lambda: store.audit.last_position() == 2502)
        kept = [row.what for row in store.audit.read(after=0, limit=10_000)]
        assert (kept[0], kept[-1], kept[-2]) == ("tenant.created", "device.refused", "device.provisioned")
        assert len(kept) < 2000
