"""Sections 6.7 and 4.8 of the Hono registry contract: who a certificate proves, each row by its number.

Rows 222 to 239 that say the same of one protocol stand in the adapter contract's files; here each is tried
over all of them.
"""

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from cryptography import x509
from cryptography.x509.oid import ObjectIdentifier

from tests.support.attempts import (
    ACCEPTED,
    CHAIN_REFUSED,
    DEVICE_DISABLED,
    FORBIDDEN,
    MALFORMED,
    NO_CREDENTIALS,
    NO_HANDSHAKE,
    PROTOCOLS,
    attempt,
)
from tests.support.certificates import Issued, make_ca, make_self_signed, new_key
from tests.support.gateway import RunningGateway
from tests.support.site import Site, open_site, open_sites_of_one_ca

each_protocol = pytest.mark.parametrize("protocol", PROTOCOLS)
NOW = datetime.now(UTC)
DAY = timedelta(days=1)


@pytest.fixture
def site(gateway: RunningGateway) -> Site:
    """A tenant that registers whom its CA vouches for."""
    return open_site(gateway, may_auto_provision=True)


async def assert_refused(site: Site, protocol: str, device: Issued, code: str) -> None:
    assert await attempt(protocol, site.gateway, device) == CHAIN_REFUSED[protocol]
    assert site.wait_for_refusal_of(device).code == code
    assert site.device_ids() == []


@each_protocol
@pytest.mark.parametrize("key", ["rsa2048", "rsa3072", "ec256", "ec384", "ed25519"])
async def test_hono_registry_222_a_registered_device_is_accepted_whatever_its_key(
    gateway: RunningGateway, protocol: str, key: str
) -> None:
    site = open_site(gateway)
    device = site.ca.issue("CN=dev,O=Site", key=key)
    assert await attempt(protocol, gateway, site.register("dev", issued=device)) == ACCEPTED[protocol]


@each_protocol
async def test_hono_registry_223_224_225_sni_decides_between_tenants_of_one_ca(
    gateway: RunningGateway, protocol: str
) -> None:
    alias = f"registry-{protocol.replace('.', '-')}"
    first, second = open_sites_of_one_ca(gateway, aliases=[None, alias], may_auto_provision=True)
    device = first.issue()
    names = {
        f"{first.tenant_id}.example.com": ACCEPTED,
        f"{alias}.example.com": ACCEPTED,
        "x.example.com": CHAIN_REFUSED,
    }
    for name, outcomes in names.items():
        assert await attempt(protocol, gateway, device, server_name=name) == outcomes[protocol]
    assert len(first.device_ids()) == len(second.device_ids()) == 1


@each_protocol
async def test_sni_is_ignored_where_the_ca_is_one_tenants_own(site: Site, protocol: str) -> None:
    other = open_site(site.gateway, may_auto_provision=True)
    name = f"{other.tenant_id}.example.com"
    assert await attempt(protocol, site.gateway, site.issue(), server_name=name) == ACCEPTED[protocol]
    assert len(site.device_ids()) == 1 and other.device_ids() == []


@each_protocol
async def test_hono_registry_226_227_an_unknown_device_is_refused_where_none_is_provisioned(
    gateway: RunningGateway, protocol: str
) -> None:
    site = open_site(gateway)
    assert await attempt(protocol, gateway, site.issue()) == NO_CREDENTIALS[protocol]


@each_protocol
async def test_hono_registry_229_disabled_credentials_are_refused_and_nothing_made_over_them(
    site: Site, protocol: str
) -> None:
    device = site.register("dev", credential={"enabled": False})
    for _ in range(2):
        assert await attempt(protocol, site.gateway, device) == NO_CREDENTIALS[protocol]
    assert site.device_ids() == ["dev"] and site.notifications() == []


@each_protocol
async def test_hono_registry_230_235_239_a_disabled_adapter_forbids(site: Site, protocol: str) -> None:
    site.disallow(f"hono-{protocol.partition('-')[0]}")
    for device in (site.register("dev"), site.issue()):
        assert await attempt(protocol, site.gateway, device) == FORBIDDEN[protocol]
    assert site.device_ids() == ["dev"]


