"""What every driver of `registry.presence.PresenceRecord` promises."""

from collections.abc import Iterator
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from kernel.ids import DeviceId, TenantId
from registry.presence import DEAD_AFTER, Presence, Sighting
from tests.support.stores import DEED, DRIVERS, NOW, TENANT, AnyStore, device, open_sqlite, opened, put, tenant

SENSOR = DeviceId("sensor-1")
A, B = "process-a", "process-b"


@pytest.fixture(params=DRIVERS)
def store(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[AnyStore]:
    with opened(request.param, tmp_path) as store:
        store.tenants.create(tenant(TENANT), DEED)
        put(store, device())
        for process in (A, B):
            store.presence.beat(process, NOW)
        yield store


def at(seconds: float) -> datetime:
    return NOW + timedelta(seconds=seconds)


def connected(seconds: float, *, device_id: DeviceId = SENSOR, adapter: str = "hono-mqtt") -> Sighting:
    moment = at(seconds)
    return Sighting(tenant_id=TENANT, device_id=device_id, last_seen=moment, since=moment, adapter=adapter)


def gone(seconds: float) -> Sighting:
    return Sighting(tenant_id=TENANT, device_id=SENSOR, last_seen=at(seconds))


def spoke(seconds: float) -> Sighting:
    return Sighting(tenant_id=TENANT, device_id=SENSOR, last_seen=at(seconds), is_connection_known=False)


def found(store: AnyStore, **given: Any) -> Presence | None:
    return store.presence.find(TENANT, SENSOR, **{"at": at(1), **given})


def test_who_was_never_seen_is_none(store: AnyStore) -> None:
    assert found(store) is None
    assert store.presence.find(TENANT, DeviceId("nobody"), at=NOW) is None
    assert store.presence.find(TenantId("\ud800"), SENSOR, at=NOW) is None


def test_a_connection_its_messages_and_its_end(store: AnyStore) -> None:
    store.presence.write(A, [connected(0)])
    assert found(store) == Presence(last_seen=at(0), since=at(0), adapter="hono-mqtt")
    store.presence.write(A, [spoke(5)])
    assert found(store) == Presence(last_seen=at(5), since=at(0), adapter="hono-mqtt")
    store.presence.write(A, [gone(9)])
    ended = found(store)
    assert ended == Presence(last_seen=at(9)) and not ended.is_connected


def test_who_came_and_went_between_two_writes_was_seen(store: AnyStore) -> None:
    store.presence.write(A, [gone(3)])
    assert found(store) == Presence(last_seen=at(3))


def test_the_newest_connection_is_told_and_only_its_own_process_ends_it(store: AnyStore) -> None:
    store.presence.write(A, [connected(0, adapter="hono-http")])
    store.presence.write(B, [connected(2)])
    store.presence.write(A, [gone(3)])
    assert found(store) == Presence(last_seen=at(3), since=at(2), adapter="hono-mqtt")
    store.presence.write(B, [gone(4)])
    assert found(store) == Presence(last_seen=at(4))


def test_what_is_written_late_makes_nothing_younger(store: AnyStore) -> None:
    store.presence.write(A, [connected(0), spoke(50)])
    store.presence.write(A, [spoke(20)])
    assert found(store) == Presence(last_seen=at(50), since=at(0), adapter="hono-mqtt")


def test_a_process_that_no_longer_beats_holds_nobody_and_what_it_saw_stays(store: AnyStore) -> None:
    store.presence.write(A, [connected(0)])
    almost, late = NOW + DEAD_AFTER - timedelta(seconds=1), NOW + DEAD_AFTER
    assert found(store, at=almost) is not None and found(store, at=almost) != Presence(last_seen=at(0))
    assert found(store, at=late) == Presence(last_seen=at(0))
    store.presence.beat(A, late)
    again = found(store, at=late)
    assert again is not None and again.is_connected, "it was only slow"


def test_a_process_that_leaves_holds_nobody(store: AnyStore) -> None:
    store.presence.write(A, [connected(0)])
    store.presence.leave(B)
    still = found(store)
    assert still is not None and still.is_connected
    store.presence.leave(A)
    assert found(store) == Presence(last_seen=at(0))


def test_devices_that_are_not_on_record_are_passed_over(store: AnyStore) -> None:
    nobody = DeviceId("nobody")
    store.presence.write(A, [connected(0, device_id=nobody), connected(0)])
    assert store.presence.find(TENANT, nobody, at=NOW) is None
    assert found(store) is not None


def test_a_device_takes_its_presence_along_when_it_is_deleted(store: AnyStore) -> None:
    store.presence.write(A, [connected(0)])
    store.devices.delete(TENANT, SENSOR, DEED, expected_version=None)
    assert found(store) is None
    store.presence.write(A, [gone(1)])
    assert found(store) is None


def test_presence_survives_a_restart(tmp_path: Path) -> None:
    with opened("sqlite", tmp_path) as first:
        first.tenants.create(tenant(TENANT), DEED)
        put(first, device())
        first.presence.beat(A, NOW)
        first.presence.write(A, [connected(0)])
    second = open_sqlite(tmp_path)
    assert second.presence.find(TENANT, SENSOR, at=at(1)) == Presence(last_seen=at(0), since=at(0), adapter="hono-mqtt")
    assert second.presence.find(TENANT, SENSOR, at=NOW + DEAD_AFTER) == Presence(last_seen=at(0))
    second.close()


def test_many_are_written_at_once(store: AnyStore) -> None:
    ids = [DeviceId(f"d{number}") for number in range(250)]
    for device_id in ids:
        put(store, device(device_id))
    store.presence.write(A, [connected(1, device_id=device_id) for device_id in ids])
    assert all(store.presence.find(TENANT, device_id, at=at(2)) for device_id in ids)
