"""Operators over HTTPS, against a real gateway: proofs, reach, revocation in every process, and who guesses."""

import base64
import json
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from kernel.clock import SystemClock
from tenant.operator_administration import OperatorAdministration, OperatorChange
from tenant.operators import LocalCaller
from tests.support.gateway import RunningGateway, running_gateway
from tests.support.management import Answer, ManagementClient, client_of, new_key_of, operator_of
from tests.support.waiting import until_blocking

OPERATORS = "/tuhono/v1/operators"
ME = "/tuhono/v1/me"
TOKEN = "/tuhono/v1/token"
PASSWORD = "correct horse"
LOCAL = LocalCaller(name="local:test")


@pytest.fixture(scope="module")
def gateway(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningGateway]:
    with running_gateway(tmp_path_factory.mktemp("operators")) as started:
        yield started


@pytest.fixture
def admin(gateway: RunningGateway) -> Iterator[ManagementClient]:
    with operator_of(gateway) as client:
        yield client


def basic(name: str, password: str = PASSWORD) -> str:
    return "Basic " + base64.b64encode(f"{name}:{password}".encode()).decode()


def created(admin: ManagementClient, name: str, **members: Any) -> Answer:
    answer = admin.post(OPERATORS, {"name": name, **members})
    assert answer.status == 201, answer
    return answer


def here(gateway: RunningGateway) -> OperatorAdministration:
    """Another process than the gateway's, on the same database."""
    return OperatorAdministration(operators=gateway.store.operators, clock=SystemClock())


def test_the_first_start_makes_an_administrator_whose_key_is_in_a_file(gateway: RunningGateway) -> None:
    path = gateway.data_dir / "admin-key"
    assert path.stat().st_mode & 0o777 == 0o600
    key = path.read_text().strip()
    with closing(client_of(gateway, f"Bearer {key}")) as client:
        assert client.get(ME).json == {"name": "admin", "role": "admin", "proven-by": "api-key"}
    assert key not in gateway.log_file.read_text()
    [record] = [one for one in gateway.log() if one["event"] == "operator.first-made"]
    assert record["key_file"] == str(path)


def test_a_later_start_makes_nobody(tmp_path: Path) -> None:
    with running_gateway(tmp_path) as gateway:
        key = (gateway.data_dir / "admin-key").read_text()
        gateway.another()
        assert gateway.stop() == 0
        gateway.restart()
        assert (gateway.data_dir / "admin-key").read_text() == key
        assert [one.name for one in here(gateway).all(LOCAL)] == ["admin"]
        assert not list(gateway.data_dir.glob(".admin-key*"))


def test_an_operator_is_made_read_changed_and_deleted(admin: ManagementClient) -> None:
    made = created(admin, "grace", role="editor", tenants=["b", "a"], password=PASSWORD)
    assert made.headers["location"] == f"{OPERATORS}/grace"
    shown = admin.get(f"{OPERATORS}/grace")
    assert shown.etag == made.etag
    assert shown.json.items() >= {
        "name": "grace", "role": "editor", "tenants": ["a", "b"], "enabled": True, "has-password": True
    }.items()  # fmt: skip
    assert PASSWORD not in shown.body.decode()
    assert admin.post(OPERATORS, {"name": "grace"}).code == "operator-exists"
    changed = admin.ask("PATCH", f"{OPERATORS}/grace", {"role": "viewer", "tenants": None}, if_match=made.etag)
    assert changed.status == 204
    assert admin.ask("PATCH", f"{OPERATORS}/grace", {"role": "admin"}, if_match=made.etag).status == 412
    after = admin.get(f"{OPERATORS}/grace").json
    assert (after["role"], "tenants" in after, after["has-password"]) == ("viewer", False, True)
    assert admin.delete(f"{OPERATORS}/grace", if_match=made.etag).status == 412
    assert admin.delete(f"{OPERATORS}/grace").status == 204
    assert admin.get(f"{OPERATORS}/grace").status == 404
    assert admin.delete(f"{OPERATORS}/grace").status == 404


