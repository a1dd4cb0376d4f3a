"""The management API as a client uses it: over HTTPS, with credentials, in JSON.

    def test_hono_registry_1_a_tenant_is_made(registry: ManagementClient) -> None:
        answer = registry.post("/v1/tenants/acme", {"enabled": True})
        assert answer.status == 201 and answer.headers["location"] == "/v1/tenants/acme"

`registry` is a fixture of tests/e2e/test_contract: an operator who may do everything, at a gateway that all tests of a
process share, so that every test takes tenants of its own: `registry.new_tenant()`. Elsewhere:
`with running_gateway(folder) as gateway, operator_of(gateway) as registry:`.

Every refusal is checked on the way: it has the JSON body that the contract wants, whatever the test looks at.
"""

import http.client
import json
import ssl
import uuid
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from kernel.clock import SystemClock
from tenant.operator_administration import OperatorAdministration
from tenant.operators import LocalCaller, Role
from tests.support.gateway import RunningGateway

ANSWER_MAX_S = 30.0


class _Nothing:
    """Stands for no body at all, which is another thing than null."""


NOTHING: Final = _Nothing()


@dataclass(frozen=True, slots=True, kw_only=True)
class Answer:
    """What came back. Names of headers are in lower case; those that came several times are joined."""

    status: int
    headers: Mapping[str, str]
    body: bytes

    @property
    def json(self) -> Any:
        return json.loads(self.body)

    @property
    def etag(self) -> str:
        return self.headers["etag"]

    @property
    def id(self) -> str:
        """Of what was made."""
        made: str = self.json["id"]
        return made

    @property
    def error(self) -> str:
        """What a refusal says."""
        said: str = self.json["error"]
        return said

    @property
    def code(self) -> str:
        """The stable word of a refusal."""
        word: str = self.json["code"]
        return word


class ManagementClient:
    """One connection that is opened again where the gateway closed it. Not to be shared between threads."""

    def __init__(self, *, port: int, ca_file: Path, authorization: str | None = None, host: str = "localhost") -> None:
        self.port = port
        self.ca_file = ca_file
        self.authorization = authorization
        context = ssl.create_default_context(cafile=str(ca_file))
        self._connection = http.client.HTTPSConnection(host, port, timeout=ANSWER_MAX_S, context=context)

    def get(self, path: str, **choices: Any) -> Answer:
        return self.ask("GET", path, **choices)

    def post(self, path: str, document: Any = NOTHING, **choices: Any) -> Answer:
        return self.ask("POST", path, document, **choices)

    def put(self, path: str, document: Any = NOTHING, **choices: Any) -> Answer:
        return self.ask("PUT", path, document, **choices)

    def delete(self, path: str, **choices: Any) -> Answer:
        return self.ask("DELETE", path, **choices)

    def preflight(self, path: str, method: str, *, origin: str = "https://console.example.com") -> Answer:
        """What a browser asks before it sends that method from a page of that origin: without credentials."""
        headers = {"Origin": origin, "Access-Control-Request-Method": method}
        return self.ask("OPTIONS", path, headers=headers, authorization=None)

    def ask(
        self,
        method: str,
        path: str,
        document: Any = NOTHING,
        *,
        body: bytes | None = None,
        content_type: str | None | _Nothing = NOTHING,
        if_match: str | None = None,
        headers: Mapping[str, str] | None = None,
        authorization: str | None | _Nothing = NOTHING,
    ) -> Answer:
        """Send `document` as JSON, or `body` as it is; a content type of None leaves that header out."""
        sent = dict(headers or {})
        if not isinstance(document, _Nothing):
            assert body is None, "a document or a body"
            body = json.dumps(document).encode()
            content_type = "application/json" if isinstance(content_type, _Nothing) else content_type
        if isinstance(content_type, str):
            sent["Content-Type"] = content_type
        if if_match is not None:
            sent["If-Match"] = if_match
        proof = self.authorization if isinstance(authorization, _Nothing) else authorization
        if proof is not None:
            sent["Authorization"] = proof
        return self._checked(method, self._exchanged(method, path, body, sent))

    def new_tenant(self, document: Mapping[str, Any] | None = None) -> str:
        """The id of a tenant made for this test."""
        tenant_id = f"t-{uuid.uuid4()}"
        made = self.post(f"/v1/tenants/{tenant_id}", document if document is not None else NOTHING)
        assert made.status == 201, made
        return tenant_id

    def new_device(self, tenant_id: str, document: Mapping[str, Any] | None = None) -> str:
        """The id of a device made for this test."""
        made = self.post(f"/v1/devices/{tenant_id}", document if document is not None else NOTHING)
        assert made.status == 201, made
        return made.id

    def close(self) -> None:
        self._connection.close()

    def _exchanged(self, method: str, path: str, body: bytes | None, headers: Mapping[str, str]) -> Answer:
        for attempt in (1, 2):
            try:
                self._connection.putrequest(method, path, skip_accept_encoding=True)
                if body is not None or method in {"POST", "PUT"}:
                    self._connection.putheader("Content-Length", str(len(body or b"")))
                for name, value in headers.items():
                    self._connection.putheader(name, value)
                self._connection.endheaders(body)
                answer = self._connection.getresponse()
            except (http.client.RemoteDisconnected, ConnectionError):
                self._connection.close()  # it was idle for too long, or the answer before was its last
                if attempt == 2:
                    raise
                continue
            found = dict[str, str]()
            for name, value in answer.getheaders():
                key = name.lower()
                found[key] = f"{found[key]}, {value}" if key in found else value
            return Answer(status=answer.status, headers=found, body=answer.read())
        raise AssertionError("unreachable")

    def _checked(self, method: str, answer: Answer) -> Answer:
        if answer.status >= 400 and method != "HEAD":
            assert answer.headers["content-type"] == "application/json; charset=utf-8", answer
            assert isinstance(answer.json["error"], str) and answer.json["error"], answer
            assert isinstance(answer.json["code"], str) and answer.json["code"], answer
        assert answer.status != 500, answer
        return answer


@contextmanager
def operator_of(
    gateway: RunningGateway, *, role: str = "admin", tenants: Sequence[str] | None = None
) -> Iterator[ManagementClient]:
    """A client with an operator of its own: admin, editor or viewer, of those tenants or of all."""
    client = client_of(gateway, f"Bearer {new_key_of(gateway, role=role, tenants=tenants)}")
    try:
        yield client
    finally:
        client.close()


def client_of(gateway: RunningGateway, authorization: str | None = None) -> ManagementClient:
    """A client that sends this; close it."""
    return ManagementClient(port=gateway.ports["management"], ca_file=gateway.server_ca, authorization=authorization)


def new_key_of(gateway: RunningGateway, *, role: str = "admin", tenants: Sequence[str] | None = None) -> str:
    """The API key of an operator made for it."""
    operators = OperatorAdministration(operators=gateway.store.operators, clock=SystemClock())
    _, _, secret = operators.create_with_key(
        LocalCaller(name="local:test"),
        f"{role}-{uuid.uuid4()}",
        role=Role(role),
        tenants=None if tenants is None else frozenset(tenants),
    )
    return secret
