"""Counts and sums that hot paths add to with one attribute access; management renders them for Prometheus.

A meter is asked for once, by name and labels, and kept by whoever adds to it. Label values come from
peers in part (a tenant's name), so the number of series is bounded: past `series_max` a family's
further label sets share one series whose labels all read "other", one for each set of label names.

Used on the event loop; a thread that counts keeps its own numbers and hands them over.
"""

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field

Labels = tuple[tuple[str, str], ...]
LABEL_MAX_CHARS = 256  # longer values are cut, and end in …
_NAME = re.compile(r"[a-zA-Z_][a-zA-Z0-9_]*")
_SUFFIXES = ("_total", "_sum", "_count")  # the exposition adds them


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
    """Every meter of the process. A name has one kind: asking for another raises ValueError."""

    def __init__(self, *, series_max: int = 10_000) -> None:
        self._series_max = series_max
        self._families: dict[str, Family] = {}

    def counter(self, name: str, help_: str, **labels: str) -> Count:
        """The count of these labels, made when first asked for. It only grows."""
        meter = self._meter(name, "counter", help_, labels)
        assert isinstance(meter, Count)
        return meter

    def gauge(self, name: str, help_: str, **labels: str) -> Count:
        """As `counter`, for a number that moves both ways."""
        meter = self._meter(name, "gauge", help_, labels)
        assert isinstance(meter, Count)
        return meter

    def summary(self, name: str, help_: str, **labels: str) -> Summary:
        """As `counter`, for observations that are counted and added up."""
        meter = self._meter(name, "summary", help_, labels)
        assert isinstance(meter, Summary)
        return meter

    def families(self) -> Iterator[Family]:
        yield from list(self._families.values())

    def _meter(self, name: str, kind: str, help_: str, labels: Mapping[str, str]) -> Meter:
        family = self._families.get(name) or self._new_family(name, kind, help_)
        if family.kind != kind:
            raise ValueError(f"{name} is a {family.kind}, not a {kind}")
        key = tuple((label, _cut(value)) for label, value in sorted(labels.items()))
        meter = family.series.get(key)
        if meter is None:
            if len(family.series) >= self._series_max:
                key = tuple((label, "other") for label, _ in key)
            meter = family.series.setdefault(key, Summary() if kind == "summary" else Count())
        return meter

    def _new_family(self, name: str, kind: str, help_: str) -> Family:
        if _NAME.fullmatch(name) is None or name.endswith(_SUFFIXES):
            raise ValueError(f"{name!r} is no name of a metric")
        return self._families.setdefault(name, Family(name, kind, help_))


def _cut(value: str) -> str:
    return value if len(value) <= LABEL_MAX_CHARS else value[:LABEL_MAX_CHARS] + "…"
