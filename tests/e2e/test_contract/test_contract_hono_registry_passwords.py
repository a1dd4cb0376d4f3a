"""Sections 4.7 and 6.7 of the Hono registry contract: user name and password over MQTT and HTTP, by row number.

Devices here show no certificate unless a test says so.
"""

from base64 import b64encode
from datetime import UTC, datetime, timedelta

import pytest

from registry.model import Secret
from tenant.audit import AuditRow
from tests.support.attempts import (
    ACCEPTED,
    DEVICE_DISABLED,
    FORBIDDEN,
    LOGIN_PROTOCOLS,
    NO_CREDENTIALS,
    attempt,
    basic,
)
from tests.support.certificates import make_ca
from tests.support.gateway import RunningGateway
from tests.support.site import Site, open_site, password_secret
from tests.support.waiting import until_blocking
from tests.support.wire_clients import http_device, mqtt_device

each_protocol = pytest.mark.parametrize("protocol", LOGIN_PROTOCOLS)
HUSH = "hush, pässword: 1"
STRANGER = "127.0.0.2"  # an address other than the devices' own
DAY = timedelta(days=1)


@pytest.fixture
def site(gateway: RunningGateway) -> Site:
    return open_site(gateway)


def refused(site: Site, code: str) -> AuditRow:
    """The newest refusal of that kind in the tenant, once it is written down."""

    def rows() -> list[AuditRow]:
        kept = site.gateway.audit("device.refused")
        return [row for row in kept if row.tenant_id == site.tenant_id and row.code == code]

    until_blocking(rows)
    return rows()[-1]


@each_protocol
async def test_a_user_name_and_password_prove_a_device(site: Site, protocol: str) -> None:
    user = site.register_password("pump", HUSH, defaults={"room": "cellar"})
    for _ in range(3):
        assert await attempt(protocol, site.gateway, None, login=(user, HUSH)) == ACCEPTED[protocol]
    messages = site.wait_for_messages(3)
    assert {message.device_id for message in messages} == {"pump"}
    assert messages[0].properties["room"] == "cellar"


@each_protocol
async def test_the_tenant_may_be_named_by_its_alias(gateway: RunningGateway, protocol: str) -> None:
    site = open_site(gateway, alias=f"login-{protocol.replace('.', '-')}")
    site.register_password("pump", HUSH)
    login = (f"pump@login-{protocol.replace('.', '-')}", HUSH)
    assert await attempt(protocol, gateway, None, login=login) == ACCEPTED[protocol]
    assert site.wait_for_message().device_id == "pump"


@each_protocol
async def test_hono_registry_228_234_a_wrong_password_or_tenant_is_bad_credentials(site: Site, protocol: str) -> None:
    user = site.register_password("pump", HUSH)
    for login in (
        (user, "wrong"),
        (user, ""),
        ("pump@nobody", HUSH),
        (f"{user}@x", HUSH),
        (f"other@{site.tenant_id}", HUSH),
    ):
        assert await attempt(protocol, site.gateway, None, login=login) == NO_CREDENTIALS[protocol]
    assert await attempt(protocol, site.gateway, None, login=(user, HUSH)) == ACCEPTED[protocol]


@each_protocol
@pytest.mark.parametrize("name", ["pump", "", "@", "pump@", "@{tenant}"])
async def test_hono_registry_241_a_user_name_without_tenant_proves_nobody(site: Site, protocol: str, name: str) -> None:
    """4.7: the AMQP row of the contract, for the protocols there are."""
    site.register_password("pump", HUSH)
    login = (name.format(tenant=site.tenant_id), HUSH)
    assert await attempt(protocol, site.gateway, None, login=login) == NO_CREDENTIALS[protocol]


@each_protocol
async def test_hono_registry_229_disabled_credentials_are_refused(site: Site, protocol: str) -> None:
    user = site.register_password("pump", HUSH, credential={"enabled": False})
    assert await attempt(protocol, site.gateway, None, login=(user, HUSH)) == NO_CREDENTIALS[protocol]
    assert refused(site, "credential-disabled").device_id == "pump"


@each_protocol
async def test_hono_registry_230_235_a_disabled_adapter_forbids(site: Site, protocol: str) -> None:
    user = site.register_password("pump", HUSH)
    site.disallow(f"hono-{protocol.partition('-')[0]}")
    assert await attempt(protocol, site.gateway, None, login=(user, HUSH)) == FORBIDDEN[protocol]
    assert await attempt(protocol, site.gateway, None, login=(user, "wrong")) == NO_CREDENTIALS[protocol]


