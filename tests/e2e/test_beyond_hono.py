"""What the management API can beyond Hono's: many devices at once, devices with credentials, whole tenants, groups."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from dialects.hono.bulk import GROUPS_MAX
from dialects.hono.registrations import EXPORT_DEVICES_MAX, FAILURES_TOLD_MAX
from registry.bulk import IDS_MAX
from tests.support.gateway import RunningGateway, running_gateway
from tests.support.management import ManagementClient, operator_of

NDJSON = "application/x-ndjson"


@pytest.fixture(scope="module")
def gateway(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningGateway]:
    with running_gateway(Path(tmp_path_factory.mktemp("beyond"))) as running:
        yield running


@pytest.fixture(scope="module")
def registry(gateway: RunningGateway) -> Iterator[ManagementClient]:
    with operator_of(gateway) as client:
        yield client


@pytest.fixture
def tenant(registry: ManagementClient) -> str:
    return registry.new_tenant()


def make(registry: ManagementClient, tenant: str, *ids: str, **members: Any) -> None:
    for device_id in ids:
        assert registry.post(f"/v1/devices/{tenant}/{device_id}", members).status == 201


def enabled(registry: ManagementClient, tenant: str) -> dict[str, bool]:
    answer = registry.get(f"/v1/devices/{tenant}?pageSize=200")
    return {found["id"]: found.get("enabled", True) for found in answer.json["result"]}


def lines(*documents: Any) -> bytes:
    return b"".join(json.dumps(document).encode() + b"\n" for document in documents)


def test_devices_named_are_disabled_and_enabled_and_those_unknown_are_told(
    registry: ManagementClient, tenant: str
) -> None:
    make(registry, tenant, "a", "b", "c")
    answer = registry.post(f"/tuhono/v1/bulk/{tenant}", {"action": "disable", "ids": ["a", "c", "x", "a"]})
    assert (answer.status, answer.json) == (200, {"done": 2, "unknown": ["x"]})
    assert enabled(registry, tenant) == {"a": False, "b": True, "c": False}
    answer = registry.post(f"/tuhono/v1/bulk/{tenant}", {"action": "enable", "ids": ["a"]})
    assert answer.json == {"done": 1}
    assert enabled(registry, tenant) == {"a": True, "b": True, "c": False}


def test_devices_that_filters_find_are_deleted_with_their_credentials(registry: ManagementClient, tenant: str) -> None:
    make(registry, tenant, "a", "b", ext={"floor": 1})
    make(registry, tenant, "c", ext={"floor": 2})
    answer = registry.post(
        f"/tuhono/v1/bulk/{tenant}", {"action": "delete", "filters": [{"field": "/ext/floor", "value": 1}]}
    )
    assert (answer.status, answer.json) == (200, {"done": 2})
    assert enabled(registry, tenant) == {"c": True}
    assert registry.get(f"/v1/credentials/{tenant}/a").status == 404


def test_many_more_than_one_transaction_holds_are_changed(registry: ManagementClient, tenant: str) -> None:
    body = lines(*({"id": f"d-{number:04}"} for number in range(260)))
    for offset in range(2):
        sent = body.replace(b"d-", f"d{offset}-".encode())
        answer = registry.post(f"/tuhono/v1/import/{tenant}", body=sent, content_type=NDJSON)
        assert answer.json["created"] == 260, answer.json
    answer = registry.post(f"/tuhono/v1/bulk/{tenant}", {"action": "disable", "filters": []})
    assert answer.json == {"done": 520}
    behind = registry.post(f"/tuhono/v1/bulk/{tenant}", {"action": "enable", "filters": [], "after": "d1-0251"})
    assert behind.json == {"done": 8}
    found = registry.get(
        f"/v1/devices/{tenant}?pageSize=1&filterJson=%7B%22field%22:%22/enabled%22,%22value%22:true%7D"
    )
    assert found.json["total"] == 8


@pytest.mark.parametrize(
    "body",
    [
        {"action": "enable"},
        {"action": "burn", "ids": ["a"]},
        {"action": "enable", "ids": ["a"], "filters": []},
        {"action": "enable", "ids": []},
        {"action": "enable", "ids": ["a"], "after": "a"},
        {"action": "enable", "filters": [{"field": "enabled", "value": True}]},
        {"action": "delete", "filters": [{"field": "/nonsense", "value": True}]},
        {"action": "enable", "ids": ["a"], "other": 1},
    ],
)
def test_a_wish_for_many_that_is_unclear_is_refused_and_nothing_done(
    registry: ManagementClient, tenant: str, body: Any
) -> None:
    make(registry, tenant, "a")
    assert registry.post(f"/tuhono/v1/bulk/{tenant}", body).status == 400
    assert enabled(registry, tenant) == {"a": True}


def test_a_wish_for_many_of_an_unknown_tenant_is_refused(registry: ManagementClient) -> None:
    assert registry.post("/tuhono/v1/bulk/nowhere", {"action": "enable", "ids": ["a"]}).status == 404


def test_a_device_comes_with_its_credentials_or_not_at_all(registry: ManagementClient, tenant: str) -> None:
    password = {"type": "hashed-password", "auth-id": "sensor", "secrets": [{"pwd-plain": "hush"}]}
    answer = registry.post(
        f"/tuhono/v1/registrations/{tenant}",
        {"id": "sensor", "device": {"ext": {"floor": 1}}, "credentials": [password]},
    )
    assert (answer.status, answer.headers["location"]) == (201, f"/v1/devices/{tenant}/sensor")
    assert answer.etag == registry.get(f"/v1/devices/{tenant}/sensor").etag
    [held] = registry.get(f"/v1/credentials/{tenant}/sensor").json
    assert held["auth-id"] == "sensor" and "pwd-hash" not in held["secrets"][0]
    taken = registry.post(f"/tuhono/v1/registrations/{tenant}", {"id": "other", "credentials": [password]})
    assert taken.status == 409
    assert registry.get(f"/v1/devices/{tenant}/other").status == 404
    wrong = registry.post(f"/tuhono/v1/registrations/{tenant}", {"id": "other", "credentials": [{"type": "psk"}]})
    assert wrong.status == 400 and "credentials[0]" in wrong.error
    assert registry.get(f"/v1/devices/{tenant}/other").status == 404
    assert registry.post(f"/tuhono/v1/registrations/{tenant}", {"id": "sensor"}).status == 409
    assert registry.post(f"/tuhono/v1/registrations/{tenant}", {}).status == 201


def test_a_tenant_is_exported_and_imported_elsewhere_whole(registry: ManagementClient, tenant: str) -> None:
    password = {"type": "hashed-password", "auth-id": "a", "secrets": [{"pwd-plain": "hush"}]}
    key = {"type": "psk", "auth-id": "a", "secrets": [{"key": "aHVzaA=="}]}
    registry.post(f"/tuhono/v1/registrations/{tenant}", {"id": "a", "credentials": [password, key]})
    make(registry, tenant, "b", "c", via=["a"], defaults={"ttl": 5})
    first = registry.get(f"/tuhono/v1/export/{tenant}?limit=2&secrets=true")
    assert (first.status, first.headers["content-type"], first.headers["next-after"]) == (200, NDJSON, "b")
    rest = registry.get(f"/tuhono/v1/export/{tenant}?limit=2&secrets=true&after=b")
    assert "next-after" not in rest.headers
    copy = registry.new_tenant()
    answer = registry.post(f"/tuhono/v1/import/{copy}", body=first.body + rest.body, content_type=NDJSON)
    assert answer.json == {"created": 3, "replaced": 0, "skipped": 0, "failed": 0, "failures": []}
    again = registry.get(f"/tuhono/v1/export/{copy}?secrets=true")
    assert imported(again.body) == imported(first.body + rest.body)


def imported(exported: bytes) -> list[Any]:
    """What an import keeps of an export: not the status, nor the ids of secrets."""
    documents = [json.loads(line) for line in exported.splitlines()]
    for document in documents:
        del document["device"]["status"]
        for credential in document["credentials"]:
            for secret in credential["secrets"]:
                del secret["id"]
    return documents


def test_secrets_are_exported_for_administrators_alone(
    gateway: RunningGateway, registry: ManagementClient, tenant: str
) -> None:
    password = {"type": "hashed-password", "auth-id": "a", "secrets": [{"pwd-plain": "hush"}]}
    registry.post(f"/tuhono/v1/registrations/{tenant}", {"id": "a", "credentials": [password]})
    with operator_of(gateway, role="editor") as editor:
        assert editor.get(f"/tuhono/v1/export/{tenant}?secrets=true").status == 403
        exported = editor.get(f"/tuhono/v1/export/{tenant}")
    assert exported.status == 200 and b"pwd-hash" not in exported.body


def test_lines_that_cannot_be_imported_are_told_and_the_others_done(registry: ManagementClient, tenant: str) -> None:
    make(registry, tenant, "there", ext={"old": True})
    body = lines({"id": "new"}, {"id": "there", "device": {"ext": {"new": 1}}}, {"id": "b a d"}, {"device": {}})
    body += b"no json\n\n" + lines({"id": "last"})
    answer = registry.post(f"/tuhono/v1/import/{tenant}", body=body, content_type=NDJSON)
    told = [(failure["line"], failure["code"]) for failure in answer.json["failures"]]
    assert (answer.json["created"], answer.json["failed"]) == (2, 4)
    assert told == [(2, "device-exists"), (3, "device-id-invalid"), (4, "body-invalid"), (5, "body-invalid")]
    assert registry.get(f"/v1/devices/{tenant}/there").json["ext"] == {"old": True}
    there = lines({"id": "there", "device": {"ext": {"new": 1}}})
    skipped = registry.post(f"/tuhono/v1/import/{tenant}?existing=skip", body=there, content_type=NDJSON)
    assert skipped.json["skipped"] == 1
    replaced = registry.post(f"/tuhono/v1/import/{tenant}?existing=replace", body=there, content_type=NDJSON)
    assert replaced.json["replaced"] == 1
    assert registry.get(f"/v1/devices/{tenant}/there").json["ext"] == {"new": 1}


def test_a_line_that_is_refused_leaves_device_and_credentials_as_they_are(
    registry: ManagementClient, tenant: str
) -> None:
    password = {"type": "hashed-password", "auth-id": "a", "secrets": [{"pwd-plain": "hush"}]}
    registry.post(f"/tuhono/v1/registrations/{tenant}", {"id": "a", "credentials": [password]})
    before = registry.get(f"/v1/devices/{tenant}/a"), registry.get(f"/v1/credentials/{tenant}/a")
    device_wrong = {"id": "a", "device": {"via": ["b"], "memberOf": ["c"]}, "credentials": []}
    credentials_wrong = {"id": "a", "device": {"ext": {"new": 1}}, "credentials": [{"type": "psk", "auth-id": "a"}]}
    sent = lines(device_wrong, credentials_wrong)
    answer = registry.post(f"/tuhono/v1/import/{tenant}?existing=replace", body=sent, content_type=NDJSON)
    assert (answer.json["replaced"], answer.json["failed"]) == (0, 2)
    after = registry.get(f"/v1/devices/{tenant}/a"), registry.get(f"/v1/credentials/{tenant}/a")
    assert [(answer.etag, answer.json) for answer in after] == [(answer.etag, answer.json) for answer in before]


def test_imports_have_bounds(registry: ManagementClient, tenant: str) -> None:
    many = lines(*({"id": f"d{number}"} for number in range(501)))
    assert registry.post(f"/tuhono/v1/import/{tenant}", body=many, content_type=NDJSON).status == 400
    large = b" " * (4 * 1024 * 1024 + 1)
    assert registry.post(f"/tuhono/v1/import/{tenant}", body=large, content_type=NDJSON).status == 413
    assert registry.get(f"/v1/devices/{tenant}").status == 404
    assert registry.post("/tuhono/v1/import/nowhere", body=many[:20], content_type=NDJSON).status == 404
    assert registry.get(f"/tuhono/v1/export/{tenant}?limit=0").status == 400
    assert registry.get(f"/tuhono/v1/export/{tenant}?secret=true").status == 400


def test_an_import_hashes_so_many_passwords_and_no_more(registry: ManagementClient, tenant: str) -> None:
    make(registry, tenant, "a")
    secrets = [{"pwd-plain": "hush"}] * 20
    line = {"id": "a", "credentials": [{"type": "hashed-password", "auth-id": "a", "secrets": secrets}]}
    sent = lines(*[line] * 26, {"id": "b"})
    answer = registry.post(f"/tuhono/v1/import/{tenant}?existing=skip", body=sent, content_type=NDJSON)
    assert (answer.json["skipped"], answer.json["created"], answer.json["failed"]) == (25, 1, 1)
    assert [(told["line"], told["code"]) for told in answer.json["failures"]] == [(26, "body-invalid")]


def test_groups_are_listed_with_their_members(registry: ManagementClient, tenant: str) -> None:
    make(registry, tenant, "gw-1", "gw-2", memberOf=["east", "north"])
    make(registry, tenant, "gw-3", memberOf=["north"])
    answer = registry.get(f"/tuhono/v1/groups/{tenant}")
    assert answer.json == {
        "groups": [{"id": "east", "members": ["gw-1", "gw-2"]}, {"id": "north", "members": ["gw-1", "gw-2", "gw-3"]}]
    }
    first = registry.get(f"/tuhono/v1/groups/{tenant}?limit=1").json
    assert (first["after"], [group["id"] for group in first["groups"]]) == ("east", ["east"])
    assert [group["id"] for group in registry.get(f"/tuhono/v1/groups/{tenant}?after=east").json["groups"]] == ["north"]
    assert registry.get("/tuhono/v1/groups/nowhere").status == 404


def test_viewers_read_and_change_nothing(gateway: RunningGateway, registry: ManagementClient, tenant: str) -> None:
    make(registry, tenant, "a")
    with operator_of(gateway, role="viewer", tenants=[tenant]) as viewer:
        assert viewer.get(f"/tuhono/v1/export/{tenant}").status == 200
        assert viewer.post(f"/tuhono/v1/bulk/{tenant}", {"action": "delete", "ids": ["a"]}).status == 403
        assert viewer.post(f"/tuhono/v1/registrations/{tenant}", {}).status == 403
        other = registry.new_tenant()
        assert viewer.get(f"/tuhono/v1/groups/{other}").status == 404
    assert enabled(registry, tenant) == {"a": True}


def test_what_one_call_may_name_is_bounded(registry: ManagementClient, tenant: str) -> None:
    ids = [f"d{number}" for number in range(IDS_MAX + 1)]
    most = registry.post(f"/tuhono/v1/bulk/{tenant}", {"action": "enable", "ids": ids[:-1]})
    assert (most.status, most.json["done"], len(most.json["unknown"])) == (200, 0, IDS_MAX)
    assert registry.post(f"/tuhono/v1/bulk/{tenant}", {"action": "enable", "ids": ids}).status == 400
    assert registry.get(f"/tuhono/v1/groups/{tenant}?limit={GROUPS_MAX}").status == 200
    assert registry.get(f"/tuhono/v1/groups/{tenant}?limit={GROUPS_MAX + 1}").status == 400
    assert registry.get(f"/tuhono/v1/export/{tenant}?limit={EXPORT_DEVICES_MAX}").status == 200
    assert registry.get(f"/tuhono/v1/export/{tenant}?limit={EXPORT_DEVICES_MAX + 1}").status == 400


def test_only_the_first_failures_of_an_import_are_told_and_all_are_counted(
    registry: ManagementClient, tenant: str
) -> None:
    body = b"no json\n" * (FAILURES_TOLD_MAX + 1)
    answer = registry.post(f"/tuhono/v1/import/{tenant}", body=body, content_type=NDJSON)
    assert (answer.json["failed"], len(answer.json["failures"])) == (FAILURES_TOLD_MAX + 1, FAILURES_TOLD_MAX)
