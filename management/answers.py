"""From a Reply to the response that goes out, with the headers that go with every answer."""

import re

import msgspec
from aiohttp import web

from kernel.exchange import Reply

JSON = "application/json; charset=utf-8"
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
    response = web.Response(status=reply.status, body=spelled(reply).body)
    if reply.body is not None:
        response.headers["Content-Type"] = reply.content_type or JSON
    response.headers["Server"] = "Tuhono"  # not which version of which library
    response.headers["Cache-Control"] = "no-store"
    response.headers["X-Content-Type-Options"] = "nosniff"
    response.headers.update(reply.headers)
    return response
