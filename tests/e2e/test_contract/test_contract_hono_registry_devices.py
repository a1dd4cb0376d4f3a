"""Section 6.3 of the Hono registry contract: devices over the management API, each row by its number."""

from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from datetime import datetime
from typing import Any

import pytest

from tests.support.attempts import ACCEPTED, attempt
from tests.support.gateway import RunningGateway
from tests.support.management import Answer, ManagementClient, operator_of
from tests.support.site import open_site
from tests.support.waiting import until_blocking

TOO_LARGE = {"ext": {"data": "x" * 20_000}}  # above management.body_max_bytes
WHOLE = {
    "enabled": False,
    "defaults": {"ttl": 45},
    "via": ["gw-1", "gw-2"],
    "viaGroups": ["north"],
    "authorities": ["auto-provisioning-enabled"],
    "downstream-message-mapper": "down",
    "upstream-message-mapper": "up",
    "ext": {"brand": "Ä", "nested": {"a": [1, 2.5, None]}},
    "command-endpoint": {"uri": "https://x/{{deviceId}}", "headers": {"h": "v"}, "payload-properties": {"p": "v"}},
}


@pytest.fixture
def tenant(registry: ManagementClient) -> str:
    return registry.new_tenant()


def path(tenant: str, device: str = "") -> str:
    return f"/v1/devices/{tenant}/{device}".rstrip("/")


def credentials_path(tenant: str, device: str) -> str:
    return f"/v1/credentials/{tenant}/{device}"


def read(registry: ManagementClient, tenant: str, device: str) -> Answer:
    answer = registry.get(path(tenant, device))
    assert answer.status == 200
    return answer


def moment(text: str) -> datetime:
    assert text.endswith("Z") and len(text) == len("2026-01-01T00:00:00Z")
    return datetime.fromisoformat(text)


def test_hono_registry_77_97_a_device_is_created_under_its_id(registry: ManagementClient, tenant: str) -> None:
    made = registry.post(path(tenant, "sensor"), {"ext": {"a": 1}})
    assert (made.status, made.id, made.headers["location"]) == (201, "sensor", path(tenant, "sensor"))
    found = read(registry, tenant, "sensor")
    assert found.etag == made.etag
    assert found.json["ext"] == {"a": 1}
    assert found.headers["content-type"] == "application/json; charset=utf-8"


def test_hono_registry_78_an_id_is_made_for_a_device_without_one(registry: ManagementClient, tenant: str) -> None:
    made = registry.post(path(tenant), {"enabled": True})
    assert made.status == 201 and made.etag
    assert len(made.id) == 36
    assert made.headers["location"] == path(tenant, made.id)
    assert read(registry, tenant, made.id).json["enabled"] is True


def test_hono_registry_79_a_tenant_nobody_knows_has_no_devices(registry: ManagementClient) -> None:
    assert registry.post(path("unknown-tenant")).status == 404
    assert registry.post(path("unknown-tenant", "sensor")).status == 404


def test_hono_registry_80_a_second_device_of_that_id_leaves_the_first_alone(
    registry: ManagementClient, tenant: str
) -> None:
    made = registry.post(path(tenant, "sensor"), {"ext": {"a": 1}})
    refused = registry.post(path(tenant, "sensor"), {"ext": {"a": 2}})
    assert (refused.status, refused.code) == (409, "device-exists")
    found = read(registry, tenant, "sensor")
    assert (found.etag, found.json["ext"]) == (made.etag, {"a": 1})


def test_hono_registry_81_a_body_needs_its_content_type(registry: ManagementClient, tenant: str) -> None:
    for content_type in (None, "application/x-www-form-urlencoded", "text/plain"):
        refused = registry.post(path(tenant, "sensor"), body=b"{}", content_type=content_type)
        assert refused.status == 400
    assert registry.get(path(tenant, "sensor")).status == 404
    assert (
        registry.post(path(tenant, "sensor"), body=b"{}", content_type="Application/JSON; charset=utf-8").status == 201
    )


@pytest.mark.parametrize("content_type", ["application/json", None, "text/plain"], ids=["82", "83", "any"])
def test_hono_registry_82_83_no_body_is_a_device_with_nothing_said(
    registry: ManagementClient, tenant: str, content_type: str | None
) -> None:
    made = registry.post(path(tenant), body=b"", content_type=content_type)
    assert made.status == 201
    assert set(read(registry, tenant, made.id).json) == {"status"}