@pytest.mark.parametrize(
    ("document", "member"),
    [
        ({}, "name"),
        ({"name": "a:b"}, "name"),
        ({"name": "x", "role": "root"}, "role"),
        ({"name": "x", "password": "short"}, "password"),
        ({"name": "x", "password": None}, "password"),
        ({"name": "x", "password": "tuh_something"}, "password"),
        ({"name": "x", "tenants": []}, "tenants"),
        ({"name": "x", "tenants": [1]}, "tenants"),
        ({"name": "x", "enabled": "yes"}, "enabled"),
        ({"name": "x", "unknown": 1}, "unknown"),
        ([], ""),
    ],
)
def test_a_body_that_breaks_a_rule_is_refused_with_the_member_named(
    admin: ManagementClient, document: Any, member: str
) -> None:
    answer = admin.post(OPERATORS, document)
    assert answer.status == 400
    assert member in answer.error
    assert admin.get(f"{OPERATORS}/x").status == 404


def test_operators_are_listed_page_by_page(admin: ManagementClient) -> None:
    for number in range(5):
        created(admin, f"listed-{number}")
    names: list[str] = []
    path = f"{OPERATORS}?pageSize=3&after=listed-"
    while path:
        page = admin.get(path).json
        names += [one["name"] for one in page["result"]]
        path = f"{OPERATORS}?pageSize=3&after={page['next']}" if "next" in page else ""
    assert [name for name in names if name.startswith("listed-")] == [f"listed-{number}" for number in range(5)]
    assert names == sorted(names)
    for odd in ("pageSize=0", "pageSize=201", "pageSize=x", "pageSize=1&pageSize=2", "unknown=1"):
        assert admin.get(f"{OPERATORS}?{odd}").code == "query-invalid"


def test_who_is_no_administrator_neither_sees_nor_makes_operators(gateway: RunningGateway) -> None:
    for role in ("viewer", "editor"):
        with operator_of(gateway, role=role) as client:
            assert client.get(OPERATORS).status == 403
            assert client.get(f"{OPERATORS}/admin").status == 403
            assert client.post(OPERATORS, {"name": "x"}).status == 403
            assert client.get(ME).json["role"] == role


def test_an_administrator_of_some_tenants_stays_within_them(gateway: RunningGateway, admin: ManagementClient) -> None:
    created(admin, "of-other", role="viewer", tenants=["other"])
    with operator_of(gateway, tenants=["mine"]) as client:
        assert client.get(ME).json["tenants"] == ["mine"]
        assert client.post(OPERATORS, {"name": "mine-1", "tenants": ["mine"], "role": "admin"}).status == 201
        assert client.post(OPERATORS, {"name": "everywhere"}).code == "beyond-reach"
        assert client.post(OPERATORS, {"name": "both", "tenants": ["mine", "other"]}).code == "beyond-reach"
        assert client.post(OPERATORS, {"name": "of-other", "tenants": ["mine"]}).status == 403
        assert client.ask("PATCH", f"{OPERATORS}/mine-1", {"tenants": None}).code == "beyond-reach"
        for name in ("admin", "of-other", "nobody"):
            assert client.get(f"{OPERATORS}/{name}").status == 404
            assert client.ask("PATCH", f"{OPERATORS}/{name}", {"enabled": False}).status == 404
            assert client.delete(f"{OPERATORS}/{name}").status == 404
            assert client.post(f"{OPERATORS}/{name}/keys").status == 404
        names = [one["name"] for one in client.get(OPERATORS).json["result"]]
        assert "mine-1" in names
        assert not {"admin", "of-other"} & set(names)


def test_a_revoked_key_is_refused_at_the_next_request(gateway: RunningGateway, admin: ManagementClient) -> None:
    created(admin, "keyed", role="viewer")
    made = admin.post(f"{OPERATORS}/keyed/keys", {"name": "pipeline", "days": 30})
    assert made.status == 201
    key, key_id = made.json["key"], made.json["id"]
    assert key.startswith("tuh_")
    with closing(client_of(gateway, f"Bearer {key}")) as client:
        assert client.get(ME).json["name"] == "keyed"
        token = client.post(TOKEN).json["access_token"]
        [shown] = admin.get(f"{OPERATORS}/keyed/keys").json["result"]
        assert shown["id"] == key_id
        assert {"created", "expires", "last-used"} <= shown.keys()
        assert key not in json.dumps(shown)
        assert admin.delete(f"{OPERATORS}/keyed/keys/{key_id}").status == 204
        assert client.get(ME).status == 401
        assert client.get(ME, authorization=f"Bearer {token}").status == 401
    assert admin.delete(f"{OPERATORS}/keyed/keys/{key_id}").status == 204
    assert admin.delete(f"{OPERATORS}/keyed/keys/key-0000000000000000").code == "api-key-unknown"


