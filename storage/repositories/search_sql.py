"""What searching asks of JSON and text in a database, each spelled for SQLite and for PostgreSQL.

Documents are JSON in text columns, in ASCII, written by one encoder (storage/rows.py). A place in a document is given
twice, as SQLite wants it (a path) and as PostgreSQL does (a chain of steps); each database is sent its own. All of it
is bound parameters: nothing that was asked for becomes text of a statement.

U+0000 is what neither database can compare: SQLite ends the text there, PostgreSQL refuses the whole document. It is
read as U+FDD0, which is no character.
"""

import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from sqlalchemy import BigInteger, Boolean, ColumnElement, Integer, Numeric, Text, literal
from sqlalchemy.ext.compiler import compiles
from sqlalchemy.sql.compiler import SQLCompiler
from sqlalchemy.sql.functions import FunctionElement

Steps = tuple[str | int, ...]  # names go into objects, numbers into arrays


@dataclass(frozen=True, slots=True)
class Place:
    """A place in a document."""

    document: ColumnElement[Any]
    steps: Steps

    def clauses(self, *needles: ColumnElement[Any]) -> Sequence[ColumnElement[Any]]:
        """What the constructs below take where they say `*place` and then their needles."""
        path = "$" + "".join(f"[{step}]" if isinstance(step, int) else f".{_path_name(step)}" for step in self.steps)
        return [self.document, literal(path), *needles, *(literal(step) for step in self.steps)]


def _path_name(step: str) -> str:
    """As documents spell it, but without \\" and \\\\: in SQLite a path's name ends at any quotation mark."""
    return json.dumps(step).replace("\\\\", "\\u005c").replace('\\"', "\\u0022")


class _Sql(FunctionElement[Any]):
    """Subclasses say in their docstring what they take, and spell themselves with the arguments said in SQL."""

    def __init_subclass__(cls) -> None:
        super().__init_subclass__()
        cls.inherit_cache = True  # statements are compiled once: all that varies is in the arguments

    def sqlite(self, said: "_Said") -> str:
        raise NotImplementedError

    def postgresql(self, said: "_Said") -> str:
        raise NotImplementedError


class _Said:
    """The arguments of a construct in SQL, each said when it is asked for: what is not asked for is not sent."""

    def __init__(self, element: _Sql, say: Callable[[Any], str]) -> None:
        self._clauses = list(element.clauses)
        self._say = say

    def __getitem__(self, index: int) -> str:
        return self._say(self._clauses[index])

    def reached(self, needles: int) -> str:
        """PostgreSQL's value in the place that the arguments begin with, followed by so many needles."""
        value = f"({self[0]})"
        for step in self._clauses[2 + needles :]:
            if isinstance(step.type, Integer):  # asked of a single value, -> would give that value
                value = (
                    f"(CASE jsonb_typeof({value}) WHEN 'array' THEN {value} -> CAST({self._say(step)} AS integer) END)"
                )
            else:
                value = f"({value} -> CAST({self._say(step)} AS text))"
        return value


@compiles(_Sql)
def _sqlite(element: _Sql, compiler: SQLCompiler, **options: Any) -> str:
    return element.sqlite(_Said(element, lambda clause: compiler.process(clause, **options)))


@compiles(_Sql, "postgresql")
def _postgresql(element: _Sql, compiler: SQLCompiler, **options: Any) -> str:
    return element.postgresql(_Said(element, lambda clause: compiler.process(clause, **options)))


class document(_Sql):
    """(column): the column's JSON, as the constructs below take it."""

    type = Text()

    def sqlite(self, said: _Said) -> str:
        return said[0]

    def postgresql(self, said: _Said) -> str:
        return f"CAST({_without_nul(said[0], find='strpos')} AS jsonb)"


class respelled_document(document):
    """(column): the same for a place whose names hold \\ or ": most documents can be taken as they are."""

    def sqlite(self, said: _Said) -> str:
        return rf"replace(replace({said[0]}, '\\', '\u005c'), '\"', '\u0022')"


def _without_nul(text: str, *, find: str = "instr") -> str:
    """The JSON, and in it no U+0000. First every \\\\ goes, so that a backslash left over escapes what follows it."""
    replaced = rf"replace(replace({text}, '\\', '\u005c'), '\u0000', '\ufdd0')"
    return rf"CASE WHEN {find}({text}, '\u0000') > 0 THEN {replaced} ELSE {text} END"


class mentions(_Sql):
    """(text, piece): whether the piece is somewhere in the text."""

    type = Boolean()

    def sqlite(self, said: _Said) -> str:
        return f"(instr({said[0]}, {said[1]}) > 0)"

    def postgresql(self, said: _Said) -> str:
        return f"(strpos({said[0]}, {said[1]}) > 0)"


class matches(_Sql):
    """(text, the pattern for GLOB, the pattern for LIKE)"""

    type = Boolean()

    def sqlite(self, said: _Said) -> str:
        return f"({said[0]} GLOB {said[1]})"

    def postgresql(self, said: _Said) -> str:
        return rf"({said[0]} LIKE {said[2]} ESCAPE '\')"


class _Holds(_Sql):
    """(*place, needle, the needle as JSON): whether that is there, or an array that has it."""

    type = Boolean()
    kinds: Sequence[str]  # of a value that may be what is looked for, as SQLite calls them
    condition = "{} = {}"  # that such a value meets
    is_text = False

    def sqlite(self, said: _Said) -> str:
        safe = _without_nul(said[0]) if self.is_text else said[0]
        kinds = [kind.format(said[2]) for kind in self.kinds]
        here = self.condition.format(f"json_extract({safe}, {said[1]})", said[2])
        entry = self.condition.format("held.value", said[2])
        return (
            f"CASE json_type({said[0]}, {said[1]}) {' '.join(f'WHEN {kind} THEN {here}' for kind in kinds)}"
            f" WHEN 'array' THEN EXISTS (SELECT 1 FROM json_each({safe}, {said[1]}) AS held"
            f" WHERE held.type IN ({', '.join(kinds)}) AND {entry}) ELSE 0 END"
        )

    def postgresql(self, said: _Said) -> str:
        return f"coalesce({said.reached(2)} @> CAST({said[3]} AS jsonb), false)"


