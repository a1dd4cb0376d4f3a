"""Changes of the registry are told whatever happens to processes: none is lost, and their order stays."""

import signal
from collections.abc import Iterator
from pathlib import Path

import pytest

from kernel.ids import DeviceId, TenantId
from registry.model import Device, DeviceStatus
from tenant.model import Tenant
from tests.support.command_line import tuhono
from tests.support.gateway import RunningGateway, running_gateway
from tests.support.stores import DEED
from tests.support.waiting import until_blocking

TENANT = TenantId("acme")


@pytest.fixture
def gateway(tmp_path: Path) -> Iterator[RunningGateway]:
    with running_gateway(tmp_path) as started:
        started.store.tenants.create(Tenant(tenant_id=TENANT), DEED)
        yield started


def create(gateway: RunningGateway, *numbers: int) -> None:
    """Devices of these numbers, each a commit, from another process than the gateway's."""
    for number in numbers:
        device = Device(tenant_id=TENANT, device_id=DeviceId(f"d{number}"), status=DeviceStatus(created=DEED.moment))
        gateway.store.devices.create(device, DEED, devices_max=-1)


def told(gateway: RunningGateway) -> list[str]:
    """Devices whose creation was told, in order, repetitions included."""
    return [
        each["device-id"]
        for each in gateway.notifications(TENANT)
        if each["type"] == "device-change-v1" and each["change"] == "CREATE"
    ]


def first_told(gateway: RunningGateway) -> list[str]:
    """The same without repetitions: what a process told and had not noted yet when it ended comes twice."""
    return list(dict.fromkeys(told(gateway)))


def names(*numbers: int) -> list[str]:
    return [f"d{number}" for number in numbers]


def test_changes_made_while_no_gateway_runs_are_told_by_the_next(gateway: RunningGateway) -> None:
    create(gateway, 0)
    until_blocking(lambda: told(gateway) == names(0))
    gateway.stop()
    create(gateway, 1, 2)
    gateway.restart()
    until_blocking(lambda: first_told(gateway) == names(0, 1, 2))


def test_a_killed_gateway_loses_no_notification_and_repeats_at_most_what_it_was_telling(
    gateway: RunningGateway,
) -> None:
    """Killed in the middle of it, three times; each time changes are made before anybody is there again."""
    made = 0
    for _ in range(3):
        before = len(told(gateway))
        create(gateway, *range(made, made + 40))
        until_blocking(lambda before=before: len(told(gateway)) > before)  # type: ignore[misc]
        gateway.stop(signal.SIGKILL)
        create(gateway, *range(made + 40, made + 60))
        made += 60
        gateway.restart()
    until_blocking(lambda: set(told(gateway)) == set(names(*range(made))))
    assert first_told(gateway) == names(*range(made)), "each was told after all that were made before it"


def test_of_two_gateways_one_tells_and_the_other_goes_on_when_it_is_gone(gateway: RunningGateway) -> None:
    other = gateway.another()
    create(gateway, *range(20))
    until_blocking(lambda: set(told(gateway)) == set(names(*range(20))))
    assert told(gateway) == names(*range(20)), "by one of them, once"
    gateway.stop(signal.SIGKILL)
    create(gateway, *range(20, 30))
    until_blocking(lambda: set(told(other)) == set(names(*range(30))))
    assert first_told(other) == names(*range(30))


def test_an_application_sees_them_with_tuhono_tail(gateway: RunningGateway) -> None:
    create(gateway, 7)
    until_blocking(lambda: told(gateway) == names(7))
    shown = tuhono("tail", "acme", "--kind", "notification", "--no-follow", data_dir=gateway.data_dir)
    assert shown.out.splitlines()[0].endswith("notification acme tenant created")
    assert shown.out.splitlines()[1].endswith("notification acme/d7 device created")
    nothing = tuhono("tail", "acme", "--no-follow", data_dir=gateway.data_dir)
    assert nothing.out == "", "whoever does not ask for them does not see them"
