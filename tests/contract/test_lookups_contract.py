"""Sections 3.1 to 3.3 and 6.6 of the Hono registry contract on every driver: the functions that adapters look things
up with, each row by its number. What a device sees of them stands in tests/e2e/test_contract.

Refused in adapters' terms: what the contract's service answers 404 for credentials is an Unauthenticated here.
"""

from collections.abc import Iterator
from dataclasses import dataclass, replace
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from conf.registry import RegistrySettings
from kernel.clock import ManualClock
from kernel.errors import TuhonoError
from kernel.ids import AuthId, DeviceId, TenantId
from messaging.drivers.memory import MemoryNorthbound
from registry.announcements import Announcer
from registry.assertion import RegistrationAssertion
from registry.directory import DeviceDirectory
from registry.edge_devices import EdgeDevices
from registry.errors import (
    CredentialDisabled,
    CredentialUnknown,
    DeviceDisabled,
    DeviceUnknown,
    GatewayNotAuthorized,
)
from registry.model import CommandEndpoint, DeviceStatus, KnownCredential, Registration, Secret
from registry.ports import GATEWAYS_MAX
from tenant.anchors import AnchorIndex
from tenant.directory import TenantDirectory
from tenant.errors import TenantUnknown
from tenant.model import AdapterSettings, DataVolume, ResourceLimits
from tests.support.stores import DEED, DRIVERS, NOW, TENANT, AnyStore, anchor, credential, device, opened, put, tenant

OTHER = TenantId("other")


@dataclass(slots=True)
class Lookups:
    """One process's lookups over a store."""

    store: AnyStore
    tenants: TenantDirectory
    devices: DeviceDirectory
    assertion: RegistrationAssertion

    def credential(self, auth_id: str, type_: str = "hashed-password", **context: Any) -> KnownCredential:
        return self.devices.get_credential_now(TENANT, type_, AuthId(auth_id), context=context)

    async def registration(self, device_id: str, gateway_id: str | None = None) -> Registration:
        gateway = None if gateway_id is None else DeviceId(gateway_id)
        return await self.assertion.registration(TENANT, DeviceId(device_id), gateway_id=gateway)

    async def refusal(self, device_id: str, gateway_id: str | None = None) -> type[TuhonoError]:
        with pytest.raises(TuhonoError) as refused:
            await self.registration(device_id, gateway_id)
        return refused.type


@pytest.fixture(params=DRIVERS)
def lookups(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Lookups]:
    with opened(request.param, tmp_path) as store:
        clock, settings, path = ManualClock(NOW), RegistrySettings(), store.connect_path
        tenants = TenantDirectory(feed=store.feed, anchors=AnchorIndex())
        announcer = Announcer(
            store=path, tenants=tenants, northbound=MemoryNorthbound(clock=clock), settings=settings, clock=clock
        )
        edge_devices = EdgeDevices(store=path, tenants=tenants, announcer=announcer, settings=settings, clock=clock)
        yield Lookups(
            store=store,
            tenants=tenants,
            devices=DeviceDirectory(store=path, feed=store.feed),
            assertion=RegistrationAssertion(
                store=path, feed=store.feed, edge_devices=edge_devices, announcer=announcer
            ),
        )


@pytest.fixture
def registry(lookups: Lookups) -> Lookups:
    """With a tenant, a gateway and a valve behind it."""
    lookups.store.tenants.create(tenant(TENANT), DEED)
    put(lookups.store, device("gw", member_of=("cellar",)))
    put(lookups.store, device("valve", via=(DeviceId("gw"), DeviceId("another-gateway"))))
    lookups.tenants.load()
    lookups.tenants.catch_up()
    return lookups


# Tenants


def test_hono_registry_173_a_tenant_is_found_as_it_was_registered(lookups: Lookups) -> None:
    given = tenant(
        TENANT,
        defaults={"ttl": 20},
        ext={"site": "north"},
        adapters=(AdapterSettings(type="hono-mqtt", enabled=True, ext={"max-ttd": 30}),),
        resource_limits=ResourceLimits(
            max_connections=5, max_ttl_s=60, data_volume=DataVolume(effective_since=NOW, max_bytes=100)
        ),
    )
    lookups.store.tenants.create(given, DEED)
    lookups.tenants.load()
    found = lookups.tenants.get_named(TENANT)
    assert (found.tenant_id, found.defaults, found.ext) == (TENANT, given.defaults, given.ext)
    assert (found.adapters, found.resource_limits) == (given.adapters, given.resource_limits)


