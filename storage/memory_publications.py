"""What there is to tell of changes, over the list of audit rows."""

from registry.notifications import CREATED, PROVISIONED, TOLD, RecordedChange, RecordedPage
from registry.refusals import REFUSED
from storage.memory_state import MemoryState
from tenant.audit import AuditRow


class MemoryPublications:
    """`registry.ports.Publications` over a list. There is one process, and it has the turn."""

    def __init__(self, state: MemoryState) -> None:
        self._state = state
        self._position = 0

    def take_turn(self) -> bool:
        return True

    def release(self) -> None:
        """Nobody else wants it."""

    def may_have_more(self) -> bool:
        return self._position < self._state.audit_position

    def read(self, *, limit: int) -> RecordedPage:
        behind = [row for row in self._state.audit if row.position > self._position]
        told = [row for row in behind if row.what in TOLD][:limit]
        return RecordedPage(
            changes=[_change_of(row) for row in told],
            behind=self._state.audit_position if len(told) < limit else told[-1].position,
            missed=self._missed(),
        )

    def note(self, page: RecordedPage) -> None:
        self._position = page.behind

    def _missed(self) -> int:
        """Rows behind our position that made room for others."""
        of_devices = (row.position for row in self._state.audit if row.actor is None and row.what != REFUSED)
        of_operators = (row.position for row in self._state.audit if row.actor is not None)
        first = max(next(of_devices, 0), next(of_operators, 0))
        kept = sum(1 for row in self._state.audit if self._position < row.position < first)
        return max(0, first - self._position - 1 - kept)


def _change_of(row: AuditRow) -> RecordedChange:
    assert row.tenant_id is not None
    after = row.after or {}
    return RecordedChange(
        position=row.position,
        moment=row.moment,
        what=row.what,
        tenant_id=row.tenant_id,
        device_id=row.device_id,
        enabled=after.get("enabled") is not False,
        invalidates=(after.get("ext") or {}).get("invalidate-cache-on-update") is True,
        with_credentials="gateway" not in row.facts
        if row.what == PROVISIONED
        else row.what == CREATED and "credentials" in after,
    )
