"""Counts connections: the metrics of hono-adapters 7 that belong to connections, not to messages."""

from adapters.edge.peer import Peer
from kernel.ids import TenantId
from kernel.meters import Meters

SUCCEEDED = "succeeded"
_UNKNOWN = "UNKNOWN"
_COMPONENT = {"component_type": "adapter", "component_name": "hono-mqtt"}


class Tally:
    """Attempts to connect by outcome, live connections, and how long they lasted."""

    def __init__(self, meters: Meters) -> None:
        self._meters = meters
        self._anonymous = meters.gauge(
            "hono_connections_unauthenticated", "Live connections of anonymous devices", **_COMPONENT
        )

    def attempted(self, peer: Peer, tenant_id: TenantId | None, outcome: str) -> None:
        """A CONNECT was answered, or could not be. The tenant is the one proven, if that is known."""
        if tenant_id is None and peer.certificate is not None:
            tenant_id = peer.certificate.verdict.tenant_id
        self._meters.counter(
            "hono_connections_attempts",
            "Attempts to connect",
            tenant=tenant_id or _UNKNOWN,
            outcome=outcome,
            cipher_suite=peer.cipher or _UNKNOWN,
            **_COMPONENT,
        ).add()

    def opened(self, tenant_id: TenantId | None) -> None:
        self._live(tenant_id, 1)

    def closed(self, tenant_id: TenantId | None, lasted_s: float) -> None:
        self._live(tenant_id, -1)
        if tenant_id is not None:
            self._meters.summary(
                "hono_connections_authenticated_duration_seconds",
                "How long connections lasted",
                tenant=tenant_id,
                **_COMPONENT,
            ).observe(lasted_s)

    def _live(self, tenant_id: TenantId | None, change: int) -> None:
        if tenant_id is None:
            self._anonymous.add(change)
        else:
            self._meters.gauge(
                "hono_connections_authenticated",
                "Live connections of authenticated devices",
                tenant=tenant_id,
                **_COMPONENT,
            ).add(change)
