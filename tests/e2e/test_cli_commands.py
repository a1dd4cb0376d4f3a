"""`tuhono tenant`, `device`, `check-config` and `migrate`, by hand and on purpose wrong."""

import json
import sqlite3
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from kernel.clock import SystemClock
from kernel.ids import TenantId
from tests.support import stores
from tests.support.certificates import NOON, make_ca
from tests.support.command_line import Said, tuhono, tuhono_process
from tests.support.stores import put
from tuhono.cli.context import settings_of
from tuhono.domain import open_databases


@pytest.fixture
def data(tmp_path: Path) -> Path:
    """A data directory with the tenant acme."""
    folder = tmp_path / "data"
    assert tuhono("tenant", "create", "acme", data_dir=folder).status == 0
    return folder


@pytest.fixture
def ca(tmp_path: Path) -> Path:
    return make_ca("CN=CA,O=Acme").write(tmp_path, "ca").certificate


def put_device(data: Path, device_id: str) -> None:
    settings = settings_of(None, data)
    store = open_databases(settings, SystemClock())
    try:
        device = stores.device(device_id, tenant_id="acme")
        put(store, device, [stores.credential(device_id, tenant_id=TenantId("acme"))])
    finally:
        store.close()


def refused(said: Said, code: str, *named: str) -> None:
    assert said.status == 1
    assert said.fault["error"] == code
    for name in named:
        assert name in said.fault["detail"]


# Tenants


def test_a_tenant_is_created_shown_listed_and_deleted(tmp_path: Path) -> None:
    data = tmp_path / "new" / "data"
    made = tuhono("tenant", "create", "plant", "--alias", "p", "--max-devices", "5", "--json", data_dir=data).json
    assert made["id"] == "plant"
    assert (made["alias"], made["registration-limits"]["max-devices"], made.get("trusted-ca")) == ("p", 5, None)
    assert tuhono("tenant", "show", "plant", "--json", data_dir=data).json == made
    shown = tuhono("tenant", "show", "plant", data_dir=data).out
    assert "max devices  5\n" in shown
    assert "it trusts nobody yet" in shown
    unnamed = tuhono("tenant", "create", "--disabled", "--json", data_dir=data).json
    assert unnamed["enabled"] is False
    listed = tuhono("tenant", "list", "--json", data_dir=data).lines
    assert sorted(tenant["id"] for tenant in listed) == sorted(["plant", unnamed["id"]])
    assert tuhono("tenant", "delete", "plant", "--yes", "--json", data_dir=data).json == {"deleted": "plant"}
    refused(tuhono("tenant", "show", "plant", "--json", data_dir=data), "tenant-unknown", "plant")


def test_a_tenant_is_switched_off_and_on(data: Path) -> None:
    assert tuhono("tenant", "disable", "acme", data_dir=data).out == "disabled tenant acme\n"
    assert tuhono("tenant", "show", "acme", "--json", data_dir=data).json["enabled"] is False
    assert tuhono("tenant", "enable", "acme", "--json", data_dir=data).json["enabled"] is True


def test_a_tenant_is_made_and_changed_from_a_file(data: Path, ca: Path, tmp_path: Path) -> None:
    file = tmp_path / "tenant.json"
    file.write_text(json.dumps({"alias": "p", "defaults": {"ttl": 30}, "registration-limits": {"max-devices": 9}}))
    made = tuhono("tenant", "create", "b", "--from", file, "--max-devices", "5", "--json", data_dir=data).json
    limits = {"max-devices": 5, "max-credentials-per-device": -1}
    assert made == {"id": "b", "alias": "p", "defaults": {"ttl": 30}, "registration-limits": limits}
    trusted = tuhono("tenant", "trust", "b", ca, "--json", data_dir=data).json
    file.write_text(tuhono("tenant", "show", "b", "--json", data_dir=data).out)
    assert tuhono("tenant", "update", "b", "--from", file, data_dir=data).out == "updated tenant b\n"
    assert tuhono("tenant", "show", "b", "--json", data_dir=data).json == {**made, "trusted-ca": [trusted]}
    refused(tuhono("tenant", "update", "acme", "--from", file, "--json", data_dir=data), "body-invalid", "id: ")
    refused(tuhono("tenant", "create", "--from", file, "--json", data_dir=data), "tenant-exists", "'b'")
    file.write_text('{"enabled": 1}')
    refused(tuhono("tenant", "create", "--from", file, "--json", data_dir=data), "body-invalid", "enabled: ")
    stale = tuhono("tenant", "update", "b", "--from", ca, "--version", "1", "--json", data_dir=data)
    refused(stale, "body-invalid")
    file.write_text("{}")
    stale = tuhono("tenant", "update", "b", "--from", file, "--version", "1", "--json", data_dir=data)
    refused(stale, "version-mismatch")
    refused(tuhono("tenant", "update", "b", "--from", tmp_path / "none", "--json", data_dir=data), "io-error")


