"""What every command shares: where the data is, and how a fault ends the command."""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

import typer

from conf.errors import ConfigurationInvalid
from conf.loading import load
from conf.sections import Settings
from kernel.clock import SystemClock
from kernel.errors import TuhonoError
from registry.administration import DeviceAdministration
from storage.open import Store
from tenant.administration import TenantAdministration
from tuhono.cli.output import err, fail
from tuhono.domain import open_databases

USAGE_STATUS = 2  # the command, or the configuration, is wrong

ConfigFile = Annotated[
    Path | None,
    typer.Option("--config", "-c", envvar="TUHONO_CONFIG", help="Configuration file (TOML).", dir_okay=False),
]
DataDir = Annotated[
    Path | None,
    typer.Option("--data-dir", "-d", envvar="TUHONO_DATA_DIR", help="Where the databases are; default ./data."),
]
AsJson = Annotated[bool, typer.Option("--json", help="Print JSON, for scripts.")]


@dataclass(frozen=True, slots=True, kw_only=True)
class Desk:
    """The databases of a data directory, open for administration."""

    settings: Settings
    store: Store
    tenants: TenantAdministration
    devices: DeviceAdministration


def settings_of(config: Path | None, data_dir: Path | None) -> Settings:
    """The settings in force: file, then environment, then the command line. Raises ConfigurationInvalid."""
    return load(config, os.environ, data_dir=data_dir)


@contextmanager
def desk(config: Path | None, data_dir: Path | None, *, as_json: bool = False, make: bool = False) -> Iterator[Desk]:
    """The databases, open; faults end the command with a sentence. `make`: where there are none, make them."""
    with faults_told(as_json=as_json):
        settings = settings_of(config, data_dir)
        if not make and not settings.data_dir.is_dir():
            fail(
                f"there is no data directory {settings.data_dir}; `tuhono serve` makes one, --data-dir names another",
                "no-data-directory",
                as_json=as_json,
            )
        clock = SystemClock()
        store = open_databases(settings, clock)
        try:
            yield Desk(
                settings=settings,
                store=store,
                tenants=TenantAdministration(tenants=store.tenants, settings=settings.tenant, clock=clock),
                devices=DeviceAdministration(devices=store.devices, clock=clock),
            )
        finally:
            store.close()


@contextmanager
def faults_told(*, as_json: bool = False) -> Iterator[None]:
    """Turn errors made on purpose into one line and an exit status; everything else is a defect and shows."""
    try:
        yield
    except ConfigurationInvalid as fault:
        for line in str(fault).splitlines():
            err.print(line, style="red", markup=False)
        raise typer.Exit(USAGE_STATUS) from fault
    except TuhonoError as fault:
        fail(str(fault), fault.code, as_json=as_json)
    except OSError as fault:
        where = "" if fault.filename is None else f"{fault.filename}: "
        fail(f"{where}{fault.strerror or fault}", "io-error", as_json=as_json)
