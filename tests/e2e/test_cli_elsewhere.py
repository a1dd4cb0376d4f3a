"""The command line on a gateway elsewhere: the same commands, the same words, through the management API."""

import json
import stat
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from kernel.ids import DeviceId, TenantId
from registry.model import Credential
from tests.support.certificates import NOON, make_ca
from tests.support.command_line import Said, tuhono
from tests.support.gateway import RunningGateway, running_gateway
from tests.support.management import new_key_of
from tests.support.passwords import verify
from tests.support.stores import credentials_of


class Far:
    """A gateway, and the command line that works on it."""

    def __init__(self, gateway: RunningGateway) -> None:
        self.gateway = gateway
        self.url = f"https://localhost:{gateway.ports['management']}"
        self.key = new_key_of(gateway)

    def __call__(self, *words: object, key: str | None = None, given: str | None = None) -> Said:
        place = {"TUHONO_URL": self.url, "TUHONO_KEY": key or self.key, "TUHONO_CA": str(self.gateway.server_ca)}
        return tuhono(*words, environment=place, given=given)


@pytest.fixture(scope="module")
def far(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Far]:
    rules = {"bcrypt_cost_max": 5, "auth_id_pattern": "[a-z@]+"}  # others than those known here
    with running_gateway(Path(tmp_path_factory.mktemp("far")), registry=rules) as gateway:
        yield Far(gateway)


def done(said: Said) -> Any:
    assert said.status == 0, said.err
    return said


def test_a_tenant_is_created_shown_listed_switched_and_deleted(far: Far) -> None:
    made = done(far("tenant", "create", "plant", "--alias", "p", "--max-devices", "5", "--json")).json
    shown = done(far("tenant", "show", "plant", "--json")).json
    assert (shown["id"], shown["alias"], shown["registration-limits"]["max-devices"]) == ("plant", "p", 5)
    assert made["id"] == "plant"
    assert "plant" in done(far("tenant", "list")).out
    assert done(far("tenant", "disable", "plant")).out == "disabled tenant plant\n"
    assert done(far("tenant", "show", "plant", "--json")).json["enabled"] is False
    done(far("tenant", "enable", "plant"))
    assert far("tenant", "create", "plant", "--json").fault["error"] == "tenant-exists"
    done(far("tenant", "delete", "plant", "--yes"))
    assert far("tenant", "show", "plant", "--json").fault["error"] == "tenant-unknown"


def test_cas_are_trusted_changed_and_removed_and_keep_their_certificates(far: Far, tmp_path: Path) -> None:
    done(far("tenant", "create", "trusting"))
    first = make_ca("CN=First").write(tmp_path, "first").certificate
    second = make_ca("CN=Second").write(tmp_path, "second").certificate
    done(far("tenant", "trust", "trusting", first, "--id", "one", "--auto-provision"))
    done(far("tenant", "trust", "trusting", second, "--id", "two"))
    done(far("tenant", "trust", "trusting", second, "--rate", "5"))
    anchors = done(far("tenant", "show", "trusting", "--json")).json["trusted-ca"]
    assert [(anchor["id"], anchor["auto-provisioning-enabled"]) for anchor in anchors] == [
        ("one", True),
        ("two", False),
    ]
    on_record = far.gateway.store.tenants.find("trusting")  # type: ignore[arg-type]
    assert on_record is not None
    assert all(anchor.authority.certificate_der is not None for anchor in on_record.trust_anchors)
    assert on_record.trust_anchors[1].provisioning_per_s_max == 5
    done(far("tenant", "trust", "trusting", second, "--remove"))
    anchors = done(far("tenant", "show", "trusting", "--json")).json["trusted-ca"]
    assert [anchor["id"] for anchor in anchors] == ["one"]


def test_devices_are_listed_shown_switched_and_deleted(far: Far) -> None:
    done(far("tenant", "create", "fleet"))
    for name in ("a", "b"):
        done(far("device", "create", "fleet", name))
    assert [line["id"] for line in done(far("device", "list", "fleet", "--json")).lines] == ["a", "b"]
    done(far("device", "disable", "fleet", "a"))
    assert done(far("device", "show", "fleet", "a", "--json")).json["enabled"] is False
    done(far("device", "delete", "fleet", "a", "--yes"))
    assert far("device", "show", "fleet", "a", "--json").fault["error"] == "device-unknown"
    assert [line["id"] for line in done(far("device", "list", "fleet", "--json")).lines] == ["b"]


def test_credentials_are_set_and_replaced_and_what_is_secret_stays(far: Far, tmp_path: Path) -> None:
    done(far("tenant", "create", "secretive"))
    done(far("device", "create", "secretive", "a"))

    def on_record() -> dict[str, Credential]:
        held = credentials_of(far.gateway.store, TenantId("secretive"), DeviceId("a"))
        return {credential.type: credential for credential in held}

    for word in ("first", "second"):
        said = far("device", "password", "secretive", "a", "user", given=f"{word}\n")
        assert done(said).out == "device a logs in as user@secretive\n"
    assert verify(on_record()["hashed-password"], b"second", NOON)
    assert not verify(on_record()["hashed-password"], b"first", NOON)
    file = tmp_path / "credentials.json"
    shown = json.loads(done(far("device", "credentials", "secretive", "a", "--json")).out)
    psk = {"type": "psk", "auth-id": "identity", "secrets": [{"key": "c2VjcmV0"}]}
    other = {"type": "type-0", "auth-id": "any", "secrets": [{"field-0": "x"}]}
    file.write_text(json.dumps([*shown, psk, other]))
    done(far("device", "credentials", "secretive", "a", "--from", file))
    before = on_record()
    assert before["psk"].secrets[0].material == {"key": "c2VjcmV0"}
    file.write_text(done(far("device", "credentials", "secretive", "a", "--json")).out)
    done(far("device", "credentials", "secretive", "a", "--from", file))
    assert on_record() == before


