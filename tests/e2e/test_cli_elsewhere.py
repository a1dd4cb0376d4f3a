"""The command line on a gateway elsewhere: the same commands, the same words, through the management API."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.support.certificates import make_ca
from tests.support.command_line import Said, tuhono
from tests.support.gateway import RunningGateway, running_gateway
from tests.support.management import new_key_of


class Far:
    """A gateway, and the command line that works on it."""

    def __init__(self, gateway: RunningGateway) -> None:
        self.gateway = gateway
        self.url = f"https://localhost:{gateway.ports['management']}"
        self.key = new_key_of(gateway)

    def __call__(self, *words: object, key: str | None = None) -> Said:
        place = {"TUHONO_URL": self.url, "TUHONO_KEY": key or self.key, "TUHONO_CA": str(self.gateway.server_ca)}
        return tuhono(*words, environment=place)


@pytest.fixture(scope="module")
def far(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Far]:
    with running_gateway(Path(tmp_path_factory.mktemp("far"))) as gateway:
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