def test_what_another_process_changes_is_in_force_at_once(gateway: RunningGateway, admin: ManagementClient) -> None:
    created(admin, "elsewhere", role="viewer", password=PASSWORD)
    with closing(client_of(gateway, basic("elsewhere"))) as client:
        for _ in range(3):
            assert client.get(ME).status == 200
        here(gateway).change(LOCAL, "elsewhere", OperatorChange(password="another horse", sets_password=True))
        assert client.get(ME).status == 401
        assert client.get(ME, authorization=basic("elsewhere", "another horse")).status == 200
        here(gateway).change(LOCAL, "elsewhere", OperatorChange(enabled=False))
        assert client.get(ME, authorization=basic("elsewhere", "another horse")).status == 401
    secret = new_key_of(gateway, role="viewer")
    with closing(client_of(gateway, f"Bearer {secret}")) as client:
        name = client.get(ME).json["name"]
        here(gateway).revoke(LOCAL, name)
        assert client.get(ME).status == 401


def test_the_last_administrator_cannot_be_removed(tmp_path: Path) -> None:
    with running_gateway(tmp_path) as gateway:
        key = (gateway.data_dir / "admin-key").read_text().strip()
        with closing(client_of(gateway, f"Bearer {key}")) as client:
            assert client.delete(f"{OPERATORS}/admin").code == "last-administrator"
            for change in ({"enabled": False}, {"role": "editor"}, {"tenants": ["a"]}):
                assert client.ask("PATCH", f"{OPERATORS}/admin", change).status == 409
            assert client.get(ME).status == 200


def test_a_token_is_made_of_a_password_or_key_and_ends(tmp_path: Path) -> None:
    with running_gateway(tmp_path, operators={"token_lifetime_s": 2}) as gateway, operator_of(gateway) as admin:
        created(admin, "ada", role="editor", password=PASSWORD)
        with closing(client_of(gateway, basic("ada"))) as client:
            answer = client.post(TOKEN)
            assert answer.status == 200
            assert answer.headers["cache-control"] == "no-store"
            assert answer.json.items() >= {"token_type": "Bearer", "expires_in": 2}.items()
            client.authorization = f"Bearer {answer.json['access_token']}"
            found = client.get(ME)
            if found.status == 200:  # unless the machine was away for two seconds
                assert found.json == {"name": "ada", "role": "editor", "proven-by": "token"}
                again = client.post(TOKEN)
                assert again.code in {"token-from-token", "token-expired"}
            until_blocking(lambda: client.get(ME).status == 401, within_s=20)
            assert client.get(ME).code == "token-expired"


def test_tokens_of_one_process_are_good_in_the_other(gateway: RunningGateway, admin: ManagementClient) -> None:
    token = admin.post(TOKEN).json["access_token"]
    with closing(client_of(gateway.another(), f"Bearer {token}")) as client:
        assert client.get(ME).json["proven-by"] == "token"


def test_who_guesses_is_slowed_and_the_rest_goes_on(tmp_path: Path) -> None:
    slow = {"login_free_tries": 5, "login_backoff_first_s": 600, "login_backoff_max_s": 900}
    with running_gateway(tmp_path, operators=slow) as gateway, operator_of(gateway) as admin:
        created(admin, "target", role="viewer", password=PASSWORD)
        created(admin, "other", role="viewer", password=PASSWORD)
        with closing(client_of(gateway)) as guesser:
            answers = [guesser.get(ME, authorization=basic("target", f"guess {n}")) for n in range(8)]
            assert [answer.status for answer in answers] == [401] * 5 + [429] * 3
            assert all(300 <= int(answer.headers["retry-after"]) <= 600 for answer in answers[5:])
            assert guesser.get(ME, authorization=basic("target")).status == 429, "also with the right one"
            unknown = [guesser.get(ME, authorization=basic("nobody", f"guess {n}")).status for n in range(8)]
            assert unknown == [401] * 5 + [429] * 3, "a name that is not on record is treated alike"
            assert guesser.get(ME, authorization=basic("other")).status == 200
        assert admin.get(ME).status == 200
        rows = admin.get("/tuhono/v1/audit?what=operator.refused&order=oldest").json["result"]
        assert [row["facts"]["attempts"] for row in rows] == ["1", "1"]
        assert rows[0]["facts"]["operator"] == "target"
        assert "operator" not in rows[1]["facts"]
        assert gateway.stop() == 0
        told = gateway.store.audit.read(limit=100, what="operator.refused")
        assert sum(int(row.facts["attempts"]) for row in told) == 10, "none is lost when the gateway ends"


