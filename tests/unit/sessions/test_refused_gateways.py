"""What a gateway that is switched off is told of the devices it names (hono-registry 3.3, rows 3 and 4)."""

import pytest

from kernel.errors import TuhonoError
from registry.errors import CredentialUnknown, DeviceDisabled, DeviceUnknown, GatewayNotAuthorized, StorageUnavailable
from storage.memory import MemoryConnectPath
from tests.support.domain import ACME, World, build_world
from tests.support.stores import device, put

SWITCHED_OFF = DeviceDisabled("gateway 'gw' is disabled", tenant_id=ACME, device_id=device("gw").device_id)


@pytest.fixture
def world() -> World:
    world = build_world()
    world.put_tenant("acme")
    put(world.store, device("valve", via=("gw",)))
    put(world.store, device("off", via=("gw",), enabled=False))
    return world


@pytest.mark.parametrize(
    ("addressed", "refusal"),
    [
        ("nowhere", DeviceUnknown),
        ("off", DeviceDisabled),
        ("valve", GatewayNotAuthorized),
        ("gw", DeviceDisabled),  # it speaks of itself
        ("", DeviceDisabled),
        (None, DeviceDisabled),
    ],
)
def test_the_devices_own_trouble_comes_first(world: World, addressed: str | None, refusal: type[TuhonoError]) -> None:
    assert type(world.uplink.refusal_of(SWITCHED_OFF, addressed)) is refusal


def test_any_other_refusal_stays_what_it_is(world: World) -> None:
    refusal = CredentialUnknown("x")
    assert world.uplink.refusal_of(refusal, "nowhere") is refusal


def test_where_the_registry_does_not_answer_at_once_the_gateways_trouble_is_told(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    def must_wait(*_: object) -> None:
        raise StorageUnavailable("only over the network")

    monkeypatch.setattr(MemoryConnectPath, "find_device_now", must_wait)
    assert type(world.uplink.refusal_of(SWITCHED_OFF, "nowhere")) is GatewayNotAuthorized
