"""What every driver of `registry.ports.ConnectPath` promises."""

import asyncio
from collections.abc import Iterator
from dataclasses import replace
from datetime import timedelta
from pathlib import Path

import pytest

from kernel.errors import Malformed, TuhonoError
from kernel.ids import AuthId, DeviceId, TenantId
from registry.errors import DeviceExists, DeviceLimitReached, ProvisioningWithdrawn
from registry.model import (
    AUTHORITY_AUTO_PROVISIONING,
    X509_CERT,
    Device,
    DeviceStatus,
    KnownDevice,
    ProvisioningOrder,
    Secret,
)
from tenant.audit import AuditRow
from tenant.model import DeviceTemplate
from tests.support.stores import (
    DEED,
    DRIVERS,
    NOW,
    TENANT,
    AnyStore,
    Heard,
    anchor,
    credential,
    credentials_of,
    device,
    opened,
    order,
    put,
    rows_of_devices,
    tenant,
)
from tests.support.waiting import until

HOSTILE = [
    "nul\x00inside",
    "'; DROP TABLE devices; --",
    '"quoted"\\backslash',
    "%_[]*?",
    "crlf\r\nX-Injected: yes",
    "{{subject-cn}}",
    "../../etc/passwd",
    "\U0001f600 emoji é ß",
    "\ufeffbom",
    "+/#",
    "x" * 100_000,
]


