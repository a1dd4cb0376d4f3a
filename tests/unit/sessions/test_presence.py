"""What a process says of its connections, and when."""

import asyncio
import logging
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import replace
from datetime import datetime, timedelta

import pytest

from adapters.sessions import presence as under_test
from adapters.sessions.presence import PresenceKeeper
from adapters.sessions.session import Session
from adapters.sessions.uplink import UploadHead
from kernel.ids import DeviceId, TenantId
from messaging.message import MessageKind
from registry.errors import StorageUnavailable
from registry.presence import Presence, Sighting
from tests.support.domain import ACME, World, build_world
from tests.support.stores import device, put
from tests.support.waiting import until

OWN = UploadHead(kind=MessageKind.TELEMETRY, tenant=None, device=None, qos=1, content_type=None, orig_address="t")


class Record:
    """A record that keeps what it is told, and may fail."""

    def __init__(self) -> None:
        self.sightings: list[Sighting] = []
        self.batches: list[int] = []
        self.processes: list[str] = []
        self.left: list[str] = []
        self.fails = False

    def beat(self, process_id: str, moment: datetime) -> None:
        self._answer()
        self.processes.append(process_id)

    def write(self, process_id: str, sightings: Sequence[Sighting]) -> None:
        self._answer()
        self.batches.append(len(sightings))
        self.sightings += sightings

    def leave(self, process_id: str) -> None:
        self._answer()
        self.left.append(process_id)

    def find(self, tenant_id: TenantId, device_id: DeviceId, *, at: datetime) -> Presence | None:
        raise NotImplementedError

    def last(self, device_id: str) -> Sighting:
        return [each for each in self.sightings if each.device_id == device_id][-1]

    def _answer(self) -> None:
        if self.fails:
            raise StorageUnavailable("database: locked")


class Scene:
    def __init__(self) -> None:
        self.world: World = build_world()
        self.world.put_tenant("acme")
        self.record = Record()
        self.keeper = PresenceKeeper(sessions=self.world.table, record=self.record, clock=self.world.clock)

    def connect(self, device_id: str = "dev-1", adapter: str = "hono-mqtt") -> Session:
        session = Session(adapter=adapter, tenant_id=ACME, device_id=DeviceId(device_id))
        self.world.table.add(session)
        return session

    def say(self, session: Session, head: UploadHead = OWN) -> None:
        self.world.uplink.submit(session, head, [b"22.5"], lambda _: None)


@pytest.fixture
def scene(monkeypatch: pytest.MonkeyPatch) -> Scene:
    monkeypatch.setattr(under_test, "FLUSH_S", 0.0)
    monkeypatch.setattr(under_test, "RETRY_S", 0.0)
    return Scene()


@asynccontextmanager
async def running(keeper: PresenceKeeper) -> AsyncIterator[None]:
    task = asyncio.create_task(keeper.run())
    try:
        yield
    finally:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)


async def test_a_connection_is_told_when_it_begins_and_when_it_ends(scene: Scene) -> None:
    noon = scene.world.clock.now()
    async with running(scene.keeper):
        session = scene.connect()
        await until(lambda: scene.record.sightings)
        assert scene.record.sightings == [
            Sighting(tenant_id=ACME, device_id=DeviceId("dev-1"), last_seen=noon, since=noon, adapter="hono-mqtt")
        ]
        scene.world.clock.advance(30)
        scene.world.table.remove(session)
        await until(lambda: len(scene.record.sightings) == 2)
    ended = scene.record.last("dev-1")
    assert (ended.since, ended.adapter, ended.last_seen) == (None, None, noon + timedelta(seconds=30))
    assert len(set(scene.record.processes)) == 1


async def test_who_comes_and_goes_before_it_is_written_is_written_once(scene: Scene) -> None:
    for _ in range(3):
        scene.world.table.remove(scene.connect())
    async with running(scene.keeper):
        await until(lambda: scene.record.sightings)
    [sighting] = scene.record.sightings
    assert sighting.since is None


