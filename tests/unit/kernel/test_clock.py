"""Time as an argument: the real clock moves by itself, the manual one only when told."""

from datetime import UTC, datetime, timedelta

from kernel.clock import ManualClock, SystemClock, milliseconds


def test_the_real_clock_is_aware_and_never_runs_backwards() -> None:
    clock = SystemClock()
    assert clock.now().utcoffset() == timedelta(0)
    assert clock.monotonic() <= clock.monotonic()


def test_the_manual_clock_moves_both_readings_as_told() -> None:
    clock = ManualClock(datetime(2026, 1, 1, tzinfo=UTC))
    before = clock.monotonic()
    assert clock.now() == clock.now()
    clock.advance(1.5)
    assert clock.now() == datetime(2026, 1, 1, 0, 0, 1, 500_000, tzinfo=UTC)
    assert clock.monotonic() - before == 1.5


def test_milliseconds_are_rounded_down() -> None:
    assert milliseconds(datetime(1970, 1, 1, 0, 0, 1, 999_999, tzinfo=UTC)) == 1999
