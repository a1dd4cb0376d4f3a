"""What options make of a request (RFC 7252 5.4, 5.10)."""

import pytest

from adapters.coap.wire.numbers import (
    ACCEPT,
    BLOCK1,
    BLOCK2,
    CONTENT_FORMAT,
    PROXY_SCHEME,
    PROXY_URI,
    SIZE1,
    URI_HOST,
    URI_PATH,
    URI_PORT,
    URI_QUERY,
    spelled,
)
from adapters.coap.wire.request import Answer, Asked, Block, read_options, text_answer


def asked(*options: tuple[int, bytes]) -> Asked:
    outcome = read_options(options)
    assert isinstance(outcome, Asked)
    return outcome


def refused(*options: tuple[int, bytes]) -> str:
    outcome = read_options(options)
    assert isinstance(outcome, Answer)
    return spelled(outcome.code)


def test_path_and_query_keep_every_segment_in_order_and_the_empty_ones() -> None:
    request = asked(
        (URI_PATH, b"t"), (URI_PATH, b""), (URI_PATH, "gerät".encode()), (URI_QUERY, b"a=1"), (URI_QUERY, b"")
    )
    assert request.path == ("t", "", "gerät")
    assert request.query == ("a=1", "")


def test_a_request_without_options_asks_for_the_root() -> None:
    assert asked() == Asked((), (), None, None, frozenset())


def test_host_port_accept_and_the_first_block_of_the_answer_change_nothing() -> None:
    options = ((URI_HOST, b"gw"), (URI_PORT, b"\x16\x34"), (ACCEPT, b"\x32"), (BLOCK2, b"\x06"))
    assert asked(*options) == Asked((), (), None, None, frozenset())


@pytest.mark.parametrize(("value", "number"), [(b"", 0), (b"\x32", 50), (b"\xff\xff", 65_535)])
def test_the_content_format_is_a_number(value: bytes, number: int) -> None:
    assert asked((CONTENT_FORMAT, value)).content_format == number


def test_an_overlong_content_format_counts_as_none() -> None:
    assert asked((CONTENT_FORMAT, b"\x00\x00\x32")).content_format is None


def test_of_two_content_formats_the_first_counts() -> None:
    assert asked((CONTENT_FORMAT, b"\x32"), (CONTENT_FORMAT, b"")).content_format == 50


def test_unknown_elective_options_are_noted_and_no_more() -> None:
    assert asked((6, b""), (SIZE1, b"\x01"), (65_000, b"whatever")).elective == {6, SIZE1, 65_000}


@pytest.mark.parametrize("number", [PROXY_URI, PROXY_SCHEME])
def test_proxying_is_not_supported(number: int) -> None:
    assert refused((number, b"coap")) == "5.05"


@pytest.mark.parametrize(
    "options",
    [
        [(1, b"etag")],
        [(9, b"")],
        [(19, b"\x08")],
        [(65_001, b"")],
        [(URI_HOST, b"")],
        [(URI_HOST, b"h"), (URI_HOST, b"h")],
        [(URI_PORT, b"\x01\x02\x03")],
        [(URI_PATH, b"x" * 256)],
        [(URI_PATH, b".")],
        [(URI_PATH, b"..")],
        [(URI_PATH, b"\xff\xfe")],
        [(URI_QUERY, b"\xc3\x28")],
        [(BLOCK1, b"\x00\x00\x00\x00")],
        [(BLOCK1, b""), (BLOCK1, b"")],
    ],
)
def test_a_critical_option_that_is_unknown_or_out_of_form_is_a_bad_option(options: list[tuple[int, bytes]]) -> None:
    assert refused(*options) == "4.02"


def test_the_reserved_block_size_is_a_bad_request() -> None:
    assert refused((BLOCK1, b"\x07")) == "4.00"


def test_a_later_block_of_an_answer_that_has_one_only_is_a_bad_request() -> None:
    assert refused((BLOCK2, b"\x16")) == "4.00"


@pytest.mark.parametrize("block", [Block(0, False, 0), Block(2, True, 2), Block(1_048_575, True, 6)])
def test_a_block_is_read_as_it_is_written(block: Block) -> None:
    assert asked((BLOCK1, block.rendered())).block1 == block


def test_an_option_joins_an_answer_in_its_place_and_behind_its_equals() -> None:
    answer = Answer(0x44, ((8, b"b"), (8, b"a"), (60, b""))).with_option(27, b"x").with_option(8, b"0")
    assert answer.options == ((8, b"b"), (8, b"a"), (8, b"0"), (27, b"x"), (60, b""))


def test_a_text_answer_is_plain_text() -> None:
    assert text_answer(0x80, "no") == Answer(0x80, ((CONTENT_FORMAT, b""),), b"no")
