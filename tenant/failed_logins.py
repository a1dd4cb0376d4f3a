"""Failed logins in the audit: soon, and never more rows than an operator would read.

The first failure of an account from a network is written at once; those that follow within WINDOW_S are counted and
written as one row when the window is over. Past ROWS_PER_HOUR_MAX everything goes into one count, told when there is
room again: no stranger pushes other rows out of the audit.

A name is written only where an operator bears it: people type passwords into the wrong field.
"""

import logging
from collections.abc import Callable
from dataclasses import dataclass

from kernel.clock import Clock
from kernel.log import fields
from tenant.audit import AuditRow

log = logging.getLogger(__name__)

REFUSED = "operator.refused"
WINDOW_S = 300.0
ROWS_PER_HOUR_MAX = 60
TALLIES_MAX = 200
_HOUR_S = 3600.0


@dataclass(slots=True)
class _Tally:
    account: str | None
    remote: str
    code: str
    until: float
    attempts: int = 0  # not written yet


class FailedLogins:
    """Belongs to one event loop."""

    def __init__(self, *, record: Callable[[AuditRow], None], clock: Clock) -> None:
        """`record` never blocks."""
        self._record = record
        self._clock = clock
        self._tallies: dict[tuple[str | None, str], _Tally] = {}  # in the order of their windows
        self._hour_ends = 0.0
        self._rows_left = ROWS_PER_HOUR_MAX
        self._others = 0  # attempts that no row told

    def add(self, code: str, *, account: str | None, network: str, remote: str) -> None:
        """`account`: the operator's name where there is such an operator."""
        self.sweep()
        tally = self._tallies.get((account, network))
        if tally is not None:
            tally.attempts += 1
        elif len(self._tallies) >= TALLIES_MAX:
            self._others += 1
        else:
            until = self._clock.monotonic() + WINDOW_S
            self._tallies[account, network] = tally = _Tally(account, remote, code, until, attempts=1)
            self._write(tally)

    def sweep(self) -> None:
        """Write what was counted in windows that are over."""
        now = self._clock.monotonic()
        if now >= self._hour_ends:
            self._hour_ends, self._rows_left = now + _HOUR_S, ROWS_PER_HOUR_MAX
            others, self._others = self._others, 0
            self._write(_Tally(None, "", "too-many-attempts", now, attempts=others))
        for key, tally in list(self._tallies.items()):
            if tally.until > now:
                break
            del self._tallies[key]
            self._write(tally)

    def close(self) -> None:
        """Write what was counted so far."""
        for tally in self._tallies.values():
            self._write(tally)
        self._tallies.clear()
        if self._others:
            self._rows_left = max(1, self._rows_left)
            others, self._others = self._others, 0
            self._write(_Tally(None, "", "too-many-attempts", 0.0, attempts=others))

    def _write(self, tally: _Tally) -> None:
        attempts, tally.attempts = tally.attempts, 0
        if not attempts:
            return
        if not self._rows_left:
            self._others += attempts
            return
        self._rows_left -= 1
        facts = {"attempts": str(attempts)}
        for name, fact in (("operator", tally.account), ("remote", tally.remote)):
            if fact:
                facts[name] = fact
        log.info(REFUSED, extra=fields(code=tally.code, **facts))
        self._record(AuditRow(moment=self._clock.now(), what=REFUSED, code=tally.code, facts=facts))
