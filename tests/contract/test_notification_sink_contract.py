"""What every message engine promises to whoever publishes changes of the registry."""

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from conf.messaging import MessagingSettings
from kernel.ids import DeviceId, TenantId
from messaging.addresses import NotificationChannel
from messaging.errors import NorthboundUnavailable
from messaging.message import Bundle, MessageKind
from messaging.notification import News, Notification
from messaging.ports import NotificationSink
from tests.support.message_engines import EmbeddedEngine, Engine, MemoryEngine, until
from tests.support.messages import START_MS, Outcomes, a_bundle

PENDING_MAX = 5


@pytest.fixture(params=["memory", "embedded"])
async def engine(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[Engine]:
    settings = MessagingSettings(pending_max_messages=PENDING_MAX)
    made: Engine = (
        MemoryEngine(settings=settings)
        if request.param == "memory"
        else EmbeddedEngine(path=tmp_path / "log.db", settings=settings)
    )
    yield made
    await made.close()


def a_notification(document: bytes = b"{}", *, device_id: str | None = "sensor-1", tenant_id: str = "acme") -> News:
    return Notification(
        channel=NotificationChannel.TENANT if device_id is None else NotificationChannel.DEVICE,
        tenant_id=TenantId(tenant_id),
        device_id=None if device_id is None else DeviceId(device_id),
        moment_ms=START_MS,
        document=document,
    )


def sink_of(engine: Engine) -> NotificationSink:
    assert isinstance(engine, MemoryEngine | EmbeddedEngine)
    return engine.northbound


async def published(engine: Engine, *news: News) -> None:
    outcomes = Outcomes()
    sink_of(engine).publish(news, outcomes.of("all"))
    assert outcomes.seen == []
    await until(lambda: outcomes.seen)
    assert outcomes.seen == [("all", None)]


def kept_payloads(engine: Engine) -> list[bytes | None]:
    return [each.message.payload for each in engine.log.read(after=0, limit=100)]


async def test_notifications_and_events_are_kept_in_the_order_given_and_told_once(engine: Engine) -> None:
    event: Bundle = a_bundle(b"e", kind=MessageKind.EVENT)
    await published(
        engine,
        a_notification(b"1", device_id=None),
        a_notification(b"2"),
        event,
        a_notification(b"3"),
        a_notification(b"4"),
        a_notification(b"5", device_id="other"),
    )
    assert kept_payloads(engine) == [b"1", b"2", b"e", b"3", b"4", b"5"]


async def test_a_notification_is_a_message_of_a_kind_of_its_own(engine: Engine) -> None:
    await published(engine, a_notification(b'{"a":1}', device_id=None), a_notification(b'{"b":2}'))
    tenant, device = (each.message for each in engine.log.read(after=0, limit=10, tenant_id=TenantId("acme")))
    assert (tenant.kind, tenant.device_id, tenant.payload) == (MessageKind.NOTIFICATION, "", b'{"a":1}')
    assert (device.kind, device.device_id, device.payload) == (MessageKind.NOTIFICATION, "sensor-1", b'{"b":2}')
    assert [each.properties["orig_address"] for each in (tenant, device)] == [
        "notification/registry-tenant",
        "notification/registry-device",
    ]
    assert {each.content_type for each in (tenant, device)} == {"application/json"}
    assert tenant.creation_time_ms == device.creation_time_ms == START_MS


async def test_where_there_is_no_room_for_all_none_is_kept(engine: Engine) -> None:
    engine.hold()
    outcomes = Outcomes()
    engine.northbound.submit(a_bundle(b"1", b"2"), outcomes.of("device"))
    sink_of(engine).publish([a_notification(b"%d" % number) for number in range(4)], outcomes.of("changes"))
    engine.northbound.submit(a_bundle(b"3"), outcomes.of("other"))
    engine.release()
    await until(lambda: len(outcomes.seen) == 3)
    assert outcomes.names == ["device", "changes", "other"]
    assert [type(reason) for reason in outcomes.reasons] == [type(None), NorthboundUnavailable, type(None)]
    assert kept_payloads(engine) == [b"1", b"2", b"3"]


async def test_more_than_the_bound_is_kept_where_nothing_waits(engine: Engine) -> None:
    many = [a_notification(b"%d" % number, device_id=f"d{number}") for number in range(PENDING_MAX + 3)]
    await published(engine, *many)
    assert kept_payloads(engine) == [b"%d" % number for number in range(PENDING_MAX + 3)]


async def test_what_cannot_be_written_is_left_out_alone(tmp_path: Path) -> None:
    engine = EmbeddedEngine(path=tmp_path / "log.db", settings=MessagingSettings())
    await published(engine, a_notification(b"1"), a_notification(b"2", tenant_id="\udc00"), a_notification(b"3"))
    assert kept_payloads(engine) == [b"1", b"3"]
    await engine.close()
