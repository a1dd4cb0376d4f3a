"""Counts connections: the metrics of hono-adapters 7 that belong to connections, not to messages."""

from typing import Final

from adapters.edge.peer import Peer
from kernel.ids import TenantId
from kernel.meters import Count, Meters, Summary

SUCCEEDED = "succeeded"
_UNKNOWN = "UNKNOWN"
SERIES_REMEMBERED_MAX: Final = 10_000  # label sets kept at hand; beyond, they are found again in Meters
_COMPONENT = {"component_type": "adapter", "component_name": "hono-mqtt"}


class Tally:
    """Attempts to connect by outcome, live connections, and how long they lasted."""

    def __init__(self, meters: Meters) -> None:
        self._meters = meters
        self._anonymous = meters.gauge(
            "hono_connections_unauthenticated", "Live connections of anonymous devices", **_COMPONENT
        )
        self._attempts: dict[tuple[str, str, str], Count] = {}
        self._tenants: dict[TenantId, tuple[Count, Summary]] = {}

    def attempted(self, peer: Peer, tenant_id: TenantId | None, outcome: str) -> None:
        """A CONNECT was answered, or could not be. The tenant is the one proven, if that is known."""
        if tenant_id is None and peer.certificate is not None:
            tenant_id = peer.certificate.verdict.tenant_id
        labels = (tenant_id or _UNKNOWN, outcome, peer.cipher or _UNKNOWN)
        attempts = self._attempts.get(labels)
        if attempts is None:
            attempts = self._meters.counter(
                "hono_connections_attempts",
                "Attempts to connect",
                tenant=labels[0],
                outcome=labels[1],
                cipher_suite=labels[2],
                **_COMPONENT,
            )
            if len(self._attempts) < SERIES_REMEMBERED_MAX:
                self._attempts[labels] = attempts
        attempts.add()

    def opened(self, tenant_id: TenantId | None) -> None:
        if tenant_id is None:
            self._anonymous.add()
        else:
            self._of_tenant(tenant_id)[0].add()

    def closed(self, tenant_id: TenantId | None, lasted_s: float) -> None:
        if tenant_id is None:
            self._anonymous.add(-1)
        else:
            live, lasted = self._of_tenant(tenant_id)
            live.add(-1)
            lasted.observe(lasted_s)

    def _of_tenant(self, tenant_id: TenantId) -> tuple[Count, Summary]:
        """Its live connections, and how long those that ended lasted."""
        found = self._tenants.get(tenant_id)
        if found is None:
            labels = {"tenant": tenant_id, **_COMPONENT}
            live = self._meters.gauge(
                "hono_connections_authenticated", "Live connections of authenticated devices", **labels
            )
            lasted = self._meters.summary(
                "hono_connections_authenticated_duration_seconds", "How long connections lasted", **labels
            )
            found = (live, lasted)
            if len(self._tenants) < SERIES_REMEMBERED_MAX:
                self._tenants[tenant_id] = found
        return found
