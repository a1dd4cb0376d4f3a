"""Counts and sums that hot paths add to with one attribute access; management renders them for Prometheus.

A meter is asked for once, by name and labels, and kept by whoever adds to it. Label values come from
peers in part (a tenant's name), so the number of series is bounded: past `series_max` a family's
further label sets share one series whose labels all read "other".
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field

Labels = tuple[tuple[str, str], ...]


@dataclass(slots=True, eq=False)
class Count:
    """A number that only grows, or (as gauge) moves both ways."""

    total: float = 0.0

    def add(self, amount: float = 1.0) -> None:
        self.total += amount


@dataclass(slots=True, eq=False)
class Summary:
    """How many observations there were and what they add up to."""

    count: int = 0
    total: float = 0.0

    def observe(self, amount: float) -> None:
        self.count += 1
        self.total += amount


Meter = Count | Summary


@dataclass(slots=True, eq=False)
class Family:
    """All series of one name."""

    name: str  # in Prometheus spelling, without _total/_sum/_count
    kind: str  # counter, gauge, summary
    help: str
    series: dict[Labels, Meter] = field(default_factory=dict)


class Meters:
    """Every meter of the process."""

    def __init__(self, *, series_max: int = 10_000) -> None:
        self._series_max = series_max
        self._families: dict[str, Family] = {}

    def counter(self, name: str, help_: str, **labels: str) -> Count:
        meter = self._meter(name, "counter", help_, labels)
        assert isinstance(meter, Count)
        return meter

    def gauge(self, name: str, help_: str, **labels: str) -> Count:
        meter = self._meter(name, "gauge", help_, labels)
        assert isinstance(meter, Count)
        return meter

    def summary(self, name: str, help_: str, **labels: str) -> Summary:
        meter = self._meter(name, "summary", help_, labels)
        assert isinstance(meter, Summary)
        return meter

    def families(self) -> Iterator[Family]:
        yield from list(self._families.values())

    def _meter(self, name: str, kind: str, help_: str, labels: Mapping[str, str]) -> Meter:
        family = self._families.setdefault(name, Family(name, kind, help_))
        key = tuple(sorted(labels.items()))
        meter = family.series.get(key)
        if meter is None:
            if len(family.series) >= self._series_max:
                key = tuple((label, "other") for label, _ in key)
            meter = family.series.setdefault(key, Summary() if kind == "summary" else Count())
        return meter
