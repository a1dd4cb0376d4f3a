"""Routes of dialects behind the management listener: who is asked, what is checked, how it is answered."""

import asyncio
import gc
import json
import logging
import threading
import weakref
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest

from kernel.errors import (
    Conflict,
    LimitExceeded,
    Malformed,
    NotFound,
    TooLarge,
    TuhonoError,
    Unauthenticated,
    Unavailable,
    VersionMismatch,
)
from kernel.exchange import Answer, Exchange, Need, Reply, Route
from tests.support.served import ADMIN, Management, serving
from tests.support.waiting import until

REQUIRED: dict[str, Any] = {"body": dict, "body_required": True}
JSON_TYPE = {"Content-Type": "application/json"}


class Thing:
    """A handler that shows what it was asked, or raises what it is told to."""

    def __init__(self) -> None:
        self.asked: list[Exchange] = []
        self.error: Exception | None = None
        self.reply = Reply(body={"ok": True}, headers={"ETag": "1"})

    def __call__(self, exchange: Exchange) -> Reply:
        self.asked.append(exchange)
        if self.error is not None:
            raise self.error
        return self.reply

    def routes(self) -> list[Route]:
        return [
            self.route("POST", "/v1/tenants", Need.ADMINISTER, body=dict),
            self.route("GET", "/v1/tenants", Need.READ),
            self.route("GET", "/v1/tenants/{tenantId}", Need.READ, tenant_in="tenantId"),
            self.route(
                "PUT", "/v1/tenants/{tenantId}", Need.WRITE, tenant_in="tenantId", body=dict, body_required=True
            ),
            self.route("DELETE", "/v1/tenants/{tenantId}", Need.ADMINISTER, tenant_in="tenantId"),
            self.route("POST", "/tuhono/v1/token", Need.NOTHING, body=dict, any_origin=False, body_max_bytes=10),
        ]

    def route(self, method: str, path: str, need: Need, **more: Any) -> Route:
        answers = {200: Answer(says="done")}
        return Route(
            method=method, path=path, handler=self, need=need, tag="things", summary="a thing", answers=answers, **more
        )


@pytest.fixture
def thing() -> Thing:
    return Thing()


def taken_apart(raw: bytes) -> tuple[int, dict[str, str], bytes]:
    head, _, body = raw.partition(b"\r\n\r\n")
    lines = head.decode().split("\r\n")
    headers: dict[str, str] = {}
    for line in lines[1:]:
        name, _, value = line.partition(": ")
        key = name.lower()
        headers[key] = f"{headers[key]}, {value}" if key in headers else value
    return int(lines[0].split()[1]), headers, body


async def asked(
    management: Management,
    method: str,
    target: str,
    body: bytes | None = None,
    headers: Mapping[str, str] = ADMIN,
) -> tuple[int, dict[str, str], Any]:
    status, found, said = taken_apart(await management.ask(method, target, body, headers))
    if status >= 400 and method != "HEAD":
        assert found["content-type"] == "application/json; charset=utf-8"
        document = json.loads(said)
        assert document["error"] and document["code"]
        return status, found, document
    return status, found, json.loads(said) if said else None


async def test_a_handler_is_asked_with_everything_decoded(tmp_path: Path, thing: Thing) -> None:
    async with serving(tmp_path, thing.routes()) as management:
        status, headers, said = await asked(
            management, "GET", "/v1/tenants/a%2Fb?x=1&x=2+3", headers=ADMIN | {"X-Y": "z"}
        )
    assert (status, said, headers["etag"]) == (200, {"ok": True}, "1")
    assert headers["content-type"] == "application/json; charset=utf-8"
    [exchange] = thing.asked
    assert exchange.path == {"tenantId": "a/b"}
    assert exchange.query == {"x": ["1", "2 3"]}
    assert (exchange.method, exchange.headers["x-y"], exchange.remote) == ("GET", "z", "127.0.0.1")
    assert exchange.caller is not None and exchange.caller.name == "admin"


async def test_head_is_get_without_its_body(tmp_path: Path, thing: Thing) -> None:
    async with serving(tmp_path, thing.routes()) as management:
        status, headers, said = await asked(management, "HEAD", "/v1/tenants/t")
    assert (status, said, headers["etag"]) == (200, None, "1")
    assert thing.asked[0].method == "GET"


