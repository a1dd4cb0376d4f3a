"""What the gateway stands on gives way: a locked database, a full disk, a sister process killed or stopped.

Nothing is acknowledged that is not kept, nobody who needs none of it is disturbed, and it heals by itself.
"""

import asyncio
import resource
import signal
import sqlite3
from collections.abc import Iterator
from contextlib import closing, contextmanager, suppress
from pathlib import Path

import pytest

from tests.support.certificates import Issued, make_ca
from tests.support.fleet import (
    CoapDevice,
    HandshakeRefused,
    HttpDevice,
    MqttDevice,
    announced,
    defects,
    open_mqtt,
    present,
    serves,
    tls_context,
    unpaired_rows,
)
from tests.support.gateway import RunningGateway, running_gateway
from tests.support.waiting import until, until_blocking

TENANT = "acme"
ACCEPTED, SERVER_UNAVAILABLE = 0, 3
ROOM_BYTES = 16_384  # left on the disk


@pytest.fixture
def ca() -> Issued:
    return make_ca("CN=CA")


@pytest.fixture
def gateway(tmp_path: Path, ca: Issued) -> Iterator[RunningGateway]:
    quick = {"storage": {"busy_timeout_s": 0.5}, "registry": {"notification_retry_s": 0.2}}
    with running_gateway(tmp_path, **quick) as running:
        running.trust(TENANT, ca, may_auto_provision=True)
        yield running


@contextmanager
def locked(database: Path) -> Iterator[None]:
    """Nobody else can write to it."""
    with closing(sqlite3.connect(database, timeout=10, isolation_level=None)) as connection:
        connection.execute("BEGIN IMMEDIATE")
        try:
            yield
        finally:
            connection.execute("ROLLBACK")


@contextmanager
def full_disk(gateway: RunningGateway) -> Iterator[None]:
    """No file of the process may grow much beyond the longest it has."""
    longest = max(path.stat().st_size for path in gateway.data_dir.iterdir())
    pid = gateway.process.pid
    _, hard = resource.prlimit(pid, resource.RLIMIT_FSIZE)
    resource.prlimit(pid, resource.RLIMIT_FSIZE, (longest + ROOM_BYTES, hard))
    try:
        yield
    finally:
        resource.prlimit(pid, resource.RLIMIT_FSIZE, (hard, hard))


async def test_a_locked_registry_keeps_strangers_out_for_a_while_and_nobody_else(
    gateway: RunningGateway, ca: Issued
) -> None:
    known = await open_mqtt(gateway, ca.issue("CN=known"))
    async with present(known):
        with locked(gateway.data_dir / "registry.db"):
            strangers = [await MqttDevice.open(gateway, ca.issue(f"CN=stranger-{number}")) for number in range(10)]
            async with present(*strangers):
                asked = asyncio.gather(*(stranger.connect() for stranger in strangers))
                served = 0
                while not asked.done():
                    assert await known.say(b"not concerned")
                    served += 1
                assert served >= 10
                assert await asked == [SERVER_UNAVAILABLE] * 10
            again = await open_mqtt(gateway, ca.issue("CN=known"))
            async with present(again):
                assert await again.say(b"on record, hence welcome")
        for number in range(10):
            stranger = await open_mqtt(gateway, ca.issue(f"CN=stranger-{number}"))
            async with present(stranger):
                assert await stranger.say(b"at the second try")
    assert len(gateway.device_ids(TENANT)) == 11
    assert unpaired_rows(gateway) == []


async def test_a_locked_message_log_delays_acknowledgements_and_loses_nothing(
    gateway: RunningGateway, ca: Issued
) -> None:
    mqtt = await open_mqtt(gateway, ca.issue("CN=mqtt"))
    http = await HttpDevice.open(gateway, ca.issue("CN=http"))
    coap = await CoapDevice.open(gateway, ca.issue("CN=coap"))
    async with present(mqtt, http, coap):
        for device in (mqtt, http, coap):
            assert await device.say(b"before")
        with locked(gateway.data_dir / "log.db"):
            waiting = [asyncio.ensure_future(device.say(b"while locked")) for device in (mqtt, http, coap)]
            other = await open_mqtt(gateway, ca.issue("CN=http"))  # on record: connecting keeps no message
            async with present(other):
                await other.ping()
            assert not any(answer.done() for answer in waiting)
        assert await asyncio.gather(*waiting) == [True, True, True]
    assert gateway.payloads().count(b"while locked") == 3
    assert defects(gateway) == []


