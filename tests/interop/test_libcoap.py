"""coap-client of libcoap against a running gateway: one build on OpenSSL, one on GnuTLS.

Their exit status says nothing; what they print does. The OpenSSL build sends no intermediates of its
certificate file, but those it is told to trust.
"""

from pathlib import Path

import pytest

from tests.support.certificates import Issued, make_ca
from tests.support.gateway import RunningGateway
from tests.support.programs import Ran, run
from tests.support.site import Site, open_site

BUILDS = ["coap-client-openssl", "coap-client-gnutls"]
each_build = pytest.mark.parametrize(
    "program", [pytest.param(build, marks=pytest.mark.needs_tool(build), id=build[12:]) for build in BUILDS]
)
TEXT, OCTETS = ("-t", 0), ("-t", 42)


def coap(program: str, site: Site, device: Issued, path: str, *options: object, method: str = "post") -> Ran:
    files = site.gateway.files(device)
    return run(program, "-v", 6, "-m", method, *options, *site.gateway.coap(files, path))


@each_build
@pytest.mark.parametrize("key", ["rsa2048", "ec256", "ec384", "ed25519"])
def test_an_unknown_device_is_registered_and_recognised(site: Site, program: str, key: str) -> None:
    device = site.issue(key=key)
    for number in range(2):
        ran = coap(program, site, device, "/telemetry", *TEXT, "-e", f"hello {number}")
        assert "t:ACK c:2.04" in ran, ran.said
    messages = site.wait_for_messages(2)
    assert [message.payload for message in messages] == [b"hello 0", b"hello 1"]
    assert [message.device_id for message in messages] == site.device_ids() * 2
    assert {(message.qos, message.content_type) for message in messages} == {(1, "text/plain")}
    assert len(site.notifications()) == 1


@each_build
def test_the_command_line_of_the_manual_works(site: Site, program: str) -> None:
    files = site.files()
    words = ["-B", 3, "-m", "post", "-e", "data", "-t", 50, "-c", files.certificate, "-j", files.key]
    address = f"coaps://127.0.0.1:{site.gateway.ports['coaps']}/telemetry"
    ran = run(program, *words, "-R", site.gateway.server_ca, address)
    assert "ERR" not in ran, ran.said
    assert site.wait_for_message().content_type == "application/json"


@each_build
def test_what_is_not_confirmable_is_answered_in_kind(site: Site, program: str) -> None:
    assert "t:NON c:2.04" in coap(program, site, site.issue(), "/t", "-N", *TEXT, "-e", "x")
    assert site.wait_for_message().qos == 0


@each_build
def test_an_event_must_be_confirmable(site: Site, program: str) -> None:
    device = site.issue()
    ran = coap(program, site, device, "/event", "-N", *TEXT, "-e", "x")
    assert "4.00 event endpoint supports confirmable request messages only" in ran
    assert "t:ACK c:2.04" in coap(program, site, device, "/e", *TEXT, "-e", "y")
    assert site.wait_for_message().kind.value == "event"


@each_build
@pytest.mark.parametrize("size", [64, 512, 1024])
@pytest.mark.parametrize(("length", "is_taken"), [(2048, True), (2049, False)])
def test_an_upload_in_blocks_may_have_2048_bytes(
    site: Site, program: str, size: int, length: int, is_taken: bool, tmp_path: Path
) -> None:
    payload = (bytes(range(256)) * 9)[:length]
    (tmp_path / "payload").write_bytes(payload)
    ran = coap(program, site, site.issue(), "/event", *OCTETS, "-b", size, "-f", tmp_path / "payload")
    if is_taken:
        assert "c:2.04" in ran, ran.said
        assert site.wait_for_message().payload == payload
    else:
        assert "4.13 request body too large" in ran, ran.said
        assert site.messages() == []


@each_build
@pytest.mark.parametrize("named", [True, False], ids=["tenant", "no-tenant"])
def test_a_gateway_puts_for_its_device(site: Site, program: str, named: bool) -> None:
    gateway = site.register("gw")
    site.add_device("valve", via=["gw"])
    path = f"/event/{site.tenant_id if named else ''}/valve"
    assert "c:2.04" in coap(program, site, gateway, path, *TEXT, "-e", "open", method="put")
    assert site.wait_for_message().device_id == "valve"


