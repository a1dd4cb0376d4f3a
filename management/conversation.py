"""One connection's requests, as aiohttp reads them, with our own words for what aiohttp refuses by itself."""

import math
from collections.abc import Awaitable, Callable
from typing import Any

from aiohttp import web

from kernel.exchange import Reply
from management.answers import response_of
from management.errors import RequestMalformed
from management.refusals import defect_reply, document
from management.request_log import RequestLog

LINE_MAX_BYTES = 16_384  # request line, with the filters of a search in it
HEADER_MAX_BYTES = 8_192  # each
HEADERS_MAX = 64
LINGER_MAX_S = 5.0  # for a body nobody reads, so that its sender still reads the answer

Answer = Callable[[web.BaseRequest], Awaitable[web.StreamResponse]]


class Conversation(web.RequestHandler):
    """Requests and answers of one connection."""

    __slots__ = ("asked_at", "is_proven")

    def __init__(self, manager: web.Server, **choices: Any) -> None:
        super().__init__(manager, **choices)
        self.is_proven = False  # whether a request of this connection came from somebody known
        self.asked_at = 0.0  # when the last of its requests was handled, by the loop's clock; infinity while one is

    def handle_error(
        self,
        request: web.BaseRequest,
        status: int = 500,
        exc: BaseException | None = None,
        message: str | None = None,
    ) -> web.StreamResponse:
        """The answer to what is no HTTP, or to a defect; nothing received is quoted."""
        super().handle_error(request, status, exc, message)  # logs, and knows when no answer can be sent any more
        fault = document(RequestMalformed.told, RequestMalformed.code)
        response = response_of(defect_reply() if status >= 500 else Reply(status=status, body=fault))
        response.force_close()
        return response


class Conversations(web.Server):
    """Makes one for each connection."""

    def __init__(self, answer: Answer, *, idle_max_s: float) -> None:
        self._choices: dict[str, Any] = {
            "logger": RequestLog(),
            "access_log": None,
            "keepalive_timeout": idle_max_s,
            "lingering_time": LINGER_MAX_S,
            "max_line_size": LINE_MAX_BYTES,
            "max_field_size": HEADER_MAX_BYTES,
            "max_headers": HEADERS_MAX,
            "auto_decompress": False,  # a few bytes must not become many
        }
        super().__init__(self._answered, **self._choices)
        self._answer = answer

    def __call__(self) -> Conversation:
        return Conversation(self, loop=self._loop, **self._choices)

    async def _answered(self, request: web.BaseRequest) -> web.StreamResponse:
        conversation = request.protocol
        assert isinstance(conversation, Conversation)
        conversation.asked_at = math.inf
        try:
            return await self._answer(request)
        finally:
            conversation.asked_at = self._loop.time()
