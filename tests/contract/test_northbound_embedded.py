"""What the embedded engine adds to the contract: grouping, its own bounds, failures of the disk, closing."""

import asyncio
import logging
import os
import sqlite3
import stat
from collections.abc import Callable
from contextlib import closing
from pathlib import Path

import pytest

from conf.messaging import MessagingSettings
from kernel.clock import ManualClock
from messaging.drivers.embedded import EmbeddedNorthbound
from messaging.drivers.embedded_file import SCHEMA_VERSION, open_log
from messaging.drivers.embedded_reader import EmbeddedLog
from messaging.errors import LogTooNew, LogTooOld, LogUnavailable, NorthboundUnavailable
from tests.support.message_engines import DEADLINE_S, EmbeddedEngine, keep, until
from tests.support.messages import Outcomes, a_bundle, a_message


def a_northbound_at(path: Path, **settings: float) -> EmbeddedNorthbound:
    return EmbeddedNorthbound(
        path=path,
        settings=MessagingSettings(**settings),  # type: ignore[arg-type]
        clock=ManualClock(),
        loop=asyncio.get_running_loop(),
    )


def commits_in(path: Path) -> list[int]:
    """How many messages each commit holds, while all are of less than one group."""
    with closing(sqlite3.connect(path)) as connection:
        return [row[0] for row in connection.execute("SELECT count FROM kept ORDER BY last_position")]


def change(path: Path, statement: str) -> None:
    with closing(sqlite3.connect(path, isolation_level=None)) as connection:
        connection.execute(statement)


async def test_messages_of_one_turn_of_the_loop_share_one_commit(tmp_path: Path) -> None:
    engine = EmbeddedEngine(path=tmp_path / "log.db", settings=MessagingSettings())
    await keep(engine.northbound, [a_message()] * 100)
    assert commits_in(engine.path) == [100]
    await engine.close()


async def test_a_message_alone_does_not_wait_for_company(tmp_path: Path) -> None:
    engine = EmbeddedEngine(path=tmp_path / "log.db", settings=MessagingSettings(group_wait_max_ms=600_000.0))
    for _ in range(3):
        await keep(engine.northbound, [a_message()])
    assert commits_in(engine.path) == [1, 1, 1]
    await engine.close()


async def test_under_load_a_commit_waits_until_as_many_messages_are_there_as_were_in_flight(tmp_path: Path) -> None:
    engine = EmbeddedEngine(path=tmp_path / "log.db", settings=MessagingSettings(group_wait_max_ms=600_000.0))
    await keep(engine.northbound, [a_message()] * 10)
    outcomes = Outcomes()
    for name in range(10):
        assert outcomes.seen == []
        engine.northbound.submit(a_bundle(), outcomes.of(name))
        for _ in range(20):
            await asyncio.sleep(0)
    await until(lambda: len(outcomes.seen) == 10)
    assert commits_in(engine.path) == [10, 10]
    await engine.close()


async def test_when_less_company_comes_than_expected_the_wait_ends_by_itself(tmp_path: Path) -> None:
    engine = EmbeddedEngine(path=tmp_path / "log.db", settings=MessagingSettings(group_wait_max_ms=5.0))
    await keep(engine.northbound, [a_message()] * 10)
    await keep(engine.northbound, [a_message()] * 4)
    assert commits_in(engine.path) == [10, 4]
    await engine.close()


async def test_payload_bytes_waiting_are_bounded_too(tmp_path: Path) -> None:
    settings = MessagingSettings(pending_max_bytes=100_000)
    engine = EmbeddedEngine(path=tmp_path / "log.db", settings=settings)
    engine.hold()
    outcomes = Outcomes()
    for name, size in (("fits", 60_000), ("too much", 60_000), ("fits still", 40_000), ("one byte more", 1)):
        engine.northbound.submit(a_bundle(bytes(size)), outcomes.of(name))
    engine.northbound.submit(a_bundle(None), outcomes.of("nothing"))
    engine.release()
    await until(lambda: len(outcomes.seen) == 5)
    assert [(name, reason is None) for name, reason in outcomes.seen] == [
        ("fits", True),
        ("too much", False),
        ("fits still", True),
        ("one byte more", False),
        ("nothing", True),
    ]
    await keep(engine.northbound, [a_message(bytes(100_000))])
    await engine.close()


async def test_a_batch_at_the_writer_counts_towards_the_bound(tmp_path: Path) -> None:
    settings = MessagingSettings(pending_max_messages=2, pending_max_bytes=100_000)
    engine = EmbeddedEngine(path=tmp_path / "log.db", settings=settings)
    engine.hold()
    outcomes = Outcomes()
    engine.northbound.submit(a_bundle(bytes(60_000)), outcomes.of("at the writer"))
    for _ in range(5):
        await asyncio.sleep(0)
    engine.northbound.submit(a_bundle(bytes(60_000)), outcomes.of("bytes"))
    engine.northbound.submit(a_bundle(), outcomes.of("second"))
    engine.northbound.submit(a_bundle(), outcomes.of("third"))
    engine.release()
    await until(lambda: len(outcomes.seen) == 4)
    assert [name for name, reason in outcomes.seen if reason is None] == ["at the writer", "second"]
    await engine.close()


