"""Makes room in the embedded log: what is too old or too much goes, oldest first, in small steps.

Each step is one short transaction, so a writer in another process never waits long and readers never
wait at all. Pages given back are filled again: the file stays at its high-water mark, which the bound on
bytes holds to within what is written between two steps. It does not shrink when the bound is lowered.
"""

import json

from messaging.drivers.embedded_file import LogConnection, Transaction

STEP_ROWS_MAX = 256

_Row = tuple[int, str]  # its last position and its tenants

_OLDEST = "SELECT last_position, tenants FROM kept ORDER BY last_position LIMIT ?"
_OLDER = """
SELECT last_position, tenants
FROM (SELECT last_position, count, kept_ms, tenants FROM kept ORDER BY last_position LIMIT ?)
WHERE kept_ms < ? AND (count > 0 OR last_position < (SELECT max(last_position) FROM kept))
"""
_EMPTY = (
    "UPDATE kept SET count = 0, tenants = '[]', heads = '[]', bundles = '[]', payloads = x'' WHERE last_position = ?"
)


def used_bytes(connection: LogConnection) -> int:
    """Of the log's file, without the pages that wait to be filled again."""
    (pages,) = connection.execute("PRAGMA page_count").fetchone()
    (free,) = connection.execute("PRAGMA freelist_count").fetchone()
    (page_bytes,) = connection.execute("PRAGMA page_size").fetchone()
    return int((pages - free) * page_bytes)


def drop_oldest(connection: LogConnection) -> bool:
    """One step that makes room whatever the age. False when only the newest row is left, which stays."""
    with Transaction(connection):
        rows: list[_Row] = connection.execute(_OLDEST, (STEP_ROWS_MAX + 1,)).fetchall()
        old = rows[:STEP_ROWS_MAX] if len(rows) > STEP_ROWS_MAX else rows[:-1]
        _delete(connection, old)
    return bool(old)


def drop_older_than(connection: LogConnection, cutoff_ms: int) -> bool:
    """One step that removes what was kept before `cutoff_ms`. False when it found nothing of that age."""
    if not connection.execute(_OLDER, (STEP_ROWS_MAX, cutoff_ms)).fetchall():  # mostly; takes no write lock
        return False
    with Transaction(connection):
        old: list[_Row] = connection.execute(_OLDER, (STEP_ROWS_MAX, cutoff_ms)).fetchall()
        (newest,) = connection.execute("SELECT max(last_position) FROM kept").fetchone()
        if old and old[-1][0] == newest:
            connection.execute(_EMPTY, (newest,))
            _forget_tenants(connection, old[-1:])
            old = old[:-1]
        _delete(connection, old)
    return True


def _delete(connection: LogConnection, rows: list[_Row]) -> None:
    connection.executemany("DELETE FROM kept WHERE last_position = ?", [(position,) for position, _ in rows])
    _forget_tenants(connection, rows)


def _forget_tenants(connection: LogConnection, rows: list[_Row]) -> None:
    pairs = [(tenant_id, position) for position, tenants in rows for tenant_id in json.loads(tenants)]
    connection.executemany("DELETE FROM kept_by_tenant WHERE tenant_id = ? AND last_position = ?", pairs)
