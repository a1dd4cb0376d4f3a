"""How long a message stays of interest: the effective time to live of hono-adapters 5.3."""

from collections.abc import Mapping
from typing import Any

from tenant.model import ResourceLimits


def event_ttl_ms(limits: ResourceLimits | None, defaults: Mapping[str, Any], own_ttl_s: int | None) -> int | None:
    """Milliseconds, or None without any limit. `defaults`: tenant's, overridden by device's."""
    candidate = own_ttl_s if own_ttl_s is not None else _seconds(defaults.get("ttl"))
    return _effective_ms(candidate, -1 if limits is None else limits.max_ttl_s)


def telemetry_ttl_ms(limits: ResourceLimits | None, defaults: Mapping[str, Any], qos: int) -> int | None:
    """Milliseconds, or None without any limit; a device cannot set one for telemetry."""
    candidate = _seconds(defaults.get("ttl"))
    if candidate is None:
        candidate = _seconds(defaults.get(f"ttl-telemetry-qos{qos}"))
    if limits is None:
        return _effective_ms(candidate, -1)
    return _effective_ms(candidate, limits.max_ttl_telemetry_qos1_s if qos else limits.max_ttl_telemetry_qos0_s)


def _effective_ms(candidate_s: int | None, max_s: int) -> int | None:
    if candidate_s is None:
        return None if max_s < 0 else max_s * 1000
    return (candidate_s if max_s < 0 else min(candidate_s, max_s)) * 1000


def _seconds(value: object) -> int | None:
    """A whole number of seconds; -1, booleans and anything else mean unset."""
    if isinstance(value, bool) or not isinstance(value, int) or value < 0:
        return None
    return value
