"""What an audit row shows of a device and its credentials: never what proves anything."""

import json
from dataclasses import replace

from registry.audit import credentials_document, device_document
from registry.model import CommandEndpoint, Secret
from tests.support.stores import NOW, credential, device


def test_a_device_of_which_nothing_was_set_is_empty() -> None:
    assert device_document(device("d")) == {}


def test_what_was_set_is_told_in_the_words_of_the_api() -> None:
    given = device(
        "d",
        enabled=False,
        via=("gw",),
        via_groups=("g",),
        member_of=("h",),
        authorities=("auto-provisioning-enabled",),
        defaults={"ttl": 1},
        ext={"a": {"b": None}},
        downstream_mapper="down",
        upstream_mapper="up",
        command_endpoint=CommandEndpoint(payload_properties={"p": "q"}),
    )
    assert device_document(given) == {
        "enabled": False,
        "via": ["gw"],
        "viaGroups": ["g"],
        "memberOf": ["h"],
        "authorities": ["auto-provisioning-enabled"],
        "defaults": {"ttl": 1},
        "ext": {"a": {"b": None}},
        "downstream-message-mapper": "down",
        "upstream-message-mapper": "up",
        "command-endpoint": {"payload-properties": {"p": "q"}},
    }


def test_headers_and_passwords_of_a_command_endpoint_are_masked() -> None:
    endpoint = CommandEndpoint(
        uri="https://ann:pass@word@[::1]:8443/a@b?token=sesame#c", headers={"Authorization": "sesame", "X": "sesame"}
    )
    given = device("d", command_endpoint=endpoint)
    document = device_document(given)
    assert document["command-endpoint"] == {
        "uri": "https://masked@[::1]:8443/a@b?masked#c",
        "headers": {"Authorization": "masked", "X": "masked"},
    }
    before = replace(given, command_endpoint=replace(endpoint, headers={"Authorization": "old", "X": "sesame"}))
    changed = device_document(given, before)["command-endpoint"]["headers"]
    assert changed == {"Authorization": "changed", "X": "masked"}
    assert device_document(given, device("d"))["command-endpoint"]["headers"]["X"] == "changed"


def test_what_a_secret_is_made_of_is_never_shown_and_its_change_is() -> None:
    old = [
        credential(
            "d",
            type="hashed-password",
            auth_id="name",
            secrets=(
                Secret(secret_id="kept", material={"pwd-hash": "sesame", "salt": "sesame"}),
                Secret(secret_id="new", material={"pwd-hash": "sesame"}),
            ),
        ),
    ]
    new = [
        replace(
            old[0],
            comment="c",
            enabled=True,
            ext={"x": 1},
            secrets=(
                replace(old[0].secrets[0], enabled=False, comment="k", not_before=NOW, not_after=NOW),
                replace(old[0].secrets[1], material={"pwd-hash": "open"}),
                Secret(secret_id="added", material={"key": "open"}),
            ),
        ),
        credential("d"),
    ]
    before, after = credentials_document(old), credentials_document(new, old)
    assert before == {
        "credentials": [
            {
                "type": "hashed-password",
                "auth-id": "name",
                "secrets": [{"id": "kept", "material": "masked"}, {"id": "new", "material": "masked"}],
            }
        ]
    }
    assert after == {
        "credentials": [
            {
                "type": "hashed-password",
                "auth-id": "name",
                "enabled": True,
                "comment": "c",
                "ext": {"x": 1},
                "secrets": [
                    {
                        "id": "kept",
                        "enabled": False,
                        "not-before": "2026-01-01T00:00:00Z",
                        "not-after": "2026-01-01T00:00:00Z",
                        "comment": "k",
                        "material": "masked",
                    },
                    {"id": "new", "material": "changed"},
                    {"id": "added", "material": "changed"},
                ],
            },
            {"type": "x509-cert", "auth-id": "CN=d", "secrets": [{"id": "s1"}]},
        ]
    }
    assert "sesame" not in json.dumps([before, after])
    assert "open" not in json.dumps([before, after])


def test_one_secret_id_in_two_credentials_is_two_secrets() -> None:
    one = credential("d", type="psk", auth_id="one", secrets=(Secret(secret_id="s", material={"key": "1"}),))
    two = credential("d", type="psk", auth_id="two", secrets=(Secret(secret_id="s", material={"key": "2"}),))
    told = credentials_document([one, two], [one])["credentials"]
    assert [entry["secrets"][0]["material"] for entry in told] == ["masked", "changed"]
