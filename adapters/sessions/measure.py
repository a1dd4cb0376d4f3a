"""What is counted of uploads, in the names of hono-adapters section 7; each series is looked up once."""

from typing import Final

from kernel.ids import TenantId
from kernel.meters import Meters, Summary
from messaging.message import MessageKind

SERIES_REMEMBERED_MAX: Final = 10_000  # label sets kept at hand; beyond, they are found again in Meters

FORWARDED: Final = "forwarded"
UNPROCESSABLE: Final = "unprocessable"  # the device asked for something it may not have
UNDELIVERABLE: Final = "undeliverable"  # the engine did not hold the message

Series = tuple[Summary, Summary]  # payload bytes; seconds from decoding to the engine's word


class UploadMeters:
    """Payload bytes and processing time of uploads, by adapter, tenant, kind, status and QoS."""

    def __init__(self, *, meters: Meters) -> None:
        self._meters = meters
        self._series: dict[tuple[str, TenantId, MessageKind, str, int], Series] = {}

    def series(self, adapter: str, tenant_id: TenantId, kind: MessageKind, status: str, qos: int) -> Series:
        """Where one upload is to be observed. `status`: FORWARDED, UNPROCESSABLE, UNDELIVERABLE."""
        key = (adapter, tenant_id, kind, status, qos)
        found = self._series.get(key)
        if found is None:
            found = self._find(adapter, tenant_id, kind, status, qos)
            if len(self._series) < SERIES_REMEMBERED_MAX:
                self._series[key] = found
        return found

    def _find(self, adapter: str, tenant_id: TenantId, kind: MessageKind, status: str, qos: int) -> Series:
        labels = {
            "component_type": "adapter",
            "component_name": adapter,
            "tenant": tenant_id,
            "type": kind.value,
            "status": status,
        }
        payload = self._meters.summary("hono_telemetry_payload_bytes", "payload bytes of uploads", **labels)
        duration = self._meters.summary(
            "hono_telemetry_processing_duration_seconds",
            "seconds until an upload was kept",
            **labels,
            qos=str(qos),
            ttd="none",
        )
        return payload, duration
