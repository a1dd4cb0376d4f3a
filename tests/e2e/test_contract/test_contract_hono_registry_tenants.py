"""Section 6.1 of the Hono registry contract: tenants over the management API, each row by its number.

The names of CAs are one namespace for all tenants of a gateway: every test takes CAs of its own.
"""

import base64
import threading
import uuid
from pathlib import Path
from typing import Any

import pytest

from tests.support.certificates import Issued, make_ca
from tests.support.gateway import RunningGateway, running_gateway
from tests.support.management import Answer, ManagementClient, client_of, operator_of

ADAPTERS = [{"type": "hono-mqtt", "enabled": True}, {"type": "hono-http", "enabled": False}]


def fresh_id() -> str:
    return f"t-{uuid.uuid4()}"


def fresh_ca() -> Issued:
    return make_ca(f"CN={uuid.uuid4()},O=ACME")


def b64(octets: bytes) -> str:
    return base64.b64encode(octets).decode()


def by_key(ca: Issued, **members: Any) -> dict[str, Any]:
    """A trusted CA as name, key and validity."""
    return {
        "subject-dn": dn_of(ca),
        "public-key": b64(ca.public_key_der),
        "algorithm": "EC",
        "not-before": "2020-01-01T00:00:00Z",
        "not-after": "2040-01-01T00:00:00Z",
        **members,
    }


def dn_of(ca: Issued) -> str:
    return ca.certificate.subject.rfc4514_string()


def refused(answer: Answer, status: int, *words: str) -> None:
    assert answer.status == status, answer
    for word in words:
        assert word in answer.error, answer.error


def create(registry: ManagementClient, document: Any) -> Answer:
    return registry.post(f"/v1/tenants/{fresh_id()}", document)


def test_hono_registry_1_35_a_full_tenant_is_created_and_read(registry: ManagementClient) -> None:
    tenant_id = fresh_id()
    document = {
        "enabled": False,
        "alias": f"a-{uuid.uuid4()}",
        "ext": {"messaging-type": "kafka", "nested": {"list": [1, 1.5, None, "ß"]}},
        "adapters": [
            {"type": "hono-mqtt", "enabled": True, "device-authentication-required": True, "ext": {"max-ttd": 30}},
            {"type": "hono-http", "enabled": False, "device-authentication-required": False},
        ],
        "defaults": {"ttl": 30},
        "minimum-message-size": 2048,
        "registration-limits": {"max-devices": 100, "max-credentials-per-device": 5},
        "resource-limits": {
            "max-connections": 1000,
            "max-ttl": 30,
            "data-volume": {
                "effective-since": "2019-07-27T14:30:00Z",
                "max-bytes": 2147483648,
                "period": {"mode": "days", "no-of-days": 30},
            },
            "connection-duration": {"effective-since": "2019-07-27T14:30:00Z", "max-minutes": 50000},
        },
        "tracing": {"sampling-mode": "all", "sampling-mode-per-auth-id": {"CN=x": "none"}},
        "trust-anchor-group": "group",
        "trusted-ca": [
            by_key(
                fresh_ca(),
                **{
                    "id": "ca",
                    "auth-id-template": "auth-{{subject-cn}}",
                    "auto-provisioning-enabled": True,
                    "auto-provision-as-gateway": True,
                    "auto-provisioning-device-id-template": "device-{{subject-dn}}",
                    "provisioning-rate-max": 5.0,
                    "device-template": {"defaults": {"ttl": 1}, "memberOf": ["g"]},
                },
            )
        ],
    }
    made = registry.post(f"/v1/tenants/{tenant_id}", document)
    assert made.status == 201
    assert made.headers["location"] == f"/v1/tenants/{tenant_id}"
    assert made.json == {"id": tenant_id}
    uuid.UUID(made.etag)
    read = registry.get(f"/v1/tenants/{tenant_id}")
    assert (read.status, read.etag) == (200, made.etag)
    assert read.headers["content-type"] == "application/json; charset=utf-8"
    assert read.json == document


def test_hono_registry_2_36_a_tenant_needs_no_body_and_no_content_type(registry: ManagementClient) -> None:
    tenant_id = fresh_id()
    assert registry.post(f"/v1/tenants/{tenant_id}", content_type=None).status == 201
    read = registry.get(f"/v1/tenants/{tenant_id}")
    assert (read.status, read.json) == (200, {})
    other = registry.post(f"/v1/tenants/{fresh_id()}", content_type="application/x-www-form-urlencoded")
    assert other.status == 201


