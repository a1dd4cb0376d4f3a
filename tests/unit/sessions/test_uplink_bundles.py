"""Messages that arrive together go up together; and what was found out once stays in force no longer than it may."""

import asyncio
from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from adapters.sessions.channel import CHANNEL_MAX_CHARS, CHANNELS_MAX
from adapters.sessions.measure import UploadMeters
from adapters.sessions.session import Session
from adapters.sessions.uplink import WAITING_MAX, Uplink, UploadHead
from kernel.errors import TuhonoError
from kernel.ids import DeviceId
from kernel.meters import Meters
from messaging.message import EMPTY_NOTIFICATION, MessageKind
from registry.model import Device, DeviceStatus
from tenant.model import AdapterSettings
from tests.support.domain import ACME, World, build_world
from tests.support.stores import put
from tests.support.waiting import until

OWN = UploadHead(
    kind=MessageKind.TELEMETRY, tenant=None, device=None, qos=1, content_type="text/plain", orig_address="t"
)
UNTYPED = replace(OWN, content_type=None)


@pytest.fixture
def world() -> World:
    world = build_world()
    world.put_tenant("acme")
    return world


def a_session(device_id: str = "dev-1", defaults: Mapping[str, Any] | None = None) -> Session:
    return Session(adapter="hono-mqtt", tenant_id=ACME, device_id=DeviceId(device_id), defaults=defaults or {})


def put_device(world: World, device_id: str, **members: Any) -> None:
    status = DeviceStatus(created=world.clock.now())
    put(world.store, Device(tenant_id=ACME, device_id=DeviceId(device_id), status=status, **members))


async def outcome(uplink: Uplink, session: Session, head: UploadHead, *payloads: bytes | None) -> str | None:
    """The code of the refusal, None where all are kept."""
    submitted: list[bytes | None] = list(payloads) or [b"22.5"]
    done: asyncio.Future[TuhonoError | None] = asyncio.get_running_loop().create_future()
    uplink.submit(session, head, submitted, done.set_result)
    async with asyncio.timeout(5):
        fault = await done
    return None if fault is None else fault.code


def payloads_kept(world: World) -> list[bytes | None]:
    return [message.payload for message in world.northbound.messages]


async def test_messages_submitted_together_are_kept_in_order_and_done_once(world: World) -> None:
    session, done = a_session(), list[TuhonoError | None]()
    world.uplink.submit(session, OWN, [b"1", b"2", b""], done.append)
    world.uplink.submit(session, OWN, [None, b"3"], done.append)
    await until(lambda: len(done) == 2)
    assert done == [None, None] and payloads_kept(world) == [b"1", b"2", b"", None, b"3"]


async def test_an_engine_that_keeps_nothing_refuses_all_of_them(world: World) -> None:
    world.northbound.fail_next()
    assert await outcome(world.uplink, a_session(), OWN, b"1", b"2") == "northbound-unavailable"
    assert payloads_kept(world) == []


@pytest.mark.parametrize("is_open", [False, True])
@pytest.mark.parametrize(
    ("content_type", "payloads", "code"),
    [
        (None, [b"1", b"", b"2"], "content-type-missing"),
        (None, [b"1", None], "content-type-missing"),
        (EMPTY_NOTIFICATION, [b"", b"1"], "content-type-mismatch"),
    ],
)
async def test_with_one_that_does_not_fit_its_content_type_none_is_kept(
    world: World, content_type: str | None, payloads: list[bytes | None], code: str, is_open: bool
) -> None:
    session, head = a_session(), replace(OWN, content_type=content_type)
    fitting = next(payload for payload in payloads if head.takes(payload))
    if is_open:
        assert await outcome(world.uplink, session, head, fitting) is None
    kept = payloads_kept(world)
    assert await outcome(world.uplink, session, head, *payloads) == code
    assert payloads_kept(world) == kept


@given(
    st.sampled_from([None, "", "text/plain", EMPTY_NOTIFICATION]),
    st.lists(st.none() | st.sampled_from([b"", b"0", b"x"]), min_size=1, max_size=4),
)
def test_a_head_takes_all_when_it_takes_each(content_type: str | None, payloads: list[bytes | None]) -> None:
    head = replace(OWN, content_type=content_type)
    assert head.takes_all(payloads) is all(map(head.takes, payloads))


