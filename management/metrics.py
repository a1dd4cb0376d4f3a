"""The process's meters in Prometheus's text format.

Names are those of hono-adapters section 7 with dots as underscores; the library adds `_total`, and the
suffixes of a summary are added here. Every series carries the constant labels; where a series has a label
of that name itself, its own value stands.

Rendering ten thousand series takes tens of milliseconds, so it is done apart from the event loop: `snapshot`
on the loop, `render` in a thread.
"""

import socket
from collections.abc import Iterable, Iterator, Mapping, Sequence

from prometheus_client import generate_latest
from prometheus_client.core import Metric
from prometheus_client.process_collector import ProcessCollector
from prometheus_client.registry import Collector, CollectorRegistry

from kernel.meters import Family, Labels, Meter, Meters, Summary

CONTENT_TYPE = "text/plain; version=0.0.4; charset=utf-8"

Snapshot = Sequence[tuple[Family, Sequence[tuple[Labels, Meter]]]]


class Exposition:
    """Renders meters, and what the operating system says of the process."""

    def __init__(
        self, *, meters: Meters, component_name: str, component_type: str = "service", host: str | None = None
    ) -> None:
        self._meters = meters
        self._constant = {
            "host": socket.gethostname() if host is None else host,
            "component_type": component_type,
            "component_name": component_name,
        }
        # Its own registry: the default one is shared by everything that imports the library.
        self._process = ProcessCollector(registry=CollectorRegistry())

    def snapshot(self) -> Snapshot:
        """All series there are. Call it on the event loop, where series are added."""
        return [(family, list(family.series.items())) for family in self._meters.families()]

    def render(self, snapshot: Snapshot) -> bytes:
        """The text, UTF-8. May run in any thread."""
        return generate_latest(_Collected([*self._metrics(snapshot), *self._with_constants(self._process.collect())]))

    def _metrics(self, snapshot: Snapshot) -> Iterator[Metric]:
        for family, series in snapshot:
            metric = Metric(family.name, family.help, family.kind)
            for labels, meter in series:
                spelled = self._labels(dict(labels))
                if isinstance(meter, Summary):
                    metric.add_sample(f"{family.name}_count", spelled, meter.count)
                    metric.add_sample(f"{family.name}_sum", spelled, meter.total)
                else:
                    suffix = "_total" if family.kind == "counter" else ""
                    metric.add_sample(family.name + suffix, spelled, meter.total)
            yield metric

    def _with_constants(self, metrics: Iterable[Metric]) -> Iterator[Metric]:
        for metric in metrics:
            made = Metric(metric.name, metric.documentation, metric.type)
            for sample in metric.samples:
                made.add_sample(sample.name, self._labels(sample.labels), sample.value)
            yield made

    def _labels(self, own: Mapping[str, str]) -> dict[str, str]:
        # A name that is no UTF-8 must not cost the whole page.
        return self._constant | {name: text.encode(errors="backslashreplace").decode() for name, text in own.items()}


class _Collected(Collector):
    """What generate_latest asks for."""

    def __init__(self, metrics: Sequence[Metric]) -> None:
        self._metrics = metrics

    def collect(self) -> Iterable[Metric]:
        return self._metrics
