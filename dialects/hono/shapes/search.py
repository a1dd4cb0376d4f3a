"""The query parameters of a search, and the page it answers with (hono-registry 1.5).

Every parameter is checked here: one that is unknown, is given twice or breaks its rule is refused, and never left out
of the search. Whether a member can be looked into is the store's to say.
"""

import re
from collections.abc import Callable, Mapping, Sequence
from typing import Annotated, Generic, Literal, TypeVar

import msgspec

from kernel.exchange import Exchange, Parameter
from tenant.errors import NothingFound, PointerUnsearchable, SearchInvalid
from tenant.search import (
    FILTERS_MAX,
    PAGE_OFFSET_MAX,
    PAGE_SIZE_DEFAULT,
    PAGE_SIZE_MAX,
    POINTER_MAX_CHARS,
    SORTS_MAX,
    Filter,
    Found,
    Page,
    Pointer,
    Query,
    Sort,
)

Entry = TypeVar("Entry")
Shape = TypeVar("Shape", bound=msgspec.Struct)
Made = TypeVar("Made")

_DIGITS = re.compile("[0-9]{1,19}")
_BAD_ESCAPE = re.compile("~(?![01])")

FieldPointer = Annotated[
    str,
    msgspec.Meta(
        pattern="^/",
        max_length=POINTER_MAX_CHARS,
        description="JSON pointer to a member of the document; /id is the id of the tenant or device",
        examples=["/enabled", "/ext/brand", "/id"],
    ),
]
FilterValue = Annotated[
    bool | int | float | str,
    msgspec.Meta(
        description="What the member equals. In text * stands for any characters and ? for exactly one",
        examples=[True, 21, "plant-*"],
    ),
]


class FilterJson(msgspec.Struct, forbid_unknown_fields=True):
    """A condition that everything found meets."""

    field: FieldPointer
    value: FilterValue
    op: Literal["eq"] = "eq"


class SortJson(msgspec.Struct, forbid_unknown_fields=True):
    """A member to sort by; what does not have it comes first, descending it comes last."""

    field: FieldPointer
    direction: Literal["asc", "desc"] = "asc"


class PageBody(msgspec.Struct, Generic[Entry]):
    """One page of what was found, and how many there are on all pages."""

    total: int
    result: list[Entry]


_FILTERS = msgspec.json.Decoder(FilterJson)
_SORTS = msgspec.json.Decoder(SortJson)
_FILTER_HINT = 'it is {"field": "/pointer", "op": "eq", "value": true, a number or "text"}, op may be left out'
_SORT_HINT = 'it is {"field": "/pointer", "direction": "asc" or "desc"}, direction may be left out'

_PARAMETERS = (
    Parameter(
        name="pageSize",
        type=Annotated[int, msgspec.Meta(ge=1, le=PAGE_SIZE_MAX)],
        says=f"how many to find at most; {PAGE_SIZE_DEFAULT} unless given",
    ),
    Parameter(
        name="pageOffset",
        type=Annotated[int, msgspec.Meta(ge=0, le=PAGE_OFFSET_MAX)],
        says="which page, counted from 0",
    ),
    Parameter(
        name="filterJson",
        type=str,
        says=f"a condition, as JSON: {_FILTER_HINT}. At most {FILTERS_MAX}; all must hold",
        repeats=True,
    ),
    Parameter(
        name="sortJson",
        type=str,
        says=f"an order, as JSON: {_SORT_HINT}. At most {SORTS_MAX}, the first counts most; then by id",
        repeats=True,
    ),
)
_GATEWAY = Parameter(
    name="isGateway",
    type=str,
    says="true: only devices that are gateways; anything else: only those that are not; empty: both",
)


def search_parameters(*, gateways: bool) -> Sequence[Parameter]:
    """What a search takes, for the API's description. `gateways`: a search of devices."""
    return (*_PARAMETERS, _GATEWAY) if gateways else _PARAMETERS


def query_of(exchange: Exchange, *, gateways: bool) -> Query:
    """What the request asks for, among what its caller may know. `gateways`: a search of devices, takes isGateway.

    Raises SearchInvalid, PointerUnsearchable.
    """
    given = exchange.query
    _check_names(given, [parameter.name for parameter in search_parameters(gateways=gateways)])
    is_gateway = _once(given, "isGateway")
    return Query(
        filters=[_filter(text) for text in _several(given, "filterJson", FILTERS_MAX)],
        sorts=[_sort(text) for text in _several(given, "sortJson", SORTS_MAX)],
        page_size=_whole(given, "pageSize", PAGE_SIZE_DEFAULT, 1, PAGE_SIZE_MAX),
        page_offset=_whole(given, "pageOffset", 0, 0, PAGE_OFFSET_MAX),
        is_gateway=is_gateway.lower() == "true" if is_gateway else None,
        tenants=exchange.caller.tenants if exchange.caller is not None else None,
    )


def page_body(page: Page[Found], render: Callable[[Found], Entry]) -> PageBody[Entry]:
    """The page as it is sent. Raises NothingFound where there is nothing on any page."""
    if page.total == 0:
        raise NothingFound("nothing matches")
    return PageBody(total=page.total, result=[render(found) for found in page.found])


def _check_names(given: Mapping[str, Sequence[str]], known: Sequence[str]) -> None:
    for name in given:
        if name not in known:
            raise SearchInvalid(f"{name[:64]}: a search takes only {', '.join(known)}")


def _once(given: Mapping[str, Sequence[str]], name: str) -> str | None:
    texts = given.get(name, ())
    if len(texts) > 1:
        raise SearchInvalid(f"{name}: may be given once")
    return texts[0] if texts else None


def _several(given: Mapping[str, Sequence[str]], name: str, most: int) -> Sequence[str]:
    texts = given.get(name, ())
    if len(texts) > most:
        raise SearchInvalid(f"{name}: may be given at most {most} times")
    return texts


def _whole(given: Mapping[str, Sequence[str]], name: str, default: int, least: int, most: int) -> int:
    text = _once(given, name)
    if text is None:
        return default
    if not _DIGITS.fullmatch(text) or not least <= int(text) <= most:
        raise SearchInvalid(f"{name}: must be a whole number from {least} to {most}")
    return int(text)


def filter_of(shape: FilterJson) -> Filter:
    """Raises SearchInvalid, PointerUnsearchable."""
    return Filter(pointer=_pointer(shape.field), value=shape.value)


def _filter(text: str) -> Filter:
    shape = _decoded(_FILTERS, text, "filterJson", _FILTER_HINT)
    return _made("filterJson", lambda: filter_of(shape))


def _sort(text: str) -> Sort:
    shape = _decoded(_SORTS, text, "sortJson", _SORT_HINT)
    return _made("sortJson", lambda: Sort(pointer=_pointer(shape.field), descending=shape.direction == "desc"))


def _made(name: str, make: Callable[[], Made]) -> Made:
    try:
        return make()
    except (SearchInvalid, PointerUnsearchable) as fault:
        raise type(fault)(f"{name}: {fault}") from fault


def _decoded(decoder: "msgspec.json.Decoder[Shape]", text: str, name: str, hint: str) -> Shape:
    try:
        return decoder.decode(text)
    except (msgspec.DecodeError, UnicodeEncodeError, RecursionError) as fault:
        raise SearchInvalid(f"{name}: {fault}; {hint}") from fault


def _pointer(text: str) -> Pointer:
    if _BAD_ESCAPE.search(text):
        raise SearchInvalid("in field, ~ must be followed by 0 or 1 (RFC 6901)")
    return tuple(word.replace("~1", "/").replace("~0", "~") for word in text[1:].split("/"))
