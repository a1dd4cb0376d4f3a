"""Cuts a byte stream into HTTP/1 requests. Awaits nothing, reads no clock, opens no socket.

A request comes out in two steps, so that whoever reads may refuse it before its body is there:
`next_head`, then `next_body`, in turns. A fault repeats on every call, because the stream has lost its
framing. Time is told with each chunk; `deadline` says by when something must happen.

What a head says is for `read` to tell: whoever reads may know it from before.
"""

import re
from collections.abc import Callable
from typing import Final, Generic, Protocol, TypeVar

from adapters.http.wire.chunks import ChunkedBody
from adapters.http.wire.faults import BodyTooLarge, HeadTooLarge, LineEndMalformed, RequestMalformed
from adapters.http.wire.head import BLANK_LINE, RequestLimits
from kernel.errors import Refused

_BARE_LINE_END: Final = re.compile(rb"(?<!\r)\n|\r(?!\n|\Z)")


class Framed(Protocol):
    """What a head says, as far as it is needed to find the end of the body."""

    @property
    def body_bytes(self) -> int | None:
        """None: chunked."""
        ...


Head = TypeVar("Head", bound=Framed)


class RequestReader(Generic[Head]):
    """The requests of one connection. `read` is given each head, blank line included, and raises Malformed."""

    __slots__ = (
        "_at",
        "_awaited",
        "_began_at",
        "_buffer",
        "_chunks",
        "_fault",
        "_fed_at",
        "_idle_s",
        "_limits",
        "_more",
        "_read",
        "_request_deadline_s",
        "_saw_blank_line",
        "_scanned_to",
    )

    def __init__(
        self,
        *,
        read: Callable[[bytes], Head],
        limits: RequestLimits,
        request_deadline_s: float,
        idle_s: float,
        now: float,
    ) -> None:
        self._read = read
        self._limits = limits
        self._request_deadline_s = request_deadline_s
        self._idle_s = idle_s
        self._buffer = b""  # read from `_at` on
        self._at = 0
        self._scanned_to = 0  # no blank line begins before this offset, less three bytes
        self._more = bytearray()  # fed behind the buffer, not yet needed
        self._awaited: Head | None = None  # handed out, its body not yet
        self._chunks: ChunkedBody | None = None
        self._saw_blank_line = False
        self._fault: Refused | None = None
        self._fed_at = now
        self._began_at: float | None = None  # first byte of the request not yet complete

    def feed(self, chunk: bytes, now: float) -> None:
        """Take bytes as they arrived, at `now`."""
        if self._at < len(self._buffer):
            self._more += chunk
        else:
            self._buffer = chunk
            self._at = self._scanned_to = 0
        self._fed_at = now
        if self._began_at is None:
            self._began_at = now

    @property
    def held_bytes(self) -> int:
        """How much was fed and not yet handed out; a chunked body's content aside."""
        return len(self._buffer) - self._at + len(self._more)

    @property
    def is_mid_request(self) -> bool:
        """Whether a request has begun and is not complete."""
        return self._began_at is not None

    @property
    def is_at_rest(self) -> bool:
        """Whether nothing has come since the last request, not so much as a blank line."""
        return self._began_at is None and not self._saw_blank_line

    @property
    def deadline(self) -> float:
        """When the request being read must be complete, or, between requests, the next one have begun."""
        if self._began_at is None:
            return self._fed_at + self._idle_s
        return self._began_at + self._request_deadline_s

    def rested(self, now: float) -> None:
        """Count idle time from `now`: the answer left only now. Keep no bytes that were read."""
        self._fed_at = now
        if self._at == len(self._buffer):
            self._buffer = b""
            self._at = self._scanned_to = 0

    def resumed(self, now: float) -> None:
        """Count all time from `now`: until now it was us who did not read."""
        self._fed_at = now
        if self._began_at is not None:
            self._began_at = now

    def next_head(self) -> Head | None:
        """Return the next head once it is complete; None before, or while a body is awaited.

        Raises Malformed.
        """
        if self._fault is not None:
            raise self._fault
        if self._awaited is not None or self._at == len(self._buffer):
            return None
        try:
            return self._cut_head()
        except Refused as fault:
            self._fault = fault
            raise

    def next_body(self) -> bytes | None:
        """Return the body of the last head once it is complete, empty if there is none.

        Raises BodyTooLarge as soon as the length is known to exceed the limit, and Malformed.
        """
        if self._fault is not None:
            raise self._fault
        if self._awaited is None:
            return None
        try:
            body = self._cut_body(self._awaited)
        except Refused as fault:
            self._fault = fault
            raise
        if body is not None:
            self._awaited = None
            self._began_at = self._fed_at if self.held_bytes else None
        return body

    def _cut_head(self) -> Head | None:
        if self._more:
            self._gather()
        if self._buffer.startswith(b"\r\n", self._at):
            self._skip_blank_line()
        limit = self._limits.header_max_bytes
        end = self._buffer.find(BLANK_LINE, max(self._at, self._scanned_to - 3))
        if end < 0:
            if self.held_bytes > limit:
                raise HeadTooLarge(f"the head exceeds {limit} bytes")
            if _BARE_LINE_END.search(self._buffer, max(self._at, self._scanned_to - 1)):
                raise LineEndMalformed("a line does not end with CR LF")
            self._scanned_to = len(self._buffer)
            return None
        raw = self._buffer[self._at : end + 4]
        if len(raw) > limit:
            raise HeadTooLarge(f"the head exceeds {limit} bytes")
        self._at = end + 4
        self._saw_blank_line = False
        self._awaited = self._read(raw)
        return self._awaited

    def _skip_blank_line(self) -> None:
        """One empty line before a request line is ignored, RFC 9112 section 2.2; a second is not."""
        self._at += 2
        if self._saw_blank_line or self._buffer.startswith(b"\r\n", self._at):
            raise RequestMalformed("blank lines instead of a request")
        self._saw_blank_line = True
        if not self.held_bytes:
            self._began_at = None

    def _cut_body(self, head: Head) -> bytes | None:
        if head.body_bytes is None:
            return self._cut_chunked()
        if head.body_bytes > self._limits.body_max_bytes:
            raise BodyTooLarge(f"a body of {head.body_bytes} bytes exceeds {self._limits.body_max_bytes}")
        if self.held_bytes < head.body_bytes:
            return None
        if self._more:
            self._gather()
        start = self._at
        self._at = end = start + head.body_bytes
        self._scanned_to = end
        return self._buffer[start:end]

    def _cut_chunked(self) -> bytes | None:
        if self._more:
            self._gather()
        if self._chunks is None:
            self._chunks = ChunkedBody(
                body_max_bytes=self._limits.body_max_bytes, trailers_max=self._limits.headers_max
            )
        self._at = self._chunks.take(self._buffer, self._at)
        self._scanned_to = self._at
        if not self._chunks.is_complete:
            return None
        content = self._chunks.content
        self._chunks = None
        return content

    def _gather(self) -> None:
        """Bring what was fed behind the buffer into it. Called when it is needed, so bodies grow in one go."""
        self._scanned_to -= self._at
        self._buffer = self._buffer[self._at :] + bytes(self._more)
        self._at = 0
        self._more.clear()
