"""Rows of the audit go when they are too old, in batches."""

from datetime import timedelta

import pytest

from kernel.clock import ManualClock
from registry import audit_retention
from registry.audit_retention import AuditRetention
from storage.memory import MemoryStore
from tenant.audit import AuditRow


@pytest.fixture(autouse=True)
def small_batches(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(audit_retention, "BATCH_ROWS", 10)
    monkeypatch.setattr(audit_retention, "BETWEEN_BATCHES_S", 0)


async def test_every_row_goes_when_its_days_are_over() -> None:
    clock = ManualClock()
    store = MemoryStore(clock)
    for hour in range(100):
        store.connect_path.record(AuditRow(moment=clock.now() + timedelta(hours=hour), what="device.refused"))
    retention = AuditRetention(audit=store.audit, days_max=2, clock=clock)
    assert await retention.prune() == 0
    clock.advance(3 * 86_400)
    assert await retention.prune() == 24
    assert [row.position for row in store.audit.read(limit=200)] == list(range(25, 101))
    clock.advance(365 * 86_400)
    assert await retention.prune() == 75
    assert store.audit.last_position() == 100
