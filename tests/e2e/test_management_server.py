"""The management listener on real sockets: what it answers, what it refuses, what strangers can hold."""

import asyncio
import ssl
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import aiohttp
import pytest
import uvloop
from aiohttp import web

from kernel.exchange import Answer, Need, Reply, Route
from management.answers import PIECE_BYTES
from management.conversation import Conversations
from management.errors import ManagementCertificateUnusable, ManagementPortUnavailable
from management.listener import BoundedListener
from tests.support.certificates import Paths, make_ca, make_server
from tests.support.served import DEADLINE_S, Management, serving
from tests.support.waiting import until

CONNECTIONS_MAX = 40


async def test_health_is_told_over_https(tmp_path: Path) -> None:
    async with serving(tmp_path) as management:
        reason: list[str | None] = [None]
        management.health.add_readiness("registry", lambda: reason[0])
        assert (await management.get("/liveness"))[:2] == (200, '{"status":"UP","checks":[]}')
        assert (await management.get("/readiness"))[0] == 200
        reason[0] = "storage-unavailable"
        status, text, _ = await management.get("/readiness")
        assert status == 503
        assert '"DOWN"' in text
        assert "storage-unavailable" in text
        assert (await management.get("/liveness"))[0] == 200


@pytest.mark.parametrize("path", ["/metrics", "/prometheus"])
async def test_metrics_hold_our_meters_and_the_process(tmp_path: Path, path: str) -> None:
    async with serving(tmp_path) as management:
        management.meters.counter("hono_connections_attempts", "attempts", tenant="t").add(2)
        status, text, headers = await management.get(path)
        assert status == 200
        assert headers["Content-Type"].startswith("text/plain; version=0.0.4")
        assert 'tenant="t"} 2.0' in text
        assert "process_resident_memory_bytes" in text


@pytest.mark.parametrize(
    ("method", "path", "status"),
    [("GET", "/", 404), ("GET", "/v1/tenants", 404), ("POST", "/liveness", 405), ("GET", "/../etc/passwd", 404)],
)
async def test_nothing_else_is_served(tmp_path: Path, method: str, path: str, status: int) -> None:
    async with serving(tmp_path) as management:
        found, text, headers = await management.get(path, method=method)
        assert found == status
        assert text.startswith('{"error":')
        assert headers["Server"] == "Tuhono"


async def test_plain_http_is_closed_unless_its_port_is_set(tmp_path: Path) -> None:
    async with serving(tmp_path, insecure_port=None) as management:
        assert management.server.insecure_port is None
    async with serving(tmp_path) as management, aiohttp.ClientSession() as session:
        async with session.get(f"http://127.0.0.1:{management.server.insecure_port}/liveness") as answer:
            assert answer.status == 200


@pytest.mark.parametrize(
    "request_bytes",
    [
        b"GET /" + b"a" * 20_000 + b" HTTP/1.1\r\nHost: x\r\n\r\n",
        b"GET /liveness HTTP/1.1\r\nHost: x\r\nX: " + b"a" * 20_000 + b"\r\n\r\n",
        b"GET /liveness HTTP/1.1\r\nHost: x\r\n" + b"A: b\r\n" * 1000 + b"\r\n",
        b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03",
        b"\0" * 1000,
    ],
    ids=["path", "header", "headers", "tls on the plain port", "zeros"],
)
async def test_an_oversize_or_senseless_request_is_refused(tmp_path: Path, request_bytes: bytes) -> None:
    async with serving(tmp_path) as management:
        reader, writer = await asyncio.open_connection("127.0.0.1", management.server.insecure_port)
        writer.write(request_bytes)
        assert (await reader.readline()).startswith((b"HTTP/1.1 400", b"HTTP/1.0 400"))
        writer.close()
        assert (await management.get("/liveness"))[0] == 200


async def test_a_renewed_certificate_serves_from_the_next_handshake_on(tmp_path: Path) -> None:
    async with serving(tmp_path) as management:
        old = management.trust
        management.ca = make_ca("CN=Other CA")
        make_server(management.ca).write(tmp_path, "server")
        management.server.reload_certificate()
        assert (await management.get("/liveness"))[0] == 200
        async with aiohttp.ClientSession() as session:
            with pytest.raises(aiohttp.ClientConnectorCertificateError):
                await session.get(f"https://localhost:{management.server.port}/liveness", ssl=old)


