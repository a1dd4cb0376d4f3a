"""What every body of the management API is made of: JSON, times and Base64, read strictly and written one way.

A body that is refused names the member, as a path (`trusted-ca[1].public-key`), and the rule it breaks. Everything
here raises BodyInvalid and nothing else, whatever the bytes.
"""

import base64
import binascii
import json
import math
import re
from datetime import UTC, datetime, timedelta, timezone
from typing import Annotated, Any, TypeVar

import msgspec
from msgspec import Meta

from dialects.hono.errors import BodyInvalid as BodyInvalid
from dialects.hono.shapes.faults import CONTROL_FREE as CONTROL_FREE
from dialects.hono.shapes.faults import shortened, shown, translated

DEPTH_MAX = 64  # arrays and objects inside each other
INTEGER_MAX = 2**63 - 1

Shape = TypeVar("Shape")
Json = dict[str, Any]

Timestamp = Annotated[
    str,
    Meta(
        description="RFC 3339 with an offset; read as UTC in seconds. The empty string is as good as none.",
        examples=["2026-01-31T12:00:00Z"],
        extra_json_schema={"format": "date-time"},
    ),
]
Base64 = Annotated[
    str,
    Meta(
        min_length=1,
        description="Standard Base64 with padding.",
        extra_json_schema={"pattern": "^[A-Za-z0-9+/]+={0,2}$", "contentEncoding": "base64"},
    ),
]


def decode(shape: type[Shape], body: bytes) -> Shape:
    """A body in the shape its operation wants. Raises BodyInvalid."""
    return shaped(shape, parse_json(body))


def shaped(shape: type[Shape], value: Any) -> Shape:
    """A value out of `parse_json` in a shape. Raises BodyInvalid."""
    try:
        return msgspec.convert(value, type=shape)
    except msgspec.ValidationError as fault:
        raise translated(shape, str(fault)) from fault


def parse_json(body: bytes) -> Any:
    """Any JSON. Refuses what two readers could take in two ways, or a database could not keep. Raises BodyInvalid."""
    try:
        text = body.decode()
        value = json.loads(
            text,
            object_pairs_hook=_object,
            parse_int=_integer,
            parse_float=_number,
            parse_constant=_constant,
        )
    except UnicodeDecodeError as fault:
        raise BodyInvalid("", f"is not UTF-8 at byte {fault.start}") from fault
    except json.JSONDecodeError as fault:
        raise BodyInvalid(
            "", f"is not JSON: {fault.msg.lower()} at line {fault.lineno}, column {fault.colno}"
        ) from fault
    except RecursionError as fault:
        raise _too_deep() from fault
    if text.count("[") + text.count("{") > DEPTH_MAX or _ODD_ESCAPE.search(text):
        _check(value)
    return value


def moment_of(text: str, member: str) -> datetime | None:
    """A time as RFC 3339 spells it, in UTC; None for the empty string. Raises BodyInvalid."""
    if not text:
        return None
    found = _TIMESTAMP.fullmatch(text)
    if found is None:
        raise BodyInvalid(member, "must be a time such as 2026-01-31T12:00:00Z or 2026-01-31T13:00:00+01:00")
    year, month, day, hour, minute, second, fraction, sign, offset_hour, offset_minute = found.groups()
    offset = timedelta(hours=int(offset_hour or 0), minutes=int(offset_minute or 0))
    try:
        if int(offset_minute or 0) > 59:
            raise ValueError("an offset has at most 59 minutes")
        return datetime(
            int(year),
            int(month),
            int(day),
            int(hour),
            int(minute),
            int(second),
            int((fraction or "").ljust(6, "0")[:6]),
            tzinfo=timezone(-offset if sign == "-" else offset),
        ).astimezone(UTC)
    except (ValueError, OverflowError) as fault:
        raise BodyInvalid(member, f"names no time there is: {shown(text)}") from fault


def moment_text(moment: datetime) -> str:
    """UTC, in whole seconds, a fraction dropped."""
    return moment.astimezone(UTC).replace(microsecond=0, tzinfo=None).isoformat() + "Z"


def der_of(text: str, member: str) -> bytes:
    """The bytes of standard Base64 with padding. Raises BodyInvalid."""
    try:
        octets = binascii.a2b_base64(text, strict_mode=True)
    except ValueError as fault:
        raise BodyInvalid(member, "must be standard Base64 with padding") from fault
    if not octets or base64_text(octets) != text:
        raise BodyInvalid(member, "must be standard Base64 with padding")
    return octets


def base64_text(octets: bytes) -> str:
    """Standard Base64 with padding."""
    return base64.b64encode(octets).decode()


_TIMESTAMP = re.compile(
    r"(\d{4})-(\d{2})-(\d{2})[Tt](\d{2}):(\d{2}):(\d{2})(?:\.(\d{1,9}))?(?:[Zz]|([+-])(\d{2}):(\d{2}))", re.ASCII
)
_ODD_ESCAPE = re.compile(r"\\u(?:0000|[dD][89a-fA-F])")  # NUL, or half a character until the other half is seen


def _object(pairs: list[tuple[str, Any]]) -> Json:
    members = dict(pairs)
    if len(members) != len(pairs):
        seen: set[str] = set()
        twice = next(name for name, _ in pairs if name in seen or seen.add(name))  # type: ignore[func-returns-value]
        raise BodyInvalid("", f"names the member {shown(twice)} twice in one object")
    return members


def _integer(digits: str) -> int:
    if len(digits) > 20 or not -INTEGER_MAX - 1 <= int(digits) <= INTEGER_MAX:
        raise BodyInvalid("", f"holds an integer beyond 64 bits: {shown(digits)}")
    return int(digits)


def _number(digits: str) -> float:
    number = float(digits)
    if math.isinf(number):
        raise BodyInvalid("", f"holds a number that is too large: {shown(digits)}")
    return number


def _constant(word: str) -> float:
    raise BodyInvalid("", f"is not JSON: {word} is no number there")


def _check(value: Any) -> None:
    """Raises BodyInvalid for half characters, NUL, and too deep a nesting."""
    waiting: list[tuple[Any, str, int]] = [(value, "", 1)]
    while waiting:
        entry, path, depth = waiting.pop()
        if isinstance(entry, str):
            _check_text(entry, path)
        elif isinstance(entry, dict | list) and depth > DEPTH_MAX:
            raise _too_deep()
        elif isinstance(entry, dict):
            for name, member in entry.items():
                _check_text(name, path)
                waiting.append((member, f"{path}.{name}" if path else name, depth + 1))
        elif isinstance(entry, list):
            waiting.extend((member, f"{path}[{place}]", depth + 1) for place, member in enumerate(entry))


def _check_text(text: str, path: str) -> None:
    if "\0" in text:
        raise BodyInvalid(shortened(path), "holds a NUL")
    if any("\ud800" <= character <= "\udfff" for character in text):
        raise BodyInvalid(shortened(path), "holds half of a surrogate pair")


def _too_deep() -> BodyInvalid:
    return BodyInvalid("", f"holds arrays and objects more than {DEPTH_MAX} deep")
