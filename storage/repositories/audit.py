"""Audit rows for whoever asks later. They are written on the connect path."""

from collections.abc import Sequence
from datetime import datetime

from sqlalchemy import Engine, func, select

from kernel.ids import TenantId
from storage.repositories.engine import reading
from storage.rows import AUDIT_COLUMNS, audit_of, micros
from storage.schema import audit
from tenant.audit import AuditRow

_SELECT = select(*(audit.c[name] for name in AUDIT_COLUMNS))
_LAST_POSITION = select(func.coalesce(func.max(audit.c.position), 0))  # the newest row is never pruned


class SqlAudit:
    """`registry.ports.AuditRepository` on a SQL database."""

    def __init__(self, *, engine: Engine) -> None:
        self._engine = engine

    def read(
        self, *, after: int, limit: int, tenant_id: TenantId | None = None, what: str | None = None
    ) -> Sequence[AuditRow]:
        chosen = _SELECT.where(audit.c.position > after).order_by(audit.c.position).limit(limit)
        if tenant_id is not None:
            chosen = chosen.where(audit.c.tenant_id == tenant_id)
        if what is not None:
            chosen = chosen.where(audit.c.what == what)
        with reading(self._engine) as connection:
            return [audit_of(row) for row in connection.execute(chosen)]

    def last_position(self) -> int:
        with reading(self._engine) as connection:
            return int(connection.execute(_LAST_POSITION).scalar_one())

    def first_position_since(self, moment: datetime) -> int:
        first = select(audit.c.position).where(audit.c.moment >= micros(moment)).order_by(audit.c.position).limit(1)
        with reading(self._engine) as connection:
            position = connection.execute(first).scalar()
            if position is not None:
                return int(position) - 1
            return int(connection.execute(_LAST_POSITION).scalar_one())
