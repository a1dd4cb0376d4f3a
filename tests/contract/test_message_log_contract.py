"""What every message log promises to applications."""

from collections.abc import AsyncIterator, Sequence
from pathlib import Path

import pytest

from conf.messaging import MessagingSettings
from kernel.ids import TenantId
from messaging.message import KeptMessage
from tests.support.message_engines import EmbeddedEngine, Engine, MemoryEngine, keep
from tests.support.messages import START_MS, a_message


@pytest.fixture(params=["memory", "embedded"])
async def engine(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[Engine]:
    settings = MessagingSettings()
    made: Engine = (
        MemoryEngine(settings=settings)
        if request.param == "memory"
        else EmbeddedEngine(path=tmp_path / "log.db", settings=settings)
    )
    yield made
    await made.close()


def payloads(kept: Sequence[KeptMessage]) -> list[bytes | None]:
    return [each.message.payload for each in kept]


async def keep_numbered(engine: Engine, count: int) -> None:
    await keep(engine.northbound, [a_message(b"%d" % number) for number in range(1, count + 1)])


async def test_an_empty_log_reads_as_empty(engine: Engine) -> None:
    assert list(engine.log.read(after=0, limit=10)) == []
    assert engine.log.last_position() == 0
    assert engine.log.first_position_since(0) == 0
    assert engine.log.cursor("billing") == 0


async def test_positions_ascend_in_the_order_of_submission(engine: Engine) -> None:
    await keep_numbered(engine, 700)
    kept = engine.log.read(after=0, limit=1000)
    assert payloads(kept) == [b"%d" % number for number in range(1, 701)]
    positions = [each.position for each in kept]
    assert positions == sorted(set(positions))
    assert engine.log.last_position() == positions[-1]


@pytest.mark.parametrize("limit", [1, 7, 300])
async def test_reading_on_from_the_last_position_yields_every_message_once(engine: Engine, limit: int) -> None:
    await keep_numbered(engine, 600)
    seen: list[bytes | None] = []
    position = 0
    while kept := engine.log.read(after=position, limit=limit):
        assert len(kept) <= limit
        seen += payloads(kept)
        position = kept[-1].position
    assert seen == [b"%d" % number for number in range(1, 601)]


async def test_a_limit_of_nothing_reads_nothing(engine: Engine) -> None:
    await keep_numbered(engine, 3)
    assert list(engine.log.read(after=0, limit=0)) == []


async def test_a_position_beyond_the_last_reads_nothing(engine: Engine) -> None:
    await keep_numbered(engine, 3)
    assert list(engine.log.read(after=99, limit=10)) == []


async def test_reading_for_a_tenant_yields_its_messages_only(engine: Engine) -> None:
    await keep(
        engine.northbound,
        [a_message(b"%d" % number, tenant_id="acme" if number % 3 else "other") for number in range(600)],
    )
    kept = engine.log.read(after=0, limit=1000, tenant_id=TenantId("other"))
    assert payloads(kept) == [b"%d" % number for number in range(0, 600, 3)]
    rest = engine.log.read(after=kept[100].position, limit=20, tenant_id=TenantId("other"))
    assert list(rest) == list(kept[101:121])
    assert list(engine.log.read(after=0, limit=10, tenant_id=TenantId("nobody"))) == []


async def test_an_expired_message_is_skipped_and_the_one_behind_it_read(engine: Engine) -> None:
    await keep(engine.northbound, [a_message(b"short", ttl_ms=3_000), a_message(b"long", ttl_ms=60_000), a_message()])
    engine.clock.advance(3.0)
    assert payloads(engine.log.read(after=0, limit=1)) == [b"short"]
    engine.clock.advance(1.0)
    assert payloads(engine.log.read(after=0, limit=1)) == [b"long"]
    engine.clock.advance(60.0)
    assert payloads(engine.log.read(after=0, limit=1)) == [b"22.5"]


async def test_a_position_since_a_time_lies_just_before_the_first_message_created_then_or_later(engine: Engine) -> None:
    offsets = [0, 10, 20, 20, 15, 30, 25, 40]  # not quite in order: several writers, one clock
    for offset in offsets:  # one commit each
        await keep(engine.northbound, [a_message(creation_time_ms=START_MS + offset)])
    for sought in range(-1, 42):
        expected = next((index for index, offset in enumerate(offsets) if offset >= sought), len(offsets))
        assert engine.log.first_position_since(START_MS + sought) == expected


async def test_a_position_since_a_time_is_found_inside_one_commit(engine: Engine) -> None:
    await keep(engine.northbound, [a_message(creation_time_ms=START_MS + number // 2) for number in range(1000)])
    for sought in (0, 1, 250, 499):
        assert engine.log.first_position_since(START_MS + sought) == sought * 2
    assert engine.log.first_position_since(START_MS + 500) == 1000


async def test_a_cursor_is_remembered_by_name(engine: Engine) -> None:
    engine.log.commit_cursor("billing", 7)
    engine.log.commit_cursor("alarms", 3)
    assert (engine.log.cursor("billing"), engine.log.cursor("alarms"), engine.log.cursor("other")) == (7, 3, 0)


async def test_a_cursor_never_moves_backwards(engine: Engine) -> None:
    for position in (5, 3, 5, 6, 1):
        engine.log.commit_cursor("billing", position)
    assert engine.log.cursor("billing") == 6


async def test_the_change_mark_differs_after_a_message_was_kept_and_only_then(engine: Engine) -> None:
    before = engine.log.change_mark()
    assert engine.log.change_mark() == before
    await keep(engine.northbound, [a_message()])
    after = engine.log.change_mark()
    assert after != before
    engine.log.read(after=0, limit=10)
    assert engine.log.change_mark() == after
