"""`tuhono operator`, `login`, `logout` and `audit`, as a person and as a script use them."""

import json
import os
import subprocess
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from tests.support.command_line import Said, clean_environment, command, tuhono
from tests.support.gateway import RunningGateway, running_gateway
from tests.support.management import client_of
from tuhono.cli.profile import Profile, profile_file, read_profile, write_profile

PASSWORD = "correct horse"


def fed(text: str, *words: object, data_dir: Path | None = None, home: Path | None = None) -> Said:
    """A command of its own process that reads this."""
    added = {} if home is None else {"XDG_CONFIG_HOME": str(home)}
    done = subprocess.run(
        command(*words, data_dir=data_dir),
        input=text,
        capture_output=True,
        text=True,
        timeout=30,
        env=clean_environment(added),
    )
    return Said(done.returncode, done.stdout, done.stderr)


@pytest.fixture(scope="module")
def gateway(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningGateway]:
    with running_gateway(tmp_path_factory.mktemp("cli-operators")) as started:
        yield started


def test_an_operator_is_made_shown_changed_and_deleted(tmp_path: Path) -> None:
    made = tuhono("operator", "create", "ada", "--role", "editor", "--tenant", "b", "--tenant", "a", data_dir=tmp_path)
    assert made.out.startswith("created operator ada: editor of tenants a, b\nit has nothing to prove itself with yet")
    tuhono("operator", "create", "root", "--role", "admin", data_dir=tmp_path)
    shown = tuhono("operator", "show", "ada", "--json", data_dir=tmp_path).json
    assert (shown["role"], shown["tenants"], shown["has-password"], shown["keys"]) == ("editor", ["a", "b"], False, [])
    assert "editor" in tuhono("operator", "show", "ada", data_dir=tmp_path).out
    listed = tuhono("operator", "list", data_dir=tmp_path).out.splitlines()
    assert [line.split()[:2] for line in listed] == [["OPERATOR", "ROLE"], ["ada", "editor"], ["root", "admin"]]
    assert tuhono("operator", "update", "ada", "--role", "viewer", "--all-tenants", data_dir=tmp_path).status == 0
    shown = tuhono("operator", "show", "ada", "--json", data_dir=tmp_path).json
    assert (shown["role"], "tenants" in shown) == ("viewer", False)
    assert tuhono("operator", "delete", "ada", "--json", data_dir=tmp_path).fault["error"] == "confirmation-wanted"
    assert tuhono("operator", "delete", "ada", "--yes", data_dir=tmp_path).out == "deleted operator ada\n"
    assert tuhono("operator", "show", "ada", "--json", data_dir=tmp_path).fault["error"] == "operator-unknown"


@pytest.mark.parametrize(
    ("words", "status"),
    [
        (("create", "a:b"), 1),
        (("create", "x", "--role", "root"), 2),
        (("create", "x", "--tenant", ""), 1),
        (("create", "x", "--key", "--days", "0"), 1),
        (("update", "x"), 2),
        (("update", "x", "--tenant", "a", "--all-tenants"), 2),
        (("show", "nobody"), 1),
        (("key", "nobody"), 1),
        (("revoke", "nobody"), 1),
        (("revoke", "key-0000000000000000"), 1),
        (("enable", "nobody"), 1),
    ],
)
def test_what_cannot_be_done_is_told_in_one_sentence(tmp_path: Path, words: tuple[str, ...], status: int) -> None:
    tuhono("tenant", "create", "t", data_dir=tmp_path)
    said = tuhono("operator", *words, data_dir=tmp_path)
    assert (said.status, said.out) == (status, "")
    assert said.err
    assert tuhono("operator", "list", "--json", data_dir=tmp_path).lines == []