async def test_of_several_connections_the_newest_is_told(scene: Scene) -> None:
    scene.connect(adapter="hono-http")
    scene.world.clock.advance(5)
    newest = scene.connect(adapter="hono-mqtt")
    async with running(scene.keeper):
        await until(lambda: scene.record.sightings)
        assert scene.record.last("dev-1").adapter == "hono-mqtt"
        scene.world.table.remove(newest)
        await until(lambda: len(scene.record.sightings) == 2)
    assert scene.record.last("dev-1").adapter == "hono-http", "it is still connected over the other"


async def test_batches_are_bounded(scene: Scene, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(under_test, "BATCH_MAX", 4)
    for number in range(10):
        scene.connect(f"dev-{number}")
    async with running(scene.keeper):
        await until(lambda: len(scene.record.sightings) == 10)
    assert max(scene.record.batches) == 4


async def test_anonymous_peers_are_nobody(scene: Scene) -> None:
    scene.world.table.add(Session(adapter="hono-mqtt", tenant_id=None, device_id=None))
    scene.connect()
    async with running(scene.keeper):
        await until(lambda: scene.record.sightings)
    assert [each.device_id for each in scene.record.sightings] == ["dev-1"]


async def test_who_spoke_since_the_last_round_is_told_in_the_next_and_nobody_else(scene: Scene) -> None:
    scene.connect("silent")
    talker = scene.connect("talker")
    scene.world.clock.advance(60)
    spoke = scene.world.clock.now()
    scene.say(talker)
    scene.world.clock.advance(1)
    await scene.keeper.sweep()
    [sighting] = scene.record.sightings
    assert (sighting.device_id, sighting.last_seen) == ("talker", spoke)
    assert not sighting.is_connection_known, "a message says nothing about connections"
    await scene.keeper.sweep()
    assert len(scene.record.sightings) == 1


async def test_a_gateway_s_messages_are_those_of_the_devices_it_sends_for(scene: Scene) -> None:
    put(scene.world.store, device("gw"))
    session = scene.connect("gw")
    for number in range(12):  # more than a session has channels
        name = f"edge-{number}"
        put(scene.world.store, device(name, via=(DeviceId("gw"),)))
        done = asyncio.Event()
        head = replace(OWN, device=name)
        scene.world.uplink.submit(session, head, [b"1"], lambda _, done=done: done.set())  # type: ignore[misc]
        await done.wait()
    await scene.keeper.sweep()
    assert {each.device_id for each in scene.record.sightings} == {f"edge-{number}" for number in range(12)}
    assert session.spoken_for is None, "told once, and forgotten"


async def test_a_record_that_does_not_answer_is_told_later_and_all_of_it(
    scene: Scene, caplog: pytest.LogCaptureFixture
) -> None:
    scene.record.fails = True
    with caplog.at_level(logging.WARNING):
        async with running(scene.keeper):
            session = scene.connect("first")
            await until(lambda: "presence.unwritten" in caplog.messages)
            scene.connect("second")
            scene.world.table.remove(session)
            scene.record.fails = False
            await until(lambda: {each.device_id for each in scene.record.sightings} == {"first", "second"})
    assert scene.record.last("first").since is None
    assert caplog.messages == ["presence.unwritten"], "said once"


async def test_where_too_much_waits_everything_is_said_anew_under_another_id(
    scene: Scene, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(under_test, "CHANGED_MAX", 3)
    sessions = [scene.connect(f"dev-{number}") for number in range(5)]
    async with running(scene.keeper):
        await until(lambda: {each.device_id for each in scene.record.sightings} >= {f"dev-{n}" for n in range(5)})
        assert all(scene.record.last(f"dev-{number}").since is not None for number in range(5))
        [former] = scene.record.left
        assert scene.record.processes and former not in scene.record.processes
        scene.world.table.remove(sessions[0])
        await until(lambda: scene.record.last("dev-0").since is None)


async def test_at_the_end_what_waits_is_written_and_the_process_leaves(scene: Scene) -> None:
    session = scene.connect()
    scene.world.table.remove(session)
    await scene.keeper.close(within_s=5)
    assert scene.record.last("dev-1").since is None
    assert len(scene.record.left) == 1


async def test_an_end_that_the_record_does_not_take_is_survived(scene: Scene, caplog: pytest.LogCaptureFixture) -> None:
    scene.record.fails = True
    scene.connect()
    await scene.keeper.close(within_s=5)
    assert caplog.messages == ["presence.unwritten"]
