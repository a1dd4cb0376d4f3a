"""Nothing acknowledged is lost when the process that acknowledged it is killed."""

import asyncio
import itertools
import random
import subprocess
import sys
from asyncio.subprocess import Process
from collections import Counter
from pathlib import Path
from subprocess import PIPE

from kernel.clock import ManualClock
from messaging.drivers.embedded_reader import EmbeddedLog
from messaging.message import KeptMessage
from tests.support.message_children import BUNDLE_SIZES

REPOSITORY = Path(__file__).parents[2]
NEVER_REACHED = 1_000_000
ROUNDS = 10


def command(program: str, path: Path, name: str, count: int) -> list[str]:
    return [sys.executable, "-m", "tests.support.message_children", program, str(path), name, str(count)]


async def start_child(program: str, path: Path, name: str, count: int) -> Process:
    return await asyncio.create_subprocess_exec(*command(program, path, name, count), cwd=REPOSITORY, stdout=PIPE)


def acknowledged_until_killed(path: Path, name: str, kill_after: int) -> list[int]:
    """Kill a submitting process without warning after that many acknowledgements; all that were made, in order.

    The pipe is read as it fills and the kill follows at once, so that it falls into the middle of a batch.
    """
    output = b""
    with subprocess.Popen(
        command("submit", path, name, NEVER_REACHED), cwd=REPOSITORY, stdout=PIPE, bufsize=0
    ) as child:
        assert child.stdout is not None
        lines = 0
        while chunk := child.stdout.read(65_536):
            lines += chunk.count(b"\n")
            if lines >= kill_after:
                child.kill()
            output += chunk
    assert child.returncode == -9
    whole, _, _ = output.rpartition(b"\n")
    return [int(line) for line in whole.split()]


def everything_in(path: Path) -> list[KeptMessage]:
    log = EmbeddedLog(path=path, clock=ManualClock())
    found: list[KeptMessage] = []
    while kept := log.read(after=found[-1].position if found else 0, limit=5_000):
        found += kept
    log.close()
    return found


def numbers_of(kept: list[KeptMessage], name: str) -> list[int]:
    return [int(each.message.payload or b"") for each in kept if each.message.device_id == name]


def test_every_acknowledged_message_survives_kill_9_in_order_and_none_twice(tmp_path: Path) -> None:
    path = tmp_path / "log.db"
    acknowledged: dict[str, list[int]] = {}
    for turn in range(ROUNDS):
        name = f"turn-{turn}"
        acknowledged[name] = acknowledged_until_killed(path, name, kill_after=random.randint(1, 5_000))
    kept = everything_in(path)
    positions = [each.position for each in kept]
    assert positions == sorted(set(positions))
    for name, numbers in acknowledged.items():
        in_log = numbers_of(kept, name)
        assert numbers == list(range(len(numbers)))  # acknowledged in the order of submission
        assert in_log[: len(numbers)] == numbers  # every one of them is there
        assert in_log == list(range(len(in_log)))  # what was kept beyond them has no gap and nothing twice
        assert len(in_log) % sum(BUNDLE_SIZES) in {0, *itertools.accumulate(BUNDLE_SIZES)}  # nor is a bundle cut


async def test_two_processes_writing_one_log_lose_nothing_and_keep_their_order(tmp_path: Path) -> None:
    path, count = tmp_path / "log.db", 10_000
    names = ["left", "right"]
    children = [await start_child("submit", path, name, count) for name in names]
    for child, (output, _) in zip(children, await asyncio.gather(*[c.communicate() for c in children]), strict=True):
        assert child.returncode == 0
        assert [int(line) for line in output.split()] == list(range(count))
    kept = everything_in(path)
    assert Counter(each.message.device_id for each in kept) == {name: count for name in names}
    assert [each.position for each in kept] == list(range(1, 2 * count + 1))
    for name in names:
        assert numbers_of(kept, name) == list(range(count))


async def test_a_full_disk_refuses_messages_and_room_again_keeps_them(tmp_path: Path) -> None:
    child = await start_child("fill", tmp_path / "log.db", "sensor", 100_000)
    output, _ = await child.communicate()
    assert child.returncode == 0
    assert output.decode().splitlines() == (
        ["room: kept"] * 2 + ["full: northbound-unavailable"] * 2 + ["room again: kept"] * 2
    )
    stages = [(each.message.payload or b"").rstrip(b"\0").decode() for each in everything_in(tmp_path / "log.db")]
    assert stages == ["room", "room", "room again", "room again"]
