"""What msgspec says of a value that does not fit, in the words an operator reads: the member, and its rule."""

import json
import re
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import msgspec

from dialects.hono.errors import BodyInvalid

CONTROL_FREE = r"^[^\x00-\x1f\x7f-\x9f]*$(?!\n)"  # `$` alone would let a last line feed through
SHOWN_MAX_CHARS = 100  # of what somebody sent, in what we say of it

_KINDS = {"bool": "a boolean", "int": "an integer", "float": "a number", "str": "a string", "array": "an array"} | {
    "object": "an object",
    "null": "null",
}
_EXPECTED = re.compile(
    r"Expected `([a-z |]+)`(?: (of length )?(<=|>=|==|<|>) (\S+)| matching regex (.*)|, got `(\w+)`)?"
)
_BOUNDS = {"<=": "at most", ">=": "at least", "==": "exactly", "<": "less than", ">": "more than"}


def shown(text: str) -> str:
    """What somebody sent, as we repeat it."""
    return json.dumps(shortened(text))


def shortened(text: str) -> str:
    return text if len(text) <= SHOWN_MAX_CHARS else text[:SHOWN_MAX_CHARS] + "…"


def translated(shape: type[Any], message: str) -> BodyInvalid:
    """The fault msgspec found in a value for that shape."""
    says, _, place = message.rpartition(" - at `")
    member = _member(place) if says else ""
    says = says or message
    for pattern, rule in _RULES:
        found = pattern.fullmatch(says)
        if found is not None:
            return rule(shape, member, found)
    return BodyInvalid(member, shortened(says[:1].lower() + says[1:]))


def _member(place: str) -> str:
    """`$.a.b[0]` out of msgspec's words for a place, without the dollar; of a key, the object it is in."""
    return place.rpartition("`")[0].rpartition("`")[2].removeprefix("$").removeprefix(".")


def _unknown(shape: type[Any], member: str, found: re.Match[str]) -> BodyInvalid:
    return _in(member, BodyInvalid(shortened(found[1]), "there is no such member here"))


def _missing(shape: type[Any], member: str, found: re.Match[str]) -> BodyInvalid:
    return _in(member, BodyInvalid(found[1], "is required"))


def _in(member: str, fault: BodyInvalid) -> BodyInvalid:
    return fault.within(member) if member else fault


def _expected(shape: type[Any], member: str, found: re.Match[str]) -> BodyInvalid:
    kinds = " or ".join(_KINDS.get(kind, kind) for kind in found[1].split(" | "))
    if found[2]:
        unit = "characters" if found[1] == "str" else "entries"
        return BodyInvalid(member, f"must have {_BOUNDS[found[3]]} {found[4]} {unit}")
    if found[3]:
        return BodyInvalid(member, f"must be {kinds} of {_BOUNDS[found[3]]} {found[4].removesuffix('.0')}")
    if found[5]:
        rule = "hold no control characters" if found[5] == repr(CONTROL_FREE) else f"match {found[5]}"
        return BodyInvalid(member, f"must {rule}")
    got = f", not {_KINDS.get(found[6], found[6])}" if found[6] else ""
    return BodyInvalid(member, f"must be {kinds}{got}")


def _not_allowed(shape: type[Any], member: str, found: re.Match[str]) -> BodyInvalid:
    allowed = _allowed(msgspec.inspect.type_info(shape), member)
    wanted = f"must be one of {', '.join(map(json.dumps, allowed))}" if allowed else "is not one of the values allowed"
    return BodyInvalid(member, wanted)


_Rule = Callable[[type[Any], str, re.Match[str]], BodyInvalid]
_RULES: Sequence[tuple[re.Pattern[str], _Rule]] = (
    (re.compile(r"Object contains unknown field `(.*)`", re.DOTALL), _unknown),
    (re.compile(r"Object missing required field `(.*)`"), _missing),
    (re.compile(r"Invalid enum value .*", re.DOTALL), _not_allowed),
    (_EXPECTED, _expected),
)


def _allowed(kind: Any, member: str) -> Sequence[Any]:
    """The values a member may have, where they are listed."""
    for word in re.findall(r"\[[^\]]*\]|[^.\[]+", member):
        kind = _inner(kind, word)
    found = next((one for one in _alternatives(kind) if isinstance(one, msgspec.inspect.LiteralType)), None)
    return () if found is None else found.values


def _alternatives(kind: Any) -> Sequence[Any]:
    if isinstance(kind, msgspec.inspect.Metadata):
        return _alternatives(kind.type)
    if isinstance(kind, msgspec.inspect.UnionType):
        return [inner for one in kind.types for inner in _alternatives(one)]
    return (kind,)


def _inner(kind: Any, word: str) -> Any:
    for one in _alternatives(kind):
        if word.startswith("["):
            inner = getattr(one, "item_type", None) or getattr(one, "value_type", None)
            if inner is not None:
                return inner
        fields: Mapping[str, Any] = {field.encode_name: field.type for field in getattr(one, "fields", ())}
        if word in fields:
            return fields[word]
    return kind
