"""What is remembered of the heads of requests: which, how many, and from when on."""

import pytest

from adapters.http.requests import (
    REMEMBERED_HEAD_MAX_BYTES,
    REMEMBERED_MAX,
    SIGHTINGS_MAX,
    UPLOADS_MAX,
    Request,
    Requests,
)
from adapters.http.routes import UploadPlan
from adapters.http.wire.head import RequestLimits
from adapters.sessions.uplink import UploadHead
from kernel.errors import Malformed
from tests.support.http import post
from tests.support.reachable import reachable

LIMITS = RequestLimits(header_max_bytes=8192, headers_max=64, body_max_bytes=2048)
BODY = b"22.5"
HEAD = post(body=BODY).removesuffix(BODY)
SECRET = "c2Vuc29yLTE6aHVzaA"


def some_requests() -> Requests:
    return Requests(limits=LIMITS)


def learn(requests: Requests, head: bytes) -> Request:
    """Read a head and have it seen often enough to be remembered, if it may be."""
    for _ in range(2):
        request = requests.read(head)
        requests.remember(request)
    return request


def head_of(*headers: str, target: str = "/telemetry", body: bytes = BODY, version: str = "1.1") -> bytes:
    return post(target, body, *headers, version=version).removesuffix(body)


def test_a_plain_head_is_remembered_from_its_second_sighting_on() -> None:
    requests = some_requests()
    requests.remember(requests.read(HEAD))
    assert requests.find(HEAD + BODY) is None
    second = requests.read(HEAD)
    requests.remember(second)
    assert requests.find(HEAD + BODY) is second and requests.read(HEAD) is second


def test_only_a_whole_request_is_found() -> None:
    requests = some_requests()
    learn(requests, HEAD)
    for data in (HEAD, HEAD + BODY[:-1], HEAD + BODY + b"\r", HEAD[:-1], b"\r\n" + HEAD + BODY, b"", b"\r\n\r\n"):
        assert requests.find(data) is None


def test_a_request_without_a_body_is_found() -> None:
    requests = some_requests()
    head = head_of(body=b"")
    assert requests.find(head) is None
    assert learn(requests, head) is requests.find(head)


@pytest.mark.parametrize("name", ["Authorization", "authorization", "Proxy-Authorization", "Cookie", "COOKIE"])
def test_a_head_with_credentials_is_not_remembered(name: str) -> None:
    requests = some_requests()
    head = head_of(f"{name}: {SECRET}")
    request = learn(requests, head)
    assert request.upload is None and request.head == b""
    assert requests.find(head + BODY) is None and requests.read(head) is not request


@pytest.mark.parametrize(
    "head",
    [
        head_of("Expect: 100-continue"),
        head_of("Connection: close"),
        head_of("Connection: keep-alive, Upgrade", "Upgrade: h2c"),
        head_of("Upgrade: websocket"),
        head_of("Connection: keep-alive", version="1.0"),
        head_of("Origin: https://a.example"),
        head_of("QoS-Level: 7"),
        head_of(target="/nowhere"),
        head_of(target="/telemetry/%zz"),
        head_of(target="/telemetry/acme"),
        head_of(body=b"x" * 2049),
        b"POST /telemetry HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\n\r\n",
        b"OPTIONS /event HTTP/1.1\r\nHost: h\r\nOrigin: o\r\nAccess-Control-Request-Method: POST\r\n\r\n",
        b"HEAD /telemetry HTTP/1.1\r\nHost: h\r\n\r\n",
    ],
)
def test_what_is_not_plain_is_not_remembered(head: bytes) -> None:
    requests = some_requests()
    request = learn(requests, head)
    assert request.upload is None and requests.read(head) is not request
    assert not any(held is request for held in reachable(requests))


def test_a_head_of_exactly_the_limit_is_remembered_and_one_byte_more_is_not() -> None:
    requests = some_requests()
    longest = head_of("X: " + "y" * (REMEMBERED_HEAD_MAX_BYTES - len(head_of("X: "))))
    assert len(longest) == REMEMBERED_HEAD_MAX_BYTES
    assert learn(requests, longest) is requests.find(longest + BODY)
    longer = longest.replace(b"y\r\n", b"yy\r\n")
    assert requests.find(longer + BODY) is None and learn(requests, longer).upload is None


