"""What a change on record does to live connections."""

from dataclasses import replace

import pytest

from adapters.sessions.session import Session, session_of
from kernel.errors import TuhonoError
from kernel.ids import AnchorId, DeviceId, TenantId
from tenant.model import AdapterSettings
from tenant.ports import Change, ChangeKind
from tests.support.certificates import make_ca
from tests.support.domain import ACME, World, an_anchor, build_world


@pytest.fixture
def world() -> World:
    world = build_world()
    world.put_tenant("acme", an_anchor(make_ca("CN=CA")))
    return world


class Ended:
    """Sessions and why each was ended."""

    def __init__(self, world: World) -> None:
        self._world = world
        self.reasons: dict[str, str] = {}

    def open(self, name: str, tenant: TenantId = ACME, adapter: str = "hono-mqtt", anchor: str = "ca-1") -> Session:
        def end(reason: TuhonoError) -> None:
            self.reasons[name] = reason.code

        session = Session(
            adapter=adapter, tenant_id=tenant, device_id=DeviceId(name), anchor_id=AnchorId(anchor), end=end
        )
        self._world.table.add(session)
        return session


def test_a_disabled_device_loses_its_connections_and_no_other_does(world: World) -> None:
    ended = Ended(world)
    ended.open("one")
    ended.open("two")
    change = Change(kind=ChangeKind.DEVICE, tenant_id=ACME, device_id=DeviceId("one"), enabled=False)
    world.table._follow(change)
    assert ended.reasons == {"one": "device-disabled"} and len(world.table) == 1


def test_a_device_that_was_merely_changed_keeps_its_connections(world: World) -> None:
    ended = Ended(world)
    ended.open("one")
    world.table._follow(Change(kind=ChangeKind.DEVICE, tenant_id=ACME, device_id=DeviceId("one"), enabled=True))
    world.table._follow(Change(kind=ChangeKind.CREDENTIAL, tenant_id=ACME, device_id=DeviceId("one")))
    assert ended.reasons == {}


@pytest.mark.parametrize(
    ("kind", "code"),
    [
        (ChangeKind.TENANT_DELETED, "tenant-unknown"),
        (ChangeKind.DEVICES_DELETED, "device-unknown"),
        (ChangeKind.DEVICE_DELETED, "device-unknown"),
    ],
)
def test_what_is_deleted_loses_its_connections(world: World, kind: ChangeKind, code: str) -> None:
    ended = Ended(world)
    ended.open("one")
    ended.open("elsewhere", tenant=TenantId("other"))
    world.table._follow(Change(kind=kind, tenant_id=ACME, device_id=DeviceId("one")))
    assert ended.reasons == {"one": code}


def test_a_removed_ca_loses_the_connections_it_vouched_for(world: World) -> None:
    ended = Ended(world)
    ended.open("one")
    ended.open("two", anchor="ca-2")
    world.put_tenant("acme")
    assert ended.reasons == {"one": "trust-withdrawn"}


def test_a_disabled_tenant_loses_all_and_a_barred_adapter_its_own(world: World) -> None:
    ended = Ended(world)
    ended.open("one")
    ended.open("two", adapter="hono-http")
    world.put_tenant("acme", an_anchor(make_ca("CN=CA2")), adapters=(AdapterSettings(type="hono-http", enabled=True),))
    assert ended.reasons["one"] in {"adapter-disabled", "trust-withdrawn"}
    world.put_tenant("acme", enabled=False)
    assert set(ended.reasons) == {"one", "two"}


def test_missed_changes_end_every_session(world: World) -> None:
    ended = Ended(world)
    ended.open("one")
    world.table._follow(Change(kind=ChangeKind.RESET))
    assert ended.reasons == {"one": "changes-missed"} and len(world.table) == 0


def test_a_session_that_cannot_be_ended_keeps_no_other_from_ending(
    world: World, caplog: pytest.LogCaptureFixture
) -> None:
    def fail(_: TuhonoError) -> None:
        raise ValueError("defect")

    ended = Ended(world)
    ended.open("bad").end = fail
    ended.open("one")
    ended.open("two")
    world.table._follow(Change(kind=ChangeKind.TENANT_DELETED, tenant_id=ACME))
    assert ended.reasons == {"one": "tenant-unknown", "two": "tenant-unknown"} and len(world.table) == 0
    assert "session.end-failed" in caplog.text


def test_removing_twice_and_removing_strangers_is_harmless(world: World) -> None:
    session = Ended(world).open("one")
    world.table.remove(session)
    world.table.remove(session)
    world.table.remove(replace(session, device_id=DeviceId("never-added")))
    assert len(world.table) == 0 and world.table.of_device(ACME, DeviceId("one")) == ()


def test_an_anonymous_session_is_in_no_table(world: World) -> None:
    session = session_of(None, adapter="hono-coap", remote="192.0.2.1:5")
    world.table.add(session)
    world.table.remove(session)
    session.end(TuhonoError("nothing happens"))
    assert session.is_anonymous and len(world.table) == 0
