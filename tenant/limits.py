"""Meters that keep a tenant within its limits: for now, how fast a trust anchor may provision.

A meter lives in one process; N workers together allow N times the rate. That is a brake for a CA whose
key was stolen, not an exact quota: `registration-limits` is the exact one and is counted in the database.
"""

from collections import OrderedDict
from dataclasses import dataclass

from kernel.clock import Clock
from kernel.ids import AnchorId, TenantId
from tenant.errors import ProvisioningRateExceeded
from tenant.model import TrustAnchor

BUCKETS_MAX = 10_000  # anchors metered at one time; the one longest unused is forgotten, hence refilled

OWN_RATE_BURST_S = 60  # an anchor with a rate of its own may spend a minute's worth at once


@dataclass(slots=True)
class _Bucket:
    tokens: float
    filled_at: float


class ProvisioningMeter:
    """A token bucket per trust anchor: bursts up to `burst_max`, then `per_s_max` in the long run.

    An anchor's own rate replaces the setting; its burst is then a minute's worth, if that is less.
    """

    def __init__(self, *, per_s_max: float, burst_max: int, clock: Clock) -> None:
        self._per_s_max = per_s_max
        self._burst_max = burst_max
        self._clock = clock
        self._buckets: OrderedDict[tuple[TenantId, AnchorId], _Bucket] = OrderedDict()

    def charge(self, anchor: TrustAnchor) -> None:
        """Take one device from the anchor's budget. Raises ProvisioningRateExceeded, then takes nothing."""
        per_s = self._per_s_max if anchor.provisioning_per_s_max is None else anchor.provisioning_per_s_max
        if per_s <= 0:
            return
        burst = float(self._burst_max)
        if anchor.provisioning_per_s_max is not None:
            burst = min(burst, max(1.0, per_s * OWN_RATE_BURST_S))
        bucket = self._bucket(anchor, burst)
        now = self._clock.monotonic()
        bucket.tokens = min(burst, bucket.tokens + (now - bucket.filled_at) * per_s)
        bucket.filled_at = now
        if bucket.tokens < 1.0:
            raise ProvisioningRateExceeded(
                f"trust anchor {anchor.anchor_id!r} of tenant {anchor.tenant_id!r} provisions more than"
                f" {per_s:g} devices per second"
            )
        bucket.tokens -= 1.0

    def give_back(self, anchor: TrustAnchor) -> None:
        """What was charged came to nothing: a refusal by the store must not use up a good device's turn."""
        bucket = self._buckets.get((anchor.tenant_id, anchor.anchor_id))
        if bucket is not None:
            bucket.tokens += 1.0  # cut to the burst at the next charge

    def _bucket(self, anchor: TrustAnchor, burst: float) -> _Bucket:
        key = (anchor.tenant_id, anchor.anchor_id)
        bucket = self._buckets.get(key)
        if bucket is None:
            bucket = self._buckets[key] = _Bucket(burst, self._clock.monotonic())
            if len(self._buckets) > BUCKETS_MAX:
                self._buckets.popitem(last=False)
        self._buckets.move_to_end(key)
        return bucket
