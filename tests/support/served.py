"""A management server in this process, with the routes a test gives it and operators who say who they are."""

import asyncio
import ssl
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from functools import cache
from pathlib import Path
from typing import Any

import aiohttp

from conf.management import ManagementSettings
from kernel.clock import SystemClock
from kernel.exchange import Route
from kernel.meters import Meters
from management.api import ManagementApi
from management.cors import Cors
from management.health import HealthChecks
from management.server import ManagementServer
from management.workers import Workers
from tests.support.believer import Believer
from tests.support.certificates import Issued, make_ca, make_server

DEADLINE_S = 20.0
ADMIN = {"Authorization": "Bearer admin:*"}


class Management:
    """A server with its CA, its meters and its checks."""

    def __init__(self, folder: Path, routes: Sequence[Route] = (), **settings: Any) -> None:
        self.ca, server = _certificates()
        self.folder = folder
        self.paths = server.write(folder, "server")
        self.meters = Meters()
        self.health = HealthChecks()
        wanted = ManagementSettings(**({"port": 0, "insecure_port": 0, "insecure_api": True} | settings))
        self.workers = Workers(threads_max=wanted.threads_max)
        self.server = ManagementServer(
            settings=wanted,
            certificate_file=self.paths.certificate,
            key_file=self.paths.key,
            api=ManagementApi(
                routes=routes,
                authenticator=Believer(),
                workers=self.workers,
                cors=Cors(wanted.cors_allowed_origin),
                clock=SystemClock(),
                realm=wanted.realm,
                body_max_bytes=wanted.body_max_bytes,
            ),
            meters=self.meters,
            health=self.health,
        )

    @property
    def trust(self) -> ssl.SSLContext:
        return trusting(self.ca)

    async def get(self, path: str, **options: Any) -> tuple[int, str, dict[str, str]]:
        async with aiohttp.ClientSession() as session:
            url = f"https://localhost:{self.server.port}{path}"
            async with session.request(options.pop("method", "GET"), url, ssl=self.trust, **options) as answer:
                return answer.status, await answer.text(), dict(answer.headers)

    async def send(self, request: bytes) -> bytes:
        """The bytes answered to bytes on the plain port, until the server closes."""
        reader, writer = await asyncio.open_connection("127.0.0.1", self.server.insecure_port)
        writer.write(request)
        try:
            return await reader.read()
        finally:
            writer.close()

    async def ask(
        self, method: str, target: str, body: bytes | None = None, headers: Mapping[str, str] = ADMIN
    ) -> bytes:
        """The bytes answered to one request whose target nobody rewrites."""
        length = {} if body is None else {"Content-Length": str(len(body))}
        lines = [f"{method} {target} HTTP/1.1", "Host: x", "Connection: close"]
        lines += [f"{name}: {value}" for name, value in ({**length, **headers}).items()]
        return await self.send("\r\n".join(lines).encode() + b"\r\n\r\n" + (body or b""))


@cache
def _certificates() -> tuple[Issued, Issued]:
    ca = make_ca()
    return ca, make_server(ca)


def trusting(ca: Issued) -> ssl.SSLContext:
    return ssl.create_default_context(cadata=ca.pem.decode())


@asynccontextmanager
async def serving(folder: Path, routes: Sequence[Route] = (), **settings: Any) -> AsyncIterator[Management]:
    management = Management(folder, routes, **settings)
    await management.server.start()
    try:
        async with asyncio.timeout(DEADLINE_S):
            yield management
    finally:
        await management.server.close()
