"""The benchmark of searches asks what it says it asks; how long that takes is nobody's promise here."""

from pathlib import Path

from benchmarks.search import SEARCHES, measure


def test_every_search_of_the_benchmark_finds_devices(tmp_path: Path) -> None:
    figures = {figure.title: figure.total for figure in measure(tmp_path, devices=2000, rounds=1)}
    assert list(figures) == list(SEARCHES)
    assert figures["the first page by id"] == figures["all match, sorted by a member of ext"] == 2000
    assert all(figures.values())
    assert figures["gateways"] < 1000
