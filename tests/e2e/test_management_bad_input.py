"""Whatever reaches the management API: the contract's status, the process up, nothing half written, memory bounded.

The requests are those of somebody with every right, because a stranger's are refused before they are read.
"""

import json
import re
import socket
import ssl
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from typing import Any

import pytest

from tests.support.gateway import RunningGateway, running_gateway
from tests.support.management import Answer, ManagementClient, operator_of

BODY_MAX_BYTES = 400_000  # so that deep nesting is not refused for its length alone
ANSWER_MAX_S = 30.0
GROWTH_MAX_BYTES = 40_000_000
JSON = "application/json"


@pytest.fixture(scope="module")
def gateway(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningGateway]:
    management = {"body_max_bytes": BODY_MAX_BYTES}
    with running_gateway(tmp_path_factory.mktemp("bad-input"), management=management) as started:
        yield started


@pytest.fixture(scope="module")
def registry(gateway: RunningGateway) -> Iterator[ManagementClient]:
    with operator_of(gateway) as client:
        yield client


@pytest.fixture(scope="module")
def tenant_id(registry: ManagementClient) -> str:
    return registry.new_tenant({"ext": {"kept": True}})


@pytest.fixture(autouse=True)
def unharmed(gateway: RunningGateway, registry: ManagementClient) -> Iterator[None]:
    """After each test: the process lives, and met no defect of its own."""
    yield
    assert registry.get("/liveness").status == 200
    broken = [record for record in gateway.log() if record["level"] == "error"]
    assert broken == []


def raw(gateway: RunningGateway, request: bytes) -> bytes:
    """The first answer to these bytes, or what came of it before the connection ended."""
    with connected(gateway) as stream:
        stream.sendall(request)
        answered = b""
        while not _is_whole(answered) and (chunk := _received(stream)):
            answered += chunk
        return answered


def _is_whole(answered: bytes) -> bool:
    start, _, body = answered.partition(b"\r\n\r\n")
    length = re.search(rb"(?i)content-length: (\d+)", start)
    return length is not None and len(body) >= int(length[1])


def _received(stream: ssl.SSLSocket) -> bytes:
    try:
        return stream.recv(65_536)
    except (ConnectionError, ssl.SSLError):  # closed without goodbye
        return b""


def connected(gateway: RunningGateway) -> ssl.SSLSocket:
    context = ssl.create_default_context(cafile=str(gateway.server_ca))
    plain = socket.create_connection(("127.0.0.1", gateway.ports["management"]), timeout=ANSWER_MAX_S)
    return context.wrap_socket(plain, server_hostname="localhost")


def short(one: object) -> str:
    return ascii(one)[:40]


def head(registry: ManagementClient, line: str, *headers: str) -> bytes:
    lines = [line, "Host: localhost", "Connection: close", f"Authorization: {registry.authorization}", *headers]
    return "\r\n".join([*lines, "", ""]).encode(errors="surrogateescape")


def status_of(answered: bytes) -> int:
    return int(answered.split(b" ", 2)[1])


def code_of(answered: bytes) -> str:
    code: str = json.loads(answered.partition(b"\r\n\r\n")[2])["code"]
    return code


BROKEN_JSON = [
    b"{",
    b"}",
    b"{]",
    b"nul",
    b"null",
    b"true",
    b"1",
    b'"text"',
    b"{'a': 1}",
    b'{"ext": {"a": 1,}}',
    b'{"ext": {"a": NaN}}',
    b'{"ext": {"a": Infinity}}',
    b'{"ext": {"a": 01}}',
    b'{"ext": {"a": 1}} {}',
    b'{"ext": {"a": "\x01"}}',
    b'{"ext": {"a": "\xff\xfe"}}',
    b'\xef\xbb\xbf{"ext": {}}',
    '{"ext": {}}'.encode("utf-16"),
    b'{"ext": {"a": "\\x"}}',
    b'{"ext": {"a": "\\ud800"}}',
    b'{"ext": {"\\udfff": 1}}',
    b"\x00",
    b" ",
    b"[" * 100_000,
    b'{"ext":' * 50_000,
    b'{"ext": ' + b'{"a":' * 5_000 + b"1" + b"}" * 5_000 + b"}",
    b'{"ext": {"a": ' + b"[" * 100_000 + b"]" * 100_000 + b"}}",
    b'{"ext": "' + b"[" * 100_000 + b'"}',
]
WRONG_DOCUMENTS: list[Any] = [
    [],
    {"enabled": "true"},
    {"enabled": 1},
    {"enabled": None},
    {"ext": []},
    {"ext": "x"},
    {"unexpected": 1},
    {"": 1},
    {"enabled\0": True},
    {"\r\nX-Injected: 1": True},
    {"x" * 100_000: 1},
]


