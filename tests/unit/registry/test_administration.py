"""What operators may do with devices and credentials: ids, tenants, limits, versions (hono-registry 1.3, 1.4)."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from datetime import timedelta
from typing import Any

import pytest

from conf.registry import RegistrySettings
from kernel.clock import ManualClock
from kernel.errors import TuhonoError, VersionMismatch
from kernel.ids import TENANT_ID_PATTERN, DeviceId, IdRule, TenantId
from registry.administration import CredentialAdministration, DeviceAdministration
from registry.credentials import CredentialUpdate, SecretUpdate
from registry.device_rules import DEFAULTS_MAX_BYTES, ENDPOINT_PROPERTIES_MAX_BYTES, EXT_MAX_BYTES
from registry.errors import (
    CredentialInvalid,
    CredentialLimitReached,
    CredentialTaken,
    DeviceExists,
    DeviceIdInvalid,
    DeviceInvalid,
    DeviceLimitReached,
    DeviceUnknown,
)
from registry.model import CommandEndpoint, CredentialSet, Device, DeviceStatus
from storage.memory import MemoryStore
from tenant.audit import Deed
from tenant.errors import TenantInvalid, TenantUnknown
from tenant.model import RegistrationLimits, Tenant
from tenant.search import Query
from tests.support.certificates import NOON
from tests.support.passwords import verify
from tests.support.stores import DEED, anchor, order, tenant

LATER = Deed(actor="ops", moment=DEED.moment + timedelta(hours=1), remote="192.0.2.9")


@dataclass(kw_only=True)
class Registry:
    """The two services over one store in memory."""

    store: MemoryStore
    devices: DeviceAdministration
    credentials: CredentialAdministration

    def tenant(self, tenant_id: str = "acme", **limits: int) -> None:
        limited = RegistrationLimits(**limits) if limits else None
        self.store.tenants.create(Tenant(tenant_id=TenantId(tenant_id), registration_limits=limited, version="1"), DEED)

    def make(self, device_id: str = "sensor", *, tenant_id: str = "acme", **members: Any) -> Device:
        return self.devices.create(device(device_id, tenant_id=tenant_id, **members), DEED)

    def put(self, updates: Sequence[CredentialUpdate], device_id: str = "sensor", **choices: Any) -> str:
        return self.credentials.replace("acme", device_id, updates, DEED, **choices)

    def on_record(self, device_id: str = "sensor") -> CredentialSet:
        found = self.store.devices.find_credentials(TenantId("acme"), DeviceId(device_id))
        assert found is not None
        return found


def build(**settings: Any) -> Registry:
    store = MemoryStore(ManualClock(NOON))
    parts: dict[str, Any] = {
        "devices": store.devices,
        "tenants": store.tenants,
        "settings": RegistrySettings(bcrypt_cost_max=4, **settings),
        "tenant_ids": IdRule(TENANT_ID_PATTERN),
    }
    return Registry(store=store, devices=DeviceAdministration(**parts), credentials=CredentialAdministration(**parts))


@pytest.fixture
def registry() -> Iterator[Registry]:
    made = build()
    made.tenant()
    yield made


def device(device_id: str = "sensor", *, tenant_id: str = "acme", **members: Any) -> Device:
    status = DeviceStatus(created=NOON, auto_provisioned=True, last_user="forged")
    return Device(
        tenant_id=TenantId(tenant_id), device_id=DeviceId(device_id), status=status, version="forged", **members
    )


def password(word: str = "hono-secret", auth_id: str = "user", **members: Any) -> CredentialUpdate:
    return CredentialUpdate(type="hashed-password", auth_id=auth_id, secrets=(SecretUpdate(password=word, **members),))


def other(type_: str, auth_id: str = "user") -> CredentialUpdate:
    return CredentialUpdate(type=type_, auth_id=auth_id, secrets=(SecretUpdate(),))


# Devices.


def test_status_and_version_of_a_new_device_are_the_registrys(registry: Registry) -> None:
    made = registry.make(ext={"a": 1})
    found = registry.devices.get("acme", "sensor")
    assert found == made
    assert found.status == DeviceStatus(created=DEED.moment)
    assert found.version not in {"", "forged"}


def test_a_second_device_of_that_id_is_refused_and_the_first_is_left_alone(registry: Registry) -> None:
    made = registry.make(ext={"a": 1})
    with pytest.raises(DeviceExists):
        registry.make(ext={"a": 2})
    assert registry.devices.get("acme", "sensor") == made


def test_an_update_replaces_everything_but_the_status(registry: Registry) -> None:
    made = registry.make(ext={"a": 1}, enabled=False)
    version = registry.devices.replace(device(defaults={"ttl": 5}), LATER)
    found = registry.devices.get("acme", "sensor")
    assert (found.ext, found.enabled, found.defaults) == ({}, None, {"ttl": 5})
    assert found.status == DeviceStatus(created=DEED.moment, updated=LATER.moment, last_user="ops")
    assert found.version == version != made.version


async def test_what_provisioning_left_in_the_status_survives_an_update() -> None:
    registry = build()
    registry.store.tenants.create(tenant("acme", anchor()), DEED)
    await registry.store.connect_path.provision(order("sensor"))
    await registry.store.connect_path.mark_notified(TenantId("acme"), DeviceId("sensor"))
    registry.devices.replace(device(), LATER)
    status = registry.devices.get("acme", "sensor").status
    assert (status.auto_provisioned, status.notification_sent, status.last_user) == (True, True, "ops")


def test_a_device_is_written_in_the_version_that_is_expected(registry: Registry) -> None:
    version = registry.make().version
    version = registry.devices.replace(device(), LATER, expected_version=version)
    with pytest.raises(VersionMismatch):
        registry.devices.replace(device(ext={"a": 1}), LATER, expected_version="stale")
    with pytest.raises(VersionMismatch):
        registry.devices.delete("acme", "sensor", LATER, expected_version="stale")
    assert registry.devices.get("acme", "sensor").version == version
    registry.devices.delete("acme", "sensor", LATER, expected_version=version)


def test_credentials_are_written_in_the_version_that_is_expected(registry: Registry) -> None:
    registry.make()
    version = registry.put([other("type-0")], expected_version=registry.on_record().version)
    with pytest.raises(VersionMismatch):
        registry.put([], expected_version="stale")
    assert registry.on_record().version == version
    registry.put([], expected_version=version)


RULES = [
    ({"via": (DeviceId("gw"),), "member_of": ("north",)}, "via: must be empty where memberOf is not"),
    ({"via_groups": ("south",), "member_of": ("north",)}, "viaGroups: must be empty where memberOf is not"),
    ({"via": tuple(DeviceId(str(number)) for number in range(101))}, "via: must have at most 100"),
    ({"member_of": tuple(str(number) for number in range(101))}, "memberOf: must have at most 100"),
    ({"authorities": tuple(str(number) for number in range(17))}, "authorities: must have at most 16"),
    ({"defaults": {"a": "é" * (DEFAULTS_MAX_BYTES // 2)}}, "defaults: must have at most 4096 bytes"),
    ({"ext": {"a": "x" * EXT_MAX_BYTES}}, "ext: must have at most 32768 bytes"),
    (
        {"command_endpoint": CommandEndpoint(uri="x", payload_properties={"a": "x" * ENDPOINT_PROPERTIES_MAX_BYTES})},
        "command-endpoint.payload-properties: must have at most 4096 bytes",
    ),
]


@pytest.mark.parametrize(("members", "words"), RULES)
def test_a_device_that_breaks_a_rule_is_neither_made_nor_changed(registry: Registry, members: Any, words: str) -> None:
    with pytest.raises(DeviceInvalid) as refused:
        registry.make(**members)
    assert str(refused.value).startswith(words)
    made = registry.make()
    with pytest.raises(DeviceInvalid):
        registry.devices.replace(device(**members), LATER)
    assert registry.devices.get("acme", "sensor") == made


def test_defaults_of_the_largest_size_are_taken(registry: Registry) -> None:
    registry.make(defaults={"a": "x" * (DEFAULTS_MAX_BYTES - len('{"a": ""}'))})


@pytest.mark.parametrize(
    ("limits", "setting", "most"),
    [
        ({}, -1, None),
        ({}, 0, None),
        ({}, 2, 2),
        ({"max_devices": -1}, 1, 1),
        ({"max_devices": 0}, 5, 0),
        ({"max_devices": 3}, 1, 3),
    ],
)
def test_the_tenants_own_limit_goes_before_the_setting(limits: Any, setting: int, most: int | None) -> None:
    registry = build(devices_per_tenant_max=setting)
    registry.tenant(**limits)
    for number in range(5 if most is None else most):
        registry.make(f"sensor-{number}")
    if most is not None:
        with pytest.raises(DeviceLimitReached):
            registry.make("one-more")


def test_deleting_a_device_deletes_its_credentials(registry: Registry) -> None:
    registry.make()
    registry.put([password()])
    registry.devices.delete("acme", "sensor", LATER)
    for look in (registry.devices.get, registry.credentials.get):
        with pytest.raises(DeviceUnknown):
            look("acme", "sensor")
    registry.make("sensor-2")
    registry.put([password()], "sensor-2")  # the auth-id is free again


def test_devices_can_be_deleted_when_their_tenant_is_gone(registry: Registry) -> None:
    registry.make()
    registry.store.tenants.delete(TenantId("acme"), DEED, expected_version=None)
    for look in (registry.devices.get, registry.credentials.get):
        with pytest.raises(TenantUnknown):
            look("acme", "sensor")
    registry.devices.delete("acme", "sensor", LATER)
    assert registry.devices.delete_all("acme", LATER) == 0


def test_all_devices_of_one_tenant_are_deleted_at_once(registry: Registry) -> None:
    registry.tenant("other")
    for number in range(3):
        registry.make(f"sensor-{number}")
    registry.make("sensor-0", tenant_id="other")
    assert registry.devices.delete_all("acme", LATER) == 3
    assert registry.devices.delete_all("acme", LATER) == 0
    assert registry.devices.delete_all("unknown", LATER) == 0
    assert [found.device_id for found in registry.devices.all("other")] == ["sensor-0"]


def test_a_device_is_switched_off_and_on(registry: Registry) -> None:
    registry.make()
    registry.devices.set_enabled("acme", "sensor", LATER, enabled=False)
    found = registry.devices.get("acme", "sensor")
    assert (found.is_enabled, found.status.last_user, found.status.updated) == (False, "ops", LATER.moment)
    with pytest.raises(DeviceUnknown):
        registry.devices.set_enabled("acme", "unknown", LATER, enabled=False)


def _operations(registry: Registry, tenant_id: str, device_id: str) -> dict[str, Any]:
    return {
        "create": lambda: registry.devices.create(device(device_id, tenant_id=tenant_id), DEED),
        "get": lambda: registry.devices.get(tenant_id, device_id),
        "replace": lambda: registry.devices.replace(device(device_id, tenant_id=tenant_id), DEED),
        "set_enabled": lambda: registry.devices.set_enabled(tenant_id, device_id, DEED, enabled=True),
        "delete": lambda: registry.devices.delete(tenant_id, device_id, DEED),
        "read credentials": lambda: registry.credentials.get(tenant_id, device_id),
        "replace credentials": lambda: registry.credentials.replace(tenant_id, device_id, [], DEED),
        "set password": lambda: registry.credentials.set_password(tenant_id, device_id, "user", "new", DEED),
        "make credentials": lambda: registry.credentials.made(tenant_id, device_id, [], DEED),
    }


OPERATIONS = sorted(_operations(build(), "acme", "sensor"))


@pytest.mark.parametrize("name", OPERATIONS)
@pytest.mark.parametrize(
    ("tenant_id", "device_id", "refusal"),
    [
        ("a b", "sensor", TenantInvalid),
        ("a$", "sensor", TenantInvalid),
        ("..", "sensor", TenantInvalid),
        ("acme", "a b", DeviceIdInvalid),
        ("acme", "a$b", DeviceIdInvalid),
        ("acme", "a!", DeviceIdInvalid),
        ("acme", "x" * 257, DeviceIdInvalid),
    ],
)
def test_an_id_that_can_be_none_is_refused_by_every_operation(
    registry: Registry, name: str, tenant_id: str, device_id: str, refusal: type[TuhonoError]
) -> None:
    with pytest.raises(refusal):
        _operations(registry, tenant_id, device_id)[name]()


@pytest.mark.parametrize("name", OPERATIONS)
def test_what_nobody_knows_is_refused_by_every_operation(registry: Registry, name: str) -> None:
    with pytest.raises(DeviceUnknown if name == "delete" else TenantUnknown):
        _operations(registry, "unknown", "sensor")[name]()
    if name not in {"create", "make credentials"}:
        with pytest.raises(DeviceUnknown):
            _operations(registry, "acme", "unknown")[name]()


def test_searching_in_a_tenant_nobody_knows_finds_no_tenant_whatever_its_id(registry: Registry) -> None:
    for tenant_id in ("unknown", "a b$"):
        with pytest.raises(TenantUnknown):
            registry.devices.search(tenant_id, Query())
    with pytest.raises(TenantInvalid):
        registry.devices.delete_all("a b$", DEED)


# Credentials.


def test_a_new_device_has_no_credentials_but_a_version_of_them(registry: Registry) -> None:
    registry.make()
    found = registry.credentials.get("acme", "sensor")
    assert found.credentials == () and found.version
    assert registry.credentials.get("acme", "sensor").version == found.version


def test_every_update_makes_a_version_and_tells_it(registry: Registry) -> None:
    registry.make()
    versions = [registry.credentials.get("acme", "sensor").version]
    for _ in range(2):
        versions.append(registry.put([]))
        assert registry.credentials.get("acme", "sensor").version == versions[-1]
    assert len(set(versions)) == 3


def test_a_password_is_kept_as_a_hash_and_never_shown(registry: Registry) -> None:
    registry.make()
    registry.put([password()])
    (shown,) = registry.credentials.get("acme", "sensor").credentials
    assert shown.secrets[0].material == {}
    (kept,) = registry.on_record().credentials
    assert kept.secrets[0].material["pwd-hash"].startswith("$2a$04$")
    assert verify(kept, b"hono-secret", NOON)


def test_a_password_is_kept_by_its_id(registry: Registry) -> None:
    registry.make()
    registry.put([password()])
    (shown,) = registry.credentials.get("acme", "sensor").credentials
    again = SecretUpdate(secret_id=shown.secrets[0].secret_id, comment="updated")
    registry.put([replace(password(), secrets=(again, SecretUpdate(password="second")))])
    (kept,) = registry.on_record().credentials
    assert [secret.comment for secret in kept.secrets] == ["updated", None]
    assert kept.secrets[0].secret_id == shown.secrets[0].secret_id
    assert verify(kept, b"hono-secret", NOON) and verify(kept, b"second", NOON)


def test_nothing_is_written_when_an_update_is_refused(registry: Registry) -> None:
    registry.make()
    registry.put([password()])
    before = registry.on_record()
    for updates, refusal in (
        ([password(), CredentialUpdate(type="psk", auth_id="a", secrets=(SecretUpdate(),))], CredentialInvalid),
        ([replace(password(), secrets=(SecretUpdate(secret_id="unknown"),))], CredentialInvalid),
    ):
        with pytest.raises(refusal):
            registry.put(updates)
    assert registry.on_record() == before


def test_an_auth_id_belongs_to_one_device_of_a_tenant(registry: Registry) -> None:
    registry.tenant("other")
    for tenant_id, device_id in (("acme", "sensor"), ("acme", "sensor-2"), ("other", "sensor")):
        registry.make(device_id, tenant_id=tenant_id)
    registry.put([password(), other("type-0")])
    with pytest.raises(CredentialTaken):
        registry.put([other("type-0")], "sensor-2")
    registry.put([other("type-1")], "sensor-2")
    registry.credentials.replace("other", "sensor", [password()], DEED)
    registry.put([])
    registry.put([other("type-0")], "sensor-2")


@pytest.mark.parametrize(("most", "taken"), [(-1, True), (0, False), (1, False), (2, True)])
def test_a_tenant_may_limit_the_credentials_of_a_device(most: int, taken: bool) -> None:
    registry = build()
    registry.tenant(max_credentials_per_device=most)
    registry.make()
    registry.put([])
    updates = [other("type-0"), other("type-1")]
    if taken:
        registry.put(updates)
    else:
        with pytest.raises(CredentialLimitReached):
            registry.put(updates)


def test_a_password_is_set_and_everything_else_stays(registry: Registry) -> None:
    registry.make()
    registry.put([other("type-0"), replace(password("old"), comment="mine", ext={"a": 1}), password("else", "user-2")])
    before = {(one.type, str(one.auth_id)): one for one in registry.on_record().credentials}
    version = registry.credentials.set_password("acme", "sensor", "user", "new", LATER)
    assert version == registry.on_record().version
    after = {(one.type, str(one.auth_id)): one for one in registry.on_record().credentials}
    changed = after.pop(("hashed-password", "user"))
    assert after == {name: one for name, one in before.items() if name != ("hashed-password", "user")}
    assert (changed.comment, changed.ext, len(changed.secrets)) == ("mine", {"a": 1}, 1)
    assert verify(changed, b"new", NOON) and not verify(changed, b"old", NOON)
    registry.credentials.set_password("acme", "sensor", "user-3", "new", LATER)
    assert len(registry.on_record().credentials) == 4
    for auth_id, word in (("#illegal", "new"), ("user", ""), ("user", "x" * 73)):
        with pytest.raises(CredentialInvalid):
            registry.credentials.set_password("acme", "sensor", auth_id, word, LATER)


def test_setting_passwords_keeps_to_the_limit_of_the_tenant() -> None:
    registry = build()
    registry.tenant(max_credentials_per_device=1)
    registry.make()
    registry.credentials.set_password("acme", "sensor", "user", "new", LATER)
    registry.credentials.set_password("acme", "sensor", "user", "newer", LATER)
    with pytest.raises(CredentialLimitReached):
        registry.credentials.set_password("acme", "sensor", "user-2", "new", LATER)


def test_a_device_may_be_made_with_its_credentials(registry: Registry) -> None:
    made = registry.credentials.made("acme", "sensor", [password()], DEED)
    registry.devices.create(device(), DEED, credentials=made)
    assert verify(registry.on_record().credentials[0], b"hono-secret", NOON)
    with pytest.raises(CredentialInvalid):
        registry.credentials.made("acme", "sensor-2", [password(secret_id="1")], DEED)
