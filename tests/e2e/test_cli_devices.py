"""`tuhono device`: devices and what they prove themselves with, by hand and on purpose wrong."""

import json
from pathlib import Path
from typing import Any

import pytest

from kernel.clock import SystemClock
from kernel.ids import DeviceId, TenantId
from registry.model import Credential
from tests.support.certificates import NOON
from tests.support.command_line import Said, tuhono
from tests.support.passwords import verify
from tests.support.stores import credentials_of
from tuhono.cli.context import settings_of
from tuhono.domain import open_databases

WHOLE: dict[str, Any] = {
    "enabled": True,
    "defaults": {"ttl": 30},
    "via": ["gw"],
    "authorities": ["auto-provisioning-enabled"],
    "ext": {"brand": "Ä"},
}


@pytest.fixture
def data(tmp_path: Path) -> Path:
    """A data directory with the tenant acme."""
    folder = tmp_path / "data"
    assert tuhono("tenant", "create", "acme", data_dir=folder).status == 0
    return folder


def make(data: Path, device: str = "d-1", *options: object) -> dict[str, Any]:
    return tuhono("device", "create", "acme", device, *options, "--json", data_dir=data).json


def credentials(data: Path, device: str = "d-1") -> Any:
    return json.loads(tuhono("device", "credentials", "acme", device, "--json", data_dir=data).out)


def on_record(data: Path, device: str = "d-1") -> list[Credential]:
    store = open_databases(settings_of(None, data), SystemClock())
    try:
        return credentials_of(store, TenantId("acme"), DeviceId(device))
    finally:
        store.close()


def refused(said: Said, code: str, *named: str) -> None:
    assert said.status == 1
    assert said.fault["error"] == code
    for name in named:
        assert name in said.fault["detail"]


def test_a_device_is_created_listed_shown_switched_and_deleted(data: Path) -> None:
    assert tuhono("device", "list", "acme", data_dir=data).out == "tenant acme has no devices yet\n"
    assert tuhono("device", "create", "acme", "d-1", data_dir=data).out == "created device d-1\n"
    assert [device["id"] for device in tuhono("device", "list", "acme", "--json", data_dir=data).lines] == ["d-1"]
    shown = tuhono("device", "show", "acme", "d-1", "--json", data_dir=data).json
    assert set(shown) == {"id", "status"}
    assert set(shown["status"]) == {"created"}
    changed = tuhono("device", "disable", "acme", "d-1", "--json", data_dir=data).json
    assert changed["enabled"] is False
    assert changed["status"]["last-user"].startswith("local:")
    assert tuhono("device", "enable", "acme", "d-1", data_dir=data).out == "enabled device d-1\n"
    assert tuhono("device", "delete", "acme", "d-1", "-y", data_dir=data).out == "deleted device d-1\n"
    assert tuhono("device", "list", "acme", "--json", data_dir=data).lines == []


def test_an_id_is_made_for_a_device_without_one(data: Path) -> None:
    made = tuhono("device", "create", "acme", "--disabled", "--json", data_dir=data).json
    assert len(made["id"]) == 36
    assert made["enabled"] is False


def test_gateways_and_groups_are_options(data: Path) -> None:
    assert make(data, "d-1", "--via", "gw-1", "--via", "gw-2")["via"] == ["gw-1", "gw-2"]
    assert make(data, "gw-1", "--member-of", "north")["memberOf"] == ["north"]
    assert "  gw-1, gw-2\n" in tuhono("device", "show", "acme", "d-1", data_dir=data).out


def test_a_device_is_made_and_changed_from_a_file(data: Path, tmp_path: Path) -> None:
    file = tmp_path / "device.json"
    file.write_text(json.dumps(WHOLE))
    made = make(data, "d-1", "--from", file, "--via", "gw-9")
    assert {**made, "status": {}} == {"id": "d-1", **WHOLE, "via": ["gw-9"], "status": {}}
    file.write_text(json.dumps(made | {"ext": {"brand": "other"}}))
    assert tuhono("device", "update", "acme", "d-1", "--from", file, data_dir=data).out == "updated device d-1\n"
    changed = tuhono("device", "show", "acme", "d-1", "--json", data_dir=data).json
    assert changed["ext"] == {"brand": "other"}
    assert changed["status"]["created"] == made["status"]["created"]
    named = tuhono("device", "create", "acme", "--from", file, "--json", data_dir=data)
    refused(named, "device-exists", "'d-1'")
    make(data, "d-2")
    refused(tuhono("device", "update", "acme", "d-2", "--from", file, "--json", data_dir=data), "body-invalid", "id: ")
    stale = tuhono("device", "update", "acme", "d-1", "--from", file, "--version", "1", "--json", data_dir=data)
    refused(stale, "version-mismatch")
    file.write_text('{"via": [1]}')
    refused(tuhono("device", "create", "acme", "--from", file, "--json", data_dir=data), "body-invalid", "via[0]: ")


