"""Presence on SQLite. What a process said of its connections counts as long as its heartbeat is fresh."""

import sqlite3
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from datetime import datetime, timedelta
from threading import Lock

from kernel.ids import DeviceId, TenantId
from registry.presence import DEAD_AFTER, Presence, Sighting
from storage.database import Database
from storage.rows import micros, moment_of
from storage.sqlite import flush_commits, unavailable

FORGOTTEN_AFTER = timedelta(days=1)  # a process that is dead for so long is forgotten

_BEAT = """
INSERT INTO processes (process_id, beat) VALUES (?, ?) ON CONFLICT (process_id) DO UPDATE SET beat = excluded.beat
"""
_FORGET = "DELETE FROM processes WHERE beat < ?"
_LEAVE = "DELETE FROM processes WHERE process_id = ?"
# The device is looked up here, so that presence of what was deleted meanwhile is not written.
_WRITE = """
INSERT INTO presence (tenant_id, device_id, process_id, adapter, since, last_seen)
SELECT tenant_id, device_id, ?3, ?4, ?5, ?6 FROM devices WHERE tenant_id = ?1 AND device_id = ?2
ON CONFLICT (tenant_id, device_id) DO UPDATE SET
last_seen = max(last_seen, excluded.last_seen),
(process_id, adapter, since) = (SELECT excluded.process_id, excluded.adapter, excluded.since
    WHERE excluded.process_id IS NOT NULL OR presence.process_id = ?7
    UNION ALL SELECT presence.process_id, presence.adapter, presence.since LIMIT 1)
"""
_FIND = """
SELECT p.last_seen, p.adapter, p.since, w.process_id IS NOT NULL
FROM presence AS p LEFT JOIN processes AS w ON w.process_id = p.process_id AND w.beat > ?
WHERE p.tenant_id = ? AND p.device_id = ?
"""


class SqlitePresence:
    """`registry.presence.PresenceRecord` on SQLite. From any thread, one at a time; others wait."""

    def __init__(self, *, database: Database) -> None:
        self._database = database
        self._using = Lock()
        self._connection: sqlite3.Connection | None = None

    def beat(self, process_id: str, moment: datetime) -> None:
        with self._writing() as connection:
            connection.execute(_BEAT, (process_id, micros(moment)))
            connection.execute(_FORGET, (micros(moment - FORGOTTEN_AFTER),))

    def write(self, process_id: str, sightings: Sequence[Sighting]) -> None:
        with self._writing() as connection:
            connection.executemany(_WRITE, [_row(process_id, sighting) for sighting in sightings])

    def leave(self, process_id: str) -> None:
        with self._writing() as connection:
            connection.execute(_LEAVE, (process_id,))

    def find(self, tenant_id: TenantId, device_id: DeviceId, *, at: datetime) -> Presence | None:
        with self._used() as connection:
            try:
                row = connection.execute(_FIND, (micros(at - DEAD_AFTER), tenant_id, device_id)).fetchone()
            except UnicodeEncodeError:  # no such text can be on record
                return None
        if row is None:
            return None
        last_seen, adapter, since, is_alive = row
        if not is_alive:
            return Presence(last_seen=moment_of(last_seen))
        return Presence(last_seen=moment_of(last_seen), since=moment_of(since), adapter=adapter)

    def close(self) -> None:
        """Let go of the file. A later call opens it again."""
        with self._using:
            self._disconnect()

    @contextmanager
    def _writing(self) -> Iterator[sqlite3.Connection]:
        with self._used() as connection:
            connection.execute("BEGIN IMMEDIATE")
            yield connection
            connection.execute("COMMIT")

    @contextmanager
    def _used(self) -> Iterator[sqlite3.Connection]:
        """The connection, to one thread at a time; forgotten after a failure, which undoes what was begun."""
        with self._using:
            try:
                if self._connection is None:
                    self._connection = self._database.connect_writer()
                    flush_commits(self._connection, at_once=False)  # a power failure takes connections along anyway
                yield self._connection
            except sqlite3.Error as fault:
                self._disconnect()
                raise unavailable(fault) from fault
            except BaseException:
                self._disconnect()
                raise

    def _disconnect(self) -> None:
        connection, self._connection = self._connection, None
        if connection is not None:
            with suppress(sqlite3.Error):
                connection.close()


def _row(process_id: str, sighting: Sighting) -> tuple[object, ...]:
    is_connected = sighting.since is not None
    return (
        sighting.tenant_id,
        sighting.device_id,
        process_id if is_connected else None,
        sighting.adapter,
        None if sighting.since is None else micros(sighting.since),
        micros(sighting.last_seen),
        process_id if sighting.is_connection_known else None,  # whose word may end a connection
    )
