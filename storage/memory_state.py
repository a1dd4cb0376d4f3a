"""What a store in memory holds, and how its changes and audit rows are kept within their bounds."""

from dataclasses import dataclass, field, replace

from kernel.clock import Clock
from kernel.ids import AuthId, DeviceId, TenantId
from registry.model import Credential, Device
from registry.refusals import REFUSED
from storage.errors import NameUnstorable
from tenant.audit import AuditRow
from tenant.model import Tenant
from tenant.ports import Change

DeviceKey = tuple[TenantId, DeviceId]
CredentialKey = tuple[TenantId, str, AuthId]


@dataclass(slots=True, eq=False)
class MemoryState:
    """All that is on record."""

    clock: Clock
    audit_rows_max: int
    changes_max: int
    tenants: dict[TenantId, Tenant] = field(default_factory=dict)
    deleted_tenants: dict[TenantId, None] = field(default_factory=dict)  # the oldest first
    devices: dict[DeviceKey, Device] = field(default_factory=dict)
    credentials: dict[CredentialKey, Credential] = field(default_factory=dict)
    credentials_versions: dict[DeviceKey, str] = field(default_factory=dict)
    audit: list[AuditRow] = field(default_factory=list)
    audit_position: int = 0
    changes: list[Change] = field(default_factory=list)  # the newest `changes_max`; the last has number changes_seq
    changes_seq: int = 0

    def changed(self, change: Change) -> None:
        self.changes.append(change)
        self.changes_seq += 1
        del self.changes[: -self.changes_max]

    def audited(self, row: AuditRow) -> None:
        self.audit_position += 1
        self.audit.append(replace(row, position=self.audit_position))
        first = self.audit_position - self.audit_rows_max
        of_operators = [kept for kept in self.audit if kept.actor is not None][-self.audit_rows_max :]
        others = [kept for kept in self.audit if kept.actor is None]
        of_devices = [kept for kept in others if kept.what != REFUSED][-self.audit_rows_max :]
        refusals = [kept for kept in others if kept.what == REFUSED and kept.position > first]
        self.audit = sorted(of_operators + of_devices + refusals, key=lambda kept: kept.position)

    def held_by(self, key: DeviceKey) -> tuple[Credential, ...]:
        """The device's credentials, in the order of types and auth-ids."""
        held = (entry for _, entry in sorted(self.credentials.items()))
        return tuple(entry for entry in held if (entry.tenant_id, entry.device_id) == key)

    def drop_device(self, key: DeviceKey) -> None:
        for entry in self.held_by(key):
            del self.credentials[entry.tenant_id, entry.type, entry.auth_id]
        self.credentials_versions.pop(key, None)
        del self.devices[key]


def require_storable(*texts: str) -> None:
    """Raises NameUnstorable for a text that has no UTF-8 form (lone surrogates)."""
    for text in texts:
        try:
            text.encode()
        except UnicodeEncodeError as fault:
            raise NameUnstorable(f"{text!r} is no sequence of Unicode characters") from fault