@each_protocol
async def test_hono_registry_231_236_a_disabled_device_is_refused(site: Site, protocol: str) -> None:
    user = site.register_password("pump", HUSH, enabled=False)
    assert await attempt(protocol, site.gateway, None, login=(user, HUSH)) == DEVICE_DISABLED[protocol]
    assert refused(site, "device-disabled").device_id == "pump"


@each_protocol
async def test_hono_registry_232_a_disabled_tenant_forbids(site: Site, protocol: str) -> None:
    user = site.register_password("pump", HUSH)
    assert await attempt(protocol, site.gateway, None, login=(user, HUSH)) == ACCEPTED[protocol]
    site.edit(enabled=False)
    assert await attempt(protocol, site.gateway, None, login=(user, HUSH)) == FORBIDDEN[protocol]
    refused(site, "tenant-disabled")


def test_hono_registry_237_a_gateway_with_a_password_must_be_one_of_the_devices(site: Site) -> None:
    user = site.register_password("gw", HUSH)
    site.add_device("valve", via=["gw"])
    site.add_device("stranger", via=["another"])
    with http_device(site.gateway, None) as client:
        authorization = basic((user, HUSH))
        assert client.put("/event//valve", b"x", Authorization=authorization).status == 202
        assert client.put("/event//stranger", b"x", Authorization=authorization).status == 403
        assert client.put("/event//nowhere", b"x", Authorization=authorization).status == 404


@each_protocol
async def test_an_empty_password_comes_with_both_in_the_user_name(site: Site, protocol: str) -> None:
    user = site.register_password("pump", HUSH)
    packed = b64encode(f"{user}:{HUSH}".encode()).decode()
    assert await attempt(protocol, site.gateway, None, login=(packed, "")) == ACCEPTED[protocol]
    wrong = b64encode(f"{user}:wrong".encode()).decode()
    assert await attempt(protocol, site.gateway, None, login=(wrong, "")) == NO_CREDENTIALS[protocol]


@each_protocol
async def test_any_secret_that_is_valid_now_will_do_and_no_other(site: Site, protocol: str) -> None:
    now = datetime.now(UTC)
    secrets = (
        password_secret("old", "1", not_after=now - DAY),
        password_secret("new", "2", not_before=now + DAY),
        password_secret("off", "3", enabled=False),
        password_secret("this", "4", not_before=now - DAY, not_after=now + DAY),
        password_secret("that", "5"),
    )
    user = site.register_password("pump", HUSH, credential={"secrets": secrets})
    for password, outcomes in (
        ("old", NO_CREDENTIALS),
        ("new", NO_CREDENTIALS),
        ("off", NO_CREDENTIALS),
        ("this", ACCEPTED),
        ("that", ACCEPTED),
    ):
        assert await attempt(protocol, site.gateway, None, login=(user, password)) == outcomes[protocol], password


@each_protocol
@pytest.mark.parametrize(
    "material",
    [
        {"hash-function": "sha-256", "salt": "c2FsdA==", "pwd-hash": "JHPPGMVIxSzHYxoRwVUXvpbIB8zQ3S7w8VP9iF5VTmk="},
        {"hash-function": "unheard-of", "pwd-hash": "aHVzaA=="},
        {"hash-function": "bcrypt", "pwd-hash": "no hash"},
        {},
    ],
    ids=["another", "unknown-function", "broken", "empty"],
)
async def test_a_hash_that_is_not_the_passwords_proves_nobody(
    site: Site, protocol: str, material: dict[str, str]
) -> None:
    secret = Secret(secret_id="only", material=material)
    user = site.register_password("pump", HUSH, credential={"secrets": (secret,)})
    assert await attempt(protocol, site.gateway, None, login=(user, HUSH)) == NO_CREDENTIALS[protocol]


@each_protocol
async def test_a_change_of_the_password_holds_for_the_next_attempt(site: Site, protocol: str) -> None:
    user = site.register_password("pump", "first")
    assert await attempt(protocol, site.gateway, None, login=(user, "first")) == ACCEPTED[protocol]
    site.register_password("pump", "second")
    assert await attempt(protocol, site.gateway, None, login=(user, "first")) == NO_CREDENTIALS[protocol]
    assert await attempt(protocol, site.gateway, None, login=(user, "second")) == ACCEPTED[protocol]
    site.gateway.devices.delete(site.tenant_id, "pump", site.gateway.deed())
    assert await attempt(protocol, site.gateway, None, login=(user, "second")) == NO_CREDENTIALS[protocol]


