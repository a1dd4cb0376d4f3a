"""What every driver of `registry.ports.AuditRepository` finds, in which order, and what it lets go."""

from collections.abc import AsyncIterator
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from kernel.ids import DeviceId, TenantId
from tenant.audit import AuditRow, Deed
from tests.support.stores import DRIVERS, NOW, AnyStore, device, opened, tenant
from tests.support.waiting import until


def deed(second: int, actor: str) -> Deed:
    return Deed(actor=actor, moment=NOW + timedelta(seconds=second), remote="192.0.2.1")


async def refused(store: AnyStore, second: int, what: str, **members: Any) -> None:
    written = store.audit.last_position() + 1
    store.connect_path.record(AuditRow(moment=NOW + timedelta(seconds=second), what=what, **members))
    await until(lambda: store.audit.last_position() == written)


@pytest.fixture(params=DRIVERS)
async def store(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[AnyStore]:
    """With six rows, a second between each and the next."""
    with opened(request.param, tmp_path) as store:
        store.tenants.create(tenant("a"), deed(0, "root"))
        store.devices.create(device("d1", tenant_id="a"), deed(1, "ada"), devices_max=-1)
        await refused(store, 2, "device.refused", tenant_id=TenantId("b"), device_id=DeviceId("d1"))
        store.devices.create(device("d2", tenant_id="a"), deed(3, "ada"), devices_max=-1)
        await refused(store, 4, "operator.refused", code="bad-credentials")
        store.tenants.create(tenant("b"), deed(5, "root"))
        yield store


def positions(store: AnyStore, **question: Any) -> list[int]:
    return [row.position for row in store.audit.read(limit=question.pop("limit", 100), **question)]


async def test_the_newest_come_first_where_that_is_asked_for(store: AnyStore) -> None:
    assert positions(store) == [1, 2, 3, 4, 5, 6]
    assert positions(store, newest_first=True) == [6, 5, 4, 3, 2, 1]
    assert positions(store, newest_first=True, limit=2) == [6, 5]


async def test_pages_meet_at_a_position(store: AnyStore) -> None:
    assert positions(store, newest_first=True, before=5, limit=2) == [4, 3]
    assert positions(store, newest_first=True, before=1) == []
    assert positions(store, after=4) == [5, 6]
    assert positions(store, after=1, before=4) == [2, 3]


@pytest.mark.parametrize(
    ("question", "found"),
    [
        ({"tenant_id": TenantId("a")}, [1, 2, 4]),
        ({"device_id": DeviceId("d1")}, [2, 3]),
        ({"actor": "ada"}, [2, 4]),
        ({"actor": "nobody"}, []),
        ({"what": "device.created"}, [2, 4]),
        ({"what": "device."}, [2, 3, 4]),
        ({"what": "device"}, []),
        ({"what": "DEVICE."}, []),
        ({"what": "%."}, []),
        ({"since": NOW + timedelta(seconds=2)}, [3, 4, 5, 6]),
        ({"until": NOW + timedelta(seconds=2)}, [1, 2]),
        ({"since": NOW + timedelta(seconds=2), "until": NOW + timedelta(seconds=3)}, [3]),
        ({"tenants": frozenset({"b"})}, [3, 6]),
        ({"tenants": frozenset({"a", "b"})}, [1, 2, 3, 4, 6]),
        ({"tenants": frozenset({"b"}), "tenant_id": TenantId("a")}, []),
        ({"tenants": frozenset()}, []),
        ({"tenant_id": TenantId("a"), "actor": "ada", "what": "device.created", "device_id": DeviceId("d1")}, [2]),
    ],
)
async def test_every_condition_holds_for_what_is_found(
    store: AnyStore, question: dict[str, Any], found: list[int]
) -> None:
    assert positions(store, **question) == found
    assert positions(store, newest_first=True, **question) == found[::-1]


async def test_old_rows_go_in_batches_and_the_newest_stays(store: AnyStore) -> None:
    prune = store.audit.prune
    assert prune(older_than=NOW, limit=100) == 0
    assert prune(older_than=NOW + timedelta(seconds=3), limit=2) == 2
    assert positions(store) == [3, 4, 5, 6]
    assert prune(older_than=NOW + timedelta(seconds=3), limit=2) == 1
    assert prune(older_than=NOW + timedelta(seconds=3), limit=2) == 0
    assert prune(older_than=NOW + timedelta(days=1), limit=100) == 2
    assert prune(older_than=NOW + timedelta(days=1), limit=100) == 0
    assert positions(store) == [6]
    assert store.audit.last_position() == 6
