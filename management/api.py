"""Answers requests of the management API: finds the route, proves the caller, reads the body, runs the handler.

The order of the checks is the contract's (hono-registry 1.1): path, pre-flight, method, who asks, whether the tenant
exists for them, what they may do, the body's size, its content type; then the handler, in a thread. Handlers know
nothing of HTTP; refusals are spelled in management/refusals.py.

A request of somebody unproven is logged at debug level alone: strangers must not fill the log.
"""

import logging
from collections.abc import Mapping, Sequence

from aiohttp import web

from kernel.clock import Clock
from kernel.errors import TuhonoError
from kernel.exchange import Caller, Exchange, Need, Reply, Route, Router, names_in
from kernel.log import fields
from management.answers import response_of, spelled
from management.bodies import check_body, read_body
from management.conversation import Conversation
from management.cors import Cors, is_preflight
from management.errors import (
    BodyBroken,
    BodyTooLarge,
    BodyTooSlow,
    ExpectationUnknown,
    HeaderRepeated,
    MethodUnknown,
    PathUnknown,
    RoleTooSmall,
)
from management.ports import Authenticator
from management.refusals import defect_reply, reply_of
from management.targets import Target, parse_target
from management.workers import Workers
from tenant.errors import TenantUnknown

log = logging.getLogger(__name__)

ONCE = ("Authorization", "Content-Type", "If-Match", "Content-Encoding", "Expect")
LEAVES_BODY_UNREAD = (BodyBroken, BodyTooLarge, BodyTooSlow, ExpectationUnknown)


class ManagementApi:
    """The routes of all dialects behind one door."""

    def __init__(
        self,
        *,
        routes: Sequence[Route],
        authenticator: Authenticator,
        workers: Workers,
        cors: Cors,
        clock: Clock,
        realm: str,
        body_max_bytes: int,
    ) -> None:
        self._router = Router(routes)
        self._authenticator = authenticator
        self._workers = workers
        self._cors = cors
        self._clock = clock
        quoted = realm.replace("\\", "\\\\").replace('"', '\\"')
        self._challenges = (f'Basic realm="{quoted}"', f'Bearer realm="{quoted}"')
        self._body_max_bytes = body_max_bytes

    async def answer(self, request: web.BaseRequest) -> web.StreamResponse:
        """The answer to a request, whatever becomes of it."""
        asked = _Asked(request, self._clock)
        must_close = False
        try:
            reply = await self._reply(asked)
        except TuhonoError as error:
            reply = reply_of(error)
            must_close = isinstance(error, LEAVES_BODY_UNREAD) or "Expect" in request.headers
            if reply.status == 500:
                log.exception("management.request-failed", extra=fields(**asked.facts()))
        except Exception:
            log.exception("management.request-failed", extra=fields(**asked.facts()))
            reply = defect_reply()
        asked.log(reply.status)
        return self._response(asked, reply, must_close=must_close)

    def close(self) -> None:
        """Begin no further handlers, prove nobody."""
        self._workers.close()
        self._authenticator.close()

    async def authorize(self, request: web.BaseRequest, need: Need) -> None:
        """Let nobody pass who may not do that in every tenant. Raises Unauthenticated, RoleTooSmall and the like."""
        caller = await self._authenticator.authenticate(_headers(request), request.remote or "")
        _remember(request)
        if caller.tenants is not None or caller.allowed < need:
            raise RoleTooSmall("this is for operators of all tenants")

    def refusal(self, request: web.BaseRequest, error: TuhonoError) -> web.StreamResponse:
        """The answer that tells of an error outside of any route."""
        return self._response(_Asked(request, self._clock), reply_of(error))

    async def _reply(self, asked: "_Asked") -> Reply:
        if asked.request.method == "OPTIONS" and asked.request.raw_path == "*":
            return Reply(status=204)
        target = parse_target(asked.request.raw_path)
        found = self._router.find(target.segments)
        if found is None:
            raise PathUnknown()
        methods, taken = found
        asked.methods = methods
        asked.any_origin = any(route.any_origin for route in methods.values())
        if asked.request.method == "OPTIONS":
            return self._options(asked)
        route = methods.get("GET" if asked.request.method == "HEAD" else asked.request.method)
        if route is None:
            raise MethodUnknown(_allowed(methods))
        asked.route = route
        asked.any_origin = route.any_origin
        return await self._run(asked, route, dict(zip(names_in(route.path), taken, strict=True)), target)

    def _options(self, asked: "_Asked") -> Reply:
        headers = {"Allow": ", ".join(_allowed(asked.methods))}
        if asked.any_origin and is_preflight("OPTIONS", _headers(asked.request)):
            headers |= self._cors.preflight([name for name, route in asked.methods.items() if route.any_origin])
        return Reply(status=204, headers=headers)

    async def _run(self, asked: "_Asked", route: Route, path: Mapping[str, str], target: Target) -> Reply:
        request = asked.request
        for name in ONCE:
            if len(request.headers.getall(name, ())) > 1:
                raise HeaderRepeated(f"the header {name} may come once")
        headers, remote = _headers(request), request.remote or ""
        if route.need is not Need.NOTHING:
            asked.caller = await self._authenticator.authenticate(headers, remote)
            _remember(request)
            _check_reach(asked.caller, route, path)
        maximum = self._body_max_bytes if route.body_max_bytes is None else route.body_max_bytes
        body = await read_body(request, max_bytes=maximum)
        if route.body is not None:
            content_type = headers.get("content-type")
            check_body(body, content_type=content_type, wanted=route.body_content_type, required=route.body_required)
        exchange = Exchange(
            method=route.method,
            path=path,
            query=target.query,
            headers=headers,
            body=body if route.body is not None else b"",
            remote=remote,
            caller=asked.caller,
        )
        return await self._workers.run(lambda: spelled(route.handler(exchange)))

    def _response(self, asked: "_Asked", reply: Reply, *, must_close: bool = False) -> web.StreamResponse:
        response = response_of(reply)
        if reply.status == 401:
            for challenge in self._challenges:
                response.headers.add("WWW-Authenticate", challenge)
        if asked.any_origin and "Origin" in asked.request.headers and asked.request.method != "OPTIONS":
            response.headers.update(self._cors.answer())
        if must_close:
            response.force_close()
        return response


