"""What every message engine promises to those who submit messages."""

import logging
from collections.abc import AsyncIterator
from dataclasses import replace
from pathlib import Path

import pytest

from conf.messaging import MessagingSettings
from kernel.errors import Unavailable
from messaging.errors import NorthboundUnavailable
from messaging.message import Bundle, MessageKind
from tests.support.message_engines import EmbeddedEngine, Engine, MemoryEngine, keep, until
from tests.support.messages import Outcomes, a_bundle, a_message

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


async def test_callbacks_come_once_each_in_the_order_of_submission(engine: Engine) -> None:
    outcomes = Outcomes()
    for name in range(PENDING_MAX):
        engine.northbound.submit(a_bundle(), outcomes.of(name))
    await until(lambda: len(outcomes.seen) == PENDING_MAX)
    assert outcomes.seen == [(name, None) for name in range(PENDING_MAX)]


async def test_no_callback_comes_before_submit_has_returned(engine: Engine) -> None:
    engine.hold()
    outcomes = Outcomes()
    for name in range(PENDING_MAX + 1):  # the last is refused at once, and told later all the same
        engine.northbound.submit(a_bundle(), outcomes.of(name))
        assert outcomes.seen == []
    engine.release()
    await until(lambda: len(outcomes.seen) == PENDING_MAX + 1)


async def test_a_message_is_in_the_log_when_its_callback_comes(engine: Engine) -> None:
    in_log: list[int] = []
    engine.northbound.submit(a_bundle(b"23.0"), lambda reason: in_log.append(engine.log.last_position()))
    await until(lambda: in_log)
    assert in_log == [1]
    assert [kept.message.payload for kept in engine.log.read(after=0, limit=10)] == [b"23.0"]


async def test_beyond_the_bound_a_message_is_refused_in_its_turn_and_not_kept(engine: Engine) -> None:
    engine.hold()
    outcomes = Outcomes()
    for name in range(PENDING_MAX + 2):
        engine.northbound.submit(a_bundle(b"%d" % name), outcomes.of(name))
    engine.release()
    await until(lambda: len(outcomes.seen) == PENDING_MAX + 2)
    assert outcomes.names == list(range(PENDING_MAX + 2))
    assert outcomes.reasons[:PENDING_MAX] == [None] * PENDING_MAX
    for reason in outcomes.reasons[PENDING_MAX:]:
        assert isinstance(reason, NorthboundUnavailable)
        assert str(reason) == "backlog is full"
    kept = engine.log.read(after=0, limit=100)
    assert [each.message.payload for each in kept] == [b"%d" % name for name in range(PENDING_MAX)]


async def test_a_bundle_is_kept_whole_at_positions_that_follow_each_other(engine: Engine) -> None:
    outcomes = Outcomes()
    engine.northbound.submit(a_bundle(b"1", None, b""), outcomes.of("three"))
    engine.northbound.submit(a_bundle(b"4", b"5", device_id="other"), outcomes.of("two"))
    await until(lambda: len(outcomes.seen) == 2)
    assert outcomes.seen == [("three", None), ("two", None)]
    kept = engine.log.read(after=0, limit=10)
    assert [(each.position, each.message.payload, each.message.device_id) for each in kept] == [
        (1, b"1", "sensor-1"),
        (2, None, "sensor-1"),
        (3, b"", "sensor-1"),
        (4, b"4", "other"),
        (5, b"5", "other"),
    ]


async def test_the_bound_counts_messages_and_a_bundle_that_does_not_fit_is_refused_whole(engine: Engine) -> None:
    engine.hold()
    outcomes = Outcomes()
    for name, count in (("fits", PENDING_MAX - 1), ("one too many", 2), ("fits still", 1), ("no more", 1)):
        engine.northbound.submit(a_bundle(*[name.encode()] * count), outcomes.of(name))
    engine.release()
    await until(lambda: len(outcomes.seen) == 4)
    assert [(name, reason is None) for name, reason in outcomes.seen] == [
        ("fits", True),
        ("one too many", False),
        ("fits still", True),
        ("no more", False),
    ]
    kept = [each.message.payload for each in engine.log.read(after=0, limit=100)]
    assert kept == [b"fits"] * (PENDING_MAX - 1) + [b"fits still"]


