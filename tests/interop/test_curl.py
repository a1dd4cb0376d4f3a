"""curl against a running gateway: HTTP/1.1 and 1.0, every way it has to send a body."""

import json
from datetime import UTC, datetime
from pathlib import Path

import pytest

from tests.support.certificates import Issued, make_ca
from tests.support.gateway import RunningGateway
from tests.support.programs import Ran, run
from tests.support.site import Site, open_sites_of_one_ca

pytestmark = pytest.mark.needs_tool("curl")

TEXT = ("-H", "Content-Type: text/plain")


def curl(site: Site, device: Issued | None, path: str, *options: object) -> Ran:
    files = None if device is None else site.gateway.files(device)
    return run("curl", *site.gateway.curl(files, path), *options)


@pytest.fixture
def body(tmp_path: Path) -> Path:
    path = tmp_path / "body"
    path.write_bytes(bytes(range(256)) * 6)
    return path


@pytest.mark.parametrize("tls", [("--tls-max", "1.2"), ("--tlsv1.3",)], ids=["1.2", "1.3"])
@pytest.mark.parametrize("key", ["rsa2048", "ec256", "ec384", "ed25519"])
def test_an_unknown_device_is_registered_and_recognised(site: Site, key: str, tls: tuple[str, ...]) -> None:
    device = site.issue(key=key)
    for number in range(2):
        ran = curl(site, device, "/telemetry", *tls, *TEXT, "-d", f"hello {number}")
        assert ran.status == 0 and ran.said.startswith("HTTP/1.1 202 "), ran.said
    messages = site.wait_for_messages(2)
    assert [message.payload for message in messages] == [b"hello 0", b"hello 1"]
    assert [message.device_id for message in messages] == site.device_ids() * 2
    assert len(site.notifications()) == 1


@pytest.mark.parametrize("method", ["POST", "PUT"])
@pytest.mark.parametrize("kind", ["telemetry", "event"])
def test_post_and_put_mean_the_same_without_a_device_in_the_path(site: Site, method: str, kind: str) -> None:
    assert "HTTP/1.1 202 " in curl(site, site.issue(), f"/{kind}", "-X", method, *TEXT, "-d", "hello")
    message = site.wait_for_message()
    assert (message.kind.value, message.device_id) == (kind, site.only_device().device_id)


@pytest.mark.parametrize("method", ["POST", "PUT"])
@pytest.mark.parametrize("named", [True, False], ids=["tenant", "no-tenant"])
def test_a_gateway_names_its_device_in_the_path(site: Site, method: str, named: bool) -> None:
    gateway = site.register("gw")
    site.add_device("valve", via=["gw"])
    path = f"/event/{site.tenant_id if named else ''}/valve"
    assert "HTTP/1.1 202 " in curl(site, gateway, path, "-X", method, "-d", "open")
    assert site.wait_for_message().device_id == "valve"


def test_http_1_0_is_answered_and_closed(site: Site) -> None:
    ran = curl(site, site.issue(), "/telemetry", "--http1.0", "-v", *TEXT, "-d", "hello")
    assert " 202 Accepted" in ran and "Closing connection" in ran
    site.wait_for_message()


def test_a_body_is_asked_for_where_the_client_waits_for_that(site: Site, body: Path) -> None:
    ran = curl(site, site.issue(), "/event", "-v", "-H", "Expect: 100-continue", "--data-binary", f"@{body}")
    assert "HTTP/1.1 100 Continue" in ran and "HTTP/1.1 202 Accepted" in ran
    assert site.wait_for_message().payload == body.read_bytes()


def test_a_body_that_is_too_large_is_not_asked_for(site: Site, tmp_path: Path) -> None:
    large = tmp_path / "large"
    large.write_bytes(bytes(2_000_000))
    ran = curl(site, site.issue(), "/event", "-H", "Expect: 100-continue", "--data-binary", f"@{large}")
    assert "100 Continue" not in ran and "HTTP/1.1 413 " in ran


@pytest.mark.parametrize("way", [("--data-binary", "@{}"), ("-T", "{}")], ids=["post", "upload"])
def test_a_chunked_body_arrives_whole(site: Site, body: Path, way: tuple[str, str]) -> None:
    option, name = way
    words = [option, name.format(body), "-H", "Transfer-Encoding: chunked"]
    assert "HTTP/1.1 202 " in curl(site, site.issue(), "/event", *words)
    assert site.wait_for_message().payload == body.read_bytes()


