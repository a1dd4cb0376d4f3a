"""`registry.ports.AuditRepository` over a list; storage/memory.py has the rest of the database."""

from collections.abc import Sequence
from datetime import datetime

from kernel.ids import DeviceId, TenantId
from storage.memory_state import MemoryState
from tenant.audit import AuditRow


class MemoryAudit:
    """Looks at every row."""

    def __init__(self, state: MemoryState) -> None:
        self._state = state

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
        rows = [
            row
            for row in self._state.audit
            if row.position > after
            and (before is None or row.position < before)
            and tenant_id in (None, row.tenant_id)
            and device_id in (None, row.device_id)
            and actor in (None, row.actor)
            and (what is None or row.what == what or (what.endswith(".") and row.what.startswith(what)))
            and (since is None or row.moment >= since)
            and (until is None or row.moment < until)
            and (tenants is None or row.tenant_id in tenants)
        ]
        return (rows[::-1] if newest_first else rows)[:limit]

    def last_position(self) -> int:
        return self._state.audit_position

    def first_position_since(self, moment: datetime) -> int:
        since = (row.position - 1 for row in self._state.audit if row.moment >= moment)
        return next(since, self._state.audit_position)

    def prune(self, *, older_than: datetime, limit: int) -> int:
        looked_at = self._state.audit[:limit]
        old = {row.position for row in looked_at if row.moment < older_than and row.position < self.last_position()}
        self._state.audit = [row for row in self._state.audit if row.position not in old]
        return len(old)
