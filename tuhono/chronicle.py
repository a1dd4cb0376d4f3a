"""One stream of what happened: messages from the log and refusals from the audit, in the order of time.

A reader's place is a pair, one position in each source, spelled `MESSAGE.AUDIT`: resuming from it loses
nothing and repeats nothing. Bounded: at most `limit` entries of each source are held at once.
"""

import base64
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from kernel.clock import milliseconds
from kernel.errors import Malformed
from kernel.ids import TenantId
from messaging.message import PROVISIONING_NOTIFICATION, KeptMessage
from messaging.ports import MessageLog
from registry.model import AuditRow
from registry.ports import AuditRepository

REFUSED = "device.refused"


class PlaceInvalid(Malformed):
    """What was given is neither a position nor a time."""

    code = "place-invalid"


@dataclass(frozen=True, slots=True)
class Place:
    """How far a reader has come in each source."""

    message: int = 0
    audit: int = 0

    def __str__(self) -> str:
        return f"{self.message}.{self.audit}"


@dataclass(frozen=True, slots=True, kw_only=True)
class Entry:
    """One thing that happened. Exactly one of `message` and `refusal` is set."""

    place: Place  # after this entry
    moment: datetime
    message: KeptMessage | None = None
    refusal: AuditRow | None = None

    @property
    def kind(self) -> str:
        """telemetry, event, provisioning or refusal."""
        if self.message is None:
            return "refusal"
        if self.message.message.content_type == PROVISIONING_NOTIFICATION:
            return "provisioning"
        return self.message.message.kind.value

    def as_json(self) -> dict[str, Any]:
        """All an application needs; the payload in Base64, null where there was none."""
        entry: dict[str, Any] = {"position": str(self.place), "time": self.moment.isoformat(), "kind": self.kind}
        if self.refusal is not None:
            row = self.refusal
            return {**entry, "tenant": row.tenant_id, "device": row.device_id, "code": row.code, **row.facts}
        assert self.message is not None
        message = self.message.message
        payload = None if message.payload is None else base64.b64encode(message.payload).decode()
        return {
            **entry,
            "tenant": message.tenant_id,
            "device": message.device_id,
            "content_type": message.content_type,
            "qos": message.qos,
            "ttl_ms": message.ttl_ms,
            "payload": payload,
            "properties": dict(message.properties),
        }


class Chronicle:
    """Reads both sources forward from a place. Blocking."""

    def __init__(self, *, messages: MessageLog, audit: AuditRepository) -> None:
        self._messages = messages
        self._audit = audit

    def read(self, after: Place, *, limit: int, tenant_id: TenantId | None = None) -> Sequence[Entry]:
        """At most `limit` entries behind the place, oldest first."""
        kept = list(self._messages.read(after=after.message, limit=limit, tenant_id=tenant_id))
        refusals = list(self._audit.read(after=after.audit, limit=limit, tenant_id=tenant_id, what=REFUSED))
        entries: list[Entry] = []
        place = after
        while (kept or refusals) and len(entries) < limit:
            if not refusals or (kept and _moment(kept[0]) <= refusals[0].moment):
                message = kept.pop(0)
                place = Place(message.position, place.audit)
                entries.append(Entry(place=place, moment=_moment(message), message=message))
            else:
                row = refusals.pop(0)
                place = Place(place.message, row.position)
                entries.append(Entry(place=place, moment=row.moment, refusal=row))
        return entries

    def end(self) -> Place:
        """Behind the newest of both."""
        return Place(self._messages.last_position(), self._audit.last_position())

    def place_of(self, given: str) -> Place:
        """`MESSAGE.AUDIT`, a message position alone, or an ISO 8601 time. Raises PlaceInvalid."""
        if given.isdigit():
            return Place(int(given), self._audit_beside(int(given)))
        message, dot, audit = given.partition(".")
        if dot and message.isdigit() and audit.isdigit():
            return Place(int(message), int(audit))
        moment = _parse_time(given)
        return Place(
            self._messages.first_position_since(milliseconds(moment)), self._audit.first_position_since(moment)
        )

    def _audit_beside(self, position: int) -> int:
        """Where the audit stood when the message behind that position was kept; its end if there is none."""
        behind = self._messages.read(after=position, limit=1)
        return self._audit.first_position_since(_moment(behind[0])) if behind else self._audit.last_position()


def _moment(kept: KeptMessage) -> datetime:
    return datetime.fromtimestamp(kept.message.creation_time_ms / 1000, UTC)


def _parse_time(given: str) -> datetime:
    try:
        moment = datetime.fromisoformat(given)
    except ValueError as fault:
        raise PlaceInvalid(f"{given!r} is neither a position (12, 12.3) nor an ISO 8601 time") from fault
    return moment if moment.tzinfo is not None else moment.astimezone()