def test_hono_registry_175_an_unknown_tenant_is_not_found(registry: Lookups) -> None:
    with pytest.raises(TenantUnknown):
        registry.tenants.get_named("x")


def test_hono_registry_176_a_tenant_is_found_by_its_alias_under_its_real_id(lookups: Lookups) -> None:
    lookups.store.tenants.create(tenant(TENANT, alias="factory"), DEED)
    lookups.tenants.load()
    assert lookups.tenants.get_named("factory").tenant_id == TENANT


def test_hono_registry_177_179_a_tenant_is_found_by_the_name_of_its_ca(lookups: Lookups) -> None:
    ca = anchor(name="CN=ca,OU=Hono,O=Eclipse")
    lookups.store.tenants.create(tenant(TENANT, ca), DEED)
    lookups.tenants.load()
    found = lookups.tenants.get_by_subject("CN=ca,OU=Hono,O=Eclipse")
    [held] = found.trust_anchors
    assert (found.tenant_id, held.authority.subject_dn) == (TENANT, "CN=ca,OU=Hono,O=Eclipse")
    assert held.authority.public_key_der == ca.authority.public_key_der
    with pytest.raises(TenantUnknown):
        lookups.tenants.get_by_subject("CN=nobody")


def test_hono_registry_180_a_name_that_two_tenants_list_finds_neither(lookups: Lookups) -> None:
    for name in (TENANT, OTHER):
        lookups.store.tenants.create(tenant(name, anchor(), trust_anchor_group="both"), DEED)
    lookups.tenants.load()
    with pytest.raises(TenantUnknown):
        lookups.tenants.get_by_subject("CN=Plant CA")


def test_hono_registry_182_a_disabled_tenant_is_found_and_says_so(lookups: Lookups) -> None:
    lookups.store.tenants.create(tenant(TENANT, anchor(), enabled=False), DEED)
    lookups.tenants.load()
    assert not lookups.tenants.get_named(TENANT).is_enabled
    assert not lookups.tenants.get_by_subject("CN=Plant CA").is_enabled


# Credentials


def with_credentials(registry: Lookups, **members: Any) -> None:
    """Two of one auth-id, of different types; `members` are the password's."""
    secrets = (
        Secret(secret_id="s1", material={"pwd-hash": "one"}),
        Secret(secret_id="s2", not_after=NOW - timedelta(days=1), material={"pwd-hash": "two"}),
    )
    given: dict[str, Any] = {"auth_id": "sensor", "type": "hashed-password", "secrets": secrets, **members}
    key = Secret(secret_id="s3", material={"key": "AAEC"})
    put(
        registry.store,
        device("sensor-1", enabled=False),
        [credential("sensor-1", **given), credential("sensor-1", auth_id="sensor", type="psk", secrets=(key,))],
    )


def test_hono_registry_183_186_an_unknown_auth_id_or_type_has_no_credentials(registry: Lookups) -> None:
    with_credentials(registry)
    for auth_id, type_ in (("nobody", "hashed-password"), ("sensor", "x509-cert"), ("Sensor", "psk")):
        with pytest.raises(CredentialUnknown):
            registry.credential(auth_id, type_)


def test_hono_registry_184_what_was_deleted_has_no_credentials(registry: Lookups) -> None:
    with_credentials(registry)
    registry.store.devices.delete(TENANT, DeviceId("sensor-1"), DEED, expected_version=None)
    with pytest.raises(CredentialUnknown):
        registry.credential("sensor")
    with_credentials(registry)
    assert registry.credential("sensor").device.device_id == "sensor-1"
    registry.store.tenants.delete(TENANT, DEED, expected_version=None)
    with pytest.raises(CredentialUnknown):
        registry.credential("sensor")


