"""openssl s_client against a running gateway: TLS with bytes by hand, and DTLS."""

import re

import pytest

from tests.support.certificates import Issued, make_ca
from tests.support.gateway import RunningGateway
from tests.support.programs import Ran, run
from tests.support.site import Site, open_sites_of_one_ca

pytestmark = pytest.mark.needs_tool("openssl")

UPLOAD = b"POST /event HTTP/1.1\r\nHost: x\r\nContent-Type: text/plain\r\nContent-Length: 5\r\n\r\nhello"
LAST_UPLOAD = UPLOAD.replace(b"\r\n\r\n", b"\r\nConnection: close\r\n\r\n")
# CONNECT of MQTT 3.1.1, client id "ab"; an event of QoS 1, packet id 7; DISCONNECT
CONNECT = b"\x10\x0e\x00\x04MQTT\x04\x02\x00\x3c\x00\x02ab"
PUBLISH = b"\x32\x0e\x00\x05event\x00\x07hello"
DISCONNECT = b"\xe0\x00"

each_tls = pytest.mark.parametrize("tls", ["-tls1_2", "-tls1_3"])


def s_client(gateway: RunningGateway, port: str, device: Issued | None, *options: object, stdin: bytes = b"") -> Ran:
    words: list[object] = ["openssl", "s_client", "-connect", f"127.0.0.1:{gateway.ports[port]}"]
    words += ["-CAfile", gateway.server_ca, "-verify_return_error"]
    if device is not None:
        files = gateway.files(device)
        words += ["-cert", files.certificate, "-key", files.key, "-cert_chain", files.chain]
        if not device.intermediates:
            words = words[:-2]
    return run(*words, *options, stdin=stdin)


@each_tls
def test_a_request_written_by_hand_registers_and_arrives(site: Site, tls: str) -> None:
    device = site.issue()
    for _ in range(2):
        ran = s_client(site.gateway, "https", device, tls, "-quiet", stdin=LAST_UPLOAD)
        assert ran.out.startswith(b"HTTP/1.1 202 Accepted\r\n"), ran.said
    assert [message.payload for message in site.wait_for_messages(2)] == [b"hello", b"hello"]
    assert len(site.device_ids()) == len(site.notifications()) == 1


@each_tls
def test_pipelined_requests_are_answered_in_order(site: Site, tls: str) -> None:
    asked = UPLOAD * 3 + UPLOAD.replace(b"/event", b"/nowhere") + LAST_UPLOAD
    ran = s_client(site.gateway, "https", site.issue(), tls, "-quiet", stdin=asked)
    assert re.findall(rb"HTTP/1\.1 (\d+) ", ran.out) == [b"202", b"202", b"202", b"404", b"202"]
    site.wait_for_messages(4)


@each_tls
def test_a_connect_written_by_hand_is_answered_byte_by_byte(site: Site, tls: str) -> None:
    asked = CONNECT + b"\xc0\x00" + b"\xf0\x00"  # PINGREQ; a packet type that is none ends it
    ran = s_client(site.gateway, "mqtts", site.issue(), tls, "-quiet", stdin=asked)
    assert ran.out == b"\x20\x02\x00\x00" + b"\xd0\x00"
    assert len(site.device_ids()) == 1


@each_tls
def test_what_is_sent_right_behind_connect_is_taken(site: Site, tls: str) -> None:
    """[MQTT-3.1.4]: a client need not wait for CONNACK."""
    s_client(site.gateway, "mqtts", site.issue(), tls, "-quiet", stdin=CONNECT + PUBLISH + DISCONNECT)
    assert site.wait_for_message().payload == b"hello"


@each_tls
@pytest.mark.parametrize("port", ["https", "mqtts", "management"])
def test_no_ticket_is_given_and_no_session_kept(site: Site, tls: str, port: str) -> None:
    ran = s_client(site.gateway, port, site.issue(), tls, "-msg")
    assert "Verify return code: 0 (ok)" in ran
    assert "NewSessionTicket" not in ran or port == "management"
    if port != "management":
        again = s_client(site.gateway, port, site.issue(), "-tls1_2", "-reconnect")
        assert "Reused" not in again and again.said.count("New, TLSv1.2") == 6