async def test_an_answer_without_content_has_no_body_and_no_type(tmp_path: Path, thing: Thing) -> None:
    thing.reply = Reply(status=204)
    async with serving(tmp_path, thing.routes()) as management:
        status, headers, said = await asked(management, "DELETE", "/v1/tenants/t")
    assert (status, said) == (204, None)
    assert "content-type" not in headers


@pytest.mark.parametrize(
    ("method", "target", "status", "code"),
    [
        ("GET", "/", 404, "path-unknown"),
        ("GET", "/v1/tenants/", 404, "path-unknown"),
        ("GET", "/v1//tenants", 404, "path-unknown"),
        ("GET", "/v1/tenants/t/x", 404, "path-unknown"),
        ("GET", "/V1/tenants", 404, "path-unknown"),
        ("PATCH", "/v1/tenants", 405, "method-unknown"),
        ("PROPFIND", "/v1/tenants", 405, "method-unknown"),
        ("BREW", "/v1/tenants", 400, "request-malformed"),
        ("TRACE", "/v1/tenants", 405, "method-unknown"),
        ("GET", "/v1/tenants/%zz", 400, "target-malformed"),
        ("GET", "/v1/tenants/..", 400, "target-malformed"),
        ("GET", "/v1/tenants/a%00b", 400, "target-malformed"),
        ("DELETE", "/liveness", 405, "method-unknown"),
    ],
)
async def test_what_is_not_served_is_said_without_asking_who(
    tmp_path: Path, thing: Thing, method: str, target: str, status: int, code: str
) -> None:
    async with serving(tmp_path, thing.routes()) as management:
        found, headers, said = await asked(management, method, target, headers={})
    assert (found, said["code"]) == (status, code)
    if found == 405:
        assert {"GET", "HEAD"} <= set(headers["allow"].split(", "))
    assert thing.asked == []


async def test_nobody_gets_in_without_credentials(tmp_path: Path, thing: Thing) -> None:
    async with serving(tmp_path, thing.routes(), realm='the "realm"') as management:
        for authorization in ({}, {"Authorization": "Basic bm9ib2R5Og=="}, {"Authorization": ""}):
            status, headers, said = await asked(management, "GET", "/v1/tenants", headers=authorization)
            assert (status, said["error"]) == (401, "bad credentials")
            realm = '"the \\"realm\\""'
            assert headers["www-authenticate"] == f"Basic realm={realm}, Bearer realm={realm}"
        status, _, said = await asked(management, "POST", "/tuhono/v1/token", headers={})
        assert (status, said) == (200, {"ok": True})
    assert thing.asked[0].caller is None


@pytest.mark.parametrize(
    ("operator", "method", "target", "status"),
    [
        ("viewer:*", "GET", "/v1/tenants/t", 200),
        ("viewer:*", "PUT", "/v1/tenants/t", 403),
        ("editor:*", "PUT", "/v1/tenants/t", 200),
        ("editor:*", "DELETE", "/v1/tenants/t", 403),
        ("admin:t,u", "DELETE", "/v1/tenants/t", 200),
        ("admin:t,u", "GET", "/v1/tenants/x", 404),
        ("viewer:t", "DELETE", "/v1/tenants/x", 404),
        ("viewer:t", "DELETE", "/v1/tenants/t", 403),
        ("viewer:t", "GET", "/v1/tenants", 200),
    ],
)
async def test_a_role_and_the_tenants_it_reaches_decide(
    tmp_path: Path, thing: Thing, operator: str, method: str, target: str, status: int
) -> None:
    headers = {"Authorization": f"Bearer {operator}", "Content-Type": "application/json"}
    async with serving(tmp_path, thing.routes()) as management:
        found, _, said = await asked(management, method, target, b"{}", headers=headers)
    assert found == status
    assert len(thing.asked) == (status == 200)
    if status >= 400:
        assert said["code"] == {403: "role-too-small", 404: "tenant-unknown"}[status]