def test_hono_registry_185_the_right_one_of_two_is_found_with_all_its_secrets(registry: Lookups) -> None:
    """Secrets out of their time among them; and a disabled device is the assertion's to refuse."""
    with_credentials(registry, ext={"a": 1}, comment="north")
    found = registry.credential("sensor")
    assert (found.credential.type, found.device.device_id) == ("hashed-password", "sensor-1")
    assert [secret.material for secret in found.credential.secrets] == [{"pwd-hash": "one"}, {"pwd-hash": "two"}]
    assert (found.credential.ext, found.credential.comment) == ({"a": 1}, "north")
    assert not found.device.is_enabled
    assert [secret.material for secret in registry.credential("sensor", "psk").credential.secrets] == [{"key": "AAEC"}]


def test_hono_registry_187_a_disabled_credential_is_none(registry: Lookups) -> None:
    with_credentials(registry, enabled=False)
    with pytest.raises(CredentialDisabled):
        registry.credential("sensor")


@pytest.mark.parametrize(
    ("ext", "accepts"),
    [({"client-id": "mine"}, True), ({"client-id": "another"}, False), ({"other": "x"}, True), ({}, True)],
    ids=["match", "mismatch", "absent", "empty"],
)
def test_hono_registry_188_a_credential_may_be_for_one_client(
    registry: Lookups, ext: dict[str, str], accepts: bool
) -> None:
    with_credentials(registry, ext=ext)
    if accepts:
        assert registry.credential("sensor", **{"client-id": "mine"}).credential.ext == ext
    else:
        with pytest.raises(CredentialUnknown):
            registry.credential("sensor", **{"client-id": "mine"})
    assert registry.credential("sensor").credential.ext == ext, "who says nothing of itself mismatches nothing"


async def test_a_credential_is_found_without_waiting_and_with_it(registry: Lookups) -> None:
    with_credentials(registry)
    path = registry.store.connect_path
    found = await path.find_credential(TENANT, "psk", AuthId("sensor"))
    assert found is not None and found == path.find_credential_now(TENANT, "psk", AuthId("sensor"))
    assert await path.find_credential(TENANT, "psk", AuthId("\ud800")) is None
    assert await path.find_credential(OTHER, "psk", AuthId("sensor")) is None


async def test_looking_for_a_credential_tells_of_changes_first(registry: Lookups) -> None:
    seen = registry.devices.changes_seen
    registry.store.tenants.create(tenant(OTHER), DEED)
    assert registry.tenants.find(OTHER) is None
    await registry.store.connect_path.find_credential(TENANT, "psk", AuthId("nobody"))
    assert registry.tenants.find(OTHER) is not None and registry.devices.changes_seen > seen


# Registrations


async def test_hono_registry_189_a_device_is_asserted_with_all_that_is_said_of_it(registry: Lookups) -> None:
    endpoint = CommandEndpoint(uri="https://lns/{{deviceId}}", headers={"a": "b"}, payload_properties={"c": 1})
    put(
        registry.store,
        device("dev", defaults={"ttl": 5}, command_endpoint=endpoint, downstream_mapper="down", upstream_mapper="up"),
    )
    assert await registry.registration("dev") == Registration(
        device_id=DeviceId("dev"),
        defaults={"ttl": 5},
        command_endpoint=endpoint,
        downstream_mapper="down",
        upstream_mapper="up",
    )


async def test_hono_registry_190_via_is_answered_as_it_was_registered(registry: Lookups) -> None:
    assert (await registry.registration("valve", "gw")).via == ("gw", "another-gateway")


async def test_hono_registry_191_members_of_the_devices_groups_are_gateways(registry: Lookups) -> None:
    put(registry.store, device("pump", via_groups=("cellar", "attic")))
    assert (await registry.registration("pump", "gw")).via == ("gw",)
    put(registry.store, device("another", member_of=("attic", "x"), enabled=False))
    put(registry.store, device("stranger", member_of=("elsewhere",)))
    assert (await registry.registration("pump", "gw")).via == ("another", "gw"), "whether or not they are enabled"


async def test_listed_gateways_come_before_members_and_each_once(registry: Lookups) -> None:
    put(registry.store, device("a-member", member_of=("cellar",)))
    put(registry.store, device("pump", via=(DeviceId("z"), DeviceId("gw")), via_groups=("cellar",)))
    assert (await registry.registration("pump", "gw")).via == ("z", "gw", "a-member")


