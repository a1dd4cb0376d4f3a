"""What the query parameters of a search may be, and what each broken one is told (hono-registry 1.5)."""

import json
from typing import Any

import msgspec
import pytest

from dialects.hono.shapes.search import PageBody, page_body, query_of, search_parameters
from kernel.exchange import Exchange, Need
from tenant.errors import NothingFound, PointerUnsearchable, SearchInvalid
from tenant.search import FILTERS_MAX, POINTER_MAX_CHARS, SORTS_MAX, VALUE_MAX_CHARS, Filter, Page, Query, Sort


class Somebody:
    name, allowed, tenants = "somebody", Need.READ, frozenset({"acme"})


def asked(gateways: bool = True, **query: str | list[str]) -> Query:
    given = {name: [text] if isinstance(text, str) else text for name, text in query.items()}
    return query_of(Exchange(method="GET", path={}, query=given, caller=Somebody()), gateways=gateways)


def a_filter(**members: Any) -> str:
    return json.dumps({"field": "/enabled", "value": True, **members})


def test_without_parameters_the_first_thirty_are_asked_for() -> None:
    assert asked() == Query(filters=[], sorts=[], page_size=30, page_offset=0, tenants=frozenset({"acme"}))


def test_everything_that_may_be_said() -> None:
    query = asked(
        pageSize="200",
        pageOffset="3",
        filterJson=[a_filter(), '{"field":"/ext/a~1b/~01//0","op":"eq","value":"x*"}', a_filter(value=-1.5)],
        sortJson=['{"field":"/id"}', '{"field":"/ext/b","direction":"desc"}', '{"field":"/a","direction":"asc"}'],
        isGateway="True",
    )
    assert query.filters == [
        Filter(pointer=("enabled",), value=True),
        Filter(pointer=("ext", "a/b", "~1", "", "0"), value="x*"),
        Filter(pointer=("enabled",), value=-1.5),
    ]
    assert query.sorts == [
        Sort(pointer=("id",)),
        Sort(pointer=("ext", "b"), descending=True),
        Sort(pointer=("a",)),
    ]
    assert (query.page_size, query.page_offset, query.is_gateway) == (200, 3, True)


@pytest.mark.parametrize(
    ("text", "meant"), [("true", True), ("TRUE", True), ("false", False), ("yes", False), ("1", False), ("", None)]
)
def test_only_true_asks_for_gateways_and_an_empty_text_for_both(text: str, meant: bool | None) -> None:
    assert asked(isGateway=text).is_gateway is meant


@pytest.mark.parametrize("text", ["true", "0", "1", "21", "-9223372036854775808", "9223372036854775807", '"ü"'])
def test_values_keep_their_type(text: str) -> None:
    (found,) = asked(filterJson=f'{{"field":"/ext/x","value":{text}}}').filters
    assert found.value == json.loads(text)
    assert type(found.value) is type(json.loads(text))


@pytest.mark.parametrize("text", ["0", "201", "abc", "-100", "", " 5", "+5", "5.0", "1e1", "٥", "9" * 30, "0x1"])
def test_page_size_is_a_whole_number_from_1_to_200(text: str) -> None:
    with pytest.raises(SearchInvalid, match="^pageSize: must be a whole number from 1 to 200$"):
        asked(pageSize=text)


@pytest.mark.parametrize("text", ["abc", "-100", "", "1.5", "2147483648", "9" * 5000])
def test_page_offset_is_a_whole_number(text: str) -> None:
    with pytest.raises(SearchInvalid, match="^pageOffset: must be a whole number from 0 to 2147483647$"):
        asked(pageOffset=text)