class _Asked:
    """A request, and what is known of it so far."""

    def __init__(self, request: web.BaseRequest, clock: Clock) -> None:
        self.request = request
        self.methods: Mapping[str, Route] = {}
        self.any_origin = True
        self.route: Route | None = None
        self.caller: Caller | None = None
        self._clock = clock
        self._since = clock.monotonic()

    def facts(self) -> dict[str, object]:
        return {
            "method": self.request.method,
            "route": None if self.route is None else self.route.path,
            "caller": None if self.caller is None else self.caller.name,
            "remote": self.request.remote,
        }

    def log(self, status: int) -> None:
        level = logging.DEBUG if self.caller is None else logging.INFO
        if log.isEnabledFor(level):
            ms = round(1000 * (self._clock.monotonic() - self._since), 1)
            log.log(level, "management.request-answered", extra=fields(**self.facts(), status=status, ms=ms))


def _remember(request: web.BaseRequest) -> None:
    """That the peer of this connection is no stranger: it does not make room for one."""
    if isinstance(request.protocol, Conversation):
        request.protocol.is_proven = True


def _check_reach(caller: Caller, route: Route, path: Mapping[str, str]) -> None:
    """Raises TenantUnknown for a tenant that does not exist for the caller, RoleTooSmall."""
    if route.tenant_in is not None and caller.tenants is not None and path[route.tenant_in] not in caller.tenants:
        raise TenantUnknown(f"there is no tenant {path[route.tenant_in]!r}")
    if caller.allowed < route.need:
        raise RoleTooSmall(f"this needs an operator who may {route.need.name.lower()}")


def _allowed(methods: Mapping[str, Route]) -> Sequence[str]:
    return [*methods, *(["HEAD"] if "GET" in methods else []), "OPTIONS"]


def _headers(request: web.BaseRequest) -> dict[str, str]:
    """By name in lower case; bytes that are no UTF-8 become question marks."""
    found: dict[str, str] = {}
    for name, value in request.headers.items():
        key, text = name.lower(), value.encode(errors="surrogateescape").decode(errors="replace")
        found[key] = f"{found[key]}, {text}" if key in found else text
    return found
