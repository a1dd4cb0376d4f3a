"""One stream of what happened: messages from the log and refusals from the audit, in the order of time.

A reader's place is a pair, one position in each source, spelled `MESSAGE.AUDIT`: resuming from it loses
nothing and repeats nothing. Bounded: at most a page of each source is held at once.

The order between the sources is that of their clocks, as far as both can be seen: what one of two gateways
writes late is read late. Positions never run backwards.
"""

import base64
import json
import re
from collections import deque
from collections.abc import Callable, Collection, Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from itertools import islice
from typing import Any

from kernel.clock import milliseconds
from kernel.errors import Malformed
from kernel.ids import TenantId
from messaging.message import PROVISIONING_NOTIFICATION, KeptMessage, MessageKind
from messaging.ports import MessageLog
from registry.ports import AuditRepository
from registry.refusals import REFUSED
from tenant.audit import AuditRow

PAGE_MAX = 500  # entries of each source held at once
REFUSAL, PROVISIONING = "refusal", "provisioning"
KINDS = (*(kind.value for kind in MessageKind), PROVISIONING, REFUSAL)
SHOWN = tuple(kind for kind in KINDS if kind != MessageKind.NOTIFICATION)  # unless others are asked for
REFUSALS_SUFFIX = "/refusals"  # of the cursor that remembers a consumer's place in the audit
_Times = Callable[[int], Sequence[tuple[datetime, int]]]  # time and position of what is behind a position
_SPELLED = re.compile(r"(\d{1,18})(?:\.(\d{1,18}))?", re.ASCII)


class PlaceInvalid(Malformed):
    """What was given is no position of this log."""

    code = "place-invalid"


@dataclass(frozen=True, slots=True)
class Place:
    """How far a reader has come in each source."""

    message: int = 0
    audit: int = 0

    def __str__(self) -> str:
        return f"{self.message}.{self.audit}"

    def reaches(self, other: "Place") -> bool:
        """Whether nothing between here and there is left to read."""
        return self.message >= other.message and self.audit >= other.audit


@dataclass(frozen=True, slots=True, kw_only=True)
class Entry:
    """One thing that happened. Exactly one of `message` and `refusal` is set."""

    place: Place  # after this entry
    moment: datetime
    message: KeptMessage | None = None
    refusal: AuditRow | None = None

    @property
    def kind(self) -> str:
        """One of KINDS."""
        return REFUSAL if self.message is None else kind_of(self.message)

    def as_json(self) -> dict[str, Any]:
        """All an application needs; the payload in Base64, null where there was none."""
        moment = self.moment.astimezone(UTC).isoformat(timespec="milliseconds")
        entry: dict[str, Any] = {"position": str(self.place), "time": moment, "kind": self.kind}
        if self.refusal is not None:
            row = self.refusal
            return {**row.facts, **entry, "tenant": row.tenant_id, "device": row.device_id, "code": row.code}
        assert self.message is not None
        message = self.message.message
        payload = None if message.payload is None else base64.b64encode(message.payload).decode()
        if message.kind is MessageKind.NOTIFICATION:
            entry["notification"] = json.loads(message.payload or b"null")
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


@dataclass(frozen=True, slots=True, kw_only=True)
class Page:
    """What was read, and the place behind all that was looked at: past what is not for this reader, too."""

    entries: Sequence[Entry]
    behind: Place


def kind_of(kept: KeptMessage) -> str:
    """An event that says a device came, was changed or went is one of its own."""
    if kept.message.content_type == PROVISIONING_NOTIFICATION:
        return PROVISIONING
    return kept.message.kind.value


