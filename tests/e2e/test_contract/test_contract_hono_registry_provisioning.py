"""Section 6.7 of the Hono registry contract: provisioning, each row by its number.

Left out: gateways that provision devices, and rows that need a failing store or message engine.
"""

import uuid
from datetime import UTC, datetime

import pytest

from kernel.ids import DeviceId, TenantId
from registry.model import DeviceStatus
from tenant.model import RegistrationLimits
from tests.support.attempts import ACCEPTED, CONFLICT, FORBIDDEN, MALFORMED, NO_CREDENTIALS, PROTOCOLS, attempt
from tests.support.gateway import RunningGateway
from tests.support.site import Site, open_site
from tests.support.stores import DEED
from tests.support.waiting import until_blocking
from tests.support.wire_clients import http_device

each_protocol = pytest.mark.parametrize("protocol", PROTOCOLS)


@pytest.fixture
def site(gateway: RunningGateway) -> Site:
    """A tenant that registers whom its CA vouches for."""
    return open_site(gateway, may_auto_provision=True)


@each_protocol
async def test_hono_registry_200_201_205_207_a_stranger_becomes_a_device(site: Site, protocol: str) -> None:
    assert await attempt(protocol, site.gateway, site.issue("CN=pump,OU=Cellar,O=Site")) == ACCEPTED[protocol]
    device = site.only_device()
    uuid.UUID(device.device_id)
    assert device.enabled is True
    assert device.status.auto_provisioned and device.status.notification_sent
    assert device.authorities == () and device.via == ()
    assert device.ext["comment"].startswith("Auto-provisioned at 2")
    [credential] = site.credentials(device.device_id)
    assert (credential.type, credential.auth_id) == ("x509-cert", "CN=pump,OU=Cellar,O=Site")
    assert credential.enabled is True and len(credential.secrets) == 1
    assert credential.comment == device.ext["comment"]
    [event] = site.notifications()
    assert event.content_type == "application/vnd.eclipse-hono-device-provisioning-notification"
    assert event.properties["hono_registration_status"] == "NEW"
    assert event.properties["tenant_id"] == site.tenant_id
    assert event.properties["device_id"] == device.device_id == event.device_id
    assert event.properties["orig_address"] == "event"
    assert event.properties["orig_adapter"] == "hono-device-registry"
    assert "gateway_id" not in event.properties
    assert (event.kind.value, event.qos, event.payload) == ("event", 1, None)


@each_protocol
async def test_hono_registry_207_the_notification_comes_before_the_first_message(site: Site, protocol: str) -> None:
    assert await attempt(protocol, site.gateway, site.issue()) == ACCEPTED[protocol]
    first, second = site.gateway.messages(site.tenant_id)
    assert first.properties.get("hono_registration_status") == "NEW"
    assert second.properties.get("hono_registration_status") is None
    assert first.device_id == second.device_id


@each_protocol
async def test_hono_registry_202_a_template_may_hold_the_whole_name(gateway: RunningGateway, protocol: str) -> None:
    site = open_site(gateway, may_auto_provision=True, device_id_template="test-device-{{subject-dn}}")
    assert await attempt(protocol, gateway, site.issue("CN=0a1b-202")) == ACCEPTED[protocol]
    assert site.device_ids() == ["test-device-CN=0a1b-202"]


@each_protocol
async def test_hono_registry_203_an_anchor_may_provision_gateways(gateway: RunningGateway, protocol: str) -> None:
    site = open_site(
        gateway,
        may_auto_provision=True,
        provisions_gateways=True,
        device_id_template="test-device-{{subject-cn}}",
    )
    assert await attempt(protocol, gateway, site.issue("CN=0a1b,O=Site")) == ACCEPTED[protocol]
    device = site.only_device()
    assert device.device_id == "test-device-0a1b"
    assert "auto-provisioning-enabled" in device.authorities


@each_protocol
async def test_hono_registry_204_a_template_may_hold_several_attributes(gateway: RunningGateway, protocol: str) -> None:
    site = open_site(gateway, may_auto_provision=True, device_id_template="device-{{subject-cn}}-{{subject-ou}}")
    assert await attempt(protocol, gateway, site.issue("CN=pump,OU=cellar,O=Site")) == ACCEPTED[protocol]
    assert site.device_ids() == ["device-pump-cellar"]


@each_protocol
async def test_hono_registry_206_an_auth_id_may_be_the_common_name(gateway: RunningGateway, protocol: str) -> None:
    site = open_site(gateway, may_auto_provision=True, auth_id_template="{{subject-cn}}")
    assert await attempt(protocol, gateway, site.issue("CN=pump,O=Site")) == ACCEPTED[protocol]
    assert await attempt(protocol, gateway, site.issue("CN=pump,O=Renamed")) == ACCEPTED[protocol]
    assert [credential.auth_id for credential in site.credentials(site.only_device().device_id)] == ["pump"]


@each_protocol
async def test_hono_registry_211_an_anchor_that_does_not_provision_creates_nothing(
    gateway: RunningGateway, protocol: str
) -> None:
    site = open_site(gateway, may_auto_provision=False)
    stranger = site.issue()
    assert await attempt(protocol, gateway, stranger) == NO_CREDENTIALS[protocol]
    assert site.wait_for_refusal_of(stranger).code == "credential-unknown"
    assert site.device_ids() == [] and site.notifications() == []