@pytest.fixture(params=DRIVERS)
def store(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[AnyStore]:
    with opened(request.param, tmp_path) as store:
        store.tenants.create(tenant(TENANT, anchor()), DEED)
        yield store


async def find(store: AnyStore, auth_id: str) -> KnownDevice | None:
    found = await store.connect_path.find_by_credential(TENANT, X509_CERT, AuthId(auth_id))
    assert store.connect_path.find_by_credential_now(TENANT, X509_CERT, AuthId(auth_id)) == found
    return found


async def find_device(store: AnyStore, tenant_id: TenantId, device_id: DeviceId) -> Device | None:
    found = await store.connect_path.find_device(tenant_id, device_id)
    assert store.connect_path.find_device_now(tenant_id, device_id) == found
    return found


async def test_a_stranger_becomes_the_device_that_the_contract_describes(store: AnyStore) -> None:
    known = await store.connect_path.provision(order("sensor-1"))
    comment = "Auto-provisioned at 2026-01-01T00:00:00.000Z"
    assert known.device == Device(
        tenant_id=TENANT,
        device_id=DeviceId("sensor-1"),
        status=DeviceStatus(created=NOW, auto_provisioned=True),
        enabled=True,
        ext={"comment": comment},
        version=known.device.version,
    )
    assert known.credential_enabled
    assert known.notification_due
    (held,) = credentials_of(store, TENANT, DeviceId("sensor-1"))
    assert (held.type, held.auth_id, held.enabled, held.comment) == (X509_CERT, "CN=sensor-1", True, comment)
    assert held.secrets == (Secret(secret_id=held.secrets[0].secret_id),)
    assert len(held.secrets[0].secret_id) == len(known.device.version) == 36


async def test_what_was_provisioned_is_what_every_lookup_finds(store: AnyStore) -> None:
    known = await store.connect_path.provision(order("sensor-1"))
    assert await find(store, "CN=sensor-1") == known
    assert await find_device(store, TENANT, DeviceId("sensor-1")) == known.device
    assert store.devices.find(TENANT, DeviceId("sensor-1")) == known.device


async def test_a_gateway_gets_the_authority_to_provision(store: AnyStore) -> None:
    known = await store.connect_path.provision(order("gateway-1", as_gateway=True))
    assert known.device.authorities == (AUTHORITY_AUTO_PROVISIONING,)
    assert await find(store, "CN=gateway-1") == known


async def test_a_device_gets_what_the_template_of_its_anchor_gives(store: AnyStore) -> None:
    template = DeviceTemplate(
        defaults={"ttl": 60, "importance": "high"},
        ext={"site": {"floor": 3}, "comment": "mine"},
        via=("gw-1", "gw-2"),
        via_groups=("hall",),
    )
    plain, shaped = await asyncio.gather(
        store.connect_path.provision(order("plain")), store.connect_path.provision(order("shaped", template=template))
    )
    comment = "Auto-provisioned at 2026-01-01T00:00:00.000Z"
    assert shaped.device.defaults == {"ttl": 60, "importance": "high"}
    assert shaped.device.ext == {"site": {"floor": 3}, "comment": comment}, "when it came is no template's to say"
    assert (shaped.device.via, shaped.device.via_groups) == (("gw-1", "gw-2"), ("hall",))
    assert shaped.device.status == plain.device.status and shaped.notification_due
    assert (plain.device.defaults, plain.device.via, plain.device.ext) == ({}, (), {"comment": comment})
    for known in (plain, shaped):
        assert await find(store, f"CN={known.device.device_id}") == known
        assert store.devices.find(TENANT, known.device.device_id) == known.device


async def test_a_template_makes_gateways_members_of_groups(store: AnyStore) -> None:
    template = DeviceTemplate(member_of=("hall", "yard"))
    known = await store.connect_path.provision(order("gateway-1", as_gateway=True, template=template))
    assert known.device.member_of == ("hall", "yard")
    assert known.device.authorities == (AUTHORITY_AUTO_PROVISIONING,)
    assert await store.connect_path.find_gateways(TENANT, ["yard"]) == ["gateway-1"]


async def test_nobody_on_record_is_none(store: AnyStore) -> None:
    assert await find(store, "CN=nobody") is None
    assert await find_device(store, TENANT, DeviceId("nobody")) is None


async def test_tenant_and_credential_type_belong_to_the_name(store: AnyStore) -> None:
    await store.connect_path.provision(order("sensor-1"))
    path = store.connect_path
    assert await path.find_by_credential(TenantId("other"), X509_CERT, AuthId("CN=sensor-1")) is None
    assert await path.find_by_credential(TENANT, "psk", AuthId("CN=sensor-1")) is None
    assert await path.find_by_credential(TENANT, X509_CERT, AuthId("cn=sensor-1")) is None
    assert await find_device(store, TenantId("other"), DeviceId("sensor-1")) is None


async def test_provisioning_again_returns_the_record_and_writes_nothing(store: AnyStore) -> None:
    first = await store.connect_path.provision(order("sensor-1"))
    again = await store.connect_path.provision(order("another-id", auth_id="CN=sensor-1"))
    assert again == first
    assert len(store.devices.find_all(TENANT, after=None, limit=10)) == 1
    assert len(rows_of_devices(store)) == 1


@pytest.mark.parametrize("enabled", [False, True, None])
async def test_a_credential_on_record_in_any_state_is_returned_as_it_is(store: AnyStore, enabled: bool | None) -> None:
    held = credential("sensor-1", enabled=enabled, ext={"client-id": "x"})
    put(store, device("sensor-1", enabled=False), [held])
    known = await store.connect_path.provision(order("another-id", auth_id="CN=sensor-1"))
    assert known.credential_enabled is (enabled is not False)
    assert known.credential_ext == {"client-id": "x"}
    assert known.device == device("sensor-1", enabled=False)
    assert not known.notification_due
    assert await find(store, "CN=sensor-1") == known
    assert await find_device(store, TENANT, DeviceId("another-id")) is None


async def test_a_device_id_that_is_taken_is_refused_and_nothing_is_written(store: AnyStore) -> None:
    first = await store.connect_path.provision(order("sensor-1"))
    with pytest.raises(DeviceExists):
        await store.connect_path.provision(order("sensor-1", auth_id="CN=impostor"))
    assert await find(store, "CN=impostor") is None
    assert store.devices.find(TENANT, DeviceId("sensor-1")) == first.device
    assert len(rows_of_devices(store)) == 1


async def test_a_full_tenant_takes_no_further_device(store: AnyStore) -> None:
    for number in range(2):
        await store.connect_path.provision(order(f"sensor-{number}", devices_max=2))
    with pytest.raises(DeviceLimitReached):
        await store.connect_path.provision(order("sensor-3", devices_max=2))
    assert await find(store, "CN=sensor-3") is None
    assert (await store.connect_path.provision(order("sensor-0", devices_max=2))).device.device_id == "sensor-0"
    store.devices.delete(TENANT, DeviceId("sensor-1"), DEED, expected_version=None)
    await store.connect_path.provision(order("sensor-3", devices_max=2))


async def test_a_limit_of_zero_means_no_device_at_all(store: AnyStore) -> None:
    with pytest.raises(DeviceLimitReached):
        await store.connect_path.provision(order(devices_max=0))


async def test_devices_put_by_operators_count_and_another_tenants_do_not(store: AnyStore) -> None:
    store.tenants.create(tenant("other", anchor(name="CN=Other CA")), DEED)
    await store.connect_path.provision(order("theirs", tenant_id="other", devices_max=1))
    put(store, device("ours"))
    put(store, device("ours", enabled=False))
    await store.connect_path.provision(order("sensor-1", devices_max=2))
    with pytest.raises(DeviceLimitReached):
        await store.connect_path.provision(order("sensor-2", devices_max=2))


async def test_simultaneous_strangers_stop_exactly_at_the_limit(store: AnyStore) -> None:
    asked = [store.connect_path.provision(order(f"sensor-{number}", devices_max=25)) for number in range(100)]
    outcomes = await asyncio.gather(*asked, return_exceptions=True)
    assert sum(isinstance(outcome, KnownDevice) for outcome in outcomes) == 25
    assert sum(isinstance(outcome, DeviceLimitReached) for outcome in outcomes) == 75
    assert len(store.devices.find_all(TENANT, after=None, limit=100)) == 25


@pytest.mark.parametrize(
    "now",
    [
        tenant(TENANT, anchor(), enabled=False),
        tenant(TENANT),
        tenant(TENANT, anchor("other-ca")),
        tenant(TENANT, anchor(may_auto_provision=False)),
    ],
    ids=["tenant disabled", "anchor gone", "another anchor", "permission gone"],
)
async def test_permission_withdrawn_after_the_handshake_is_noticed(store: AnyStore, now: object) -> None:
    store.tenants.replace(now, DEED, expected_version=None)  # type: ignore[arg-type]
    with pytest.raises(ProvisioningWithdrawn):
        await store.connect_path.provision(order())
    assert await find(store, "CN=sensor-1") is None
    assert await store.connect_path.due_notifications(before=NOW + timedelta(days=1), limit=10) == []
    assert rows_of_devices(store) == []


async def test_a_deleted_tenant_provisions_nothing(store: AnyStore) -> None:
    store.tenants.delete(TENANT, DEED, expected_version=None)
    with pytest.raises(ProvisioningWithdrawn):
        await store.connect_path.provision(order())


async def test_the_same_anchor_id_of_another_tenant_gives_no_permission(store: AnyStore) -> None:
    store.tenants.create(tenant("other"), DEED)
    with pytest.raises(ProvisioningWithdrawn):
        await store.connect_path.provision(order(tenant_id="other"))


async def test_many_callers_with_one_certificate_get_one_device(store: AnyStore) -> None:
    asked = [store.connect_path.provision(order(f"id-{number}", auth_id="CN=one")) for number in range(300)]
    outcomes = await asyncio.gather(*asked)
    assert len({outcome.device.device_id for outcome in outcomes}) == 1
    assert len({outcome.device.version for outcome in outcomes}) == 1
    assert len(store.devices.find_all(TENANT, after=None, limit=10)) == 1
    assert len(rows_of_devices(store)) == 1


async def test_five_hundred_strangers_at_once_are_five_hundred_devices(store: AnyStore) -> None:
    outcomes = await asyncio.gather(*(store.connect_path.provision(order(f"s-{number}")) for number in range(500)))
    assert [outcome.device.device_id for outcome in outcomes] == [f"s-{number}" for number in range(500)]
    assert len(store.devices.find_all(TENANT, after=None, limit=1000)) == 500
    assert len(await store.connect_path.due_notifications(before=NOW + timedelta(days=1), limit=1000)) == 500
    assert len(rows_of_devices(store)) == 500


async def test_refused_orders_do_not_fail_their_neighbours(store: AnyStore) -> None:
    put(store, device("taken"))
    asked: list[ProvisioningOrder] = []
    for number in range(20):
        asked.append(order(f"good-{number}"))
        asked.append(order("taken", auth_id=f"CN=impostor-{number}"))
        asked.append(order(f"stray-{number}", anchor_id="gone-ca"))
        asked.append(order(f"broken-{number}\ud800"))
    outcomes = await asyncio.gather(*(store.connect_path.provision(entry) for entry in asked), return_exceptions=True)
    kinds = [type(outcome) for outcome in outcomes]
    assert kinds[0::4] == [KnownDevice] * 20
    assert kinds[1::4] == [DeviceExists] * 20
    assert kinds[2::4] == [ProvisioningWithdrawn] * 20
    assert all(issubclass(kind, Malformed) for kind in kinds[3::4])
    assert len(store.devices.find_all(TENANT, after=None, limit=100)) == 21


async def test_a_callers_end_does_not_end_its_order_or_its_neighbours(store: AnyStore) -> None:
    leaving = asyncio.ensure_future(store.connect_path.provision(order("leaving")))
    staying = asyncio.ensure_future(store.connect_path.provision(order("staying")))
    leaving.cancel()
    assert (await staying).device.device_id == "staying"
    with pytest.raises(asyncio.CancelledError):
        await leaving


async def test_the_audit_row_says_who_came(store: AnyStore) -> None:
    await store.connect_path.provision(order("sensor-1"))
    (row,) = rows_of_devices(store)
    assert (row.what, row.tenant_id, row.device_id, row.code, row.moment) == (
        "device.provisioned",
        TENANT,
        "sensor-1",
        None,
        NOW,
    )
    assert row.facts["issuer"] == "CN=Plant CA"
    assert row.facts["serial"] == "1f"
    assert row.facts["fingerprint"] == "ab" * 32
    assert row.facts["remote"] == "192.0.2.7:50000"
    assert row.facts["anchor"] == "plant-ca"
    assert row.facts["auth_id"] == "CN=sensor-1"


async def test_a_notification_is_due_until_it_is_marked(store: AnyStore) -> None:
    early = order("early", moment=NOW)
    late = order("late", moment=NOW + timedelta(seconds=10))
    for entry in (late, early):
        await store.connect_path.provision(entry)

    async def due(seconds: float, limit: int = 10) -> list[str]:
        before = NOW + timedelta(seconds=seconds)
        return [entry.device_id for entry in await store.connect_path.due_notifications(before=before, limit=limit)]

    assert await due(0) == []
    assert await due(5) == ["early"]
    assert await due(60) == ["early", "late"]
    assert await due(60, limit=1) == ["early"]
    await store.connect_path.mark_notified(TENANT, DeviceId("early"))
    assert await due(60) == ["late"]


async def test_marking_counts_as_an_update_and_is_safe_to_repeat(store: AnyStore) -> None:
    before = await store.connect_path.provision(order("sensor-1"))
    await store.connect_path.mark_notified(TENANT, DeviceId("sensor-1"))
    once = await find(store, "CN=sensor-1")
    assert once is not None
    assert not once.notification_due
    assert once.device.status == replace(before.device.status, notification_sent=True, updated=NOW)
    assert once.device.version != before.device.version
    await asyncio.gather(*(store.connect_path.mark_notified(TENANT, DeviceId("sensor-1")) for _ in range(3)))
    assert await find(store, "CN=sensor-1") == once


async def test_marking_a_device_that_is_gone_does_nothing(store: AnyStore) -> None:
    await store.connect_path.provision(order("sensor-1"))
    store.devices.delete(TENANT, DeviceId("sensor-1"), DEED, expected_version=None)
    await store.connect_path.mark_notified(TENANT, DeviceId("sensor-1"))
    assert await find_device(store, TENANT, DeviceId("sensor-1")) is None


async def test_a_deleted_device_leaves_no_queued_event_and_no_credential(store: AnyStore) -> None:
    await store.connect_path.provision(order("sensor-1"))
    store.devices.delete(TENANT, DeviceId("sensor-1"), DEED, expected_version=None)
    assert await store.connect_path.due_notifications(before=NOW + timedelta(days=1), limit=10) == []
    assert await find(store, "CN=sensor-1") is None
    assert (await store.connect_path.provision(order("sensor-2", auth_id="CN=sensor-1"))).device.device_id == "sensor-2"


async def test_the_count_of_devices_is_the_tenants_own_at_any_time(store: AnyStore) -> None:
    async def counts() -> tuple[int, int]:
        count = store.connect_path.count_devices
        return await count(TENANT), await count(TenantId("other"))

    assert await counts() == (0, 0)
    store.tenants.create(tenant("other", anchor(name="CN=Other CA")), DEED)
    put(store, device("early", tenant_id="other"))
    await asyncio.gather(*(store.connect_path.provision(order(f"sensor-{number}")) for number in range(70)))
    await store.connect_path.provision(order("theirs", tenant_id="other"))
    assert await counts() == (70, 2)
    store.devices.delete(TENANT, DeviceId("sensor-3"), DEED, expected_version=None)
    put(store, device("sensor-4"))
    put(store, device("by-hand"))
    assert await counts() == (70, 2)
    store.tenants.delete(TENANT, DEED, expected_version=None)
    assert await counts() == (0, 2)


@pytest.mark.parametrize("name", HOSTILE, ids=lambda name: repr(name)[:24])
async def test_hostile_names_come_back_as_they_were_or_are_refused_by_name(store: AnyStore, name: str) -> None:
    asked = order(name, auth_id=f"CN={name}", issuer_dn=name, remote=name)
    await store.connect_path.provision(order("neighbour"))
    try:
        known = await store.connect_path.provision(asked)
    except Malformed as refusal:
        assert refusal.code == "name-unstorable"
        return
    assert known.device.device_id == name
    assert await find(store, f"CN={name}") == known
    assert await find_device(store, TENANT, DeviceId(name)) == known.device
    assert rows_of_devices(store)[1].facts["issuer"] == name
    assert [entry.device_id for entry in store.devices.find_all(TENANT, after=None, limit=9)] == sorted(
        ["neighbour", name]
    )
    store.devices.delete(TENANT, DeviceId(name), DEED, expected_version=None)
    assert await find(store, f"CN={name}") is None
    assert await find(store, "CN=neighbour") is not None


async def test_text_without_a_utf8_form_is_refused_by_name_and_found_nowhere(store: AnyStore) -> None:
    with pytest.raises(TuhonoError) as refusal:
        await store.connect_path.provision(order("\ud800"))
    assert refusal.value.code == "name-unstorable"
    assert await find(store, "\ud800") is None
    assert await find_device(store, TENANT, DeviceId("\ud800")) is None


async def test_names_that_differ_only_in_a_nul_are_two_names(store: AnyStore) -> None:
    await store.connect_path.provision(order("a", auth_id="CN=a"))
    assert await find(store, "CN=a\x00") is None
    assert await find(store, "CN=a\x00b") is None


async def test_a_recorded_row_is_written_soon(store: AnyStore) -> None:
    row = AuditRow(moment=NOW, what="device.refused", tenant_id=None, code="untrusted-issuer", facts={"issuer": "CN=x"})
    store.connect_path.record(row)
    await until(lambda: rows_of_devices(store))
    assert rows_of_devices(store) == [replace(row, position=2)]


@pytest.mark.parametrize("auth_id", ["CN=sensor-1", "CN=nobody", "CN=\udcff"])
async def test_a_lookup_delivers_what_was_committed_before_it(store: AnyStore, auth_id: str) -> None:
    await store.connect_path.provision(order())
    store.feed.catch_up()
    heard = Heard(store.feed)
    await find(store, auth_id)
    assert heard.changes == []
    store.tenants.create(tenant("another"), DEED)
    store.devices.set_enabled(TENANT, [DeviceId("sensor-1")], DEED, enabled=False)
    known = await find(store, auth_id)
    assert heard.kinds() == ["tenant", "device"]
    assert known is None or not known.device.is_enabled
    await find(store, auth_id)
    assert len(heard.changes) == 2