@pytest.mark.parametrize("name", ["", "a b", "a/b", "..", "x" * 257, "{{x}}", "a\nb", "ü"])
def test_a_name_that_is_no_tenant_id_is_refused(data: Path, name: str) -> None:
    said = tuhono("tenant", "create", "--data-dir", data, "--json", "--", name)
    refused(said, "tenant-invalid")
    assert len(tuhono("tenant", "list", "--json", data_dir=data).lines) == 1


@pytest.mark.parametrize(
    ("words", "code"),
    [
        (["tenant", "create", "acme"], "tenant-exists"),
        (["tenant", "create", "b", "--alias", "UPPER"], "tenant-invalid"),
        (["tenant", "create", "b", "--max-devices", "-7"], "tenant-invalid"),
        (["tenant", "create", "b", "--trust-anchor-group", ""], "tenant-invalid"),
        (["tenant", "show", "nope"], "tenant-unknown"),
        (["tenant", "enable", "nope"], "tenant-unknown"),
        (["tenant", "disable", "nope"], "tenant-unknown"),
        (["tenant", "delete", "nope", "--yes"], "tenant-unknown"),
        (["tenant", "trust", "acme", "nope.pem"], "io-error"),
        (["tenant", "trust", "acme", "."], "io-error"),
        (["tenant", "trust", "acme", "nope", "--remove"], "anchor-unknown"),
        (["device", "list", "nope"], "tenant-unknown"),
        (["device", "show", "nope", "x"], "tenant-unknown"),
        (["device", "show", "acme", "x"], "device-unknown"),
        (["device", "enable", "acme", "x"], "device-unknown"),
        (["device", "disable", "acme", "x"], "device-unknown"),
        (["device", "delete", "acme", "x", "--yes"], "device-unknown"),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, list) else None,
)
def test_what_cannot_be_done_is_told_in_one_sentence(data: Path, words: list[str], code: str) -> None:
    refused(tuhono(*words, "--json", data_dir=data), code)
    plain = tuhono(*words, data_dir=data)
    assert (plain.status, plain.out) == (1, "")
    assert plain.err.startswith("error: ") and plain.err.endswith(f" ({code})\n") and plain.err.count("\n") == 1


@pytest.mark.parametrize("words", [["tenant", "delete", "acme"], ["device", "delete", "acme", "d-1"]], ids=" ".join)
@pytest.mark.parametrize("json", [[], ["--json"]], ids=["plain", "json"])
def test_nothing_is_deleted_where_nobody_can_be_asked(data: Path, words: list[str], json: list[str]) -> None:
    put_device(data, "d-1")
    said = tuhono(*words, *json, data_dir=data)
    assert said.status == 1
    assert "confirmation-wanted" in said.err
    assert tuhono("device", "show", "acme", "d-1", data_dir=data).status == 0


# Trust


def anchor_of(data: Path) -> dict[str, Any]:
    [anchor] = tuhono("tenant", "show", "acme", "--json", data_dir=data).json["trusted-ca"]
    assert isinstance(anchor, dict)
    return anchor


def test_trusting_again_changes_only_what_is_said(data: Path, ca: Path) -> None:
    first = tuhono(
        "tenant", "trust", "acme", ca, "--id", "f", "--auto-provision", "--rate", "5", "--json", data_dir=data
    ).json
    assert first == anchor_of(data)
    assert (first["auto-provisioning-enabled"], first["provisioning-rate-max"]) == (True, 5.0)
    template = "sensor-{{subject-cn}}"
    tuhono("tenant", "trust", "acme", ca, "--device-id-template", template, data_dir=data)
    assert anchor_of(data) == {**first, "auto-provisioning-device-id-template": template}
    tuhono("tenant", "trust", "acme", ca, "--no-auto-provision", "--device-id-template", "", data_dir=data)
    assert anchor_of(data) == {**first, "auto-provisioning-enabled": False}


def test_a_ca_is_removed_by_file_id_or_fingerprint(data: Path, ca: Path, tmp_path: Path) -> None:
    issued = make_ca("CN=Other")
    other = issued.write(tmp_path, "other").certificate
    (tmp_path / "other.der").write_bytes(issued.der)
    for name in (str(other), str(tmp_path / "other.der"), "o"):
        tuhono("tenant", "trust", "acme", ca, "--id", "f", data_dir=data)
        tuhono("tenant", "trust", "acme", other, "--id", "o", data_dir=data)
        said = tuhono("tenant", "trust", "acme", name, "--remove", data_dir=data)
        assert said.out == "tenant acme no longer trusts CN=Other (trust anchor o)\n"
        assert anchor_of(data)["id"] == "f"
    refused(tuhono("tenant", "trust", "acme", other, "--remove", "--json", data_dir=data), "anchor-unknown")
    wrong = tuhono("tenant", "trust", "acme", ca, "--remove", "--rate", "1", "--json", data_dir=data)
    assert (wrong.status, wrong.fault["error"]) == (2, "usage")


