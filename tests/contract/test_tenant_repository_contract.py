"""What every driver of `tenant.ports.TenantRepository` promises."""

from collections.abc import Iterator
from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from kernel.errors import Malformed, VersionMismatch
from kernel.ids import AuthId, DeviceId, TenantId
from registry.model import X509_CERT
from tenant.errors import AliasTaken, AnchorExists, AnchorTaken, TenantExists, TenantUnknown
from tenant.model import AdapterSettings, RegistrationLimits, ResourceLimits, Tenant
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

DN = "CN=Shared CA"


@pytest.fixture(params=DRIVERS)
def store(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[AnyStore]:
    with opened(request.param, tmp_path) as store:
        yield store


def test_a_tenant_comes_back_as_it_was_given(store: AnyStore) -> None:
    listed = anchor(
        "full-ca",
        provisions_gateways=True,
        device_id_template="dev-{{subject-cn}}",
        auth_id_template="auth-{{subject-cn}}",
        provisioning_per_s_max=2.5,
    )
    certified = replace(listed.authority, certificate_der=b"\x30\x00cert", subject_der=b"\x30\x00")
    given = tenant(
        TENANT,
        replace(listed, authority=certified),
        anchor("bare-ca", may_auto_provision=False),
        enabled=False,
        alias="plant",
        trust_anchor_group="group",
        adapters=(
            AdapterSettings(type="hono-mqtt", enabled=True, ext={"max-ttd": 30}),
            AdapterSettings(type="hono-http", authentication_required=False),
        ),
        defaults={"ttl": 30, "content-type": "text/plain", "nested": {"list": [1, None, True, 0.5, "\x00\ud800ß"]}},
        ext={"messaging-type": "kafka"},
        resource_limits=ResourceLimits(max_connections=5, max_ttl_s=0),
        registration_limits=RegistrationLimits(max_devices=0),
        created=NOW,
        updated=NOW + timedelta(microseconds=1),
    )
    store.tenants.create(given, DEED)
    assert store.tenants.find(TENANT) == given


def test_what_was_never_set_stays_unset(store: AnyStore) -> None:
    store.tenants.create(Tenant(tenant_id=TENANT, version="1"), DEED)
    assert store.tenants.find(TENANT) == Tenant(tenant_id=TENANT, version="1")


def test_adapters_unset_and_adapters_empty_are_two_things(store: AnyStore) -> None:
    store.tenants.create(tenant("none", adapters=None), DEED)
    store.tenants.create(tenant("empty", adapters=()), DEED)
    none, empty = store.tenants.find(TenantId("none")), store.tenants.find(TenantId("empty"))
    assert none is not None and none.adapters is None
    assert empty is not None and empty.adapters == ()


def test_an_unknown_tenant_is_none(store: AnyStore) -> None:
    assert store.tenants.find(TENANT) is None


def test_a_taken_id_is_refused_and_the_holder_untouched(store: AnyStore) -> None:
    store.tenants.create(tenant(TENANT, alias="first"), DEED)
    with pytest.raises(TenantExists):
        store.tenants.create(tenant(TENANT, alias="second"), DEED)
    assert store.tenants.find(TENANT) == tenant(TENANT, alias="first")


def test_an_alias_belongs_to_one_tenant(store: AnyStore) -> None:
    store.tenants.create(tenant("one", alias="plant"), DEED)
    store.tenants.create(tenant("two"), DEED)
    with pytest.raises(AliasTaken):
        store.tenants.create(tenant("three", alias="plant"), DEED)
    with pytest.raises(AliasTaken):
        store.tenants.replace(tenant("two", alias="plant"), DEED, expected_version=None)
    store.tenants.replace(tenant("one", alias="plant", enabled=False), DEED, expected_version=None)
    store.tenants.replace(tenant("one"), DEED, expected_version=None)
    store.tenants.replace(tenant("two", alias="plant"), DEED, expected_version=None)


def test_an_alias_is_no_other_tenant_s_id_and_no_id_another_one_s_alias(store: AnyStore) -> None:
    """Devices name their tenant by either."""
    store.tenants.create(tenant("one", alias="plant"), DEED)
    store.tenants.create(tenant("two", alias="two"), DEED)
    with pytest.raises(TenantExists):
        store.tenants.create(tenant("plant"), DEED)
    with pytest.raises(AliasTaken):
        store.tenants.create(tenant("three", alias="one"), DEED)
    with pytest.raises(AliasTaken):
        store.tenants.replace(tenant("two", alias="one"), DEED, expected_version=None)


@pytest.mark.parametrize(
    ("ours", "theirs", "may"),
    [
        (None, None, False),
        ("g", None, False),
        (None, "g", False),
        ("g", "h", False),
        ("", "", True),
        ("", None, False),
        ("g", "g", True),
    ],
)
def test_a_ca_name_is_shared_within_a_trust_anchor_group_only(
    store: AnyStore, ours: str | None, theirs: str | None, may: bool
) -> None:
    store.tenants.create(tenant("theirs", anchor(name=DN), trust_anchor_group=theirs), DEED)
    created = tenant("ours", anchor("other", name=DN), trust_anchor_group=ours)
    if may:
        store.tenants.create(created, DEED)
        return
    with pytest.raises(AnchorTaken):
        store.tenants.create(created, DEED)
    assert store.tenants.find(TenantId("ours")) is None
    store.tenants.create(tenant("ours", trust_anchor_group=ours), DEED)
    with pytest.raises(AnchorTaken):
        store.tenants.replace(created, DEED, expected_version=None)


def test_leaving_the_group_with_a_shared_name_is_refused(store: AnyStore) -> None:
    for name in ("one", "two"):
        store.tenants.create(tenant(name, anchor(name=DN), trust_anchor_group="g"), DEED)
    with pytest.raises(AnchorTaken):
        store.tenants.replace(tenant("two", anchor(name=DN)), DEED, expected_version=None)


def test_expired_cas_hold_their_name_too(store: AnyStore) -> None:
    expired = anchor(name=DN)
    authority = replace(expired.authority, not_after=NOW - timedelta(days=1000), not_before=NOW - timedelta(days=2000))
    store.tenants.create(tenant("one", replace(expired, authority=authority)), DEED)
    with pytest.raises(AnchorTaken):
        store.tenants.create(tenant("two", anchor(name=DN)), DEED)


def test_ca_names_that_differ_in_case_are_two_names(store: AnyStore) -> None:
    store.tenants.create(tenant("one", anchor(name="CN=Shared CA")), DEED)
    store.tenants.create(tenant("two", anchor(name="CN=shared ca")), DEED)


def test_two_keys_of_one_name_in_one_tenant_are_fine(store: AnyStore) -> None:
    store.tenants.create(tenant(TENANT, anchor("old", name=DN), anchor("new", name=DN)), DEED)
    found = store.tenants.find(TENANT)
    assert found is not None
    assert [entry.anchor_id for entry in found.trust_anchors] == ["old", "new"]


def test_an_anchor_is_listed_once_by_id(store: AnyStore) -> None:
    with pytest.raises(AnchorExists):
        store.tenants.create(tenant(TENANT, anchor("one"), anchor("one", name="CN=Other")), DEED)
    assert store.tenants.find(TENANT) is None


def test_one_ca_is_listed_under_several_ids(store: AnyStore) -> None:
    same_key = replace(anchor("second"), authority=anchor("first").authority)
    certified = replace(anchor("third").authority, certificate_der=b"cert")
    given = tenant(
        TENANT,
        anchor("first"),
        same_key,
        replace(anchor("third"), authority=certified),
        replace(anchor("fourth"), authority=certified),
    )
    store.tenants.create(given, DEED)
    assert store.tenants.find(TENANT) == given


def test_any_number_of_tenants_may_list_no_ca(store: AnyStore) -> None:
    for number in range(3):
        store.tenants.create(tenant(f"t{number}"), DEED)


def test_replacing_replaces_the_whole_document(store: AnyStore) -> None:
    store.tenants.create(tenant(TENANT, anchor(), alias="plant", ext={"a": 1}, created=NOW), DEED)
    now = tenant(TENANT, enabled=False, version="2")
    store.tenants.replace(now, DEED, expected_version="acme-1")
    assert store.tenants.find(TENANT) == replace(now, created=NOW)


def test_every_write_has_a_version_of_its_own(store: AnyStore) -> None:
    versions = set()
    store.tenants.create(Tenant(tenant_id=TENANT), DEED)
    for _ in range(3):
        found = store.tenants.find(TENANT)
        assert found is not None
        versions.add(found.version)
        store.tenants.replace(found, DEED, expected_version=found.version)
    assert len(versions) == 3
    assert "" not in versions


def test_a_stale_version_is_refused(store: AnyStore) -> None:
    store.tenants.create(tenant(TENANT), DEED)
    with pytest.raises(VersionMismatch):
        store.tenants.replace(tenant(TENANT, alias="x"), DEED, expected_version="stale")
    with pytest.raises(VersionMismatch):
        store.tenants.delete(TENANT, DEED, expected_version="stale")
    assert store.tenants.find(TENANT) == tenant(TENANT)
    store.tenants.delete(TENANT, DEED, expected_version="acme-1")


def test_an_unknown_tenant_is_neither_replaced_nor_deleted(store: AnyStore) -> None:
    with pytest.raises(TenantUnknown):
        store.tenants.replace(tenant(TENANT), DEED, expected_version="any")
    with pytest.raises(TenantUnknown):
        store.tenants.delete(TENANT, DEED, expected_version=None)


async def test_a_deleted_tenant_leaves_nothing_that_a_new_one_could_inherit(store: AnyStore) -> None:
    store.tenants.create(tenant(TENANT, anchor(name=DN), alias="plant"), DEED)
    store.tenants.create(tenant("other", anchor(name="CN=Other")), DEED)
    for number in range(5):
        await store.connect_path.provision(order(f"sensor-{number}"))
    put(store, device("sensor-1", tenant_id="other"), [credential("sensor-1", tenant_id="other")])
    store.tenants.delete(TENANT, DEED, expected_version=None)
    assert store.tenants.find(TENANT) is None
    assert store.devices.find_all(TENANT, after=None, limit=10) == []
    assert await store.connect_path.find_by_credential(TENANT, X509_CERT, AuthId("CN=sensor-1")) is None
    assert await store.connect_path.due_notifications(before=NOW + timedelta(days=1), limit=10) == []
    assert store.devices.find(TenantId("other"), DeviceId("sensor-1")) is not None
    store.tenants.create(tenant(TENANT, anchor(name=DN), alias="plant"), DEED)
    assert store.devices.find_all(TENANT, after=None, limit=10) == []
    assert await store.connect_path.count_devices(TENANT) == 0
    await store.connect_path.provision(order("sensor-1", devices_max=1))


def test_tenants_are_paged_in_the_order_of_ids(store: AnyStore) -> None:
    names = ["B", "a", "a-1", "b", "z\x00", "é"]
    for name in reversed(names):
        store.tenants.create(tenant(name, anchor(name=f"CN={name}")), DEED)

    def page(after: str | None, limit: int) -> list[str]:
        found = store.tenants.find_all(after=None if after is None else TenantId(after), limit=limit)
        assert all(len(entry.trust_anchors) == 1 for entry in found)
        return [entry.tenant_id for entry in found]

    assert page(None, 10) == names
    assert page(None, 2) == names[:2]
    assert page("a", 2) == names[2:4]
    assert page("aa", 1) == ["b"]
    assert page("é", 10) == []


@pytest.mark.parametrize("name", ["nul\x00", "'; DROP TABLE tenants; --", "%", "\U0001f600", "x" * 10_000])
@pytest.mark.parametrize("member", ["tenant_id", "alias", "trust_anchor_group"])
def test_hostile_names_come_back_as_they_were_or_are_refused_by_name(store: AnyStore, member: str, name: str) -> None:
    members: dict[str, Any] = {"tenant_id": TENANT, "version": "1", member: name}
    given = Tenant(**members)
    try:
        store.tenants.create(given, DEED)
    except Malformed as refusal:
        assert refusal.code == "name-unstorable"
        return
    assert store.tenants.find(given.tenant_id) == given
    store.tenants.delete(given.tenant_id, DEED, expected_version=None)
    assert store.tenants.find_all(after=None, limit=10) == []


@pytest.mark.parametrize("member", ["tenant_id", "alias"])
def test_text_without_a_utf8_form_is_refused_by_name(store: AnyStore, member: str) -> None:
    members: dict[str, Any] = {"tenant_id": TENANT, member: "\udfff"}
    with pytest.raises(Malformed) as refusal:
        store.tenants.create(Tenant(**members), DEED)
    assert refusal.value.code == "name-unstorable"
    assert store.tenants.find_all(after=None, limit=10) == []
