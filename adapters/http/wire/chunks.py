"""A chunked body, RFC 9112 section 7.1: strict line ends, bounded lines, trailers read and dropped."""

import re

from adapters.http.wire.faults import BodyTooLarge, ChunkMalformed

CHUNK_LINE_MAX_BYTES = 256  # of a size line with its extensions, and of a trailer line

_SIZE_LINE = re.compile(rb"([0-9A-Fa-f]{1,8})(?:;[\t -~\x80-\xff]*)?")
_TRAILER_LINE = re.compile(rb"[!#$%&'*+\-.^_`|~0-9A-Za-z]+:[\t -~\x80-\xff]*")
_CRLF = b"\r\n"


class ChunkedBody:
    """Collects the content of the chunks it is given, up to and including the last trailer."""

    __slots__ = (
        "_at_data",
        "_at_data_end",
        "_at_trailers",
        "_body_max_bytes",
        "_content",
        "_left",
        "_trailers_left",
        "is_complete",
    )

    def __init__(self, *, body_max_bytes: int, trailers_max: int) -> None:
        self._body_max_bytes = body_max_bytes
        self._trailers_left = trailers_max
        self._content = bytearray()
        self._left = 0  # bytes of the current chunk still to come
        self._at_data = False
        self._at_data_end = False
        self._at_trailers = False
        self.is_complete = False

    @property
    def content(self) -> bytes:
        return bytes(self._content)

    def take(self, data: bytes, at: int) -> int:
        """Consume what `data` holds from offset `at` on; return the offset of the first byte not consumed.

        What is left begins a line that has not ended, CHUNK_LINE_MAX_BYTES at most, or follows the body.
        Raises ChunkMalformed, BodyTooLarge.
        """
        while not self.is_complete:
            if self._at_data:
                reached = self._take_data(data, at)
            elif self._at_data_end:
                reached = self._take_data_end(data, at)
            else:
                reached = self._take_line(data, at)
            if reached == at:
                break
            at = reached
        return at

    def _take_data(self, data: bytes, at: int) -> int:
        piece = data[at : at + self._left]
        self._content += piece
        self._left -= len(piece)
        self._at_data = self._left > 0
        self._at_data_end = not self._at_data
        return at + len(piece)

    def _take_data_end(self, data: bytes, at: int) -> int:
        end = data[at : at + 2]
        if not _CRLF.startswith(end):
            raise ChunkMalformed("a chunk is longer than its size")
        if len(end) < 2:
            return at
        self._at_data_end = False
        return at + 2

    def _take_line(self, data: bytes, at: int) -> int:
        end = data.find(_CRLF, at, at + CHUNK_LINE_MAX_BYTES + 2)
        if end < 0:
            if len(data) - at >= CHUNK_LINE_MAX_BYTES + 2 or b"\n" in data[at:]:
                raise ChunkMalformed("a line of a chunked body does not end")
            return at
        line = data[at:end]
        if self._at_trailers:
            self._end_of_trailer(line)
        else:
            self._end_of_size(line)
        return end + 2

    def _end_of_size(self, line: bytes) -> None:
        found = _SIZE_LINE.fullmatch(line)
        if found is None:
            raise ChunkMalformed("a chunk begins with no size")
        size = int(found[1], 16)
        if len(self._content) + size > self._body_max_bytes:
            raise BodyTooLarge(f"the chunks received exceed {self._body_max_bytes} bytes")
        self._left = size
        self._at_data = size > 0
        self._at_trailers = size == 0

    def _end_of_trailer(self, line: bytes) -> None:
        if not line:
            self.is_complete = True
            return
        self._trailers_left -= 1
        if self._trailers_left < 0 or _TRAILER_LINE.fullmatch(line) is None:
            raise ChunkMalformed("a trailer is malformed, or there are too many")
