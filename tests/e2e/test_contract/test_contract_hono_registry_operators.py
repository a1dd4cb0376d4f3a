"""hono-registry 1.1.1: who may use the management API. No row of section 6 but 56 asks; the rules of the section do."""

import base64
from collections.abc import Iterator
from contextlib import closing

import pytest

from tests.support.gateway import RunningGateway
from tests.support.management import ManagementClient, client_of, operator_of


def basic(name: str, password: str) -> str:
    return "Basic " + base64.b64encode(f"{name}:{password}".encode()).decode()


@pytest.fixture
def stranger(gateway: RunningGateway) -> Iterator[ManagementClient]:
    with closing(client_of(gateway)) as client:
        yield client


CREDENTIALS = [
    None,
    basic("nobody", "wrong-password"),
    basic("", ""),
    "Basic !!!",
    "Basic " + base64.b64encode(b"no colon").decode(),
    "Basic " + base64.b64encode(b"\xff:\xff").decode(),
    "Bearer tuh_" + "x" * 43,
    "Bearer a.b.c",
    "Digest username=x",
]


@pytest.mark.parametrize("authorization", CREDENTIALS)
def test_hono_registry_56_without_good_credentials_nothing_is_told(
    stranger: ManagementClient, authorization: str | None
) -> None:
    answer = stranger.get("/v1/tenants/DEFAULT_TENANT", authorization=authorization)
    assert answer.status == 401
    assert answer.headers["www-authenticate"].startswith('Basic realm="Hono"')
    assert "tenant" not in answer.error


def test_hono_registry_56_a_chosen_name_and_password_prove_the_operator(
    registry: ManagementClient, stranger: ManagementClient
) -> None:
    tenant = registry.new_tenant()
    made = registry.post("/tuhono/v1/operators", {"name": f"hono-{tenant}", "role": "admin", "password": "hono-secret"})
    assert made.status == 201
    proof = basic(f"hono-{tenant}", "hono-secret")
    for _ in range(5):
        assert stranger.get(f"/v1/tenants/{tenant}", authorization=proof).status == 200
    assert stranger.get(f"/v1/tenants/{tenant}", authorization=proof + "x").status == 401
    assert stranger.get(f"/v1/tenants/{tenant}", authorization=basic(f"hono-{tenant}", "hono-Secret")).status == 401


@pytest.mark.parametrize("role", ["viewer", "editor", "admin"])
def test_what_is_readable_and_may_not_be_done_is_403_and_what_is_not_readable_404(
    gateway: RunningGateway, registry: ManagementClient, role: str
) -> None:
    mine, other = registry.new_tenant(), registry.new_tenant()
    registry.new_device(other)
    rank = ["viewer", "editor", "admin"].index(role)
    with operator_of(gateway, role=role, tenants=[mine]) as client:
        assert client.get(f"/v1/tenants/{mine}").status == 200
        assert client.post(f"/v1/devices/{mine}").status == (201 if rank >= 1 else 403)
        assert client.put(f"/v1/tenants/{mine}", {"ext": {}}).status == (204 if rank >= 1 else 403)
        for answer in (
            client.get(f"/v1/tenants/{other}"),
            client.put(f"/v1/tenants/{other}", {}),
            client.delete(f"/v1/tenants/{other}"),
            client.get(f"/v1/devices/{other}/d"),
            client.post(f"/v1/devices/{other}/d"),
            client.delete(f"/v1/devices/{other}/d"),
            client.delete(f"/v1/devices/{other}"),
            client.get(f"/v1/devices/{other}"),
            client.get(f"/v1/credentials/{other}/d"),
            client.put(f"/v1/credentials/{other}/d", []),
        ):
            assert answer.status == 404
        unknown = client.get("/v1/tenants/there-is-no-such-tenant")
        hidden = client.get(f"/v1/tenants/{other}")
        assert (hidden.status, hidden.code) == (unknown.status, unknown.code)
        assert client.delete(f"/v1/tenants/{mine}").status == (204 if rank >= 2 else 403)


def test_a_tenant_out_of_reach_is_not_found_by_a_search(gateway: RunningGateway, registry: ManagementClient) -> None:
    mine, other = registry.new_tenant(), registry.new_tenant()
    with operator_of(gateway, role="viewer", tenants=[mine]) as client:
        found = client.get("/v1/tenants?pageSize=200")
        assert found.status == 200
        assert [one["id"] for one in found.json["result"]] == [mine]
        assert found.json["total"] == 1
        assert other not in found.body.decode()
