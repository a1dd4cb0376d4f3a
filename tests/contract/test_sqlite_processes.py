"""Several processes on one registry database: nothing twice, nothing lost, nothing half done."""

import asyncio
import sqlite3
import sys
from asyncio.subprocess import PIPE, Process
from collections import Counter
from collections.abc import AsyncIterator
from contextlib import closing
from datetime import UTC, datetime
from pathlib import Path

import pytest

from kernel.ids import DeviceId
from storage.database import DATABASE_FILE
from storage.migrations.history import LATEST
from tests.support.stores import (
    DEED,
    TENANT,
    Heard,
    anchor,
    credentials_of,
    device,
    open_sqlite,
    put,
    rows_of_devices,
    tenant,
)
from tests.support.waiting import until

REPOSITORY = Path(__file__).parents[2]
FAR_FUTURE = datetime(2100, 1, 1, tzinfo=UTC)


class Children:
    """Processes of this test; none outlives it."""

    def __init__(self, data_dir: Path) -> None:
        self._data_dir = data_dir
        self._started: list[Process] = []

    async def start(self, program: str, name: str, count: int) -> Process:
        child = await asyncio.create_subprocess_exec(
            sys.executable,
            "-m",
            "tests.support.store_children",
            program,
            str(self._data_dir),
            name,
            str(count),
            cwd=REPOSITORY,
            stdin=PIPE,
            stdout=PIPE,
        )
        self._started.append(child)
        return child

    async def race(self, program: str, names: list[str], count: int) -> list[list[str]]:
        """Let them go when all are ready; return what each printed."""
        children = [await self.start(program, name, count) for name in names]
        for child in children:
            assert child.stdout is not None
            assert await child.stdout.readline() == b"ready\n"
        outputs = await asyncio.gather(*(child.communicate(b"go\n") for child in children))
        assert [child.returncode for child in children] == [0] * len(children)
        return [output.decode().splitlines() for output, _ in outputs]

    async def end(self) -> None:
        for child in self._started:
            if child.returncode is None:
                child.kill()
            await child.communicate()


@pytest.fixture
async def children(tmp_path: Path) -> AsyncIterator[Children]:
    started = Children(tmp_path)
    yield started
    await started.end()


def with_tenant(data_dir: Path) -> None:
    store = open_sqlite(data_dir)
    store.tenants.create(tenant(TENANT, anchor()), DEED)
    store.close()


async def test_two_processes_and_600_first_connections_of_one_certificate_make_one_device(
    tmp_path: Path, children: Children
) -> None:
    with_tenant(tmp_path)
    outputs = await children.race("race", ["left", "right"], 300)
    got = Counter(line for lines in outputs for line in lines)
    assert list(got.values()) == [600]
    store = open_sqlite(tmp_path)
    (device,) = store.devices.find_all(TENANT, after=None, limit=10)
    assert list(got) == [f"{device.device_id} {device.version}"]
    assert len(credentials_of(store, TENANT, device.device_id)) == 1
    assert len(rows_of_devices(store)) == 1
    assert len(await store.connect_path.due_notifications(before=FAR_FUTURE, limit=10)) == 1
    store.close()


async def test_a_limit_holds_over_two_processes(tmp_path: Path, children: Children) -> None:
    with_tenant(tmp_path)
    outputs = await children.race("strangers", ["left", "right"], 250)
    assert Counter(line for lines in outputs for line in lines) == {"made": 250, "device-limit-reached": 250}
    store = open_sqlite(tmp_path)
    assert len(store.devices.find_all(TENANT, after=None, limit=1000)) == 250
    assert await store.connect_path.count_devices(TENANT) == 250
    store.close()


async def test_a_limit_holds_for_operators_of_two_processes(tmp_path: Path, children: Children) -> None:
    with_tenant(tmp_path)
    outputs = await children.race("create", ["left", "right"], 40)
    assert Counter(line for lines in outputs for line in lines) == {"done": 40, "device-limit-reached": 40}
    store = open_sqlite(tmp_path)
    assert len(store.devices.find_all(TENANT, after=None, limit=1000)) == 40
    assert await store.connect_path.count_devices(TENANT) == 40
    store.close()


