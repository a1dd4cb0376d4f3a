"""CoAP clients of libcoap with pre-shared keys, over real DTLS: rows of the Hono registry contract by number."""

import subprocess
from base64 import b64encode
from collections.abc import Iterator
from pathlib import Path

import pytest

from registry.credentials import PSK
from registry.model import Secret
from tests.support.gateway import RunningGateway, running_gateway
from tests.support.site import Site, open_site
from tests.support.stores import put
from tests.support.waiting import until_blocking

KEY = "0123456789abcdef"
CLIENTS = [
    pytest.param(name, marks=pytest.mark.needs_tool(name)) for name in ("coap-client-openssl", "coap-client-gnutls")
]
each_client = pytest.mark.parametrize("client", CLIENTS)


@pytest.fixture(scope="module")
def gateway(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningGateway]:
    with running_gateway(tmp_path_factory.mktemp("keys"), edge={"handshake_deadline_s": 4.0}) as started:
        yield started


@pytest.fixture
def site(gateway: RunningGateway) -> Site:
    return open_site(gateway)


def register(site: Site, key: str = KEY, **members: object) -> str:
    """The identity of a device with that key."""
    secret = Secret(secret_id="1", material={"key": b64encode(key.encode()).decode()})
    site.add_device("pump")
    device = site.device("pump")
    put(site.gateway.store, device, [site.credential("pump", auth_id="pump", type=PSK, secrets=(secret,), **members)])
    return f"pump@{site.tenant_id}"


def send(client: str, site: Site, identity: str, key: str = KEY, *, path: str = "/event", method: str = "post") -> str:
    """What the client printed; its handshake is given three seconds."""
    words = [client, "-v", "6", "-B", "3", "-m", method, "-u", identity, "-k", key, "-e", "x", "-t", "text/plain"]
    url = f"coaps://127.0.0.1:{site.gateway.ports['coaps']}{path}"
    done = subprocess.run([*words, url], capture_output=True, text=True, timeout=30)
    return done.stdout + done.stderr


@each_client
def test_a_key_proves_a_device(site: Site, client: str) -> None:
    identity = register(site)
    send(client, site, identity)
    assert site.wait_for_message().device_id == "pump"


@each_client
def test_hono_registry_238_who_holds_another_key_does_not_get_through_the_handshake(site: Site, client: str) -> None:
    identity = register(site)
    send(client, site, identity, "another-key-0000")
    until_blocking(lambda: '"key-unproven"' in site.gateway.log_file.read_text(), within_s=30)
    send(client, site, f"nobody@{site.tenant_id}")
    send(client, site, "no-tenant")
    assert site.messages() == []
    until_blocking(
        lambda: (
            {"credential-unknown", "login-malformed"}
            <= {row.code for row in site.gateway.audit("device.refused") if row.facts.get("adapter") == "hono-coap"}
        )
    )


@each_client
def test_hono_registry_187_a_disabled_credential_has_no_key(site: Site, client: str) -> None:
    identity = register(site, enabled=False)
    send(client, site, identity)
    assert site.messages() == []


@each_client
def test_hono_registry_239_what_is_said_of_a_known_device_is_said_in_coaps_words(site: Site, client: str) -> None:
    identity = register(site)
    site.disallow("hono-coap")
    assert "4.03" in send(client, site, identity)
    assert site.messages() == []


@each_client
def test_a_gateway_by_key_speaks_for_its_devices(site: Site, client: str) -> None:
    identity = register(site)
    site.add_device("valve", via=["pump"])
    send(client, site, identity, path=f"/event/{site.tenant_id}/valve", method="put")
    assert site.wait_for_message().device_id == "valve"


def test_the_log_holds_no_key(site: Site, tmp_path: Path) -> None:
    register(site)
    assert KEY not in site.gateway.log_file.read_text()
