"""Section 6.6 of the Hono registry contract: what adapters look up, seen from a device, each row by its number.

The lookups are functions inside the gateway; a row is shown by what becomes of a device that depends on it.
Left out: rows about authorised clients of a lookup service, passwords and cache directives.
"""

from datetime import UTC, datetime

import pytest

from tests.support.attempts import (
    ACCEPTED,
    CHAIN_REFUSED,
    DEVICE_DISABLED,
    FORBIDDEN,
    NO_CREDENTIALS,
    PROTOCOLS,
    attempt,
)
from tests.support.certificates import make_ca
from tests.support.gateway import RunningGateway
from tests.support.site import Site, open_site, open_sites_of_one_ca
from tests.support.wire_clients import HttpAnswer, connected_mqtt, http_device, mqtt_device

each_protocol = pytest.mark.parametrize("protocol", PROTOCOLS)


@pytest.fixture
def site(gateway: RunningGateway) -> Site:
    """A tenant that registers nobody by itself."""
    return open_site(gateway)


def put(site: Site, gateway_id: str, device_id: str) -> HttpAnswer:
    """A registered gateway sends for a device."""
    with http_device(site.gateway, site.ca.issue(f"CN={gateway_id},O=Site")) as client:
        return client.put(f"/event//{device_id}", b"x")


@each_protocol
async def test_hono_registry_173_what_the_tenant_says_goes_with_messages(site: Site, protocol: str) -> None:
    site.edit(defaults={"site": "north", "ttl": 20, "content-type": "text/csv"})
    assert await attempt(protocol, site.gateway, site.register("dev")) == ACCEPTED[protocol]
    message = site.wait_for_message()
    assert message.properties["site"] == "north"
    assert (message.ttl_ms, message.content_type) == (20_000, "text/csv")


@each_protocol
@pytest.mark.parametrize(
    ("label", "accepts"), [("{alias}", True), ("{id}", True), ("{other}", False), ("nobody", False)]
)
async def test_hono_registry_176_a_tenant_is_found_by_alias_and_is_itself(
    gateway: RunningGateway, protocol: str, label: str, accepts: bool
) -> None:
    alias = f"alias-{protocol.replace('.', '-')}-{label.strip('{}')}"
    other, site = open_sites_of_one_ca(gateway, aliases=[None, alias])
    name = label.format(alias=alias, id=site.tenant_id, other=other.tenant_id)
    outcome = await attempt(protocol, gateway, site.register("dev"), server_name=f"{name}.example.com")
    assert (outcome == ACCEPTED[protocol]) is accepts
    assert [message.tenant_id for message in site.messages()] == [site.tenant_id] * accepts


@each_protocol
async def test_hono_registry_177_a_tenant_is_found_by_the_name_of_its_ca(
    gateway: RunningGateway, protocol: str
) -> None:
    site = open_site(gateway, ca=make_ca(f"CN=ca {protocol},OU=Hono,O=Eclipse"))
    assert await attempt(protocol, gateway, site.register("dev")) == ACCEPTED[protocol]
    assert site.wait_for_message().tenant_id == site.tenant_id


@each_protocol
async def test_hono_registry_179_a_name_that_no_ca_has_leads_nowhere(site: Site, protocol: str) -> None:
    stranger = make_ca(f"CN=Unknown {protocol}").issue("CN=dev,O=Site")
    assert await attempt(protocol, site.gateway, stranger) == CHAIN_REFUSED[protocol]
    assert site.wait_for_refusal_of(stranger).code == "untrusted-issuer"


@each_protocol
async def test_hono_registry_180_a_name_that_two_tenants_have_does_not_decide(
    gateway: RunningGateway, protocol: str
) -> None:
    _, site = open_sites_of_one_ca(gateway, aliases=[None, None])
    device = site.register("dev")
    assert await attempt(protocol, gateway, device) == CHAIN_REFUSED[protocol]
    assert site.wait_for_refusal_of(device).code == "tenant-ambiguous"


@each_protocol
async def test_hono_registry_181_an_expired_ca_vouches_for_nobody(site: Site, protocol: str) -> None:
    expired = make_ca(f"CN=Old CA {protocol}", not_after=datetime(2021, 1, 1, tzinfo=UTC))
    site.trust(expired, may_auto_provision=True)
    device = expired.issue("CN=dev,O=Site")
    assert await attempt(protocol, site.gateway, device) == CHAIN_REFUSED[protocol]
    assert site.wait_for_refusal_of(device).code == "anchor-not-valid-now"
    assert await attempt(protocol, site.gateway, site.register("other")) == ACCEPTED[protocol]


@each_protocol
async def test_hono_registry_182_a_disabled_tenant_is_found_and_forbids(site: Site, protocol: str) -> None:
    device = site.register("dev")
    site.edit(enabled=False)
    assert await attempt(protocol, site.gateway, device) == FORBIDDEN[protocol]
    assert site.wait_for_refusal_of(device).code == "tenant-disabled"


@each_protocol
async def test_hono_registry_183_an_unknown_auth_id_has_no_credentials(site: Site, protocol: str) -> None:
    site.register("dev")
    stranger = site.issue()
    assert await attempt(protocol, site.gateway, stranger) == NO_CREDENTIALS[protocol]
    assert site.wait_for_refusal_of(stranger).code == "credential-unknown"


@each_protocol
async def test_hono_registry_184_what_was_deleted_has_no_credentials(site: Site, protocol: str) -> None:
    first, second = site.register("first"), site.register("second")
    assert await attempt(protocol, site.gateway, first) == ACCEPTED[protocol]
    assert await attempt(protocol, site.gateway, second) == ACCEPTED[protocol]
    site.gateway.devices.delete(site.tenant_id, "first", site.gateway.deed())
    assert await attempt(protocol, site.gateway, first) == NO_CREDENTIALS[protocol]
    site.gateway.tenants.delete(site.tenant_id, site.gateway.deed())
    assert await attempt(protocol, site.gateway, second) == CHAIN_REFUSED[protocol]