async def test_every_message_is_counted_whatever_it_came_with(world: World) -> None:
    meters = Meters()
    uplink = Uplink(
        northbound=world.northbound,
        tenants=world.tenants,
        assertion=world.assertion,
        meters=UploadMeters(meters=meters),
        feed=world.store.feed,
        clock=world.clock,
    )
    session = a_session()
    world.northbound.hold()
    done: list[TuhonoError | None] = []
    uplink.submit(session, OWN, [b"123", None, b"45"], done.append)
    world.clock.advance(2.0)
    world.northbound.release()
    await until(lambda: done)
    world.northbound.fail_next()
    await outcome(uplink, session, OWN, b"1", b"2")
    await outcome(uplink, session, UNTYPED, b"1", b"", b"2")
    counted = {
        (family.name.removeprefix("hono_telemetry_"), dict(labels)["status"]): (meter.count, meter.total)  # type: ignore[union-attr]
        for family in meters.families()
        for labels, meter in family.series.items()
    }
    assert counted == {
        ("payload_bytes", "forwarded"): (3, 5),
        ("processing_duration_seconds", "forwarded"): (3, 6.0),
        ("payload_bytes", "undeliverable"): (2, 2),
        ("processing_duration_seconds", "undeliverable"): (2, 0.0),
        ("payload_bytes", "unprocessable"): (3, 2),
        ("processing_duration_seconds", "unprocessable"): (0, 0.0),
    }


async def test_messages_to_one_address_share_their_envelope(world: World) -> None:
    session = a_session()
    await outcome(world.uplink, session, OWN)
    channel = session.channels[OWN]
    await outcome(world.uplink, session, OWN)
    assert session.channels == {OWN: channel}


async def test_a_tenant_s_new_defaults_are_in_force_for_the_next_message(world: World) -> None:
    session = a_session()
    for place in ("roof", "cellar"):
        world.put_tenant("acme", defaults={"place": place})
        assert await outcome(world.uplink, session, OWN) is None
    assert [message.properties["place"] for message in world.northbound.messages] == ["roof", "cellar"]
    assert len(session.channels) == 1


@pytest.mark.parametrize(
    ("change", "code"),
    [
        ({"enabled": False}, "tenant-disabled"),
        ({"adapters": (AdapterSettings(type="hono-http", enabled=True),)}, "adapter-disabled"),
    ],
)
async def test_what_a_tenant_forbids_is_refused_from_the_next_message_on(
    world: World, change: dict[str, Any], code: str
) -> None:
    session = a_session()
    assert await outcome(world.uplink, session, OWN) is None
    world.put_tenant("acme", **change)
    assert await outcome(world.uplink, session, OWN) == code
    world.put_tenant("acme")
    assert await outcome(world.uplink, session, OWN) is None


async def test_new_defaults_of_a_device_behind_a_gateway_are_in_force_for_the_next_message(world: World) -> None:
    put_device(world, "gw")
    session, edge = a_session("gw"), replace(OWN, device="edge")
    for place in ("roof", "roof", "cellar"):
        put_device(world, "edge", via=(DeviceId("gw"),), defaults={"place": place})
        assert await outcome(world.uplink, session, edge) is None
        assert await outcome(world.uplink, session, edge, b"1", b"2") is None
    places = [message.properties["place"] for message in world.northbound.messages]
    assert places == ["roof"] * 6 + ["cellar"] * 3
    assert session.channels[edge].is_own is False


async def test_a_gateway_s_own_messages_wait_behind_one_for_a_device_that_is_looked_up(world: World) -> None:
    put_device(world, "gw")
    put_device(world, "edge", via=(DeviceId("gw"),))
    session, done = a_session("gw"), list[TuhonoError | None]()
    assert await outcome(world.uplink, session, OWN, b"0") is None
    world.uplink.submit(session, replace(OWN, device="edge"), [b"1", b"2"], done.append)
    assert session.waiting_count == 2
    world.uplink.submit(session, OWN, [b"3"], done.append)
    await until(lambda: len(done) == 2)
    assert payloads_kept(world) == [b"0", b"1", b"2", b"3"] and session.waiting_count == 0


@pytest.mark.parametrize("counts", [(WAITING_MAX - 1, 2, 1), (WAITING_MAX + 1, 1)])
async def test_messages_that_wait_are_bounded_and_a_bundle_that_finds_none_waiting_is_taken(
    world: World, counts: tuple[int, ...]
) -> None:
    put_device(world, "gw")
    put_device(world, "edge", via=(DeviceId("gw"),))
    session, done = a_session("gw"), list[TuhonoError | None]()
    for count in counts:
        world.uplink.submit(session, replace(OWN, device="edge"), [b"22.5"] * count, done.append)
    assert session.waiting_count == max(WAITING_MAX, counts[0])
    await until(lambda: len(done) == len(counts))
    assert [fault and fault.code for fault in done] == ["too-many-uploads-waiting", *[None] * (len(counts) - 1)]


async def test_addresses_remembered_are_few_and_short(world: World) -> None:
    session = a_session()
    for number in range(CHANNELS_MAX + 3):
        assert await outcome(world.uplink, session, replace(OWN, orig_address=f"t/?{number}")) is None
    assert [head.orig_address for head in session.channels] == [f"t/?{number}" for number in range(3, CHANNELS_MAX + 3)]
    long = replace(OWN, orig_address="t/?" + "x" * CHANNEL_MAX_CHARS)
    assert await outcome(world.uplink, session, long) is None
    assert long not in session.channels
    assert world.northbound.messages[-1].properties["orig_address"] == long.orig_address
