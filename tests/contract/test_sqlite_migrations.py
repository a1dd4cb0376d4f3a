"""Databases of earlier releases, as they wrote them, are migrated and hold all they held."""

import sqlite3
from contextlib import closing
from dataclasses import replace
from datetime import timedelta
from pathlib import Path

import pytest

from conf.storage import StorageSettings
from kernel.ids import AuthId, DeviceId, TenantId
from registry.errors import DeviceUnknown
from registry.model import X509_CERT, Credential, Device, DeviceStatus, Secret
from storage.database import DATABASE_FILE, open_database
from tenant.model import AdapterSettings, RegistrationLimits, ResourceLimits
from tests.support.stores import DEED, NOW, TENANT, anchor, credentials_of, device, open_sqlite, order, tenant

VECTORS = Path(__file__).parents[1] / "vectors" / "storage"


@pytest.fixture
def data_dir(tmp_path: Path) -> Path:
    """With the database of release 0.1.0: three tenants, a fourth whose deletion was cut short, devices, audit."""
    with closing(sqlite3.connect(tmp_path / DATABASE_FILE)) as connection:
        connection.executescript((VECTORS / "registry-0.1.0.sql").read_text())
    return tmp_path


def test_it_is_told_what_was_migrated(data_dir: Path) -> None:
    assert open_database(data_dir / DATABASE_FILE, StorageSettings()).migrated_from == "0001"
    assert open_database(data_dir / DATABASE_FILE, StorageSettings()).migrated_from is None


async def test_tenants_of_release_0_1_are_all_there(data_dir: Path) -> None:
    store = open_sqlite(data_dir)
    full = anchor(
        "full-ca",
        provisions_gateways=True,
        device_id_template="dev-{{subject-cn}}",
        auth_id_template="auth-{{subject-cn}}",
        provisioning_per_s_max=2.5,
    )
    certified = replace(full.authority, certificate_der=b"\x30\x00cert", subject_der=b"\x30\x00")
    acme = tenant(
        "acme",
        replace(full, authority=certified),
        anchor("plant-ca", name="CN=Plant CA 2"),
        enabled=True,
        alias="plant",
        trust_anchor_group="group",
        adapters=(
            AdapterSettings(type="hono-mqtt", enabled=True, ext={"max-ttd": 30}),
            AdapterSettings(type="hono-http", authentication_required=False),
        ),
        defaults={"ttl": 30, "nested": {"list": [1, None, True, 0.5]}},
        ext={"messaging-type": "kafka"},
        resource_limits=ResourceLimits(max_connections=5, max_ttl_s=0),
        registration_limits=RegistrationLimits(max_devices=9),
        created=NOW,
        updated=NOW + timedelta(microseconds=1),
    )
    off = tenant("off", anchor(name="CN=Other"), enabled=False)
    assert store.tenants.find_all(after=None, limit=9) == [acme, tenant("bare", enabled=True), off]
    assert store.feed.all_tenants() == [acme, tenant("bare", enabled=True), off]
    store.tenants.replace(acme, DEED, expected_version=acme.version)
    store.close()


async def test_devices_of_release_0_1_are_all_there(data_dir: Path) -> None:
    store = open_sqlite(data_dir)
    found = {entry.device_id: entry for entry in store.devices.find_all(TENANT, after=None, limit=9)}
    assert sorted(found) == ["by-hand", "sensor-0", "sensor-1", "sensor-2"]
    assert found[DeviceId("by-hand")] == Device(
        tenant_id=TENANT,
        device_id=DeviceId("by-hand"),
        status=DeviceStatus(created=NOW),
        enabled=False,
        via=(DeviceId("gw-1"),),
        via_groups=("north",),
        member_of=("south",),
        authorities=("auto-provisioning-enabled",),
        defaults={"ttl": 5},
        ext={"deep": [{"x": None}]},
        version="1",
    )
    secret = Secret(secret_id="s", enabled=False, not_before=NOW, not_after=NOW + timedelta(days=1), comment="fine")
    held = Credential(
        tenant_id=TENANT,
        device_id=DeviceId("by-hand"),
        type="psk",
        auth_id=AuthId("name"),
        comment="c",
        ext={"client-id": "x"},
        secrets=(secret,),
    )
    assert credentials_of(store, TENANT, DeviceId("by-hand")) == [held]
    known = await store.connect_path.find_by_credential(TENANT, X509_CERT, AuthId("CN=sensor-0"))
    assert known is not None and known.device == found[DeviceId("sensor-0")]
    due = await store.connect_path.due_notifications(before=NOW + timedelta(days=1), limit=9)
    assert [entry.device_id for entry in due] == ["sensor-1", "sensor-2"]
    assert await store.connect_path.count_devices(TENANT) == 4
    store.close()


async def test_a_registry_of_release_0_1_goes_on(data_dir: Path) -> None:
    store = open_sqlite(data_dir)
    assert store.devices.find_all(TenantId("gone"), after=None, limit=9) == []
    assert not store.has_unfinished_purges()
    rows = store.audit.read(after=0, limit=9)
    assert [(row.what, row.actor, row.before, row.after) for row in rows] == [
        *[("device.provisioned", None, None, None)] * 4,
        ("device.refused", None, None, None),
    ]
    await store.connect_path.provision(order("new"))
    store.devices.create(device("newer"), DEED, devices_max=6)
    store.devices.delete(TENANT, DeviceId("sensor-0"), DEED, expected_version=None)
    with pytest.raises(DeviceUnknown):
        store.devices.delete(TENANT, DeviceId("sensor-0"), DEED, expected_version=None)
    assert await store.connect_path.count_devices(TENANT) == 5
    store.tenants.delete(TenantId("off"), DEED, expected_version=None)
    store.close()