@pytest.mark.parametrize("body", [*BROKEN_JSON, *(json.dumps(one).encode() for one in WRONG_DOCUMENTS)], ids=short)
def test_a_body_that_is_wrong_is_refused_and_writes_nothing(
    registry: ManagementClient, tenant_id: str, body: bytes
) -> None:
    device_id = registry.new_device(tenant_id, {"ext": {"kept": True}})
    before = registry.get(f"/v1/devices/{tenant_id}/{device_id}")
    for method, path in (
        ("POST", "/v1/tenants/never-made"),
        ("PUT", f"/v1/tenants/{tenant_id}"),
        ("POST", f"/v1/devices/{tenant_id}/never-made"),
        ("PUT", f"/v1/devices/{tenant_id}/{device_id}"),
        ("PUT", f"/v1/credentials/{tenant_id}/{device_id}"),
    ):
        if body == b"[]" and "credentials" in path:
            continue  # that means none
        answer = registry.ask(method, path, body=body, content_type=JSON)
        assert (answer.status, "error" in answer.json) == (400, True), (method, path)
        assert len(answer.body) < 4_000, "what was sent is not sent back"
    assert registry.get("/v1/tenants/never-made").status == 404
    assert registry.get(f"/v1/devices/{tenant_id}/never-made").status == 404
    assert registry.get(f"/v1/tenants/{tenant_id}").json["ext"] == {"kept": True}
    after = registry.get(f"/v1/devices/{tenant_id}/{device_id}")
    assert (after.etag, after.json) == (before.etag, before.json)
    assert registry.get(f"/v1/credentials/{tenant_id}/{device_id}").json == []


@pytest.mark.parametrize(
    "number",
    ["1e400", "-1e400", "1" + "0" * 400, "9" * 5_000, "-" + "9" * 100_000, "1." + "0" * 10_000 + "1", "1e-400", "-0"],
    ids=lambda number: number[:8],
)
def test_a_huge_number_is_refused_or_kept_but_breaks_nothing(
    registry: ManagementClient, tenant_id: str, number: str
) -> None:
    answer = registry.post(f"/v1/devices/{tenant_id}", body=b'{"ext": {"n": %s}}' % number.encode(), content_type=JSON)
    assert answer.status in {201, 400}
    if answer.status == 201:
        read = registry.get(f"/v1/devices/{tenant_id}/{answer.id}")
        assert read.status == 200 and isinstance(read.json["ext"]["n"], int | float)
    limits = b'{"registration-limits": {"max-devices": %s}}' % number.encode()
    refused = registry.put(f"/v1/tenants/{tenant_id}", body=limits, content_type=JSON)
    assert refused.status == (204 if number == "-0" else 400)
    assert registry.put(f"/v1/tenants/{tenant_id}", {"ext": {"kept": True}}).status == 204
    search = registry.get(f"/v1/devices/{tenant_id}?pageSize={number[:5000]}")
    assert search.status == 400


@pytest.mark.parametrize("text", ["\0", "a\0b", "\x1f", "\x7f", "\u2028", "\ufffe", "𝄞" * 100], ids=ascii)
def test_odd_characters_in_free_text_are_refused_or_come_back_unchanged(
    registry: ManagementClient, tenant_id: str, text: str
) -> None:
    answer = registry.post(f"/v1/devices/{tenant_id}", {"ext": {"text": text, text: 1}})
    assert answer.status in {201, 400}
    if answer.status == 201:
        assert registry.get(f"/v1/devices/{tenant_id}/{answer.id}").json["ext"] == {"text": text, text: 1}
    for member in ("via", "memberOf"):
        assert registry.post(f"/v1/devices/{tenant_id}", {member: [text]}).status in {201, 400}


TRICKS = [
    "%00",
    "a%00b",
    "a%0d%0aX-Injected:%201",
    "%0a",
    "%7f",
    "%c2%85",
    "%",
    "%4",
    "%zz",
    "%u0041",
    "%ff",
    "%c0%ae%c0%ae",
    "%ed%a0%80",
    "..",
    ".",
    "%2e%2e",
    "%2E",
    "..%2f..",
    "a%2fb",
    "a%5cb",
    "a%3fb",
    "a%23b",
    "a%25b",
    "a%20b",
    "a+b",
    "a;b",
    "a*b",
    "%EF%BC%8F",
    "%C3",
    "x" * 257,
    "x" * 10_000,
]


