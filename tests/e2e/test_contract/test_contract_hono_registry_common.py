"""What section 1.1 of the Hono registry contract says of every resource: CORS, paths, credentials, forms of answers."""

import json

import pytest

from tests.support.management import ManagementClient


def allowed(registry: ManagementClient, path: str, method: str) -> set[str]:
    """The methods a browser is told of; everything else a pre-flight is answered is checked on the way."""
    answer = registry.preflight(path, method)
    assert (answer.status, answer.body) == (204, b"")
    assert answer.headers["access-control-allow-origin"] == "*"
    assert answer.headers["access-control-expose-headers"] == "etag"
    named = answer.headers["access-control-allow-headers"].split(",")
    assert {"content-type", "authorization", "if-match"} <= set(named)
    methods = set(answer.headers["access-control-allow-methods"].split(","))
    assert method in methods
    return methods


@pytest.mark.parametrize("method", ["POST", "PUT", "GET", "DELETE"])
def test_hono_registry_55_a_page_may_use_a_tenant(registry: ManagementClient, method: str) -> None:
    assert allowed(registry, "/v1/tenants/some-tenant", method) == {"POST", "GET", "PUT", "DELETE"}
    if method in {"POST", "GET"}:
        assert allowed(registry, "/v1/tenants", method) == {"POST", "GET"}


@pytest.mark.parametrize("method", ["POST", "PUT", "GET", "DELETE"])
def test_hono_registry_110_a_page_may_use_a_device(registry: ManagementClient, method: str) -> None:
    assert allowed(registry, "/v1/devices/some-tenant/some-device", method) == {"POST", "GET", "PUT", "DELETE"}
    if method != "PUT":
        assert allowed(registry, "/v1/devices/some-tenant", method) == {"POST", "GET", "DELETE"}


@pytest.mark.parametrize("method", ["PUT", "GET"])
def test_hono_registry_172_a_page_may_use_credentials(registry: ManagementClient, method: str) -> None:
    assert allowed(registry, "/v1/credentials/some-tenant/some-device", method) == {"GET", "PUT"}


def test_a_preflight_with_credentials_is_answered_alike(registry: ManagementClient) -> None:
    headers = {"Origin": "https://x.example", "Access-Control-Request-Method": "PUT"}
    answer = registry.ask("OPTIONS", "/v1/devices/t/d", headers=headers, body=b"", content_type="text/plain")
    assert answer.status == 204


def test_what_a_page_is_answered_it_may_read(registry: ManagementClient) -> None:
    headers = {"Origin": "https://x.example"}
    for path in ("/v1/devices/t/d", "/v1/nothing"):
        answer = registry.get(path, headers=headers)
        assert answer.status == 404
        assert answer.headers["access-control-allow-origin"] == "*"
    assert registry.get("/v1/devices/t/d", headers=headers, authorization=None).headers["access-control-allow-origin"]


@pytest.mark.parametrize(
    ("method", "path", "status"),
    [
        ("GET", "/", 404),
        ("GET", "/v1", 404),
        ("GET", "/v1/nothing", 404),
        ("GET", "/v1/devices", 404),
        ("GET", "/v1/devices/t/d/", 404),
        ("POST", "/v1/credentials/t/d", 405),
        ("DELETE", "/v1/credentials/t/d", 405),
        ("GET", "/v1/devices/t/%zz", 400),
        ("GET", "/v1/devices/t/%ff", 400),
        ("GET", "/v1/devices/t/..", 400),
    ],
)
def test_a_path_that_is_not_served_is_refused_in_json(
    registry: ManagementClient, method: str, path: str, status: int
) -> None:
    assert registry.ask(method, path).status == status


def test_nobody_asks_without_credentials(registry: ManagementClient) -> None:
    for authorization in (None, "Basic bm9ib2R5Om5vdGhpbmc=", "Bearer tuh_nothing", "Negotiate x"):
        for method, path in (("GET", "/v1/devices/t/d"), ("PUT", "/v1/credentials/t/d"), ("POST", "/v1/devices/t")):
            answer = registry.ask(method, path, authorization=authorization)
            assert answer.status == 401
            assert answer.headers["www-authenticate"] == 'Basic realm="Hono", Bearer realm="Hono"'


def test_the_description_is_open_and_names_the_compatible_paths(registry: ManagementClient) -> None:
    answer = registry.get("/openapi.json", authorization=None)
    assert answer.headers["content-type"] == "application/json; charset=utf-8"
    document = json.loads(answer.body)
    assert document["openapi"] == "3.1.0"
    paths = document["paths"]
    assert set(paths["/v1/devices/{tenantId}/{deviceId}"]) == {"get", "post", "put", "delete"}
    assert set(paths["/v1/credentials/{tenantId}/{deviceId}"]) == {"get", "put"}
    again = registry.get("/openapi.json", authorization=None, headers={"If-None-Match": answer.etag})
    assert (again.status, again.body) == (304, b"")