@each_build
def test_a_refusal_is_told_in_words(site: Site, program: str) -> None:
    device = site.register("dev", enabled=False)
    assert "4.04 device is disabled or not registered" in coap(program, site, device, "/event", *TEXT, "-e", "x")
    assert "4.05" in coap(program, site, site.issue(), "/event", method="get")
    assert "4.04" in coap(program, site, site.issue(), "/.well-known/core", method="get")


@each_build
def test_the_time_is_told_to_who_asks(site: Site, program: str) -> None:
    ran = coap(program, site, site.issue(), "/event?hono-time", *TEXT, "-e", "x")
    assert "c:2.04" in ran and "65000:" in ran, ran.said


@each_build
def test_a_stranger_is_refused_in_the_handshake(site: Site, program: str) -> None:
    """It calls an address `localhost` in SNI, so what it is told is that this names no tenant either."""
    stranger = make_ca("CN=Nobody's CA").issue("CN=x")
    ran = coap(program, site, stranger, "/event", *TEXT, "-e", "x")
    alert = "alert bad certificate" if program.endswith("openssl") else "Certificate is bad"
    assert alert in ran and "cannot send CoAP pdu" in ran and "c:2.04" not in ran, ran.said
    assert site.wait_for_refusal_of(stranger).code == "server-name-without-tenant"


@each_build
def test_an_impostor_is_refused_in_the_handshake(site: Site, program: str) -> None:
    impostor = make_ca(site.ca.certificate.subject).issue("CN=x")
    ran = coap(program, site, impostor, "/event", *TEXT, "-e", "x")
    assert "cannot send CoAP pdu" in ran and "c:2.04" not in ran, ran.said
    assert site.wait_for_refusal_of(impostor).code == "signature-invalid"
    assert site.device_ids() == []


@pytest.mark.needs_tool("coap-client-gnutls")
def test_a_chain_in_the_certificate_file_is_shown(site: Site) -> None:
    device = site.ca.issue_ca("CN=Plant,O=Site").issue("CN=below,O=Site")
    assert "c:2.04" in coap("coap-client-gnutls", site, device, "/event", *TEXT, "-e", "x")


@pytest.mark.needs_tool("coap-client-openssl")
def test_a_chain_among_what_is_trusted_is_shown(site: Site, tmp_path: Path) -> None:
    device = site.ca.issue_ca("CN=Plant,O=Site").issue("CN=below,O=Site")
    trusted = tmp_path / "trusted.pem"
    trusted.write_bytes(site.gateway.server_ca.read_bytes() + device.intermediates[0].pem)
    files = site.gateway.files(device)
    options = ["-v", 6, "-m", "post", *TEXT, "-e", "x", *site.gateway.coap(files, "/event")]
    options[options.index(str(site.gateway.server_ca))] = trusted
    ran = run("coap-client-openssl", *options)
    assert "c:2.04" in ran, ran.said


@pytest.mark.needs_tool("coap-client-openssl")
@pytest.mark.parametrize("lost", ["1", "2", "3", "1,3"])
def test_datagrams_the_device_loses_are_sent_again(site: Site, lost: str) -> None:
    """The GnuTLS build drops what arrives in the moment it sends again, whoever the server is."""
    ran = coap("coap-client-openssl", site, site.issue(), "/event", *TEXT, "-e", "x", "-l", lost, "-B", 20)
    assert "c:2.04" in ran, ran.said
    site.wait_for_message()


@each_build
def test_a_plain_port_takes_what_an_anonymous_peer_puts(open_gateway: RunningGateway, program: str) -> None:
    site = open_site(open_gateway)
    site.add_device("valve")
    address = f"coap://127.0.0.1:{open_gateway.ports['coap']}/event/{site.tenant_id}/valve"
    ran = run(program, "-v", 6, "-B", 5, "-m", "put", *TEXT, "-e", "open", address)
    assert "t:ACK c:2.04" in ran, ran.said
    assert site.wait_for_message().device_id == "valve"
