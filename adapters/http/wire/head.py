"""From the bytes of a request line and its headers to what they say, or a named fault.

Everything two HTTP readers have been known to disagree on is refused: RFC 9112 sections 2.2, 5 and
6.3. httptools judges the grammar of every line; the checks here come first and hold whatever
leniencies its parser may grow.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

import httptools

from adapters.http.wire.faults import (
    ExpectationUnknown,
    FramingAmbiguous,
    HeadTooLarge,
    HostMalformed,
    LineEndMalformed,
    RequestMalformed,
    VersionUnsupported,
)
from kernel.errors import Malformed

BLANK_LINE: Final = b"\r\n\r\n"
CONTENT_LENGTH_MAX_DIGITS = 18

_REQUEST_LINE = re.compile(rb"([A-Z]+) ([!-~]+) HTTP/([0-9]\.[0-9])\r\n")
_LINES = re.compile(rb"(?:[!-~][\t -~\x80-\xff]*+\r\n)++\r\n")
_CONTROL = re.compile(rb"[\x00-\x08\x0b\x0c\x0e-\x1f\x7f]")  # all but HTAB, LF and CR
_HOST = re.compile(rb"[A-Za-z0-9\-._~%!$&'()*+,;=:\[\]]*")
_SINGLE = frozenset({b"content-length", b"content-type", b"authorization", b"origin"})


@dataclass(frozen=True, slots=True, kw_only=True)
class RequestLimits:
    """Bounds on one request."""

    header_max_bytes: int  # request line and headers, the blank line included
    headers_max: int
    body_max_bytes: int


@dataclass(frozen=True, slots=True, kw_only=True)
class RequestHead:
    """Request line and headers. A header given several times reads as one list, RFC 9110 section 5.3."""

    method: str
    target: str  # as received: printable ASCII, origin-form, absolute-form or `*`
    headers: Mapping[bytes, bytes]  # by lower-case name
    body_bytes: int | None  # None: chunked
    keep_alive: bool
    is_http_1_0: bool = False
    expects_continue: bool = False

    def header(self, name: bytes) -> str | None:
        """The value as text, one character a byte; None when absent. `name` is lower-case."""
        value = self.headers.get(name)
        return None if value is None else value.decode("latin-1")


class _Fields:
    """Receives header lines from the parser. Never raises: a fault is kept until asked for."""

    __slots__ = ("fault", "headers")

    def __init__(self) -> None:
        self.headers: dict[bytes, bytes] = {}
        self.fault: Malformed | None = None

    def on_header(self, name: bytes, value: bytes) -> None:
        name = name.lower()
        value = value.rstrip(b" \t")
        if name in self.headers:
            self._repeated(name, value)
        else:
            self.headers[name] = value

    def _repeated(self, name: bytes, value: bytes) -> None:
        if name == b"host":
            self.fault = HostMalformed("Host is given twice")
        elif name in _SINGLE:
            self.fault = FramingAmbiguous(f"{name.decode()} is given twice")
        else:
            self.headers[name] += b", " + value


def parse_head(raw: bytes, limits: RequestLimits) -> RequestHead:
    """Parse everything up to and including the blank line. Raises Malformed of any kind."""
    _check_lines(raw, limits)
    method, target, version = _parse_request_line(raw)
    headers = _parse_headers(raw)
    is_http_1_0 = version == b"1.0"
    if not is_http_1_0 and b"host" not in headers:
        raise HostMalformed("Host is missing")
    if _HOST.fullmatch(headers.get(b"host", b"")) is None:
        raise HostMalformed("Host is no host and port")
    return RequestHead(
        method=method,
        target=target,
        headers=headers,
        body_bytes=_body_bytes(headers, is_http_1_0=is_http_1_0),
        keep_alive=_keeps_alive(headers, is_http_1_0=is_http_1_0),
        is_http_1_0=is_http_1_0,
        expects_continue=_expects_continue(headers, is_http_1_0=is_http_1_0),
    )


def _check_lines(raw: bytes, limits: RequestLimits) -> None:
    lines = raw.count(b"\r\n") - 2
    if lines > limits.headers_max:
        raise HeadTooLarge(f"{lines} header lines exceed the limit of {limits.headers_max}")
    if _LINES.fullmatch(raw) is None:
        if _CONTROL.search(raw):
            raise RequestMalformed("a control character stands in the head")
        raise LineEndMalformed("a line does not end with CR LF, or begins with white space")


def _parse_request_line(raw: bytes) -> tuple[str, str, bytes]:
    found = _REQUEST_LINE.match(raw)
    if found is None:
        raise RequestMalformed("the request line is none of HTTP/1")
    method, target, version = found.groups()
    if version not in (b"1.1", b"1.0"):
        raise VersionUnsupported(f"version {version.decode()} is not spoken here")
    if b"#" in target:
        raise RequestMalformed("a request target has no fragment")
    return method.decode(), target.decode(), version


def _parse_headers(raw: bytes) -> dict[bytes, bytes]:
    if raw.startswith(b"CONNECT "):
        raise RequestMalformed("this is no proxy")
    fields = _Fields()
    try:
        # A new parser for each head costs 0.3 us and never waits for a body: framing is decided here.
        httptools.HttpRequestParser(fields).feed_data(raw)
    except httptools.HttpParserUpgrade:
        pass  # an offer to speak something else, which RFC 9110 section 7.8 lets us ignore
    except httptools.HttpParserError as fault:
        raise RequestMalformed(str(fault)) from fault
    if fields.fault is not None:
        raise fields.fault
    return fields.headers


def _body_bytes(headers: Mapping[bytes, bytes], *, is_http_1_0: bool) -> int | None:
    coding = headers.get(b"transfer-encoding")
    length = headers.get(b"content-length")
    if coding is not None:
        if length is not None or is_http_1_0 or coding.lower() != b"chunked":
            raise FramingAmbiguous("Transfer-Encoding is not chunked alone, or does not stand alone")
        return None
    if length is None:
        return 0
    if not length.isdigit() or len(length) > CONTENT_LENGTH_MAX_DIGITS:
        raise FramingAmbiguous("Content-Length is no number of bytes")
    return int(length)


def _keeps_alive(headers: Mapping[bytes, bytes], *, is_http_1_0: bool) -> bool:
    given = headers.get(b"connection")
    if given is None:
        return not is_http_1_0
    options = {option.strip(b" \t").lower() for option in given.split(b",")}
    if b"close" in options:
        return False
    return b"keep-alive" in options or not is_http_1_0


def _expects_continue(headers: Mapping[bytes, bytes], *, is_http_1_0: bool) -> bool:
    expectation = headers.get(b"expect")
    if expectation is None or is_http_1_0:  # RFC 9110 section 10.1.1: ignored in a 1.0 request
        return False
    if expectation.lower() != b"100-continue":
        raise ExpectationUnknown("Expect is not 100-continue")
    return True