@pytest.mark.parametrize("segment", TRICKS, ids=lambda segment: segment[:20])
def test_an_id_that_is_none_is_refused_however_it_is_encoded(
    gateway: RunningGateway, registry: ManagementClient, tenant_id: str, segment: str
) -> None:
    for method, path in (
        ("POST", f"/v1/tenants/{segment}"),
        ("GET", f"/v1/tenants/{segment}"),
        ("POST", f"/v1/devices/{tenant_id}/{segment}"),
        ("PUT", f"/v1/devices/{tenant_id}/{segment}"),
        ("DELETE", f"/v1/devices/{tenant_id}/{segment}"),
        ("GET", f"/v1/credentials/{tenant_id}/{segment}"),
    ):
        body = b"{}" if method in {"POST", "PUT"} else b""
        answered = raw(
            gateway,
            head(registry, f"{method} {path} HTTP/1.1", f"Content-Type: {JSON}", f"Content-Length: {len(body)}") + body,
        )
        assert status_of(answered) == 400, (method, path, answered)
        assert b"x-injected" not in answered.partition(b"\r\n\r\n")[0].lower()
        assert len(answered) < 4_000


@pytest.mark.parametrize(
    ("line", "headers", "body", "statuses"),
    [
        ("POST /v1/tenants HTTP/1.1", [f"Content-Length: {BODY_MAX_BYTES + 1}"], b"", {413}),
        ("POST /v1/tenants HTTP/1.1", ["Content-Length: 1" + "0" * 15], b"", {413}),
        ("POST /v1/tenants HTTP/1.1", ["Content-Length: 1" + "0" * 30], b"", {400, 413}),
        ("POST /v1/tenants HTTP/1.1", ["Content-Length: -1"], b"", {400}),
        ("POST /v1/tenants HTTP/1.1", ["Content-Length: 2x"], b"{}", {400}),
        ("POST /v1/tenants HTTP/1.1", ["Content-Length: 2", "Content-Length: 3"], b"{}", {400}),
        ("POST /v1/tenants HTTP/1.1", ["Content-Length: 2", "Transfer-Encoding: chunked"], b"0\r\n\r\n", {400}),
        ("POST /v1/tenants HTTP/1.1", ["Transfer-Encoding: gzip, chunked"], b"0\r\n\r\n", {400, 201}),
        ("POST /v1/tenants HTTP/1.1", ["Transfer-Encoding: chunked"], b"zz\r\n{}\r\n0\r\n\r\n", {400}),
        ("POST /v1/tenants HTTP/1.1", ["Transfer-Encoding: chunked"], b"fffffffffffffffff\r\n", {400}),
        ("POST /v1/tenants HTTP/1.1", ["Content-Encoding: gzip", "Content-Length: 2"], b"\x1f\x8b", {400}),
        ("GET /v1/tenants HTTP/1.1", ["X: a\x01b"], b"", {400}),
        ("GET /v1/tenants HTTP/1.1", ["X : a"], b"", {400}),
        ("GET /v1/tenants HTTP/1.1", ["X: a\n\tb"], b"", {400}),
        ("GET /v1/tenants HTTP/1.1", ["X: " + "a" * 9_000], b"", {400}),
        ("GET /v1/tenants HTTP/1.1", ["X: a"] * 100, b"", {400}),
        ("GET /v1/tenants?" + "a" * 20_000 + " HTTP/1.1", [], b"", {400}),
        ("GET /v1/tenants?a=%zz HTTP/1.1", [], b"", {400}),
        ("GET /v1/tenants?" + "a&" * 100 + " HTTP/1.1", [], b"", {400}),
        ("GET v1/tenants HTTP/1.1", [], b"", {400}),
        ("GET /v1/tenants HTTP/9.9", [], b"", {400, 505}),
        ("CONNECT localhost:80 HTTP/1.1", [], b"", {400, 405}),
        ("\x00 / HTTP/1.1", [], b"", {400}),
    ],
    ids=short,
)
def test_a_request_that_breaks_http_is_refused(
    gateway: RunningGateway, registry: ManagementClient, line: str, headers: list[str], body: bytes, statuses: set[int]
) -> None:
    sent = head(registry, line, *headers)
    if "Content-Type" not in sent.decode(errors="replace"):
        sent = sent[:-2] + b"Content-Type: application/json\r\n\r\n"
    assert status_of(raw(gateway, sent + body)) in statuses


