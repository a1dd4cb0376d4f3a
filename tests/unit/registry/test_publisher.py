"""The publisher over a record in memory: order, repetition, turns, and what it says of trouble."""

import asyncio
import json
import logging
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import replace
from typing import Any

import pytest

from kernel.clock import ManualClock
from kernel.ids import DeviceId, TenantId
from kernel.meters import Count, Meters
from messaging.drivers.memory import MemoryNorthbound
from messaging.errors import NorthboundUnavailable
from messaging.message import MessageKind
from registry import publisher as under_test
from registry.errors import StorageUnavailable
from registry.notifications import RecordedChange, RecordedPage
from registry.publisher import ChangePublisher
from tenant.model import Tenant
from tests.support.waiting import until

ACME = TenantId("acme")


class Record:
    """Publications over a list."""

    def __init__(self, clock: ManualClock) -> None:
        self.clock = clock
        self.changes: list[RecordedChange] = []
        self.position = 0
        self.is_free = True
        self.missed = 0
        self.fault: Exception | None = None
        self.reads = 0

    def happened(self, what: str, device_id: str | None = None) -> None:
        self.changes.append(
            RecordedChange(
                position=len(self.changes) + 1,
                moment=self.clock.now(),
                what=what,
                tenant_id=ACME,
                device_id=None if device_id is None else DeviceId(device_id),
            )
        )

    def take_turn(self) -> bool:
        return self.is_free

    def release(self) -> None:
        self.is_free = True

    def may_have_more(self) -> bool:
        if self.fault is not None:
            raise self.fault
        return self.position < len(self.changes)

    def read(self, *, limit: int) -> RecordedPage:
        self.reads += 1
        missed, self.missed = self.missed, 0
        page = self.changes[self.position : self.position + limit]
        return RecordedPage(changes=page, behind=self.position + len(page), missed=missed)

    def note(self, page: RecordedPage) -> None:
        self.position = page.behind


class Tenants:
    """As much of the directory as is asked."""

    def __init__(self) -> None:
        self.tenant = Tenant(tenant_id=ACME)

    def catch_up(self) -> None: ...

    def find(self, tenant_id: TenantId) -> Tenant | None:
        return self.tenant if tenant_id == ACME else None


class Scene:
    def __init__(self) -> None:
        self.clock = ManualClock()
        self.record = Record(self.clock)
        self.northbound = MemoryNorthbound(clock=self.clock)
        self.tenants = Tenants()
        self.meters = Meters()

    def publisher(self) -> ChangePublisher:
        tenants: Any = self.tenants
        return ChangePublisher(
            publications=self.record,
            sink=self.northbound,
            tenants=tenants,
            meters=self.meters,
            clock=self.clock,
            check_s=0.0,
        )

    def told(self) -> list[str]:
        """What was published, in short."""
        found = []
        for message in self.northbound.messages:
            if message.kind is MessageKind.NOTIFICATION:
                assert message.payload is not None
                document = json.loads(message.payload)
                found.append(f"{document['type']} {document.get('change', '')} {message.device_id}".strip())
            else:
                found.append(f"event {message.properties['hono_registration_status']} {message.device_id}")
        return found

    def metric(self, name: str, **labels: str) -> float:
        [found] = [family for family in self.meters.families() if family.name == name]
        meter = found.series[tuple(sorted(labels.items()))]
        assert isinstance(meter, Count)
        return meter.total


@pytest.fixture
def scene(monkeypatch: pytest.MonkeyPatch) -> Scene:
    monkeypatch.setattr(under_test, "TURN_CHECK_S", 0.0)
    monkeypatch.setattr(under_test, "RETRY_S", 0.0)
    return Scene()


@asynccontextmanager
async def running(publisher: ChangePublisher) -> AsyncIterator[None]:
    task = asyncio.create_task(publisher.run())
    try:
        yield
    finally:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)


async def eventually(scene: Scene, *expected: str) -> None:
    await until(lambda: len(scene.told()) >= len(expected))
    assert scene.told() == list(expected)


