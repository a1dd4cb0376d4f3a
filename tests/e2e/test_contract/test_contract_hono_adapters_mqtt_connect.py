"""Section 9.2 of the Hono adapter contract: connections over MQTT 3.1.1 and 5, each row by its number.

Left out: rows about passwords and JWT, and limits on a tenant's connections.
"""

import ssl
from collections.abc import Callable
from time import monotonic

import pytest

from kernel.ids import DeviceId, TenantId
from tests.support.certificates import make_ca
from tests.support.gateway import RunningGateway
from tests.support.site import Site, open_site, open_sites_of_one_ca
from tests.support.stores import DEED
from tests.support.wire_clients import CONNACK, PINGRESP, connected_mqtt, mqtt_device

ACCEPTED = {4: 0x00, 5: 0x00}
BAD_CREDENTIALS = {4: 0x04, 5: 0x86}
NOT_AUTHORIZED = {4: 0x05, 5: 0x87}

both_versions = pytest.mark.parametrize("version", [4, 5], ids=["3.1.1", "5"])


@pytest.fixture
def site(gateway: RunningGateway) -> Site:
    """A tenant that registers whom its CA vouches for."""
    return open_site(gateway, may_auto_provision=True)


@pytest.fixture
def strict(gateway: RunningGateway) -> Site:
    """A tenant that registers nobody by itself."""
    return open_site(gateway)


@both_versions
@pytest.mark.parametrize("tls", [ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3], ids=["81-1.2", "82-1.3"])
def test_hono_adapters_81_82_a_device_connects_over_tls(site: Site, version: int, tls: ssl.TLSVersion) -> None:
    with mqtt_device(site.gateway, site.issue(), version=version, tls=tls) as device:
        assert device.connect_code() == 0


@both_versions
def test_hono_adapters_85_a_registered_device_connects(strict: Site, version: int) -> None:
    with mqtt_device(strict.gateway, strict.register("dev"), version=version) as device:
        assert device.connect_code("c") == 0


@both_versions
@pytest.mark.parametrize("named_by", ["86-id", "87-alias"])
def test_hono_adapters_86_87_sni_tells_tenants_of_one_ca_apart(
    gateway: RunningGateway, version: int, named_by: str
) -> None:
    alias = f"mqtt-alias-{version}"
    plain, aliased = open_sites_of_one_ca(gateway, aliases=[None, alias if named_by == "87-alias" else None])
    device = aliased.register("dev")
    label = alias if named_by == "87-alias" else aliased.tenant_id
    with mqtt_device(gateway, device, version=version, server_name=f"{label}.example.com") as client:
        assert client.connect_code() == 0
        client.publish("t", b"hello", qos=1)
        assert client.acknowledged() == 1
    assert aliased.wait_for_message().device_id == "dev"
    assert plain.messages() == []
    with mqtt_device(gateway, device, version=version, server_name=f"{plain.tenant_id}.example.com") as client:
        assert client.connect_code() == BAD_CREDENTIALS[version], "a device of the other tenant"


@both_versions
@pytest.mark.parametrize("server_name", ["88-unknown.example.com", None], ids=["88-unknown-alias", "no-sni"])
def test_hono_adapters_88_an_sni_that_names_no_tenant_of_the_ca_is_refused(
    gateway: RunningGateway, version: int, server_name: str | None
) -> None:
    for site in open_sites_of_one_ca(gateway, aliases=[None, None], may_auto_provision=True):
        with mqtt_device(gateway, site.issue(), version=version, server_name=server_name) as client:
            assert client.connect_code() == BAD_CREDENTIALS[version]
        assert site.device_ids() == []


@both_versions
def test_hono_adapters_89_an_unknown_device_is_registered_under_a_random_id(site: Site, version: int) -> None:
    stranger = site.issue("CN=pump,O=Site")
    with connected_mqtt(site.gateway, stranger, version=version):
        device = site.only_device()
        assert device.device_id != "CN=pump,O=Site"
        assert device.is_enabled and device.status.auto_provisioned and device.status.notification_sent
        [credential] = site.credentials(device.device_id)
        assert (credential.type, credential.auth_id) == ("x509-cert", "CN=pump,O=Site")
        [event] = site.notifications()
    assert (event.device_id, event.payload) == (device.device_id, None)
    assert event.properties["hono_registration_status"] == "NEW"


@both_versions
def test_hono_adapters_90_templates_make_both_ids(gateway: RunningGateway, version: int) -> None:
    site = open_site(
        gateway, may_auto_provision=True, device_id_template="{{subject-dn}}", auth_id_template="{{subject-cn}}"
    )
    with connected_mqtt(gateway, site.issue("CN=pump-90"), version=version):
        assert site.device_ids() == ["CN=pump-90"]
        assert [credential.auth_id for credential in site.credentials("CN=pump-90")] == ["pump-90"]


@both_versions
def test_hono_adapters_91_96_without_auto_provisioning_an_unknown_device_is_refused(strict: Site, version: int) -> None:
    stranger = strict.issue()
    with mqtt_device(strict.gateway, stranger, version=version) as client:
        assert client.connect_code() == BAD_CREDENTIALS[version]
    assert strict.wait_for_refusal_of(stranger).code == "credential-unknown"
    assert strict.device_ids() == []


@both_versions
def test_hono_adapters_93_a_certificate_that_no_tenant_trusts_is_refused(site: Site, version: int) -> None:
    stranger = make_ca("CN=Nobody's CA").issue("CN=nobody")
    with mqtt_device(site.gateway, stranger, version=version) as client:
        assert client.connect_code() == BAD_CREDENTIALS[version]
    assert site.wait_for_refusal_of(stranger).code == "untrusted-issuer"


