"""What a search asks for, and a page of what it finds (hono-registry 1.5).

One question for tenants and devices alike. Members are addressed as in the JSON an operator reads: the first word
of a pointer is a member of the document (`enabled`, `ext`, `via`, `status`, …), what follows goes into it.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Generic, TypeVar

Found = TypeVar("Found")

Pointer = tuple[str, ...]  # the words of a JSON pointer, unescaped, at least one; ("id",) is the thing's own id
Value = bool | int | float | str

PAGE_SIZE_DEFAULT = 30
PAGE_SIZE_MAX = 200


@dataclass(frozen=True, slots=True, kw_only=True)
class Filter:
    """The member equals the value. In text `*` stands for any characters, `?` for exactly one, all else for itself."""

    pointer: Pointer
    value: Value


@dataclass(frozen=True, slots=True, kw_only=True)
class Sort:
    """By a member; things without it come first when ascending, last when descending."""

    pointer: Pointer
    descending: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Query:
    """Which things, in which order, and which page of them. All filters must hold."""

    filters: Sequence[Filter] = ()
    sorts: Sequence[Sort] = ()  # then by id
    page_size: int = PAGE_SIZE_DEFAULT
    page_offset: int = 0  # in pages
    is_gateway: bool | None = None  # devices only
    tenants: frozenset[str] | None = None  # tenants only: those the caller may know of; None: all


@dataclass(frozen=True, slots=True, kw_only=True)
class Page(Generic[Found]):
    """One page, and how many there are on all pages."""

    total: int
    found: Sequence[Found]
