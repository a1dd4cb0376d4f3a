"""Decides which device is at the other end of a connection.

Owns the order of the checks: chain, tenant, adapter, credential, provisioning, device. Leaves the
handshake to adapters/edge and the wording of a refusal to each protocol.
"""

from dataclasses import dataclass

from adapters.admission.evidence import Evidence
from kernel.ids import AnchorId, AuthId, DeviceId, TenantId


@dataclass(frozen=True, slots=True, kw_only=True)
class Admitted:
    """The device a peer proved to be."""

    tenant_id: TenantId
    device_id: DeviceId
    anchor_id: AnchorId | None
    auth_id: AuthId
    provisioned: bool  # by this very connection


class Admission:
    """Decides, once per connection, which device is at the other end."""

    async def admit(self, evidence: Evidence) -> Admitted | None:
        """Return the device proven, creating it where its trust anchor allows; None for an anonymous peer
        where the adapter requires no authentication.

        Raises Refused (of any kind) or Unavailable; every refusal is recorded. Safe to repeat: any number of
        connections racing with one new certificate end up with one device, and all are admitted.
        """
        raise NotImplementedError