async def test_hono_registry_192_194_198_an_unknown_device_comes_before_an_unknown_gateway(
    registry: Lookups,
) -> None:
    assert await registry.refusal("nowhere") is DeviceUnknown
    assert await registry.refusal("nowhere", "gw") is DeviceUnknown
    assert await registry.refusal("nowhere", "nobody") is DeviceUnknown
    assert await registry.refusal("valve", "nobody") is GatewayNotAuthorized


async def test_hono_registry_193_nothing_is_asserted_in_a_deleted_tenant(registry: Lookups) -> None:
    assert (await registry.registration("valve", "gw")).device_id == "valve"
    registry.store.tenants.delete(TENANT, DEED, expected_version=None)
    assert await registry.refusal("valve", "gw") is DeviceUnknown


async def test_hono_registry_195_196_a_disabled_or_unlisted_gateway_is_not_authorized(registry: Lookups) -> None:
    put(registry.store, device("unlisted"))
    assert await registry.refusal("valve", "unlisted") is GatewayNotAuthorized
    put(registry.store, device("gw", enabled=False))
    assert await registry.refusal("valve", "gw") is GatewayNotAuthorized


async def test_hono_registry_197_a_disabled_device_is_not_found_whoever_asks(registry: Lookups) -> None:
    put(registry.store, device("valve", enabled=False, via=(DeviceId("gw"),)))
    for gateway_id in (None, "gw", "nobody"):
        assert await registry.refusal("valve", gateway_id) is DeviceDisabled


async def test_hono_registry_199_what_is_remembered_is_never_older_than_the_last_change(registry: Lookups) -> None:
    """The contract gives answers a lifetime; here a change ends it, at once."""
    await registry.assertion.assert_registered(TENANT, DeviceId("valve"), gateway_id=DeviceId("gw"))
    ask = {"gateway_id": DeviceId("gw")}
    assert registry.assertion.remembered(TENANT, DeviceId("valve"), **ask) is not None
    put(registry.store, device("gw", enabled=False))
    assert registry.assertion.remembered(TENANT, DeviceId("valve"), **ask) is None
    assert await registry.refusal("valve", "gw") is GatewayNotAuthorized


async def test_no_more_gateways_are_named_than_one_answer_may_hold(lookups: Lookups) -> None:
    members = [device(f"gw-{number:04}", member_of=("many",)) for number in range(GATEWAYS_MAX + 1)]
    lookups.store.tenants.create(tenant(TENANT), DEED)
    for member in members:
        lookups.store.devices.create(member, DEED, devices_max=-1)
    found = await lookups.store.connect_path.find_gateways(TENANT, ["many", "none"])
    assert list(found) == [member.device_id for member in members[:GATEWAYS_MAX]]


@pytest.mark.parametrize("group", ["%", "a'b", '"', "[]", "\\", "é", "many "])
async def test_a_group_is_its_very_name(registry: Lookups, group: str) -> None:
    put(registry.store, device("member", member_of=(group,)))
    path = registry.store.connect_path
    assert await path.find_gateways(TENANT, [group]) == ["member"]
    assert await path.find_gateways(TENANT, [group + "x"]) == []
    assert list(await path.find_gateways(TENANT, [])) == []
    assert list(await path.find_gateways(TENANT, ["\ud800"])) == []
    assert await path.find_gateways(OTHER, [group]) == []


async def test_a_registration_whose_event_is_due_is_announced_first_and_not_remembered(registry: Lookups) -> None:
    status = DeviceStatus(created=NOW - timedelta(days=1), auto_provisioned=True)
    registry.store.devices.create(replace(device("edge", via=(DeviceId("gw"),)), status=status), DEED, devices_max=-1)
    asked = {"gateway_id": DeviceId("gw")}
    await registry.assertion.assert_registered(TENANT, DeviceId("edge"), **asked)
    kept = registry.store.devices.find(TENANT, DeviceId("edge"))
    assert kept is not None and kept.status.notification_sent
    assert registry.assertion.remembered(TENANT, DeviceId("edge"), **asked) is None
    await registry.assertion.assert_registered(TENANT, DeviceId("edge"), **asked)
    assert registry.assertion.remembered(TENANT, DeviceId("edge"), **asked) is not None
