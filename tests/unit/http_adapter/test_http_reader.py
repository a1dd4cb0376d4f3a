"""Requests cut out of a byte stream: when they come out, what is refused early, and by when they must be there."""

from functools import partial

import pytest

from adapters.http.wire.chunks import CHUNK_LINE_MAX_BYTES
from adapters.http.wire.faults import BodyTooLarge, ChunkMalformed, HeadTooLarge, LineEndMalformed, RequestMalformed
from adapters.http.wire.head import RequestHead, RequestLimits, parse_head
from adapters.http.wire.reader import RequestReader

HEAD = b"POST /telemetry HTTP/1.1\r\nHost: h\r\nContent-Length: 5\r\n\r\n"
CHUNKED = b"POST /telemetry HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\n\r\n"


def a_reader(
    *, header_max_bytes: int = 8192, headers_max: int = 8, body_max_bytes: int = 2048, now: float = 0
) -> RequestReader[RequestHead]:
    limits = RequestLimits(header_max_bytes=header_max_bytes, headers_max=headers_max, body_max_bytes=body_max_bytes)
    read = partial(parse_head, limits=limits)
    return RequestReader(read=read, limits=limits, request_deadline_s=10, idle_s=75, now=now)


def requests_of(reader: RequestReader[RequestHead]) -> list[tuple[RequestHead, bytes]]:
    found = []
    while (head := reader.next_head()) is not None:
        body = reader.next_body()
        assert body is not None
        found.append((head, body))
    return found


def bodies_of(reader: RequestReader[RequestHead]) -> list[bytes]:
    return [body for _, body in requests_of(reader)]


def test_a_request_comes_out_head_first_and_then_its_body() -> None:
    reader = a_reader()
    reader.feed(HEAD[:20], 0)
    assert reader.next_head() is None
    reader.feed(HEAD[20:] + b"hel", 0)
    head = reader.next_head()
    assert head is not None and head.target == "/telemetry"
    assert reader.next_head() is None
    assert reader.next_body() is None
    reader.feed(b"lo", 0)
    assert reader.next_body() == b"hello"
    assert reader.next_body() is None
    assert reader.next_head() is None


def test_requests_sent_in_one_go_come_out_one_by_one() -> None:
    reader = a_reader()
    reader.feed((HEAD + b"hello") * 3 + HEAD + b"wor", 0)
    for _ in range(3):
        assert reader.next_head() is not None
        assert reader.next_body() == b"hello"
    assert reader.next_head() is not None
    assert reader.next_body() is None
    reader.feed(b"ld", 0)
    assert reader.next_body() == b"world"


def test_a_request_without_a_body_has_an_empty_one() -> None:
    reader = a_reader()
    reader.feed(b"POST / HTTP/1.1\r\nHost: h\r\n\r\n", 0)
    assert bodies_of(reader) == [b""]


def test_a_reader_is_at_rest_between_requests_and_not_behind_a_blank_line() -> None:
    reader = a_reader()
    assert reader.is_at_rest
    reader.feed(HEAD + b"hel", 0)
    assert reader.next_head() is not None and reader.next_body() is None
    assert not reader.is_at_rest
    reader.feed(b"lo\r\n", 0)
    assert reader.next_body() == b"hello" and reader.next_head() is None
    assert not reader.is_mid_request and not reader.is_at_rest
    reader.feed(HEAD + b"world", 0)
    assert bodies_of(reader) == [b"world"]
    assert reader.is_at_rest


def test_one_blank_line_before_a_request_is_ignored() -> None:
    reader = a_reader()
    reader.feed(b"\r\n" + HEAD + b"hello\r\n" + HEAD + b"world\r\n", 0)
    assert bodies_of(reader) == [b"hello", b"world"]
    assert not reader.is_mid_request


@pytest.mark.parametrize("chunks", [[b"\r\n\r\n"], [b"\r\n", b"\r\n"], [b"\r", b"\n\r", b"\n"]])
def test_a_second_blank_line_is_refused_however_it_arrives(chunks: list[bytes]) -> None:
    reader = a_reader()
    with pytest.raises(RequestMalformed):
        for chunk in chunks:
            reader.feed(chunk, 0)
            assert reader.next_head() is None


def test_a_head_of_exactly_the_limit_is_read_and_one_byte_more_is_not() -> None:
    reader = a_reader(header_max_bytes=len(HEAD))
    reader.feed(HEAD + b"hello", 0)
    assert bodies_of(reader) == [b"hello"]
    reader = a_reader(header_max_bytes=len(HEAD) - 1)
    reader.feed(HEAD + b"hello", 0)
    with pytest.raises(HeadTooLarge):
        reader.next_head()


def test_a_head_that_never_ends_is_refused_at_the_limit() -> None:
    reader = a_reader(header_max_bytes=512)
    reader.feed(b"POST /" + b"a" * 506, 0)
    assert reader.next_head() is None
    reader.feed(b"a", 0)
    with pytest.raises(HeadTooLarge):
        reader.next_head()


def test_a_bare_line_end_is_refused_before_the_head_is_complete() -> None:
    reader = a_reader()
    reader.feed(b"POST / HTTP/1.1\r", 0)
    assert reader.next_head() is None
    reader.feed(b"Host: h", 0)
    with pytest.raises(LineEndMalformed):
        reader.next_head()


