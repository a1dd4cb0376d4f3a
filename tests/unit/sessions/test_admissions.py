"""Who must wait for the verdict of admission, and who need not."""

import asyncio
import logging
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest

from adapters.admission.admission import Admitted, Undecided
from adapters.admission.evidence import Evidence
from adapters.sessions.admissions import Admissions
from adapters.sessions.errors import AdmissionsFull, ShuttingDown
from kernel.ids import AuthId, TenantId
from registry.errors import DeviceDisabled, StorageUnavailable
from registry.model import KnownDevice
from tests.support.certificates import Issued, make_ca
from tests.support.domain import ACME, World, an_anchor, build_world
from tests.support.stores import DEED, deed_at
from tests.support.waiting import until


@pytest.fixture
def ca() -> Issued:
    return make_ca("CN=CA,O=Acme")


@pytest.fixture
def world(ca: Issued) -> World:
    world = build_world()
    world.put_tenant("acme", an_anchor(ca, may_auto_provision=True))
    return world


class Verdicts:
    """What admissions said, in order."""

    def __init__(self) -> None:
        self.heard: list[Admitted | Exception | None] = []

    def __call__(self, admitted: Admitted | None, error: Exception | None) -> None:
        self.heard.append(error or admitted)


@asynccontextmanager
async def running(world: World, *, admissions_max: int = 10) -> AsyncIterator[Admissions]:
    admissions = Admissions(admission=world.admission, admissions_max=admissions_max)
    task = asyncio.create_task(admissions.run())
    await until(lambda: admissions.is_open)
    try:
        yield admissions
    finally:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)


async def test_a_known_device_is_admitted_without_a_task_and_told_later(world: World, ca: Issued) -> None:
    evidence = world.evidence(ca.issue("CN=dev-1"))
    first = await world.admission.admit(evidence)
    verdicts = Verdicts()
    async with running(world) as admissions:
        tasks = asyncio.all_tasks()
        admissions.begin(evidence, verdicts)
        assert asyncio.all_tasks() == tasks and verdicts.heard == []
        await until(lambda: verdicts.heard)
    [admitted] = verdicts.heard
    assert isinstance(admitted, Admitted) and first is not None and admitted.device_id == first.device_id


async def test_only_who_has_to_wait_is_counted(world: World, ca: Issued) -> None:
    known, stranger, other = (world.evidence(ca.issue(f"CN=dev-{number}")) for number in range(3))
    await world.admission.admit(known)
    world.northbound.hold()
    verdicts = Verdicts()
    async with running(world, admissions_max=1) as admissions:
        for _ in range(3):
            admissions.begin(known, verdicts)
        admissions.begin(stranger, verdicts)
        with pytest.raises(AdmissionsFull):
            admissions.begin(other, verdicts)
        await until(lambda: len(verdicts.heard) == 3 and world.northbound.pending)
        world.northbound.release()
        await until(lambda: len(verdicts.heard) == 4)
        admissions.begin(other, verdicts)
        await until(lambda: len(verdicts.heard) == 5)
    assert [isinstance(heard, Admitted) and heard.provisioned for heard in verdicts.heard] == [False] * 3 + [True] * 2


async def test_a_refusal_is_the_verdict_and_is_recorded_once(world: World, ca: Issued) -> None:
    evidence = world.evidence(ca.issue("CN=dev-1"))
    admitted = await world.admission.admit(evidence)
    assert admitted is not None
    world.store.devices.set_enabled(ACME, [admitted.device_id], deed_at(world.clock.now()), enabled=False)
    verdicts = Verdicts()
    async with running(world) as admissions:
        admissions.begin(evidence, verdicts)
        await until(lambda: verdicts.heard)
    assert isinstance(verdicts.heard[0], DeviceDisabled)
    assert [row.code for row in world.store.audit.read(after=0, limit=9, what="device.refused")] == ["device-disabled"]


