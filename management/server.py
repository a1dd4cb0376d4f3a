"""The management listener: the registry API, health and metrics over HTTPS, and over plain HTTP where that is set.

Owns what is served outside of the API, and who may read the metrics: they show no secret, but names of tenants.
Health needs no credentials and names nothing.
"""

import asyncio
import logging
import ssl
from collections.abc import Callable
from ipaddress import ip_address
from pathlib import Path

from aiohttp import web

from conf.management import ManagementSettings
from kernel.errors import TuhonoError
from kernel.exchange import Need, Reply
from kernel.meters import Meters
from management.answers import response_of
from management.api import ManagementApi
from management.conversation import Conversations
from management.errors import MethodUnknown, PathUnknown
from management.health import Health, HealthChecks
from management.listener import BoundedListener
from management.metrics import CONTENT_TYPE, Exposition
from management.tls import server_context

log = logging.getLogger(__name__)

IDLE_MAX_S = 60.0  # hono-registry 1.1.1
ANSWER_MAX_S = 2.0  # for answers under way when the listener closes
OWN = frozenset({"/liveness", "/readiness", "/metrics", "/prometheus"})
OWN_METHODS = ("GET", "HEAD")


class ManagementServer:
    """Serves `/liveness`, `/readiness`, `/metrics`, `/prometheus`, and what the API has routes for."""

    def __init__(
        self,
        *,
        settings: ManagementSettings,
        certificate_file: Path,
        key_file: Path,
        api: ManagementApi,
        meters: Meters,
        health: HealthChecks,
        component_name: str = "tuhono",
    ) -> None:
        self._settings = settings
        self._certificate_file = certificate_file
        self._key_file = key_file
        self._api = api
        self._health = health
        self._exposition = Exposition(meters=meters, component_name=component_name)
        self._rendering = asyncio.Lock()  # one page at a time, however many ask
        self._context: ssl.SSLContext | None = None
        self._servers: list[Conversations] = []
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
        try:
            self._secure = await self._listen(self._settings.port, lambda: self._context, with_api=True)
            if self._settings.insecure_port is not None:
                with_api = self._settings.insecure_api
                if with_api:
                    log.warning("management.api-unencrypted")  # credentials go over the wire as they are
                self._insecure = await self._listen(self._settings.insecure_port, lambda: None, with_api=with_api)
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
        servers, self._servers = self._servers, []
        for server in servers:
            server.pre_shutdown()
        await asyncio.gather(*(server.shutdown(ANSWER_MAX_S) for server in servers))
        for listener in (self._secure, self._insecure):
            if listener is not None:
                await listener.close()
        self._api.close()

    async def _listen(
        self, port: int, context: Callable[[], ssl.SSLContext | None], *, with_api: bool
    ) -> BoundedListener:
        server = Conversations(self._answer if with_api else self._answer_without_api, idle_max_s=IDLE_MAX_S)
        listener = BoundedListener(
            host=self._settings.host,
            port=port,
            handler=server,
            context=context,
            connections_max=self._settings.connections_max,
        )
        await listener.start()
        self._servers.append(server)
        return listener

    async def _answer(self, request: web.BaseRequest) -> web.StreamResponse:
        answer = await self._own(request)
        return await self._api.answer(request) if answer is None else answer

    async def _answer_without_api(self, request: web.BaseRequest) -> web.StreamResponse:
        answer = await self._own(request)
        return self._api.refusal(request, PathUnknown()) if answer is None else answer

    async def _own(self, request: web.BaseRequest) -> web.StreamResponse | None:
        """The answer to what is no matter of the API; None for anything else."""
        path, _, _ = request.raw_path.partition("?")
        if path not in OWN:
            return None
        if request.method not in OWN_METHODS:
            return self._api.refusal(request, MethodUnknown(OWN_METHODS))
        if path == "/liveness":
            return _told(self._health.liveness())
        return _told(self._health.readiness()) if path == "/readiness" else await self._metrics(request)

    async def _metrics(self, request: web.BaseRequest) -> web.StreamResponse:
        if not self._is_open_to(request.remote):
            try:
                await self._api.authorize(request, Need.READ)
            except TuhonoError as error:
                return self._api.refusal(request, error)
        async with self._rendering:
            page = await asyncio.to_thread(self._exposition.render, self._exposition.snapshot())
        return response_of(Reply(body=page, content_type=CONTENT_TYPE))

    def _is_open_to(self, remote: str | None) -> bool:
        open_to = self._settings.metrics_open_to
        return open_to == "everyone" or (open_to == "loopback" and remote is not None and _is_here(remote))


def _is_here(remote: str) -> bool:
    try:
        address = ip_address(remote.partition("%")[0])
    except ValueError:
        return False
    mapped = getattr(address, "ipv4_mapped", None)
    return (mapped or address).is_loopback


def _told(health: Health) -> web.StreamResponse:
    return response_of(Reply(status=200 if health.is_up else 503, body=health.document()))