@pytest.mark.parametrize(
    ("body", "words"),
    [
        (b'{"unknown": 1}', "unknown"),
        (b'{"mapper": "x"}', "mapper"),
        (b'{"enabled": "true"}', "enabled"),
        (b'{"via": [1]}', "via[0]"),
        (b"null", "null"),
        (b"[]", "array"),
        (b"{", "JSON"),
        (b'{"defaults": {"a": "' + b"x" * 4096 + b'"}}', "defaults"),
    ],
)
def test_hono_registry_84_a_body_that_is_no_device_is_refused_by_name(
    registry: ManagementClient, tenant: str, body: bytes, words: str
) -> None:
    refused = registry.post(path(tenant, "sensor"), body=body, content_type="application/json")
    assert refused.status == 400
    assert words in refused.error
    assert registry.get(path(tenant, "sensor")).status == 404


@pytest.mark.parametrize("device", ["a%20b", "a$b", "a!", "%C3%A4", "a%00", "%2e%2e", "x" * 257])
def test_hono_registry_85_a_device_id_that_can_be_none(registry: ManagementClient, tenant: str, device: str) -> None:
    for answer in (
        registry.post(path(tenant, device)),
        registry.get(path(tenant, device)),
        registry.put(path(tenant, device), {}),
        registry.delete(path(tenant, device)),
        registry.get(credentials_path(tenant, device)),
        registry.put(credentials_path(tenant, device), []),
    ):
        assert answer.status == 400


@pytest.mark.parametrize("tenant_id", ["a%20b", "a$b", "a%00"])
def test_hono_registry_86_a_tenant_id_that_can_be_none(registry: ManagementClient, tenant_id: str) -> None:
    for answer in (
        registry.post(path(tenant_id)),
        registry.post(path(tenant_id, "sensor")),
        registry.get(path(tenant_id, "sensor")),
        registry.put(path(tenant_id, "sensor"), {}),
        registry.delete(path(tenant_id, "sensor")),
        registry.get(credentials_path(tenant_id, "sensor")),
        registry.put(credentials_path(tenant_id, "sensor"), []),
    ):
        assert answer.status == 400


def test_hono_registry_87_102_a_body_is_bounded(registry: ManagementClient, tenant: str) -> None:
    assert registry.post(path(tenant, "sensor"), TOO_LARGE).status == 413
    assert registry.get(path(tenant, "sensor")).status == 404
    device = registry.new_device(tenant)
    before = read(registry, tenant, device)
    assert registry.put(path(tenant, device), TOO_LARGE).status == 413
    assert read(registry, tenant, device).body == before.body


@pytest.mark.parametrize("member", ["via", "viaGroups"], ids=["88", "89"])
def test_hono_registry_88_89_a_gateway_has_no_gateway(registry: ManagementClient, tenant: str, member: str) -> None:
    refused = registry.post(path(tenant, "sensor"), {member: ["a"], "memberOf": ["b"]})
    assert (refused.status, refused.code) == (400, "device-invalid")
    assert refused.error.startswith(f"{member}: ")
    assert registry.post(path(tenant, "sensor"), {member: [], "memberOf": ["b"]}).status == 201


def test_hono_registry_90_one_gateway_may_be_a_text(registry: ManagementClient, tenant: str) -> None:
    made = registry.post(path(tenant), {"via": "gw", "viaGroups": "north"})
    found = read(registry, tenant, made.id).json
    assert (made.status, found["via"], found["viaGroups"]) == (201, ["gw"], ["north"])


def test_hono_registry_91_a_status_that_is_sent_counts_for_nothing(registry: ManagementClient, tenant: str) -> None:
    forged = {"status": {"created": "2001-01-01T00:00:00Z", "auto-provisioned": True, "anything": [None]}}
    device = registry.new_device(tenant, forged)
    assert set(read(registry, tenant, device).json["status"]) == {"created"}
    assert not read(registry, tenant, device).json["status"]["created"].startswith("2001")
    assert registry.put(path(tenant, device), forged).status == 204


def test_hono_registry_92_ids_with_colons_and_equals_signs(registry: ManagementClient, tenant: str) -> None:
    for sent, device in (
        ("urn:dev:1", "urn:dev:1"),
        ("test-device-CN%3Dx", "test-device-CN=x"),
        ("a_b.c-d", "a_b.c-d"),
    ):
        made = registry.post(path(tenant, sent))
        assert (made.status, made.id) == (201, device)
        assert registry.get(made.headers["location"]).status == 200


@pytest.mark.parametrize("most", [2, 0], ids=["93", "94"])
def test_hono_registry_93_94_a_tenant_has_no_more_devices_than_it_may(registry: ManagementClient, most: int) -> None:
    tenant = registry.new_tenant({"registration-limits": {"max-devices": most}})
    made = [registry.post(path(tenant)).status for _ in range(most + 1)]
    assert made == [201] * most + [403]
    refused = registry.post(path(tenant, "one-more"))
    assert (refused.status, refused.code) == (403, "device-limit-reached")


