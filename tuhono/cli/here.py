"""The operations of the management API on the databases here, run in this process."""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any
from urllib.parse import parse_qs, unquote, urlsplit

import msgspec

from kernel.exchange import Exchange, Route, Router, names_in
from tenant.operators import LocalCaller
from tuhono.cli.remote import RemoteAnswer


class LocalApi:
    """Answers as a gateway would to whoever is at this machine, who may do everything."""

    def __init__(self, routes: Sequence[Route], *, caller: LocalCaller) -> None:
        self._router = Router(routes)
        self._caller = caller

    def send(
        self,
        method: str,
        path: str,
        *,
        document: Any = None,
        body: bytes | None = None,
        content_type: str = "application/json",
        if_match: str | None = None,
    ) -> RemoteAnswer:
        """Raises what the operation refuses."""
        parts = urlsplit(path)
        found = self._router.find([unquote(segment) for segment in parts.path.removeprefix("/").split("/")])
        assert found is not None, f"no route of {parts.path}"
        methods, taken = found
        route = methods[method]
        exchange = Exchange(
            method=method,
            path=dict(zip(names_in(route.path), taken, strict=True)),
            query=parse_qs(parts.query, keep_blank_values=True),
            headers={} if if_match is None else {"if-match": if_match},
            body=body if body is not None else b"" if document is None else json.dumps(document).encode(),
            caller=self._caller,
        )
        reply = route.handler(exchange)
        content = reply.body if isinstance(reply.body, bytes) else msgspec.json.encode(reply.body)
        headers = {name.lower(): value for name, value in reply.headers.items()}
        return RemoteAnswer(headers=headers, content=b"" if reply.body is None else content)
