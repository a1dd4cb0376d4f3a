"""Whether the process is alive and ready, asked of whoever registered a check (MicroProfile Health).

Liveness says: restart me. Readiness says: send no devices here. A check returns None where all is well,
else one stable word; it must not block, for it is called on the event loop. Reasons are for operators and
carry no names of devices, no addresses and no secrets.
"""

import logging
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from kernel.errors import TuhonoError
from kernel.log import fields

log = logging.getLogger(__name__)

Check = Callable[[], str | None]
CHECKS_MAX = 64


@dataclass(frozen=True, slots=True, kw_only=True)
class Health:
    """The outcome of a group of checks."""

    reasons: Mapping[str, str | None]  # check → why it is down, None where it is up

    @property
    def is_up(self) -> bool:
        return all(reason is None for reason in self.reasons.values())

    def document(self) -> dict[str, Any]:
        """`{"status": "UP", "checks": [{"name": …, "status": …, "data": {"reason": …}}]}`; data only when down."""
        return {"status": _status(self.is_up), "checks": [_check(*one) for one in self.reasons.items()]}


class HealthChecks:
    """Two groups of named checks. With none registered, both are up: the event loop answered."""

    def __init__(self) -> None:
        self._liveness: dict[str, Check] = {}
        self._readiness: dict[str, Check] = {}

    def add_liveness(self, name: str, check: Check) -> None:
        """Raises ValueError for a name that is taken, or one too many."""
        _add(self._liveness, name, check)

    def add_readiness(self, name: str, check: Check) -> None:
        """Raises ValueError for a name that is taken, or one too many."""
        _add(self._readiness, name, check)

    def liveness(self) -> Health:
        return _ask(self._liveness)

    def readiness(self) -> Health:
        """Whether devices may be sent here; a process that is not alive is not ready either."""
        return _ask({**self._liveness, **self._readiness})


def _add(group: dict[str, Check], name: str, check: Check) -> None:
    if name in group or len(group) >= CHECKS_MAX:
        raise ValueError(f"no place for the check {name!r}")
    group[name] = check


def _ask(group: Mapping[str, Check]) -> Health:
    return Health(reasons={name: _reason(name, check) for name, check in group.items()})


def _reason(name: str, check: Check) -> str | None:
    try:
        return check()
    except TuhonoError as fault:
        return fault.code
    except Exception:
        log.exception("health.check-failed", extra=fields(check=name))
        return "internal"


def _check(name: str, reason: str | None) -> dict[str, Any]:
    document: dict[str, Any] = {"name": name, "status": _status(reason is None)}
    return document if reason is None else document | {"data": {"reason": reason}}


def _status(is_up: bool) -> str:
    return "UP" if is_up else "DOWN"
