"""Events of what operators do to devices, for tenants that ask for them."""

from collections.abc import Iterator

import pytest

from messaging.message import PROVISIONING_NOTIFICATION
from tests.support.gateway import RunningGateway, running_gateway
from tests.support.management import ManagementClient, operator_of
from tests.support.waiting import until_blocking


@pytest.fixture(scope="module")
def gateway(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningGateway]:
    with running_gateway(tmp_path_factory.mktemp("lifecycle")) as started:
        yield started


@pytest.fixture
def operator(gateway: RunningGateway) -> Iterator[ManagementClient]:
    with operator_of(gateway) as client:
        yield client


def live_through(operator: ManagementClient, tenant: str) -> str:
    """A device that is created, changed and deleted."""
    device = operator.new_device(tenant, {"enabled": True})
    assert operator.put(f"/v1/devices/{tenant}/{device}", {"enabled": False}).status == 204
    assert operator.delete(f"/v1/devices/{tenant}/{device}").status == 204
    return device


def statuses(gateway: RunningGateway, tenant: str) -> list[str]:
    return [
        message.properties["hono_registration_status"]
        for message in gateway.messages(tenant)
        if message.content_type == PROVISIONING_NOTIFICATION
    ]


def test_a_tenant_that_asks_hears_of_each_device_created_changed_and_deleted(
    gateway: RunningGateway, operator: ManagementClient
) -> None:
    tenant = operator.new_tenant({"ext": {"lifecycle-events": True}, "resource-limits": {"max-ttl": 3600}})
    device = live_through(operator, tenant)
    until_blocking(lambda: len(statuses(gateway, tenant)) == 3)
    events = gateway.messages(tenant)
    assert statuses(gateway, tenant) == ["NEW", "UPDATED", "DELETED"]
    for event in events:
        assert (event.kind.value, event.qos, event.payload, event.ttl_ms) == ("event", 1, None, 3_600_000)
        assert (event.tenant_id, event.device_id) == (tenant, device)
        assert event.properties["orig_adapter"] == "hono-device-registry"


def test_others_hear_nothing_and_the_wish_may_come_and_go(gateway: RunningGateway, operator: ManagementClient) -> None:
    tenant = operator.new_tenant()
    live_through(operator, tenant)
    until_blocking(lambda: len(gateway.notifications(tenant)) == 4)  # told in one order: an event would be there, too
    assert statuses(gateway, tenant) == []
    assert operator.put(f"/v1/tenants/{tenant}", {"ext": {"lifecycle-events": True}}).status == 204
    until_blocking(lambda: len(gateway.notifications(tenant)) == 5)
    live_through(operator, tenant)
    until_blocking(lambda: len(statuses(gateway, tenant)) == 3)
    assert operator.put(f"/v1/tenants/{tenant}", {"ext": {"lifecycle-events": False}}).status == 204
    live_through(operator, tenant)
    until_blocking(lambda: len(gateway.notifications(tenant)) == 12)
    assert len(statuses(gateway, tenant)) == 3