@pytest.mark.parametrize(
    ("words", "code"),
    [
        (["create", "nope", "d"], "tenant-unknown"),
        (["create", "acme", "a b"], "device-id-invalid"),
        (["create", "acme", ""], "device-id-invalid"),
        (["create", "acme", "d-1"], "device-exists"),
        (["create", "acme", "d-2", "--via", "a", "--member-of", "b"], "device-invalid"),
        (["create", "acme", "d-2", "--from", "nope.json"], "io-error"),
        (["credentials", "acme", "nope"], "device-unknown"),
        (["credentials", "nope", "d-1"], "tenant-unknown"),
        (["credentials", "acme", "d-1", "--from", "nope.json"], "io-error"),
        (["password", "acme", "nope", "user"], "device-unknown"),
        (["password", "nope", "d-1", "user"], "tenant-unknown"),
        (["password", "acme", "d-1", "#"], "credential-invalid"),
        (["enable", "acme", "nope"], "device-unknown"),
        (["delete", "acme", "nope", "--yes"], "device-unknown"),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, list) else value,
)
def test_every_refusal_has_its_code(data: Path, words: list[str], code: str) -> None:
    make(data)
    refused(tuhono("device", *words, "--json", data_dir=data, given="secret\n"), code)


def test_a_password_is_set_and_set_again(data: Path) -> None:
    make(data)
    assert "proves itself with nothing yet" in tuhono("device", "credentials", "acme", "d-1", data_dir=data).out
    words = ("device", "password", "acme", "d-1", "user")
    for word in ("first", "second"):
        said = tuhono(*words, "--password-stdin", data_dir=data, given=f"{word}\n")
        assert said.out == "device d-1 logs in as user@acme\n"
    (kept,) = on_record(data)
    assert verify(kept, b"second", NOON) and not verify(kept, b"first", NOON)
    (shown,) = credentials(data)
    assert (shown["type"], shown["auth-id"], [set(secret) for secret in shown["secrets"]]) == (
        "hashed-password",
        "user",
        [{"id"}],
    )
    for given in ("", "\n", "x" * 73):
        refused(tuhono(*words, "--json", data_dir=data, given=given), "credential-invalid", "pwd-plain")
    assert on_record(data) == [kept]


def test_credentials_are_replaced_from_a_file_that_was_shown(data: Path, tmp_path: Path) -> None:
    make(data)
    file = tmp_path / "credentials.json"
    psk = {"type": "psk", "auth-id": "identity", "secrets": [{"key": "c2VjcmV0"}]}
    file.write_text(json.dumps([psk, {"type": "x509-cert", "auth-id": "CN=a", "secrets": [{}]}]))
    said = tuhono("device", "credentials", "acme", "d-1", "--from", file, data_dir=data)
    assert said.out == "updated the credentials of device d-1\n"
    before = on_record(data)
    file.write_text(json.dumps(credentials(data)))
    tuhono("device", "credentials", "acme", "d-1", "--from", file, data_dir=data)
    assert on_record(data) == before
    assert "psk" in tuhono("device", "credentials", "acme", "d-1", data_dir=data).out
    assert "x509-cert" in tuhono("device", "show", "acme", "d-1", data_dir=data).out
    stale = ("--from", file, "--version", "1", "--json")
    refused(tuhono("device", "credentials", "acme", "d-1", *stale, data_dir=data), "version-mismatch")
    file.write_text(json.dumps([psk | {"secrets": [{}]}]))
    said = tuhono("device", "credentials", "acme", "d-1", "--from", file, "--json", data_dir=data)
    refused(said, "credential-invalid", "credentials[0].secrets[0].key")
    assert tuhono("device", "credentials", "acme", "d-1", "--version", "1", data_dir=data).status == 2
