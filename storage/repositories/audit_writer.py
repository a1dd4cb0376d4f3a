"""Writes the audit rows of administrative changes, each in the transaction of its change.

Rows of connecting devices are written on the connect path (storage/connect_path/sqlite_group.py), which keeps to the
same bound in the same way.
"""

from collections.abc import Sequence

from sqlalchemy import Connection, delete, func, insert, select, update

from storage.rows import AUDIT_COLUMNS, audit_row, texts_text
from storage.schema import audit
from tenant.audit import AuditRow

PRUNE_EVERY = 256  # rows: finding the place costs a walk over all that stay
LASTING = audit.c.what != "device.refused"

_LAST = select(func.coalesce(func.max(audit.c.position), 0))


class AuditWriter:
    """Appends rows and lets the oldest go."""

    def __init__(self, *, audit_rows_max: int) -> None:
        self._audit_rows_max = audit_rows_max

    def write(self, connection: Connection, *rows: AuditRow) -> int:
        """Returns the position of the last row."""
        self.write_all(connection, rows)
        return int(connection.execute(_LAST).scalar_one())

    def write_all(self, connection: Connection, rows: Sequence[AuditRow]) -> None:
        if not rows:
            return
        values = [dict(zip(AUDIT_COLUMNS[1:], audit_row(row), strict=True)) for row in rows]
        connection.execute(insert(audit), values)
        last: int = connection.execute(_LAST).scalar_one()
        if last // PRUNE_EVERY != (last - len(rows)) // PRUNE_EVERY:
            oldest = select(audit.c.position).where(LASTING).order_by(audit.c.position.desc())
            beyond = oldest.limit(1).offset(self._audit_rows_max).scalar_subquery()
            connection.execute(delete(audit).where(LASTING, audit.c.position <= beyond))

    def set_facts(self, connection: Connection, position: int, facts: dict[str, str]) -> None:
        """Of a row that is written while what it tells of goes on."""
        connection.execute(update(audit).where(audit.c.position == position).values(facts=texts_text(facts)))