class has_flag(_Holds):
    """The needle is SQLite's word for a truth value."""

    kinds, condition = ("{}",), "1"


class has_number(_Holds):
    """The number as JSON comes twice, as PostgreSQL counts in decimals: as a whole number and with an exponent."""

    kinds = ("'integer'", "'real'")

    def postgresql(self, said: _Said) -> str:
        value = said.reached(3)
        either = f"{value} @> CAST({said[3]} AS jsonb) OR {value} @> CAST({said[4]} AS jsonb)"
        return f"coalesce({either}, false)"


class has_text(_Holds):
    kinds, is_text = ("'text'",), True


class has_match(_Holds):
    """The needles are the patterns for GLOB and for LIKE."""

    kinds, condition, is_text = ("'text'",), "{} GLOB {}", True

    def postgresql(self, said: _Said) -> str:
        value, like = said.reached(2), rf"LIKE {said[3]} ESCAPE '\'"
        return (
            f"CASE jsonb_typeof({value}) WHEN 'string' THEN ({value} #>> '{{}}') {like} WHEN 'array' THEN"
            f" EXISTS (SELECT 1 FROM jsonb_array_elements({value}) AS held (value)"
            f" WHERE jsonb_typeof(held.value) = 'string' AND (held.value #>> '{{}}') {like}) ELSE false END"
        )


class sort_rank(_Sql):
    """(*place): the first key to sort by: NULL < numbers < texts < false < true < objects and arrays.

    For SQLite the only one: it compares numbers with texts and bytes by itself.
    """

    type = Integer()

    def sqlite(self, said: _Said) -> str:
        text = f"json_extract({_without_nul(said[0])}, {said[1]})"
        return (
            f"CASE json_type({said[0]}, {said[1]}) WHEN 'text' THEN {text} WHEN 'false' THEN x'00' WHEN 'true' THEN"
            f" x'01' WHEN 'object' THEN x'02' WHEN 'array' THEN x'02' ELSE json_extract({said[0]}, {said[1]}) END"
        )

    def postgresql(self, said: _Said) -> str:
        value = said.reached(0)
        return (
            f"CASE jsonb_typeof({value}) WHEN 'number' THEN 1 WHEN 'string' THEN 2 WHEN 'boolean' THEN"
            f" CASE WHEN {value} = CAST('true' AS jsonb) THEN 4 ELSE 3 END WHEN 'object' THEN 5 WHEN 'array' THEN 5 END"
        )


class sort_number(_Sql):
    """(*place): the second key."""

    type = Numeric()

    def sqlite(self, said: _Said) -> str:
        return "NULL"

    def postgresql(self, said: _Said) -> str:
        value = said.reached(0)
        return f"CASE jsonb_typeof({value}) WHEN 'number' THEN CAST({value} #>> '{{}}' AS numeric) END"


class sort_text(_Sql):
    """(*place): the third key."""

    type = Text()

    def sqlite(self, said: _Said) -> str:
        return "NULL"

    def postgresql(self, said: _Said) -> str:
        value = said.reached(0)
        return f"CASE jsonb_typeof({value}) WHEN 'string' THEN ({value} #>> '{{}}') COLLATE \"C\" END"


class whole_number(_Sql):
    """(*place): a whole number, NULL where there is nothing."""

    type = BigInteger()

    def sqlite(self, said: _Said) -> str:
        return f"json_extract({said[0]}, {said[1]})"

    def postgresql(self, said: _Said) -> str:
        return f"CAST({said.reached(0)} #>> '{{}}' AS bigint)"


class truth(_Sql):
    """(*place): a truth value, NULL where there is nothing."""

    type = Boolean()

    def sqlite(self, said: _Said) -> str:
        return f"json_extract({said[0]}, {said[1]})"

    def postgresql(self, said: _Said) -> str:
        return f"CAST({said.reached(0)} AS boolean)"


class entries(_Sql):
    """(document): a table whose column `value` holds the entries of an array, each a document."""

    type = Text()

    def sqlite(self, said: _Said) -> str:
        return f"json_each({said[0]})"

    def postgresql(self, said: _Said) -> str:
        return f"jsonb_array_elements({said[0]})"


class texts(_Sql):
    """(document): a table whose column `value` holds the texts of an array of texts."""

    type = Text()

    def sqlite(self, said: _Said) -> str:
        return f"json_each({said[0]})"

    def postgresql(self, said: _Said) -> str:
        return f"jsonb_array_elements_text({said[0]})"


class wire_moment(_Sql):
    """(microseconds): the moment as it is on the wire."""

    type = Text()

    def sqlite(self, said: _Said) -> str:
        return f"strftime('%Y-%m-%dT%H:%M:%SZ', {said[0]} / 1000000, 'unixepoch')"

    def postgresql(self, said: _Said) -> str:
        return f"to_char(to_timestamp({said[0]} / 1000000) AT TIME ZONE 'UTC', 'YYYY-MM-DD\"T\"HH24:MI:SS\"Z\"')"


class bytewise(_Sql):
    """(text): ordered by the numbers of its characters, as Python does, whatever language the database speaks."""

    type = Text()

    def sqlite(self, said: _Said) -> str:
        return said[0]

    def postgresql(self, said: _Said) -> str:
        return f'({said[0]} COLLATE "C")'
