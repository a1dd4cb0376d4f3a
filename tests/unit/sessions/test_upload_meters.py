"""Where uploads are counted, and how many series are kept at hand."""

import pytest

from adapters.sessions import measure
from adapters.sessions.measure import FORWARDED, UploadMeters
from kernel.ids import TenantId
from kernel.meters import Meters
from messaging.message import MessageKind

pytestmark = pytest.mark.interpreted  # bounds are changed inside the module

KEPT = 3


def observe(meters: UploadMeters, tenant: str) -> None:
    payload, duration = meters.series("hono-coap", TenantId(tenant), MessageKind.TELEMETRY, FORWARDED, 1)
    payload.observe(10)
    duration.observe(0.5)


def test_no_more_series_are_kept_at_hand_than_may_and_every_upload_is_counted(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(measure, "SERIES_REMEMBERED_MAX", KEPT)
    meters = Meters()
    uploads = UploadMeters(meters=meters)
    tenants = [f"tenant-{number}" for number in range(KEPT + 2)]
    for _ in range(2):
        for tenant in tenants:
            observe(uploads, tenant)
    assert len(uploads._series) == KEPT
    counted = {
        dict(labels)["tenant"]: series.count  # type: ignore[union-attr]
        for family in meters.families()
        if family.name == "hono_telemetry_payload_bytes"
        for labels, series in family.series.items()
    }
    assert counted == dict.fromkeys(tenants, 2)


def test_a_series_kept_at_hand_is_the_one_that_is_shown() -> None:
    meters = UploadMeters(meters=Meters())
    first = meters.series("hono-coap", TenantId("acme"), MessageKind.EVENT, FORWARDED, 1)
    assert meters.series("hono-coap", TenantId("acme"), MessageKind.EVENT, FORWARDED, 1) is first
