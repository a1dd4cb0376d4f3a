"""`python -m benchmarks.search`: the CPU and the memory of searches in a tenant of many devices.

A page of 30 and the number of all matches, as the management API asks for them, without HTTP. The best of several
rounds is told, as everything else on the machine only adds to it; memory is the most the process had so far.
"""

import json
import random
import resource
import sqlite3
import tempfile
import time
import uuid
from collections.abc import Iterator, Sequence
from contextlib import closing
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.console import Console
from rich.table import Table

from conf.registry import RegistrySettings
from conf.storage import StorageSettings
from conf.tenant import TenantSettings
from kernel.clock import SystemClock
from kernel.ids import DeviceId, TenantId
from registry.model import Device, DeviceStatus
from storage.database import DATABASE_FILE
from storage.open import Store, open_store
from storage.rows import DEVICE_COLUMNS, device_row
from tenant.search import Filter, Query, Sort

TENANT = TenantId("acme")
MADE = datetime(2026, 1, 1, tzinfo=UTC)


def filters(**wanted: Any) -> Sequence[Filter]:
    """On members of `ext`."""
    return [Filter(pointer=("ext", name), value=value) for name, value in wanted.items()]


BY_SERIAL = [Sort(pointer=("ext", "serial"), descending=True)]

SEARCHES = {
    "the first page by id": Query(),
    "page 1,000 by id": Query(page_offset=1000),
    "a text of ext, by id": Query(filters=filters(model="m-7")),
    "a text of ext, sorted by another member": Query(filters=filters(model="m-7"), sorts=BY_SERIAL),
    "a pattern of ext, sorted by another member": Query(filters=filters(room="room 1*"), sorts=BY_SERIAL),
    "a number of ext, sorted by another member": Query(filters=filters(floor=7), sorts=BY_SERIAL),
    "enabled, the newest first": Query(
        filters=[Filter(pointer=("enabled",), value=True)], sorts=[Sort(pointer=("status", "created"), descending=True)]
    ),
    "all match, sorted by a member of ext": Query(filters=filters(serial="SN*"), sorts=BY_SERIAL),
    "gateways": Query(is_gateway=True),
    "no gateways, a text of ext, sorted": Query(is_gateway=False, filters=filters(model="m-7"), sorts=BY_SERIAL),
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Figure:
    """What one search took."""

    title: str
    total: int
    cpu_ms: float
    memory_mib: int


def measure(folder: Path, *, devices: int, rounds: int) -> Iterator[Figure]:
    """Fills a database in the folder and searches it."""
    store = open_store(
        data_dir=folder,
        storage=StorageSettings(),
        registry=RegistrySettings(),
        tenant=TenantSettings(),
        clock=SystemClock(),
    )
    with closing(store):
        _fill(folder / DATABASE_FILE, devices)
        for title, query in SEARCHES.items():
            total, cpu_ms = _searched(store, query, rounds)
            memory = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024
            yield Figure(title=title, total=total, cpu_ms=cpu_ms, memory_mib=memory)


def _searched(store: Store, query: Query, rounds: int) -> tuple[int, float]:
    taken, total = [], 0
    for _ in range(rounds):
        since = time.process_time()
        total = store.devices.search(TENANT, query).total
        taken.append(1000 * (time.process_time() - since))
    return total, min(taken)


def _fill(path: Path, devices: int) -> None:
    chance = random.Random(1)
    places = ", ".join("?" * len(DEVICE_COLUMNS))
    with closing(sqlite3.connect(path)) as connection, connection:
        connection.executemany(
            f"INSERT INTO devices ({', '.join(DEVICE_COLUMNS)}) VALUES ({places})",
            (device_row(_device(number, chance)) for number in range(devices)),
        )


def _device(number: int, chance: random.Random) -> Device:
    """Every other device is behind one of a thousand gateways, of which ten are in a group."""
    is_gateway = number < 10
    return Device(
        tenant_id=TENANT,
        device_id=DeviceId(f"gw-{number}" if number < 1000 else str(uuid.UUID(int=chance.getrandbits(128)))),
        status=DeviceStatus(created=MADE + timedelta(seconds=number)),
        enabled=chance.choice([None, True, False]),
        via=(DeviceId(f"gw-{number % 1000}"),) if number % 2 and not is_gateway else (),
        member_of=("north",) if is_gateway else (),
        ext={
            "brand": chance.choice(["acme", "bolt", "cog", "dyn"]),
            "model": f"m-{chance.randrange(10)}",
            "serial": f"SN-{number:08}",
            "floor": chance.randrange(40),
            "room": f"room {chance.randrange(1000)}",
        },
        version=str(uuid.UUID(int=chance.getrandbits(128))),
    )


def bench(
    devices: Annotated[int, typer.Option(min=1, help="How many devices the tenant has.")] = 100_000,
    rounds: Annotated[int, typer.Option(min=1, help="Rounds of every search; the best one is told.")] = 7,
    json_file: Annotated[
        Path | None, typer.Option("--json", metavar="FILE", help="Also write the figures here.", dir_okay=False)
    ] = None,
) -> None:
    """Measure what searches of a tenant with many devices take."""
    table = Table("search", "matches", "CPU, ms", "memory, MiB", title=f"{devices:,} devices")
    with tempfile.TemporaryDirectory() as folder:
        figures = list(measure(Path(folder), devices=devices, rounds=rounds))
    for figure in figures:
        table.add_row(figure.title, f"{figure.total:,}", f"{figure.cpu_ms:.1f}", str(figure.memory_mib))
    Console().print(table)
    if json_file is not None:
        told = {figure.title: {"matches": figure.total, "cpu_ms": round(figure.cpu_ms, 1)} for figure in figures}
        json_file.write_text(json.dumps(told, indent=1) + "\n")


if __name__ == "__main__":
    typer.run(bench)
