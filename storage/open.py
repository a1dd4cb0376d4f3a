"""Builds everything that leans on one database, for `compose` and for the command line.

What administration needs is built when it is first asked for: SQLAlchemy takes 0.2 s to import, and a
gateway that only serves devices never needs it.
"""

from __future__ import annotations

import sqlite3
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING

from conf.registry import RegistrySettings
from conf.storage import StorageSettings
from conf.tenant import TenantSettings
from kernel.clock import Clock
from storage.connect_path.sqlite import SqliteConnectPath
from storage.connect_path.sqlite_feed import SqliteChangeFeed
from storage.database import DATABASE_FILE, Database, open_database
from storage.presence import SqlitePresence
from storage.publications import SqlitePublications
from storage.sqlite import unavailable

if TYPE_CHECKING:
    from sqlalchemy import Engine

    from storage.repositories.audit import SqlAudit
    from storage.repositories.audit_writer import AuditWriter
    from storage.repositories.changes import ChangeWriter
    from storage.repositories.devices import SqlDevices
    from storage.repositories.operators import SqlOperators
    from storage.repositories.tenants import SqlTenants


class Store:
    """One database behind the ports of the domain rooms."""

    def __init__(
        self, *, database: Database, registry_settings: RegistrySettings, tenant_settings: TenantSettings, clock: Clock
    ) -> None:
        """Raises StorageUnavailable."""
        self.database = database
        self._audit_rows_max = registry_settings.audit_rows_max
        self._reader = database.connect_reader()
        self.feed = SqliteChangeFeed(reader=self._reader, settings=tenant_settings, bell=database.bell())
        self.connect_path = SqliteConnectPath(
            database=database,
            reader=self._reader,
            feed=self.feed,
            registry_settings=registry_settings,
            clock=clock,
        )
        self.publications = SqlitePublications(database=database)
        self.presence = SqlitePresence(database=database)

    @cached_property
    def tenants(self) -> SqlTenants:
        from storage.repositories.tenants import SqlTenants

        return SqlTenants(engine=self._engine, changes=self._changes, audit=self._audit_writer)

    @cached_property
    def devices(self) -> SqlDevices:
        from storage.repositories.devices import SqlDevices

        return SqlDevices(engine=self._engine, changes=self._changes, audit=self._audit_writer)

    @cached_property
    def operators(self) -> SqlOperators:
        from storage.repositories.operators import SqlOperators

        return SqlOperators(engine=self._engine, audit=self._audit_writer)

    @cached_property
    def audit(self) -> SqlAudit:
        from storage.repositories.audit import SqlAudit

        return SqlAudit(engine=self._engine)

    def has_unfinished_purges(self) -> bool:
        """Whether some tenant is gone while devices of it are not."""
        try:
            return self._reader.execute("SELECT 1 FROM purges LIMIT 1").fetchone() is not None
        except sqlite3.Error as fault:
            raise unavailable(fault) from fault

    def has_operators(self) -> bool:
        """Whether anybody may administer from afar."""
        try:
            return self._reader.execute("SELECT 1 FROM operators LIMIT 1").fetchone() is not None
        except sqlite3.Error as fault:
            raise unavailable(fault) from fault

    def close(self, *, within_s: float | None = None) -> None:
        """Write what is waiting, then let go of the file. Blocks for as long as the last commits take, or as given."""
        self.connect_path.close(within_s=within_s)
        self.publications.release()
        self.presence.close()
        self._reader.close()
        if "_engine" in self.__dict__:
            self._engine.dispose()

    @cached_property
    def _engine(self) -> Engine:
        from storage.repositories.engine import make_engine

        return make_engine(self.database)

    @property
    def _changes(self) -> ChangeWriter:
        from storage.repositories.changes import ChangeWriter

        return ChangeWriter(change_rows_max=self.database.settings.change_rows_max)

    @property
    def _audit_writer(self) -> AuditWriter:
        from storage.repositories.audit_writer import AuditWriter

        return AuditWriter(audit_rows_max=self._audit_rows_max)


def open_store(
    *, data_dir: Path, storage: StorageSettings, registry: RegistrySettings, tenant: TenantSettings, clock: Clock
) -> Store:
    """Open the database in the data directory, creating and migrating as needed, and finish what a crash cut short.

    Raises StorageTooNew, StorageForeign, StorageUnavailable.
    """
    database = open_database(data_dir / DATABASE_FILE, storage)
    store = Store(database=database, registry_settings=registry, tenant_settings=tenant, clock=clock)
    try:
        if store.has_unfinished_purges():
            store.tenants.finish_purges()
    except BaseException:
        store.close()
        raise
    return store
