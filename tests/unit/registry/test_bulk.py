"""One wish for many devices: what is found is what is changed, however many transactions it takes."""

from collections.abc import Iterator
from typing import Any

import pytest

from kernel.clock import ManualClock
from kernel.ids import DeviceId
from registry import bulk
from registry.bulk import BulkAction, BulkAdministration, BulkOutcome
from registry.errors import TooManyFound
from storage.memory import MemoryStore
from tenant.search import Query
from tests.support.certificates import NOON
from tests.support.stores import DEED, TENANT, device, tenant

BATCH = 2


@pytest.fixture
def store(monkeypatch: pytest.MonkeyPatch) -> Iterator[MemoryStore]:
    monkeypatch.setattr(bulk, "BATCH_DEVICES", BATCH)
    made = MemoryStore(ManualClock(NOON))
    made.tenants.create(tenant(TENANT), DEED)
    yield made


def make(store: MemoryStore, *ids: str, **members: Any) -> None:
    for device_id in ids:
        store.devices.create(device(device_id, **members), DEED, devices_max=-1)


def ids(store: MemoryStore) -> list[str]:
    return [found.device_id for found in store.devices.find_all(TENANT, after=None, limit=100)]


def delete(store: MemoryStore, query: Query) -> BulkOutcome:
    administration = BulkAdministration(devices=store.devices, tenants=store.tenants)
    return administration.change_found(TENANT, query, BulkAction.DELETE, DEED)


def test_a_gateway_outlives_the_devices_that_name_it(store: MemoryStore) -> None:
    make(store, "a-1", "a-2", via=(DeviceId("z-gateway"),))
    make(store, "a-3", "z-gateway")
    assert delete(store, Query(is_gateway=False)).done == 3
    assert ids(store) == ["z-gateway"]


def test_a_gateway_goes_though_the_gateway_that_names_it_went_before(store: MemoryStore) -> None:
    make(store, "a-1", "a-2", via=(DeviceId("z-gateway"),))
    make(store, "b-1", via=(DeviceId("a-1"), DeviceId("a-2")))
    make(store, "z-gateway")
    assert delete(store, Query(is_gateway=True)).done == 3
    assert ids(store) == ["b-1"]


def test_more_gateways_than_one_call_may_delete_are_left_alone(
    store: MemoryStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(bulk, "DEVICES_PER_CALL_MAX", 3)
    make(store, "a", "b", "c", "d")
    with pytest.raises(TooManyFound):
        delete(store, Query(is_gateway=False))
    assert ids(store) == ["a", "b", "c", "d"]
