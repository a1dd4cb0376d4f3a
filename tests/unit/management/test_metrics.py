"""Meters come out as Prometheus reads them, whatever a label holds."""

from prometheus_client.parser import text_string_to_metric_families

from kernel.meters import Meters
from management.metrics import Exposition

HOSTILE = 'a"b\\c\nd{}=,\udcffé'


def samples(meters: Meters) -> dict[tuple[str, str], tuple[float, dict[str, str]]]:
    exposition = Exposition(meters=meters, component_name="tuhono", host="h")
    text = exposition.render(exposition.snapshot()).decode()
    found = [sample for family in text_string_to_metric_families(text) for sample in family.samples]
    return {(one.name, one.labels.get("tenant", "")): (one.value, dict(one.labels)) for one in found}


def test_a_counter_a_gauge_and_a_summary_have_the_names_of_the_contract() -> None:
    meters = Meters()
    meters.counter("hono_connections_attempts", "", tenant="t").add(3)
    meters.gauge("hono_connections_authenticated", "", tenant="t").add(2)
    meters.summary("hono_telemetry_payload_bytes", "", tenant="t").observe(5)
    found = samples(meters)
    assert found["hono_connections_attempts_total", "t"][0] == 3
    assert found["hono_connections_authenticated", "t"][0] == 2
    assert found["hono_telemetry_payload_bytes_count", "t"][0] == 1
    assert found["hono_telemetry_payload_bytes_sum", "t"][0] == 5


def test_every_series_says_where_it_comes_from_unless_it_says_so_itself() -> None:
    meters = Meters()
    meters.counter("a", "").add()
    meters.counter("b", "", component_type="adapter", component_name="hono-mqtt").add()
    found = samples(meters)
    constant = {"host": "h", "component_type": "service", "component_name": "tuhono"}
    assert found["a_total", ""][1] == constant
    assert found["b_total", ""][1] == constant | {"component_type": "adapter", "component_name": "hono-mqtt"}


def test_a_hostile_label_breaks_no_line() -> None:
    meters = Meters()
    meters.counter("a", "", tenant=HOSTILE).add()
    meters.counter("b", "").add(7)
    found = samples(meters)
    assert found["a_total", HOSTILE.replace("\udcff", "\\udcff")][0] == 1
    assert found["b_total", ""][0] == 7


def test_series_of_one_name_may_have_different_labels() -> None:
    meters = Meters()
    meters.counter("a", "", tenant="t").add()
    meters.counter("a", "", outcome="x").add(2)
    found = samples(meters)
    assert (found["a_total", "t"][0], found["a_total", ""][0]) == (1, 2)


def test_a_series_added_after_the_snapshot_waits_for_the_next() -> None:
    meters = Meters()
    exposition = Exposition(meters=meters, component_name="tuhono")
    meters.counter("a", "", tenant="early").add()
    snapshot = exposition.snapshot()
    meters.counter("a", "", tenant="late").add()
    assert b"early" in exposition.render(snapshot)
    assert b"late" not in exposition.render(snapshot)