async def test_on_a_full_disk_nothing_is_acknowledged_and_room_again_heals(gateway: RunningGateway, ca: Issued) -> None:
    context = tls_context(gateway, ca.issue("CN=writer"))
    acknowledged: list[bytes] = []
    refused = 0
    with full_disk(gateway):
        async with asyncio.timeout(30):
            for number in range(2_000):
                payload = b"%d " % number + b"x" * 1_000
                http = await HttpDevice.open(gateway, context)
                async with present(http):
                    status = await http.post(payload)
                assert status in (202, 503)
                if status == 202:
                    acknowledged.append(payload)
                else:
                    refused += 1
                if refused == 5:
                    break
        assert refused == 5
        writer = await MqttDevice.open(gateway, context)
        async with present(writer):
            assert await writer.connect() == ACCEPTED
            with suppress(EOFError):
                if await writer.publish(b"y" * 1_000) == 0:
                    acknowledged.append(b"y" * 1_000)
        stranger = await MqttDevice.open(gateway, ca.issue("CN=stranger"))
        async with present(stranger):
            assert await stranger.connect() in (ACCEPTED, SERVER_UNAVAILABLE)  # the registry may have room yet
    await until_served(gateway, ca)
    kept = gateway.payloads()
    assert set(acknowledged) <= set(kept)
    assert len(kept) == len(set(kept))
    assert unpaired_rows(gateway) == []
    complaints = [line for line in defects(gateway) if '"traceback"' in line]
    assert complaints == []  # a full disk is told in words


async def until_served(gateway: RunningGateway, ca: Issued) -> None:
    async with asyncio.timeout(15):
        while True:
            try:
                await serves(gateway, ca.issue("CN=healed"))
                return
            except (AssertionError, EOFError):
                continue


async def test_a_process_killed_in_a_storm_leaves_its_announcements_to_the_other(
    gateway: RunningGateway, ca: Issued
) -> None:
    other = gateway.another()
    contexts = [tls_context(gateway, ca.issue(f"CN=stranger-{number}")) for number in range(100)]
    bystander = await open_mqtt(other, ca.issue("CN=bystander"))
    accepted = 0

    async def connect(number: int) -> None:
        nonlocal accepted
        with suppress(EOFError, HandshakeRefused, OSError):
            device = await MqttDevice.open(gateway, contexts[number])
            async with present(device):
                if await device.connect() == ACCEPTED:
                    accepted += 1
                    if accepted == 1:
                        gateway.process.send_signal(signal.SIGKILL)

    async with present(bystander):
        await asyncio.gather(*(connect(number) for number in range(100)))
        assert gateway.process.wait(10) == -signal.SIGKILL
        assert await bystander.say(b"undisturbed")
    on_record = set(gateway.device_ids(TENANT))
    assert len(on_record) >= 2
    until_blocking(lambda: on_record <= set(announced(gateway, TENANT)), every_s=0.1)
    await serves(other, ca.issue("CN=good"))
    assert unpaired_rows(gateway) == []
    assert defects(other) == []


async def test_a_process_that_stands_still_holds_up_nobody_at_the_other(gateway: RunningGateway, ca: Issued) -> None:
    other = gateway.another()
    left = await open_mqtt(gateway, ca.issue("CN=left"))
    async with present(left):
        gateway.process.send_signal(signal.SIGSTOP)
        try:
            for number in range(5):
                await serves(other, ca.issue(f"CN=stranger-{number}"))
        finally:
            gateway.process.send_signal(signal.SIGCONT)
        assert await left.say(b"after the pause")
    await until(lambda: len(gateway.device_ids(TENANT)) == 6)
    assert defects(other) == []