async def test_a_bundle_larger_than_the_bound_is_kept_where_nothing_waits_or_it_never_would_be(engine: Engine) -> None:
    large = a_bundle(*[b"large"] * (PENDING_MAX + 1))
    engine.hold()
    outcomes = Outcomes()
    engine.northbound.submit(large, outcomes.of("large"))
    engine.northbound.submit(a_bundle(b"behind"), outcomes.of("behind"))
    engine.release()
    await until(lambda: len(outcomes.seen) == 2)
    engine.northbound.submit(large, outcomes.of("large again"))
    await until(lambda: len(outcomes.seen) == 3)
    assert [(name, reason is None) for name, reason in outcomes.seen] == [
        ("large", True),
        ("behind", False),
        ("large again", True),
    ]
    assert len(engine.log.read(after=0, limit=100)) == 2 * (PENDING_MAX + 1)


async def test_messages_of_one_envelope_may_be_submitted_in_many_bundles(engine: Engine) -> None:
    first = a_bundle(b"1")
    outcomes = Outcomes()
    engine.northbound.submit(first, outcomes.of(1))
    engine.northbound.submit(Bundle(first.envelope, first.creation_time_ms + 5, [b"2"]), outcomes.of(2))
    await until(lambda: len(outcomes.seen) == 2)
    one, two = [each.message for each in engine.log.read(after=0, limit=10)]
    assert two == replace(one, payload=b"2", creation_time_ms=one.creation_time_ms + 5)


async def test_when_the_backlog_is_gone_messages_are_kept_again(engine: Engine) -> None:
    engine.hold()
    outcomes = Outcomes()
    for name in range(PENDING_MAX + 1):
        engine.northbound.submit(a_bundle(), outcomes.of(name))
    engine.release()
    await until(lambda: len(outcomes.seen) == PENDING_MAX + 1)
    await keep(engine.northbound, [a_message()])
    assert engine.log.last_position() == PENDING_MAX + 1


async def test_a_callback_that_raises_harms_no_other_and_is_logged(
    engine: Engine, caplog: pytest.LogCaptureFixture
) -> None:
    def broken(_: Unavailable | None) -> None:
        raise RuntimeError("the caller's defect")

    outcomes = Outcomes()
    with caplog.at_level(logging.ERROR):
        engine.northbound.submit(a_bundle(), outcomes.of("before"))
        engine.northbound.submit(a_bundle(), broken)
        engine.northbound.submit(a_bundle(), outcomes.of("after"))
        await until(lambda: len(outcomes.seen) == 2)
    assert outcomes.seen == [("before", None), ("after", None)]
    assert [record.message for record in caplog.records] == ["message.callback-failed"]
    assert engine.log.last_position() == 3


async def test_a_callback_may_submit_the_next_message(engine: Engine) -> None:
    outcomes = Outcomes()

    def and_another(_: Unavailable | None) -> None:
        engine.northbound.submit(a_bundle(b"second"), outcomes.of("second"))

    engine.northbound.submit(a_bundle(b"first"), and_another)
    await until(lambda: outcomes.seen)
    assert [kept.message.payload for kept in engine.log.read(after=0, limit=10)] == [b"first", b"second"]


@pytest.mark.parametrize("payload", [None, b"", b"\x00\xff", b"x" * 100_000])
@pytest.mark.parametrize("kind", MessageKind)
async def test_a_message_comes_out_as_it_went_in(engine: Engine, payload: bytes | None, kind: MessageKind) -> None:
    message = a_message(
        payload,
        kind=kind,
        qos=0,
        content_type=None,
        ttl_ms=30_000,
        device_id="gw:4711",
        properties={"orig_address": "e/ä?\r\n\x00=1", "ttd": -1, "is_late": True, "deep": {"list": [1.5, None]}},
    )
    await keep(engine.northbound, [message])
    assert [kept.message for kept in engine.log.read(after=0, limit=10)] == [message]