@pytest.mark.parametrize(
    ("method", "target", "body", "content_type", "status", "code"),
    [
        ("POST", "/v1/tenants", None, None, 200, None),
        ("POST", "/v1/tenants", b"", None, 200, None),
        ("POST", "/v1/tenants", b"", "text/plain", 200, None),
        ("POST", "/v1/tenants", b"{}", "Application/JSON; charset=utf-8", 200, None),
        ("POST", "/v1/tenants", b"{}", None, 400, "content-type-wrong"),
        ("POST", "/v1/tenants", b"a=b", "application/x-www-form-urlencoded", 400, "content-type-wrong"),
        ("POST", "/v1/tenants", b"[" * 100, "application/json", 400, "body-too-deep"),
        ("PUT", "/v1/tenants/t", b"", "application/json", 400, "body-missing"),
        ("PUT", "/v1/tenants/t", None, None, 400, "body-missing"),
        ("POST", "/v1/tenants", b"x" * 201, None, 413, "body-too-large"),
        ("PUT", "/v1/tenants/t", b"x" * 201, "text/plain", 413, "body-too-large"),
        ("POST", "/v1/tenants", b"x" * 200, "application/json", 200, None),
        ("POST", "/tuhono/v1/token", b"x" * 11, "application/json", 413, "body-too-large"),
        ("GET", "/v1/tenants", b"not looked at", "text/plain", 200, None),
        ("GET", "/v1/tenants", b"x" * 201, None, 413, "body-too-large"),
    ],
)
async def test_bodies_are_checked_in_the_order_of_the_contract(
    tmp_path: Path,
    thing: Thing,
    method: str,
    target: str,
    body: bytes | None,
    content_type: str | None,
    status: int,
    code: str | None,
) -> None:
    headers = ADMIN | ({} if content_type is None else {"Content-Type": content_type})
    async with serving(tmp_path, thing.routes(), body_max_bytes=200) as management:
        found, _, said = await asked(management, method, target, body, headers)
    assert (found, said.get("code")) == (status, code)
    if code is None:
        assert thing.asked[0].body == (b"" if method == "GET" else body or b"")


async def test_a_chunked_body_meets_the_same_bound(tmp_path: Path, thing: Thing) -> None:
    chunked = ADMIN | {"Transfer-Encoding": "chunked"}
    async with serving(tmp_path, thing.routes(), body_max_bytes=200) as management:

        async def chunks(*sizes: int, end: bytes = b"0\r\n\r\n") -> tuple[int, dict[str, str], bytes]:
            head = "".join(f"{name}: {value}\r\n" for name, value in (chunked | JSON_TYPE).items())
            sent = b"".join(b"%x\r\n%s\r\n" % (size, b"x" * size) for size in sizes) + end
            lines = f"POST /v1/tenants HTTP/1.1\r\nHost: x\r\nConnection: close\r\n{head}\r\n"
            return taken_apart(await management.send(lines.encode() + sent))

        assert (await chunks(100, 100))[0] == 200
        assert thing.asked[0].body == b"x" * 200
        status, headers, said = await chunks(100, 100, 1)
        assert (status, json.loads(said)["code"]) == (413, "body-too-large")
        assert headers["connection"] == "close"
        assert (await chunks(100, 1_000_000))[0] == 413
        assert (await chunks(100, end=b"zz\r\n"))[0] == 400
        assert (await asked(management, "GET", "/v1/tenants"))[0] == 200


