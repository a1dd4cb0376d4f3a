"""Programs that use a registry database in a process of their own, to race with others, be killed or starved.

Run as a module: `python -m tests.support.store_children PROGRAM DATA_DIR NAME COUNT`. Results go to
standard output at once, one a line. A program that races prints `ready` and waits for a line on standard input.
"""

import asyncio
import os
import resource
import sys
from collections.abc import Awaitable, Callable
from functools import partial
from pathlib import Path

from kernel.clock import SystemClock
from kernel.errors import TuhonoError
from kernel.ids import DeviceId
from storage.open import Store
from tests.support.stores import DEED, TENANT, device, open_sqlite, order, tenant

IN_FLIGHT = 100


def tell(line: str) -> None:
    os.write(1, line.encode() + b"\n")


async def race_for_one(store: Store, name: str, count: int) -> None:
    """COUNT simultaneous first connections of one certificate. Prints the device each of them got."""
    asked = [order(f"{name}-{number}", auth_id="CN=one") for number in range(count)]
    tell("ready")
    sys.stdin.readline()
    for known in await asyncio.gather(*(store.connect_path.provision(entry) for entry in asked)):
        tell(f"{known.device.device_id} {known.device.version}")


async def strangers_at_once(store: Store, name: str, count: int) -> None:
    """COUNT different devices in one instant, a limit of COUNT over all processes."""
    asked = [order(f"{name}-{number}", devices_max=count) for number in range(count)]
    tell("ready")
    sys.stdin.readline()
    made = await asyncio.gather(*(store.connect_path.provision(entry) for entry in asked), return_exceptions=True)
    for outcome in made:
        tell(outcome.code if isinstance(outcome, TuhonoError) else "made")


async def stream(store: Store, name: str, count: int) -> None:
    """COUNT devices, IN_FLIGHT at a time; prints each one that was returned, and each one marked notified."""

    async def provision(first: int) -> None:
        for number in range(first, count, IN_FLIGHT):
            known = await store.connect_path.provision(order(f"{name}-{number}"))
            tell(f"made {known.device.device_id}")
            if number % 2:
                await store.connect_path.mark_notified(TENANT, known.device.device_id)
                tell(f"marked {known.device.device_id}")

    async with asyncio.TaskGroup() as group:
        for first in range(IN_FLIGHT):
            group.create_task(provision(first))


async def fill_the_disk(store: Store, name: str, count: int) -> None:
    """Until files may not grow any more, then give room again. Prints what became of each attempt."""
    _, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    for stage, limit in (("room", hard), ("full", count), ("room-again", hard)):
        resource.setrlimit(resource.RLIMIT_FSIZE, (limit, hard))
        for number in range(2):
            try:
                known = await store.connect_path.provision(order(f"{name}-{stage}-{number}", remote="x" * 20_000))
                tell(f"{stage} {known.device.device_id}")
            except TuhonoError as fault:
                tell(f"{stage} {fault.code}: {fault}")
        found = await store.connect_path.find_device(TENANT, order(f"{name}-room-0").device_id)
        tell(f"lookup {'found' if found else 'nothing'}")


async def create_tenant(store: Store, name: str, count: int) -> None:
    """One tenant more."""
    store.tenants.create(tenant(name), DEED)
    tell("created")


async def create_devices(store: Store, name: str, count: int) -> None:
    """COUNT devices by an operator's hand, a limit of COUNT over all processes. Prints what became of each."""
    tell("ready")
    sys.stdin.readline()
    for number in range(count):
        tell(_told(partial(store.devices.create, device(f"{name}-{number}"), DEED, devices_max=count)))


async def edit_what_was_read(store: Store, name: str, count: int) -> None:
    """COUNT times the device, the credentials and the tenant, each on the version read first. Prints each outcome."""
    sensor = DeviceId("sensor-1")
    found, held, owner = (
        store.devices.find(TENANT, sensor),
        store.devices.find_credentials(TENANT, sensor),
        store.tenants.find(TENANT),
    )
    assert found is not None and held is not None and owner is not None
    tell("ready")
    sys.stdin.readline()
    for _ in range(count):
        tell("device " + _told(lambda: store.devices.replace(found, DEED, expected_version=found.version)))
        tell("tenant " + _told(lambda: store.tenants.replace(owner, DEED, expected_version=owner.version)))
        tell(
            "credentials "
            + _told(
                lambda: store.devices.replace_credentials(
                    TENANT, sensor, lambda _: [], DEED, expected_version=held.version
                )
            )
        )


def _told(write: Callable[[], object]) -> str:
    try:
        write()
    except TuhonoError as refusal:
        return refusal.code
    return "done"


async def open_only(store: Store, name: str, count: int) -> None:
    """Nothing but opening, which has happened by now."""
    tell(store.database.revision)


PROGRAMS: dict[str, Callable[[Store, str, int], Awaitable[None]]] = {
    "race": race_for_one,
    "strangers": strangers_at_once,
    "stream": stream,
    "fill": fill_the_disk,
    "tenant": create_tenant,
    "create": create_devices,
    "edit": edit_what_was_read,
    "open": open_only,
}


async def main(program: str, data_dir: str, name: str, count: str) -> None:
    store = open_sqlite(Path(data_dir), clock=SystemClock())
    try:
        await PROGRAMS[program](store, name, int(count))
    finally:
        store.close()


if __name__ == "__main__":
    asyncio.run(main(*sys.argv[1:]))
