"""Health is the conjunction of its checks, and tells no more than one word for each."""

import pytest

from kernel.errors import Unavailable
from management.health import CHECKS_MAX, HealthChecks


class LogGone(Unavailable):
    code = "log-gone"


def down() -> str | None:
    raise LogGone("disk /dev/sda1 of host.example is full")


def broken() -> str | None:
    raise RuntimeError("password=hunter2")


def test_without_checks_the_process_is_up() -> None:
    checks = HealthChecks()
    assert checks.liveness().document() == {"status": "UP", "checks": []}
    assert checks.readiness().document() == {"status": "UP", "checks": []}


def test_one_check_down_takes_its_group_down_and_says_why() -> None:
    checks = HealthChecks()
    checks.add_readiness("registry", lambda: None)
    checks.add_readiness("message-log", lambda: "backlog-full")
    assert checks.liveness().is_up
    assert checks.readiness().document() == {
        "status": "DOWN",
        "checks": [
            {"name": "registry", "status": "UP"},
            {"name": "message-log", "status": "DOWN", "data": {"reason": "backlog-full"}},
        ],
    }


def test_a_process_that_is_not_alive_is_not_ready() -> None:
    checks = HealthChecks()
    checks.add_liveness("writer", lambda: "stopped")
    assert not checks.liveness().is_up
    assert not checks.readiness().is_up


@pytest.mark.parametrize(("check", "reason"), [(down, "log-gone"), (broken, "internal")])
def test_a_check_that_raises_is_down_and_keeps_its_message_to_itself(check: object, reason: str) -> None:
    checks = HealthChecks()
    checks.add_readiness("x", check)  # type: ignore[arg-type]
    assert checks.readiness().document()["checks"] == [{"name": "x", "status": "DOWN", "data": {"reason": reason}}]


def test_a_name_is_given_once_and_the_number_of_checks_is_bounded() -> None:
    checks = HealthChecks()
    for number in range(CHECKS_MAX):
        checks.add_readiness(str(number), lambda: None)
    for name in ("0", "one too many"):
        with pytest.raises(ValueError, match="no place"):
            checks.add_readiness(name, lambda: None)
