"""What the embedded log adds to the contract: its file, its bounds, its readers in other processes, retention."""

import asyncio
import os
import sqlite3
import sys
import threading
from contextlib import closing
from pathlib import Path

import pytest

from conf.messaging import MessagingSettings
from kernel.clock import ManualClock
from kernel.ids import TenantId
from messaging.drivers.embedded_reader import (
    CURSOR_NAME_MAX_CHARS,
    CURSORS_MAX,
    READ_PAYLOAD_BYTES_MAX,
    ROWS_OF_TENANT,
    EmbeddedLog,
)
from messaging.errors import LogUnavailable, TooManyCursors
from tests.support.message_engines import EmbeddedEngine, keep, until
from tests.support.messages import a_message

REPOSITORY = Path(__file__).parents[2]
MIB = 1_048_576

READ_ALL = """
import sys
from pathlib import Path
from kernel.clock import SystemClock
from messaging.drivers.embedded_reader import EmbeddedLog
log = EmbeddedLog(path=Path(sys.argv[1]), clock=SystemClock())
print([kept.position for kept in log.read(after=0, limit=10)], log.cursor("other"))
log.commit_cursor("other", 2)
log.close()
"""


async def an_engine(tmp_path: Path, **settings: float) -> EmbeddedEngine:
    return EmbeddedEngine(
        path=tmp_path / "log.db",
        settings=MessagingSettings(**settings),  # type: ignore[arg-type]
    )


async def read_in_another_process(path: Path) -> str:
    child = await asyncio.create_subprocess_exec(
        sys.executable, "-c", READ_ALL, str(path), cwd=REPOSITORY, stdout=asyncio.subprocess.PIPE
    )
    output, _ = await child.communicate()
    assert child.returncode == 0
    return output.decode().strip()


def test_a_log_that_does_not_exist_yet_reads_as_empty_and_is_not_made(tmp_path: Path) -> None:
    log = EmbeddedLog(path=tmp_path / "log.db", clock=ManualClock())
    assert list(log.read(after=0, limit=10)) == []
    assert (log.last_position(), log.first_position_since(0), log.cursor("billing"), log.change_mark()) == (0, 0, 0, 0)
    assert os.listdir(tmp_path) == []


async def test_a_reader_older_than_the_file_sees_it_when_it_appears(tmp_path: Path) -> None:
    log = EmbeddedLog(path=tmp_path / "log.db", clock=ManualClock())
    before = log.change_mark()
    engine = await an_engine(tmp_path)
    await keep(engine.northbound, [a_message(b"first")])
    assert log.change_mark() != before
    assert [kept.message.payload for kept in log.read(after=0, limit=10)] == [b"first"]
    log.close()
    await engine.close()


def test_a_cursor_may_be_committed_before_the_first_message(tmp_path: Path) -> None:
    log = EmbeddedLog(path=tmp_path / "log.db", clock=ManualClock())
    log.commit_cursor("billing", 5)
    log.close()
    assert log.cursor("billing") == 5
    log.close()


async def test_another_process_reads_and_commits_while_the_gateway_runs_and_after(tmp_path: Path) -> None:
    engine = await an_engine(tmp_path)
    await keep(engine.northbound, [a_message()] * 3)
    assert await read_in_another_process(engine.path) == "[1, 2, 3] 0"
    assert engine.log.cursor("other") == 2
    await engine.close()
    assert await read_in_another_process(engine.path) == "[1, 2, 3] 2"


