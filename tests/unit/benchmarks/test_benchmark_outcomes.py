"""What a run tells follows from what was measured, and from nothing else."""

import json

import pytest

from benchmarks.machine import Cores, TooFewCores, choose_cores
from benchmarks.outcomes import Measurement, Outcome, report_json
from benchmarks.rows import ROWS, Row, UnknownRow, choose_rows

RATIO_ROW = Row(name="x", title="x", beside=("other", "floor"), operations=1, quick_operations=1, ratio_max=0.5)
VALUE_ROW = Row(name="y", title="y", beside=("other",), operations=1, quick_operations=1, value_max=45.0)


def outcome(row: Row = RATIO_ROW, **rounds: list[float]) -> Outcome:
    return Outcome(row=row, rounds={name: [Measurement(value) for value in values] for name, values in rounds.items()})


def test_a_ratio_is_the_median_of_the_ratios_within_rounds_and_not_the_ratio_of_medians() -> None:
    told = outcome(tuhono=[1.0, 20.0, 30.0], other=[10.0, 20.0, 10.0])
    assert told.ratios("other") == [0.1, 1.0, 3.0]
    assert told.ratio("other") == 1.0
    assert told.value("tuhono") == 20.0


def test_a_target_is_reached_at_its_very_value_and_missed_above() -> None:
    assert outcome(tuhono=[5.0], other=[10.0]).is_reached is True
    assert outcome(tuhono=[5.1], other=[10.0]).is_reached is False
    assert outcome(VALUE_ROW, tuhono=[45.0]).is_reached is True
    assert outcome(VALUE_ROW, tuhono=[45.1]).is_reached is False


def test_without_the_neighbour_there_is_a_figure_and_no_ratio_and_no_verdict() -> None:
    told = outcome(tuhono=[5.0], floor=[1.0])
    assert (told.value("tuhono"), told.ratio("other"), told.ratio("floor"), told.is_reached) == (5.0, None, 5.0, None)


def test_a_row_with_a_fault_has_no_figures_at_all() -> None:
    told = outcome(tuhono=[5.0], other=[10.0])
    told.fault = "other: counted wrong"
    assert (told.value("tuhono"), told.ratio("other"), told.is_reached) == (None, None, None)
    assert told.as_json()["servers"] == {}
    assert told.as_json()["fault"] == "other: counted wrong"


def test_the_report_is_json_with_every_round() -> None:
    report = report_json([outcome(tuhono=[5.0, 6.0], other=[10.0, 10.0])], taken="now", machine={}, versions={})
    (row,) = json.loads(json.dumps(report))["rows"]
    assert row["servers"]["tuhono"]["rounds"] == [5.0, 6.0]
    assert row["servers"]["other"]["ratios"] == [0.5, 0.6]
    assert (row["target_server"], row["reached"]) == ("other", False)


def test_rows_come_in_the_order_of_the_table_and_a_wrong_name_is_refused() -> None:
    assert choose_rows([]) == ROWS
    assert [row.name for row in choose_rows(["memory", "connect"])] == ["connect", "memory"]
    with pytest.raises(UnknownRow, match="'conect'"):
        choose_rows(["conect"])


def test_server_and_load_never_share_a_core() -> None:
    assert choose_cores(frozenset({3, 1, 2})) == Cores(server=1, load=2)
    with pytest.raises(TooFewCores, match="this process may use 1"):
        choose_cores(frozenset({0}))
