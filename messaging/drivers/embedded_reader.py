"""Reads the embedded log, from the gateway's process or any other, while it is written or not.

Owns a connection of its own, opened when first needed: before the gateway's first start there is no
file, and the log reads as empty. Any number of readers may exist; none ever holds up the writer, because
each looks at a bounded piece of the log at a time.
"""

import sqlite3
import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from kernel.clock import Clock, milliseconds
from kernel.ids import TenantId
from messaging.drivers.embedded_file import LogConnection, Transaction, create_log, open_log
from messaging.drivers.embedded_records import decode_group
from messaging.errors import LogUnavailable, TooManyCursors
from messaging.message import KeptMessage

READ_PAYLOAD_BYTES_MAX = 4_194_304  # one read stops behind the message that reaches it
STEP_ROWS_MAX = 64  # rows looked at in one go; each holds at most a group of messages
CURSORS_MAX = 10_000
CURSOR_NAME_MAX_CHARS = 256
BUSY_TIMEOUT_S = 10.0

_ROWS = "SELECT last_position, count, heads, bundles, payloads FROM kept WHERE last_position > ? ORDER BY 1 LIMIT ?"
ROWS_OF_TENANT = """
SELECT kept.last_position, count, heads, bundles, payloads FROM kept_by_tenant AS tenant
JOIN kept ON kept.last_position = tenant.last_position
WHERE tenant.last_position > ? AND tenant.tenant_id = ? ORDER BY tenant.last_position LIMIT ?
"""
_ROW_AT = "SELECT last_position, newest_ms FROM kept WHERE last_position >= ? ORDER BY last_position LIMIT 1"
_LAST = "SELECT coalesce(max(last_position), 0) FROM kept"
_COMMIT_CURSOR = """
INSERT INTO cursor (name, position) VALUES (?, ?)
ON CONFLICT (name) DO UPDATE SET position = max(position, excluded.position)
"""

_Row = tuple[int, int, str, str, bytes]


class EmbeddedLog:
    """`MessageLog` over the embedded engine's file. Blocking; one thread at a time, others wait.

    Every method raises LogTooNew or LogTooOld for another release's log and LogUnavailable when the file cannot be
    read, or not what is written in it.
    """

    def __init__(self, *, path: Path, clock: Clock) -> None:
        self._path = path
        self._clock = clock
        self._lock = threading.Lock()
        self._connection: LogConnection | None = None
        self._times_opened = 0

    def read(self, *, after: int, limit: int, tenant_id: TenantId | None = None) -> Sequence[KeptMessage]:
        """As the port promises. Steps over a tenant's or expired messages cost little, but start again each time:
        a follower that got nothing goes on from the `last_position` it saw before."""
        now_ms = milliseconds(self._clock.now())
        found: list[KeptMessage] = []
        found_bytes = 0
        with self._opened() as connection:
            if connection is None or limit < 1:
                return found
            for kept in _messages_after(connection, after, tenant_id):
                if kept.message.is_expired_at(now_ms):
                    continue
                found.append(kept)
                found_bytes += len(kept.message.payload or b"")
                if len(found) >= limit or found_bytes >= READ_PAYLOAD_BYTES_MAX:
                    break
        return found

    def last_position(self) -> int:
        with self._opened() as connection:
            return 0 if connection is None else int(connection.execute(_LAST).fetchone()[0])

    def first_position_since(self, time_ms: int) -> int:
        """As the port promises, by halving: a handful of row look-ups however long the log is."""
        with self._opened() as connection:
            if connection is None:
                return 0
            low, high = 0, int(connection.execute(_LAST).fetchone()[0]) + 1
            while low < high:
                middle = (low + high) // 2
                row = connection.execute(_ROW_AT, (middle,)).fetchone()
                if row is not None and row[1] < time_ms:
                    low = row[0] + 1
                else:
                    high = middle
            for kept in _messages_after(connection, low - 1, None):
                if kept.message.creation_time_ms >= time_ms:
                    return kept.position - 1
            return int(connection.execute(_LAST).fetchone()[0])

    def change_mark(self) -> int:
        """As the port promises; also differs when retention made room or another reader committed a cursor."""
        with self._opened() as connection:
            if connection is None:
                return 0
            (version,) = connection.execute("PRAGMA data_version").fetchone()
            return self._times_opened * 2**32 + int(version)

    def cursor(self, name: str) -> int:
        with self._opened() as connection:
            if connection is None:
                return 0
            row = connection.execute("SELECT position FROM cursor WHERE name = ?", (name,)).fetchone()
            return 0 if row is None else int(row[0])

    def commit_cursor(self, name: str, position: int) -> None:
        """As the port promises. Raises TooManyCursors past CURSORS_MAX names or CURSOR_NAME_MAX_CHARS."""
        if len(name) > CURSOR_NAME_MAX_CHARS:
            raise TooManyCursors(f"a cursor's name has at most {CURSOR_NAME_MAX_CHARS} characters")
        with self._opened(create=True) as connection:
            assert connection is not None
            with Transaction(connection):
                connection.execute(_COMMIT_CURSOR, (name, position))
                (cursors,) = connection.execute("SELECT count(*) FROM cursor").fetchone()
                if cursors > CURSORS_MAX:
                    raise TooManyCursors(f"the log remembers at most {CURSORS_MAX} cursors")

    def close(self) -> None:
        """Give the file back. A later call opens it again."""
        with self._lock:
            self._disconnect()

    @contextmanager
    def _opened(self, *, create: bool = False) -> Iterator[LogConnection | None]:
        """The connection, to one thread at a time; None where there is no file. Forgotten after a failure."""
        with self._lock:
            try:
                if self._connection is None:
                    self._connect(create=create)
                yield self._connection
            except sqlite3.Error as fault:
                self._disconnect()
                raise LogUnavailable(f"cannot read message log {self._path}: {fault}") from fault

    def _connect(self, *, create: bool) -> None:
        if create:
            create_log(self._path)
        if self._path.exists():
            self._connection = open_log(self._path, busy_timeout_s=BUSY_TIMEOUT_S)
            self._times_opened += 1

    def _disconnect(self) -> None:
        connection, self._connection = self._connection, None
        if connection is not None:
            connection.close()


def _messages_after(connection: LogConnection, after: int, tenant_id: TenantId | None) -> Iterator[KeptMessage]:
    """Every message behind `after`, in order. Holds one row in memory, and the log open for a step at most."""
    behind = after
    while True:
        if tenant_id is None:
            rows = connection.execute(_ROWS, (behind, STEP_ROWS_MAX))
        else:
            rows = connection.execute(ROWS_OF_TENANT, (behind, tenant_id, STEP_ROWS_MAX))
        count = 0
        try:
            for row in rows:
                count += 1
                behind = row[0]
                for kept in _decoded(row):
                    if kept.position > after and tenant_id in {None, kept.message.tenant_id}:
                        yield kept
        finally:
            rows.close()
        if count < STEP_ROWS_MAX:
            return


def _decoded(row: _Row) -> Iterator[KeptMessage]:
    """Its messages. Raises LogUnavailable for a row that is damaged: who wants what lies behind it reads from there."""
    try:
        yield from decode_group(*row)
    except (ValueError, TypeError, LookupError, RecursionError) as fault:
        raise LogUnavailable(f"the messages of the log up to position {row[0]} are damaged: {fault}") from fault
