"""From an upload to the engine: addressed, authorised, completed, in order."""

import asyncio
from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import pytest

from adapters.sessions import uplink as uplink_module
from adapters.sessions.session import Session
from adapters.sessions.uplink import UploadHead
from kernel.errors import TuhonoError
from kernel.ids import DeviceId
from messaging.message import EMPTY_NOTIFICATION, MessageKind
from registry import assertion as assertion_module
from registry.errors import StorageUnavailable
from registry.model import Device, DeviceStatus
from tenant.model import AdapterSettings, ResourceLimits
from tests.support.domain import ACME, World, build_world
from tests.support.stores import deed_at, put
from tests.support.waiting import until

OWN = UploadHead(
    kind=MessageKind.TELEMETRY,
    tenant=None,
    device=None,
    qos=1,
    content_type=None,
    orig_address="t",
)


@pytest.fixture
def world() -> World:
    world = build_world()
    world.put_tenant("acme")
    return world


def a_session(device_id: str = "dev-1", defaults: Mapping[str, Any] | None = None) -> Session:
    return Session(adapter="hono-mqtt", tenant_id=ACME, device_id=DeviceId(device_id), defaults=defaults or {})


def put_device(world: World, device_id: str, **members: Any) -> Device:
    status = DeviceStatus(created=world.clock.now())
    device = Device(tenant_id=ACME, device_id=DeviceId(device_id), status=status, **members)
    put(world.store, device)
    return device


async def outcome(world: World, session: Session, head: UploadHead, *payloads: bytes | None) -> TuhonoError | None:
    """Of these payloads submitted together, or of one."""
    submitted: list[bytes | None] = list(payloads) or [b"22.5"]
    done: asyncio.Future[TuhonoError | None] = asyncio.get_running_loop().create_future()
    world.uplink.submit(session, head, submitted, done.set_result)
    async with asyncio.timeout(5):
        return await done


async def refused_as(world: World, session: Session, head: UploadHead, *payloads: bytes | None) -> str | None:
    fault = await outcome(world, session, head, *payloads)
    return None if fault is None else fault.code


async def test_a_device_s_own_upload_is_handed_over_before_submit_returns(world: World) -> None:
    world.northbound.hold()
    world.uplink.submit(a_session(), OWN, [b"22.5"], lambda _: None)
    assert world.northbound.pending == 1


async def test_a_kept_message_says_where_it_came_from(world: World) -> None:
    assert await outcome(world, a_session(), OWN) is None
    [message] = world.northbound.messages
    assert (message.tenant_id, message.device_id, message.qos, message.payload) == (ACME, "dev-1", 1, b"22.5")
    assert message.content_type == "application/octet-stream"
    assert message.properties == {"orig_adapter": "hono-mqtt", "orig_address": "t"}


@pytest.mark.parametrize("qos", [0, 1])
async def test_nothing_is_done_before_the_engine_holds_it_whatever_its_qos(world: World, qos: int) -> None:
    world.northbound.hold()
    done: list[TuhonoError | None] = []
    world.uplink.submit(a_session(), replace(OWN, qos=qos), [b"22.5"], done.append)
    await asyncio.sleep(0)
    assert done == []
    world.northbound.release()
    await until(lambda: done)
    assert done == [None]


async def test_an_engine_that_keeps_nothing_is_told_to_the_device(world: World) -> None:
    world.northbound.fail_next()
    assert await refused_as(world, a_session(), OWN) == "northbound-unavailable"


async def test_another_tenant_s_name_in_the_address_is_refused(world: World) -> None:
    assert await refused_as(world, a_session(), replace(OWN, tenant="other")) == "foreign-tenant"


async def test_the_own_tenant_and_device_may_be_spelled_out(world: World) -> None:
    assert await outcome(world, a_session(), replace(OWN, tenant="acme", device="dev-1")) is None


