"""Section 5.2 of the Hono registry contract on every driver: devices that gateways have registered, by row number."""

import asyncio
from collections.abc import Iterator
from contextlib import closing
from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from conf.registry import RegistrySettings
from kernel.clock import ManualClock
from kernel.errors import TuhonoError
from kernel.ids import DeviceId, TenantId
from messaging.drivers.memory import MemoryNorthbound
from messaging.errors import NorthboundUnavailable
from messaging.message import PROVISIONING_NOTIFICATION
from registry.announcements import Announcer
from registry.assertion import RegistrationAssertion
from registry.edge_devices import EdgeDevices
from registry.errors import (
    DeviceDisabled,
    DeviceIdInvalid,
    DeviceLimitReached,
    DeviceUnknown,
    GatewayNotAuthorized,
    ProvisioningWithdrawn,
)
from registry.model import AUTHORITY_AUTO_PROVISIONING, Device, DeviceStatus, EdgeOrder
from tenant.anchors import AnchorIndex
from tenant.directory import TenantDirectory
from tenant.model import RegistrationLimits
from tests.support.stores import (
    DEED,
    DRIVERS,
    NOW,
    TENANT,
    AnyStore,
    anchor,
    credentials_of,
    device,
    open_sqlite,
    opened,
    order,
    put,
    rows_of_devices,
    tenant,
)
from tests.support.waiting import until

GATEWAY = DeviceId("gw")
EDGE = DeviceId("edge-1")
AUTHORITY = (AUTHORITY_AUTO_PROVISIONING,)


class Process:
    """One process that gateways speak to."""

    def __init__(self, store: AnyStore, *, clock: ManualClock | None = None) -> None:
        clock, settings, path = (
            clock or ManualClock(NOW),
            RegistrySettings(notification_retry_s=0.05),
            store.connect_path,
        )
        self.store = store
        self.clock = clock
        self.northbound = MemoryNorthbound(clock=clock)
        self.tenants = TenantDirectory(feed=store.feed, anchors=AnchorIndex())
        self.announcer = Announcer(
            store=path, tenants=self.tenants, northbound=self.northbound, settings=settings, clock=clock
        )
        self.edge_devices = EdgeDevices(
            store=path, tenants=self.tenants, announcer=self.announcer, settings=settings, clock=clock
        )
        self.assertion = RegistrationAssertion(
            store=path, feed=store.feed, edge_devices=self.edge_devices, announcer=self.announcer
        )
        self.tenants.load()

    async def speak_for(self, device_id: str = EDGE, gateway_id: str = GATEWAY) -> Device:
        return await self.assertion.assert_registered(
            TENANT, DeviceId(device_id), gateway_id=DeviceId(gateway_id), remote="192.0.2.7:50000"
        )

    async def refusal(self, device_id: str = EDGE, gateway_id: str = GATEWAY) -> type[TuhonoError]:
        with pytest.raises(TuhonoError) as refused:
            await self.speak_for(device_id, gateway_id)
        return refused.type

    def found(self, device_id: str = EDGE) -> Device | None:
        return self.store.devices.find(TENANT, DeviceId(device_id))

    @property
    def events(self) -> list[dict[str, Any]]:
        return [
            dict(message.properties)
            for message in self.northbound.messages
            if message.content_type == PROVISIONING_NOTIFICATION
        ]