async def test_a_body_that_does_not_come_ends_its_connection(
    tmp_path: Path, thing: Thing, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("management.bodies.BODY_MAX_S", 0.1)
    monkeypatch.setattr("management.conversation.LINGER_MAX_S", 0.1)
    async with serving(tmp_path, thing.routes()) as management:
        head = b"POST /v1/tenants HTTP/1.1\r\nHost: x\r\nContent-Length: 10\r\nAuthorization: Bearer admin:*\r\n\r\n"
        status, headers, said = taken_apart(await management.send(head + b"{"))
        assert (status, json.loads(said)["code"]) == (408, "body-too-slow")
        assert headers["connection"] == "close"
    assert thing.asked == []


async def test_a_client_that_goes_away_is_no_defect(
    tmp_path: Path, thing: Thing, caplog: pytest.LogCaptureFixture
) -> None:
    async with serving(tmp_path, thing.routes()) as management:
        head = "POST /v1/tenants HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer admin:*\r\n"
        caplog.set_level(logging.INFO, "management.api")
        for framing in (
            "Content-Length: 10",
            "Transfer-Encoding: chunked",
            "Content-Length: 9\r\nExpect: 100-continue",
        ):
            _, writer = await asyncio.open_connection("127.0.0.1", management.server.insecure_port)
            writer.write(f"{head}{framing}\r\n\r\n".encode())
            writer.transport.abort()
        await until(lambda: len([one for one in caplog.records if one.name == "management.api"]) == 3)
    assert [one for one in caplog.records if one.levelno >= logging.ERROR] == []
    assert thing.asked == []


async def test_a_client_that_waits_is_told_to_go_on_only_where_its_body_is_wanted(
    tmp_path: Path, thing: Thing, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("management.conversation.LINGER_MAX_S", 0.1)
    async with serving(tmp_path, thing.routes(), body_max_bytes=200) as management:
        reader, writer = await asyncio.open_connection("127.0.0.1", management.server.insecure_port)
        head = "POST /v1/tenants HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer admin:*\r\nExpect: 100-continue\r\n"
        writer.write(f"{head}Content-Type: application/json\r\nContent-Length: 2\r\n\r\n".encode())
        assert await reader.readuntil(b"\r\n\r\n") == b"HTTP/1.1 100 Continue\r\n\r\n"
        writer.write(b"{}")
        assert (await reader.readline()).startswith(b"HTTP/1.1 200")
        writer.close()
        for more, status in (("Content-Length: 201", 413), ("Content-Length: 2\r\nExpect: tea", 400)):
            answer = taken_apart(await management.send(f"{head}{more}\r\n\r\n".encode()))
            assert (answer[0], answer[1]["connection"]) == (status, "close")
        answer = taken_apart(await management.send(head.replace("100-continue", "tea").encode() + b"\r\n"))
        assert answer[0] == 417


@pytest.mark.parametrize("name", ["Authorization", "If-Match", "Content-Type"])
async def test_two_headers_where_one_may_be_are_refused(tmp_path: Path, thing: Thing, name: str) -> None:
    async with serving(tmp_path, thing.routes()) as management:
        head = "GET /v1/tenants HTTP/1.1\r\nHost: x\r\nConnection: close\r\nAuthorization: Bearer admin:*\r\n"
        raw = await management.send(f"{head}{name}: a\r\n{name}: b\r\n\r\n".encode())
    assert taken_apart(raw)[0] == 400
    assert thing.asked == []


async def test_a_compressed_body_is_refused(tmp_path: Path, thing: Thing) -> None:
    async with serving(tmp_path, thing.routes()) as management:
        headers = ADMIN | JSON_TYPE | {"Content-Encoding": "gzip"}
        assert (await asked(management, "POST", "/v1/tenants", b"\x1f\x8b", headers))[0] == 400


@pytest.mark.parametrize(
    ("error", "status"),
    [
        (Malformed("ext.x: too long"), 400),
        (Unauthenticated("no such operator"), 401),
        (NotFound("there is no tenant 'x'"), 404),
        (Conflict("the alias is taken"), 409),
        (VersionMismatch("it is 1 now"), 412),
        (TooLarge("too many rows"), 413),
        (LimitExceeded("slower"), 429),
        (Unavailable("the database is locked"), 503),
    ],
)
async def test_each_kind_of_refusal_has_its_status(
    tmp_path: Path, thing: Thing, error: TuhonoError, status: int
) -> None:
    thing.error = error
    async with serving(tmp_path, thing.routes()) as management:
        found, headers, said = await asked(management, "GET", "/v1/tenants/x")
    assert found == status
    assert said == {"error": error.told if status == 401 else str(error), "code": error.code}
    assert ("retry-after" in headers) == (status in {429, 503})


async def test_a_refusal_may_say_when_to_come_again(tmp_path: Path, thing: Thing) -> None:
    class Slower(LimitExceeded):
        retry_after_s = 17.2

    thing.error = Slower("\udcff" + "x" * 5000)
    async with serving(tmp_path, thing.routes()) as management:
        _, headers, said = await asked(management, "GET", "/v1/tenants/x")
    assert headers["retry-after"] == "17"
    assert len(said["error"]) == 2001 and said["error"].startswith("\\udcffxxx")


@pytest.mark.parametrize("error", [RuntimeError("secret"), TuhonoError("secret")])
async def test_a_defect_is_logged_and_nothing_of_it_told(
    tmp_path: Path, thing: Thing, caplog: pytest.LogCaptureFixture, error: Exception
) -> None:
    thing.error = error
    async with serving(tmp_path, thing.routes()) as management:
        status, _, said = await asked(management, "GET", "/v1/tenants/x")
        thing.error = None
        assert (await asked(management, "GET", "/v1/tenants/x"))[0] == 200
    assert (status, said) == (500, {"error": "Internal server error", "code": "internal"})
    [record] = [one for one in caplog.records if one.getMessage() == "management.request-failed"]
    assert record.exc_info is not None and record.exc_info[1] is error


async def test_nothing_of_a_refused_request_waits_for_a_collection(tmp_path: Path) -> None:
    raised: list[weakref.ref[Exception]] = []

    def remembered(error: Exception) -> Exception:
        raised.append(weakref.ref(error))
        return error

    def refuse(exchange: Exchange) -> Reply:
        raise remembered(Malformed("no"))

    answers = {200: Answer(says="done")}
    route = Route(method="GET", path="/no", handler=refuse, need=Need.READ, tag="t", summary="s", answers=answers)
    async with serving(tmp_path, [route]) as management:
        gc.disable()  # bodies are large, and collections are rare
        try:
            assert (await asked(management, "GET", "/no"))[0] == 400
            await until(lambda: raised[0]() is None)
        finally:
            gc.enable()


async def test_a_header_cannot_be_split(tmp_path: Path, thing: Thing) -> None:
    thing.reply = Reply(status=201, headers={"Location": "/v1/x\r\nSet-Cookie: a=b"})
    async with serving(tmp_path, thing.routes()) as management:
        status, headers, _ = await asked(management, "GET", "/v1/tenants/x")
    assert status == 500
    assert "set-cookie" not in headers


async def test_a_preflight_needs_no_credentials_and_lists_the_methods_of_its_path(tmp_path: Path, thing: Thing) -> None:
    browser = {"Origin": "https://a.example", "Access-Control-Request-Method": "PUT"}
    async with serving(tmp_path, thing.routes()) as management:
        status, headers, _ = await asked(management, "OPTIONS", "/v1/tenants/t", headers=browser)
        assert status == 204
        assert headers["access-control-allow-origin"] == "*"
        assert headers["access-control-allow-methods"].split(",") == ["GET", "PUT", "DELETE"]
        assert headers["access-control-allow-headers"] == "content-type,authorization,if-match"
        assert headers["access-control-expose-headers"] == "etag"
        _, headers, _ = await asked(management, "OPTIONS", "/v1/tenants", b"x", headers=browser)
        assert headers["access-control-allow-methods"].split(",") == ["POST", "GET"]
        assert (await asked(management, "OPTIONS", "/v1/x", headers=browser))[0] == 404
        status, headers, _ = await asked(management, "OPTIONS", "/tuhono/v1/token", headers=browser)
        assert (status, headers["allow"]) == (204, "POST, OPTIONS")
        assert "access-control-allow-origin" not in headers
        status, headers, _ = await asked(management, "OPTIONS", "/v1/tenants", headers={})
        assert (status, headers["allow"]) == (204, "POST, GET, HEAD, OPTIONS")
        assert (await asked(management, "OPTIONS", "*", headers={}))[0] == 204
    assert thing.asked == []


async def test_every_answer_to_a_page_says_which_origin_may_read_it(tmp_path: Path, thing: Thing) -> None:
    page = {"Origin": "https://a.example"}
    async with serving(tmp_path, thing.routes(), cors_allowed_origin="https://a.example") as management:
        for headers in (ADMIN | page, page):
            _, found, _ = await asked(management, "GET", "/v1/tenants", headers=headers)
            assert found["access-control-allow-origin"] == "https://a.example"
            assert (found["access-control-expose-headers"], found["vary"]) == ("etag", "Origin")
        _, found, _ = await asked(management, "GET", "/v1/tenants")
        assert "access-control-allow-origin" not in found


async def test_the_api_is_on_the_plain_port_only_where_that_is_set(tmp_path: Path, thing: Thing) -> None:
    async with serving(tmp_path, thing.routes(), insecure_api=False) as management:
        assert (await asked(management, "GET", "/v1/tenants"))[0] == 404
        assert (await asked(management, "GET", "/liveness"))[0] == 200
        assert (await management.get("/v1/tenants", headers=ADMIN))[0] == 200


@pytest.mark.parametrize(
    ("open_to", "operator", "status"),
    [
        ("loopback", None, 200),
        ("everyone", None, 200),
        ("nobody", None, 401),
        ("nobody", "viewer:*", 200),
        ("nobody", "admin:t", 403),
    ],
)
async def test_metrics_are_read_by_whom_the_setting_names(
    tmp_path: Path, open_to: str, operator: str | None, status: int
) -> None:
    headers = {} if operator is None else {"Authorization": f"Bearer {operator}"}
    async with serving(tmp_path, metrics_open_to=open_to) as management:
        raw = await management.ask("GET", "/metrics", headers=headers)
    assert taken_apart(raw)[0] == status


@pytest.fixture
def gate() -> Iterator[threading.Event]:
    event = threading.Event()
    yield event
    event.set()


async def test_more_requests_than_may_wait_are_told_to_come_again(
    tmp_path: Path, thing: Thing, gate: threading.Event, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("management.workers.WAITING_MAX", 1)

    def slow(exchange: Exchange) -> Reply:
        thing.asked.append(exchange)
        gate.wait()
        return Reply(body={})

    route = Route(
        method="GET", path="/slow", handler=slow, need=Need.READ, tag="t", summary="s", answers={200: Answer(says="d")}
    )
    async with serving(tmp_path, [route], threads_max=1) as management:
        running = asyncio.create_task(asked(management, "GET", "/slow"))
        await until(lambda: thing.asked)
        waiting = asyncio.create_task(asked(management, "GET", "/slow"))
        await until(lambda: management.workers.held == 2)
        status, headers, said = await asked(management, "GET", "/slow")
        assert (status, said["code"]) == (503, "management-busy")
        assert headers["retry-after"] == "1"
        assert (await asked(management, "GET", "/liveness"))[0] == 200
        gate.set()
        assert [(await running)[0], (await waiting)[0]] == [200, 200]
        await until(lambda: management.workers.held == 0)


async def test_a_known_callers_connection_does_not_make_room_for_strangers(tmp_path: Path, thing: Thing) -> None:
    async with serving(tmp_path, thing.routes(), connections_max=8) as management:
        reader, writer = await asyncio.open_connection("127.0.0.1", management.server.insecure_port)
        request = b"GET /v1/tenants HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer admin:*\r\n\r\n"
        writer.write(request)
        assert (await reader.readline()).startswith(b"HTTP/1.1 200")
        strangers = [await asyncio.open_connection("127.0.0.1", management.server.insecure_port) for _ in range(20)]
        assert await strangers[0][0].read() == b""
        writer.write(request)
        await until(lambda: len(thing.asked) == 2)
        for _, one in [*strangers, (reader, writer)]:
            one.close()


async def test_where_all_places_are_known_callers_several_newcomers_are_heard(tmp_path: Path, thing: Thing) -> None:
    request = b"GET /v1/tenants HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer admin:*\r\n\r\n"

    async def answered(connection: tuple[asyncio.StreamReader, asyncio.StreamWriter]) -> bool:
        reader, writer = connection
        writer.write(request)
        head = await reader.readuntil(b"\r\n\r\n")
        length = next(line for line in head.lower().splitlines() if line.startswith(b"content-length:"))
        await reader.readexactly(int(length.partition(b":")[2]))
        return head.startswith(b"HTTP/1.1 200")

    async with serving(tmp_path, thing.routes(), connections_max=8) as management:
        port = management.server.insecure_port
        known = [await asyncio.open_connection("127.0.0.1", port) for _ in range(8)]
        for one in known:
            assert await answered(one)
        assert await answered(known[0])  # no longer the one that asked nothing for the longest time
        newcomers = [await asyncio.open_connection("127.0.0.1", port) for _ in range(2)]
        assert await known[1][0].read() == b""
        assert await known[2][0].read() == b""
        assert all([await answered(one) for one in [*newcomers, known[0], *known[3:]]])
        for _, writer in [*known, *newcomers]:
            writer.close()


async def test_requests_of_callers_are_logged_and_strangers_are_not(
    tmp_path: Path, thing: Thing, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO)
    async with serving(tmp_path, thing.routes()) as management:
        await asked(management, "GET", "/v1/tenants/secret-name?x=y")
        await asked(management, "GET", "/v1/tenants/t", headers={})
        await asked(management, "GET", "/nothing")
    told = [one for one in caplog.records if one.name == "management.api"]
    assert [one.getMessage() for one in told] == ["management.request-answered"]
    facts = told[0].__dict__["tuhono_fields"]
    assert {**facts, "ms": 0} == {
        "method": "GET",
        "route": "/v1/tenants/{tenantId}",
        "caller": "admin",
        "remote": "127.0.0.1",
        "status": 200,
        "ms": 0,
    }