@pytest.mark.parametrize(
    ("payload", "content_type", "code"),
    [
        (b"", None, "content-type-missing"),
        (None, "", "content-type-missing"),
        (b"x", EMPTY_NOTIFICATION, "content-type-mismatch"),
        (b"", EMPTY_NOTIFICATION, None),
        (None, "application/custom", None),
        (b"x", "text/plain", None),
    ],
)
async def test_payload_and_content_type_fit(
    world: World, payload: bytes | None, content_type: str | None, code: str | None
) -> None:
    head = replace(OWN, content_type=content_type)
    assert await refused_as(world, a_session(), head, payload) == code
    if code is None:
        assert world.northbound.messages[0].payload == payload


async def test_a_mismatch_names_the_content_type(world: World) -> None:
    fault = await outcome(world, a_session(), replace(OWN, content_type=EMPTY_NOTIFICATION))
    assert fault is not None and EMPTY_NOTIFICATION in fault.told


async def test_a_tenant_disabled_after_the_connect_takes_no_more(world: World) -> None:
    world.put_tenant("acme", enabled=False)
    assert await refused_as(world, a_session(), OWN) == "tenant-disabled"


async def test_an_adapter_disabled_after_the_connect_takes_no_more(world: World) -> None:
    world.put_tenant("acme", adapters=(AdapterSettings(type="hono-http", enabled=True),))
    assert await refused_as(world, a_session(), OWN) == "adapter-disabled"


async def test_defaults_of_the_device_override_the_tenant_s_and_the_message_overrides_both(world: World) -> None:
    world.put_tenant("acme", defaults={"x": 5, "y": "a", "content-type": "text/tenant", "ttl": 9})
    session = a_session(defaults={"y": "b"})
    await outcome(world, session, replace(OWN, kind=MessageKind.EVENT, ttl_s=3))
    [message] = world.northbound.messages
    assert message.properties["x"] == 5 and message.properties["y"] == "b"
    assert message.content_type == "text/tenant" and message.ttl_ms == 3_000
    assert "ttl" not in message.properties


async def test_hono_adapters_243_an_event_s_ttl_is_cut_to_the_tenant_s_maximum(world: World) -> None:
    world.put_tenant("acme", resource_limits=ResourceLimits(max_ttl_s=30))
    await outcome(world, a_session(), replace(OWN, kind=MessageKind.EVENT, ttl_s=60))
    assert world.northbound.messages[0].ttl_ms == 30_000


async def test_telemetry_sets_no_ttl_of_its_own(world: World) -> None:
    await outcome(world, a_session(), replace(OWN, ttl_s=60))
    assert world.northbound.messages[0].ttl_ms is None


async def test_the_retain_flag_travels_along(world: World) -> None:
    await outcome(world, a_session(), replace(OWN, retain=True))
    assert world.northbound.messages[0].properties["x-opt-retain"] is True


async def test_a_gateway_sends_for_a_device_behind_it(world: World) -> None:
    put_device(world, "gw")
    put_device(world, "edge", via=(DeviceId("gw"),), defaults={"place": "roof"})
    assert await outcome(world, a_session("gw"), replace(OWN, device="edge")) is None
    [message] = world.northbound.messages
    assert message.device_id == "edge" and message.properties["place"] == "roof"


async def test_a_gateway_s_second_message_takes_no_lookup(world: World) -> None:
    put_device(world, "gw")
    put_device(world, "edge", via=(DeviceId("gw"),))
    session = a_session("gw")
    await outcome(world, session, replace(OWN, device="edge"))
    world.northbound.hold()
    world.uplink.submit(session, replace(OWN, device="edge"), [b"22.5"], lambda _: None)
    assert world.northbound.pending == 1


async def test_a_gateway_group_reaches_devices_of_the_group(world: World) -> None:
    put_device(world, "gw", member_of=("group",))
    put_device(world, "edge", via_groups=("group",))
    assert await outcome(world, a_session("gw"), replace(OWN, device="edge")) is None