def test_a_chosen_password_lets_a_client_with_basic_in(gateway: RunningGateway) -> None:
    words = ("operator", "create", "hono", "--role", "admin", "--password-stdin")
    made = fed(f"{PASSWORD}\n", *words, data_dir=gateway.data_dir)
    assert made.out == "created operator hono: admin of all tenants\n"
    curl = ["curl", "-sS", "--cacert", gateway.server_ca, "-u", f"hono:{PASSWORD}"]
    url = f"https://localhost:{gateway.ports['management']}/tuhono/v1/me"
    done = subprocess.run([*map(str, curl), url], capture_output=True, text=True, timeout=30, check=True)
    assert json.loads(done.stdout)["name"] == "hono"
    assert (
        fed("another horse\n", "operator", "password", "hono", "--password-stdin", data_dir=gateway.data_dir).status
        == 0
    )
    done = subprocess.run([*map(str, curl), url], capture_output=True, text=True, timeout=30, check=True)
    assert json.loads(done.stdout)["code"] == "bad-credentials"
    refused = fed("short\n", "operator", "password", "hono", "--password-stdin", "--json", data_dir=gateway.data_dir)
    assert refused.fault["error"] == "operator-invalid"
    assert PASSWORD not in refused.err


def test_a_key_is_printed_once_and_revoked_by_its_id(gateway: RunningGateway) -> None:
    at = gateway.data_dir
    made = tuhono("operator", "create", "keyed", "--key", "--days", "30", data_dir=at)
    [secret] = [line.strip() for line in made.out.splitlines() if line.strip().startswith("tuh_")]
    other = tuhono("operator", "key", "keyed", "--name", "pipeline", "--json", data_dir=at).json
    shown = tuhono("operator", "show", "keyed", "--json", data_dir=at)
    assert secret not in shown.out
    assert [key["name"] for key in shown.json["keys"]] == ["first", "pipeline"]
    client = client_of(gateway, f"Bearer {other['key']}")
    assert client.get("/tuhono/v1/me").json["name"] == "keyed"
    assert tuhono("operator", "revoke", other["id"], data_dir=at).out == f"revoked {other['id']} of operator keyed\n"
    assert client.get("/tuhono/v1/me").status == 401
    client.authorization = f"Bearer {secret}"
    assert client.get("/tuhono/v1/me").status == 200
    revoked = tuhono("operator", "revoke", "keyed", data_dir=at).out
    assert revoked == "switched off operator keyed and revoked 1 API key\n"
    assert client.get("/tuhono/v1/me").status == 401
    assert tuhono("operator", "enable", "keyed", data_dir=at).status == 0
    assert client.get("/tuhono/v1/me").status == 401, "a revoked key stays revoked"
    client.close()


def test_the_last_administrator_stays_also_for_who_is_at_the_machine(tmp_path: Path) -> None:
    tuhono("operator", "create", "root", "--role", "admin", data_dir=tmp_path)
    for words in (("delete", "root", "--yes"), ("revoke", "root"), ("update", "root", "--role", "viewer")):
        assert tuhono("operator", *words, "--json", data_dir=tmp_path).fault["error"] == "last-administrator"


def test_a_login_is_kept_in_a_file_of_the_user_alone(gateway: RunningGateway, tmp_path: Path) -> None:
    url = f"localhost:{gateway.ports['management']}"
    where = ("--url", url, "--ca", gateway.server_ca)
    key_file = gateway.data_dir / "admin-key"
    said = fed("", "login", *where, "--key-file", key_file, home=tmp_path)
    assert said.out == f"logged in to https://{url} as admin (admin)\n"
    kept = tmp_path / "tuhono" / "login.json"
    assert kept.stat().st_mode & 0o777 == 0o600
    document = json.loads(kept.read_text())
    assert (document["url"], document["secret"]) == (f"https://{url}", key_file.read_text().strip())
    assert document["ca"] == gateway.server_ca.read_text()
    again = fed(key_file.read_text(), "login", *where, "--key-stdin", "--json", home=tmp_path)
    assert again.json["operator"] == "admin"
    assert key_file.read_text().strip() not in again.out
    assert fed("", "logout", home=tmp_path).out == "logged out\n"
    assert not kept.exists()
    assert fed("", "logout", "--json", home=tmp_path).json == {"forgotten": False}


