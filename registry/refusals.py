"""The record of refusals: the newest in memory, every one queued for the audit.

Bounded: the ring forgets the oldest; the store counts what it cannot take. Repeating strangers cost a
row each and nothing more, and the audit itself is bounded by `audit_rows_max`.
"""

from collections import deque
from collections.abc import Mapping, Sequence

from kernel.clock import Clock
from kernel.errors import TuhonoError
from kernel.ids import DeviceId, TenantId
from registry.model import AuditRow
from registry.ports import ConnectPath

RING_MAX = 1000  # refusals kept in memory for health pages and the console
FACT_MAX_CHARS = 1024  # of one fact: a subject may be long, the record stays short


class RefusalRecord:
    """Where every refusal of a peer is written down, whatever the protocol."""

    def __init__(self, *, store: ConnectPath, clock: Clock) -> None:
        self._store = store
        self._clock = clock
        self._ring: deque[AuditRow] = deque(maxlen=RING_MAX)

    def add(
        self,
        refusal: TuhonoError,
        facts: Mapping[str, str],
        *,
        tenant_id: TenantId | None = None,
        device_id: DeviceId | None = None,
    ) -> None:
        """Record one refusal. Never blocks, never raises."""
        self.add_code(refusal.code, {**facts, "detail": str(refusal)}, tenant_id=tenant_id, device_id=device_id)

    def add_code(
        self,
        code: str,
        facts: Mapping[str, str],
        *,
        tenant_id: TenantId | None = None,
        device_id: DeviceId | None = None,
    ) -> None:
        """The same where no exception says why: a handshake that never ended."""
        row = AuditRow(
            moment=self._clock.now(),
            what="device.refused",
            tenant_id=tenant_id,
            device_id=device_id,
            code=code,
            facts={name: fact[:FACT_MAX_CHARS] for name, fact in facts.items()},
        )
        self._ring.append(row)
        self._store.record(row)

    def newest(self, limit: int = RING_MAX) -> Sequence[AuditRow]:
        """Of this process, newest first; their positions are not known yet."""
        return [row for _, row in zip(range(limit), reversed(self._ring), strict=False)]