@pytest.mark.parametrize(
    ("device", "gateway", "code"),
    [
        (None, {}, "device-unknown"),  # row 192, 198
        ({"enabled": False, "via": (DeviceId("gw"),)}, {}, "device-disabled"),  # row 197
        ({}, {}, "gateway-not-authorized"),  # row 196
        ({"via": (DeviceId("gw"),)}, {"enabled": False}, "gateway-not-authorized"),  # row 195
        ({"via": (DeviceId("gw"),)}, None, "gateway-not-authorized"),  # row 194
        (None, None, "device-unknown"),
    ],
)
async def test_who_may_not_send_for_whom(
    world: World, device: dict[str, Any] | None, gateway: dict[str, Any] | None, code: str
) -> None:
    if device is not None:
        put_device(world, "edge", **device)
    if gateway is not None:
        put_device(world, "gw", **gateway)
    assert await refused_as(world, a_session("gw"), replace(OWN, device="edge")) == code


async def test_only_what_a_change_touches_is_asked_anew(world: World) -> None:
    put_device(world, "gw")
    for name in ("one", "two"):
        put_device(world, name, via=(DeviceId("gw"),))
        assert await outcome(world, a_session("gw"), replace(OWN, device=name)) is None
    world.store.devices.set_enabled(ACME, [DeviceId("one")], deed_at(world.clock.now()), enabled=True)

    def remembers(name: str) -> bool:
        return world.assertion.remembered(ACME, DeviceId(name), gateway_id=DeviceId("gw")) is not None

    assert (remembers("one"), remembers("two")) == (False, True)
    world.store.devices.set_enabled(ACME, [DeviceId("gw")], deed_at(world.clock.now()), enabled=True)
    assert not remembers("two")


