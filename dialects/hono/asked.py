"""The query parameters of operations of our own: each known, given once and within its rule, or refused."""

import re
from collections.abc import Sequence
from datetime import datetime

from dialects.hono.errors import BodyInvalid, QueryInvalid
from dialects.hono.shapes.values import moment_of
from kernel.exchange import Exchange, Parameter

TEXT_MAX_CHARS = 512
_DIGITS = re.compile("[0-9]{1,9}")


class Asked:
    """What a request asks for. Every reader raises QueryInvalid."""

    def __init__(self, exchange: Exchange, parameters: Sequence[Parameter]) -> None:
        self._given = exchange.query
        known = [parameter.name for parameter in parameters]
        for name, values in self._given.items():
            if name not in known:
                raise QueryInvalid(f"there is no parameter {name[:80]!r} here; there are {', '.join(known) or 'none'}")
            if len(values) > 1:
                raise QueryInvalid(f"{name}: may be given once")

    def text(self, name: str) -> str | None:
        """None where it is absent or empty."""
        found = next(iter(self._given.get(name, ())), "")
        if len(found) > TEXT_MAX_CHARS or not found.isprintable():
            raise QueryInvalid(f"{name}: at most {TEXT_MAX_CHARS} printable characters")
        return found or None

    def choice(self, name: str, choices: Sequence[str]) -> str:
        """The first where it is absent."""
        found = self._value(name)
        if found is None:
            return choices[0]
        if found not in choices:
            raise QueryInvalid(f"{name}: is {' or '.join(choices)}")
        return found

    def _value(self, name: str) -> str | None:
        """None where it is absent; an empty one breaks its rule like any other."""
        return "" if name in self._given and not self._given[name][0] else self.text(name)

    def moment(self, name: str) -> datetime | None:
        found = self._value(name)
        if found == "":
            raise QueryInvalid(f"{name}: is empty")
        try:
            return None if found is None else moment_of(found, name)
        except BodyInvalid as fault:
            raise QueryInvalid(str(fault)) from fault

    def whole(self, name: str, *, default: int, most: int) -> int:
        """From 1 on."""
        found = self._value(name)
        if found is None:
            return default
        number = int(found) if _DIGITS.fullmatch(found) else 0
        if not 1 <= number <= most:
            raise QueryInvalid(f"{name}: is a whole number from 1 to {most}")
        return number
