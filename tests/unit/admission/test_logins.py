"""How a user name is read, and which way to prove oneself has the last word."""

from base64 import b64encode

import pytest
from hypothesis import given
from hypothesis import strategies as st

from adapters.admission.admission import Admitted, Undecided
from adapters.admission.evidence import Evidence, Login
from adapters.admission.logins import read_login
from adapters.edge.peer import Address, Peer
from kernel.errors import Refused
from kernel.ids import AuthId, DeviceId
from registry.credentials import HASHED_PASSWORD
from registry.errors import CredentialUnknown, LoginMalformed, NotAuthenticated
from registry.model import Credential, Device, DeviceStatus, Secret
from registry.passwords import HashRules
from tests.support.certificates import make_ca
from tests.support.domain import ACME, World, an_anchor, build_world
from tests.support.stores import DEED, put

SECRET = Secret(secret_id="1", material=HashRules(bcrypt_cost_max=4).hash("hush"))
LOGIN = Login(user_name="pump@acme", password=b"hush")


def packed(text: str) -> str:
    return b64encode(text.encode()).decode()


@pytest.mark.parametrize(
    ("name", "password", "expected"),
    [
        ("pump@acme", b"x", ("pump", "acme", b"x")),
        ("pump@acme@more", b"x", ("pump", "acme@more", b"x")),
        ("pump@acme", b"", ("pump", "acme", b"")),
        (packed("pump@acme:hush"), b"", ("pump", "acme", b"hush")),
        (packed("pump@acme:a:b"), b"", ("pump", "acme", b"a:b")),
        ("pümp@acme", b"\xff", ("pümp", "acme", b"\xff")),
    ],
)
def test_a_user_name_names_device_and_tenant(name: str, password: bytes, expected: tuple[str, str, bytes]) -> None:
    identity, proof = read_login(Login(user_name=name, password=password))
    assert (identity.auth_id, identity.tenant, proof) == expected


@pytest.mark.parametrize("name", ["", "@", "pump", "pump@", "@acme", packed("pump:hush"), packed("pump@acme")])
def test_a_name_that_lacks_one_of_them_names_nobody(name: str) -> None:
    with pytest.raises(LoginMalformed):
        read_login(Login(user_name=name))


def test_a_packed_name_counts_only_without_a_password() -> None:
    with pytest.raises(LoginMalformed):
        read_login(Login(user_name=packed("pump@acme:hush"), password=b"x"))


def test_a_name_longer_than_any_on_record_is_nobodys() -> None:
    with pytest.raises(CredentialUnknown):
        read_login(Login(user_name="x" * 4097 + "@acme"))


@given(st.text(), st.binary(max_size=20))
def test_whatever_comes_is_read_or_refused(name: str, password: bytes) -> None:
    try:
        identity, _ = read_login(Login(user_name=name, password=password))
    except Refused:
        return
    assert identity.auth_id and identity.tenant and "@" not in identity.auth_id


def test_a_login_keeps_its_password_to_itself() -> None:
    assert "hush" not in repr(LOGIN) and "hush" not in repr(Evidence(adapter="hono-mqtt", peer=PEER, login=LOGIN))


PEER = Peer(address=Address(host="192.0.2.7", port=5555))


@pytest.fixture
def world() -> World:
    world = build_world()
    world.put_tenant("acme", an_anchor(make_ca("CN=CA")))
    device = Device(tenant_id=ACME, device_id=DeviceId("pump"), status=DeviceStatus(created=world.clock.now()))
    credential = Credential(
        tenant_id=ACME,
        device_id=DeviceId("pump"),
        type=HASHED_PASSWORD,
        auth_id=AuthId("pump"),
        secrets=(SECRET,),
        ext={"client-id": "mine"},
    )
    put(world.store, device, [credential])
    return world


def evidence(login: Login | None = LOGIN, client_id: str | None = "mine") -> Evidence:
    return Evidence(adapter="hono-mqtt", peer=PEER, client_id=client_id, login=login)


async def test_who_was_let_in_once_comes_again_without_waiting(world: World) -> None:
    assert isinstance(world.admission.decide(evidence()), Undecided)
    first = await world.admission.admit(evidence())
    second = world.admission.decide(evidence())
    assert isinstance(second, Admitted) and second == first
    assert (second.device_id, second.credential_type, second.anchor_id) == ("pump", HASHED_PASSWORD, None)
    assert second.proof is not None


async def test_hono_registry_188_a_password_may_be_for_one_client_id(world: World) -> None:
    with pytest.raises(CredentialUnknown):
        await world.admission.admit(evidence(client_id="another"))
    assert await world.admission.admit(evidence(client_id=None)) is not None


async def test_who_shows_nothing_proves_nothing(world: World) -> None:
    with pytest.raises(NotAuthenticated):
        await world.admission.admit(evidence(login=None))


async def test_where_nothing_need_be_proven_a_login_is_looked_at_all_the_same() -> None:
    world = build_world(authentication_required=False)
    world.put_tenant("acme")
    assert await world.admission.admit(evidence(login=None)) is None
    with pytest.raises(CredentialUnknown):
        await world.admission.admit(evidence())


async def test_a_device_by_password_whose_event_is_due_is_announced_first(world: World) -> None:
    status = DeviceStatus(created=world.clock.now(), auto_provisioned=True)
    world.clock.advance(60)
    world.store.devices.delete(ACME, DeviceId("pump"), DEED, expected_version=None)
    put(
        world.store,
        Device(tenant_id=ACME, device_id=DeviceId("pump"), status=status),
        [
            Credential(
                tenant_id=ACME,
                device_id=DeviceId("pump"),
                type=HASHED_PASSWORD,
                auth_id=AuthId("pump"),
                secrets=(SECRET,),
            )
        ],
    )
    assert await world.admission.admit(evidence()) is not None
    assert len(world.northbound.messages) == 1
