"""From a Reply to the response that goes out, with the headers that go with every answer."""

import re
from collections.abc import AsyncIterator

import msgspec
from aiohttp import web

from kernel.exchange import Reply

JSON = "application/json; charset=utf-8"
PIECE_BYTES = 65_536  # of a long body that are with the network at one time, however slowly its reader reads
_CONTROL = re.compile(r"[\x00-\x1f\x7f]")


def spelled(reply: Reply) -> Reply:
    """The same with its body in bytes. Takes time that grows with the body.

    Raises ValueError for a header that would end its line: a defect, which must not become an answer of two.
    """
    for name, value in reply.headers.items():
        if _CONTROL.search(name + value):
            raise ValueError(f"the header {name!r} holds control characters")
    if reply.body is None or isinstance(reply.body, bytes):
        return reply
    body = msgspec.json.encode(reply.body)
    return Reply(status=reply.status, body=body, headers=reply.headers, content_type=reply.content_type)


def response_of(reply: Reply) -> web.Response:
    """A reply as aiohttp sends it. What a handler says of caching goes before our own word."""
    body: bytes | None = spelled(reply).body
    if body is None or len(body) <= PIECE_BYTES:
        response = web.Response(status=reply.status, body=body)
    else:
        response = web.Response(status=reply.status, body=_in_pieces(body))
        response.headers["Content-Length"] = str(len(body))
    if reply.body is not None:
        response.headers["Content-Type"] = reply.content_type or JSON
    response.headers["Server"] = "Tuhono"  # not which version of which library
    response.headers["Cache-Control"] = "no-store"
    response.headers["X-Content-Type-Options"] = "nosniff"
    response.headers.update(reply.headers)
    return response


async def _in_pieces(body: bytes) -> AsyncIterator[bytes]:
    """The server waits between them until the reader has taken most of it: many who do not read cost little."""
    for begin in range(0, len(body), PIECE_BYTES):
        yield body[begin : begin + PIECE_BYTES]
