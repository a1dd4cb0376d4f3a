"""The query parameters of our own operations, each given once, known and within its rule, or refused."""

import re
from collections.abc import Sequence
from datetime import datetime
from typing import Annotated

from msgspec import Meta

from dialects.hono.errors import BodyInvalid
from dialects.hono.shapes.values import moment_of
from kernel.exchange import Exchange, Parameter
from management.errors import QueryInvalid

PAGE_SIZE_MAX = 200
PAGE_SIZE_DEFAULT = 50
TEXT_MAX_CHARS = 512

PAGE_SIZE = Parameter(
    name="pageSize",
    type=Annotated[int, Meta(ge=1, le=PAGE_SIZE_MAX)],
    says=f"How many to answer with at most; {PAGE_SIZE_DEFAULT} unless given.",
)
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
        found = self.text(name) or choices[0]
        if found not in choices:
            raise QueryInvalid(f"{name}: is {' or '.join(choices)}")
        return found

    def moment(self, name: str) -> datetime | None:
        found = self.text(name)
        try:
            return None if found is None else moment_of(found, name)
        except BodyInvalid as fault:
            raise QueryInvalid(str(fault)) from fault

    def page_size(self) -> int:
        found = self.text(PAGE_SIZE.name)
        if found is None:
            return PAGE_SIZE_DEFAULT
        size = int(found) if _DIGITS.fullmatch(found) else 0
        if not 1 <= size <= PAGE_SIZE_MAX:
            raise QueryInvalid(f"pageSize: a number from 1 to {PAGE_SIZE_MAX}")
        return size
