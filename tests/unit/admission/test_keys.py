"""Pre-shared keys: whose an identity is, and what of it still holds once the handshake has proven it."""

from base64 import b64encode
from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest

from adapters.admission.evidence import Evidence
from adapters.admission.keys import KeyExamination, KeyFinder
from adapters.edge.peer import Address, Peer, PeerKey
from kernel.errors import Refused
from kernel.ids import AuthId, DeviceId, TenantId
from registry.credentials import PSK
from registry.directory import DeviceDirectory
from registry.errors import (
    CredentialDisabled,
    CredentialUnknown,
    DeviceDisabled,
    LoginMalformed,
    LoginTenantUnknown,
    SecretWithdrawn,
)
from registry.model import Credential, Device, DeviceStatus, Secret
from registry.standing import proof_of
from tenant.errors import AdapterDisabled, TenantDisabled
from tenant.model import AdapterSettings
from tests.support.domain import ACME, World, build_world
from tests.support.stores import DEED, put

ADDRESS = Address(host="192.0.2.7", port=5684)


def secret(key: bytes, **members: Any) -> Secret:
    return Secret(secret_id="1", material={"key": b64encode(key).decode()}, **members)


FIRST, SECOND = secret(b"first"), secret(b"second")


@pytest.fixture
def world() -> World:
    world = build_world()
    world.put_tenant("acme", alias="factory")
    return world


@pytest.fixture
def keys(world: World) -> KeyExamination:
    devices = DeviceDirectory(store=world.store.connect_path, feed=world.store.feed)
    return KeyExamination(tenants=world.tenants, devices=devices, clock=world.clock)


def register(world: World, *secrets: Secret, credential: dict[str, Any] | None = None, **members: Any) -> None:
    device = Device(
        tenant_id=ACME, device_id=DeviceId("pump"), status=DeviceStatus(created=world.clock.now()), **members
    )
    given: dict[str, Any] = {"secrets": secrets or (FIRST,), **(credential or {})}
    own = Credential(tenant_id=ACME, device_id=DeviceId("pump"), type=PSK, auth_id=AuthId("pump"), **given)
    put(world.store, device, [own])


def proven(*, tenant: str = ACME, of: Secret = FIRST) -> tuple[PeerKey, Evidence]:
    key = PeerKey(tenant_id=TenantId(tenant), auth_id=AuthId("pump"), proof=proof_of(of))
    return key, Evidence(adapter="hono-coap", peer=Peer(address=ADDRESS, key=key))


@pytest.mark.parametrize("identity", ["pump@acme", "pump@factory"])
def test_an_identity_leads_to_its_key(world: World, keys: KeyExamination, identity: str) -> None:
    register(world)
    found = keys.find(identity)
    assert (found.key, found.whose.tenant_id, found.whose.auth_id) == (b"first", ACME, "pump")
    assert "first" not in repr(found)


def test_the_first_key_that_is_valid_counts(world: World, keys: KeyExamination) -> None:
    past = world.clock.now() - timedelta(seconds=1)
    register(world, replace(FIRST, not_after=past), replace(FIRST, enabled=False), SECOND)
    assert keys.find("pump@acme").key == b"second"
    register(world, replace(FIRST, not_after=past))
    with pytest.raises(CredentialUnknown):
        keys.find("pump@acme")


@pytest.mark.parametrize(
    ("identity", "refusal"),
    [
        ("pump", LoginMalformed),
        ("", LoginMalformed),
        ("pump@nowhere", LoginTenantUnknown),
        ("nobody@acme", CredentialUnknown),
        ("\ufffd@acme", CredentialUnknown),
    ],
)
def test_who_names_nobody_has_no_key(world: World, keys: KeyExamination, identity: str, refusal: type[Refused]) -> None:
    register(world)
    with pytest.raises(refusal):
        keys.find(identity)


def test_a_disabled_credential_has_no_key(world: World, keys: KeyExamination) -> None:
    register(world, credential={"enabled": False})
    with pytest.raises(CredentialDisabled):
        keys.find("pump@acme")


def test_the_edge_hears_of_nobody_and_the_operator_why(world: World, keys: KeyExamination) -> None:
    finder = KeyFinder(adapter="hono-coap", examination=keys, refusals=world.refusals)
    assert finder("nobody@acme", ADDRESS) is None
    [row] = world.store.audit.read(limit=10, what="device.refused")
    assert (row.code, row.facts["identity"], row.facts["adapter"]) == ("credential-unknown", "nobody@acme", "hono-coap")
    register(world)
    found = finder("pump@acme", ADDRESS)
    assert found is not None and found.key == b"first"


async def test_a_key_that_was_proven_lets_its_device_in(world: World) -> None:
    register(world, defaults={"room": "cellar"})
    admitted = await world.admission.admit(proven()[1])
    assert admitted is not None
    assert (admitted.device_id, admitted.credential_type, admitted.proof) == ("pump", PSK, proof_of(FIRST))
    assert admitted.defaults == {"room": "cellar"}


async def test_what_changed_after_the_handshake_holds(world: World) -> None:
    async def refusal() -> type[Refused]:
        with pytest.raises(Refused) as refused:
            await world.admission.admit(proven()[1])
        return refused.type

    register(world, SECOND)
    assert await refusal() is SecretWithdrawn
    register(world, enabled=False)
    assert await refusal() is DeviceDisabled
    register(world)
    world.put_tenant("acme", adapters=(AdapterSettings(type="hono-http", enabled=True),))
    assert await refusal() is AdapterDisabled
    world.put_tenant("acme", enabled=False)
    assert await refusal() is TenantDisabled
    world.store.tenants.delete(ACME, DEED, expected_version=None)
    assert await refusal() is LoginTenantUnknown