async def test_positive_answers_are_bounded(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(assertion_module, "REMEMBERED_MAX", 2)
    put_device(world, "gw")
    for name in ("one", "two", "three"):
        put_device(world, name, via=(DeviceId("gw"),))
        assert await outcome(world, a_session("gw"), replace(OWN, device=name)) is None
    assert len(world.assertion._remembered) == 2 and (ACME, DeviceId("one")) not in world.assertion._concerning


async def test_a_defect_in_a_lookup_is_told_and_the_next_upload_goes_on(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def fail(*_: object) -> None:
        raise ValueError("defect")

    put_device(world, "gw")
    session = a_session("gw")
    with monkeypatch.context() as broken:
        broken.setattr(world.store.connect_path, "find_device", fail)
        fault = await outcome(world, session, replace(OWN, device="edge"))
    assert fault is not None and fault.code == "internal" and "defect" not in fault.told
    assert await outcome(world, session, OWN) is None


async def test_closing_refuses_what_still_waits(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    async def never(*_: object) -> None:
        await asyncio.Event().wait()

    monkeypatch.setattr(world.store.connect_path, "find_device", never)
    codes: list[str | None] = []
    edge = replace(OWN, device="edge")
    world.uplink.submit(
        a_session("gw"), edge, [b"22.5"], lambda fault: codes.append(None if fault is None else fault.code)
    )
    await asyncio.sleep(0)
    await world.uplink.close()
    assert codes == ["shutting-down"]


@pytest.mark.parametrize(
    ("kind", "left"),
    [
        (MessageKind.TELEMETRY, {"ttl-command-response"}),
        (MessageKind.EVENT, {"ttl-telemetry-qos0", "ttl-command-response"}),
    ],
)
async def test_defaults_for_another_kind_of_message_stay_ordinary_defaults(
    world: World, kind: MessageKind, left: set[str]
) -> None:
    world.put_tenant("acme", defaults={"ttl": 9, "ttl-telemetry-qos0": 1, "ttl-command-response": 2})
    await outcome(world, a_session(), replace(OWN, kind=kind))
    names = set(world.northbound.messages[0].properties)
    assert names - {"orig_adapter", "orig_address"} == left


@pytest.mark.parametrize(
    ("entry", "code"),
    [
        (AdapterSettings(type="hono-coap", enabled=True), "not-authenticated"),
        (AdapterSettings(type="hono-coap", enabled=True, authentication_required=False), None),
    ],
)
async def test_a_tenant_may_want_devices_to_prove_who_they_are(
    world: World, entry: AdapterSettings, code: str | None
) -> None:
    world.put_tenant("acme", adapters=(entry,))
    put_device(world, "dev-1")
    session = Session(adapter="hono-coap", tenant_id=None, device_id=None)
    assert await refused_as(world, session, replace(OWN, tenant="acme", device="dev-1")) == code


async def test_a_device_disabled_after_a_positive_answer_is_refused_for_the_next_message(world: World) -> None:
    put_device(world, "gw")
    put_device(world, "edge", via=(DeviceId("gw"),))
    session = a_session("gw")
    assert await outcome(world, session, replace(OWN, device="edge")) is None
    world.store.devices.set_enabled(ACME, [DeviceId("edge")], deed_at(world.clock.now()), enabled=False)
    assert await refused_as(world, session, replace(OWN, device="edge")) == "device-disabled"


async def test_uploads_behind_one_that_waits_for_a_lookup_keep_their_order(world: World) -> None:
    put_device(world, "gw")
    put_device(world, "edge", via=(DeviceId("gw"),))
    session = a_session("gw")
    done: list[int] = []
    for number, device in enumerate(["edge", None, "edge", None]):
        head = replace(OWN, device=device)
        world.uplink.submit(session, head, [b"%d" % number], lambda _, number=number: done.append(number))  # type: ignore[misc]
    await until(lambda: len(done) == 4)
    assert [message.payload for message in world.northbound.messages] == [b"0", b"1", b"2", b"3"]
    assert session.waiting is None and session.waiting_count == 0


@pytest.mark.interpreted  # the bound is changed inside the module
async def test_uploads_that_wait_are_bounded(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(uplink_module, "WAITING_MAX", 2)
    session = a_session("gw")
    codes: list[str | None] = []
    for _ in range(4):
        edge = replace(OWN, device="edge")
        world.uplink.submit(session, edge, [b"22.5"], lambda fault: codes.append(None if fault is None else fault.code))
    assert codes == ["too-many-uploads-waiting"] * 2
    await until(lambda: len(codes) == 4)


@pytest.mark.parametrize(
    ("tenant", "device", "code"),
    [
        ("acme", "dev-1", None),
        ("acme", None, "address-incomplete"),
        (None, "dev-1", "address-incomplete"),
        ("acme", "nobody", "device-unknown"),
        ("nowhere", "dev-1", "tenant-unknown"),
    ],
)
async def test_an_anonymous_upload_names_tenant_and_device(
    world: World, tenant: str | None, device: str | None, code: str | None
) -> None:
    put_device(world, "dev-1")
    session = Session(adapter="hono-coap", tenant_id=None, device_id=None)
    assert await refused_as(world, session, replace(OWN, tenant=tenant, device=device)) == code


async def test_what_an_operator_changed_holds_for_the_very_next_message(world: World) -> None:
    put_device(world, "dev-1", defaults={"room": "cellar"})
    session = a_session(defaults={"room": "cellar"})
    world.table.add(session)
    world.tenants.catch_up()
    assert await outcome(world, session, OWN) is None
    put_device(world, "dev-1", defaults={"room": "attic"})
    assert await outcome(world, session, OWN) is None
    assert [message.properties["room"] for message in world.northbound.messages] == ["cellar", "attic"]


async def test_a_session_that_a_change_has_just_ended_sends_nothing_more(world: World) -> None:
    put_device(world, "dev-1")
    session = a_session()
    world.table.add(session)
    world.tenants.catch_up()
    put_device(world, "dev-1", enabled=False)
    assert await refused_as(world, session, OWN) == "device-disabled"
    assert world.northbound.messages == [] and len(world.table) == 0


async def test_where_changes_cannot_be_read_messages_go_on(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail() -> None:
        raise StorageUnavailable("gone")

    monkeypatch.setattr(world.store.feed, "has_news", lambda: True)
    monkeypatch.setattr(world.store.feed, "catch_up", fail)
    assert await outcome(world, a_session(), OWN) is None