def test_hono_registry_95_a_read_shows_what_was_sent(registry: ManagementClient, tenant: str) -> None:
    device = registry.new_device(tenant, WHOLE)
    found = read(registry, tenant, device).json
    status = found.pop("status")
    assert found == WHOLE
    assert set(status) == {"created"}
    moment(status["created"])


def test_hono_registry_96_100_106_what_nobody_knows_is_not_found(registry: ManagementClient, tenant: str) -> None:
    for known in (tenant, "unknown-tenant"):
        assert registry.get(path(known, "unknown")).status == 404
        assert registry.put(path(known, "unknown"), {}).status == 404
        assert registry.delete(path(known, "unknown")).status == 404


def test_hono_registry_98_99_an_update_replaces_the_whole_device(registry: ManagementClient, tenant: str) -> None:
    made = registry.post(path(tenant, "sensor"), WHOLE)
    created = read(registry, tenant, "sensor").json["status"]["created"]
    changed = registry.put(path(tenant, "sensor"), {"ext": {"new": True}})
    assert (changed.status, changed.body) == (204, b"")
    found = read(registry, tenant, "sensor")
    assert found.etag == changed.etag != made.etag
    status = found.json["status"]
    assert found.json == {"ext": {"new": True}, "status": status}
    assert status["created"] == created
    assert moment(status["updated"]) >= moment(created)
    assert status["last-user"]
    assert registry.put(path(tenant, "sensor"), {"ext": {"new": True}}).etag != changed.etag


def test_hono_registry_101_an_update_needs_body_and_content_type(registry: ManagementClient, tenant: str) -> None:
    device = registry.new_device(tenant)
    before = read(registry, tenant, device)
    for body, content_type in ((b"{}", None), (b"{}", "text/plain"), (b"", "application/json"), (b"", None)):
        assert registry.put(path(tenant, device), body=body, content_type=content_type).status == 400
    assert read(registry, tenant, device).etag == before.etag


def test_hono_registry_103_an_update_in_the_version_that_is_expected(registry: ManagementClient, tenant: str) -> None:
    first = registry.post(path(tenant, "sensor")).etag
    changed = registry.put(path(tenant, "sensor"), {}, if_match=first)
    assert changed.status == 204
    refused = registry.put(path(tenant, "sensor"), {"enabled": False}, if_match=first)
    assert (refused.status, refused.code) == (412, "version-mismatch")
    assert read(registry, tenant, "sensor").etag == changed.etag
    assert registry.put(path(tenant, "sensor"), {}).status == 204
    quoted = f'"{read(registry, tenant, "sensor").etag}"'
    assert registry.put(path(tenant, "sensor"), {}, if_match=quoted).status == 204
    assert registry.put(path(tenant, "sensor"), {}, if_match="").status == 204
    assert registry.put(path(tenant, "unknown"), {}, if_match=first).status == 404


def test_hono_registry_104_a_device_is_deleted_with_its_credentials(registry: ManagementClient, tenant: str) -> None:
    device = registry.new_device(tenant)
    deleted = registry.delete(path(tenant, device))
    assert (deleted.status, deleted.body) == (204, b"")
    assert registry.get(path(tenant, device)).status == 404
    assert registry.get(credentials_path(tenant, device)).status == 404


def test_hono_registry_105_a_device_is_deleted_after_its_tenant(registry: ManagementClient, tenant: str) -> None:
    device = registry.new_device(tenant)
    assert registry.delete(f"/v1/tenants/{tenant}").status == 204
    assert registry.get(path(tenant, device)).status == 404
    assert registry.get(credentials_path(tenant, device)).status == 404
    assert registry.delete(path(tenant, device)).status == 204


def test_hono_registry_107_a_device_is_deleted_in_the_version_that_is_expected(
    registry: ManagementClient, tenant: str
) -> None:
    version = registry.post(path(tenant, "sensor")).etag
    assert registry.delete(path(tenant, "sensor"), if_match="made-up").status == 412
    assert read(registry, tenant, "sensor").etag == version
    assert registry.delete(path(tenant, "sensor"), if_match=version).status == 204


def test_hono_registry_108_all_devices_of_a_tenant_are_deleted(registry: ManagementClient, tenant: str) -> None:
    devices = [registry.new_device(tenant) for _ in range(3)]
    other = registry.new_tenant()
    kept = registry.new_device(other)
    for _ in range(2):
        assert registry.delete(path(tenant)).status == 204
    for device in devices:
        assert registry.get(path(tenant, device)).status == 404
        assert registry.get(credentials_path(tenant, device)).status == 404
    assert registry.get(path(other, kept)).status == 200
    assert registry.delete(path("unknown-tenant")).status == 204


