"""Meters are found again by name and labels, and their number is bounded."""

import pytest

from kernel.meters import LABEL_MAX_CHARS, Meters


def series_of(meters: Meters, name: str) -> list[tuple[tuple[str, str], ...]]:
    (family,) = (one for one in meters.families() if one.name == name)
    return list(family.series)


def test_the_same_labels_in_any_order_are_the_same_meter() -> None:
    meters = Meters()
    meters.counter("hono_attempts", "", tenant="t", outcome="succeeded").add()
    again = meters.counter("hono_attempts", "", outcome="succeeded", tenant="t")
    again.add(2)
    assert again.total == 3
    assert len(series_of(meters, "hono_attempts")) == 1


def test_a_gauge_moves_both_ways() -> None:
    gauge = Meters().gauge("hono_connections", "")
    gauge.add(2)
    gauge.add(-1)
    assert gauge.total == 1


def test_a_summary_counts_and_adds_up() -> None:
    summary = Meters().summary("hono_payload_bytes", "")
    summary.observe(2)
    summary.observe(0.5)
    assert (summary.count, summary.total) == (2, 2.5)


def test_past_the_bound_further_label_sets_share_one_series() -> None:
    meters = Meters(series_max=2)
    kept = [meters.counter("a", "", tenant=str(number)) for number in range(2)]
    over = {id(meters.counter("a", "", tenant=str(number))) for number in range(2, 1000)}
    assert len(over) == 1
    assert over.isdisjoint(map(id, kept))
    assert meters.counter("a", "", tenant="0") is kept[0]
    assert series_of(meters, "a") == [(("tenant", "0"),), (("tenant", "1"),), (("tenant", "other"),)]


def test_a_long_label_value_is_cut() -> None:
    meters = Meters()
    meters.counter("a", "", tenant="x" * 10_000)
    assert series_of(meters, "a") == [(("tenant", "x" * LABEL_MAX_CHARS + "…"),)]


def test_a_name_has_one_kind() -> None:
    meters = Meters()
    meters.counter("a", "")
    with pytest.raises(ValueError, match="is a counter, not a gauge"):
        meters.gauge("a", "")
    with pytest.raises(ValueError, match="is a counter, not a summary"):
        meters.summary("a", "")


@pytest.mark.parametrize("name", ["", "a.b", "1a", "é", "a_total", "a_sum", "a_count", "a b"])
def test_a_name_that_prometheus_would_not_take_is_refused(name: str) -> None:
    with pytest.raises(ValueError, match="no name of a metric"):
        Meters().counter(name, "")
