"""What HTTP devices do: POST telemetry over one connection again and again, a request at a time."""

import re

from benchmarks.load.errors import WrongAnswer
from benchmarks.load.links import Link, Steps

_END_OF_HEAD = b"\r\n\r\n"
_CONTENT_LENGTH = re.compile(rb"\r\ncontent-length: *(\d+)\r\n", re.IGNORECASE)
_ACCEPTED = b"HTTP/1.1 202 "


def render_post(payload: bytes, *, qos: int) -> bytes:
    """POST /telemetry; a header asks for at-least-once where that is wanted (hono-adapters, HTTP)."""
    qos_line = b"QoS-Level: 1\r\n" if qos else b""
    return (
        b"POST /telemetry HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\n"
        + qos_line
        + b"Content-Length: %d\r\n\r\n" % len(payload)
        + payload
    )


def answer_bytes(received: bytes) -> int | None:
    """How long the complete 202 at the start is; None while it is not complete. Raises WrongAnswer."""
    end = received.find(_END_OF_HEAD)
    if end < 0:
        return None
    head = received[: end + len(_END_OF_HEAD)]
    length = _CONTENT_LENGTH.search(head)
    if not head.startswith(_ACCEPTED) or length is None:
        raise WrongAnswer("202 with a Content-Length", received)
    size = len(head) + int(length[1])
    return size if len(received) >= size else None


def post(link: Link, request: bytes, *, count: int) -> Steps:
    """`count` requests, each sent when the one before is answered."""
    for _ in range(count):
        link.write(request)
        received = b""
        while (size := answer_bytes(received)) is None:
            yield
            received += link.read() or b""
        if len(received) != size:
            raise WrongAnswer("one answer", received)