async def test_a_registry_that_must_be_waited_for_is_waited_for(
    world: World, ca: Issued, monkeypatch: pytest.MonkeyPatch
) -> None:
    def not_at_once(tenant_id: TenantId, type_: str, auth_id: AuthId) -> KnownDevice:
        raise StorageUnavailable("over a network")

    evidence = world.evidence(ca.issue("CN=dev-1"))
    await world.admission.admit(evidence)
    read = world.store.connect_path.find_by_credential_now

    async def in_time(tenant_id: TenantId, type_: str, auth_id: AuthId) -> KnownDevice | None:
        await asyncio.sleep(0)
        return read(tenant_id, type_, auth_id)

    monkeypatch.setattr(world.store.connect_path, "find_by_credential_now", not_at_once)
    monkeypatch.setattr(world.store.connect_path, "find_by_credential", in_time)
    assert isinstance(world.admission.decide(evidence), Undecided)
    verdicts = Verdicts()
    async with running(world) as admissions:
        admissions.begin(evidence, verdicts)
        await until(lambda: verdicts.heard)
    assert isinstance(verdicts.heard[0], Admitted)


async def test_what_comes_to_be_known_before_a_verdict_is_told_counts_for_it(world: World, ca: Issued) -> None:
    """No session is there yet that the change could end."""
    evidence = world.evidence(ca.issue("CN=dev-1"))
    admitted = await world.admission.admit(evidence)
    assert admitted is not None
    verdicts = Verdicts()
    async with running(world) as admissions:
        admissions.begin(evidence, verdicts)
        world.store.devices.set_enabled(ACME, [admitted.device_id], deed_at(world.clock.now()), enabled=False)
        world.store.feed.catch_up()  # as the next connection's admission does, in the same turn of the loop
        await until(lambda: verdicts.heard)
        world.store.devices.set_enabled(ACME, [admitted.device_id], deed_at(world.clock.now()), enabled=True)
        admissions.begin(evidence, verdicts)
        world.store.devices.delete(ACME, admitted.device_id, DEED, expected_version=None)
        world.store.feed.catch_up()
        await until(lambda: len(verdicts.heard) == 2)
    disabled, anew = verdicts.heard
    assert isinstance(disabled, DeviceDisabled)
    assert isinstance(anew, Admitted) and anew.provisioned and anew.device_id != admitted.device_id


async def test_what_changes_before_a_verdict_is_told_is_not_waited_for_after_the_end(world: World, ca: Issued) -> None:
    evidence = world.evidence(ca.issue("CN=dev-1"))
    admitted = await world.admission.admit(evidence)
    assert admitted is not None
    verdicts = Verdicts()
    admissions = Admissions(admission=world.admission, admissions_max=1)
    task = asyncio.create_task(admissions.run())
    await until(lambda: admissions.is_open)
    task.cancel()  # takes effect before what is called soon from here on
    admissions.begin(evidence, verdicts)
    world.store.devices.delete(ACME, admitted.device_id, DEED, expected_version=None)
    world.store.feed.catch_up()
    await asyncio.gather(task, return_exceptions=True)
    await until(lambda: verdicts.heard)
    assert isinstance(verdicts.heard[0], ShuttingDown)


@pytest.mark.parametrize("waits", [False, True])
async def test_a_defect_is_logged_and_told(
    world: World, ca: Issued, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture, waits: bool
) -> None:
    def decide(evidence: Evidence) -> Undecided:
        if waits:
            return Undecided(evidence=evidence, finding=None)
        raise LookupError("a defect")

    async def conclude(undecided: Undecided) -> Admitted:
        raise LookupError("a defect")

    monkeypatch.setattr(world.admission, "decide", decide)
    monkeypatch.setattr(world.admission, "conclude", conclude)
    verdicts = Verdicts()
    async with running(world) as admissions:
        admissions.begin(world.evidence(ca.issue("CN=dev-1")), verdicts)
        await until(lambda: verdicts.heard)
    assert isinstance(verdicts.heard[0], LookupError)
    [record] = [record for record in caplog.records if record.levelno == logging.ERROR]
    assert record.getMessage() == "admission.failed" and record.exc_info is not None


async def test_nobody_is_admitted_before_it_runs_or_after(world: World, ca: Issued) -> None:
    async with running(world) as admissions:
        pass
    with pytest.raises(ShuttingDown):
        admissions.begin(world.evidence(ca.issue("CN=dev-1")), Verdicts())
