"""Writes the audit rows of administrative changes, each in the transaction of its change.

Rows of connecting devices are written on the connect path (storage/connect_path/sqlite_group.py). They have bounds of
their own: a million of them push out none of these.
"""

from collections.abc import Sequence

from sqlalchemy import Connection, delete, func, insert, select, update

from storage.rows import AUDIT_COLUMNS, audit_row, texts_text
from storage.schema import audit
from tenant.audit import AuditRow

PRUNE_EVERY = 256  # rows: finding the place costs a walk over all that stay
OF_OPERATORS = audit.c.actor.is_not(None)

_LAST = select(func.coalesce(func.max(audit.c.position), 0))


class AuditWriter:
    """Appends rows and lets the oldest go."""

    def __init__(self, *, audit_rows_max: int) -> None:
        self._audit_rows_max = audit_rows_max
        self._unpruned = PRUNE_EVERY  # rows written since the oldest were let go; other processes may have left some

    def write(self, connection: Connection, *rows: AuditRow) -> int:
        """Returns the position of the last row."""
        self.write_all(connection, rows)
        return int(connection.execute(_LAST).scalar_one())

    def write_all(self, connection: Connection, rows: Sequence[AuditRow]) -> None:
        if not rows:
            return
        values = [dict(zip(AUDIT_COLUMNS[1:], audit_row(row), strict=True)) for row in rows]
        connection.execute(insert(audit), values)
        self._unpruned += len(rows)
        if self._unpruned >= PRUNE_EVERY:
            self._unpruned = 0
            oldest = select(audit.c.position).where(OF_OPERATORS).order_by(audit.c.position.desc())
            beyond = oldest.limit(1).offset(self._audit_rows_max).scalar_subquery()
            connection.execute(delete(audit).where(OF_OPERATORS, audit.c.position <= beyond))

    def set_facts(self, connection: Connection, position: int, facts: dict[str, str]) -> None:
        """Of a row that is written while what it tells of goes on."""
        connection.execute(update(audit).where(audit.c.position == position).values(facts=texts_text(facts)))