@pytest.mark.parametrize(
    ("text", "rule"),
    [
        ("", "truncated"),
        ("no json", "malformed"),
        ("[]", "Expected `object`"),
        ("null", "Expected `object`"),
        ("{}", "missing required field `field`"),
        ('{"value":1}', "missing required field `field`"),
        ('{"field":"/a"}', "missing required field `value`"),
        (a_filter(value=None), "got `null`"),
        (a_filter(value=[1]), "got `array`"),
        (a_filter(value={}), "got `object`"),
        (a_filter(op="gt"), "'gt'"),
        (a_filter(op=None), "got `null`"),
        (a_filter(extra=1), "unknown field `extra`"),
        (a_filter(field="enabled"), "regex"),
        (a_filter(field=""), "regex"),
        (a_filter(field=5), "got `int`"),
        (a_filter(field="/ext/~2"), "~ must be followed by 0 or 1"),
        (a_filter(field="/ext/~"), "~ must be followed by 0 or 1"),
        (a_filter(field="/" + "a" * POINTER_MAX_CHARS), f"length <= {POINTER_MAX_CHARS}"),
        (a_filter(value="a" * (VALUE_MAX_CHARS + 1)), f"up to {VALUE_MAX_CHARS} characters"),
        (a_filter(value="a\0b"), "no U\\+0000"),
        (a_filter(value=2**63), "64 bits"),
        (a_filter(value=-(2**64)), "64 bits"),
        ('{"field":"/a","value":1e400}', "out of range"),
        ('{"field":"/a","value":NaN}', "malformed"),
        ('{"field":"/a","value":' + "[" * 5000, "got `array`"),
        ('{"field":"/a","value":"\\ud800"}', "truncated"),
        ('{"field":"/a","value":"\ud800"}', "surrogates not allowed"),
    ],
)
def test_a_broken_filter_is_told_its_rule(text: str, rule: str) -> None:
    with pytest.raises(SearchInvalid, match=f"^filterJson: .*{rule}"):
        asked(filterJson=[a_filter(), text])


@pytest.mark.parametrize(
    ("text", "rule"),
    [
        ("no json", "malformed"),
        ("{}", "missing required field `field`"),
        ('{"field":"/a","direction":"up"}', "'up'"),
        ('{"field":"/a","value":1}', "unknown field `value`"),
        ('{"field":"a"}', "regex"),
        ('{"field":"/~"}', "~ must be followed by 0 or 1"),
    ],
)
def test_a_broken_sort_is_told_its_rule(text: str, rule: str) -> None:
    with pytest.raises(SearchInvalid, match=f"^sortJson: .*{rule}"):
        asked(sortJson=text)


@pytest.mark.parametrize("pointer", ["/ext" + "/a" * 40, "/ext/a\0b"])
def test_a_pointer_nobody_can_follow_is_refused(pointer: str) -> None:
    with pytest.raises(PointerUnsearchable, match="^filterJson: a pointer "):
        asked(filterJson=a_filter(field=pointer))


def test_parameters_are_bounded_in_number() -> None:
    with pytest.raises(SearchInvalid, match="filterJson: may be given at most"):
        asked(filterJson=[a_filter()] * (FILTERS_MAX + 1))
    with pytest.raises(SearchInvalid, match="sortJson: may be given at most"):
        asked(sortJson=['{"field":"/id"}'] * (SORTS_MAX + 1))
    with pytest.raises(SearchInvalid, match="pageSize: may be given once"):
        asked(pageSize=["1", "2"])


@pytest.mark.parametrize("name", ["filterjson", "filter", "page_size", "x" * 9000])
def test_a_parameter_nobody_knows_is_refused(name: str) -> None:
    with pytest.raises(SearchInvalid, match="a search takes only pageSize, pageOffset, filterJson, sortJson"):
        query_of(Exchange(method="GET", path={}, query={name: ["1"]}), gateways=True)


def test_tenants_are_no_gateways() -> None:
    with pytest.raises(SearchInvalid, match="^isGateway: a search takes only"):
        asked(gateways=False, isGateway="true")
    assert "isGateway" not in [parameter.name for parameter in search_parameters(gateways=False)]


def test_a_page_is_sent_with_its_total_and_an_empty_search_is_not_found() -> None:
    body = page_body(Page(total=7, found=[1, 2]), str)
    assert msgspec.json.encode(body) == b'{"total":7,"result":["1","2"]}'
    assert msgspec.json.encode(page_body(Page(total=7, found=list[int]()), str)) == b'{"total":7,"result":[]}'
    with pytest.raises(NothingFound):
        page_body(Page(total=0, found=list[int]()), str)


def test_a_page_can_be_described() -> None:
    assert "total" in json.dumps(msgspec.json.schema(PageBody[Filter]))
