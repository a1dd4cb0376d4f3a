"""Requests to the management API of one gateway as one operator."""

import json
from typing import Any

from tenant.search import Query
from tuhono.cli.remote import Remote, RemoteAnswer


class RemoteApi:
    """A gateway, and what proves the operator."""

    def __init__(self, remote: Remote, *, authorization: str) -> None:
        self._remote = remote
        self._authorization = authorization

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
        """Raises GatewayUnreachable, and what the gateway refuses."""
        headers = {"Authorization": self._authorization}
        if if_match is not None:
            headers["If-Match"] = if_match
        if document is not None:
            body = json.dumps(document).encode()
        if body is not None:
            headers["Content-Type"] = content_type
        return self._remote.send(method, path, headers=headers, body=body)


def search_of(query: Query) -> list[tuple[str, str]]:
    """The query parameters of a search."""
    asked = [("pageSize", str(query.page_size)), ("pageOffset", str(query.page_offset))]
    for wanted in query.filters:
        asked.append(("filterJson", json.dumps({"field": _pointer(wanted.pointer), "value": wanted.value})))
    for order in query.sorts:
        direction = "desc" if order.descending else "asc"
        asked.append(("sortJson", json.dumps({"field": _pointer(order.pointer), "direction": direction})))
    if query.is_gateway is not None:
        asked.append(("isGateway", "true" if query.is_gateway else "false"))
    return asked


def _pointer(words: tuple[str, ...]) -> str:
    return "".join("/" + word.replace("~", "~0").replace("/", "~1") for word in words)