def test_a_head_that_is_refused_is_refused_every_time() -> None:
    requests = some_requests()
    learn(requests, HEAD)
    for _ in range(3):
        with pytest.raises(Malformed):
            requests.read(HEAD.replace(b"Host: ", b"Host : "))


def test_no_more_heads_are_remembered_than_the_limit_and_the_oldest_go() -> None:
    requests = some_requests()
    heads = [head_of(target=f"/telemetry/acme/sensor-{number}") for number in range(REMEMBERED_MAX + 3)]
    for head in heads:
        learn(requests, head)
    assert [requests.find(head + BODY) is None for head in heads] == [True] * 3 + [False] * REMEMBERED_MAX


def upload_in(requests: Requests, head: bytes) -> UploadHead:
    plan = requests.read(head).plan
    assert isinstance(plan, UploadPlan)
    return plan.head


def test_heads_that_ask_for_the_same_are_one_upload_to_a_session() -> None:
    requests = some_requests()
    alike = [
        HEAD,
        head_of(body=b"of another length"),
        head_of("X-Trace: 1"),
        head_of("X-Trace: 2", "Authorization: Basic eDp5"),
        head_of("QoS-Level: 0"),
        HEAD.replace(b"Content-Length: 4", b"Transfer-Encoding: chunked"),
    ]
    assert len({id(upload_in(requests, head)) for head in alike}) == 1


@pytest.mark.interpreted  # __slots__ are read, which a compiled class has no use for
def test_heads_that_ask_for_anything_else_are_another_upload() -> None:
    requests = some_requests()
    heads = [
        HEAD,
        head_of("Content-Type: text/html"),
        head_of("QoS-Level: 1"),
        head_of("QoS-Level: 7"),
        head_of(target="/telemetry?x"),
        head_of(target="/telemetry//sensor-1"),
        head_of(target="/telemetry/acme"),
        head_of(target="/telemetry/acme/sensor-1"),
        head_of(target="/event"),
        head_of("hono-ttl: 5", target="/event"),
        head_of("hono-ttl: 6", target="/event"),
    ]
    uploads = [upload_in(requests, head) for head in heads]
    assert len({id(upload) for upload in uploads}) == len(heads)
    for upload, head in zip(uploads, heads, strict=True):
        assert all(
            getattr(upload, name) == getattr(upload_in(some_requests(), head), name) for name in UploadHead.__slots__
        )


def test_what_is_refused_whatever_the_sender_is_refused_however_well_its_address_is_known() -> None:
    requests = some_requests()
    assert upload_in(requests, HEAD)
    for level in "7", "8":
        plan = requests.read(head_of(f"QoS-Level: {level}")).plan
        assert isinstance(plan, UploadPlan) and level in str(plan.refusal)


def test_the_uploads_that_are_told_apart_are_bounded_and_short() -> None:
    requests = some_requests()
    first = upload_in(requests, HEAD)
    for number in range(UPLOADS_MAX - 1):
        upload_in(requests, head_of(target=f"/telemetry/acme/sensor-{number}"))
    assert upload_in(requests, HEAD) is first
    upload_in(requests, head_of(target="/event"))
    assert upload_in(requests, HEAD) is not first
    long = head_of(target="/telemetry?" + "x" * REMEMBERED_HEAD_MAX_BYTES)
    assert upload_in(requests, long) is not upload_in(requests, long)


def test_heads_that_never_repeat_drive_out_none_that_do() -> None:
    requests = some_requests()
    learned = learn(requests, HEAD)
    for number in range(SIGHTINGS_MAX + REMEMBERED_MAX):
        requests.remember(requests.read(head_of(f"X-Trace: {number}")))
    assert requests.find(HEAD + BODY) is learned
    assert sum(each.__sizeof__() for each in reachable(requests)) < 200 * SIGHTINGS_MAX