async def test_what_was_changed_is_told_in_order_across_pages(scene: Scene, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(under_test, "CHANGES_PER_ROUND_MAX", 2)
    scene.record.happened("tenant.created")
    for number in range(4):
        scene.record.happened("device.created", f"d{number}")
    async with running(scene.publisher()):
        await eventually(
            scene, "tenant-change-v1 CREATE", *(f"device-change-v1 CREATE d{number}" for number in range(4))
        )
        scene.record.happened("device.deleted", "d0")
        await until(lambda: scene.told()[-1] == "device-change-v1 DELETE d0")
        await until(lambda: scene.record.position == 6)
    assert scene.metric("tuhono_notifications_published", channel="registry-device") == 5


async def test_what_the_engine_does_not_take_is_told_again_in_the_same_order(
    scene: Scene, caplog: pytest.LogCaptureFixture
) -> None:
    scene.northbound.fail_next(3)
    scene.record.happened("device.created", "d1")
    scene.record.happened("credentials.updated", "d1")
    with caplog.at_level(logging.INFO):
        async with running(scene.publisher()):
            await eventually(scene, "device-change-v1 CREATE d1", "credentials-change-v1  d1")
            await until(lambda: "notifications.recovered" in caplog.messages)
    assert caplog.messages.count("notifications.unpublished") == 1, "said once, not at every attempt"


async def test_the_lag_is_the_age_of_the_oldest_change_not_told(scene: Scene) -> None:
    scene.northbound.hold()
    scene.record.happened("tenant.created")
    scene.clock.advance(42)
    async with running(scene.publisher()):
        await until(lambda: scene.northbound.pending)
        assert scene.metric("tuhono_notifications_lag_seconds") == 42
        assert scene.record.position == 0, "nothing is noted before it is kept"
        scene.northbound.release()
        await until(lambda: scene.record.position == 1)
        await until(lambda: scene.metric("tuhono_notifications_lag_seconds") == 0)


async def test_a_process_whose_turn_it_is_not_tells_nothing_until_it_is(scene: Scene) -> None:
    scene.record.is_free = False
    scene.record.happened("tenant.created")
    asked: list[bool] = []
    original: Callable[[], bool] = scene.record.take_turn

    def take_turn() -> bool:
        asked.append(original())
        return asked[-1]

    scene.record.take_turn = take_turn  # type: ignore[method-assign]
    async with running(scene.publisher()):
        await until(lambda: len(asked) >= 3)
        assert scene.told() == [] and scene.record.reads == 0
        scene.record.is_free = True
        await eventually(scene, "tenant-change-v1 CREATE")


async def test_changes_whose_record_is_gone_are_said_and_counted(
    scene: Scene, caplog: pytest.LogCaptureFixture
) -> None:
    scene.record.missed = 7
    scene.record.happened("tenant.created")
    async with running(scene.publisher()):
        await eventually(scene, "tenant-change-v1 CREATE")
    [said] = [record for record in caplog.records if record.getMessage() == "notifications.missed"]
    assert said.levelno == logging.ERROR
    assert scene.metric("tuhono_notifications_missed") == 7


async def test_a_database_that_does_not_answer_is_asked_again(scene: Scene, caplog: pytest.LogCaptureFixture) -> None:
    scene.record.fault = StorageUnavailable("database: locked")
    scene.record.happened("tenant.created")
    async with running(scene.publisher()):
        await until(lambda: "notifications.unpublished" in caplog.messages)
        scene.record.fault = None
        await eventually(scene, "tenant-change-v1 CREATE")


async def test_an_engine_that_is_closed_leaves_the_rest_to_the_next_process(scene: Scene) -> None:
    scene.northbound.fail_next(10_000, reason=NorthboundUnavailable("the engine is closed"))
    scene.record.happened("tenant.created")
    async with running(scene.publisher()):
        await until(lambda: scene.record.reads >= 2)
    assert scene.record.position == 0 and scene.told() == []


async def test_who_asked_for_them_gets_events_among_the_notifications(scene: Scene) -> None:
    scene.tenants.tenant = replace(scene.tenants.tenant, ext={"lifecycle-events": True})
    scene.record.happened("device.created", "d1")
    scene.record.happened("device.updated", "d1")
    scene.record.happened("device.provisioned", "d2")
    scene.record.happened("device.deleted", "d1")
    async with running(scene.publisher()):
        await eventually(
            scene,
            "device-change-v1 CREATE d1",
            "event NEW d1",
            "device-change-v1 UPDATE d1",
            "event UPDATED d1",
            "device-change-v1 CREATE d2",
            "device-change-v1 DELETE d1",
            "event DELETED d1",
        )