async def test_a_broken_certificate_leaves_the_old_one_serving(tmp_path: Path) -> None:
    async with serving(tmp_path) as management:
        kept = management.paths.key.read_bytes()
        management.paths.key.write_bytes(make_server(make_ca()).key_pem)
        with pytest.raises(ManagementCertificateUnusable):
            management.server.reload_certificate()
        management.paths.key.write_bytes(kept[: len(kept) // 2])
        with pytest.raises(ManagementCertificateUnusable):
            management.server.reload_certificate()
        assert (await management.get("/liveness"))[0] == 200


async def test_a_port_that_is_taken_is_named_and_nothing_stays_open(tmp_path: Path) -> None:
    async with serving(tmp_path) as first:
        second = Management(tmp_path, port=0, insecure_port=first.server.insecure_port)
        with pytest.raises(ManagementPortUnavailable, match=str(first.server.insecure_port)):
            await second.server.start()


async def test_an_address_that_is_not_ours_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ManagementPortUnavailable, match="192.0.2.1"):
        await Management(tmp_path, host="192.0.2.1").server.start()


async def test_connections_that_send_nothing_keep_no_probe_out(tmp_path: Path) -> None:
    async with serving(tmp_path, connections_max=CONNECTIONS_MAX) as management:
        silent = [
            await asyncio.open_connection("127.0.0.1", management.server.port) for _ in range(CONNECTIONS_MAX + 50)
        ]
        assert (await management.get("/liveness"))[0] == 200
        assert await silent[0][0].read() == b""  # the oldest made room
        for _, writer in silent:
            writer.close()


async def test_a_long_answer_nobody_reads_costs_a_piece_of_it(tmp_path: Path) -> None:
    content = bytes(range(256)) * 65_536  # 16 MiB: more than sockets take
    route = Route(
        method="GET",
        path="/long",
        handler=lambda _: Reply(body=content, content_type="application/octet-stream"),
        need=Need.NOTHING,
        tag="t",
        summary="s",
        answers={200: Answer(says="long", content_type="application/octet-stream")},
    )
    async with serving(tmp_path, [route]) as management:
        reader, writer = await asyncio.open_connection("127.0.0.1", management.server.insecure_port)
        writer.write(b"GET /long HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n")
        listener = management.server._insecure
        assert listener is not None

        def unsent() -> int:
            transports = [handler.transport for handler in listener._connections.values()]
            return sum(transport.get_write_buffer_size() for transport in transports if transport is not None)

        await until(unsent)
        assert unsent() < 4 * PIECE_BYTES
        head, _, body = (await reader.read()).partition(b"\r\n\r\n")
        assert body == content
        assert f"content-length: {len(content)}".encode() in head.lower()
        assert b"chunked" not in head.lower()
        writer.close()


async def _hello(_: web.BaseRequest) -> web.StreamResponse:
    return web.Response(text="hello")


@asynccontextmanager
async def listening(**limits: Any) -> AsyncIterator[BoundedListener]:
    server = Conversations(_hello, idle_max_s=60)
    listener = BoundedListener(host="127.0.0.1", port=0, handler=server, **{"context": lambda: None, **limits})
    await listener.start()
    try:
        async with asyncio.timeout(DEADLINE_S):
            yield listener
    finally:
        await server.shutdown(1)
        await listener.close()


async def test_a_request_that_never_ends_loses_its_connection() -> None:
    async with listening(life_max_s=0.2, goodbye_max_s=0.2) as listener:
        reader, writer = await asyncio.open_connection("127.0.0.1", listener.port)
        writer.write(b"GET /liveness HTTP/1.1\r\nHo")
        assert await reader.read() == b""
        writer.close()


async def test_a_handshake_that_never_ends_loses_its_connection(tmp_path: Path) -> None:
    paths: Paths = make_server(make_ca()).write(tmp_path, "server")
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(paths.certificate, paths.key)
    async with listening(handshake_max_s=0.2, context=lambda: context) as listener:
        reader, writer = await asyncio.open_connection("127.0.0.1", listener.port)
        assert await reader.read() == b""
        writer.close()


async def test_closing_ends_open_connections_and_may_be_repeated(tmp_path: Path) -> None:
    management = Management(tmp_path)
    await management.server.start()
    reader, writer = await asyncio.open_connection("127.0.0.1", management.server.insecure_port)
    async with asyncio.timeout(DEADLINE_S):
        await management.server.close()
        assert await reader.read() == b""
    writer.close()
    await management.server.close()


def test_it_serves_on_uvloop_too(tmp_path: Path) -> None:
    async def story() -> None:
        async with serving(tmp_path) as management:
            assert (await management.get("/readiness"))[0] == 200
            reader, writer = await asyncio.open_connection("127.0.0.1", management.server.port)
            writer.write(b"not TLS at all, not even nearly\r\n\r\n")
            await reader.read()
            writer.close()
            assert (await management.get("/metrics"))[0] == 200

    new_loop: Callable[[], asyncio.AbstractEventLoop] = uvloop.new_event_loop
    with asyncio.Runner(loop_factory=new_loop) as runner:
        runner.run(story())
