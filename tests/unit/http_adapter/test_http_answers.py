"""Answers as bytes."""

from datetime import UTC, datetime, timedelta, timezone

import pytest

from adapters.http.wire.answers import REMEMBERED_ANSWERS_MAX, Answer, AnswerEncoder, imf_date

NOW = datetime(2026, 1, 4, 8, 5, 9, tzinfo=UTC)
DATE = b"Date: Sun, 04 Jan 2026 08:05:09 GMT\r\n"
ACCEPTED = Answer(status=202)


def an_encoder() -> AnswerEncoder:
    return AnswerEncoder(NOW, usual=ACCEPTED)


def test_an_accepted_upload_is_answered_without_a_body() -> None:
    encoded = an_encoder().encode(ACCEPTED, closes=False)
    assert encoded == b"HTTP/1.1 202 Accepted\r\n" + DATE + b"Content-Length: 0\r\n\r\n"


def test_headers_and_body_follow_the_status() -> None:
    answer = Answer(status=404, headers=(("Content-Type", "text/plain"),), body=b"no")
    encoded = an_encoder().encode(answer.with_headers(("Vary", "Origin")), closes=True)
    assert encoded == (
        b"HTTP/1.1 404 Not Found\r\n"
        + DATE
        + b"Content-Type: text/plain\r\nVary: Origin\r\nContent-Length: 2\r\nConnection: close\r\n\r\nno"
    )


def test_an_answer_without_content_announces_no_length() -> None:
    assert b"Content-Length" not in an_encoder().encode(Answer(status=204), closes=False)


def test_an_answer_to_head_announces_the_length_and_leaves_the_body_out() -> None:
    encoded = an_encoder().encode(Answer(status=404, body=b"no"), closes=False, omits_body=True)
    assert encoded.endswith(b"Content-Length: 2\r\n\r\n")


def test_a_peer_of_version_1_0_is_told_that_the_connection_stays() -> None:
    encoder = an_encoder()
    assert b"Connection: keep-alive\r\n" in encoder.encode(ACCEPTED, closes=False, is_http_1_0=True)
    assert b"Connection: close\r\n" in encoder.encode(ACCEPTED, closes=True, is_http_1_0=True)


def test_the_same_answer_is_rendered_once_a_second() -> None:
    encoder = an_encoder()
    first = encoder.encode(ACCEPTED, closes=False)
    encoder.set_date(NOW + timedelta(milliseconds=500))
    assert encoder.encode(ACCEPTED, closes=False) is first
    encoder.set_date(NOW + timedelta(seconds=1))
    assert b"08:05:10 GMT" in encoder.encode(ACCEPTED, closes=False)


def test_the_usual_answer_lies_ready_with_the_date_of_the_day() -> None:
    encoder = an_encoder()
    assert encoder.usual == encoder.encode(ACCEPTED, closes=False)
    encoder.set_date(NOW + timedelta(days=1))
    assert b"Mon, 05 Jan 2026" in encoder.usual
    assert encoder.usual == encoder.encode(ACCEPTED, closes=False)


def test_no_more_answers_are_remembered_than_the_limit() -> None:
    encoder = an_encoder()
    first = encoder.encode(ACCEPTED, closes=False)
    for _ in range(REMEMBERED_ANSWERS_MAX):
        encoder.encode(Answer(status=400), closes=False)
    again = encoder.encode(ACCEPTED, closes=False)
    assert again == first and again is not first


@pytest.mark.parametrize(
    ("moment", "spelled"),
    [
        (datetime(1994, 11, 6, 8, 49, 37, tzinfo=UTC), "Sun, 06 Nov 1994 08:49:37 GMT"),
        (datetime(2024, 2, 29, 23, 59, 59, tzinfo=timezone(timedelta(hours=-1))), "Fri, 01 Mar 2024 00:59:59 GMT"),
    ],
)
def test_a_date_is_spelled_in_english_and_greenwich_time(moment: datetime, spelled: str) -> None:
    assert imf_date(moment) == spelled
