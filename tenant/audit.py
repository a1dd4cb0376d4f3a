"""Who did what, and what became of it: the rows an operator may ask about later.

A change and its row are one transaction: the repository that writes the one writes the other. Rows of connecting
devices are written on the connect path and have no actor.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from kernel.ids import DeviceId, TenantId


@dataclass(frozen=True, slots=True, kw_only=True)
class Deed:
    """Whose wish a change is. Goes with every administrative write."""

    actor: str  # name of an operator, or `local:USER` for the command line on the machine itself
    moment: datetime
    remote: str = ""  # address the wish came from; empty: this machine


@dataclass(frozen=True, slots=True, kw_only=True)
class AuditRow:
    """Something an operator may ask about later: who came, what became of it, and why."""

    moment: datetime
    what: str  # device.provisioned, device.refused, tenant.updated, …
    tenant_id: TenantId | None = None
    device_id: DeviceId | None = None
    code: str | None = None  # the refusal's stable word
    facts: Mapping[str, str] = field(default_factory=dict)  # issuer, subject, serial, fingerprint, remote, detail
    position: int = 0  # given by the store, ascending
    actor: str | None = None  # of an administrative change
    remote: str | None = None
    before: Mapping[str, Any] | None = None  # the thing as it was, secrets masked; None where it was not
    after: Mapping[str, Any] | None = None
