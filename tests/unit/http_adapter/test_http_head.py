"""What a request line and its headers say."""

import pytest

from adapters.http.wire.head import RequestHead, RequestLimits, parse_head
from kernel.errors import Malformed

LIMITS = RequestLimits(header_max_bytes=8192, headers_max=8, body_max_bytes=2048)


def head_of(*lines: str, limits: RequestLimits = LIMITS) -> RequestHead:
    return parse_head("".join(f"{line}\r\n" for line in (*lines, "")).encode("latin-1"), limits)


def test_method_target_and_headers_are_told_as_they_came() -> None:
    head = head_of("PUT /telemetry/acme/a%3Ab?x=1 HTTP/1.1", "Host: h", "Content-Type:  text/plain; x=y \t")
    assert (head.method, head.target) == ("PUT", "/telemetry/acme/a%3Ab?x=1")
    assert head.header(b"content-type") == "text/plain; x=y"
    assert head.header(b"qos-level") is None
    assert head.body_bytes == 0


def test_header_names_are_found_in_small_letters_whatever_the_peer_wrote() -> None:
    assert head_of("POST / HTTP/1.1", "hOsT: h", "QOS-level: 1").header(b"qos-level") == "1"


def test_a_header_given_twice_reads_as_one_list() -> None:
    assert head_of("POST / HTTP/1.1", "Host: h", "X: a", "x: b").header(b"x") == "a, b"


@pytest.mark.parametrize("name", ["Content-Type", "Authorization", "Origin"])
def test_a_header_that_decides_something_is_not_given_twice(name: str) -> None:
    with pytest.raises(Malformed):
        head_of("POST / HTTP/1.1", "Host: h", f"{name}: a", f"{name}: a")


def test_an_announced_length_is_the_length() -> None:
    assert head_of("POST / HTTP/1.1", "Host: h", "Content-Length: 012").body_bytes == 12


@pytest.mark.parametrize("coding", ["chunked", "Chunked"])
def test_a_chunked_body_has_no_length(coding: str) -> None:
    assert head_of("POST / HTTP/1.1", "Host: h", f"Transfer-Encoding: {coding}").body_bytes is None


@pytest.mark.parametrize(
    ("version", "connection", "keep_alive"),
    [
        ("1.1", None, True),
        ("1.1", "close", False),
        ("1.1", "x, Close", False),
        ("1.1", "upgrade", True),
        ("1.0", None, False),
        ("1.0", "Keep-Alive", True),
        ("1.0", "keep-alive, close", False),
    ],
)
def test_a_connection_is_kept_as_its_version_and_options_say(
    version: str, connection: str | None, keep_alive: bool
) -> None:
    options = [] if connection is None else [f"Connection: {connection}"]
    head = head_of(f"POST / HTTP/{version}", "Host: h", *options)
    assert head.keep_alive is keep_alive
    assert head.is_http_1_0 is (version == "1.0")


def test_http_1_0_needs_no_host() -> None:
    assert head_of("POST / HTTP/1.0").target == "/"


@pytest.mark.parametrize("host", ["", "gateway.example.com:8443", "[2001:db8::1]:8443", "127.0.0.1"])
def test_a_host_is_a_name_or_an_address_with_or_without_a_port(host: str) -> None:
    assert head_of("POST / HTTP/1.1", f"Host: {host}").header(b"host") == host


def test_an_offer_to_upgrade_is_ignored_and_its_body_still_counts() -> None:
    head = head_of("POST / HTTP/1.1", "Host: h", "Connection: Upgrade", "Upgrade: h2c", "Content-Length: 3")
    assert head.body_bytes == 3
    assert head.keep_alive


def test_a_peer_may_ask_whether_to_send_the_body() -> None:
    assert head_of("POST / HTTP/1.1", "Host: h", "Expect: 100-Continue").expects_continue
    assert not head_of("POST / HTTP/1.0", "Host: h", "Expect: 100-continue").expects_continue
    assert not head_of("POST / HTTP/1.1", "Host: h").expects_continue


def test_as_many_headers_as_allowed_are_allowed() -> None:
    assert head_of("POST / HTTP/1.1", "Host: h", *(f"X-{number}: y" for number in range(7)))
    with pytest.raises(Malformed, match="9 header lines"):
        head_of("POST / HTTP/1.1", "Host: h", *(f"X-{number}: y" for number in range(8)))


@pytest.mark.parametrize("target", ["http://h/telemetry", "*", "/%zz", "/a//b?c=d&e"])
def test_a_target_of_any_form_but_that_of_connect_is_left_to_the_routes(target: str) -> None:
    assert head_of(f"OPTIONS {target} HTTP/1.1", "Host: h").target == target