async def test_of_two_processes_that_edit_one_version_one_is_refused(tmp_path: Path, children: Children) -> None:
    with_tenant(tmp_path)
    store = open_sqlite(tmp_path)
    put(store, device("sensor-1"))
    store.close()
    outputs = await children.race("edit", ["left", "right"], 3)
    told = Counter(line for lines in outputs for line in lines)
    assert told == {
        f"{what} {outcome}": count
        for what in ("device", "tenant", "credentials")
        for outcome, count in (("done", 1), ("version-mismatch", 5))
    }


async def test_processes_that_start_at_the_same_time_migrate_once(children: Children) -> None:
    started = [await children.start("open", f"p{number}", 0) for number in range(4)]
    outputs = await asyncio.gather(*(child.communicate() for child in started))
    assert [child.returncode for child in started] == [0] * 4
    assert {output for output, _ in outputs} == {LATEST.encode() + b"\n"}


async def test_a_change_made_by_another_process_arrives_at_the_next_look(tmp_path: Path, children: Children) -> None:
    store = open_sqlite(tmp_path)
    heard = Heard(store.feed)
    child = await children.start("tenant", "theirs", 0)
    assert child.stdout is not None
    assert await child.stdout.readline() == b"created\n"
    store.feed.catch_up()
    assert [change.tenant for change in heard.changes] == [tenant("theirs")]
    store.close()


async def test_a_change_made_by_another_process_arrives_by_itself(tmp_path: Path, children: Children) -> None:
    store = open_sqlite(tmp_path)
    heard = Heard(store.feed)
    follower = asyncio.ensure_future(store.feed.run())
    await children.start("tenant", "theirs", 0)
    await until(lambda: heard.changes, within_s=30.0)
    assert [change.tenant for change in heard.changes] == [tenant("theirs")]
    follower.cancel()
    with pytest.raises(asyncio.CancelledError):
        await follower
    store.close()


@pytest.mark.parametrize("kill_after", [1, 150, 700])
async def test_nothing_that_was_returned_is_lost_when_the_process_is_killed(
    tmp_path: Path, children: Children, kill_after: int
) -> None:
    with_tenant(tmp_path)
    child = await children.start("stream", "s", 1_000_000)
    told: dict[str, set[str]] = {"made": set(), "marked": set()}
    assert child.stdout is not None
    lines = 0
    while line := await child.stdout.readline():
        if line.endswith(b"\n"):
            what, device_id = line.decode().split()
            told[what].add(device_id)
        lines += 1
        if lines == kill_after:
            child.kill()
    assert await child.wait() == -9
    assert_consistent(tmp_path / DATABASE_FILE)
    store = open_sqlite(tmp_path)
    for device_id in told["made"]:
        found = store.devices.find(TENANT, DeviceId(device_id))
        assert found is not None
        assert found.status.notification_sent or device_id not in told["marked"]
        assert [held.auth_id for held in credentials_of(store, TENANT, found.device_id)] == [f"CN={device_id}"]
    store.close()


def assert_consistent(path: Path) -> None:
    """No device without its credential, credential without its device, or audit row without either."""
    with closing(sqlite3.connect(path)) as connection:

        def number(query: str) -> int:
            return int(connection.execute(query).fetchone()[0])

        assert connection.execute("PRAGMA integrity_check").fetchall() == [("ok",)]
        assert connection.execute("PRAGMA foreign_key_check").fetchall() == []
        devices = number("SELECT count(*) FROM devices")
        assert devices > 0
        assert number("SELECT count(*) FROM credentials JOIN devices USING (tenant_id, device_id)") == devices
        assert number("SELECT count(*) FROM audit JOIN devices USING (tenant_id, device_id)") == devices
        assert number("SELECT devices FROM device_counts") == devices


async def test_a_full_disk_is_told_by_name_and_does_not_end_the_process(tmp_path: Path, children: Children) -> None:
    with_tenant(tmp_path)
    child = await children.start("fill", "s", 8192)
    output, _ = await child.communicate()
    lines = output.decode().splitlines()
    assert child.returncode == 0
    assert lines[:3] == ["room s-room-0", "room s-room-1", "lookup found"]
    assert all(line.startswith("full storage-unavailable: database: ") for line in lines[3:5])
    assert lines[5:] == ["lookup found", "room-again s-room-again-0", "room-again s-room-again-1", "lookup found"]
    assert_consistent(tmp_path / DATABASE_FILE)