@pytest.mark.parametrize("chunked", [True, False])
def test_a_body_of_4096_bytes_is_too_large_and_the_answer_is_read(site: Site, tmp_path: Path, chunked: bool) -> None:
    large = tmp_path / "large"
    large.write_bytes(bytes(4096))
    words = ["-H", "Transfer-Encoding: chunked"] if chunked else []
    ran = curl(site, site.issue(), "/telemetry", *words, "--data-binary", f"@{large}")
    assert ran.status == 0 and ran.said.startswith("HTTP/1.1 413 "), ran.said
    assert json.loads(ran.out.rpartition(b"\r\n\r\n")[2]) == {"error": "request body too large"}
    assert site.messages() == []


def test_a_body_far_too_large_is_answered_while_it_is_sent(site: Site, tmp_path: Path) -> None:
    large = tmp_path / "large"
    large.write_bytes(bytes(600_000))
    ran = curl(site, site.issue(), "/telemetry", "-H", "Expect:", "--data-binary", f"@{large}")
    assert "HTTP/1.1 413 " in ran, ran.said


def test_two_uploads_share_a_connection(site: Site) -> None:
    device = site.gateway.files(site.issue())
    base = f"https://127.0.0.1:{site.gateway.ports['https']}"
    words = [*site.gateway.curl(device, "/telemetry"), "-v", "-d", "x", f"{base}/event"]
    ran = run("curl", *words)
    assert ran.said.count("HTTP/1.1 202 Accepted\n") >= 2 or ran.said.count("< HTTP/1.1 202") == 2
    assert "Re-using existing connection" in ran
    assert [message.kind.value for message in site.wait_for_messages(2)] == ["telemetry", "event"]


def test_parallel_uploads_all_arrive(site: Site) -> None:
    device = site.gateway.files(site.issue())
    base = f"https://127.0.0.1:{site.gateway.ports['https']}"
    urls = [f"{base}/event?n={number}" for number in range(30)]
    ran = run("curl", *site.gateway.curl(device, "/event"), *urls, "-Z", "-d", "x")
    assert ran.status == 0, ran.said
    assert ran.said.count("HTTP/1.1 202 ") == 31
    site.wait_for_messages(31)
    assert len(site.device_ids()) == 1


@pytest.mark.parametrize("shows", ["a certificate of nobody", "nothing"])
def test_who_proves_nothing_is_told_how_to(site: Site, shows: str) -> None:
    stranger = make_ca("CN=Nobody's CA").issue("CN=x") if shows != "nothing" else None
    ran = curl(site, stranger, "/telemetry", "-d", "x")
    assert ran.said.startswith("HTTP/1.1 401 ") and 'WWW-Authenticate: Basic realm="Hono"' in ran
    if stranger is not None:
        assert site.wait_for_refusal_of(stranger).code == "untrusted-issuer"


def test_an_expired_certificate_ends_the_handshake_and_curl_says_so(site: Site) -> None:
    ran = curl(site, site.issue(not_after=datetime(2021, 1, 1, tzinfo=UTC)), "/telemetry", "-d", "x")
    assert ran.status != 0 and "certificate expired" in ran, ran.said


def test_tls_1_1_is_refused(site: Site) -> None:
    ran = curl(site, site.issue(), "/telemetry", "--tls-max", "1.1", "--ciphers", "DEFAULT@SECLEVEL=0", "-d", "x")
    assert ran.status == 35 and "protocol version" in ran, ran.said


def test_a_chain_in_the_certificate_file_is_shown(site: Site) -> None:
    device = site.ca.issue_ca("CN=Plant,O=Site").issue("CN=below,O=Site")
    assert "HTTP/1.1 202 " in curl(site, device, "/telemetry", "-d", "x")


def test_http_2_is_not_spoken_and_the_connection_ends(site: Site) -> None:
    ran = curl(site, site.issue(), "/telemetry", "--http2-prior-knowledge", "-d", "x")
    assert ran.status != 0
    assert site.messages() == []


def test_http_2_is_not_agreed_on(site: Site) -> None:
    assert "HTTP/1.1 202 " in curl(site, site.issue(), "/telemetry", "--http2", "-d", "x")


def test_the_host_it_connects_to_decides_between_tenants_of_one_ca(gateway: RunningGateway) -> None:
    first, second = open_sites_of_one_ca(gateway, aliases=[None, "curl-alias"], may_auto_provision=True)
    device = gateway.files(first.issue())
    port = gateway.ports["https"]
    for name, status in ((first.tenant_id, 202), ("curl-alias", 202), ("nobody", 401)):
        host = f"{name}.example.com"
        for way in (("--resolve", f"{host}:{port}:127.0.0.1"), ("--connect-to", f"{host}:{port}:127.0.0.1:{port}")):
            ran = run("curl", *gateway.curl(device, "/event", host), "-k", *way, "-d", name)
            assert ran.said.startswith(f"HTTP/1.1 {status} "), ran.said
    assert {message.payload for message in first.wait_for_messages(2)} == {first.tenant_id.encode()}
    assert {message.payload for message in second.wait_for_messages(2)} == {b"curl-alias"}