def test_what_somebody_may_not_have_meant_is_said(data: Path, ca: Path, tmp_path: Path) -> None:
    assert "--auto-provision registers them" in tuhono("tenant", "trust", "acme", ca, data_dir=data).out
    assert "registers" not in tuhono("tenant", "trust", "acme", ca, "--auto-provision", data_dir=data).out
    old = make_ca("CN=Old", not_after=NOON.replace(year=2021)).write(tmp_path, "old").certificate
    assert "not now" in tuhono("tenant", "trust", "acme", old, "--auto-provision", data_dir=data).out


@pytest.mark.parametrize(
    ("content", "says"),
    [
        (b"", "is neither a PEM certificate nor DER"),
        (b"\x00garbage\xff" * 100, "is neither a PEM certificate nor DER"),
        (b"-----BEGIN CERTIFICATE-----\n!!!\n-----END CERTIFICATE-----\n", "is a PEM block is no Base64"),
        (make_ca().key_pem, "holds a private key, no certificate"),
        (make_ca().pem + make_ca().pem, "holds 2 certificates"),
        (b"A" * 1_048_577, "is more than 1048576 bytes are no certificate file"),
    ],
    ids=["empty", "garbage", "no Base64", "key", "two", "huge"],
)
def test_a_file_that_holds_no_ca_is_named(data: Path, tmp_path: Path, content: bytes, says: str) -> None:
    file = tmp_path / "given.pem"
    file.write_bytes(content)
    said = tuhono("tenant", "trust", "acme", file, "--json", data_dir=data)
    refused(said, "file-unusable", str(file))
    assert tuhono("tenant", "show", "acme", "--json", data_dir=data).json.get("trusted-ca", []) == []


@pytest.mark.parametrize(
    ("option", "value", "code"),
    [
        ("--device-id-template", "{{bogus}}", "template-invalid"),
        ("--device-id-template", "nothing", "template-invalid"),
        ("--auth-id-template", "{{subject-cn", "template-invalid"),
        ("--rate", "-1", "tenant-invalid"),
        ("--rate", "nan", "tenant-invalid"),
        ("--id", "", "tenant-invalid"),
        ("--id", "a\nb", "tenant-invalid"),
    ],
)
def test_an_option_that_breaks_its_rule_changes_nothing(
    data: Path, ca: Path, option: str, value: str, code: str
) -> None:
    refused(tuhono("tenant", "trust", "acme", ca, option, value, "--json", data_dir=data), code)
    assert tuhono("tenant", "show", "acme", "--json", data_dir=data).json.get("trusted-ca", []) == []


# Where the data is


@pytest.mark.parametrize(
    "words",
    [
        ["tenant", "list"],
        ["tenant", "trust", "a", "b"],
        ["device", "list", "a"],
        ["tail", "--no-follow"],
        ["device", "delete", "a", "b", "--yes"],
    ],
    ids=" ".join,
)
def test_a_command_that_only_looks_makes_no_database(tmp_path: Path, words: list[str]) -> None:
    for folder in (tmp_path, tmp_path / "nowhere"):
        refused(tuhono(*words, "--json", data_dir=folder), "no-data-directory", str(folder))
    assert list(tmp_path.iterdir()) == []


def test_a_data_directory_that_is_a_file_is_a_wrong_configuration(tmp_path: Path) -> None:
    file = tmp_path / "file"
    file.write_text("")
    for place in (file, file / "below"):
        said = tuhono("tenant", "create", "x", "--json", data_dir=place)
        assert said.status == 2
        assert said.fault["error"] == "configuration-invalid"
        assert said.fault["faults"][0]["key"] == "data_dir"


def test_a_database_of_a_later_release_is_left_alone(data: Path) -> None:
    with closing(sqlite3.connect(data / "registry.db")) as database:
        database.execute("UPDATE alembic_version SET version_num = '9999'")
        database.commit()
    for words in (["tenant", "list"], ["migrate"], ["tail", "--no-follow"], ["tenant", "create", "b"]):
        refused(tuhono(*words, "--json", data_dir=data), "storage-too-new", "9999")
    plain = tuhono_process("serve", data_dir=data)
    assert plain.status == 1
    assert "storage-too-new" in plain.err