@each_protocol
async def test_hono_registry_231_236_239_a_disabled_device_is_refused(site: Site, protocol: str) -> None:
    device = site.register("dev", enabled=False)
    assert await attempt(protocol, site.gateway, device) == DEVICE_DISABLED[protocol]
    assert site.wait_for_refusal_of(device).code == "device-disabled"


@each_protocol
async def test_hono_registry_232_a_disabled_tenant_forbids_and_registers_nobody(site: Site, protocol: str) -> None:
    site.edit(enabled=False)
    for _ in range(2):
        assert await attempt(protocol, site.gateway, site.issue()) == FORBIDDEN[protocol]
    assert site.device_ids() == []


@each_protocol
async def test_hono_registry_234_238_a_ca_of_the_same_name_and_another_key_proves_nothing(
    site: Site, protocol: str
) -> None:
    impostor = make_ca(site.ca.certificate.subject).issue("CN=dev,O=Site")
    await assert_refused(site, protocol, impostor, "signature-invalid")


@each_protocol
@pytest.mark.parametrize(
    "validity",
    [{"not_after": NOW - DAY}, {"not_before": NOW + DAY}],
    ids=["244-expired", "not-yet-valid"],
)
async def test_hono_registry_244_a_leaf_out_of_its_time_fails_in_the_handshake(
    site: Site, protocol: str, validity: dict[str, Any]
) -> None:
    device = site.issue(**validity)
    assert await attempt(protocol, site.gateway, device) == NO_HANDSHAKE[protocol]
    code = "certificate-expired" if "not_after" in validity else "certificate-not-yet-valid"
    assert site.wait_for_refusal_of(device).code == code
    assert site.device_ids() == []


@each_protocol
async def test_hono_registry_245_a_tenant_without_valid_anchors_trusts_nobody(
    gateway: RunningGateway, protocol: str
) -> None:
    expired = make_ca(f"CN=Expired CA {protocol}", not_after=NOW - DAY)
    site = open_site(gateway, ca=expired, may_auto_provision=True)
    await assert_refused(site, protocol, site.issue(), "no-valid-anchor")


@each_protocol
async def test_hono_registry_246_an_intermediate_counts_where_the_device_sends_it(site: Site, protocol: str) -> None:
    below = site.ca.issue_ca("CN=Intermediate,O=Site").issue_ca("CN=Plant,O=Site").issue("CN=dev,O=Site")
    bare = Issued(certificate=below.certificate, key=below.key)
    await assert_refused(site, protocol, bare, "untrusted-issuer")
    assert await attempt(protocol, site.gateway, below) == ACCEPTED[protocol]
    assert len(site.device_ids()) == 1


@each_protocol
async def test_hono_registry_247_a_host_without_a_dot_names_no_tenant(site: Site, protocol: str) -> None:
    stranger = make_ca(f"CN=Nobody {protocol}").issue("CN=dev,O=Site")
    assert await attempt(protocol, site.gateway, stranger, server_name="gateway") == MALFORMED[protocol]
    assert site.wait_for_refusal_of(stranger).code == "server-name-without-tenant"
    assert await attempt(protocol, site.gateway, site.issue(), server_name="gateway") == ACCEPTED[protocol]


# Section 4.8


@each_protocol
async def test_the_nearest_registered_issuer_names_the_tenant(gateway: RunningGateway, protocol: str) -> None:
    owner = open_site(gateway, may_auto_provision=True)
    intermediate = owner.ca.issue_ca(f"CN=Leased {protocol},O=Site")
    tenant = open_site(gateway, ca=intermediate, may_auto_provision=True)
    assert await attempt(protocol, gateway, intermediate.issue("CN=dev,O=Site")) == ACCEPTED[protocol]
    assert len(tenant.device_ids()) == 1 and owner.device_ids() == []


@each_protocol
async def test_a_path_never_falls_through_to_another_tenant(gateway: RunningGateway, protocol: str) -> None:
    """The nearest name leads to a tenant that trusts another key of that name: no other tenant is asked."""
    owner = open_site(gateway, may_auto_provision=True)
    intermediate = owner.ca.issue_ca(f"CN=Twice {protocol},O=Site")
    other = open_site(gateway, ca=make_ca(intermediate.certificate.subject), may_auto_provision=True)
    await assert_refused(other, protocol, intermediate.issue("CN=dev,O=Site"), "signature-invalid")
    assert owner.device_ids() == []