@each_protocol
async def test_hono_registry_185_186_only_a_credential_of_the_right_type_counts(site: Site, protocol: str) -> None:
    site.add_device("password-device")
    shared = site.credential("right", auth_id="CN=right,O=Site", type="hashed-password")
    assert await attempt(protocol, site.gateway, site.register("right", others=[shared])) == ACCEPTED[protocol]
    wrong = site.register("wrong", credential={"type": "psk"})
    assert await attempt(protocol, site.gateway, wrong) == NO_CREDENTIALS[protocol]
    assert [message.device_id for message in site.messages()] == ["right"]


@each_protocol
async def test_hono_registry_187_a_disabled_credential_is_none(site: Site, protocol: str) -> None:
    device = site.register("dev", credential={"enabled": False})
    assert await attempt(protocol, site.gateway, device) == NO_CREDENTIALS[protocol]
    assert site.wait_for_refusal_of(device).code == "credential-disabled"


@pytest.mark.parametrize(("version", "refused"), [(4, 4), (5, 0x86)], ids=["3.1.1", "5"])
@pytest.mark.parametrize(
    ("ext", "accepts"),
    [({"client-id": "mine"}, True), ({"client-id": "another"}, False), ({"other": "x"}, True), ({}, True)],
    ids=["match", "mismatch", "absent", "empty"],
)
def test_hono_registry_188_a_credential_may_be_for_one_client_id(
    site: Site, version: int, refused: int, ext: dict[str, str], accepts: bool
) -> None:
    device = site.register("dev", credential={"ext": ext})
    with mqtt_device(site.gateway, device, version=version) as client:
        assert client.connect_code("mine") == (0 if accepts else refused)


@each_protocol
async def test_hono_registry_189_what_the_device_says_overrides_its_tenant(site: Site, protocol: str) -> None:
    site.edit(defaults={"site": "north", "floor": 1, "ttl": 20})
    device = site.register("dev", defaults={"floor": 2, "ttl": 10, "flag": True})
    assert await attempt(protocol, site.gateway, device) == ACCEPTED[protocol]
    message = site.wait_for_message()
    told = {name: message.properties[name] for name in ("site", "floor", "flag")}
    assert told == {"site": "north", "floor": 2, "flag": True}
    assert message.ttl_ms == 10_000


def test_hono_registry_190_a_listed_gateway_speaks_for_the_device(site: Site) -> None:
    site.register("gw")
    site.add_device("valve", via=["gw", "another-gateway"], defaults={"room": "cellar"})
    assert put(site, "gw", "valve").status == 202
    message = site.wait_for_message()
    assert (message.device_id, message.properties["room"]) == ("valve", "cellar")


def test_hono_registry_191_a_gateway_of_the_group_speaks_for_the_device(site: Site) -> None:
    site.register("gw", member_of=("other", "cellar"))
    site.register("stranger", member_of=("attic",))
    site.add_device("valve", via_groups=("cellar",))
    assert put(site, "gw", "valve").status == 202
    assert put(site, "stranger", "valve").status == 403
    assert site.wait_for_message().device_id == "valve"


def test_hono_registry_192_an_unknown_device_is_not_found(site: Site) -> None:
    site.register("gw")
    assert put(site, "gw", "nowhere").status == 404


@pytest.mark.parametrize("version", [4, 5], ids=["3.1.1", "5"])
def test_hono_registry_193_a_gateway_of_a_deleted_tenant_is_disconnected(site: Site, version: int) -> None:
    site.add_device("valve", via=["gw"])
    with connected_mqtt(site.gateway, site.register("gw"), version=version) as client:
        site.gateway.tenants.delete(site.tenant_id, site.gateway.deed())
        assert client.is_closed()
    assert site.messages() == []


def test_hono_registry_195_a_disabled_gateway_is_forbidden(site: Site) -> None:
    site.register("gw", enabled=False)
    site.add_device("valve", via=["gw"])
    assert put(site, "gw", "valve").status == 403


def test_hono_registry_198_behind_a_disabled_gateway_the_device_is_told_first(site: Site) -> None:
    """3.3: row 3 of its table comes before row 4."""
    site.register("gw", enabled=False)
    site.add_device("off", via=["gw"], enabled=False)
    assert put(site, "gw", "nowhere").status == 404
    assert put(site, "gw", "off").status == 404


def test_hono_registry_196_a_gateway_that_is_not_listed_is_forbidden(site: Site) -> None:
    site.register("gw")
    site.add_device("valve")
    assert put(site, "gw", "valve").status == 403


def test_hono_registry_197_a_disabled_device_behind_a_gateway_is_not_found(site: Site) -> None:
    site.register("gw")
    site.add_device("valve", via=["gw"], enabled=False)
    site.add_device("another", via=["elsewhere"], enabled=False)
    assert put(site, "gw", "valve").status == 404
    assert put(site, "gw", "another").status == 404, "the device's state is told before the gateway's right"


@each_protocol
async def test_hono_registry_197_a_disabled_device_by_itself_is_not_found(site: Site, protocol: str) -> None:
    device = site.register("dev", enabled=False)
    assert await attempt(protocol, site.gateway, device) == DEVICE_DISABLED[protocol]


def test_a_gateways_right_may_be_taken_away_and_given_again(site: Site) -> None:
    gateway = site.register("gw")
    with http_device(site.gateway, gateway) as client:
        for via, status in ((["gw"], 202), (["another"], 403), (["gw"], 202)):
            site.add_device("valve", via=via)
            assert client.put("/event//valve", b"x").status == status
