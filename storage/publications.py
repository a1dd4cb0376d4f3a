"""What there is to tell of changes on record, on SQLite: read from the audit rows, which hold them in commit order.

An audit row is written in the transaction of its change, and positions ascend with commits because only one
transaction writes at a time. How far they were told is a row of its own. Whose turn it is to tell is a lock on a file
beside the database: the system lets go of it when the process ends, however it ends.
"""

import fcntl
import os
import sqlite3
from collections.abc import Sequence
from contextlib import suppress
from threading import Lock
from typing import Any

from registry.notifications import CREATED, PROVISIONED, TOLD, RecordedChange, RecordedPage
from storage.database import Database
from storage.rows import moment_of
from storage.sqlite import flush_commits, unavailable

NAME = "notifications"
NOTE_EVERY = 10_000  # rows with nothing to tell: how far one came past them is noted, too, or they would seem missed

_DATA_VERSION = "PRAGMA data_version"
_POSITION = f"SELECT position FROM publications WHERE name = '{NAME}'"
_LAST = "SELECT coalesce(max(position), 0) FROM audit"
_FIRST_THAT_STAYED = """
SELECT max(first) FROM
(SELECT min(position) AS first FROM audit WHERE what <> 'device.refused' AND actor IS NULL
UNION ALL SELECT min(position) FROM audit WHERE actor IS NOT NULL)
"""
_KEPT = "SELECT count(*) FROM audit WHERE position > ? AND position < ?"
_CHANGES = f"""
SELECT position, moment, what, tenant_id, device_id, json_extract(after, '$.enabled'),
       json_extract(after, '$.ext."invalidate-cache-on-update"'), json_type(after, '$.credentials'),
       json_type(facts, '$.gateway')
FROM audit WHERE position > ? AND what IN ({", ".join(f"'{what}'" for what in TOLD)})
ORDER BY position LIMIT ?
"""
_NOTE = f"UPDATE publications SET position = ? WHERE name = '{NAME}'"


class SqlitePublications:
    """`registry.ports.Publications` on SQLite. From one thread at a time; others wait."""

    def __init__(self, *, database: Database) -> None:
        self._database = database
        self._using = Lock()
        self._lock_file: int | None = None
        self._connection: sqlite3.Connection | None = None
        self._position = 0  # what is up to here has been told
        self._noted = 0  # the same on record, or behind it
        self._seen = -1  # the state of the database in which nothing was left to read
        self._reading = -1  # the state in which the last page was read, if that was all

    def take_turn(self) -> bool:
        with self._using:
            if self._lock_file is None and not self._locked():
                return False
            try:
                if self._connection is None:
                    connection = self._database.connect_writer()
                    flush_commits(connection, at_once=False)  # told twice after a power failure, which is allowed
                    (self._position,) = connection.execute(_POSITION).fetchone()
                    self._noted = self._position
                    self._connection = connection
            except sqlite3.Error as fault:
                raise unavailable(fault) from fault
            return True

    def release(self) -> None:
        with self._using:
            connection, self._connection = self._connection, None
            if connection is not None:
                with suppress(sqlite3.Error):
                    connection.close()
            descriptor, self._lock_file = self._lock_file, None
            if descriptor is not None:
                os.close(descriptor)
            self._seen = -1

    def may_have_more(self) -> bool:
        if self._connection is None:
            return False
        try:
            version: int = self._connection.execute(_DATA_VERSION).fetchone()[0]
        except sqlite3.Error as fault:
            raise unavailable(fault) from fault
        return version != self._seen

    def read(self, *, limit: int) -> RecordedPage:
        with self._using:
            connection = self._connected()
            try:
                version: int = connection.execute(_DATA_VERSION).fetchone()[0]  # first: later commits show as another
                connection.execute("BEGIN")
                try:
                    rows = connection.execute(_CHANGES, (self._position, limit)).fetchall()
                    (last,) = connection.execute(_LAST).fetchone()
                    missed = self._missed(connection)
                finally:
                    connection.execute("COMMIT")
            except sqlite3.Error as fault:
                raise unavailable(fault) from fault
            is_all = len(rows) < limit
            self._reading = version if is_all else -1
            return RecordedPage(
                changes=[_change_of(row) for row in rows],
                behind=max(last, self._position) if is_all else rows[-1][0],
                missed=missed,
            )

    def note(self, page: RecordedPage) -> None:
        with self._using:
            if page.changes or page.behind - self._noted >= NOTE_EVERY:
                try:
                    self._connected().execute(_NOTE, (page.behind,))
                except sqlite3.Error as fault:
                    raise unavailable(fault) from fault
                self._noted = page.behind
            self._position = page.behind
            self._seen = self._reading

    def _locked(self) -> bool:
        path = self._database.path
        try:
            descriptor = os.open(path.with_name(path.name + ".publisher"), os.O_RDWR | os.O_CREAT, 0o600)
        except OSError as fault:
            raise unavailable(fault) from fault
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            os.close(descriptor)
            return False
        self._lock_file = descriptor
        return True

    def _connected(self) -> sqlite3.Connection:
        if self._connection is None:
            raise unavailable(RuntimeError("another process publishes"))
        return self._connection

    def _missed(self, connection: sqlite3.Connection) -> int:
        """Rows behind our position that made room for others: refusals, for all we know, or changes."""
        (first,) = connection.execute(_FIRST_THAT_STAYED).fetchone()
        if first is None or first <= self._position + 1:
            return 0
        (kept,) = connection.execute(_KEPT, (self._position, first)).fetchone()
        return int(first - self._position - 1 - kept)


def _change_of(row: Sequence[Any]) -> RecordedChange:
    position, moment, what, tenant_id, device_id, enabled, invalidates, credentials, gateway = row
    return RecordedChange(
        position=position,
        moment=moment_of(moment),
        what=what,
        tenant_id=tenant_id,
        device_id=device_id,
        enabled=enabled is None or bool(enabled),
        invalidates=invalidates == 1,
        with_credentials=gateway is None if what == PROVISIONED else what == CREATED and credentials is not None,
    )
