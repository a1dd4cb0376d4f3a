"""What is counted of uploads, in the names of hono-adapters section 7; each series is looked up once."""

from kernel.ids import TenantId
from kernel.meters import Meters, Summary
from messaging.message import MessageKind

SERIES_REMEMBERED_MAX = 10_000  # label sets kept at hand; beyond, they are found again in Meters


class UploadMeters:
    """Payload bytes and processing time of uploads, by tenant, kind, status and QoS."""

    def __init__(self, *, meters: Meters) -> None:
        self._meters = meters
        self._payloads: dict[tuple[str, TenantId, MessageKind, str], Summary] = {}
        self._durations: dict[tuple[str, TenantId, MessageKind, str, int], Summary] = {}

    def count(self, adapter: str, tenant_id: TenantId, kind: MessageKind, status: str, payload_bytes: int) -> None:
        """One upload of that many bytes. `status`: forwarded, unprocessable, undeliverable."""
        key = (adapter, tenant_id, kind, status)
        summary = self._payloads.get(key)
        if summary is None:
            summary = self._meters.summary(
                "hono_telemetry_payload_bytes",
                "payload bytes of uploads",
                component_type="adapter",
                component_name=adapter,
                tenant=tenant_id,
                type=kind.value,
                status=status,
            )
            if len(self._payloads) < SERIES_REMEMBERED_MAX:
                self._payloads[key] = summary
        summary.observe(payload_bytes)

    def time(self, adapter: str, tenant_id: TenantId, kind: MessageKind, status: str, qos: int, seconds: float) -> None:
        """How long one upload took from its decoding to the engine's word."""
        key = (adapter, tenant_id, kind, status, qos)
        summary = self._durations.get(key)
        if summary is None:
            summary = self._meters.summary(
                "hono_telemetry_processing_duration_seconds",
                "seconds until an upload was kept",
                component_type="adapter",
                component_name=adapter,
                tenant=tenant_id,
                type=kind.value,
                status=status,
                qos=str(qos),
                ttd="none",
            )
            if len(self._durations) < SERIES_REMEMBERED_MAX:
                self._durations[key] = summary
        summary.observe(seconds)
