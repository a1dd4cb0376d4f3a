"""Who does not get through a DTLS handshake, and who is told afterwards (hono-registry 4.7, 4.8; hono-adapters 9.5)."""

from dataclasses import replace
from typing import Any

import pytest

from adapters.admission.handshakes import HandshakeJudge
from adapters.admission.witness import HandshakeRecord
from adapters.edge.peer import Address
from kernel.errors import Refused
from kernel.ids import DeviceId
from registry.errors import StorageUnavailable
from storage.memory import MemoryConnectPath
from tenant.model import AdapterSettings, RegistrationLimits
from tests.support.certificates import Issued, make_ca
from tests.support.domain import ACME, World, an_anchor, build_world
from tests.support.stores import credentials_of, deed_at, put

COAP = "hono-coap"
ADDRESS = Address(host="192.0.2.7", port=5555)


@pytest.fixture
def ca() -> Issued:
    return make_ca("CN=CA,O=Acme")


def a_world(ca: Issued, *, may_auto_provision: bool = True, **choices: Any) -> World:
    world = build_world()
    world.put_tenant("acme", an_anchor(ca, may_auto_provision=may_auto_provision, **choices))
    return world


def refusal_in_handshake(world: World, device: Issued) -> Refused | None:
    """And whatever it is, nothing was written."""
    judge = HandshakeJudge(adapter=COAP, judge=world.judge, examination=world.examination)
    before = devices(world), world.store.audit.last_position(), len(world.northbound.messages)
    verdict = judge(list(device.chain_der), None, ADDRESS)
    assert (verdict.anchor is None) is (verdict.refusal is not None)
    assert (devices(world), world.store.audit.last_position(), len(world.northbound.messages)) == before
    return verdict.refusal


def code_in_handshake(world: World, device: Issued) -> str | None:
    refusal = refusal_in_handshake(world, device)
    return None if refusal is None else refusal.code


def devices(world: World) -> list[str]:
    return [device.device_id for device in world.store.devices.find_all(ACME, after=None, limit=1000)]


async def a_known_device(world: World, ca: Issued) -> Issued:
    device = ca.issue("CN=dev-1")
    await world.admission.admit(world.evidence(device, adapter=COAP))
    return device


def disable_credential(world: World) -> None:
    [device_id] = devices(world)
    device = world.store.devices.find(ACME, device_id)  # type: ignore[arg-type]
    assert device is not None
    [credential] = credentials_of(world.store, ACME, device.device_id)
    put(world.store, device, [replace(credential, enabled=False)])


def test_who_would_be_registered_gets_through_and_is_not_registered_yet(ca: Issued) -> None:
    assert code_in_handshake(a_world(ca), ca.issue("CN=dev-1")) is None


async def test_who_is_on_record_gets_through(ca: Issued) -> None:
    world = a_world(ca)
    assert code_in_handshake(world, await a_known_device(world, ca)) is None


def test_hono_registry_4_7_a_chain_that_is_not_trusted_ends_the_handshake(ca: Issued) -> None:
    assert code_in_handshake(a_world(ca), make_ca("CN=Nobody").issue("CN=dev-1")) == "untrusted-issuer"


def test_hono_registry_4_7_no_credentials_end_the_handshake(ca: Issued) -> None:
    assert code_in_handshake(a_world(ca, may_auto_provision=False), ca.issue("CN=dev-1")) == "credential-unknown"


async def test_hono_registry_4_7_disabled_credentials_end_the_handshake(ca: Issued) -> None:
    world = a_world(ca)
    device = await a_known_device(world, ca)
    disable_credential(world)
    assert code_in_handshake(world, device) == "credential-disabled"


@pytest.mark.parametrize(
    ("choices", "subject", "code"),
    [
        ({"auth_id_template": "{{subject-ou}}"}, "CN=dev-1", "auth-id-unfilled"),  # 4.6
        ({}, "", "auth-id-invalid"),
        ({"device_id_template": "{{subject-ou}}"}, "CN=dev-1", "template-unfilled"),  # 4.7: 400 from provisioning
        ({"device_id_template": "{{subject-cn}}"}, "CN=a b", "device-id-invalid"),
    ],
)
def test_hono_registry_4_7_ids_that_cannot_be_made_end_the_handshake(
    ca: Issued, choices: dict[str, Any], subject: str, code: str
) -> None:
    device = ca.issue(subject, san=["dns:dev-1.example.com"])
    assert code_in_handshake(a_world(ca, **choices), device) == code


async def test_hono_adapters_187_a_disabled_adapter_is_told_after_the_handshake(ca: Issued) -> None:
    world = a_world(ca)
    anchor = an_anchor(ca, may_auto_provision=True)
    world.put_tenant("acme", anchor, adapters=(AdapterSettings(type=COAP, enabled=False),))
    assert code_in_handshake(world, ca.issue("CN=dev-1")) is None


async def test_hono_registry_4_7_a_disabled_tenant_is_told_after_the_handshake(ca: Issued) -> None:
    world = a_world(ca, may_auto_provision=False)
    world.put_tenant("acme", an_anchor(ca), enabled=False)
    assert code_in_handshake(world, ca.issue("CN=dev-1")) is None


async def test_hono_adapters_188_a_disabled_device_is_told_after_the_handshake(ca: Issued) -> None:
    world = a_world(ca)
    device = await a_known_device(world, ca)
    [device_id] = devices(world)
    world.store.devices.set_enabled(ACME, [DeviceId(device_id)], deed_at(world.clock.now()), enabled=False)
    assert code_in_handshake(world, device) is None


async def test_hono_registry_221_a_full_tenant_is_told_after_the_handshake(ca: Issued) -> None:
    world = a_world(ca)
    limits = RegistrationLimits(max_devices=0)
    world.put_tenant("acme", an_anchor(ca, may_auto_provision=True), registration_limits=limits)
    assert code_in_handshake(world, ca.issue("CN=dev-1")) is None


def test_hono_registry_4_7_a_registry_that_cannot_answer_at_once_is_told_after_the_handshake(
    ca: Issued, monkeypatch: pytest.MonkeyPatch
) -> None:
    def must_wait(*_: object) -> None:
        raise StorageUnavailable("only over the network")

    monkeypatch.setattr(MemoryConnectPath, "find_by_credential_now", must_wait)
    world = a_world(ca, may_auto_provision=False)
    assert code_in_handshake(world, ca.issue("CN=dev-1")) is None


async def test_a_refusal_in_the_handshake_is_recorded_as_one_after_it(ca: Issued) -> None:
    world = a_world(ca)
    device = await a_known_device(world, ca)
    disable_credential(world)
    verdict = HandshakeJudge(adapter=COAP, judge=world.judge, examination=world.examination)(
        list(device.chain_der), None, ADDRESS
    )
    HandshakeRecord(adapter=COAP, refusals=world.refusals).refused(ADDRESS, list(device.chain_der), None, verdict)
    with pytest.raises(Refused):
        await world.admission.admit(world.evidence(device, adapter=COAP))
    inside, after = world.store.audit.read(after=0, limit=10, what="device.refused")
    assert inside.device_id is not None
    assert replace(inside, position=0) == replace(after, position=0)