def test_hono_registry_3_an_id_is_made_where_none_is_given(registry: ManagementClient) -> None:
    made = registry.post("/v1/tenants", {"enabled": True})
    assert made.status == 201
    uuid.UUID(made.id)
    assert made.headers["location"] == f"/v1/tenants/{made.id}"
    assert registry.get(made.headers["location"]).etag == made.etag


def test_hono_registry_3_an_empty_id_is_none_given(registry: ManagementClient) -> None:
    """Clients that fill the id into the path of one tenant leave the slash before it."""
    made = registry.post("/v1/tenants/", {"enabled": True})
    assert made.status == 201, made
    uuid.UUID(made.id)
    assert made.headers["location"] == f"/v1/tenants/{made.id}"
    assert registry.get("/v1/tenants/?pageSize=1").status == 200
    refused(registry.delete("/v1/tenants/"), 405)
    refused(registry.delete(f"/v1/devices/{made.id}/"), 404)  # names no device, least of all every one


def test_hono_registry_4_an_id_is_taken_once(registry: ManagementClient) -> None:
    tenant_id = registry.new_tenant({"alias": f"a-{uuid.uuid4()}"})
    before = registry.get(f"/v1/tenants/{tenant_id}")
    refused(registry.post(f"/v1/tenants/{tenant_id}", {}), 409, tenant_id)
    after = registry.get(f"/v1/tenants/{tenant_id}")
    assert (after.json, after.etag) == (before.json, before.etag)


@pytest.mark.parametrize("name", ["invalid%20tenantid$", "a%2Fb", "a%00b", "%C3%BC", "x" * 257, "a%0A"])
def test_hono_registry_5_an_id_that_breaks_the_pattern_is_refused(registry: ManagementClient, name: str) -> None:
    for method in ("POST", "GET", "PUT", "DELETE"):
        answer = registry.ask(method, f"/v1/tenants/{name}", *([{}] if method in {"POST", "PUT"} else []))
        assert answer.status == 400, (method, answer)


@pytest.mark.parametrize("content_type", ["application/x-www-form-urlencoded", "text/json", None])
def test_hono_registry_6_a_body_of_another_type_is_refused(
    registry: ManagementClient, content_type: str | None
) -> None:
    tenant_id = fresh_id()
    refused(registry.post(f"/v1/tenants/{tenant_id}", body=b"{}", content_type=content_type), 400)
    refused(registry.get(f"/v1/tenants/{tenant_id}"), 404)
    named = registry.post(f"/v1/tenants/{tenant_id}", body=b"{}", content_type="Application/JSON; charset=UTF-8")
    assert named.status == 201


def test_hono_registry_7_43_a_body_beyond_the_limit_is_refused(tmp_path: Path) -> None:
    with running_gateway(tmp_path, management={"body_max_bytes": 2000}) as gateway, operator_of(gateway) as registry:
        tenant_id, long = registry.new_tenant(), {"ext": {"data": "x" * 3000}}
        refused(registry.post(f"/v1/tenants/{fresh_id()}", long), 413)
        refused(registry.put(f"/v1/tenants/{tenant_id}", long), 413)
        unread = registry.post(f"/v1/tenants/{fresh_id()}", body=b"x" * 3000, content_type="text/plain")
        refused(unread, 413)
        assert registry.get(f"/v1/tenants/{tenant_id}").json == {}


BARE = {
    "subject-dn": "CN=never stored",
    "public-key": b64(make_ca("CN=x").public_key_der),
    "algorithm": "EC",
    "not-before": "2020-01-01T00:00:00Z",
    "not-after": "2040-01-01T00:00:00Z",
}
SINCE = {"effective-since": "2019-07-27T14:30:00Z"}


