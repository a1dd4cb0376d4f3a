"""Any chunking, any bytes: the same requests, or a refusal by name."""

from collections.abc import Iterator
from dataclasses import dataclass
from functools import partial

from hypothesis import given
from hypothesis import strategies as st

from adapters.http.wire.head import RequestHead, RequestLimits, parse_head
from adapters.http.wire.reader import RequestReader
from kernel.errors import Malformed, Refused, TooLarge

LIMITS = RequestLimits(header_max_bytes=1024, headers_max=16, body_max_bytes=256)
TOKEN = st.text("abcXYZ019-_!#$%&'*+.^`|~", min_size=1, max_size=12)
VALUE = st.text([chr(code) for code in (*range(32, 127), 9, *range(160, 256))], max_size=24).map(str.strip)
TARGET = st.text([chr(code) for code in range(33, 127) if chr(code) != "#"], max_size=20).map("/{}".format)


@dataclass(frozen=True, kw_only=True)
class Sent:
    method: str
    target: str
    headers: list[tuple[str, str]]
    pieces: list[bytes] | None  # None: announced by length
    body: bytes
    blank_line: bool

    def encoded(self) -> bytes:
        lines = [f"{self.method} {self.target} HTTP/1.1", "Host: h"]
        lines += [f"X-{name}: {value}" for name, value in self.headers]
        content = self.body
        if self.pieces is None:
            lines.append(f"Content-Length: {len(self.body)}")
        else:
            lines.append("Transfer-Encoding: chunked")
            content = b"".join(f"{len(piece):x};e\r\n".encode() + piece + b"\r\n" for piece in self.pieces)
            content += b"0\r\nTrailer: t\r\n\r\n"
        head = "\r\n".join([*lines, "", ""]).encode("latin-1")
        return (b"\r\n" if self.blank_line else b"") + head + content


@st.composite
def sent_requests(draw: st.DrawFn) -> Sent:
    pieces = draw(st.none() | st.lists(st.binary(min_size=1, max_size=40), max_size=4))
    return Sent(
        method=draw(st.sampled_from(["POST", "PUT", "GET", "HEAD", "OPTIONS"])),
        target=draw(TARGET),
        headers=draw(st.lists(st.tuples(TOKEN, VALUE), max_size=4, unique_by=lambda header: header[0].lower())),
        pieces=pieces,
        body=draw(st.binary(max_size=80)) if pieces is None else b"".join(pieces),
        blank_line=draw(st.booleans()),
    )


def a_reader() -> RequestReader[RequestHead]:
    read = partial(parse_head, limits=LIMITS)
    return RequestReader(read=read, limits=LIMITS, request_deadline_s=10, idle_s=75, now=0)


class Receiver:
    """Takes whatever is complete after each chunk, as a shell does."""

    def __init__(self) -> None:
        self.reader = a_reader()
        self._head: RequestHead | None = None

    def feed(self, stream: bytes, chunk_bytes: int) -> Iterator[tuple[RequestHead, bytes]]:
        for start in range(0, len(stream), chunk_bytes):
            self.reader.feed(stream[start : start + chunk_bytes], 0)
            while True:
                if self._head is None:
                    self._head = self.reader.next_head()
                if self._head is None or (body := self.reader.next_body()) is None:
                    break
                head, self._head = self._head, None
                yield head, body


@given(st.lists(sent_requests(), max_size=4), st.integers(1, 64))
def test_chunks_of_any_size_yield_the_same_requests(sent: list[Sent], chunk_bytes: int) -> None:
    stream = b"".join(request.encoded() for request in sent)
    receiver = Receiver()
    found = list(receiver.feed(stream, chunk_bytes))
    assert receiver.reader.held_bytes == 0 and not receiver.reader.is_mid_request
    assert [(head.method, head.target, body) for head, body in found] == [
        (request.method, request.target, request.body) for request in sent
    ]
    for (head, _), request in zip(found, sent, strict=True):
        assert all(head.header(f"x-{name}".lower().encode()) == value.strip() for name, value in request.headers)


FRAGMENTS = [
    b"POST /telemetry HTTP/1.1\r\n",
    b"GET / HTTP/1.0\r\n",
    b"Host: h\r\n",
    b"Content-Length: 3\r\n",
    b"Content-Length: 300\r\n",
    b"Transfer-Encoding: chunked\r\n",
    b"Connection: upgrade\r\nUpgrade: h2c\r\n",
    b"Expect: 100-continue\r\n",
    b"\r\n",
    b"\n",
    b"\r",
    b" ",
    b"\x00",
    b"3\r\nabc\r\n",
    b"0\r\n\r\n",
    b"abc",
]


@given(
    st.lists(st.sampled_from(FRAGMENTS) | st.binary(max_size=20), max_size=24),
    st.integers(1, 64),
)
def test_any_bytes_are_requests_or_a_named_fault_and_little_is_held(pieces: list[bytes], chunk_bytes: int) -> None:
    receiver = Receiver()
    try:
        for head, body in receiver.feed(b"".join(pieces), chunk_bytes):
            assert len(body) <= LIMITS.body_max_bytes
            assert head.target.isascii() and head.target.isprintable()
            assert receiver.reader.held_bytes <= chunk_bytes
    except Refused as fault:
        assert isinstance(fault, Malformed | TooLarge) and fault.code.startswith("http-")
    else:
        assert receiver.reader.held_bytes <= LIMITS.header_max_bytes


@given(st.lists(st.sampled_from(FRAGMENTS), max_size=16), st.integers(1, 16), st.integers(17, 400))
def test_bytes_in_small_chunks_and_in_large_ones_mean_the_same(pieces: list[bytes], small: int, large: int) -> None:
    stream = b"".join(pieces)
    assert outcome(stream, small) == outcome(stream, large)


def outcome(stream: bytes, chunk_bytes: int) -> tuple[list[tuple[str, bytes]], bool]:
    found: list[tuple[str, bytes]] = []
    try:
        found.extend((head.target, body) for head, body in Receiver().feed(stream, chunk_bytes))
    except Refused:
        return found, False
    return found, True
