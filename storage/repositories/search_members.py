"""What can be compared with a value and sorted by, and the ways of a pointer to it.

A pointer is followed from the top of a document: a `Node` takes the words still to go and ends at a `Member`. What is
no member, or cannot be compared, raises PointerUnsearchable: nothing is ever left out of a search instead.
"""

import json
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from itertools import product
from typing import Any, Protocol

from sqlalchemy import ColumnElement, case, false, literal, or_

from storage.repositories.search_sql import (
    Place,
    Steps,
    bytewise,
    document,
    has_flag,
    has_match,
    has_number,
    has_text,
    matches,
    mentions,
    respelled_document,
    sort_number,
    sort_rank,
    sort_text,
    wire_moment,
)
from storage.repositories.search_text import glob_of, is_pattern, like_of, longest_piece
from storage.rows import micros
from tenant.errors import PointerUnsearchable
from tenant.search import Pointer, Value

INDEXES_MAX = 3  # words of a pointer that may be indexes or names alike: each doubles the places to look at

INDEX = re.compile("0|[1-9][0-9]{0,8}")  # SQLite counts modulo 2^32
_MOMENT = "%Y-%m-%dT%H:%M:%SZ"
_SECOND_MICROS = 1_000_000

Condition = ColumnElement[bool]
Key = ColumnElement[Any]


class Member(Protocol):
    """What a pointer ends at."""

    def equals(self, value: Value) -> Condition: ...

    def keys(self) -> Sequence[Key]:
        """To sort by, the first counts most; NULL where it is missing."""
        ...


Node = Callable[[Pointer], Member]


@dataclass(frozen=True, slots=True)
class Flag:
    """A truth value that is always there."""

    said: ColumnElement[Any]

    def equals(self, value: Value) -> Condition:
        return self.said.is_(value) if isinstance(value, bool) else false()

    def keys(self) -> Sequence[Key]:
        return [self.said]


@dataclass(frozen=True, slots=True)
class Number:
    said: ColumnElement[Any]

    def equals(self, value: Value) -> Condition:
        return self.said == value if isinstance(value, int | float) and not isinstance(value, bool) else false()

    def keys(self) -> Sequence[Key]:
        return [self.said]


@dataclass(frozen=True, slots=True)
class Words:
    """A text in a column of its own."""

    said: ColumnElement[Any]

    def equals(self, value: Value) -> Condition:
        if not isinstance(value, str):
            return false()
        if is_pattern(value):
            return matches(self.said, literal(glob_of(value)), literal(like_of(value)))
        return self.said == value

    def keys(self) -> Sequence[Key]:
        return [bytewise(self.said)]


