"""Who tries passwords is slowed down, per account and per network, and nobody is locked out for ever."""

from contextlib import suppress

import pytest

from kernel.clock import ManualClock
from tenant.login_throttle import ACCOUNT_MAX_S, FORGOTTEN_AFTER_S, Backoff, LoginThrottle, network_of
from tenant.operator_errors import TooManyAttempts

HERE, THERE = "192.0.2.1", "198.51.100.7"
FREE = 5


class Attempts:
    def __init__(self, *, max_s: float = 900.0, entries_max: int = 1000) -> None:
        self.clock = ManualClock()
        self.throttle = LoginThrottle(
            free_tries=FREE, first_s=1.0, max_s=max_s, clock=self.clock, entries_max=entries_max
        )

    def fail(self, account: str = "ada", network: str = HERE) -> None:
        """One attempt that is looked at and fails. Raises TooManyAttempts."""
        self.throttle.check(account, network)
        self.throttle.begin(account, network)

    def succeed(self, account: str = "ada", network: str = HERE) -> None:
        self.throttle.check(account, network)
        self.throttle.begin(account, network)
        self.throttle.succeeded(account, network)

    def wait_s(self, account: str = "ada", network: str = HERE) -> float:
        try:
            self.throttle.check(account, network)
        except TooManyAttempts as refused:
            return refused.retry_after_s
        return 0.0

    def looked_at_within(self, seconds: float, account: str = "ada", network: str = HERE) -> int:
        """How many guesses somebody gets who never stops."""
        end, count = self.clock.monotonic() + seconds, 0
        while self.clock.monotonic() < end:
            wait_s = self.wait_s(account, network)
            self.clock.advance(wait_s or 0.001)
            if not wait_s:
                self.fail(account, network)
                count += 1
        return count


def test_a_few_failures_are_free_and_then_each_costs_twice_the_time() -> None:
    attempts = Attempts()
    for _ in range(FREE):
        assert attempts.wait_s() == 0
        attempts.fail()
    waits = []
    for _ in range(12):
        waits.append(attempts.wait_s())
        attempts.clock.advance(waits[-1])
        attempts.fail()
    assert waits == [1, 2, 4, 8, 16, 32, 64, 128, 256, 512, 900, 900]


def test_a_guesser_gets_few_guesses_a_day() -> None:
    assert Attempts().looked_at_within(86_400) < 120


def test_success_resets() -> None:
    attempts = Attempts()
    for _ in range(FREE - 1):
        attempts.fail()
    attempts.succeed()
    for _ in range(FREE - 1):
        attempts.fail()
    assert attempts.wait_s() == 0


def test_an_attempt_that_was_not_looked_at_does_not_count() -> None:
    attempts = Attempts()
    for _ in range(100):
        attempts.throttle.undone(attempts.throttle.begin("ada", HERE))
    assert attempts.wait_s() == 0


def test_an_attempt_that_was_not_looked_at_opens_nothing_that_others_closed() -> None:
    attempts = Attempts()
    begun = [attempts.throttle.begin("ada", HERE) for _ in range(FREE)]
    for attempt in begun[: FREE - 1]:
        attempts.throttle.undone(attempt)
    assert attempts.wait_s() == 1


def test_many_at_once_gain_nothing() -> None:
    attempts = Attempts()
    begun = 0
    for _ in range(1000):
        with suppress(TooManyAttempts):
            attempts.throttle.begin("ada", HERE)
            begun += 1
    assert begun == FREE


def test_somebody_elsewhere_is_let_in_while_one_network_is_closed() -> None:
    attempts = Attempts()
    for _ in range(FREE + 6):
        attempts.clock.advance(attempts.wait_s())
        attempts.fail()
    assert attempts.wait_s(network=HERE) == 64
    assert attempts.wait_s(network=THERE) == 0
    attempts.succeed(network=THERE)


def test_a_name_tried_from_everywhere_is_slowed_and_never_locked() -> None:
    attempts = Attempts(entries_max=100_000)
    looked_at = 0
    for number in range(10_000):
        if attempts.wait_s(network=f"net-{number}") == 0:
            attempts.fail(network=f"net-{number}")
            looked_at += 1
    assert looked_at == FREE * 4
    assert 0 < attempts.wait_s(network=THERE) <= ACCOUNT_MAX_S
    attempts.clock.advance(ACCOUNT_MAX_S)
    attempts.succeed(network=THERE)


def test_where_an_operator_logged_in_lately_a_storm_elsewhere_costs_nothing() -> None:
    attempts = Attempts(entries_max=100_000)
    attempts.succeed(network=THERE)
    for number in range(1000):
        if attempts.wait_s(network=f"net-{number}") == 0:
            attempts.fail(network=f"net-{number}")
    assert attempts.wait_s(network=HERE) > 0
    assert attempts.wait_s(network=THERE) == 0


def test_a_network_that_tries_many_names_is_closed_for_new_ones() -> None:
    attempts = Attempts()
    attempts.succeed("eve")
    for number in range(1000):
        if attempts.wait_s(f"name-{number}") == 0:
            attempts.fail(f"name-{number}")
    assert attempts.wait_s("another") > 0
    assert attempts.wait_s("eve") == 0, "a neighbour who was here before"
    assert attempts.wait_s("another", THERE) == 0


def test_keys_and_tokens_that_prove_nobody_close_the_network() -> None:
    attempts = Attempts()
    for _ in range(FREE * 4):
        attempts.throttle.stray(HERE)
    with pytest.raises(TooManyAttempts):
        attempts.throttle.stray(HERE)


def test_failures_of_long_ago_are_forgotten() -> None:
    attempts = Attempts()
    for _ in range(FREE + 1):
        attempts.clock.advance(attempts.wait_s())
        attempts.fail()
    attempts.clock.advance(2 + FORGOTTEN_AFTER_S + 1)
    for _ in range(FREE - 1):
        attempts.fail()
    assert attempts.wait_s() == 0


def test_a_table_stays_small_and_remembers_who_tries_most() -> None:
    clock = ManualClock()
    backoff = Backoff(free=3, first_s=60, max_s=900, entries_max=100, clock=clock)
    for _ in range(5):
        backoff.charge("target")
    for number in range(10_000):
        backoff.charge(f"other-{number}")
        assert len(backoff) <= 100
    assert backoff.wait_s("target") > 0


def test_whatever_their_number_no_addresses_make_room_for_more_guesses_at_one_name() -> None:
    attempts = Attempts(entries_max=50)
    guesses = 0
    for number in range(2_000):
        if attempts.wait_s("ada", f"net-{number}") == 0:
            attempts.fail("ada", f"net-{number}")
            guesses += 1
    assert guesses == FREE * 4


@pytest.mark.parametrize(
    ("address", "network"),
    [
        ("192.0.2.1", "192.0.2.1"),
        ("2001:db8:1:2:3:4:5:6", "2001:db8:1:2::/64"),
        ("2001:db8:1:2::ffff", "2001:db8:1:2::/64"),
        ("fe80::1%eth0", "fe80::/64"),
        ("::ffff:192.0.2.1", "192.0.2.1"),
        ("", ""),
        ("unknown", "unknown"),
    ],
)
def test_addresses_of_one_customer_are_one_network(address: str, network: str) -> None:
    assert network_of(address) == network
