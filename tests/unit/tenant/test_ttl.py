"""The effective time to live of hono-adapters 5.3, by its own examples."""

import pytest

from tenant.model import ResourceLimits
from tenant.ttl import event_ttl_ms, telemetry_ttl_ms


@pytest.mark.parametrize(
    ("max_ttl", "default", "own", "expected"),
    [
        (30, None, 60, 30_000),
        (-1, None, 10, 10_000),
        (30, None, None, 30_000),
        (-1, None, None, None),
        (-1, 5, None, 5_000),
        (-1, 5, 7, 7_000),
        (-1, -1, None, None),
        (-1, "5", None, None),
        (-1, True, None, None),
        (0, None, None, 0),
    ],
)
def test_event(max_ttl: int, default: object, own: int | None, expected: int | None) -> None:
    defaults = {} if default is None else {"ttl": default}
    assert event_ttl_ms(ResourceLimits(max_ttl_s=max_ttl), defaults, own) == expected


def test_an_event_without_limits_keeps_its_own() -> None:
    assert event_ttl_ms(None, {}, 3) == 3_000


@pytest.mark.parametrize(("qos", "expected"), [(0, 1_000), (1, 2_000)])
def test_telemetry_has_a_ceiling_per_qos(qos: int, expected: int) -> None:
    limits = ResourceLimits(max_ttl_telemetry_qos0_s=1, max_ttl_telemetry_qos1_s=2)
    assert telemetry_ttl_ms(limits, {"ttl": 10}, qos) == expected


def test_telemetry_takes_the_default_of_its_qos_when_there_is_no_general_one() -> None:
    assert telemetry_ttl_ms(None, {"ttl-telemetry-qos1": 4}, 1) == 4_000
    assert telemetry_ttl_ms(None, {"ttl-telemetry-qos1": 4}, 0) is None