@pytest.mark.parametrize(
    ("document", "member"),
    [
        pytest.param({"unexpected": "property"}, "unexpected", id="8"),
        pytest.param({"adapters": [ADAPTERS[0], ADAPTERS[0]]}, "adapters[1].type", id="9"),
        pytest.param({"adapters": []}, "adapters", id="10"),
        pytest.param({"adapters": [{"enabled": True}]}, "adapters[0].type", id="11"),
        pytest.param({"trusted-ca": [{**BARE, "public-key": b64(b"NotAKey")}]}, "trusted-ca[0].public-key", id="12"),
        pytest.param({"trusted-ca": [{**BARE, "not-before": ""}]}, "trusted-ca[0].not-before", id="13"),
        pytest.param({"trusted-ca": [{**BARE, "id": "a"}, {**BARE, "id": "a"}]}, "trusted-ca[1].id", id="17"),
        pytest.param({"alias": "NOT_a-valid=Alias"}, "alias", id="24"),
        pytest.param(
            {"trusted-ca": [{**BARE, "auth-id-template": "id-{{unsupported-placeholder}}"}]},
            "trusted-ca[0].auth-id-template",
            id="25",
        ),
        pytest.param(
            {"trusted-ca": [{**BARE, "auth-id-template": "no-placeholder"}]}, "trusted-ca[0].auth-id-template", id="26"
        ),
        pytest.param(
            {"trusted-ca": [{**BARE, "auto-provisioning-device-id-template": "device-{{subject-xyz}}"}]},
            "trusted-ca[0].auto-provisioning-device-id-template",
            id="27",
        ),
        pytest.param(
            {"trusted-ca": [{**BARE, "ocsp-revocation-enabled": True}]},
            "trusted-ca[0].ocsp-revocation-enabled",
            id="28",
        ),
        pytest.param({"minimum-message-size": -1}, "minimum-message-size", id="30"),
        pytest.param({"resource-limits": {"max-connections": -2}}, "resource-limits.max-connections", id="31"),
        pytest.param({"resource-limits": {"max-ttl": -2}}, "resource-limits.max-ttl", id="31-ttl"),
        pytest.param({"resource-limits": {"data-volume": {}}}, "resource-limits.data-volume.effective-since", id="32"),
        pytest.param({"registration-limits": {"max-devices": -2}}, "registration-limits.max-devices", id="33"),
        pytest.param(
            {"resource-limits": {"data-volume": {"effective-since": "2019-07-27T14:30:00+0200"}}},
            "resource-limits.data-volume.effective-since",
            id="34",
        ),
    ],
)
def test_hono_registry_8_9_10_11_12_13_17_24_25_26_27_28_30_31_32_33_34_46_a_bad_member_is_refused_by_name(
    registry: ManagementClient, document: dict[str, Any], member: str
) -> None:
    tenant_id = fresh_id()
    refused(registry.post(f"/v1/tenants/{tenant_id}", document), 400, f"{member}: ")
    refused(registry.get(f"/v1/tenants/{tenant_id}"), 404)
    tenant_id = registry.new_tenant()
    version = registry.get(f"/v1/tenants/{tenant_id}").etag
    refused(registry.put(f"/v1/tenants/{tenant_id}", document), 400, f"{member}: ")
    assert registry.get(f"/v1/tenants/{tenant_id}").etag == version


def test_hono_registry_13_validity_is_wanted_of_a_ca_without_certificate(registry: ManagementClient) -> None:
    for missing in ("not-before", "not-after"):
        entry = {name: value for name, value in BARE.items() if name != missing}
        refused(create(registry, {"trusted-ca": [entry]}), 400, f"trusted-ca[0].{missing}: ")


def test_hono_registry_14_15_29_a_certificate_says_everything_itself(registry: ManagementClient) -> None:
    ca = fresh_ca()
    contradicting = {"subject-dn": "CN=Another", "algorithm": "RSA", "not-after": "2021-01-01T00:00:00Z"}
    tenant_id = registry.new_tenant(
        {"trusted-ca": [{"id": "ca", "cert": b64(ca.der), "ocsp-revocation-enabled": True, **contradicting}]}
    )
    assert registry.get(f"/v1/tenants/{tenant_id}").json == {
        "trusted-ca": [
            {
                **by_key(ca),
                "id": "ca",
                "subject-dn-bytes": b64(ca.certificate.subject.public_bytes()),
                "auto-provisioning-enabled": False,
                "auto-provision-as-gateway": False,
                "ocsp-revocation-enabled": True,
                "ocsp-responder-cert": b64(ca.der),
            }
        ]
    }


def test_what_was_read_can_be_written_and_changes_nothing(registry: ManagementClient, gateway: RunningGateway) -> None:
    ca = fresh_ca()
    tenant_id = registry.new_tenant({"trusted-ca": [{"cert": b64(ca.der)}]})
    before = gateway.tenants.get(tenant_id).trust_anchors
    read = registry.get(f"/v1/tenants/{tenant_id}")
    assert registry.put(f"/v1/tenants/{tenant_id}", read.json, if_match=read.etag).status == 204
    assert registry.get(f"/v1/tenants/{tenant_id}").json == read.json
    assert gateway.tenants.get(tenant_id).trust_anchors == before


