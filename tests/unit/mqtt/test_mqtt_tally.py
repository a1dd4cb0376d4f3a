"""Which connections are counted under which labels, and how many label sets are kept at hand."""

import pytest

from adapters.edge.peer import Address, Peer, PeerCertificate
from adapters.mqtt.tally import SERIES_REMEMBERED_MAX, SUCCEEDED, Tally
from kernel.ids import TenantId
from kernel.meters import Count, Meters, Summary
from tenant.trust import TrustVerdict

pytestmark = pytest.mark.interpreted  # bounds are changed inside the module

PEER = Peer(address=Address(host="192.0.2.7", port=1), cipher="TLS_AES_256_GCM_SHA384")


class AskedMeters(Meters):
    """Knows how often it was asked for a series."""

    def __init__(self) -> None:
        super().__init__(series_max=2 * SERIES_REMEMBERED_MAX)
        self.asked = 0

    def counter(self, name: str, help_: str, **labels: str) -> Count:
        self.asked += 1
        return super().counter(name, help_, **labels)

    def summary(self, name: str, help_: str, **labels: str) -> Summary:
        self.asked += 1
        return super().summary(name, help_, **labels)


def totals(meters: Meters, name: str) -> set[float]:
    return {meter.total for family in meters.families() if family.name == name for meter in family.series.values()}


def test_a_refused_attempt_counts_for_the_tenant_its_certificate_speaks_for() -> None:
    meters = Meters()
    verdict = TrustVerdict(presented=(), tenant_id=TenantId("acme"), anchor=None, refusal=None)
    certificate = PeerCertificate(chain_der=(), verdict=verdict)
    peer = Peer(address=Address(host="192.0.2.7", port=1), certificate=certificate)
    Tally(meters).attempted(peer, None, "unauthorized")
    (attempts,) = [family for family in meters.families() if family.name == "hono_connections_attempts"]
    [labels] = attempts.series
    assert dict(labels) == {
        "component_type": "adapter",
        "component_name": "hono-mqtt",
        "cipher_suite": "UNKNOWN",
        "outcome": "unauthorized",
        "tenant": "acme",
    }


def test_as_many_series_are_remembered_as_allowed_and_all_are_counted() -> None:
    meters = AskedMeters()
    tally = Tally(meters)
    tenants = [TenantId(f"tenant-{number}") for number in range(SERIES_REMEMBERED_MAX + 1)]
    for tenant_id in tenants * 2:
        tally.attempted(PEER, tenant_id, SUCCEEDED)
    assert meters.asked == SERIES_REMEMBERED_MAX + 2
    assert totals(meters, "hono_connections_attempts") == {2}


def test_as_many_tenants_are_remembered_as_allowed_and_all_are_counted() -> None:
    meters = AskedMeters()
    tally = Tally(meters)
    tenants = [TenantId(f"tenant-{number}") for number in range(SERIES_REMEMBERED_MAX + 1)]
    for tenant_id in tenants * 2:
        tally.opened(tenant_id)
    assert meters.asked == SERIES_REMEMBERED_MAX + 2
    for tenant_id in tenants:
        tally.closed(tenant_id, 2.0)
    assert totals(meters, "hono_connections_authenticated") == {1}
    assert totals(meters, "hono_connections_authenticated_duration_seconds") == {2.0}
