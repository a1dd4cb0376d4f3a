"""mosquitto_pub against a running gateway, over MQTT 3.1.1 and 5."""

import ssl
from pathlib import Path
from urllib.request import urlopen

import pytest

from tests.support.certificates import Issued, make_ca
from tests.support.gateway import RunningGateway
from tests.support.programs import Ran, run
from tests.support.site import Site, open_sites_of_one_ca
from tests.support.socks import names_of_this_host

pytestmark = pytest.mark.needs_tool("mosquitto_pub")

KEYS = ["rsa2048", "ec256", "ec384", "ed25519"]
AT_MOST_TLS_1_2 = """
openssl_conf = all
[all]
ssl_conf = tls
[tls]
system_default = oldest
[oldest]
MaxProtocol = TLSv1.2
"""
both_versions = pytest.mark.parametrize("version", ["mqttv311", "mqttv5"])


def pub(site: Site, device: Issued | None, version: str, *options: object) -> Ran:
    files = None if device is None else site.gateway.files(device)
    return run("mosquitto_pub", *site.gateway.mosquitto(files), "-V", version, "-d", *options)


@both_versions
@pytest.mark.parametrize("key", KEYS)
def test_an_unknown_device_is_registered_and_its_message_arrives(site: Site, version: str, key: str) -> None:
    device = site.issue(key=key)
    first = pub(site, device, version, "-q", 1, "-t", "telemetry", "-m", "first")
    assert first.status == 0 and "received PUBACK" in first
    created = site.only_device()
    assert created.status.auto_provisioned
    second = pub(site, device, version, "-q", 1, "-t", "event", "-m", "second")
    assert second.status == 0
    messages = site.wait_for_messages(2)
    assert [(message.payload, message.kind.value) for message in messages] == [
        (b"first", "telemetry"),
        (b"second", "event"),
    ]
    assert {message.device_id for message in messages} == {created.device_id}
    assert site.device_ids() == [created.device_id] and len(site.notifications()) == 1


@both_versions
def test_qos_0_is_kept_though_nothing_acknowledges_it(site: Site, version: str) -> None:
    assert pub(site, site.issue(), version, "-q", 0, "-t", "t", "-m", "unheard").status == 0
    message = site.wait_for_message()
    assert (message.payload, message.qos) == (b"unheard", 0)


@both_versions
def test_qos_2_is_refused_and_the_client_says_so(site: Site, version: str) -> None:
    ran = pub(site, site.issue(), version, "-q", 2, "-t", "t", "-m", "twice")
    expected = "QoS not supported" if version == "mqttv5" else "connection was lost"
    assert expected in ran
    assert site.messages() == []


@both_versions
def test_many_lines_arrive_in_order_over_one_connection(site: Site, version: str) -> None:
    files = site.files()
    lines = [b"%d" % number for number in range(300)]
    words = [*site.gateway.mosquitto(files), "-V", version, "-q", 1, "-t", "event", "-l"]
    ran = run("mosquitto_pub", *words, stdin=b"\n".join(lines) + b"\n")
    assert ran.status == 0, ran.said
    assert [message.payload for message in site.wait_for_messages(300)] == lines


@both_versions
def test_a_chain_in_the_certificate_file_is_shown(site: Site, version: str) -> None:
    device = site.ca.issue_ca("CN=Plant,O=Site").issue("CN=below,O=Site")
    assert pub(site, device, version, "-q", 1, "-t", "t", "-m", "x").status == 0
    assert site.wait_for_message().device_id == site.only_device().device_id


@both_versions
def test_tls_1_2_will_do(site: Site, version: str, tmp_path: Path) -> None:
    """mosquitto's own --tls-version says only how old it may be."""
    limits = tmp_path / "openssl.cnf"
    limits.write_text(AT_MOST_TLS_1_2)
    files = site.files()
    words = [*site.gateway.mosquitto(files), "-V", version, "--tls-version", "tlsv1.2", "-q", 1, "-t", "t", "-m", "x"]
    ran = run("mosquitto_pub", *words, environment={"OPENSSL_CONF": limits})
    assert ran.status == 0, ran.said
    site.wait_for_message()
    context = ssl.create_default_context(cafile=site.gateway.server_ca)
    with urlopen(f"https://127.0.0.1:{site.gateway.ports['management']}/metrics", context=context) as page:
        attempts = [line for line in page.read().decode().splitlines() if f'tenant="{site.tenant_id}"' in line]
    assert any("hono_connections_attempts" in line and "ECDHE-ECDSA-" in line for line in attempts), attempts


@both_versions
def test_a_stranger_of_an_unknown_ca_is_told_bad_credentials(site: Site, version: str) -> None:
    stranger = make_ca("CN=Nobody's CA").issue("CN=stranger")
    ran = pub(site, stranger, version, "-q", 1, "-t", "t", "-m", "x")
    if version == "mqttv5":
        assert ran.status == 134 and "Bad User Name or Password" in ran
    else:
        assert ran.status == 4 and "Connection Refused: bad user name or password" in ran
    assert site.wait_for_refusal_of(stranger).code == "untrusted-issuer"


@both_versions
def test_who_shows_nothing_is_refused(site: Site, version: str) -> None:
    ran = pub(site, None, version, "-t", "t", "-m", "x")
    assert "user name or password" in ran.said.lower()
    assert ran.status != 0


@both_versions
def test_a_disabled_device_is_told_that_it_is_not_authorised(site: Site, version: str) -> None:
    ran = pub(site, site.register("dev", enabled=False), version, "-t", "t", "-m", "x")
    assert "not authori" in ran.said.lower()
    assert ran.status != 0


def test_properties_of_version_5_reach_the_application(site: Site) -> None:
    words = ["-q", 1, "-t", "event", "-m", "21.5", "-D", "publish", "content-type", "text/plain"]
    assert pub(site, site.issue(), "mqttv5", *words).status == 0
    assert site.wait_for_message().content_type == "text/plain"


@both_versions
def test_the_host_it_connects_to_decides_between_tenants_of_one_ca(gateway: RunningGateway, version: str) -> None:
    first, second = open_sites_of_one_ca(gateway, aliases=[None, f"named-{version}"], may_auto_provision=True)
    device = gateway.files(first.issue())
    with names_of_this_host() as proxy:
        for name, accepted in ((first.tenant_id, True), (f"named-{version}", True), ("nobody", False)):
            words = gateway.mosquitto(device, f"{name}.example.com")
            proxied = ["--proxy", f"socks5h://127.0.0.1:{proxy}", "--insecure"]
            ran = run("mosquitto_pub", *words, *proxied, "-V", version, "-q", 1, "-t", "t", "-m", name)
            assert (ran.status == 0) is accepted, ran.said
    assert first.wait_for_message().payload == first.tenant_id.encode()
    assert second.wait_for_message().payload == f"named-{version}".encode()