@both_versions
def test_hono_adapters_98_a_disabled_adapter_refuses(site: Site, version: int) -> None:
    site.disallow("hono-mqtt")
    with mqtt_device(site.gateway, site.issue(), version=version) as client:
        assert client.connect_code() == NOT_AUTHORIZED[version]
    assert site.device_ids() == []


@both_versions
def test_hono_adapters_99_disabled_credentials_are_refused(site: Site, version: int) -> None:
    device = site.register("dev", credential={"enabled": False})
    with mqtt_device(site.gateway, device, version=version) as client:
        assert client.connect_code() == BAD_CREDENTIALS[version]
    assert site.device_ids() == ["dev"]


@both_versions
def test_hono_adapters_100_a_disabled_device_is_refused(site: Site, version: int) -> None:
    device = site.register("dev", enabled=False)
    with mqtt_device(site.gateway, device, version=version) as client:
        assert client.connect_code() == NOT_AUTHORIZED[version]


@both_versions
def test_hono_adapters_102_a_disabled_tenant_refuses(site: Site, version: int) -> None:
    site.edit(enabled=False)
    with mqtt_device(site.gateway, site.issue(), version=version) as client:
        assert client.connect_code() == NOT_AUTHORIZED[version]
    assert site.device_ids() == []


def _delete_device(site: Site) -> None:
    site.gateway.devices.delete(site.tenant_id, "dev", site.gateway.deed())


def _disable_device(site: Site) -> None:
    site.gateway.devices.set_enabled(site.tenant_id, "dev", site.gateway.deed(), enabled=False)


def _delete_tenant(site: Site) -> None:
    site.gateway.tenants.delete(site.tenant_id, site.gateway.deed())


def _disable_tenant(site: Site) -> None:
    site.gateway.tenants.set_enabled(site.tenant_id, site.gateway.deed(), enabled=False)


def _delete_all_devices(site: Site) -> None:
    for device_id in site.device_ids():
        site.gateway.store.devices.delete(TenantId(site.tenant_id), DeviceId(device_id), DEED, expected_version=None)


@both_versions
@pytest.mark.parametrize(
    "change",
    [
        pytest.param(_delete_device, id="103-device-deleted"),
        pytest.param(_disable_device, id="104-device-disabled"),
        pytest.param(_delete_tenant, id="105-tenant-deleted"),
        pytest.param(_disable_tenant, id="106-tenant-disabled"),
        pytest.param(_delete_all_devices, id="107-all-devices-deleted"),
    ],
)
def test_hono_adapters_103_to_107_who_is_gone_is_disconnected(
    strict: Site, version: int, change: Callable[[Site], None]
) -> None:
    other = open_site(strict.gateway)
    with (
        connected_mqtt(strict.gateway, strict.register("dev"), version=version) as client,
        connected_mqtt(strict.gateway, other.register("dev"), version=version) as bystander,
    ):
        change(strict)
        assert client.is_closed()
        answer = bystander.ping()
        assert answer is not None and answer.kind == PINGRESP


@both_versions
@pytest.mark.parametrize("clean", [True, False])
def test_hono_adapters_108_no_session_is_ever_present(strict: Site, version: int, clean: bool) -> None:
    device = strict.register("dev")
    for _ in range(2):
        with mqtt_device(strict.gateway, device, version=version) as client:
            answer = client.connect("same", clean=clean)
            assert answer is not None and (answer.kind, answer.body[:2]) == (CONNACK, b"\0\0")


@both_versions
def test_hono_adapters_109_a_will_is_accepted_and_never_published(strict: Site, version: int) -> None:
    with mqtt_device(strict.gateway, strict.register("dev"), version=version) as client:
        answer = client.connect("c", will=("event", b"gone"))
        assert answer is not None and answer.body[1] == 0
    with connected_mqtt(strict.gateway, strict.register("dev"), version=version) as client:
        client.publish("event", b"alive", qos=1)
        assert client.acknowledged() == 1
    assert [message.payload for message in strict.messages()] == [b"alive"]


@both_versions
def test_hono_adapters_110_a_second_connection_with_the_client_id_leaves_the_first(strict: Site, version: int) -> None:
    device = strict.register("dev")
    with (
        connected_mqtt(strict.gateway, device, version=version, client_id="same") as first,
        connected_mqtt(strict.gateway, device, version=version, client_id="same") as second,
    ):
        for client in (first, second):
            answer = client.ping()
            assert answer is not None and answer.kind == PINGRESP


@both_versions
def test_hono_adapters_111_who_shows_nothing_is_refused(gateway: RunningGateway, version: int) -> None:
    with mqtt_device(gateway, None, version=version) as client:
        assert client.connect_code("nobody") == BAD_CREDENTIALS[version]


def test_hono_adapters_113_protocol_level_3_is_refused(site: Site) -> None:
    with mqtt_device(site.gateway, site.issue(), version=3) as client:
        answer = client.connect("c")
        assert answer is None or (answer.kind, answer.body) == (CONNACK, b"\0\1")
        assert client.is_closed()
    assert site.device_ids() == []


@both_versions
def test_hono_adapters_114_silence_beyond_the_keep_alive_ends_the_connection(strict: Site, version: int) -> None:
    with mqtt_device(strict.gateway, strict.register("dev"), version=version) as client:
        before = monotonic()
        answer = client.connect("c", keep_alive_s=1)
        assert answer is not None and answer.body[1] == 0
        assert client.is_closed()
    assert 1.4 < monotonic() - before < 10