def test_a_login_with_a_password_keeps_a_token_and_not_the_password(gateway: RunningGateway, tmp_path: Path) -> None:
    words = ("operator", "create", "grace", "--role", "viewer", "--password-stdin")
    fed(PASSWORD, *words, data_dir=gateway.data_dir)
    where = ("--url", f"https://localhost:{gateway.ports['management']}/", "--ca", gateway.server_ca)
    said = fed(PASSWORD, "login", *where, "--name", "grace", "--password-stdin", home=tmp_path)
    assert said.out.endswith("as grace (viewer)\n")
    text = (tmp_path / "tuhono" / "login.json").read_text()
    assert PASSWORD not in text
    assert json.loads(text)["expires"] > datetime.now(UTC).isoformat()


def test_a_login_that_is_refused_keeps_nothing(gateway: RunningGateway, tmp_path: Path) -> None:
    url = f"https://localhost:{gateway.ports['management']}"
    trusted = ("--url", url, "--ca", gateway.server_ca)

    def code(text: str, *words: object) -> str:
        said = fed(text, "login", *words, "--json", home=tmp_path)
        assert said.status == 1
        return str(said.fault["error"])

    assert code("tuh_wrong\n", *trusted, "--key-stdin") == "bad-credentials"
    assert code("wrong\n", *trusted, "--name", "admin", "--password-stdin") == "bad-credentials"
    assert code("tuh_x\n", "--url", url, "--key-stdin") == "gateway-unreachable", "nobody vouches for it"
    assert code("tuh_x\n", "--url", "https://localhost:1", "--key-stdin") == "gateway-unreachable"
    assert code("tuh_x\n", "--url", "http://gateway.example.com", "--key-stdin") == "url-invalid"
    assert code("tuh_x\n", "--url", f"{url}/v1/tenants", "--key-stdin") == "url-invalid"
    assert code("tuh_x\n", "--url", "https://me:secret@localhost", "--key-stdin") == "url-invalid"
    assert not (tmp_path / "tuhono").exists()


def test_a_kept_login_is_read_only_as_it_was_written(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path))
    now = datetime.now(UTC)
    assert read_profile(now) is None
    profile = Profile(url="https://gw:1", operator="ada", secret="tuh_x", expires=now + timedelta(minutes=1))
    path = write_profile(profile)
    assert path == profile_file()
    assert read_profile(now) == profile
    assert "tuh_x" not in repr(profile)

    def fault(moment: datetime = now) -> Any:
        with pytest.raises(Exception) as raised:
            read_profile(moment)
        return getattr(raised.value, "code", raised.value)

    assert fault(now + timedelta(minutes=1)) == "login-expired"
    os.chmod(path, 0o640)
    assert fault() == "login-unusable"
    os.chmod(path, 0o600)
    for content in ("", "[]", "{}", '{"url": 1, "operator": "a", "secret": "b"}', "\xff"):
        path.write_text(content, encoding="latin-1")
        assert fault() == "login-unusable"


def test_the_audit_lists_what_was_done_here_and_by_whom(tmp_path: Path) -> None:
    tuhono("tenant", "create", "acme", data_dir=tmp_path)
    tuhono("tenant", "disable", "acme", data_dir=tmp_path)
    tuhono("operator", "create", "ada", data_dir=tmp_path)
    rows = tuhono("audit", "--json", data_dir=tmp_path).lines
    assert [row["what"] for row in rows] == ["tenant.created", "tenant.updated", "operator.created"]
    assert all(row["actor"].startswith("local:") for row in rows)
    text = tuhono("audit", data_dir=tmp_path).out
    assert "changed enabled" in text
    assert "operator=ada" in text

    def kinds(*words: str) -> list[str]:
        return [row["what"] for row in tuhono("audit", "--json", *words, data_dir=tmp_path).lines]

    assert kinds("--last", "1") == ["operator.created"]
    assert kinds("--tenant", "acme", "--what", "tenant.updated") == ["tenant.updated"]
    assert kinds("--what", "tenant.") == ["tenant.created", "tenant.updated"]
    assert kinds("--actor", "nobody") == []
    assert kinds("--since", "2100-01-01") == []
    assert len(kinds("--until", "2100-01-01")) == 3
    assert tuhono("audit", "--actor", "nobody", data_dir=tmp_path).out == "nothing is on record\n"
    assert tuhono("audit", "--since", "tomorrow", "--json", data_dir=tmp_path).fault["error"] == "time-invalid"
