"""One request at a time to the management API of a gateway elsewhere, its refusals in this project's own kinds."""

from __future__ import annotations

import http.client
import json
import ssl
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlsplit

from kernel.errors import Conflict, Forbidden, LimitExceeded, Malformed, NotFound, Refused, TuhonoError, VersionMismatch
from tenant.operator_errors import BadCredentials
from tuhono.cli.errors import GatewayUnreachable, UrlInvalid

ANSWER_MAX_S = 30.0
ANSWER_MAX_BYTES = 64 * 1024 * 1024
PORT = 28443
LOOPBACK = frozenset({"localhost", "127.0.0.1", "::1"})  # where plain HTTP tells nobody anything
KINDS: dict[int, type[TuhonoError]] = {
    400: Malformed,
    401: BadCredentials,
    403: Forbidden,
    404: NotFound,
    409: Conflict,
    412: VersionMismatch,
    429: LimitExceeded,
    503: GatewayUnreachable,
}


def origin_of(url: str) -> str:
    """Scheme, host and port. Raises UrlInvalid."""
    try:
        parts = urlsplit(url if "://" in url else f"https://{url}")
        host, port = parts.hostname, parts.port
    except ValueError as fault:
        raise UrlInvalid(f"{url!r} is no URL: {fault}") from fault
    if not host or parts.username is not None or parts.path not in {"", "/"} or parts.query or parts.fragment:
        raise UrlInvalid(f"{url!r} is not of the form https://HOST[:PORT]")
    if parts.scheme != "https" and not (parts.scheme == "http" and host in LOOPBACK):
        raise UrlInvalid(f"{url!r}: credentials go over https only")
    named = f"[{host}]" if ":" in host else host
    return f"{parts.scheme}://{named}:{PORT if port is None else port}"


@dataclass(frozen=True, slots=True, kw_only=True)
class RemoteAnswer:
    """What a gateway answered that refused nothing. Names of headers are in lower case."""

    headers: Mapping[str, str]
    content: bytes

    @property
    def json(self) -> Any:
        """Raises GatewayUnreachable for what no gateway would say."""
        try:
            return json.loads(self.content)
        except ValueError as fault:
            raise GatewayUnreachable("what answers there is no gateway") from fault

    @property
    def etag(self) -> str:
        return self.headers.get("etag", "")


class Remote:
    """A gateway under an origin, recognised by that CA, or by those of the system."""

    def __init__(self, origin: str, *, ca_pem: str | None = None) -> None:
        """Raises UrlInvalid for a CA that is none."""
        parts = urlsplit(origin)
        self._origin = origin
        self._host, self._port = parts.hostname or "", parts.port or PORT
        self._context: ssl.SSLContext | None = None
        if parts.scheme == "https":
            try:
                self._context = ssl.create_default_context(cadata=ca_pem)
            except (ssl.SSLError, ValueError) as fault:
                raise UrlInvalid(f"what was given as CA is none: {fault}") from fault

    def ask(self, method: str, path: str, *, authorization: str, document: Any = None) -> Any:
        """The JSON answered; None where there is no body. Raises GatewayUnreachable, or what the gateway refuses."""
        headers = {"Authorization": authorization}
        body = None
        if document is not None:
            body = json.dumps(document).encode()
            headers["Content-Type"] = "application/json"
        answer = self.send(method, path, headers=headers, body=body)
        return answer.json if answer.content else None

    def send(self, method: str, path: str, *, headers: Mapping[str, str], body: bytes | None = None) -> RemoteAnswer:
        """Raises GatewayUnreachable, or what the gateway refuses."""
        try:
            status, answer = self._exchange(method, path, body, {"Accept": "application/json", **headers})
        except (OSError, http.client.HTTPException, ValueError) as fault:
            raise GatewayUnreachable(f"{self._origin} does not answer: {fault}") from fault
        if status >= 400:
            raise _refusal(status, answer.content)
        return answer

    def _exchange(
        self, method: str, path: str, body: bytes | None, headers: dict[str, str]
    ) -> tuple[int, RemoteAnswer]:
        if self._context is None:
            connection = http.client.HTTPConnection(self._host, self._port, timeout=ANSWER_MAX_S)
        else:
            connection = http.client.HTTPSConnection(
                self._host, self._port, timeout=ANSWER_MAX_S, context=self._context
            )
        try:
            connection.request(method, path, body=body, headers=headers)
            answer = connection.getresponse()
            told = {name.lower(): value for name, value in answer.getheaders()}
            return answer.status, RemoteAnswer(headers=told, content=answer.read(ANSWER_MAX_BYTES))
        finally:
            connection.close()


def _refusal(status: int, content: bytes) -> TuhonoError:
    """In the kind that has this status, with the gateway's words."""
    kind = KINDS.get(status, Refused)
    try:
        said = json.loads(content)
        refusal = kind(str(said["error"]))
        refusal.code = str(said["code"])  # type: ignore[misc]  # the closer word, which this one request is about
        return refusal
    except (ValueError, KeyError, TypeError):
        return kind(f"the gateway answered {status}")
