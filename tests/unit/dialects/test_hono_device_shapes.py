"""A device on the wire: what is read, what is refused by name, what is sent back (hono-registry 2.2)."""

import json
from datetime import UTC, datetime, timedelta
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from dialects.hono.shapes.device import DeviceBody, device_entry, device_of, device_view
from dialects.hono.shapes.values import decode
from kernel.errors import Malformed
from registry.model import CommandEndpoint, Device, DeviceStatus

NOON = datetime(2026, 1, 1, 12, 0, 0, 999_999, tzinfo=UTC)
STATUS = {"created": "2026-01-01T12:00:00Z"}
WHOLE = {
    "enabled": False,
    "defaults": {"ttl": 5, "nested": {"a": [1, None]}},
    "via": ["gw-1", "gw-2"],
    "viaGroups": ["north"],
    "authorities": ["auto-provisioning-enabled"],
    "downstream-message-mapper": "down",
    "upstream-message-mapper": "up",
    "ext": {"brand": "Ä", "n": 1.5, "none": None},
    "command-endpoint": {
        "uri": "https://example.com/{{deviceId}}",
        "headers": {"x-key": "value"},
        "payload-properties": {"a": 1},
    },
}


def read(body: Any, status: DeviceStatus | None = None) -> Device:
    octets = body if isinstance(body, bytes) else json.dumps(body).encode()
    return device_of(decode(DeviceBody, octets), "acme", "sensor", status or DeviceStatus(created=NOON))


def sent(device: Device) -> Any:
    return json.loads(msgspec.json.encode(device_view(device)))


def test_a_device_of_which_nothing_was_said_has_a_status_only() -> None:
    assert sent(read({})) == {"status": STATUS}


def test_empty_collections_are_not_sent_back() -> None:
    assert sent(read({"via": [], "viaGroups": [], "memberOf": [], "authorities": [], "ext": {}, "defaults": {}})) == {
        "status": STATUS
    }


def test_everything_that_was_sent_is_sent_back() -> None:
    assert sent(read(WHOLE)) == {**WHOLE, "status": STATUS}
    assert sent(read({"memberOf": ["north"]})) == {"memberOf": ["north"], "status": STATUS}
    assert sent(read({"enabled": True})) == {"enabled": True, "status": STATUS}


def test_one_text_is_a_list_of_one() -> None:
    assert sent(read({"via": "gw", "viaGroups": "north"})) == {"via": ["gw"], "viaGroups": ["north"], "status": STATUS}
    assert sent(read({"memberOf": "north"})) == {"memberOf": ["north"], "status": STATUS}


def test_authorities_are_a_set() -> None:
    assert read({"authorities": ["b", "a", "b"]}).authorities == ("b", "a")


@pytest.mark.parametrize("status", [{"created": "yesterday", "auto-provisioned": True}, None, "new", 3, {"x": {}}])
def test_the_status_in_a_body_counts_for_nothing(status: Any) -> None:
    assert sent(read({"status": status})) == {"status": STATUS}


def test_a_status_shows_what_is_so_and_nothing_else() -> None:
    status = DeviceStatus(
        created=NOON,
        updated=NOON + timedelta(seconds=1.5),
        auto_provisioned=True,
        notification_sent=True,
        last_user="ops",
    )
    assert sent(read({}, status))["status"] == {
        "created": "2026-01-01T12:00:00Z",
        "updated": "2026-01-01T12:00:02Z",
        "auto-provisioned": True,
        "auto-provisioning-notification-sent": True,
        "last-user": "ops",
    }


def test_a_device_that_was_found_has_its_id() -> None:
    found = json.loads(msgspec.json.encode(device_entry(read(WHOLE))))
    assert found == {**WHOLE, "id": "sensor", "status": STATUS}


def test_an_endpoint_needs_no_more_than_its_uri() -> None:
    assert read({"command-endpoint": {"uri": "coap://x"}}).command_endpoint == CommandEndpoint(uri="coap://x")
    assert sent(read({"command-endpoint": {"uri": "coap://x"}}))["command-endpoint"] == {"uri": "coap://x"}


@pytest.mark.parametrize(
    ("body", "words"),
    [
        (b"null", "body: must be an object, not null"),
        (b"[]", "body: must be an object, not an array"),
        (b"{", "body: is not JSON"),
        ({"unknown": 1}, "unknown: there is no such member"),
        ({"mapper": "x"}, "mapper: there is no such member"),
        ({"id": "x"}, "id: there is no such member"),
        ({"enabled": "true"}, "enabled: must be a boolean, not a string"),
        ({"enabled": None}, "enabled: must be a boolean, not null"),
        ({"ext": []}, "ext: must be an object, not an array"),
        ({"defaults": "x"}, "defaults: must be an object"),
        ({"via": 3}, "via: must be"),
        ({"via": [3]}, "via[0]: must be a string"),
        ({"via": ["ok", ""]}, "via[1]: must have at least 1"),
        ({"via": "a\n"}, "via: must hold no control"),
        ({"via": ["x" * 257]}, "via[0]: must have at most 256"),
        ({"via": ["x"] * 101}, "via: must have at most 100 entries"),
        ({"viaGroups": ["x"] * 101}, "viaGroups: must have at most 100 entries"),
        ({"memberOf": ["x"] * 101}, "memberOf: must have at most 100 entries"),
        ({"authorities": ["x"] * 17}, "authorities: must have at most 16 entries"),
        ({"authorities": "x"}, "authorities: must be an array"),
        ({"downstream-message-mapper": 1}, "downstream-message-mapper: must be a string"),
        ({"upstream-message-mapper": ""}, "upstream-message-mapper: must have at least 1"),
        ({"command-endpoint": {}}, "command-endpoint.uri: is required"),
        ({"command-endpoint": {"uri": "x", "url": "y"}}, "command-endpoint.url: there is no such member"),
        (
            {"command-endpoint": {"uri": "x", "headers": {"a": "b\r\nc: d"}}},
            "command-endpoint.headers[...]: must hold no",
        ),
    ],
)
def test_what_breaks_a_rule_is_refused_by_member_and_rule(body: Any, words: str) -> None:
    with pytest.raises(Malformed) as refused:
        read(body)
    assert str(refused.value).startswith(words)


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8), inner, max_size=3),
    max_leaves=8,
)
MEMBERS = st.sampled_from([*WHOLE, "memberOf", "status", "unknown"])


@given(st.binary(max_size=64) | st.dictionaries(MEMBERS, JSON, max_size=4).map(lambda body: json.dumps(body).encode()))
def test_no_body_raises_anything_but_malformed(body: bytes) -> None:
    try:
        device = read(body)
    except Malformed:
        return
    assert read(msgspec.json.encode(device_view(device))) == device  # what is read can be written again