def test_hono_registry_109_no_tenant_has_such_an_id(registry: ManagementClient) -> None:
    assert registry.delete(path("a%20b")).status == 400


def test_hono_registry_111_what_was_read_is_read_again(registry: ManagementClient, tenant: str) -> None:
    device = registry.new_device(tenant, WHOLE)
    first = read(registry, tenant, device)
    again = read(registry, tenant, device)
    assert (first.body, first.etag) == (again.body, again.etag)
    assert registry.put(path(tenant, device), first.json).status == 204  # its status counts for nothing
    after = read(registry, tenant, device).json
    assert {name: value for name, value in after.items() if name != "status"} == WHOLE


async def test_hono_registry_112_an_update_keeps_what_provisioning_noted(
    gateway: RunningGateway, registry: ManagementClient
) -> None:
    site = open_site(gateway, may_auto_provision=True)
    assert await attempt("http", gateway, site.issue()) == ACCEPTED["http"]
    device = site.only_device().device_id

    def status() -> dict[str, Any]:
        noted: dict[str, Any] = read(registry, site.tenant_id, device).json["status"]
        return noted

    until_blocking(lambda: status().get("auto-provisioning-notification-sent") is True, within_s=20.0)
    before = status()
    assert before["auto-provisioned"] is True
    assert "last-user" not in before
    assert registry.put(path(site.tenant_id, device), {"ext": {"a": 1}}).status == 204
    after = status()
    assert after.pop("last-user")
    assert moment(after.pop("updated")) >= moment(before.pop("updated", before["created"]))
    assert after == before


async def test_a_device_that_registered_itself_has_a_credential_like_any_other(
    gateway: RunningGateway, registry: ManagementClient
) -> None:
    site = open_site(gateway, may_auto_provision=True)
    assert await attempt("http", gateway, site.issue("CN=dev,O=Site")) == ACCEPTED["http"]
    target = credentials_path(site.tenant_id, site.only_device().device_id)
    answer = registry.get(target)
    (found,) = answer.json
    assert (found["type"], found["auth-id"]) == ("x509-cert", "CN=dev,O=Site")
    assert len(found["secrets"]) == 1 and found["secrets"][0]["id"]
    assert registry.get(target).etag == answer.etag
    assert registry.put(target, answer.json, if_match=answer.etag).status == 204
    assert registry.get(target).json == answer.json
    assert await attempt("http", gateway, site.issue("CN=dev,O=Site")) == ACCEPTED["http"]


# Several at once.


Calls = Sequence[tuple[str, str, Any, str | None]]  # method, path, document, If-Match


def together(gateway: RunningGateway, calls: Calls) -> list[int]:
    """The statuses of requests that are sent at the same time, each over a connection of its own."""

    def ask(call: tuple[str, str, Any, str | None]) -> int:
        method, target, document, if_match = call
        with operator_of(gateway) as client:
            return client.ask(method, target, document, if_match=if_match).status

    with ThreadPoolExecutor(max_workers=len(calls)) as pool:
        return sorted(pool.map(ask, calls))


def test_of_writers_that_expect_the_same_version_one_writes(
    gateway: RunningGateway, registry: ManagementClient, tenant: str
) -> None:
    version = registry.post(path(tenant, "sensor")).etag
    writers: Calls = [("PUT", path(tenant, "sensor"), {"ext": {"writer": number}}, version) for number in range(4)]
    assert together(gateway, writers) == [204, 412, 412, 412]
    version = registry.get(credentials_path(tenant, "sensor")).etag
    secret = {"type": "type-0", "secrets": [{}]}
    writers = [
        ("PUT", credentials_path(tenant, "sensor"), [{**secret, "auth-id": str(number)}], version)
        for number in range(4)
    ]
    assert together(gateway, writers) == [204, 412, 412, 412]
    assert len(registry.get(credentials_path(tenant, "sensor")).json) == 1


def test_devices_that_are_created_at_once_never_exceed_the_limit(
    gateway: RunningGateway, registry: ManagementClient
) -> None:
    tenant = registry.new_tenant({"registration-limits": {"max-devices": 3}})
    assert together(gateway, [("POST", path(tenant), {}, None)] * 8) == [201] * 3 + [403] * 5
    assert registry.get(path(tenant)).json["total"] == 3


def test_of_devices_that_are_created_at_once_under_one_id_there_is_one(
    gateway: RunningGateway, registry: ManagementClient, tenant: str
) -> None:
    creators = [("POST", path(tenant, "sensor"), {"ext": {"creator": number}}, None) for number in range(4)]
    assert together(gateway, creators) == [201, 409, 409, 409]
