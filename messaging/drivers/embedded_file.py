"""The file of the embedded log: its tables, how it comes into being, how it is opened.

Owns the schema and its version. A log appears whole or not at all: it is made under another name and
then linked to its own, so processes that start at the same moment all find a complete one.

One row of `kept` holds the messages of one commit, or a slice of them, as embedded_records.py writes them: a row
and an index entry per message would cost 5.9 us each at a hundred a commit. `last_position` is the position
of the row's last message. `kept_ms` is when it was written. `newest_ms` is the latest creation time in this
row and all before it, so it ascends with the positions and can be searched by halving. The row with the
highest position is emptied, never deleted: it is what positions continue from.
"""

import os
import sqlite3
import tempfile
import time
from contextlib import closing, suppress
from pathlib import Path
from urllib.parse import quote

from messaging.errors import LogTooNew, LogTooOld, LogUnavailable

SCHEMA_VERSION = 2
APPLICATION_ID = 0x7475686F  # "tuho": what `file` and we recognise a log by
WAL_BYTES_MAX = 67_108_864  # the write-ahead log's file is cut back to this after a checkpoint
BUSY_STEP_S = 0.0005  # between two attempts at a turn to write

_SCHEMA = f"""
PRAGMA journal_mode = WAL;
PRAGMA synchronous = FULL;
BEGIN;
CREATE TABLE kept (
    last_position INTEGER PRIMARY KEY,
    count INTEGER NOT NULL,
    kept_ms INTEGER NOT NULL,
    newest_ms INTEGER NOT NULL,
    tenants TEXT NOT NULL,
    heads TEXT NOT NULL,
    bundles TEXT NOT NULL,
    payloads BLOB NOT NULL
);
CREATE TABLE kept_by_tenant (
    tenant_id TEXT NOT NULL,
    last_position INTEGER NOT NULL,
    PRIMARY KEY (tenant_id, last_position)
) WITHOUT ROWID;
CREATE TABLE cursor (name TEXT PRIMARY KEY, position INTEGER NOT NULL) WITHOUT ROWID;
PRAGMA application_id = {APPLICATION_ID};
PRAGMA user_version = {SCHEMA_VERSION};
COMMIT;
"""


def create_log(path: Path) -> None:
    """Make an empty log, readable by its owner only, where there is none. Safe in any number of processes."""
    if path.exists():
        return
    try:
        descriptor, made = tempfile.mkstemp(prefix=path.name, dir=path.parent)  # mode 0600; -wal and -shm follow it
        os.close(descriptor)
        try:
            with closing(sqlite3.connect(made, isolation_level=None)) as connection:
                connection.executescript(_SCHEMA)
            with suppress(FileExistsError):
                os.link(made, path)
        finally:
            os.unlink(made)
        _flush_directory(path.parent)
    except (OSError, sqlite3.Error) as fault:
        raise LogUnavailable(f"cannot create message log {path}: {fault}") from fault


class LogConnection(sqlite3.Connection):
    """A connection in autocommit that can wait for its turn to write.

    SQLite's own wait asks again ever more rarely, up to every 100 ms: beside a busy writer in another process that
    made one message in a thousand wait 130 ms. Asking every 0.5 ms brings that to 10 ms.
    """

    begin_attempts = 1

    def begin(self) -> None:
        """Start a transaction that writes. Raises sqlite3.OperationalError when the turn never came."""
        for attempt in range(1, self.begin_attempts + 1):
            try:
                self.execute("BEGIN IMMEDIATE")
                return
            except sqlite3.OperationalError as fault:
                if fault.sqlite_errorcode != sqlite3.SQLITE_BUSY or attempt == self.begin_attempts:
                    raise
            time.sleep(BUSY_STEP_S)


class Transaction:
    """A block that writes: all of it is committed, or none when it raises. sqlite3.Error passes through."""

    def __init__(self, connection: LogConnection) -> None:
        self._connection = connection

    def __enter__(self) -> None:
        self._connection.begin()

    def __exit__(self, kind: type[BaseException] | None, *_: object) -> None:
        try:
            if kind is None:
                self._connection.execute("COMMIT")
        finally:
            if self._connection.in_transaction:  # SQLite itself undoes some failures, a full disk among them
                self._connection.execute("ROLLBACK")


def open_log(path: Path, *, busy_timeout_s: float) -> LogConnection:
    """A connection for any one thread at a time that flushes every commit to disk.

    Raises LogTooNew or LogTooOld for another release's log, LogUnavailable where there is none or it cannot be opened.
    """
    try:
        connection = sqlite3.connect(
            f"file:{quote(str(path))}?mode=rw",
            uri=True,
            isolation_level=None,
            check_same_thread=False,
            timeout=busy_timeout_s,
            factory=LogConnection,
        )
    except sqlite3.Error as fault:
        raise LogUnavailable(f"cannot open message log {path}: {fault}") from fault
    try:
        _recognise(connection, path)
        connection.execute("PRAGMA synchronous = FULL")
        connection.execute(f"PRAGMA journal_size_limit = {WAL_BYTES_MAX}")
    except sqlite3.Error as fault:
        connection.close()
        raise LogUnavailable(f"cannot open message log {path}: {fault}") from fault
    except BaseException:
        connection.close()
        raise
    return connection


def open_log_to_write(path: Path, *, busy_timeout_s: float) -> LogConnection:
    """The same for one who writes all the time: it takes its turn soon after another writer is done."""
    connection = open_log(path, busy_timeout_s=busy_timeout_s)
    connection.execute("PRAGMA busy_timeout = 0")
    connection.begin_attempts = max(1, round(busy_timeout_s / BUSY_STEP_S))
    return connection


def _recognise(connection: LogConnection, path: Path) -> None:
    (application_id,) = connection.execute("PRAGMA application_id").fetchone()
    if application_id != APPLICATION_ID:
        raise LogUnavailable(f"{path} is not a message log")
    (version,) = connection.execute("PRAGMA user_version").fetchone()
    if version > SCHEMA_VERSION:
        raise LogTooNew(str(path), version, SCHEMA_VERSION)
    if version < SCHEMA_VERSION:
        raise LogTooOld(str(path), version, SCHEMA_VERSION)


def _flush_directory(directory: Path) -> None:
    """Without this a power failure may forget the file's name, and all that was acknowledged with it."""
    descriptor = os.open(directory, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
