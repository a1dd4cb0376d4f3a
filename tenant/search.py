"""What a search asks for, and a page of what it finds (hono-registry 1.5).

One question for tenants and devices alike. Members are addressed as in the JSON an operator reads: the first word
of a pointer is a member of the document (`enabled`, `ext`, `via`, `status`, …), what follows goes into it. Whether a
member can be looked into is the store's to say; what no store can look for is refused here.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Generic, TypeVar

from tenant.errors import PointerUnsearchable, SearchInvalid

Found = TypeVar("Found")

Pointer = tuple[str, ...]  # the words of a JSON pointer, unescaped, at least one; ("id",) is the thing's own id
Value = bool | int | float | str

PAGE_SIZE_DEFAULT = 30
PAGE_SIZE_MAX = 200
PAGE_OFFSET_MAX = 2**31 - 1
FILTERS_MAX = 16
SORTS_MAX = 8
POINTER_WORDS_MAX = 32
POINTER_MAX_CHARS = 512
VALUE_MAX_CHARS = 1024
WHOLE_MIN, WHOLE_MAX = -(2**63), 2**63 - 1


@dataclass(frozen=True, slots=True, kw_only=True)
class Filter:
    """The member equals the value. In text `*` stands for any characters, `?` for exactly one, all else for itself.

    Raises PointerUnsearchable, SearchInvalid.
    """

    pointer: Pointer
    value: Value

    def __post_init__(self) -> None:
        _check_pointer(self.pointer)
        value = self.value
        if isinstance(value, str) and (len(value) > VALUE_MAX_CHARS or not _is_clean(value)):
            raise SearchInvalid(f"value may have up to {VALUE_MAX_CHARS} characters, and no U+0000")
        if isinstance(value, int) and not WHOLE_MIN <= value <= WHOLE_MAX:
            raise SearchInvalid("value, a whole number, must fit into 64 bits with its sign")
        if isinstance(value, float) and not math.isfinite(value):
            raise SearchInvalid("value must be finite")


@dataclass(frozen=True, slots=True, kw_only=True)
class Sort:
    """By a member; things without it come first when ascending, last when descending."""

    pointer: Pointer
    descending: bool = False

    def __post_init__(self) -> None:
        _check_pointer(self.pointer)


@dataclass(frozen=True, slots=True, kw_only=True)
class Query:
    """Which things, in which order, and which page of them. All filters must hold. Raises SearchInvalid."""

    filters: Sequence[Filter] = ()
    sorts: Sequence[Sort] = ()  # then by id
    page_size: int = PAGE_SIZE_DEFAULT
    page_offset: int = 0  # in pages
    is_gateway: bool | None = None  # devices only
    tenants: frozenset[str] | None = None  # tenants only: those the caller may know of; None: all

    def __post_init__(self) -> None:
        for name, number, most in (("filters", len(self.filters), FILTERS_MAX), ("sorts", len(self.sorts), SORTS_MAX)):
            if number > most:
                raise SearchInvalid(f"there may be at most {most} {name}")
        if not 1 <= self.page_size <= PAGE_SIZE_MAX or not 0 <= self.page_offset <= PAGE_OFFSET_MAX:
            raise SearchInvalid(f"a page has 1 to {PAGE_SIZE_MAX} things, and the last one is page {PAGE_OFFSET_MAX}")


@dataclass(frozen=True, slots=True, kw_only=True)
class Page(Generic[Found]):
    """One page, and how many there are on all pages."""

    total: int
    found: Sequence[Found]


def _check_pointer(pointer: Pointer) -> None:
    if not 1 <= len(pointer) <= POINTER_WORDS_MAX or sum(map(len, pointer)) > POINTER_MAX_CHARS:
        raise PointerUnsearchable(f"a pointer has 1 to {POINTER_WORDS_MAX} words of {POINTER_MAX_CHARS} characters")
    if not all(map(_is_clean, pointer)):
        raise PointerUnsearchable("a pointer holds no U+0000")


def _is_clean(text: str) -> bool:
    """Whether a database can compare it: no U+0000, and nothing that is no character."""
    return "\0" not in text and not any("\ud800" <= character <= "\udfff" for character in text)
