"""From a Reply to the response that goes out, with the headers that go with every answer."""

import msgspec
from aiohttp import web

from kernel.exchange import Reply

JSON = "application/json; charset=utf-8"


def spelled(reply: Reply) -> Reply:
    """The same with its body in bytes. Takes time that grows with the body."""
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