@each_protocol
async def test_hono_registry_212_a_notification_that_is_due_is_sent_at_the_next_connection(
    site: Site, protocol: str
) -> None:
    status = DeviceStatus(created=datetime.now(UTC), auto_provisioned=True)
    device = site.register("dev", status=status)
    assert await attempt(protocol, site.gateway, device) == ACCEPTED[protocol]
    assert site.device("dev").status.notification_sent
    assert {event.device_id for event in site.notifications()} == {"dev"}


def test_a_notification_that_is_due_is_sent_without_waiting_for_a_connection(site: Site) -> None:
    status = DeviceStatus(created=datetime(2026, 1, 1, tzinfo=UTC), auto_provisioned=True)
    site.register("dev", status=status)
    until_blocking(lambda: site.device("dev").status.notification_sent)
    assert {event.device_id for event in site.notifications()} == {"dev"}


@each_protocol
async def test_hono_registry_213_who_comes_again_is_recognised(site: Site, protocol: str) -> None:
    device = site.issue()
    for _ in range(3):
        assert await attempt(protocol, site.gateway, device) == ACCEPTED[protocol]
    [device_id] = site.device_ids()
    assert [message.device_id for message in site.messages()] == [device_id] * 3
    assert len(site.notifications()) == 1


async def test_hono_registry_213_a_device_is_the_same_over_every_protocol_and_with_a_renewed_certificate(
    site: Site,
) -> None:
    for protocol in PROTOCOLS:
        renewed = site.issue("CN=pump,O=Site")
        assert await attempt(protocol, site.gateway, renewed) == ACCEPTED[protocol]
    assert len(site.device_ids()) == len(site.notifications()) == 1


@each_protocol
async def test_a_deleted_device_is_provisioned_again_under_a_new_id(site: Site, protocol: str) -> None:
    device = site.issue()
    assert await attempt(protocol, site.gateway, device) == ACCEPTED[protocol]
    [before] = site.device_ids()
    site.gateway.store.devices.delete(TenantId(site.tenant_id), DeviceId(before), DEED, expected_version=None)
    assert await attempt(protocol, site.gateway, device) == ACCEPTED[protocol]
    [after] = site.device_ids()
    assert after != before and len(site.notifications()) == 2


def test_hono_registry_215_a_gateway_without_authority_provisions_nothing(site: Site) -> None:
    with http_device(site.gateway, site.register("gw")) as client:
        assert client.put("/event//edge", b"x").status == 404
    assert site.device_ids() == ["gw"]


@each_protocol
async def test_hono_registry_221_a_full_tenant_takes_no_more(site: Site, protocol: str) -> None:
    site.edit(registration_limits=RegistrationLimits(max_devices=1))
    first, second = site.issue(), site.issue()
    assert await attempt(protocol, site.gateway, first) == ACCEPTED[protocol]
    for _ in range(2):
        assert await attempt(protocol, site.gateway, second) == FORBIDDEN[protocol]
    assert site.wait_for_refusal_of(second).code == "device-limit-reached"
    assert await attempt(protocol, site.gateway, first) == ACCEPTED[protocol]
    assert len(site.device_ids()) == len(site.notifications()) == 1


@each_protocol
async def test_an_id_that_a_template_makes_twice_is_a_conflict(gateway: RunningGateway, protocol: str) -> None:
    site = open_site(gateway, may_auto_provision=True, device_id_template="dev-{{subject-o}}")
    assert await attempt(protocol, gateway, site.issue("CN=one,O=Site")) == ACCEPTED[protocol]
    second = site.issue("CN=two,O=Site")
    assert await attempt(protocol, gateway, second) == CONFLICT[protocol]
    assert site.wait_for_refusal_of(second).code == "device-exists"
    assert site.device_ids() == ["dev-Site"] and len(site.credentials("dev-Site")) == 1


@each_protocol
@pytest.mark.parametrize(
    ("template", "subject"),
    [
        ("{{subject-dn}}", "CN=a,O=Site"),
        ("{{subject-cn}}", "CN=a b"),
        ("{{subject-cn}}", "CN=.."),
        ("{{subject-ou}}", "CN=a"),
    ],
    ids=["comma", "blank", "dots", "missing"],
)
async def test_an_id_that_cannot_be_made_is_refused_and_nothing_is_created(
    gateway: RunningGateway, protocol: str, template: str, subject: str
) -> None:
    site = open_site(gateway, may_auto_provision=True, device_id_template=template)
    assert await attempt(protocol, gateway, site.issue(subject)) == MALFORMED[protocol]
    assert site.device_ids() == []


@each_protocol
async def test_an_auth_id_that_cannot_be_made_is_malformed_credentials(gateway: RunningGateway, protocol: str) -> None:
    site = open_site(gateway, may_auto_provision=True, auth_id_template="{{subject-ou}}")
    stranger = site.issue("CN=a,O=Site")
    assert await attempt(protocol, gateway, stranger) == NO_CREDENTIALS[protocol]
    assert site.wait_for_refusal_of(stranger).code == "auth-id-unfilled"
    assert site.device_ids() == []
