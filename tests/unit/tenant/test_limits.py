"""The provisioning rate of a trust anchor."""

import pytest

from kernel.clock import ManualClock
from tenant import limits
from tenant.errors import ProvisioningRateExceeded
from tenant.limits import ProvisioningMeter
from tests.support.certificates import make_ca
from tests.support.domain import an_anchor

CA = make_ca("CN=CA")


def test_a_burst_is_allowed_then_the_rate_holds() -> None:
    clock = ManualClock()
    meter = ProvisioningMeter(per_s_max=10, burst_max=3, clock=clock)
    anchor = an_anchor(CA)
    for _ in range(3):
        meter.charge(anchor)
    with pytest.raises(ProvisioningRateExceeded, match="ca-1"):
        meter.charge(anchor)
    clock.advance(0.1)
    meter.charge(anchor)


def test_an_anchor_s_own_rate_overrides_the_setting() -> None:
    clock = ManualClock()
    meter = ProvisioningMeter(per_s_max=1000, burst_max=1000, clock=clock)
    anchor = an_anchor(CA, provisioning_per_s_max=0.1)
    for _ in range(6):  # a minute's worth
        meter.charge(anchor)
    with pytest.raises(ProvisioningRateExceeded):
        meter.charge(anchor)
    clock.advance(10)
    meter.charge(anchor)


def test_an_anchor_s_own_rate_still_takes_the_burst_of_the_setting() -> None:
    meter = ProvisioningMeter(per_s_max=1000, burst_max=500, clock=ManualClock())
    for _ in range(500):
        meter.charge(an_anchor(CA, provisioning_per_s_max=100.0))


def test_what_came_to_nothing_is_given_back() -> None:
    meter = ProvisioningMeter(per_s_max=1, burst_max=1, clock=ManualClock())
    meter.give_back(an_anchor(CA))  # never charged: nothing happens
    for _ in range(10):
        meter.charge(an_anchor(CA))
        meter.give_back(an_anchor(CA))


@pytest.mark.parametrize("per_s_max", [0.0, -1.0])
def test_a_rate_of_nothing_is_no_limit(per_s_max: float) -> None:
    meter = ProvisioningMeter(per_s_max=per_s_max, burst_max=1, clock=ManualClock())
    for _ in range(100):
        meter.charge(an_anchor(CA))


def test_anchors_are_metered_apart() -> None:
    meter = ProvisioningMeter(per_s_max=1, burst_max=1, clock=ManualClock())
    meter.charge(an_anchor(CA, "one"))
    meter.charge(an_anchor(CA, "two"))


def test_the_table_of_meters_is_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(limits, "BUCKETS_MAX", 2)
    meter = ProvisioningMeter(per_s_max=1, burst_max=1, clock=ManualClock())
    for name in ("one", "two", "three"):
        meter.charge(an_anchor(CA, name))
    assert len(meter._buckets) == 2
