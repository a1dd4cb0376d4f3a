"""What every command shares: where the data is, and the databases open for administration."""

from __future__ import annotations

import getpass
import os
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from tuhono.cli.errors import DataDirectoryMissing

if TYPE_CHECKING:
    from conf.sections import Settings
    from kernel.clock import Clock
    from registry.administration import CredentialAdministration, DeviceAdministration
    from storage.open import Store
    from tenant.administration import TenantAdministration
    from tenant.audit import Deed

ConfigFile = Annotated[
    Path | None,
    typer.Option("--config", "-c", envvar="TUHONO_CONFIG", help="Configuration file (TOML).", metavar="FILE"),
]
DataDir = Annotated[
    Path | None,
    typer.Option(
        "--data-dir", "-d", envvar="TUHONO_DATA_DIR", help="Where the databases are; default ./data.", metavar="DIR"
    ),
]
AsJson = Annotated[bool, typer.Option("--json", help="Print JSON, for scripts; faults too.")]


class Desk:
    """The databases of a data directory, open for administration."""

    def __init__(self, *, settings: Settings, store: Store, clock: Clock) -> None:
        self.settings = settings
        self.store = store
        self.clock = clock

    @cached_property
    def tenants(self) -> TenantAdministration:
        from tenant.administration import TenantAdministration

        return TenantAdministration(tenants=self.store.tenants, settings=self.settings.tenant)

    @cached_property
    def devices(self) -> DeviceAdministration:
        from kernel.ids import IdRule
        from registry.administration import DeviceAdministration

        return DeviceAdministration(
            devices=self.store.devices,
            tenants=self.store.tenants,
            settings=self.settings.registry,
            tenant_ids=IdRule(self.settings.tenant.id_pattern),
        )

    @cached_property
    def credentials(self) -> CredentialAdministration:
        from kernel.ids import IdRule
        from registry.administration import CredentialAdministration

        return CredentialAdministration(
            devices=self.store.devices,
            tenants=self.store.tenants,
            settings=self.settings.registry,
            tenant_ids=IdRule(self.settings.tenant.id_pattern),
        )

    def deed(self) -> Deed:
        """Whose wish a change is: that of whoever is at this machine."""
        from tenant.audit import Deed

        try:
            user = getpass.getuser()
        except (OSError, KeyError):  # as in a container, under a number nobody has a name for
            user = str(os.getuid())
        return Deed(actor=f"local:{user}", moment=self.clock.now())


def settings_of(config: Path | None, data_dir: Path | None) -> Settings:
    """The settings in force: file, then environment, then the command line. Raises ConfigurationInvalid."""
    from conf.loading import load

    return load(config, os.environ, data_dir=data_dir)


@contextmanager
def desk(config: Path | None, data_dir: Path | None, *, make: bool = False) -> Iterator[Desk]:
    """The databases, open. `make`: where there are none, make them. Raises DataDirectoryMissing."""
    from kernel.clock import SystemClock
    from storage.database import DATABASE_FILE
    from tuhono.domain import open_databases

    settings = settings_of(config, data_dir)
    if not make and not (settings.data_dir / DATABASE_FILE).is_file():
        raise DataDirectoryMissing(
            f"there is no registry in {str(settings.data_dir)!r}; `tuhono serve` makes one, --data-dir names another"
        )
    clock = SystemClock()
    store = open_databases(settings, clock)
    try:
        yield Desk(settings=settings, store=store, clock=clock)
    finally:
        store.close()