@pytest.mark.parametrize("content", [b"garbage" * 1000, b""], ids=["garbage", "empty"])
def test_a_damaged_message_log_is_named(data: Path, content: bytes) -> None:
    (data / "log.db").write_bytes(content)
    refused(tuhono("tail", "--no-follow", "--json", data_dir=data), "log-unavailable", "log.db")


def test_a_damaged_registry_is_told(data: Path) -> None:
    (data / "registry.db").write_bytes(b"garbage" * 1000)
    refused(tuhono("tenant", "list", "--json", data_dir=data), "storage-unavailable")


def test_migrating_makes_what_is_missing_and_says_so(tmp_path: Path) -> None:
    data = tmp_path / "data"
    assert tuhono("migrate", data_dir=data).out.startswith(f"made {data}/registry.db (")
    assert "is up to date" in tuhono("migrate", data_dir=data).out
    again = tuhono("migrate", "--json", data_dir=data).json
    assert again["before"] == again["after"]


# The configuration


def test_every_fault_of_a_configuration_is_told_at_once(tmp_path: Path) -> None:
    file = tmp_path / "t.toml"
    file.write_text("[mqtt]\nport = 99999\nbogus = 1\n[nope]\nx = 1\n")
    for words in (["check-config"], ["tenant", "list"], ["tail"], ["serve"], ["demo", "--exit"]):
        said = tuhono_process(*words, "--config", file, environment={"TUHONO_HTTP__PORT": "abc"})
        assert (said.status, said.out) == (2, "")
        assert [line.partition(":")[0] for line in said.err.splitlines()] == [
            "mqtt.port",
            "mqtt.bogus",
            "nope",
            "http.port (TUHONO_HTTP__PORT)",
        ]
    fault = tuhono("check-config", "--config", file, "--json").fault
    assert fault["error"] == "configuration-invalid"
    assert [one["key"] for one in fault["faults"]] == ["mqtt.port", "mqtt.bogus", "nope"]


@pytest.mark.parametrize("content", [b"garb = [", b"\xff\xfe", b"[a", b"x" * 300_000])
def test_a_file_that_is_no_toml_is_named(tmp_path: Path, content: bytes) -> None:
    file = tmp_path / "t.toml"
    file.write_bytes(content)
    said = tuhono("check-config", "--config", file)
    assert said.status == 2
    assert said.err.startswith(f"{file}: ")
    for missing in (tmp_path / "no.toml", tmp_path):
        said = tuhono("check-config", "--config", missing)
        assert said.status == 2
        assert said.err.startswith(f"{missing}: ")


def test_the_settings_in_force_can_be_used_as_a_file(tmp_path: Path) -> None:
    shown = tuhono("check-config", "--show", environment={"TUHONO_MQTT__PORT": "1234"})
    assert shown.status == 0
    assert "\n[mqtt]\n" in shown.out and "\nport = 1234\n" in shown.out
    file = tmp_path / "t.toml"
    file.write_text(shown.out)
    assert tuhono("check-config", "--config", file, "--show").out == shown.out
    told = tuhono("check-config", "--config", file, "--show", "--json").json
    assert told["valid"] is True
    assert told["settings"]["mqtt"]["port"] == 1234


# The command itself


@pytest.mark.parametrize("words", [["nonsense"], ["--nonsense"], ["tail", "-n", "x"], ["tenant"], ["explain"], []])
def test_a_wrong_command_ends_with_2_and_no_traceback(words: list[str]) -> None:
    said = tuhono(*words)
    assert said.status == 2
    assert "Traceback" not in said.err
    assert "Usage: " in said.out + said.err
    if words:
        assert tuhono(*words, "--json").status == 2


def test_names_too_long_for_anything_are_refused_like_others(data: Path) -> None:
    long = "x" * 100_000
    refused(tuhono("tenant", "show", long, "--json", data_dir=data), "tenant-unknown")
    refused(tuhono("device", "show", "acme", long, "--json", data_dir=data), "device-id-invalid")
    refused(tuhono("tenant", "trust", "acme", long, "--json", data_dir=data), "io-error")
    refused(tuhono("explain", long, "--json", data_dir=data), "io-error")
    refused(tuhono("tail", long, "--no-follow", "--json", data_dir=data), "tenant-unknown")


@pytest.mark.parametrize("name", ["\ud800", "a\x00b", "\x1b[2J"])
def test_names_no_database_keeps_are_refused_in_readable_words(data: Path, name: str) -> None:
    for words in (["tenant", "show", name], ["device", "show", "acme", name], ["tail", name, "--no-follow"]):
        said = tuhono(*words, data_dir=data)
        assert said.status == 1
        assert said.err.rstrip("\n").isprintable()