def test_a_gateway_hashes_passwords_by_its_own_rules(far: Far, tmp_path: Path) -> None:
    done(far("tenant", "create", "hashing"))
    done(far("device", "create", "hashing", "a"))
    done(far("device", "password", "hashing", "a", "us@er", given="first\n"))
    [held] = credentials_of(far.gateway.store, TenantId("hashing"), DeviceId("a"))
    assert held.secrets[0].material["pwd-hash"].startswith("$2a$05$") and verify(held, b"first", NOON)
    file = tmp_path / "credentials.json"
    secrets = [{"pwd-plain": "on record at the gateway", "comment": "on record at the gateway"}]
    file.write_text(json.dumps([{"type": "hashed-password", "auth-id": "us@er", "secrets": secrets}]))
    done(far("device", "credentials", "hashing", "a", "--from", file))
    [held] = credentials_of(far.gateway.store, TenantId("hashing"), DeviceId("a"))
    assert verify(held, b"on record at the gateway", NOON)
    assert held.secrets[0].comment == "on record at the gateway"
    assert (
        far("device", "password", "hashing", "a", "USER", "--json", given="x\n").fault["error"] == "credential-invalid"
    )


def test_what_is_typed_goes_before_the_environment(far: Far, tmp_path: Path) -> None:
    done(far("tenant", "create", "typed"))
    known = {"TUHONO_URL": far.url, "TUHONO_KEY": far.key, "TUHONO_CA": str(far.gateway.server_ca)}
    assert tuhono("tenant", "show", "typed", environment=known, data_dir=tmp_path / "none").status == 1
    here = {"TUHONO_DATA_DIR": str(tmp_path / "none")}
    assert tuhono("tenant", "show", "typed", environment=known | here).status == 0
    assert tuhono("tenant", "list", "--json", environment={"TUHONO_KEY": "tuh_x", **here}).status == 1


def test_what_an_operator_may_not_do_is_refused_by_the_gateway(far: Far) -> None:
    done(far("tenant", "create", "guarded"))
    viewer = new_key_of(far.gateway, role="viewer", tenants=["guarded"])
    done(far("tenant", "show", "guarded", key=viewer))
    assert far("tenant", "disable", "guarded", "--json", key=viewer).fault["error"] == "role-too-small"
    assert far("tenant", "show", "guarded", "--json", key="tuh_wrong").status == 1


def test_a_gateway_that_is_not_there_or_not_named_rightly_is_told(far: Far, tmp_path: Path) -> None:
    nowhere = {"TUHONO_URL": "https://localhost:1", "TUHONO_KEY": "tuh_x"}
    assert tuhono("tenant", "list", "--json", environment=nowhere).fault["error"] == "gateway-unreachable"
    config = {"XDG_CONFIG_HOME": str(tmp_path)}
    nobody = tuhono("tenant", "list", "--json", "--url", far.url, environment=config)
    assert nobody.fault["error"] == "not-logged-in"
    both = tuhono("tenant", "list", "--url", far.url, "--key", "tuh_x", data_dir=tmp_path)
    assert both.status == 2 and "choose one" in both.err


def fill(data: Path) -> None:
    done(tuhono("tenant", "create", "moved", "--alias", "mv", data_dir=data))
    ca = make_ca("CN=Mover").write(data, "mover").certificate
    done(tuhono("tenant", "trust", "moved", ca, "--auto-provision", data_dir=data))
    for number in range(3):
        done(tuhono("device", "create", "moved", f"d{number}", data_dir=data))


def test_a_tenant_moves_from_here_to_there_and_back(far: Far, tmp_path: Path) -> None:
    here, file, back = tmp_path / "here", tmp_path / "moved.ndjson", tmp_path / "back.ndjson"
    here.mkdir()
    fill(here)
    assert "with 3 devices" in done(tuhono("tenant", "export", "moved", file, "--secrets", data_dir=here)).out
    assert stat.S_IMODE(file.stat().st_mode) == 0o600
    moved = done(far("tenant", "import", file, "--json")).json
    assert (moved["tenant-created"], moved["created"], moved["failed"]) == (True, 3, 0)
    done(far("tenant", "export", "moved", back, "--secrets"))
    assert without_status(back) == without_status(file)
    again = far("tenant", "import", file)
    assert again.status == 1 and "3 failed" in again.out and "device-exists" in again.out
    done(far("tenant", "import", file, "--existing", "skip"))
    copied = far("tenant", "import", file, "--as", "copy", "--json")  # the CA and alias are taken by the original
    assert copied.fault["error"] == "alias-taken"


def without_status(file: Path) -> list[Any]:
    first, *devices = [json.loads(line) for line in file.read_text().splitlines()]
    assert "cert" in first["tenant"]["trusted-ca"][0]
    for document in devices:
        del document["device"]["status"]
    return [first, *devices]


def test_what_is_no_export_is_refused(tmp_path: Path) -> None:
    data, file = tmp_path / "data", tmp_path / "file"
    for content in ("", "no json\n", '{"id": 5, "tenant": {}}\n', "[]\n"):
        file.write_text(content)
        assert tuhono("tenant", "import", file, "--json", data_dir=data).fault["error"] == "file-unusable"
    file.write_text('{"id": "t", "tenant": {}}\n{"id": "a"}\nno json\n{"id": "b"}\n')
    said = tuhono("tenant", "import", file, data_dir=data)
    assert said.status == 1 and "2 created" in said.out and "line 3: " in said.out