@dataclass(frozen=True, slots=True)
class Moment:
    """Microseconds here, a text on the wire: compared as that text, to the second."""

    said: ColumnElement[Any]

    def equals(self, value: Value) -> Condition:
        if not isinstance(value, str):
            return false()
        if is_pattern(value):
            return matches(wire_moment(self.said), literal(glob_of(value)), literal(like_of(value)))
        moment = _moment_of(value)
        if moment is None:
            return false()
        return self.said.between(micros(moment), micros(moment) + _SECOND_MICROS - 1)

    def keys(self) -> Sequence[Key]:
        return [self.said // _SECOND_MICROS]


def _moment_of(text: str) -> datetime | None:
    """None for whatever is not spelled as moments are on the wire."""
    try:
        moment = datetime.strptime(text, _MOMENT).replace(tzinfo=UTC)
    except ValueError:
        return None
    return moment if moment.isoformat(timespec="seconds").replace("+00:00", "Z") == text else None


@dataclass(frozen=True, slots=True)
class Inside:
    """Something in a JSON document, whatever it is. `places` are those it may have; in one document it has one.

    `text` is the document as text, `piece` what it holds wherever it holds the member: most documents are passed over
    without being parsed.
    """

    places: Sequence[Place]
    text: ColumnElement[Any] | None = None
    piece: str = ""

    def equals(self, value: Value) -> Condition:
        found = or_(*(_held(place, value) for place in self.places))
        piece = (longest_piece(value) if isinstance(value, str) else "") or self.piece
        if self.text is None or not piece:
            return found
        return case((mentions(self.text, literal(piece)), found), else_=false())

    def keys(self) -> Sequence[Key]:
        return [
            _first([sort(*place.clauses()) for place in self.places]) for sort in (sort_rank, sort_number, sort_text)
        ]


def _held(place: Place, value: Value) -> Condition:
    as_json = literal(json.dumps(value))
    if isinstance(value, bool):
        return has_flag(*place.clauses(as_json, as_json))
    if isinstance(value, int | float):
        other = float(value) if isinstance(value, int) else int(value)
        spelled = literal(json.dumps(other if other == value else value))
        return has_number(*place.clauses(literal(value), as_json, spelled))
    if is_pattern(value):
        return has_match(*place.clauses(literal(glob_of(value)), literal(like_of(value))))
    return has_text(*place.clauses(literal(value), as_json))


def _first(keys: Sequence[Key]) -> Key:
    """The one that is not NULL, if any is."""
    *others, last = keys
    return case(*((key.is_not(None), key) for key in others), else_=last) if others else last


def leaf(member: Member) -> Node:
    def follow(rest: Pointer) -> Member:
        if rest:
            raise PointerUnsearchable("has nothing inside it")
        return member

    return follow


def members(named: Mapping[str, Node]) -> Node:
    """An object whose members are known."""

    def follow(rest: Pointer) -> Member:
        if not rest:
            raise PointerUnsearchable(f"is an object; name one of {', '.join(named)} in it")
        if rest[0] not in named:
            raise PointerUnsearchable(f"there is no {rest[0]!r} that can be searched, only {', '.join(named)}")
        return named[rest[0]](rest[1:])

    return follow


def names(column: ColumnElement[Any], *begin: str) -> Node:
    """A JSON array of texts, in a column of its own or at the steps: any of them, or one by its index."""

    def follow(rest: Pointer) -> Member:
        if len(rest) > 1 or (rest and not INDEX.fullmatch(rest[0])):
            raise PointerUnsearchable("is an array of texts; nothing but an index may follow")
        return Inside([Place(document(column), (*begin, *map(int, rest)))], column)

    return follow


def stored(column: ColumnElement[Any], *steps: str | int) -> Node:
    """A text, number or truth value in a column of JSON."""
    return leaf(Inside([Place(document(column), steps)], column))


def stored_in(value: ColumnElement[Any], *steps: str | int) -> Node:
    """The same in an entry of an array."""
    return leaf(Inside([Place(value, steps)]))


def free(column: ColumnElement[Any], *begin: str | int) -> Node:
    """An object whose members nobody here knows: a column of JSON, or what is there at the steps."""

    def follow(rest: Pointer) -> Member:
        awkward = any("\\" in word or '"' in word for word in rest)
        return _inside(respelled_document(column) if awkward else document(column), begin, rest, column)

    return follow


def free_in(value: ColumnElement[Any], *begin: str | int) -> Node:
    """The same in an entry of an array."""

    def follow(rest: Pointer) -> Member:
        return _inside(value, begin, rest)

    return follow


def _inside(whole: ColumnElement[Any], begin: Steps, rest: Pointer, text: ColumnElement[Any] | None = None) -> Inside:
    if not rest:
        raise PointerUnsearchable("is an object; name a member in it")
    first, *others = rest  # in an object, so the first word is a name
    choices: list[Steps] = [(first,), *((word, int(word)) if INDEX.fullmatch(word) else (word,) for word in others)]
    if sum(len(choice) - 1 for choice in choices) > INDEXES_MAX:
        raise PointerUnsearchable(f"more than {INDEXES_MAX} of its words are numbers")
    named = [word for word, choice in zip(rest, choices, strict=True) if len(choice) == 1]
    return Inside([Place(whole, (*begin, *steps)) for steps in product(*choices)], text, json.dumps(named[-1]) + ":")