@each_tls
def test_a_certificate_is_asked_for_without_saying_whose(site: Site, tls: str) -> None:
    ran = s_client(site.gateway, "https", site.issue(), tls, "-msg")
    assert "CertificateRequest" in ran and "No client certificate CA names sent" in ran


@each_tls
def test_a_stranger_is_refused_in_the_words_of_the_protocol(site: Site, tls: str) -> None:
    stranger = make_ca("CN=Nobody's CA").issue("CN=x")
    ran = s_client(site.gateway, "https", stranger, tls, "-quiet", stdin=LAST_UPLOAD)
    assert ran.out.startswith(b"HTTP/1.1 401 "), ran.said
    ran = s_client(site.gateway, "mqtts", stranger, tls, "-quiet", stdin=CONNECT)
    assert ran.out == b"\x20\x02\x00\x04"


def test_a_handshake_over_dtls_completes_and_registers(site: Site) -> None:
    ran = s_client(site.gateway, "coaps", site.issue(), "-dtls1_2")
    assert "Verify return code: 0 (ok)" in ran and "Protocol  : DTLSv1.2" in ran
    assert "Session-ID: \n" in ran and "TLS session ticket" not in ran
    site.wait_for_device()


@pytest.mark.parametrize("group", ["P-256", "P-384", "X25519"])
def test_dtls_agrees_on_what_the_client_offers(site: Site, group: str) -> None:
    ran = s_client(site.gateway, "coaps", site.issue(), "-dtls1_2", "-groups", group)
    assert "Verify return code: 0 (ok)" in ran


def test_a_chain_is_read_over_dtls(site: Site) -> None:
    device = site.ca.issue_ca("CN=Plant,O=Site").issue_ca("CN=Line,O=Site").issue("CN=below,O=Site")
    ran = s_client(site.gateway, "coaps", device, "-dtls1_2")
    assert "Verify return code: 0 (ok)" in ran and "alert" not in ran
    site.wait_for_device()


@pytest.mark.parametrize("mtu", [400, 1400])
def test_dtls_gets_through_small_packets(site: Site, mtu: int) -> None:
    device = site.ca.issue_ca("CN=Plant,O=Site", key="rsa3072").issue("CN=below,O=Site", key="rsa3072")
    ran = s_client(site.gateway, "coaps", device, "-dtls1_2", "-mtu", mtu)
    assert "Verify return code: 0 (ok)" in ran
    site.wait_for_device()


def test_a_stranger_is_refused_in_the_dtls_handshake(site: Site) -> None:
    stranger = make_ca("CN=Nobody's CA").issue("CN=x")
    ran = s_client(site.gateway, "coaps", stranger, "-dtls1_2")
    assert "alert unknown ca" in ran, ran.said
    assert site.wait_for_refusal_of(stranger).code == "untrusted-issuer"


@pytest.mark.parametrize("version", ["-dtls1", "-tls1_1", "-tls1"])
def test_older_versions_are_refused(site: Site, version: str) -> None:
    port = "coaps" if version == "-dtls1" else "https"
    ran = s_client(site.gateway, port, site.issue(), version, "-cipher", "DEFAULT@SECLEVEL=0")
    assert ran.status != 0 and "protocol version" in ran, ran.said


@pytest.mark.parametrize("port", ["https", "mqtts", "coaps"])
def test_the_name_it_sends_decides_between_tenants_of_one_ca(gateway: RunningGateway, port: str) -> None:
    first, second = open_sites_of_one_ca(gateway, aliases=[None, f"s-client-{port}"], may_auto_provision=True)
    asked = {"https": LAST_UPLOAD, "mqtts": CONNECT + PUBLISH + DISCONNECT, "coaps": b""}[port]
    version = ["-dtls1_2"] if port == "coaps" else ["-tls1_3", "-quiet"]
    for number, name in enumerate((first.tenant_id, f"s-client-{port}", "nobody")):
        device = first.issue(f"CN=dev-{number}")
        s_client(gateway, port, device, *version, "-servername", f"{name}.example.com", stdin=asked)
        if name == "nobody":
            assert first.wait_for_refusal_of(device).code == "untrusted-issuer"
    assert [site.credentials(site.wait_for_device().device_id)[0].auth_id for site in (first, second)] == [
        "CN=dev-0",
        "CN=dev-1",
    ]
