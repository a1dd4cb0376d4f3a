"""What every driver of `registry.ports.AuditRepository` promises, and of the rows the connect path records."""

from collections.abc import Iterator
from dataclasses import replace
from datetime import timedelta
from pathlib import Path

import pytest

from kernel.ids import DeviceId, TenantId
from tenant.audit import AuditRow
from tests.support.stores import DEED, DRIVERS, NOW, TENANT, AnyStore, anchor, opened, order, tenant
from tests.support.waiting import until


@pytest.fixture(params=DRIVERS)
def store(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[AnyStore]:
    with opened(request.param, tmp_path, audit_rows_max=100) as store:
        yield store


def row(number: int, *, tenant_id: str | None = TENANT, what: str = "device.refused") -> AuditRow:
    return AuditRow(
        moment=NOW + timedelta(seconds=number),
        what=what,
        tenant_id=None if tenant_id is None else TenantId(tenant_id),
        device_id=DeviceId(f"d{number}"),
        code="device-disabled",
        facts={"detail": f"'{number}'\x00\ud800"},
    )


async def recorded(store: AnyStore, *rows: AuditRow) -> None:
    last = store.audit.last_position() + len(rows)
    for entry in rows:
        store.connect_path.record(entry)
    await until(lambda: store.audit.last_position() == last)


async def test_rows_are_read_in_the_order_they_were_recorded(store: AnyStore) -> None:
    rows = [row(number) for number in (3, 1, 2)]
    await recorded(store, *rows)
    assert store.audit.read(after=0, limit=10) == [replace(rows[n], position=n + 1) for n in range(3)]


async def test_reading_goes_on_behind_a_position(store: AnyStore) -> None:
    await recorded(store, *(row(number) for number in range(5)))
    assert [entry.position for entry in store.audit.read(after=2, limit=2)] == [3, 4]
    assert store.audit.read(after=5, limit=2) == []


async def test_rows_are_read_by_tenant_and_by_kind(store: AnyStore) -> None:
    await recorded(store, row(1), row(2, tenant_id="other"), row(3, tenant_id=None), row(4, what="device.provisioned"))

    def positions(tenant_id: str | None = None, what: str | None = None) -> list[int]:
        whose = None if tenant_id is None else TenantId(tenant_id)
        return [entry.position for entry in store.audit.read(after=0, limit=10, tenant_id=whose, what=what)]

    assert positions() == [1, 2, 3, 4]
    assert positions("acme") == [1, 4]
    assert positions("other") == [2]
    assert positions(what="device.refused") == [1, 2, 3]
    assert positions("acme", "device.refused") == [1]
    assert positions("nobody") == []


async def test_the_first_position_since_a_moment(store: AnyStore) -> None:
    assert store.audit.first_position_since(NOW) == 0
    await recorded(store, *(row(number) for number in (10, 20, 30)))
    since = store.audit.first_position_since
    assert since(NOW) == 0
    assert since(NOW + timedelta(seconds=20)) == 1
    assert since(NOW + timedelta(seconds=20, microseconds=1)) == 2
    assert since(NOW + timedelta(days=1)) == 3


async def test_the_oldest_rows_make_room_and_positions_go_on(store: AnyStore) -> None:
    assert store.audit.last_position() == 0
    for start in range(0, 250, 50):
        await recorded(store, *(row(number) for number in range(start, start + 50)))
    store.tenants.create(tenant(TENANT, anchor()), DEED)
    await store.connect_path.provision(order("sensor-1"))
    kept = store.audit.read(after=0, limit=1000)
    assert [entry.position for entry in kept] == list(range(153, 253))
    assert [entry.what for entry in kept[-2:]] == ["tenant.created", "device.provisioned"]
    assert store.audit.last_position() == 252
    assert store.audit.first_position_since(NOW) == 152
