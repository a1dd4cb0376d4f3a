"""gnutls-cli against a running gateway: HTTP written by hand through another TLS library."""

import pytest

from tests.support.certificates import Issued, make_ca
from tests.support.gateway import RunningGateway
from tests.support.programs import Ran, run
from tests.support.site import Site, open_sites_of_one_ca

pytestmark = pytest.mark.needs_tool("gnutls-cli")

UPLOAD = (
    b"POST /event HTTP/1.1\r\nHost: x\r\nContent-Type: text/plain\r\nConnection: close\r\n"
    b"Content-Length: 5\r\n\r\nhello"
)
CONNECT = b"\x10\x0e\x00\x04MQTT\x04\x02\x00\x3c\x00\x02ab"
PUBLISH = b"\x30\x08\x00\x01thello"

each_tls = pytest.mark.parametrize(
    "priority", ["NORMAL:-VERS-ALL:+VERS-TLS1.2", "NORMAL:-VERS-ALL:+VERS-TLS1.3"], ids=["1.2", "1.3"]
)


def gnutls(site: Site, port: str, device: Issued | None, *options: object, stdin: bytes) -> Ran:
    """It says goodbye when its input ends and goes on reading."""
    gateway = site.gateway
    words: list[object] = ["gnutls-cli", "--x509cafile", gateway.server_ca, "-p", gateway.ports[port]]
    if device is not None:
        files = gateway.files(device)
        words += ["--x509certfile", files.certificate, "--x509keyfile", files.key]
    return run(*words, *options, "127.0.0.1", stdin=stdin)


@each_tls
@pytest.mark.parametrize("key", ["rsa2048", "ec256", "ec384", "ed25519"])
def test_an_unknown_device_is_registered_and_answered_though_it_has_said_goodbye(
    site: Site, priority: str, key: str
) -> None:
    device = site.issue(key=key)
    for _ in range(2):
        ran = gnutls(site, "https", device, "--priority", priority, stdin=UPLOAD)
        assert "HTTP/1.1 202 Accepted" in ran, ran.said
    assert [message.payload for message in site.wait_for_messages(2)] == [b"hello", b"hello"]
    assert len(site.device_ids()) == len(site.notifications()) == 1


@each_tls
def test_a_message_sent_right_behind_connect_is_kept_though_the_device_has_said_goodbye(
    site: Site, priority: str
) -> None:
    """[MQTT-3.1.4]: a client need not wait for CONNACK."""
    ran = gnutls(site, "mqtts", site.issue(), "--priority", priority, stdin=CONNECT + PUBLISH)
    assert "Handshake was completed" in ran
    assert site.wait_for_message().payload == b"hello"


@each_tls
@pytest.mark.parametrize("shows", ["a certificate of nobody", "nothing"])
def test_who_proves_nothing_is_told_so(site: Site, priority: str, shows: str) -> None:
    stranger = make_ca("CN=Nobody's CA").issue("CN=x") if shows != "nothing" else None
    ran = gnutls(site, "https", stranger, "--priority", priority, stdin=UPLOAD)
    assert "HTTP/1.1 401 Unauthorized" in ran, ran.said
    if stranger is not None:
        assert site.wait_for_refusal_of(stranger).code == "untrusted-issuer"


def test_a_chain_in_the_certificate_file_is_shown(site: Site) -> None:
    device = site.ca.issue_ca("CN=Plant,O=Site").issue("CN=below,O=Site")
    assert "HTTP/1.1 202 Accepted" in gnutls(site, "https", device, stdin=UPLOAD)


def test_no_session_is_resumed(site: Site) -> None:
    ran = gnutls(site, "https", site.issue(), "--resume", "--priority", "NORMAL:-VERS-TLS1.3", stdin=b"")
    assert "This is a resumed session" not in ran
    assert ran.said.count("Handshake was completed") >= 1


def test_the_name_it_sends_decides_between_tenants_of_one_ca(gateway: RunningGateway) -> None:
    first, second = open_sites_of_one_ca(gateway, aliases=[None, "gnutls-alias"], may_auto_provision=True)
    for name, status in ((first.tenant_id, "202"), ("gnutls-alias", "202"), ("nobody", "401")):
        words = ["--sni-hostname", f"{name}.example.com", "--insecure"]
        ran = gnutls(first, "https", first.issue(), *words, stdin=UPLOAD)
        assert f"HTTP/1.1 {status} " in ran, ran.said
    assert len(first.wait_for_messages(1)) == len(second.wait_for_messages(1)) == 1


def test_a_handshake_over_dtls_completes(site: Site) -> None:
    ran = gnutls(site, "coaps", site.issue(), "--udp", stdin=b"")
    assert "Handshake was completed" in ran and "(DTLS1.2-X.509)" in ran, ran.said
    site.wait_for_device()