@pytest.fixture(params=DRIVERS)
def store(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[AnyStore]:
    with opened(request.param, tmp_path) as store:
        store.tenants.create(tenant(TENANT), DEED)
        put(store, device(GATEWAY, authorities=AUTHORITY, member_of=("cellar", "attic")))
        yield store


@pytest.fixture
def process(store: AnyStore) -> Process:
    return Process(store)


async def test_hono_registry_214_220_a_device_is_registered_behind_its_gateway(process: Process) -> None:
    told = await process.speak_for()
    kept = process.found()
    assert kept is not None and kept.device_id == told.device_id == EDGE
    assert (kept.enabled, kept.via, kept.via_groups) == (True, (GATEWAY,), ("cellar", "attic"))
    assert kept.status.auto_provisioned and kept.status.notification_sent and kept.status.gateway_id == GATEWAY
    assert (kept.ext, kept.authorities, kept.member_of) == ({}, (), ())
    assert len(kept.version) == 36
    assert credentials_of(process.store, TENANT, EDGE) == []
    [event] = process.events
    assert event == {
        "hono_registration_status": "NEW",
        "tenant_id": TENANT,
        "device_id": EDGE,
        "gateway_id": GATEWAY,
        "orig_adapter": "hono-device-registry",
        "orig_address": "event",
    }
    [row] = [row for row in rows_of_devices(process.store) if row.what == "device.provisioned"]
    assert (row.device_id, dict(row.facts)) == (EDGE, {"gateway": GATEWAY, "remote": "192.0.2.7:50000"})


async def test_hono_registry_217_who_is_there_already_is_neither_made_nor_announced_again(process: Process) -> None:
    first = await process.speak_for()
    kept = process.found()
    order = order_of()
    assert await process.store.connect_path.provision_edge(order) == kept
    assert (await process.speak_for()).version == kept.version if kept is not None else False
    assert first.status.created == NOW and len(process.events) == 1


async def test_hono_registry_215_without_authority_nothing_is_registered(process: Process) -> None:
    put(process.store, device("plain"))
    put(process.store, device("off", authorities=AUTHORITY, enabled=False))
    for gateway_id in ("plain", "off", "nobody"):
        assert await process.refusal(gateway_id=gateway_id) is DeviceUnknown
    assert await process.refusal(EDGE, EDGE) is DeviceUnknown, "a device by itself"
    assert process.found() is None and process.events == []


@pytest.mark.parametrize("device_id", ["++££", "", ".", "..", "a/b", "a b", "x" * 257, "nul\x00", "\ud800"])
async def test_hono_registry_216_an_id_that_breaks_the_pattern_is_malformed(process: Process, device_id: str) -> None:
    assert await process.refusal(device_id) is DeviceIdInvalid
    assert process.events == []


async def test_hono_registry_221_a_full_tenant_takes_no_more(process: Process) -> None:
    limits = RegistrationLimits(max_devices=2)
    process.store.tenants.replace(tenant(TENANT, registration_limits=limits), DEED, expected_version=None)
    process.tenants.catch_up()
    await process.speak_for()
    for _ in range(2):
        assert await process.refusal("edge-2") is DeviceLimitReached
    await process.speak_for()
    assert process.found("edge-2") is None and len(process.events) == 1


async def test_hono_registry_219_what_another_gateway_registered_stays_that_gateways(process: Process) -> None:
    put(process.store, device("rival", authorities=AUTHORITY))
    await process.speak_for()
    before = process.found()
    assert await process.refusal(gateway_id="rival") is GatewayNotAuthorized
    assert process.found() == before and len(process.events) == 1


async def test_hono_registry_219_so_it_does_when_both_come_at_once(process: Process) -> None:
    put(process.store, device("rival", authorities=AUTHORITY))
    outcomes = await asyncio.gather(
        *(process.speak_for(gateway_id=name) for name in (GATEWAY, "rival")), return_exceptions=True
    )
    assert [type(outcome) for outcome in outcomes if isinstance(outcome, Exception)] == [GatewayNotAuthorized]
    assert len(process.events) == 1


async def test_hono_registry_220_a_gateway_of_the_group_may_speak_for_it_later(process: Process) -> None:
    await process.speak_for()
    put(process.store, device("colleague", member_of=("attic",)))
    assert (await process.speak_for(gateway_id="colleague")).device_id == EDGE


async def test_a_hundred_messages_for_one_stranger_make_one_device_and_all_go_on(process: Process) -> None:
    devices = await asyncio.gather(*(process.speak_for() for _ in range(100)))
    assert {one.device_id for one in devices} == {EDGE}
    assert len(process.events) == 1


async def test_hono_registry_208_what_cannot_be_announced_is_kept_and_announced_later(process: Process) -> None:
    process.northbound.fail_next()
    assert await process.refusal() is NorthboundUnavailable
    kept = process.found()
    assert kept is not None and not kept.status.notification_sent
    process.clock.advance(2)
    await process.speak_for()  # row 218, and 3.3: on every later assertion
    assert [event["gateway_id"] for event in process.events] == [GATEWAY]
    kept = process.found()
    assert kept is not None and kept.status.notification_sent


async def test_what_cannot_be_announced_is_announced_without_another_message(process: Process) -> None:
    process.northbound.fail_next()
    assert await process.refusal() is NorthboundUnavailable
    process.clock.advance(2)
    retrying = asyncio.create_task(process.announcer.run())
    await until(lambda: process.events)
    retrying.cancel()
    assert [event["gateway_id"] for event in process.events] == [GATEWAY]


async def test_hono_registry_218_whoever_finds_it_unannounced_waits_for_who_made_it(process: Process) -> None:
    status = DeviceStatus(created=NOW, auto_provisioned=True, gateway_id=GATEWAY)
    await process.store.connect_path.provision_edge(order_of())
    kept = process.found()
    assert kept is not None and kept.status == status
    speaking = asyncio.create_task(process.speak_for())
    await asyncio.sleep(0)
    await process.store.connect_path.mark_notified(TENANT, EDGE)  # the other process
    assert (await speaking).device_id == EDGE
    assert process.events == []


async def test_hono_registry_218_and_announces_it_where_nobody_does(process: Process) -> None:
    await process.store.connect_path.provision_edge(order_of())
    process.clock.advance(2)
    await process.speak_for()
    assert len(process.events) == 1


async def test_a_caller_that_leaves_does_not_leave_half_a_device(process: Process) -> None:
    process.northbound.hold()
    speaking = asyncio.create_task(process.speak_for())
    await until(lambda: process.northbound.pending)
    speaking.cancel()
    process.northbound.release()
    await until(lambda: (kept := process.found()) is not None and kept.status.notification_sent)
    assert len(process.events) == 1


async def test_the_end_waits_for_what_is_under_way_and_gives_up_in_time(process: Process) -> None:
    process.northbound.hold()
    speaking = asyncio.create_task(process.speak_for())
    await until(lambda: process.northbound.pending)
    await process.edge_devices.close(within_s=0)
    assert [type(one) for one in await asyncio.gather(speaking, return_exceptions=True)] == [asyncio.CancelledError]
    kept = process.found()
    assert kept is not None and not kept.status.notification_sent
    process.northbound.release()


async def test_the_store_looks_again_at_who_may_register(process: Process) -> None:
    """Between the assertion's look and the transaction, much may change."""
    path, devices = process.store.connect_path, process.store.devices
    put(process.store, device(GATEWAY))
    with pytest.raises(DeviceUnknown):
        await path.provision_edge(order_of())
    put(process.store, device(GATEWAY, authorities=AUTHORITY, enabled=False))
    with pytest.raises(GatewayNotAuthorized):
        await path.provision_edge(order_of())
    devices.delete(TENANT, GATEWAY, DEED, expected_version=None)
    with pytest.raises(GatewayNotAuthorized):
        await path.provision_edge(order_of())
    process.store.tenants.replace(tenant(TENANT, enabled=False), DEED, expected_version=None)
    with pytest.raises(ProvisioningWithdrawn):
        await path.provision_edge(order_of())
    with pytest.raises(ProvisioningWithdrawn):
        await path.provision_edge(replace(order_of(), tenant_id=TenantId("nobody")))
    assert process.found() is None


async def test_a_disabled_device_stays_what_it_is(process: Process) -> None:
    put(process.store, device(EDGE, enabled=False, via=(GATEWAY,)))
    assert await process.refusal() is DeviceDisabled
    assert process.events == []


async def test_strangers_and_edge_devices_of_one_group_each_get_their_own(store: AnyStore) -> None:
    """They may be written by one transaction."""
    store.tenants.replace(tenant(TENANT, anchor()), DEED, expected_version=None)
    path = store.connect_path
    first, edge, second = path.provision(order("one")), path.provision_edge(order_of()), path.provision(order("two"))
    known = [await first, await second]
    assert [one.device.device_id for one in known] == ["one", "two"]
    assert (await edge).device_id == EDGE
    assert await path.count_devices(TENANT) == 4


async def test_two_processes_make_one_device(tmp_path: Path) -> None:
    """Each with a connection of its own; a clock of its own, too, and they differ."""
    with closing(open_sqlite(tmp_path)) as one, closing(open_sqlite(tmp_path)) as other:
        one.tenants.create(tenant(TENANT), DEED)
        put(one, device(GATEWAY, authorities=AUTHORITY))
        processes = [Process(one), Process(other, clock=ManualClock(NOW + timedelta(milliseconds=1)))]
        devices = await asyncio.gather(*(each.speak_for() for each in processes for _ in range(20)))
        assert len({made.status.created for made in devices}) == 1
        assert sum(len(each.events) for each in processes) >= 1, "at least once: a slow one may be spoken for"


def order_of(device_id: DeviceId = EDGE) -> EdgeOrder:
    return EdgeOrder(tenant_id=TENANT, device_id=device_id, gateway_id=GATEWAY, moment=NOW, devices_max=-1)
