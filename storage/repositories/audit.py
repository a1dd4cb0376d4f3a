"""Audit rows for whoever asks later, and until they are too old. They are written with what they tell of."""

from collections.abc import Sequence
from datetime import datetime

from sqlalchemy import ColumnElement, Engine, delete, func, select

from kernel.ids import DeviceId, TenantId
from storage.repositories.engine import reading, writing
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
        self,
        *,
        after: int = 0,
        before: int | None = None,
        limit: int,
        newest_first: bool = False,
        tenant_id: TenantId | None = None,
        device_id: DeviceId | None = None,
        actor: str | None = None,
        what: str | None = None,
        since: datetime | None = None,
        until: datetime | None = None,
        tenants: frozenset[str] | None = None,
    ) -> Sequence[AuditRow]:
        conditions: list[ColumnElement[bool]] = [audit.c.position > after]
        if before is not None:
            conditions.append(audit.c.position < before)
        for column, value in ((audit.c.tenant_id, tenant_id), (audit.c.device_id, device_id), (audit.c.actor, actor)):
            if value is not None:
                conditions.append(column == value)
        if what is not None:
            kind = func.substr(audit.c.what, 1, len(what)) if what.endswith(".") else audit.c.what
            conditions.append(kind == what)
        if since is not None:
            conditions.append(audit.c.moment >= micros(since))
        if until is not None:
            conditions.append(audit.c.moment < micros(until))
        if tenants is not None:
            conditions.append(audit.c.tenant_id.in_(sorted(tenants)))
        order = audit.c.position.desc() if newest_first else audit.c.position
        with reading(self._engine) as connection:
            chosen = _SELECT.where(*conditions).order_by(order).limit(limit)
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

    def prune(self, *, older_than: datetime, limit: int) -> int:
        oldest = select(audit.c.position, audit.c.moment).order_by(audit.c.position).limit(limit).subquery()
        old = select(oldest.c.position).where(
            oldest.c.moment < micros(older_than), oldest.c.position < _LAST_POSITION.scalar_subquery()
        )
        with writing(self._engine) as connection:
            return connection.execute(delete(audit).where(audit.c.position.in_(old))).rowcount