async def test_one_message_that_cannot_be_written_harms_no_other(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    engine = EmbeddedEngine(path=tmp_path / "log.db", settings=MessagingSettings())
    outcomes = Outcomes()
    with caplog.at_level(logging.ERROR):
        engine.northbound.submit(a_bundle(b"1"), outcomes.of(1))
        engine.northbound.submit(a_bundle(b"2", properties={"raw": b"bytes"}), outcomes.of(2))
        engine.northbound.submit(a_bundle(b"3"), outcomes.of(3))
        await until(lambda: len(outcomes.seen) == 3)
    assert [(name, type(reason)) for name, reason in outcomes.seen] == [
        (1, type(None)),
        (2, NorthboundUnavailable),
        (3, type(None)),
    ]
    assert [kept.message.payload for kept in engine.log.read(after=0, limit=10)] == [b"1", b"3"]
    assert [record.message for record in caplog.records] == ["message.unwritable"]
    await engine.close()


async def test_an_envelope_that_is_enormous_counts_towards_the_bound(tmp_path: Path) -> None:
    engine = EmbeddedEngine(path=tmp_path / "log.db", settings=MessagingSettings(pending_max_bytes=65_536))
    outcomes = Outcomes()
    for name in range(3):
        engine.northbound.submit(a_bundle(properties={"orig_address": "x" * 30_000}), outcomes.of(name))
    await until(lambda: len(outcomes.seen) == 3)
    assert [name for name, reason in outcomes.seen if reason is None] == [0, 1]
    await engine.close()


async def test_a_bundle_too_large_for_one_row_lies_in_several_and_reads_as_if_it_did_not(tmp_path: Path) -> None:
    engine = EmbeddedEngine(path=tmp_path / "log.db", settings=MessagingSettings())
    outcomes = Outcomes()
    engine.northbound.submit(a_bundle(*[b"%d" % number for number in range(600)]), outcomes.of("many"))
    engine.northbound.submit(a_bundle(*[bytes(100_000)] * 5), outcomes.of("much"))
    await until(lambda: len(outcomes.seen) == 2)
    assert outcomes.reasons == [None, None]
    assert commits_in(engine.path) == [256, 256, 88 + 2, 2, 1]
    kept = engine.log.read(after=500, limit=200)
    assert [each.position for each in kept] == list(range(501, 606))
    assert [each.message.payload for each in kept[:100]] == [b"%d" % number for number in range(500, 600)]
    await engine.close()


async def test_a_write_that_fails_refuses_its_batch_and_the_next_one_is_kept(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO)
    engine = EmbeddedEngine(path=tmp_path / "log.db", settings=MessagingSettings(busy_timeout_s=0.1))
    engine.hold()
    outcomes = Outcomes()
    for turn in range(2):
        engine.northbound.submit(a_bundle(b"lost"), outcomes.of(1))
        engine.northbound.submit(a_bundle(b"lost"), outcomes.of(2))
        await until(lambda: len(outcomes.seen) == 2 * (turn + 1))  # noqa: B023 - called in this turn only
    assert [type(reason) for reason in outcomes.reasons] == [NorthboundUnavailable] * 4
    engine.release()
    await keep(engine.northbound, [a_message(b"kept")])
    assert [r.message for r in caplog.records] == ["message-log.write-failed", "message-log.write-recovered"]
    assert [kept.message.payload for kept in engine.log.read(after=0, limit=10)] == [b"kept"]
    await engine.close()


async def test_closing_keeps_and_acknowledges_what_is_pending(tmp_path: Path) -> None:
    engine = EmbeddedEngine(path=tmp_path / "log.db", settings=MessagingSettings(group_wait_max_ms=600_000.0))
    await keep(engine.northbound, [a_message()] * 10)
    outcomes = Outcomes()
    engine.hold()
    for name in range(5):
        engine.northbound.submit(a_bundle(), outcomes.of(name))
        for _ in range(5):
            await asyncio.sleep(0)
    closing_ = asyncio.ensure_future(engine.northbound.close(deadline_s=DEADLINE_S))
    await asyncio.sleep(0)
    engine.northbound.submit(a_bundle(), outcomes.of("while closing"))
    engine.release()
    await closing_
    engine.northbound.submit(a_bundle(), outcomes.of("after"))
    await until(lambda: len(outcomes.seen) == 7)
    assert outcomes.names == [0, 1, 2, 3, 4, "while closing", "after"]
    assert outcomes.reasons[:5] == [None] * 5
    assert [str(reason) for reason in outcomes.reasons[5:]] == ["the engine is closed"] * 2
    assert engine.log.last_position() == 15
    await engine.close()


async def test_closing_gives_up_at_its_deadline_and_says_so(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    engine = EmbeddedEngine(path=tmp_path / "log.db", settings=MessagingSettings())
    outcomes = Outcomes()
    engine.hold()
    engine.northbound.submit(a_bundle(), outcomes.of("at the writer"))
    for _ in range(5):
        await asyncio.sleep(0)
    engine.northbound.submit(a_bundle(), outcomes.of("waiting"))
    with caplog.at_level(logging.ERROR):
        await engine.northbound.close(deadline_s=0.05)
    assert outcomes.names == ["at the writer", "waiting"]
    assert [type(reason) for reason in outcomes.reasons] == [NorthboundUnavailable] * 2
    assert [record.message for record in caplog.records] == ["message-log.close-timed-out"]
    engine.release()
    await until(lambda: engine.log.last_position() == 1)  # the writer finishes by itself; nobody is told again
    assert len(outcomes.seen) == 2
    await engine.close()


async def test_closing_what_never_started_refuses_what_was_submitted(tmp_path: Path) -> None:
    northbound, outcomes = a_northbound_at(tmp_path / "log.db"), Outcomes()
    northbound.submit(a_bundle(), outcomes.of(1))
    await northbound.close(deadline_s=DEADLINE_S)
    assert [type(reason) for reason in outcomes.reasons] == [NorthboundUnavailable]


async def test_the_logs_files_are_readable_by_their_owner_only(tmp_path: Path) -> None:
    engine = EmbeddedEngine(path=tmp_path / "log.db", settings=MessagingSettings())
    await keep(engine.northbound, [a_message()])
    files = {entry.name: stat.S_IMODE(entry.stat().st_mode) for entry in os.scandir(tmp_path)}
    assert files == {"log.db": 0o600, "log.db-wal": 0o600, "log.db-shm": 0o600}
    await engine.close()


async def test_positions_go_on_after_a_restart(tmp_path: Path) -> None:
    for turn in range(3):
        engine = EmbeddedEngine(path=tmp_path / "log.db", settings=MessagingSettings())
        await keep(engine.northbound, [a_message()] * 2)
        assert engine.log.last_position() == (turn + 1) * 2
        await engine.close()


async def test_every_commit_is_flushed_to_the_disk(tmp_path: Path) -> None:
    northbound = a_northbound_at(tmp_path / "log.db")
    northbound.start()
    await northbound.close(deadline_s=DEADLINE_S)
    with closing(open_log(tmp_path / "log.db", busy_timeout_s=1.0)) as connection:
        assert connection.execute("PRAGMA synchronous").fetchone() == (2,)
        assert connection.execute("PRAGMA journal_mode").fetchone() == ("wal",)


@pytest.mark.parametrize(
    "open_it",
    [
        lambda path: a_northbound_at(path).start(),
        lambda path: EmbeddedLog(path=path, clock=ManualClock()).last_position(),
    ],
    ids=["writer", "reader"],
)
class TestRefusals:
    async def test_a_later_releases_log_is_refused_and_left_alone(
        self, tmp_path: Path, open_it: Callable[[Path], object]
    ) -> None:
        path = tmp_path / "log.db"
        northbound = a_northbound_at(path)
        northbound.start()
        await northbound.close(deadline_s=DEADLINE_S)
        change(path, f"PRAGMA user_version = {SCHEMA_VERSION + 1}")
        before = path.read_bytes()
        with pytest.raises(LogTooNew, match="schema 3, this release knows 2") as refusal:
            open_it(path)
        assert refusal.value.code == "log-too-new"
        assert path.read_bytes() == before

    async def test_an_earlier_releases_log_is_refused_and_left_alone(
        self, tmp_path: Path, open_it: Callable[[Path], object]
    ) -> None:
        path = tmp_path / "log.db"
        northbound = a_northbound_at(path)
        northbound.start()
        await northbound.close(deadline_s=DEADLINE_S)
        change(path, "PRAGMA user_version = 1")
        before = path.read_bytes()
        with pytest.raises(LogTooOld, match="schema 1, this release knows 2: .* move it away") as refusal:
            open_it(path)
        assert refusal.value.code == "log-too-old"
        assert path.read_bytes() == before

    async def test_another_programs_database_is_refused(
        self, tmp_path: Path, open_it: Callable[[Path], object]
    ) -> None:
        path = tmp_path / "log.db"
        change(path, "CREATE TABLE theirs (id)")
        with pytest.raises(LogUnavailable, match="not a message log"):
            open_it(path)

    async def test_a_file_that_is_no_database_is_refused(
        self, tmp_path: Path, open_it: Callable[[Path], object]
    ) -> None:
        path = tmp_path / "log.db"
        path.write_bytes(b"anything else " * 1000)
        with pytest.raises(LogUnavailable, match="not a database"):
            open_it(path)


async def test_a_log_in_a_directory_that_is_not_there_is_refused_by_name(tmp_path: Path) -> None:
    with pytest.raises(LogUnavailable, match="nowhere"):
        a_northbound_at(tmp_path / "nowhere" / "log.db").start()