def test_the_audit_tells_what_was_as_it_was_and_shows_no_secret(gateway: RunningGateway) -> None:
    with operator_of(gateway, tenants=None) as client:
        me = client.get(ME).json["name"]
        tenant = client.new_tenant({"ext": {"a": 1}})
        client.put(f"/v1/tenants/{tenant}", {"ext": {"a": 2}})
        client.post(f"/v1/devices/{tenant}/d1", {"enabled": True})
        client.put(f"/v1/devices/{tenant}/d1", {"enabled": False})
        secret = {"pwd-plain": "do-not-show-me"}
        credential = {"type": "hashed-password", "auth-id": "d1", "secrets": [secret]}
        assert client.put(f"/v1/credentials/{tenant}/d1", [credential]).status == 204
        client.delete(f"/v1/devices/{tenant}/d1")
        client.delete(f"/v1/tenants/{tenant}")
        rows = client.get(f"/tuhono/v1/audit?tenant={tenant}&order=oldest").json["result"]
        kinds = ["tenant.created", "tenant.updated", "device.created", "device.updated", "credentials.updated"]
        assert [row["what"] for row in rows] == [*kinds, "device.deleted", "tenant.deleted"]
        assert {(row["actor"], row["remote"]) for row in rows} == {(me, "127.0.0.1")}
        assert (rows[1]["before"]["ext"], rows[1]["after"]["ext"]) == ({"a": 1}, {"a": 2})
        assert (rows[3]["before"]["enabled"], rows[3]["after"]["enabled"]) == (True, False)
        assert "before" not in rows[0]
        assert "after" not in rows[-1]
        text = json.dumps(rows)
        assert "do-not-show-me" not in text
        assert "pwd-hash" not in text
        assert "$argon2" not in text
        assert "$2" not in text


def test_the_audit_is_read_page_by_page_in_either_order(admin: ManagementClient) -> None:
    tenant = admin.new_tenant()
    for number in range(7):
        admin.put(f"/v1/tenants/{tenant}", {"ext": {"n": number}})
    for order in ("newest", "oldest"):
        question = f"/tuhono/v1/audit?tenant={tenant}&what=tenant.&order={order}&pageSize=3"
        ids: list[int] = []
        sizes: list[int] = []
        cursor = ""
        while True:
            page = admin.get(question + cursor).json
            sizes.append(len(page["result"]))
            ids += [row["id"] for row in page["result"]]
            if "next" not in page:
                break
            cursor = f"&cursor={page['next']}"
        assert sizes == [3, 3, 2]
        assert ids == sorted(ids, reverse=order == "newest")
        assert len(set(ids)) == 8
    first = admin.get(f"/tuhono/v1/audit?tenant={tenant}").json["result"]
    assert first[0]["after"]["ext"] == {"n": 6}, "the newest first"
    moment = first[3]["time"].replace("+", "%2B")
    since = admin.get(f"/tuhono/v1/audit?tenant={tenant}&since={moment}").json["result"]
    until = admin.get(f"/tuhono/v1/audit?tenant={tenant}&until={moment}").json["result"]
    assert len(since) + len(until) == 8
    assert admin.get("/tuhono/v1/audit?actor=nobody-at-all").json == {"result": []}


@pytest.mark.parametrize(
    "query", ["cursor=x", "cursor=bzE", "order=sideways", "since=yesterday", "pageSize=0", "x=1", "tenant=a&tenant=b"]
)
def test_a_question_that_makes_no_sense_is_refused(admin: ManagementClient, query: str) -> None:
    answer = admin.get(f"/tuhono/v1/audit?{query}")
    assert (answer.status, answer.code) == (400, "query-invalid")


def test_a_caller_reads_the_rows_of_its_own_tenants(gateway: RunningGateway, admin: ManagementClient) -> None:
    mine, other = admin.new_tenant(), admin.new_tenant()
    with operator_of(gateway, role="viewer", tenants=[mine]) as client:
        rows = client.get("/tuhono/v1/audit?pageSize=200").json["result"]
        assert {row.get("tenant") for row in rows} == {mine}
        assert client.get(f"/tuhono/v1/audit?tenant={other}").json == {"result": []}
        assert client.get("/tuhono/v1/audit?what=operator.").json == {"result": []}