def test_hono_registry_16_49_ids_of_cas_are_kept_or_made_in_order(registry: ManagementClient) -> None:
    document = {"trusted-ca": [by_key(fresh_ca(), id="test-ca"), by_key(fresh_ca())]}
    created = registry.new_tenant(document)
    updated = registry.new_tenant()
    document["trusted-ca"] = [by_key(fresh_ca(), id="test-ca"), by_key(fresh_ca())]
    assert registry.put(f"/v1/tenants/{updated}", document).status == 204
    for tenant_id in (created, updated):
        first, second = registry.get(f"/v1/tenants/{tenant_id}").json["trusted-ca"]
        assert first["id"] == "test-ca"
        uuid.UUID(second["id"])


def test_hono_registry_17_46_an_id_of_a_ca_is_given_once(registry: ManagementClient) -> None:
    ca = fresh_ca()
    twice = {"trusted-ca": [by_key(ca, id="test-ca"), by_key(ca, id="test-ca")]}
    refused(create(registry, twice), 400, "trusted-ca[1].id: ")
    refused(registry.put(f"/v1/tenants/{registry.new_tenant()}", twice), 400, "trusted-ca[1].id: ")


def test_hono_registry_18_a_tenant_may_list_a_name_twice(registry: ManagementClient) -> None:
    old = fresh_ca()
    new = make_ca(dn_of(old))
    listed = [by_key(old, id="old"), by_key(new, id="new"), by_key(new, id="again")]
    tenant_id = registry.new_tenant({"trusted-ca": listed})
    read = registry.get(f"/v1/tenants/{tenant_id}").json["trusted-ca"]
    assert [(entry["id"], entry["public-key"]) for entry in read] == [
        (entry["id"], entry["public-key"]) for entry in listed
    ]


@pytest.mark.parametrize(
    ("first", "second", "may"),
    [
        pytest.param(None, None, False, id="19"),
        pytest.param("test-group", "test-group", True, id="20"),
        pytest.param("one", "two", False, id="21"),
        pytest.param(None, "group", False, id="22"),
        pytest.param("group", None, False, id="22-turned"),
    ],
)
def test_hono_registry_19_20_21_22_47_48_a_name_is_one_tenants_or_one_groups(
    registry: ManagementClient, first: str | None, second: str | None, may: bool
) -> None:
    ca = fresh_ca()

    def document(group: str | None) -> dict[str, Any]:
        return {"trusted-ca": [by_key(ca)]} | ({} if group is None else {"trust-anchor-group": group})

    registry.new_tenant(document(first))
    created = create(registry, document(second))
    other = registry.new_tenant()
    version = registry.get(f"/v1/tenants/{other}").etag
    updated = registry.put(f"/v1/tenants/{other}", document(second))
    if may:
        assert (created.status, updated.status) == (201, 204)
        return
    for answer in (created, updated):
        refused(answer, 409, dn_of(ca))
        assert answer.json["subject-dn"] == dn_of(ca)
        assert answer.code == "anchor-taken"
    assert registry.get(f"/v1/tenants/{other}").etag == version


def test_hono_registry_23_50_an_alias_is_one_tenants(registry: ManagementClient) -> None:
    alias = f"a-{uuid.uuid4()}"
    registry.new_tenant({"alias": alias})
    refused(create(registry, {"alias": alias}), 409, alias)
    refused(registry.put(f"/v1/tenants/{registry.new_tenant()}", {"alias": alias}), 409, alias)


def test_hono_registry_37_38_41_53_a_tenant_that_is_not_there_is_not_found(registry: ManagementClient) -> None:
    alias = f"a-{uuid.uuid4()}"
    registry.new_tenant({"alias": alias})
    for name in ("non-existing-tenant", alias):
        refused(registry.get(f"/v1/tenants/{name}"), 404)
        refused(registry.put(f"/v1/tenants/{name}", {}), 404)
        refused(registry.put(f"/v1/tenants/{name}", {}, if_match="any"), 404)
        refused(registry.delete(f"/v1/tenants/{name}"), 404)
        refused(registry.delete(f"/v1/tenants/{name}", if_match="any"), 404)