async def test_consumers_in_many_threads_read_everything_while_it_is_written(tmp_path: Path) -> None:
    engine = await an_engine(tmp_path)
    count = 3_000
    seen: dict[int, list[int]] = {}

    def consume(name: int) -> None:
        log = EmbeddedLog(path=engine.path, clock=engine.clock)
        positions: list[int] = []
        while len(positions) < count and not stopped.is_set():
            positions += [kept.position for kept in log.read(after=positions[-1] if positions else 0, limit=100)]
        log.close()
        seen[name] = positions

    stopped = threading.Event()
    consumers = [threading.Thread(target=consume, args=(name,)) for name in range(4)]
    for consumer in consumers:
        consumer.start()
    try:
        for _ in range(30):
            await keep(engine.northbound, [a_message()] * (count // 30))
        await until(lambda: len(seen) == 4)
    finally:
        stopped.set()
        for consumer in consumers:
            consumer.join()
    assert seen == {name: list(range(1, count + 1)) for name in range(4)}
    await engine.close()


async def test_one_reader_may_be_shared_by_threads(tmp_path: Path) -> None:
    engine = await an_engine(tmp_path)
    await keep(engine.northbound, [a_message()] * 500)
    reads = await asyncio.gather(
        *[asyncio.to_thread(engine.log.read, after=position, limit=100) for position in range(0, 400, 10)]
    )
    assert [[kept.position for kept in read] for read in reads] == [
        list(range(position + 1, position + 101)) for position in range(0, 400, 10)
    ]
    await engine.close()


async def test_one_read_brings_a_bounded_number_of_bytes(tmp_path: Path) -> None:
    engine = await an_engine(tmp_path)
    size = READ_PAYLOAD_BYTES_MAX // 4
    await keep(engine.northbound, [a_message(bytes(size)) for _ in range(10)])
    positions: list[int] = []
    while kept := engine.log.read(after=positions[-1] if positions else 0, limit=1000):
        assert sum(len(each.message.payload or b"") for each in kept) <= READ_PAYLOAD_BYTES_MAX
        positions += [each.position for each in kept]
    assert positions == list(range(1, 11))
    await engine.close()


async def test_a_message_beyond_the_bound_of_one_read_is_read_alone(tmp_path: Path) -> None:
    engine = await an_engine(tmp_path)
    await keep(engine.northbound, [a_message(bytes(READ_PAYLOAD_BYTES_MAX + 1)), a_message(b"next")])
    assert [kept.position for kept in engine.log.read(after=0, limit=10)] == [1]
    assert [kept.position for kept in engine.log.read(after=1, limit=10)] == [2]
    await engine.close()


async def test_a_tenants_messages_are_found_through_the_index(tmp_path: Path) -> None:
    engine = await an_engine(tmp_path)
    await keep(engine.northbound, [a_message()] * 10)
    with closing(sqlite3.connect(engine.path)) as connection:
        plan = connection.execute("EXPLAIN QUERY PLAN " + ROWS_OF_TENANT, (5, "acme", 10)).fetchall()
    assert [step[3] for step in plan] == [
        "SEARCH tenant USING PRIMARY KEY (tenant_id=? AND last_position>?)",
        "SEARCH kept USING INTEGER PRIMARY KEY (rowid=?)",
    ]
    assert len(engine.log.read(after=0, limit=100, tenant_id=TenantId("acme"))) == 10
    await engine.close()


def test_the_number_of_cursors_is_bounded_and_the_known_ones_still_move(tmp_path: Path) -> None:
    log = EmbeddedLog(path=tmp_path / "log.db", clock=ManualClock())
    log.commit_cursor("first", 1)
    with closing(sqlite3.connect(tmp_path / "log.db")) as connection, connection:
        connection.executemany("INSERT INTO cursor VALUES (?, 1)", [(str(n),) for n in range(CURSORS_MAX - 1)])
    with pytest.raises(TooManyCursors):
        log.commit_cursor("one too many", 1)
    assert log.cursor("one too many") == 0
    log.commit_cursor("first", 2)
    assert log.cursor("first") == 2
    log.close()


def test_the_name_of_a_cursor_is_bounded(tmp_path: Path) -> None:
    log = EmbeddedLog(path=tmp_path / "log.db", clock=ManualClock())
    log.commit_cursor("n" * CURSOR_NAME_MAX_CHARS, 1)
    with pytest.raises(TooManyCursors):
        log.commit_cursor("n" * (CURSOR_NAME_MAX_CHARS + 1), 1)
    log.close()


async def test_a_reader_recovers_from_a_failure_by_opening_anew(tmp_path: Path) -> None:
    engine = await an_engine(tmp_path)
    await keep(engine.northbound, [a_message()])
    with closing(sqlite3.connect(engine.path, isolation_level=None)) as connection:
        connection.execute("ALTER TABLE kept RENAME TO gone")
        with pytest.raises(LogUnavailable, match="no such table"):
            engine.log.read(after=0, limit=1)
        connection.execute("ALTER TABLE gone RENAME TO kept")
    assert len(engine.log.read(after=0, limit=1)) == 1
    await engine.close()


@pytest.mark.parametrize(
    "damage",
    [
        "bundles = 'nonsense'",
        "bundles = '[[9,\"sensor-1\",1,[3,2]]]'",
        "bundles = '[[0,\"sensor-1\",1,[3,3]]]'",
        "bundles = '[[0,\"sensor-1\",1,[3,2,null]]]'",
        "bundles = '[[0,\"sensor-1\",1,5]]'",
        f"bundles = '{'[' * 100_000}'",
        "bundles = x'ff'",
        "heads = '[]'",
        "heads = '[[1]]'",
        "heads = replace(heads, 'telemetry', 'nothing')",
        "payloads = x'00'",
        "count = 1",
    ],
)
async def test_a_row_that_is_damaged_is_told_with_its_place_and_what_lies_behind_it_is_read(
    tmp_path: Path, damage: str
) -> None:
    engine = await an_engine(tmp_path)
    await keep(engine.northbound, [a_message(b"abc"), a_message(b"de")])
    await keep(engine.northbound, [a_message(b"behind")])
    with closing(sqlite3.connect(engine.path, isolation_level=None)) as connection:
        connection.execute(f"UPDATE kept SET {damage} WHERE last_position = 2")
    for tenant_id in (None, TenantId("acme")):
        with pytest.raises(LogUnavailable, match="up to position 2 are damaged"):
            engine.log.read(after=0, limit=1, tenant_id=tenant_id)
    assert [kept.message.payload for kept in engine.log.read(after=2, limit=9)] == [b"behind"]
    await engine.close()


async def test_messages_older_than_the_bound_make_room_and_positions_go_on(tmp_path: Path) -> None:
    engine = await an_engine(tmp_path, retention_max_age_s=60.0)
    await keep(engine.northbound, [a_message(b"old", tenant_id="acme")] * 600)
    engine.clock.advance(40.0)
    await keep(engine.northbound, [a_message(b"young", tenant_id="other")])
    engine.clock.advance(30.0)
    await keep(engine.northbound, [a_message(b"new")])
    await until(lambda: [k.message.payload for k in engine.log.read(after=0, limit=10)] == [b"young", b"new"])
    assert [kept.position for kept in engine.log.read(after=0, limit=10)] == [601, 602]
    assert len(engine.log.read(after=0, limit=10, tenant_id=TenantId("acme"))) == 1
    assert index_rows(engine.path) == [("acme", 602), ("other", 601)]
    await engine.close()


async def test_when_all_messages_are_too_old_none_stays_and_positions_still_go_on(tmp_path: Path) -> None:
    engine = await an_engine(tmp_path, retention_max_age_s=60.0)
    await keep(engine.northbound, [a_message(b"old")] * 700)
    await engine.close()
    for _ in range(2):
        engine = await an_engine(tmp_path, retention_max_age_s=60.0)
        engine.clock.advance(1000.0)
        await engine.close()  # the writer's first look at age comes with its first batch, empty or not
        assert list(engine.log.read(after=0, limit=10)) == []
        assert engine.log.last_position() == 700
        assert engine.log.first_position_since(0) == 700
        assert index_rows(engine.path) == []
        engine.log.close()
    engine = await an_engine(tmp_path, retention_max_age_s=60.0)
    await keep(engine.northbound, [a_message(b"next")])
    assert [kept.position for kept in engine.log.read(after=0, limit=10)] == [701]
    await engine.close()


async def test_an_age_of_zero_keeps_messages_for_ever(tmp_path: Path) -> None:
    engine = await an_engine(tmp_path, retention_max_age_s=0.0)
    await keep(engine.northbound, [a_message()])
    engine.clock.advance(1e9)
    await keep(engine.northbound, [a_message()])
    await engine.close()
    assert engine.log.last_position() == 2
    assert len(engine.log.read(after=0, limit=10)) == 2
    engine.log.close()


@pytest.mark.parametrize("payload_bytes", [20, 3_000, 50_000])
async def test_the_file_stays_within_its_bound_and_holds_the_newest_messages(
    tmp_path: Path, payload_bytes: int
) -> None:
    bound, batch = 2 * MIB, 100_000 // payload_bytes
    engine = await an_engine(tmp_path, retention_max_bytes=bound)
    sizes = []
    for _ in range(6 * MIB // (batch * (payload_bytes + 100))):
        await keep(engine.northbound, [a_message(bytes(payload_bytes)) for _ in range(batch)])
        sizes.append(engine.path.stat().st_size)
    await engine.close()
    slack = bound // 64 + batch * (payload_bytes + 500)  # what is written between two looks
    assert bound // 2 < max(sizes) <= bound + slack
    kept_bytes = 0
    position = engine.log.last_position()
    first = engine.log.read(after=0, limit=1)[0].position
    assert first > 1
    after = first - 1
    while kept := engine.log.read(after=after, limit=1000):
        kept_bytes += sum(len(each.message.payload or b"") for each in kept)
        after = kept[-1].position
    assert after == position
    assert kept_bytes == (position - first + 1) * payload_bytes  # no gap
    engine.log.close()


async def test_a_lowered_bound_makes_room_in_steps_between_batches(tmp_path: Path) -> None:
    engine = await an_engine(tmp_path)
    for _ in range(300):  # more rows than one step removes
        await keep(engine.northbound, [a_message(bytes(20_000))])
    await engine.close()
    engine = await an_engine(tmp_path, retention_max_bytes=MIB)
    size = engine.path.stat().st_size
    await keep(engine.northbound, [a_message(b"now")])
    await engine.close()
    assert engine.path.stat().st_size <= size
    assert len(engine.log.read(after=0, limit=1000)) * 20_000 <= MIB
    assert engine.log.last_position() == 301
    engine.log.close()


async def test_devices_do_not_wait_until_all_the_room_is_made(tmp_path: Path) -> None:
    engine = await an_engine(tmp_path)
    await keep(engine.northbound, [a_message(bytes(1_000))])
    await engine.close()
    copies = "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 20000)"
    columns = "count, kept_ms, newest_ms, tenants, heads, bundles, payloads"
    with closing(sqlite3.connect(engine.path)) as connection, connection:
        connection.execute(f"{copies} INSERT INTO kept SELECT i + 1, {columns} FROM n, kept")
        connection.execute(f"{copies} INSERT INTO kept_by_tenant SELECT 'acme', i + 1 FROM n")
    engine = await an_engine(tmp_path, retention_max_bytes=MIB)
    firsts = []
    for _ in range(200):
        await keep(engine.northbound, [a_message(b"now")])
        firsts.append(engine.log.read(after=0, limit=1)[0].position)
    assert len({first for first in firsts if first < 18_000}) > 3  # acknowledged in between, more than once
    await engine.close()
    assert engine.log.read(after=0, limit=1)[0].position > 18_000
    engine.log.close()


async def test_room_that_cannot_be_made_now_is_made_later(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    engine = await an_engine(tmp_path, retention_max_age_s=60.0, retention_interval_s=0.02, busy_timeout_s=0.1)
    await keep(engine.northbound, [a_message()] * 10)
    engine.hold()
    engine.clock.advance(1000.0)
    await until(lambda: "message-log.retention-failed" in caplog.messages)
    assert len(engine.log.read(after=0, limit=10)) == 10
    engine.release()
    engine.clock.advance(1000.0)
    await until(lambda: not engine.log.read(after=0, limit=1))
    await keep(engine.northbound, [a_message()])
    await engine.close()


async def test_a_reader_is_not_held_up_while_another_process_makes_room(tmp_path: Path) -> None:
    engine = await an_engine(tmp_path)
    await keep(engine.northbound, [a_message()] * 600)
    with closing(sqlite3.connect(engine.path, isolation_level=None)) as stranger:
        stranger.execute("BEGIN IMMEDIATE")
        stranger.execute("DELETE FROM kept WHERE last_position < 600")
        assert len(engine.log.read(after=0, limit=1000)) == 600  # at once, or it would raise
        stranger.execute("COMMIT")
    assert [kept.position for kept in engine.log.read(after=0, limit=1000)] == list(range(513, 601))
    await engine.close()


async def test_an_idle_engine_makes_room_too(tmp_path: Path) -> None:
    engine = await an_engine(tmp_path, retention_max_age_s=60.0, retention_interval_s=0.02)
    await keep(engine.northbound, [a_message()] * 10)
    engine.clock.advance(1000.0)
    await until(lambda: not engine.log.read(after=0, limit=1))
    await engine.close()


def index_rows(path: Path) -> list[tuple[str, int]]:
    with closing(sqlite3.connect(path)) as connection:
        return connection.execute("SELECT * FROM kept_by_tenant ORDER BY 1, 2").fetchall()