@each_protocol
async def test_a_certificate_that_is_validated_has_the_last_word(site: Site, protocol: str) -> None:
    user = site.register_password("pump", HUSH)
    stranger, off = site.issue(), site.register("off", enabled=False)
    assert await attempt(protocol, site.gateway, stranger, login=(user, HUSH)) == NO_CREDENTIALS[protocol]
    assert await attempt(protocol, site.gateway, off, login=(user, HUSH)) == DEVICE_DISABLED[protocol]
    valve = site.register("valve")
    assert await attempt(protocol, site.gateway, valve, login=(user, "wrong")) == ACCEPTED[protocol]
    assert site.wait_for_message().device_id == "valve"


@each_protocol
async def test_a_certificate_that_cannot_be_validated_leaves_it_to_the_password(site: Site, protocol: str) -> None:
    user = site.register_password("pump", HUSH)
    foreign = make_ca(f"CN=Foreign {protocol}").issue("CN=dev")
    assert await attempt(protocol, site.gateway, foreign, login=(user, HUSH)) == ACCEPTED[protocol]
    assert await attempt(protocol, site.gateway, foreign, login=(user, "wrong")) == NO_CREDENTIALS[protocol]
    row = site.wait_for_refusal_of(foreign)
    assert (row.code, row.tenant_id, row.device_id) == ("password-wrong", site.tenant_id, "pump")
    assert await attempt(protocol, site.gateway, foreign, login=("no name", HUSH)) == NO_CREDENTIALS[protocol]
    until_blocking(lambda: site.refusals_of(foreign)[-1].code == "untrusted-issuer")  # such a login is none


@each_protocol
async def test_refusals_are_written_down_without_the_password(site: Site, protocol: str) -> None:
    user = site.register_password("pump", HUSH)
    assert await attempt(protocol, site.gateway, None, login=(user, "s3cr3t-guess")) == NO_CREDENTIALS[protocol]
    row = refused(site, "password-wrong")
    assert row.device_id == row.facts["auth_id"] == "pump"
    assert row.facts["adapter"] == f"hono-{protocol.partition('-')[0]}"
    assert "s3cr3t-guess" not in repr(row) and "s3cr3t-guess" not in site.gateway.log_file.read_text()
    assert HUSH not in site.gateway.log_file.read_text()


@each_protocol
async def test_nobody_is_made_by_a_password(gateway: RunningGateway, protocol: str) -> None:
    site = open_site(gateway, may_auto_provision=True)
    assert await attempt(protocol, gateway, None, login=(f"new@{site.tenant_id}", HUSH)) == NO_CREDENTIALS[protocol]
    refused(site, "credential-unknown")
    assert site.device_ids() == []


@pytest.mark.parametrize(("version", "later"), [(4, 3), (5, 0x9F)], ids=["3.1.1", "5"])
def test_guessing_is_not_looked_at_for_long_and_who_is_known_comes_in(site: Site, version: int, later: int) -> None:
    user = site.register_password("pump", HUSH)
    with mqtt_device(site.gateway, None, version=version) as client:
        assert client.connect_code(user_name=user, password=HUSH) == 0
    codes = set()
    for number in range(30):
        with mqtt_device(site.gateway, None, version=version, source=STRANGER) as client:
            codes.add(client.connect_code(user_name=user, password=f"guess-{number}"))
    assert later in codes
    refused(site, "password-attempts-exceeded")
    with mqtt_device(site.gateway, None, version=version) as client:
        assert client.connect_code(user_name=user, password=HUSH) == 0


def test_each_request_over_a_kept_connection_is_of_whom_it_says(site: Site) -> None:
    """A proxy speaks for many devices over one connection."""
    logins = {name: basic((site.register_password(name, f"{HUSH} {name}"), f"{HUSH} {name}")) for name in ("a", "b")}
    with http_device(site.gateway, None) as client:
        for name in ("a", "a", "b", "a", "b"):
            assert client.post("/event", b"x", Authorization=logins[name]).status == 202
    assert [message.device_id for message in site.wait_for_messages(5)] == ["a", "a", "b", "a", "b"]


@pytest.mark.parametrize(
    "authorization",
    [
        None,
        "Basic",
        "Basic !",
        "Basic " + b64encode(b"no colon").decode(),
        "Bearer x",
        "Basic " + b64encode(b"\xff@t:p").decode(),
    ],
)
def test_a_request_without_a_login_of_its_own_is_nobodys(site: Site, authorization: str | None) -> None:
    """Not even behind one that had: the connection is no proof."""
    user = site.register_password("pump", HUSH)
    with http_device(site.gateway, None) as client:
        assert client.post("/event", b"x", Authorization=basic((user, HUSH))).status == 202
        headers = {} if authorization is None else {"Authorization": authorization}
        answer = client.post("/event", b"x", **headers)
        assert (answer.status, answer.headers["www-authenticate"]) == (401, 'Basic realm="Hono"')
    assert len(site.wait_for_messages(1)) == 1