def test_hono_registry_39_40_a_tenant_is_replaced_whole(registry: ManagementClient) -> None:
    tenant_id = registry.new_tenant({"alias": f"a-{uuid.uuid4()}", "ext": {"a": 1}, "adapters": ADAPTERS})
    before = registry.get(f"/v1/tenants/{tenant_id}")
    changed = registry.put(f"/v1/tenants/{tenant_id}", {"enabled": False})
    assert (changed.status, changed.body) == (204, b"")
    assert changed.etag != before.etag
    after = registry.get(f"/v1/tenants/{tenant_id}")
    assert (after.json, after.etag) == ({"enabled": False}, changed.etag)
    same = registry.put(f"/v1/tenants/{tenant_id}", {"enabled": False})
    assert same.etag not in {before.etag, changed.etag}


@pytest.mark.parametrize("content_type", ["application/json", None])
def test_hono_registry_42_a_replacement_needs_a_body(registry: ManagementClient, content_type: str | None) -> None:
    tenant_id = registry.new_tenant({"enabled": True})
    refused(registry.put(f"/v1/tenants/{tenant_id}", content_type=content_type), 400)
    refused(registry.put(f"/v1/tenants/{tenant_id}", None), 400, "body: must be an object, not null")
    refused(registry.put(f"/v1/tenants/{tenant_id}", []), 400, "body: must be an object, not an array")
    assert registry.get(f"/v1/tenants/{tenant_id}").json == {"enabled": True}


def test_hono_registry_44_45_a_version_is_wanted_where_it_is_named(registry: ManagementClient) -> None:
    tenant_id = registry.new_tenant()
    first = registry.get(f"/v1/tenants/{tenant_id}").etag
    second = registry.put(f"/v1/tenants/{tenant_id}", {"enabled": False}, if_match=first)
    assert second.status == 204
    refused(registry.put(f"/v1/tenants/{tenant_id}", {"enabled": True}, if_match=first), 412, second.etag)
    refused(registry.put(f"/v1/tenants/{tenant_id}", {"enabled": True}, if_match="*"), 412)
    assert registry.get(f"/v1/tenants/{tenant_id}").json == {"enabled": False}
    quoted = registry.put(f"/v1/tenants/{tenant_id}", {"enabled": True}, if_match=f'"{second.etag}"')
    assert quoted.status == 204
    assert registry.put(f"/v1/tenants/{tenant_id}", {}, if_match="").status == 204


