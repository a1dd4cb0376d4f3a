"""The management listener: health and metrics over HTTPS, and over plain HTTP where a port is set for that.

Owns the routes and the form of every answer. It needs no credentials and shows no secret: names of tenants
are the most it tells, in the labels of metrics.
"""

import asyncio
import ssl
from collections.abc import Awaitable, Callable
from pathlib import Path

from aiohttp import web

from conf.management import ManagementSettings
from kernel.meters import Meters
from management.health import Health, HealthChecks
from management.listener import BoundedListener
from management.metrics import CONTENT_TYPE, Exposition
from management.request_log import RequestLog
from management.tls import server_context

LINE_MAX_BYTES = 4096  # request line, and each header
HEADERS_MAX = 64
BODY_MAX_BYTES = 65_536
IDLE_MAX_S = 30.0
ANSWER_MAX_S = 2.0  # for answers under way when the listener closes

Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]


class ManagementServer:
    """Serves `/liveness`, `/readiness`, `/metrics` and `/prometheus`, and nothing else."""

    def __init__(
        self,
        *,
        settings: ManagementSettings,
        certificate_file: Path,
        key_file: Path,
        meters: Meters,
        health: HealthChecks,
        component_name: str = "tuhono",
    ) -> None:
        self._settings = settings
        self._certificate_file = certificate_file
        self._key_file = key_file
        self._health = health
        self._exposition = Exposition(meters=meters, component_name=component_name)
        self._rendering = asyncio.Lock()  # one page at a time, however many ask
        self._context: ssl.SSLContext | None = None
        self._runner: web.AppRunner | None = None
        self._secure: BoundedListener | None = None
        self._insecure: BoundedListener | None = None

    @property
    def port(self) -> int:
        """The port of HTTPS, once started."""
        assert self._secure is not None, "not started"
        return self._secure.port

    @property
    def insecure_port(self) -> int | None:
        """The port of plain HTTP, once started; None where none is set."""
        return self._insecure.port if self._insecure is not None else None

    async def start(self) -> None:
        """Listen. Raises ManagementCertificateUnusable or ManagementPortUnavailable, and then holds nothing."""
        self.reload_certificate()
        runner = web.AppRunner(
            self._application(),
            handle_signals=False,
            access_log=None,
            logger=RequestLog(),
            keepalive_timeout=IDLE_MAX_S,
            shutdown_timeout=ANSWER_MAX_S,
            max_line_size=LINE_MAX_BYTES,
            max_field_size=LINE_MAX_BYTES,
            max_headers=HEADERS_MAX,
        )
        self._runner = runner
        await runner.setup()
        try:
            self._secure = await self._listen(runner, self._settings.port, lambda: self._context)
            if self._settings.insecure_port is not None:
                self._insecure = await self._listen(runner, self._settings.insecure_port, lambda: None)
        except BaseException:
            await self.close()
            raise

    def reload_certificate(self) -> None:
        """Read certificate and key again; the next handshake shows them, open connections stay.

        Raises ManagementCertificateUnusable and then keeps what it had.
        """
        self._context = server_context(self._certificate_file, self._key_file)

    async def close(self) -> None:
        """Let answers under way finish, within ANSWER_MAX_S, then close. Safe to repeat."""
        runner, self._runner = self._runner, None
        if runner is not None:
            await runner.cleanup()
        for listener in (self._secure, self._insecure):
            if listener is not None:
                await listener.close()

    async def _listen(
        self, runner: web.AppRunner, port: int, context: Callable[[], ssl.SSLContext | None]
    ) -> BoundedListener:
        server = runner.server
        assert server is not None
        listener = BoundedListener(host=self._settings.host, port=port, handler=server, context=context)
        await listener.start()
        return listener

    def _application(self) -> web.Application:
        application = web.Application(middlewares=[_plain_errors], client_max_size=BODY_MAX_BYTES)
        application.on_response_prepare.append(_headers)
        application.router.add_get("/liveness", self._liveness)
        application.router.add_get("/readiness", self._readiness)
        application.router.add_get("/metrics", self._metrics)
        application.router.add_get("/prometheus", self._metrics)
        return application

    async def _liveness(self, _: web.Request) -> web.Response:
        return _answer(self._health.liveness())

    async def _readiness(self, _: web.Request) -> web.Response:
        return _answer(self._health.readiness())

    async def _metrics(self, _: web.Request) -> web.Response:
        async with self._rendering:
            page = await asyncio.to_thread(self._exposition.render, self._exposition.snapshot())
        return web.Response(body=page, headers={"Content-Type": CONTENT_TYPE})


def _answer(health: Health) -> web.Response:
    return web.json_response(health.document(), status=200 if health.is_up else 503)


@web.middleware
async def _plain_errors(request: web.Request, handler: Handler) -> web.StreamResponse:
    """What aiohttp refuses, in the form of every other error."""
    try:
        return await handler(request)
    except web.HTTPException as refusal:
        headers = {"Allow": refusal.headers["Allow"]} if "Allow" in refusal.headers else None
        error = "resource not found" if refusal.status == 404 else refusal.reason.lower()
        return web.json_response({"error": error}, status=refusal.status, headers=headers)


async def _headers(_: web.Request, response: web.StreamResponse) -> None:
    response.headers["Server"] = "Tuhono"  # not which version of which library
    response.headers["Cache-Control"] = "no-store"
    response.headers["X-Content-Type-Options"] = "nosniff"
