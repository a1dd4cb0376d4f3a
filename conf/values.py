"""One value at a time: from TOML or from the text of an environment variable to what its field holds.

Raises ValueError whose message is the fault in the operator's words, the value in it escaped and cut
short. Rules between settings stand in `conf/coherence.py`.
"""

import math
import re
import warnings
from pathlib import Path
from typing import Any

from conf.setting import Declared, Rule

SHOWN_MAX_CHARS = 60
TEXT_MAX_CHARS = 4096
_BARE_KEY = re.compile(r"[A-Za-z0-9_-]{1,60}")
_CALLED = {bool: "true or false", int: "an integer", float: "a number", str: "a string", Path: "a path in a string"}


def shown(value: object) -> str:
    """The value as a person may read it: on one line, nothing a terminal obeys, of bounded length."""
    text = _spelled(value)
    return text if len(text) <= SHOWN_MAX_CHARS else text[:SHOWN_MAX_CHARS] + "…"


def _spelled(value: object) -> str:
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, int) and value.bit_length() > 8 * SHOWN_MAX_CHARS:
        return "an enormous integer"  # spelling it out takes time that grows with its square
    if isinstance(value, str):
        return ascii(value[: SHOWN_MAX_CHARS + 1])
    if isinstance(value, int | float):
        return str(value)
    return "a table" if isinstance(value, dict) else "an array" if isinstance(value, list) else "a date or time"


def shown_key(key: str) -> str:
    return key if _BARE_KEY.fullmatch(key) else shown(key)


def shown_path(path: Path | str) -> str:
    """A path in full, as it is typed where that is harmless."""
    text = str(path)
    return text if text.isprintable() and text else ascii(text)


def from_toml(value: Any, declared: Declared) -> Any:
    """What the field holds for a value tomllib made."""
    kind = declared.type
    if kind is float and type(value) is int:
        value = _float(value)
    if kind is Path and type(value) is str:
        return _checked(_path(value), declared)
    if type(value) is not kind:
        raise ValueError(f"{shown(value)} is not {_CALLED[kind]}{_because(declared.rule)}")
    return _checked(value, declared)


def from_text(text: str, declared: Declared) -> Any:
    """What the field holds for the text of an environment variable. Empty is unset, where that may be."""
    if text == "" and declared.optional:
        return None
    kind = declared.type
    if kind is bool:
        if text not in {"true", "false"}:
            raise ValueError(f"{shown(text)} is not true or false{_because(declared.rule)}")
        return text == "true"
    if kind is Path:
        return _checked(_path(text), declared)
    if kind is str:
        return _checked(text, declared)
    try:
        text.encode("ascii")  # Python would take any alphabet's digits
        number = int(text) if kind is int else float(text)
    except ValueError:
        raise ValueError(f"{shown(text)} is not {_CALLED[kind]}{_because(declared.rule)}") from None
    return _checked(number, declared)


def _checked(value: Any, declared: Declared) -> Any:
    rule = declared.rule
    fault: str | None = None
    if isinstance(value, str):
        fault = _fault_of_text(value, declared)
    elif isinstance(value, int | float) and not isinstance(value, bool):
        fault = _fault_of_number(value, rule)
    if fault is not None:
        raise ValueError(f"{shown(value)} {fault}{_because(rule)}")
    return value


def _fault_of_text(text: str, declared: Declared) -> str | None:
    choices = declared.rule.choices
    if choices and text not in choices:
        return f"is not {' or '.join(choices)}"
    if len(text) > TEXT_MAX_CHARS:
        return f"is longer than {TEXT_MAX_CHARS} characters"
    if not text.isprintable():
        return "holds a control character"
    if declared.is_pattern:
        return _fault_of_pattern(text)
    if declared.name == "host" and (not text or " " in text):
        return "is no address"
    return None


def _fault_of_pattern(text: str) -> str | None:
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # "possible nested set" is no reason to refuse
            re.compile(text)
    except (re.error, OverflowError, RecursionError) as fault:
        return f"is no regular expression ({fault})"
    return None if text else "matches nothing"


def _fault_of_number(number: float, rule: Rule) -> str | None:
    if isinstance(number, float) and not math.isfinite(number):
        return "is not finite"
    low, high = rule.minimum, rule.maximum
    if (low is None or number >= low) and (high is None or number <= high):
        return None
    if low is not None and high is not None:
        return f"is not between {plain_number(low)} and {plain_number(high)}"
    return f"is less than {plain_number(low)}" if low is not None else f"is more than {plain_number(high or 0)}"


def plain_number(number: float) -> str:
    return str(int(number)) if number == int(number) else str(number)


def _float(number: int) -> float:
    try:
        return float(number)
    except OverflowError:
        return math.inf


def _path(text: str) -> Path:
    if not text or "\0" in text:
        raise ValueError(f"{shown(text)} is no path")
    if len(text) > TEXT_MAX_CHARS:
        raise ValueError(f"{shown(text)} is longer than {TEXT_MAX_CHARS} characters")
    return Path(text)


def _because(rule: Rule) -> str:
    return f" — {rule.says}"
