"""What was measured, and what follows from it: medians, ratios, whether a target is reached. Pure arithmetic.

A ratio is taken within each round, where the servers ran one after the other, and the median of those is
told: what else the machine was doing falls on both sides of a round alike, and on two medians it would not.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from statistics import median
from typing import Any

from benchmarks.rows import Row

SUBJECT = "tuhono"


@dataclass(frozen=True, slots=True)
class Measurement:
    """One round of one server."""

    value: float  # per operation, in the row's unit
    busy: float | None = None  # share of the elapsed time that the server's core spent on it


@dataclass(slots=True, kw_only=True)
class Outcome:
    """One row of the table."""

    row: Row
    rounds: dict[str, list[Measurement]] = field(default_factory=dict)  # by server
    left_out: dict[str, str] = field(default_factory=dict)  # server and why
    fault: str | None = None  # why the row has no figures

    def value(self, server: str) -> float | None:
        """Per operation, the median of the rounds."""
        found = self.rounds.get(server)
        return median(one.value for one in found) if found and self.fault is None else None

    def busy(self, server: str) -> float | None:
        found = [one.busy for one in self.rounds.get(server, []) if one.busy is not None]
        return median(found) if found else None

    def ratios(self, to: str) -> Sequence[float]:
        """Tuhono's value over that server's, round by round."""
        if self.fault is not None:
            return []
        pairs = zip(self.rounds.get(SUBJECT, []), self.rounds.get(to, []), strict=False)
        return [ours.value / theirs.value for ours, theirs in pairs]

    def ratio(self, to: str) -> float | None:
        found = self.ratios(to)
        return median(found) if found else None

    @property
    def is_reached(self) -> bool | None:
        """Whether the target is; None where there is none, or nothing to tell it by."""
        if self.row.ratio_max is not None:
            ratio = self.ratio(self.row.beside[0])
            return None if ratio is None else ratio <= self.row.ratio_max
        value = self.value(SUBJECT)
        if self.row.value_max is None or value is None:
            return None
        return value <= self.row.value_max

    def as_json(self) -> dict[str, Any]:
        row = self.row
        facts: dict[str, Any] = {
            "row": row.name,
            "what": row.title,
            "unit": row.unit,
            "target_ratio_max": row.ratio_max,
            "target_value_max": row.value_max,
            "target_server": row.beside[0] if row.ratio_max is not None else None,
            "reached": self.is_reached,
            "servers": {server: self._server_json(server) for server in self.rounds if self.fault is None},
        }
        if self.left_out:
            facts["left_out"] = self.left_out
        if self.fault is not None:
            facts["fault"] = self.fault
        return facts

    def _server_json(self, server: str) -> dict[str, Any]:
        value, busy, ratio = self.value(server), self.busy(server), self.ratio(server)
        facts: dict[str, Any] = {
            "median": None if value is None else round(value, 3),
            "rounds": [round(one.value, 3) for one in self.rounds[server]],
        }
        if busy is not None:
            facts["core_busy"] = round(busy, 2)
        if server != SUBJECT and ratio is not None:
            facts["ratio"] = round(ratio, 3)
            facts["ratios"] = [round(one, 3) for one in self.ratios(server)]
        return facts


def report_json(
    outcomes: Sequence[Outcome], *, taken: str, machine: Mapping[str, object], versions: Mapping[str, str]
) -> dict[str, Any]:
    """The whole run as one document. It names no path and no host."""
    return {
        "taken": taken,
        "machine": dict(machine),
        "versions": dict(versions),
        "rows": [outcome.as_json() for outcome in outcomes],
    }
