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

from tuhono.cli.errors import DataDirectoryMissing, NotLoggedIn

if TYPE_CHECKING:
    from conf.sections import Settings
    from kernel.clock import Clock
    from registry.administration import CredentialAdministration, DeviceAdministration
    from registry.passwords import HashRules
    from registry.ports import DeviceRepository
    from storage.open import Store
    from tenant.administration import TenantAdministration
    from tenant.audit import Deed
    from tenant.ports import TenantRepository
    from tuhono.cli.elsewhere import Elsewhere
    from tuhono.cli.here import LocalApi
    from tuhono.remote.api import RemoteApi

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
ANY_ID = r"(?s:.+)"
AsJson = Annotated[bool, typer.Option("--json", help="Print JSON, for scripts; faults too.")]


class Counter:
    """Where tenants and devices are administered: on the databases here, or at a gateway elsewhere."""

    def __init__(
        self,
        *,
        settings: Settings,
        clock: Clock,
        tenants: TenantRepository,
        devices: DeviceRepository,
        api: RemoteApi | None = None,
        hash_rules: HashRules | None = None,
    ) -> None:
        self.settings = settings
        self.clock = clock
        self._api = api
        self._hash_rules = hash_rules
        self._tenants = tenants
        self._devices = devices

    @cached_property
    def tenants(self) -> TenantAdministration:
        from tenant.administration import TenantAdministration

        return TenantAdministration(tenants=self._tenants, settings=self.settings.tenant)

    @cached_property
    def devices(self) -> DeviceAdministration:
        from kernel.ids import IdRule
        from registry.administration import DeviceAdministration

        return DeviceAdministration(
            devices=self._devices,
            tenants=self._tenants,
            settings=self.settings.registry,
            tenant_ids=IdRule(self.settings.tenant.id_pattern),
        )

    @cached_property
    def credentials(self) -> CredentialAdministration:
        from kernel.ids import IdRule
        from registry.administration import CredentialAdministration

        return CredentialAdministration(
            devices=self._devices,
            tenants=self._tenants,
            settings=self.settings.registry,
            tenant_ids=IdRule(self.settings.tenant.id_pattern),
            rules=self._hash_rules,
        )

    @cached_property
    def api(self) -> RemoteApi | LocalApi:
        """The operations of the management API."""
        from dialects.hono.registrations import RegistrationRoutes
        from dialects.hono.tenants import TenantRoutes
        from tenant.operators import LocalCaller
        from tuhono.cli.here import LocalApi

        if self._api is not None:
            return self._api
        routes = [
            *TenantRoutes(administration=self.tenants, clock=self.clock).routes(),
            *RegistrationRoutes(
                tenants=self.tenants, devices=self.devices, credentials=self.credentials, clock=self.clock
            ).routes(),
        ]
        return LocalApi(routes, caller=LocalCaller(name=_local_actor()))

    def deed(self) -> Deed:
        """Whose wish a change is: that of whoever is at this machine."""
        from tenant.audit import Deed

        return Deed(actor=_local_actor(), moment=self.clock.now())


class Desk(Counter):
    """The databases of a data directory, open for administration."""

    def __init__(self, *, settings: Settings, store: Store, clock: Clock) -> None:
        super().__init__(settings=settings, clock=clock, tenants=store.tenants, devices=store.devices)
        self.store = store


def _local_actor() -> str:
    try:
        return f"local:{getpass.getuser()}"
    except (OSError, KeyError):  # as in a container, under a number nobody has a name for
        return f"local:{os.getuid()}"


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


@contextmanager
def counter(config: Path | None, data_dir: Path | None, *, make: bool = False) -> Iterator[Counter]:
    """What `desk` opens or, where the command was given --url, the gateway there.

    Raises DataDirectoryMissing, UrlInvalid, LoginUnusable, LoginExpired, NotLoggedIn.
    """
    from tuhono.cli.elsewhere import chosen

    elsewhere = chosen.get()
    if elsewhere is not None:
        yield _at_a_gateway(elsewhere)
        return
    with desk(config, data_dir, make=make) as here:
        yield here


def _at_a_gateway(elsewhere: Elsewhere) -> Counter:
    from conf.registry import RegistrySettings
    from conf.sections import Settings
    from conf.tenant import TenantSettings
    from kernel.clock import SystemClock
    from tuhono.cli.profile import read_profile
    from tuhono.cli.remote import Remote, origin_of
    from tuhono.remote.api import RemoteApi
    from tuhono.remote.devices import RemoteDevices
    from tuhono.remote.passwords import HashedThere
    from tuhono.remote.tenants import RemoteTenants

    clock = SystemClock()
    origin = origin_of(elsewhere.url)
    profile = None if elsewhere.key is not None else read_profile(clock.now())
    if profile is not None and profile.url != origin:
        profile = None
    secret = elsewhere.key if profile is None else profile.secret
    if secret is None:
        raise NotLoggedIn(f"nobody has logged in to {origin}: `tuhono login --url {origin}`, or give --key")
    ca_pem = None if profile is None else profile.ca_pem
    if elsewhere.ca_file is not None:
        ca_pem = elsewhere.ca_file.read_text()
    api = RemoteApi(Remote(origin, ca_pem=ca_pem), authorization=f"Bearer {secret}")
    rules = Settings(  # what ids may be is the gateway's to say
        data_dir=Path(),
        tenant=TenantSettings(id_pattern=ANY_ID),
        registry=RegistrySettings(device_id_pattern=ANY_ID, auth_id_pattern=ANY_ID),
    )
    return Counter(
        settings=rules,
        clock=clock,
        tenants=RemoteTenants(api),
        devices=RemoteDevices(api),
        api=api,
        hash_rules=HashedThere(),
    )