class Chronicle:
    """Reads both sources forward from a place. Blocking."""

    def __init__(self, *, messages: MessageLog, audit: AuditRepository, kinds: Collection[str] = SHOWN) -> None:
        """`kinds`: which entries there are for this reader; what is left out counts as read."""
        self._messages = messages
        self._audit = audit
        self._kinds = frozenset(kinds)

    def read(self, after: Place, *, limit: int = PAGE_MAX, tenant_id: TenantId | None = None) -> Page:
        """At most `limit` entries behind the place, oldest first; none only when there are none."""
        end = self.end()  # before reading: what is behind it was not yet there to be found
        kept, last_read = self._wanted(after.message, limit, tenant_id)
        refusals = deque(self._refusals(after.audit, limit, tenant_id))
        behind = Place(
            after.message if kept else max(after.message, end.message),
            after.audit if refusals else max(after.audit, end.audit),
        )
        entries: list[Entry] = []
        are_all = not kept or last_read >= end.message, len(refusals) < limit
        for one in islice(_merged(kept, refusals, *are_all), limit):
            if isinstance(one, AuditRow):
                behind = Place(behind.message, one.position)
                entries.append(Entry(place=behind, moment=one.moment, refusal=one))
            else:
                behind = Place(one.position, behind.audit)
                entries.append(Entry(place=behind, moment=_moment(one), message=one))
        return Page(entries=entries, behind=behind)

    def end(self) -> Place:
        """Behind the newest of both."""
        return Place(self._messages.last_position(), self._audit.last_position())

    def mark(self) -> tuple[int, int]:
        """Differs from the last answer when there may be something new to read; cheap enough to poll."""
        return self._messages.change_mark(), self._audit.last_position()

    def place_before_newest(self, count: int, *, tenant_id: TenantId | None = None) -> Place:
        """Where the newest `count` entries begin, or all there are."""
        end = self.end()
        messages = _newest(self._message_times(tenant_id), end.message, count)
        refusals = _newest(self._refusal_times(tenant_id), end.audit, count)
        place = end
        for _ in range(min(count, len(messages) + len(refusals))):
            if messages and (not refusals or messages[-1][0] > refusals[-1][0]):
                place = Place(messages.pop()[1] - 1, place.audit)
            else:
                place = Place(place.message, refusals.pop()[1] - 1)
        return place

    def place_of(self, position: str) -> Place:
        """Of a position as entries bear it, or of a message's alone. Raises PlaceInvalid."""
        spelled = _SPELLED.fullmatch(position)
        if spelled is None:
            raise PlaceInvalid(f"{position!r} is no position such as 12.3")
        message, audit = int(spelled[1]), spelled[2]
        place = Place(message, self._audit_beside(message) if audit is None else int(audit))
        end = self.end()
        if not end.reaches(place):
            raise PlaceInvalid(f"position {position} is behind the newest there is, {end}: it is of another log")
        return place

    def place_at(self, moment: datetime) -> Place:
        """Before everything that happened at or after that moment."""
        return Place(
            self._messages.first_position_since(milliseconds(moment)), self._audit.first_position_since(moment)
        )

    def place_of_consumer(self, name: str) -> Place:
        """How far the named consumer has come; the very beginning when it never said."""
        return Place(self._messages.cursor(name), self._messages.cursor(name + REFUSALS_SUFFIX))

    def commit_consumer(self, name: str, place: Place) -> None:
        """Remember, durably, how far the named consumer has come. Raises TooManyCursors."""
        self._messages.commit_cursor(name, place.message)
        self._messages.commit_cursor(name + REFUSALS_SUFFIX, place.audit)

    def _audit_beside(self, position: int) -> int:
        """Where the audit stood when the message behind that position was kept; its end if there is none."""
        if position == 0:
            return 0
        behind = self._messages.read(after=position, limit=1)
        return self._audit.first_position_since(_moment(behind[0])) if behind else self._audit.last_position()

    def _message_times(self, tenant_id: TenantId | None) -> _Times:
        def read(after: int) -> Sequence[tuple[datetime, int]]:
            kept, _ = self._wanted(after, PAGE_MAX, tenant_id)
            return [(_moment(message), message.position) for message in kept]

        return read

    def _refusal_times(self, tenant_id: TenantId | None) -> _Times:
        def read(after: int) -> Sequence[tuple[datetime, int]]:
            return [(row.moment, row.position) for row in self._refusals(after, PAGE_MAX, tenant_id)]

        return read

    def _wanted(self, after: int, limit: int, tenant_id: TenantId | None) -> tuple[deque[KeptMessage], int]:
        """The next messages of the wanted kinds, none only at the end; and the position behind all that was read."""
        while self._kinds != {REFUSAL} and (page := self._messages.read(after=after, limit=limit, tenant_id=tenant_id)):
            after = page[-1].position
            wanted = deque(kept for kept in page if kind_of(kept) in self._kinds)
            if wanted:
                return wanted, after
        return deque(), after

    def _refusals(self, after: int, limit: int, tenant_id: TenantId | None) -> Sequence[AuditRow]:
        if REFUSAL not in self._kinds:
            return ()
        return self._audit.read(after=after, limit=limit, tenant_id=tenant_id, what=REFUSED)


def _merged(
    kept: deque[KeptMessage], refusals: deque[AuditRow], are_all_messages: bool, are_all_refusals: bool
) -> Iterator[KeptMessage | AuditRow]:
    """By time, as far as that can be told: where one page ends and its source goes on, the next read tells.

    A page of messages may be cut anywhere, one of refusals at its limit only.
    """
    while kept or refusals:
        if (not kept and not are_all_messages) or (not refusals and not are_all_refusals):
            return
        if kept and (not refusals or _moment(kept[0]) <= refusals[0].moment):
            yield kept.popleft()
        else:
            yield refusals.popleft()


def _newest(read: _Times, last: int, count: int) -> deque[tuple[datetime, int]]:
    """Time and position of the newest `count`. The sources read forward only: look back ever further."""
    found: deque[tuple[datetime, int]] = deque(maxlen=count)
    window = count
    while count:
        start = max(0, last - window)
        found.clear()
        found.extend(_up_to(read, start, last))
        if len(found) == count or start == 0:
            break
        window *= 4
    return found


def _up_to(read: _Times, after: int, last: int) -> Iterator[tuple[datetime, int]]:
    while after < last and (page := read(after)):
        for moment, position in page:
            after = position
            if position <= last:
                yield moment, position


def _moment(kept: KeptMessage) -> datetime:
    return datetime.fromtimestamp(kept.message.creation_time_ms / 1000, UTC)
