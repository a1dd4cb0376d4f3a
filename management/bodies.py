"""Reads the body of a request: as much of it as may be, for as long as it may take, and nothing compressed."""

import asyncio
import re

from aiohttp import web

from management.errors import (
    BodyBroken,
    BodyMissing,
    BodyTooDeep,
    BodyTooLarge,
    BodyTooSlow,
    ContentTypeWrong,
    ExpectationUnknown,
)

BODY_MAX_S = 30.0
DEPTH_MAX = 64  # of arrays and objects inside each other

_STRING_OR_BRACKET = re.compile(rb'"(?:[^"\\]|\\.)*+"?|[\[{]|[\]}]', re.DOTALL)


async def read_body(request: web.BaseRequest, *, max_bytes: int) -> bytes:
    """The body, empty where there is none. Tells a client that waits for it to go on.

    Raises BodyTooLarge, BodyTooSlow, BodyBroken or ExpectationUnknown, and then the connection is of no more use.
    """
    if request.content_length is not None and request.content_length > max_bytes:
        raise _too_large(max_bytes)
    if request.headers.get("Content-Encoding", "identity").lower() != "identity":
        raise BodyBroken("a body is read as it is: leave Content-Encoding out")
    try:
        async with asyncio.timeout(BODY_MAX_S):
            await _expect(request)
            return await _read(request, max_bytes)
    except TimeoutError:
        raise BodyTooSlow(f"the body did not arrive within {BODY_MAX_S:g} s") from None
    except web.RequestPayloadError:
        raise BodyBroken("the body breaks the grammar of HTTP") from None
    except ConnectionError:
        raise BodyBroken("the connection ended before the body did") from None


def check_body(body: bytes, *, content_type: str | None, wanted: str, required: bool) -> None:
    """Check what can be known of a body before it is parsed: hono-registry 1.1.2.

    An empty body needs no content type. Raises BodyMissing, ContentTypeWrong or BodyTooDeep.
    """
    if not body:
        if required:
            raise BodyMissing("a body is required")
        return
    if content_type is None:
        raise ContentTypeWrong(f"a body needs the header Content-Type: {wanted}")
    if content_type.partition(";")[0].strip().lower() != wanted:
        raise ContentTypeWrong(f"Content-Type must be {wanted}")
    if wanted == "application/json" and _is_deep(body):
        raise BodyTooDeep(f"arrays and objects stand inside each other more than {DEPTH_MAX} deep")


async def _expect(request: web.BaseRequest) -> None:
    expected = request.headers.get("Expect")
    if expected is None:
        return
    if expected.lower() != "100-continue":
        raise ExpectationUnknown("the only expectation known is 100-continue")
    if request.body_exists:
        await request.writer.write(b"HTTP/1.1 100 Continue\r\n\r\n")
        request.writer.output_size = 0  # the answer itself has not begun


async def _read(request: web.BaseRequest, max_bytes: int) -> bytes:
    body = bytearray()
    while chunk := await request.content.readany():
        body += chunk
        if len(body) > max_bytes:
            raise _too_large(max_bytes)
    return bytes(body)


def _too_large(max_bytes: int) -> BodyTooLarge:
    return BodyTooLarge(f"the body is longer than {max_bytes} bytes")


def _is_deep(body: bytes) -> bool:
    """Whether a parser would have to go deeper than anything here is. True or False alike for what is no JSON."""
    if body.count(b"[") + body.count(b"{") <= DEPTH_MAX:
        return False
    depth = 0
    for token in _STRING_OR_BRACKET.finditer(body):
        first = token[0][:1]
        if first in b"[{":
            depth += 1
            if depth > DEPTH_MAX:
                return True
        elif first in b"]}":
            depth -= 1
    return False
