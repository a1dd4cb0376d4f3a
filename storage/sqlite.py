"""Connections to one SQLite file: what each is set to, and its faults in our own words.

Every connection is in autocommit mode: a transaction begins where the code says BEGIN.
"""

import sqlite3
from pathlib import Path

from registry.errors import StorageUnavailable

STATEMENTS_KEPT_MAX = 256  # prepared statements a connection remembers
WRITER_CACHE_KIB = 16_384


def connect_writer(path: Path, *, busy_timeout_s: float) -> sqlite3.Connection:
    """For one thread at a time. A commit has reached the disk when it returns."""
    connection = _connect(path, busy_timeout_s)
    connection.execute("PRAGMA synchronous=FULL")
    connection.execute("PRAGMA foreign_keys=ON")
    connection.execute(f"PRAGMA cache_size=-{WRITER_CACHE_KIB}")
    return connection


def flush_commits(connection: sqlite3.Connection, *, at_once: bool) -> None:
    """Whether a commit of this writer is on the disk when it returns, or when the next flushed one is.

    Either way it survives the end of the process, and the file stays whole when the power fails.
    """
    connection.executescript(f"PRAGMA synchronous={'FULL' if at_once else 'NORMAL'}")  # never from the statement cache


def connect_reader(path: Path, *, busy_timeout_s: float) -> sqlite3.Connection:
    """Reads only, and sees what is committed; in WAL mode it waits for no writer."""
    connection = _connect(path, busy_timeout_s)
    connection.execute("PRAGMA query_only=ON")
    return connection


def _connect(path: Path, busy_timeout_s: float) -> sqlite3.Connection:
    try:
        connection = sqlite3.connect(
            path,
            timeout=busy_timeout_s,
            isolation_level=None,
            check_same_thread=False,
            cached_statements=STATEMENTS_KEPT_MAX,
        )
    except sqlite3.Error as fault:
        raise unavailable(fault) from fault
    connection.execute("PRAGMA trusted_schema=OFF")
    return connection


def unavailable(fault: BaseException) -> StorageUnavailable:
    """The driver's own text, for operators."""
    return StorageUnavailable(f"database: {fault}")