def test_a_fault_repeats() -> None:
    reader = a_reader()
    reader.feed(b"nonsense\r\n\r\n" + HEAD + b"hello", 0)
    for _ in range(2):
        with pytest.raises(RequestMalformed):
            reader.next_head()
        with pytest.raises(RequestMalformed):
            reader.next_body()


def test_requests_before_a_fault_come_out_first() -> None:
    reader = a_reader()
    reader.feed(HEAD + b"hellononsense\r\n\r\n", 0)
    assert reader.next_head() is not None
    assert reader.next_body() == b"hello"
    with pytest.raises(RequestMalformed):
        reader.next_head()


def test_a_body_too_large_is_refused_before_it_arrives_but_after_its_head() -> None:
    reader = a_reader(body_max_bytes=4)
    reader.feed(HEAD, 0)
    assert reader.next_head() is not None
    for _ in range(2):
        with pytest.raises(BodyTooLarge):
            reader.next_body()


def test_a_body_of_exactly_the_limit_is_taken() -> None:
    reader = a_reader(body_max_bytes=5)
    reader.feed(HEAD + b"hello", 0)
    assert bodies_of(reader) == [b"hello"]


def test_chunks_become_one_body_and_extensions_and_trailers_are_dropped() -> None:
    reader = a_reader()
    reader.feed(CHUNKED + b"3;a=b\r\nhel\r\n02\r\nlo\r\n000\r\nX-Sum: 1\r\nY:\r\n\r\n" + HEAD + b"world", 0)
    assert bodies_of(reader) == [b"hello", b"world"]


def test_a_chunked_body_may_be_empty() -> None:
    reader = a_reader(body_max_bytes=0)
    reader.feed(CHUNKED + b"0\r\n\r\n", 0)
    assert bodies_of(reader) == [b""]


def test_chunks_of_exactly_the_limit_are_taken_and_one_byte_more_is_not() -> None:
    reader = a_reader(body_max_bytes=5)
    reader.feed(CHUNKED + b"3\r\nhel\r\n2\r\nlo\r\n0\r\n\r\n", 0)
    assert bodies_of(reader) == [b"hello"]
    reader = a_reader(body_max_bytes=4)
    reader.feed(CHUNKED + b"3\r\nhel\r\n2\r\n", 0)
    assert reader.next_head() is not None
    with pytest.raises(BodyTooLarge):
        reader.next_body()


def test_more_trailers_than_headers_are_allowed_are_refused() -> None:
    reader = a_reader(headers_max=4)
    reader.feed(CHUNKED + b"0\r\n" + b"X: y\r\n" * 5, 0)
    assert reader.next_head() is not None
    with pytest.raises(ChunkMalformed):
        reader.next_body()


def test_a_chunk_extension_is_bounded_before_it_ends() -> None:
    reader = a_reader()
    reader.feed(CHUNKED + b"5;" + b"a" * CHUNK_LINE_MAX_BYTES, 0)
    assert reader.next_head() is not None
    with pytest.raises(ChunkMalformed):
        reader.next_body()


def test_little_is_held_of_a_chunked_body_whatever_its_framing_weighs() -> None:
    reader = a_reader()
    reader.feed(CHUNKED, 0)
    assert reader.next_head() is not None
    for _ in range(500):
        reader.feed(b"1;" + b"e" * 200 + b"\r\nx\r\n", 0)
        assert reader.next_body() is None
        assert reader.held_bytes <= CHUNK_LINE_MAX_BYTES
    reader.feed(b"0\r\n\r\n", 0)
    assert reader.next_body() == b"x" * 500


def test_a_request_must_be_complete_within_its_deadline_from_the_first_byte() -> None:
    reader = a_reader(now=100)
    assert (reader.is_mid_request, reader.deadline) == (False, 175)
    reader.feed(HEAD[:10], 120)
    assert reader.next_head() is None
    assert (reader.is_mid_request, reader.deadline) == (True, 130)
    reader.feed(HEAD[10:], 125)
    assert reader.next_head() is not None
    assert reader.next_body() is None
    assert reader.deadline == 130
    reader.feed(b"hello", 129)
    assert reader.next_body() == b"hello"
    assert (reader.is_mid_request, reader.deadline) == (False, 204)


def test_the_deadline_of_a_request_begun_behind_another_starts_when_its_bytes_came() -> None:
    reader = a_reader()
    reader.feed(HEAD + b"hel", 10)
    assert reader.next_head() is not None
    assert reader.next_body() is None
    reader.feed(b"lo" + HEAD[:10], 15)
    assert reader.next_body() == b"hello"
    assert (reader.is_mid_request, reader.deadline) == (True, 25)


def test_a_blank_line_alone_does_not_begin_a_request() -> None:
    reader = a_reader()
    reader.feed(b"\r\n", 10)
    assert reader.next_head() is None
    assert (reader.is_mid_request, reader.deadline) == (False, 85)


def test_idle_time_counts_from_the_answer() -> None:
    reader = a_reader()
    reader.feed(HEAD + b"hello", 10)
    assert bodies_of(reader) == [b"hello"]
    reader.rested(40)
    assert reader.deadline == 115


def test_time_in_which_nobody_read_is_not_the_peers() -> None:
    reader = a_reader()
    reader.feed(HEAD[:10], 10)
    reader.resumed(40)
    assert reader.deadline == 50
    reader = a_reader()
    reader.resumed(40)
    assert reader.deadline == 115
