"""Failed logins are in the audit soon, and are never many rows."""

from kernel.clock import ManualClock
from tenant.audit import AuditRow
from tenant.failed_logins import ROWS_PER_HOUR_MAX, TALLIES_MAX, WINDOW_S, FailedLogins


class Record:
    def __init__(self) -> None:
        self.clock = ManualClock()
        self.rows: list[AuditRow] = []
        self.failures = FailedLogins(record=self.rows.append, clock=self.clock)

    def fail(self, account: str | None = "ada", network: str = "192.0.2.1") -> None:
        self.failures.add("bad-credentials", account=account, network=network, remote=network)

    @property
    def told(self) -> list[str]:
        return [row.facts["attempts"] for row in self.rows]


def test_the_first_failure_is_told_at_once_with_who_and_from_where() -> None:
    record = Record()
    record.fail()
    (row,) = record.rows
    assert (row.what, row.code) == ("operator.refused", "bad-credentials")
    assert row.facts == {"operator": "ada", "attempts": "1", "remote": "192.0.2.1"}
    assert row.actor is None
    assert row.tenant_id is None


def test_a_name_that_no_operator_bears_is_not_told() -> None:
    record = Record()
    record.fail(None)
    assert record.rows[0].facts == {"attempts": "1", "remote": "192.0.2.1"}


def test_those_that_follow_are_one_row_when_the_window_is_over() -> None:
    record = Record()
    for _ in range(500):
        record.fail()
    assert record.told == ["1"]
    record.clock.advance(WINDOW_S)
    record.failures.sweep()
    assert record.told == ["1", "499"]
    record.fail()
    assert record.told == ["1", "499", "1"]


def test_a_stranger_from_everywhere_fills_nothing() -> None:
    record = Record()
    attempts = 0
    for minute in range(60):
        for number in range(1000):
            record.fail(None, f"net-{minute}-{number}")
            attempts += 1
        record.clock.advance(60)
    assert len(record.rows) <= ROWS_PER_HOUR_MAX + 1
    record.failures.close()
    assert sum(map(int, record.told)) == attempts, "each is counted once"


def test_the_table_is_bounded() -> None:
    record = Record()
    for number in range(TALLIES_MAX * 3):
        record.fail(None, f"net-{number}")
    assert len(record.failures._tallies) == TALLIES_MAX


def test_closing_tells_what_was_counted() -> None:
    record = Record()
    for _ in range(3):
        record.fail()
    record.failures.close()
    assert record.told == ["1", "2"]