def test_hono_registry_45_of_many_writers_with_one_version_one_writes(gateway: RunningGateway) -> None:
    with operator_of(gateway) as registry:
        tenant_id = registry.new_tenant()
        version = registry.get(f"/v1/tenants/{tenant_id}").etag
        answers: list[int] = []
        start = threading.Barrier(4)

        def write(client: ManagementClient, number: int) -> None:
            start.wait()
            answers.append(client.put(f"/v1/tenants/{tenant_id}", {"ext": {"n": number}}, if_match=version).status)

        clients = [client_of(gateway, registry.authorization) for _ in range(4)]
        threads = [threading.Thread(target=write, args=(client, number)) for number, client in enumerate(clients)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        for client in clients:
            client.close()
        assert sorted(answers) == [204, 412, 412, 412]


def test_hono_registry_51_many_tenants_may_trust_nobody(registry: ManagementClient) -> None:
    for tenant_id in (registry.new_tenant(), registry.new_tenant()):
        assert registry.put(f"/v1/tenants/{tenant_id}", {"trusted-ca": []}).status == 204
        assert registry.get(f"/v1/tenants/{tenant_id}").json == {}


def test_hono_registry_52_with_a_tenant_goes_all_that_was_its(registry: ManagementClient) -> None:
    tenant_id = registry.new_tenant({"ext": {"a": 1}})
    device_id = registry.new_device(tenant_id)
    deleted = registry.delete(f"/v1/tenants/{tenant_id}")
    assert (deleted.status, deleted.body) == (204, b"")
    assert "etag" not in deleted.headers
    gone = [f"tenants/{tenant_id}", f"devices/{tenant_id}/{device_id}", f"credentials/{tenant_id}/{device_id}"]
    for path in gone:
        refused(registry.get(f"/v1/{path}"), 404)
    assert registry.post(f"/v1/tenants/{tenant_id}").status == 201
    assert registry.get(f"/v1/tenants/{tenant_id}").json == {}
    refused(registry.get(f"/v1/devices/{tenant_id}/{device_id}"), 404)


def test_hono_registry_54_a_version_is_wanted_of_what_is_deleted(registry: ManagementClient) -> None:
    tenant_id = registry.new_tenant()
    version = registry.get(f"/v1/tenants/{tenant_id}").etag
    refused(registry.delete(f"/v1/tenants/{tenant_id}", if_match=str(uuid.uuid4())), 412, version)
    assert registry.get(f"/v1/tenants/{tenant_id}").status == 200
    assert registry.delete(f"/v1/tenants/{tenant_id}", if_match=version).status == 204
    refused(registry.get(f"/v1/tenants/{tenant_id}"), 404)


@pytest.mark.parametrize("method", ["POST", "PUT", "GET", "DELETE"])
def test_hono_registry_55_a_browser_may_ask_for_every_method(registry: ManagementClient, method: str) -> None:
    for path in (f"/v1/tenants/{fresh_id()}", *(["/v1/tenants"] if method in {"POST", "GET"} else [])):
        answer = registry.preflight(path, method)
        assert answer.status == 204
        assert answer.headers["access-control-allow-origin"] == "*"
        assert method in answer.headers["access-control-allow-methods"]
        allowed = answer.headers["access-control-allow-headers"].lower()
        assert all(name in allowed for name in ("content-type", "authorization", "if-match"))
        assert "etag" in answer.headers["access-control-expose-headers"].lower()


@pytest.mark.parametrize(
    "authorization", [None, "Basic " + b64(b"nobody:wrong"), "Basic !", "Bearer tuh_wrong", "Basic " + b64(b"\0:\xff")]
)
def test_hono_registry_56_nobody_comes_in_without_credentials(
    registry: ManagementClient, authorization: str | None
) -> None:
    tenant_id = registry.new_tenant()
    for method in ("GET", "PUT", "DELETE", "POST"):
        answer = registry.ask(method, f"/v1/tenants/{tenant_id}", authorization=authorization)
        assert answer.status == 401, answer
        assert 'Basic realm="' in answer.headers["www-authenticate"]
    assert registry.get(f"/v1/tenants/{tenant_id}").status == 200


def test_operators_reach_what_they_may(registry: ManagementClient, gateway: RunningGateway) -> None:
    ours, theirs = registry.new_tenant(), registry.new_tenant()
    new = fresh_id()
    with operator_of(gateway, tenants=[ours, new]) as admin:
        refused(admin.get(f"/v1/tenants/{theirs}"), 404)
        refused(admin.delete(f"/v1/tenants/{theirs}"), 404)
        refused(admin.post("/v1/tenants"), 403)
        refused(admin.post(f"/v1/tenants/{fresh_id()}"), 404)
        assert admin.post(f"/v1/tenants/{new}").status == 201
        assert admin.delete(f"/v1/tenants/{new}").status == 204
    with operator_of(gateway, role="editor", tenants=[ours]) as editor:
        assert editor.put(f"/v1/tenants/{ours}", {"enabled": False}).status == 204
        refused(editor.delete(f"/v1/tenants/{ours}"), 403)
        refused(editor.post(f"/v1/tenants/{ours}"), 403)
        refused(editor.put(f"/v1/tenants/{theirs}", {}), 404)
    with operator_of(gateway, role="viewer", tenants=[ours]) as viewer:
        assert viewer.get(f"/v1/tenants/{ours}").json == {"enabled": False}
        refused(viewer.put(f"/v1/tenants/{ours}", {}), 403)


def test_who_reaches_one_tenant_joins_no_group_of_others(registry: ManagementClient, gateway: RunningGateway) -> None:
    """There, a CA of the name of another tenant's keeps that one's devices out: whose they are cannot be told."""
    ours, new, group = registry.new_tenant(), fresh_id(), fresh_id()
    with operator_of(gateway, tenants=[ours, new]) as admin:
        refused(admin.put(f"/v1/tenants/{ours}", {"trust-anchor-group": group}), 403)
        refused(admin.post(f"/v1/tenants/{new}", {"trust-anchor-group": group}), 403)
        assert registry.put(f"/v1/tenants/{ours}", {"trust-anchor-group": group}).status == 204
        assert admin.put(f"/v1/tenants/{ours}", {"trust-anchor-group": group, "enabled": False}).status == 204
        assert admin.put(f"/v1/tenants/{ours}", {}).status == 204
        refused(admin.put(f"/v1/tenants/{ours}", {"trust-anchor-group": group}), 403)
    assert registry.get(f"/v1/tenants/{ours}").json == {}