@each_protocol
async def test_old_and_new_key_of_a_ca_vouch_side_by_side(site: Site, protocol: str) -> None:
    renewed = make_ca(site.ca.certificate.subject)
    site.trust(renewed, may_auto_provision=True)
    for ca in (site.ca, renewed):
        assert await attempt(protocol, site.gateway, ca.issue("CN=dev,O=Site")) == ACCEPTED[protocol]
    assert len(site.device_ids()) == 1


@each_protocol
async def test_the_anchor_that_verified_decides_whether_to_provision(site: Site, protocol: str) -> None:
    strict = make_ca(site.ca.certificate.subject)
    site.trust(strict, may_auto_provision=False)
    assert await attempt(protocol, site.gateway, strict.issue("CN=one,O=Site")) == NO_CREDENTIALS[protocol]
    assert await attempt(protocol, site.gateway, site.ca.issue("CN=two,O=Site")) == ACCEPTED[protocol]
    assert len(site.device_ids()) == 1


@each_protocol
async def test_a_ca_that_is_no_longer_trusted_vouches_for_nobody_at_once(site: Site, protocol: str) -> None:
    device = site.issue()
    assert await attempt(protocol, site.gateway, device) == ACCEPTED[protocol]
    [anchor] = site.gateway.tenants.get(site.tenant_id).trust_anchors
    site.gateway.tenants.distrust(site.tenant_id, anchor.anchor_id, site.gateway.deed())
    assert await attempt(protocol, site.gateway, device) == CHAIN_REFUSED[protocol]


def _unknown_critical() -> list[tuple[x509.ExtensionType, bool]]:
    return [(x509.UnrecognizedExtension(ObjectIdentifier("1.2.3.4"), b"\x05\x00"), True)]


@each_protocol
@pytest.mark.parametrize(
    ("shape", "code"),
    [
        pytest.param({"eku": ["serverAuth"]}, "extended-key-usage-forbids", id="for-servers"),
        pytest.param({"key_usage": ["keyAgreement"]}, "key-usage-forbids", id="for-key-agreement"),
        pytest.param({"key": "rsa1024"}, "key-too-weak", id="rsa1024"),
        pytest.param({"extensions": _unknown_critical()}, "critical-extension-unknown", id="unknown-critical"),
    ],
)
async def test_a_certificate_that_may_not_prove_a_device_is_refused(
    site: Site, protocol: str, shape: dict[str, Any], code: str
) -> None:
    await assert_refused(site, protocol, site.issue(**shape), code)


@each_protocol
@pytest.mark.parametrize("eku", [["clientAuth"], ["anyExtendedKeyUsage"], ["serverAuth", "clientAuth"]])
async def test_a_certificate_for_clients_is_accepted(site: Site, protocol: str, eku: list[str]) -> None:
    device = site.issue(eku=eku, key_usage=["digitalSignature"])
    assert await attempt(protocol, site.gateway, device) == ACCEPTED[protocol]


@each_protocol
async def test_a_device_does_not_vouch_for_another(site: Site, protocol: str) -> None:
    device = site.issue()
    await assert_refused(site, protocol, device.issue("CN=child,O=Site"), "issuer-not-ca")


@each_protocol
async def test_a_self_signed_anchor_without_ca_flag_vouches_for_itself_only(
    gateway: RunningGateway, protocol: str
) -> None:
    own = make_self_signed(f"CN=self {protocol},O=Site", key=new_key("ec256"))
    site = open_site(gateway, ca=own, may_auto_provision=True)
    await assert_refused(site, protocol, own.issue("CN=child,O=Site"), "issuer-not-ca")
    assert await attempt(protocol, gateway, own) == ACCEPTED[protocol]


@each_protocol
async def test_the_path_length_of_an_anchor_is_kept(gateway: RunningGateway, protocol: str) -> None:
    ca = make_ca(f"CN=Short {protocol}", path_length=0)
    site = open_site(gateway, ca=ca, may_auto_provision=True)
    await assert_refused(site, protocol, ca.issue_ca("CN=Below").issue("CN=dev,O=Site"), "path-too-long")
    assert await attempt(protocol, gateway, site.issue()) == ACCEPTED[protocol]