def test_a_body_beyond_the_bound_is_refused_in_every_framing(
    gateway: RunningGateway, registry: ManagementClient
) -> None:
    line, kind = "POST /v1/tenants/never-made HTTP/1.1", f"Content-Type: {JSON}"
    chunk = b"%x\r\n%s\r\n" % (50_000, b" " * 50_000)
    framings = {
        "length": head(registry, line, kind, f"Content-Length: {BODY_MAX_BYTES + 1}") + b" " * (BODY_MAX_BYTES + 1),
        "length of another type": head(registry, line, f"Content-Length: {BODY_MAX_BYTES + 1}"),
        "chunks": head(registry, line, kind, "Transfer-Encoding: chunked") + chunk * 9 + b"0\r\n\r\n",
        "chunks that never end": head(registry, line, kind, "Transfer-Encoding: chunked") + chunk * 20,
        "one chunk": head(registry, line, kind, "Transfer-Encoding: chunked") + b"7fffffff\r\n" + b" " * 1_000_000,
    }
    for framing, request in framings.items():
        answered = raw(gateway, request)
        assert (status_of(answered), code_of(answered)) == (413, "body-too-large"), framing
    assert registry.get("/v1/tenants/never-made").status == 404


def test_more_bytes_than_the_length_says_are_no_part_of_the_body(
    gateway: RunningGateway, registry: ManagementClient
) -> None:
    request = head(registry, "GET /v1/tenants/x HTTP/1.1", "Content-Length: 2") + b'{}{"enabled": false}'
    assert status_of(raw(gateway, request)) in {404, 400}  # of the request, or of what follows and is none
    kept = head(registry, "POST /v1/tenants/never-made HTTP/1.1", f"Content-Type: {JSON}", "Content-Length: 100")
    with connected(gateway) as stream:
        stream.sendall(kept + b'{"enabled": false}')  # and goes away
    assert registry.get("/v1/tenants/never-made").status == 404


def test_slow_and_silent_connections_keep_nobody_out(gateway: RunningGateway, registry: ManagementClient) -> None:
    waits = head(registry, "POST /v1/tenants/never-made HTTP/1.1", f"Content-Type: {JSON}", "Content-Length: 100")
    with ExitStack() as open_:
        for sent in [waits + b"{", b"", b"GET /v1/ten", b"POST /v1/tenants HTTP/1.1\r\nContent-Length: 9\r\n\r\n"] * 25:
            stream = open_.enter_context(connected(gateway))
            stream.sendall(sent)
        for _ in range(200):
            open_.enter_context(socket.create_connection(("127.0.0.1", gateway.ports["management"])))
        with operator_of(gateway) as another:
            assert another.get("/v1/tenants/never-made").status == 404
        assert registry.get("/v1/tenants/never-made").status == 404


def test_many_bad_requests_at_once_leave_memory_where_it_was(
    gateway: RunningGateway, registry: ManagementClient, tenant_id: str
) -> None:
    deep = b'{"ext": {"a": ' + b"[" * 100_000 + b"]" * 100_000 + b"}}"
    long = b'{"ext": {"a": "' + b"x" * (BODY_MAX_BYTES - 100) + b'"'

    def ask(number: int) -> Answer:
        client = clients[number % len(clients)]
        body = (deep, long, b" " * (BODY_MAX_BYTES + 1))[number // len(clients) % 3]
        return client.put(f"/v1/tenants/{tenant_id}", body=body, content_type=JSON)

    with ExitStack() as open_:
        clients = [open_.enter_context(operator_of(gateway)) for _ in range(4)]

        def round_() -> None:
            with ThreadPoolExecutor(len(clients)) as threads:
                shares = [range(first, 120, len(clients)) for first in range(len(clients))]
                found = list(threads.map(lambda share: [ask(number).status for number in share], shares))
            assert {status for share in found for status in share} == {400, 413}

        round_()
        before = resident_bytes(registry)
        for _ in range(3):
            round_()
        assert resident_bytes(registry) - before < GROWTH_MAX_BYTES


def resident_bytes(registry: ManagementClient) -> int:
    page = registry.get("/metrics").body.decode()
    [line] = [one for one in page.splitlines() if one.startswith("process_resident_memory_bytes")]
    return int(float(line.rpartition(" ")[2]))
