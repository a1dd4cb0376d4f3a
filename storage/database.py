"""Opens the registry's database: its place and permissions, its age, and the migrations it still needs.

Opening one that is up to date costs a few milliseconds. Anything else happens under a lock file, so that
processes starting at the same time migrate once. A database that a newer release wrote is left alone.
"""

import fcntl
import os
import sqlite3
import time
from collections.abc import Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass
from pathlib import Path

from conf.storage import StorageSettings
from registry.errors import StorageUnavailable
from storage.bell import ChangeBell
from storage.errors import StorageForeign, StorageTooNew
from storage.migrations.history import LATEST, REVISIONS
from storage.sqlite import connect_reader, connect_writer

DATABASE_FILE = "registry.db"
_LOCK_POLL_S = 0.02


@dataclass(frozen=True, slots=True, kw_only=True)
class Database:
    """A database file that is up to date. Holds no connection open."""

    path: Path
    settings: StorageSettings
    revision: str
    migrated_from: str | None  # the revision found, "" for a new file; None: it was up to date

    def bell(self) -> ChangeBell:
        """Raises StorageUnavailable."""
        try:
            return ChangeBell(self.path)
        except OSError as fault:
            raise StorageUnavailable(f"cannot open what stands beside {self.path}: {fault}") from fault

    def connect_writer(self) -> sqlite3.Connection:
        return connect_writer(self.path, busy_timeout_s=self.settings.busy_timeout_s)

    def connect_reader(self) -> sqlite3.Connection:
        return connect_reader(self.path, busy_timeout_s=self.settings.read_timeout_s)


def open_database(path: Path, settings: StorageSettings) -> Database:
    """Create the file where there is none, migrate it where it is old.

    A directory made for it is its owner's alone (0700), and so is the file (0600). Raises StorageTooNew,
    StorageForeign, StorageUnavailable.
    """
    try:
        _create_file(path)
        with closing(connect_writer(path, busy_timeout_s=settings.busy_timeout_s)) as connection:
            found = _revision(connection, path)
            if found == LATEST and _is_write_ahead(connection):
                return Database(path=path, settings=settings, revision=LATEST, migrated_from=None)
            with _locked(path, settings.busy_timeout_s):
                before = _migrated(connection, path)
    except (sqlite3.Error, OSError) as fault:
        raise StorageUnavailable(f"cannot open {path}: {fault}") from fault
    return Database(path=path, settings=settings, revision=LATEST, migrated_from=before)


def _create_file(path: Path) -> None:
    path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    os.close(os.open(path, os.O_RDWR | os.O_CREAT, 0o600))  # SQLite gives its side files the same permissions


def _migrated(connection: sqlite3.Connection, path: Path) -> str | None:
    """What the revision was before, None where another process was faster."""
    if not _is_write_ahead(connection):
        connection.execute("PRAGMA journal_mode=WAL")
    found = _revision(connection, path)
    if found == LATEST:
        return None
    from storage.migrations.upgrade import upgrade

    upgrade(connection)
    return found


def _is_write_ahead(connection: sqlite3.Connection) -> bool:
    (mode,) = connection.execute("PRAGMA journal_mode").fetchone()
    return bool(mode == "wal")


def _revision(connection: sqlite3.Connection, path: Path) -> str:
    """The last step the database has taken, "" for an empty one."""
    tables = {name for (name,) in connection.execute("SELECT name FROM sqlite_master WHERE type = 'table'")}
    if not tables:
        return ""
    if "alembic_version" not in tables:
        raise StorageForeign(f"{path} holds tables of another program")
    row = connection.execute("SELECT version_num FROM alembic_version").fetchone()
    revision = "" if row is None else str(row[0])
    if revision and revision not in REVISIONS:
        raise StorageTooNew(f"{path} is at revision {revision}; this release knows up to {LATEST}: upgrade Tuhono")
    return revision


@contextmanager
def _locked(path: Path, timeout_s: float) -> Iterator[None]:
    """Hold the lock file beside the database. Raises StorageUnavailable when it stays taken."""
    descriptor = os.open(path.with_name(path.name + ".lock"), os.O_RDWR | os.O_CREAT, 0o600)
    try:
        for _ in range(max(1, round(timeout_s / _LOCK_POLL_S))):
            try:
                fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
                break
            except BlockingIOError:
                time.sleep(_LOCK_POLL_S)
        else:
            raise StorageUnavailable(f"another process has been migrating {path} for {timeout_s} s")
        yield
    finally:
        os.close(descriptor)
