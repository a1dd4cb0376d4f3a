"""The record of refusals: a bounded ring in the database, which `tail`, `explain` and consoles of any process read.

Repeating strangers cost a row each and nothing more: the store bounds the ring (`audit_rows_max`) and what
waits to be written to it; here each fact is bounded.
"""

from collections.abc import Mapping

from kernel.clock import Clock
from kernel.errors import TuhonoError
from kernel.ids import TenantId
from registry.errors import CredentialDisabled, DeviceDisabled, PasswordWrong
from registry.ports import ConnectPath
from tenant.audit import AuditRow

REFUSED = "device.refused"
_OF_A_DEVICE = (CredentialDisabled, DeviceDisabled, PasswordWrong)
FACT_MAX_CHARS = 1024  # of one fact: a subject may be long, the record stays short


class RefusalRecord:
    """Where every refusal of a peer is written down, whatever the protocol."""

    def __init__(self, *, store: ConnectPath, clock: Clock) -> None:
        self._store = store
        self._clock = clock

    def add(self, refusal: TuhonoError, facts: Mapping[str, str], *, tenant_id: TenantId | None = None) -> None:
        """Record one refusal, with the device that was asking where that is known. Never blocks, never raises."""
        described = {**facts, "detail": str(refusal)}
        self._store.record(
            AuditRow(
                moment=self._clock.now(),
                what=REFUSED,
                tenant_id=tenant_id,
                device_id=refusal.device_id if isinstance(refusal, _OF_A_DEVICE) else None,
                code=refusal.code,
                facts={name: fact[:FACT_MAX_CHARS] for name, fact in described.items()},
            )
        )
