"""What every driver's searches of tenants and devices promise (hono-registry 1.5)."""

from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from kernel.errors import Malformed
from kernel.ids import DeviceId, TenantId
from registry.model import CommandEndpoint, DeviceStatus
from tenant.errors import PointerUnsearchable, SearchInvalid
from tenant.model import (
    AdapterSettings,
    DataVolume,
    DeviceTemplate,
    Period,
    RegistrationLimits,
    ResourceLimits,
    RevocationCheck,
    Tracing,
)
from tenant.search import Filter, Query, Sort, Value
from tests.support.stores import DEED, DRIVERS, NOW, TENANT, AnyStore, anchor, device, opened, put, tenant


@pytest.fixture(params=DRIVERS)
def store(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[AnyStore]:
    with opened(request.param, tmp_path) as store:
        store.tenants.create(tenant(TENANT), DEED)
        yield store


def pointer(text: str) -> tuple[str, ...]:
    return tuple(text.removeprefix("/").split("/"))


def query(*filters: tuple[str, Value], sorts: tuple[str, ...] = (), **members: Any) -> Query:
    """Sorts by a member descending where its pointer begins with a minus."""
    return Query(
        filters=[Filter(pointer=pointer(text), value=value) for text, value in filters],
        sorts=[Sort(pointer=pointer(text.removeprefix("-")), descending=text.startswith("-")) for text in sorts],
        **members,
    )


def ids(store: AnyStore, *filters: tuple[str, Value], **members: Any) -> list[str]:
    """Of the devices that are found; all of them must be on the page."""
    page = store.devices.search(TENANT, query(*filters, page_size=200, **members))
    assert page.total == len(page.found)
    return [found.device_id for found in page.found]


def tenant_ids(store: AnyStore, *filters: tuple[str, Value], **members: Any) -> list[str]:
    page = store.tenants.search(query(*filters, page_size=200, **members))
    assert page.total == len(page.found)
    return [found.tenant_id for found in page.found]


def with_ext(store: AnyStore, *values: Any) -> None:
    """Devices d0, d1, … with `x` in their `ext`."""
    for number, value in enumerate(values):
        put(store, device(f"d{number}", ext={"x": value}))


def test_without_filter_and_sort_all_come_in_the_order_of_ids(store: AnyStore) -> None:
    for name in ("b", "a", "B", "é", "a:1", "😀"):
        put(store, device(name))
    assert ids(store) == ["B", "a", "a:1", "b", "é", "😀"]
    assert ids(store, sorts=("/id",)) == ["B", "a", "a:1", "b", "é", "😀"]
    assert ids(store, sorts=("-/id",)) == ["😀", "é", "b", "a:1", "a", "B"]


def test_devices_of_other_tenants_are_never_found(store: AnyStore) -> None:
    store.tenants.create(tenant("other"), DEED)
    put(store, device("ours", member_of=("g",)))
    put(store, device("theirs", tenant_id="other", via=(DeviceId("ours"),), member_of=("h",)))
    assert ids(store) == ids(store, is_gateway=True) == ["ours"]
    assert ids(store, ("/id", "*"), sorts=("/ext/x",)) == ["ours"]
    assert store.devices.groups(TENANT, after=None, limit=9, members_max=9) == [("g", ["ours"])]
    assert store.devices.search(TenantId("nobody"), Query()).total == 0


def test_what_is_found_is_whole(store: AnyStore) -> None:
    put(store, device("a", ext={"x": [1, {"y": None}]}, via=(DeviceId("gw"),), enabled=False))
    page = store.devices.search(TENANT, query(("/ext/x", 1)))
    assert page.found == [store.devices.find(TENANT, DeviceId("a"))]
    store.tenants.create(tenant("t", anchor("2", name="CN=b"), anchor("1", name="CN=a"), ext={"x": 1}), DEED)
    assert store.tenants.search(query(("/ext/x", 1))).found == [store.tenants.find(TenantId("t"))]


def test_pages_are_counted_not_rows(store: AnyStore) -> None:
    for number in range(6):
        put(store, device(f"d{number}", ext={"n": -number}))
    for sorts, order in (((), [0, 1, 2, 3, 4, 5]), (("/ext/n",), [5, 4, 3, 2, 1, 0])):
        for offset, expected in ((0, order[:4]), (1, order[4:]), (2, []), (2**31 - 1, [])):
            page = store.devices.search(TENANT, query(sorts=sorts, page_size=4, page_offset=offset))
            assert page.total == 6
            assert [found.device_id for found in page.found] == [f"d{number}" for number in expected]


def test_all_filters_must_hold_also_those_on_one_member(store: AnyStore) -> None:
    with_ext(store, "ab", "a", "b", ["ax", "xb"])
    assert ids(store, ("/ext/x", "a*"), ("/ext/x", "*b")) == ["d0", "d3"]
    assert ids(store, ("/ext/x", "a*"), ("/id", "d1")) == ["d1"]
    assert ids(store, ("/ext/x", "a"), ("/ext/x", "b")) == []


def test_enabled_counts_as_true_where_nobody_said(store: AnyStore) -> None:
    for name, enabled in (("silent", None), ("on", True), ("off", False)):
        put(store, device(name, enabled=enabled))
        store.tenants.create(tenant(name, enabled=enabled), DEED)
    assert ids(store, ("/enabled", True)) == ["on", "silent"]
    assert ids(store, ("/enabled", False)) == ["off"]
    assert tenant_ids(store, ("/enabled", True)) == ["acme", "on", "silent"]
    assert tenant_ids(store, ("/enabled", False)) == ["off"]
    assert ids(store, ("/enabled", 1)) == ids(store, ("/enabled", "true")) == ids(store, ("/enabled", "*")) == []
    assert ids(store, sorts=("/enabled",)) == ["off", "on", "silent"]


def test_values_of_different_types_are_different(store: AnyStore) -> None:
    with_ext(store, True, 1, "1", "true", False, 0, "0", None, "", {}, [], 1.0, [True], [1], ["1"], [[1]], {"x": 1})
    assert ids(store, ("/ext/x", True)) == ["d0", "d12"]
    assert ids(store, ("/ext/x", 1)) == ids(store, ("/ext/x", 1.0)) == ["d1", "d11", "d13"]
    assert ids(store, ("/ext/x", "1")) == ["d14", "d2"]
    assert ids(store, ("/ext/x", "true")) == ["d3"]
    assert ids(store, ("/ext/x", False)) == ["d4"]
    assert ids(store, ("/ext/x", 0)) == ["d5"]
    assert ids(store, ("/ext/x", "")) == ["d8"]
    assert ids(store, ("/ext/x", "null")) == []
    assert ids(store, ("/ext/x", "*")) == ["d14", "d2", "d3", "d6", "d8"]


NUMBERS: list[tuple[int | float, int | float, bool]] = [  # looked for, on record, found
    (0, -0.0, True),
    (-0.0, 0, True),
    (10, 1e1, True),
    (1e-7, 0.0000001, True),
    (0.1, 0.1, True),
    (0.30000000000000004, 0.3, False),
    (2**53, 2**53 + 1, False),
    (float(2**53), 2**53, True),
    (2**63 - 1, 2**63 - 1, True),
    (2**63 - 2, 2**63 - 1, False),
    (-(2**63), -(2**63), True),
    (float(2**63), 2**63, True),
    (float(2**64), 2**64, True),
    (2**63 - 1, 2**63, False),
    (9223372036854774784, 9223372036854774784.0, True),
    (1e23, 1e23, True),
    (1e308, 1e308, True),
    (5e-324, 5e-324, True),
    (1e308, 10**309, False),
]


def test_numbers_are_compared_as_numbers(store: AnyStore) -> None:
    with_ext(store, *(held for _, held, _ in NUMBERS))
    for number, (wanted, held, does) in enumerate(NUMBERS):
        assert (f"d{number}" in ids(store, ("/ext/x", wanted))) is does, (wanted, held)


@pytest.mark.parametrize("value", [2**63, -(2**63) - 1, 10**400, float("inf"), float("-inf"), float("nan")])
def test_numbers_nobody_can_compare_are_refused(value: int | float) -> None:
    with pytest.raises(SearchInvalid):
        Filter(pointer=("ext", "x"), value=value)


PATTERNS = [  # looked for, on record, found
    ("$id*", "$id:1", True),
    ("*id*2", "$id:1", False),
    ("$id?2", "$id:2", True),
    ("$id:?2", "$id:2", False),
    ("$id:2", "$ID:2", False),
    ("plant", "plant 1", False),
    ("*", "", True),
    ("?", "", False),
    ("?", "é", True),
    ("?", "😀", True),
    ("??", "😀", False),
    ("é*", "ée", True),
    ("É*", "ée", False),
    ("*ü", "grün", False),
    ("gr?n", "grün", True),
    ("a*b*c", "aXbXbXc", True),
    ("a*b*c", "aXbXbX", False),
    ("***", "x", True),
    ("[ab]", "a", False),
    ("[ab]", "[ab]", True),
    ("[ab]*", "[ab]c", True),
    ("[^a]*", "b", False),
    ("*]", "a]", True),
    ("[*", "[", True),
    ("[?]", "[x]", True),
    ("^a*", "^ab", True),
    ("a%*", "abc", False),
    ("a%*", "a%c", True),
    ("a_?", "abc", False),
    ("a_?", "a_c", True),
    ("a\\*", "a\\b", True),
    ("a\\*", "a*", False),
    ("\\?", "\\x", True),
    ('"*"', '"x"', True),
    ("'*", "'; DROP TABLE devices; --", True),
    ("a\nb*", "a\nbc", True),
    ("a?b", "a\nb", True),
    ("\t*", "\t", True),
    ("\\u00e9*", "é", False),
    ("\\u00e9*", "\\u00e9", True),
    ("a", "a\0b", False),
    ("a*", "a\0b", True),
    ("a*b", "a\0b", True),
    ("a?b", "a\0b", True),
    ("*\\u0000*", "a\0b", False),
    ("*\\u0000*", "a\\u0000b", True),
    ("*\\\\*", "\0\\\\u0000\\", True),
]


def test_text_matches_as_a_whole_and_only_stars_and_question_marks_stand_for_others(store: AnyStore) -> None:
    with_ext(store, *(text for _, text, _ in PATTERNS))
    for number, (_, text, _) in enumerate(PATTERNS):
        put(store, device(f"e{number}", ext={"y": ["other entry", text]}))
    for number, (pattern, text, does) in enumerate(PATTERNS):
        assert (f"d{number}" in ids(store, ("/ext/x", pattern))) is does, (pattern, text)
        assert (f"e{number}" in ids(store, ("/ext/y", pattern))) is (does or pattern.strip("*") == ""), (pattern, text)


@pytest.mark.parametrize("value", ["a\0b", "\0", "\ud800", "x" * 1025])
def test_texts_nobody_can_look_for_are_refused(value: str) -> None:
    with pytest.raises(SearchInvalid):
        Filter(pointer=("ext", "x"), value=value)


NAMES = [
    "x",
    "",
    " ",
    "a.b",
    "a b",
    "$",
    "@",
    "[0]",
    "é",
    "😀",
    'quo"te',
    'quo\\"te',
    "back\\slash",
    "back\\",
    '"',
    "\\u00e9",
    "\n",
    "a/b",
    "a~b",
    "-1",
    "01",
    "+1",
    " 1",
    "1.0",
    "0",
    "12345678901234567890",
    "*",
    "?",
    "'",
    "%",
    "{}",
    "key",
]


def test_every_name_can_be_followed(store: AnyStore) -> None:
    put(store, device("top", ext={**{name: f"v{number}" for number, name in enumerate(NAMES)}, "z": "w"}))
    put(store, device("deep", ext={"z": {name: {"v": f"v{number}"} for number, name in enumerate(NAMES)}}))
    put(store, device("array", ext={"z": ["v"] * 30}))
    put(store, device("nul", ext={**{name: f"v{number}" for number, name in enumerate(NAMES)}, "n": "\0"}))

    def found(pointer: tuple[str, ...], value: Value) -> list[str]:
        page = store.devices.search(TENANT, Query(filters=[Filter(pointer=pointer, value=value)]))
        return [device.device_id for device in page.found]

    for number, name in enumerate(NAMES):
        assert found(("ext", name), f"v{number}") == ["nul", "top"], name
        assert found(("ext", name), f"?{number}") == ["nul", "top"], name
        assert found(("ext", name), f"v{number + 1}") == [], name
        assert found(("ext", "z", name, "v"), f"v{number}") == ["deep"], name
        assert found(("ext", "z", name), "v") == (["array"] if name == "0" else []), name
        order = store.devices.search(TENANT, Query(sorts=[Sort(pointer=("ext", name), descending=True)])).found
        assert [device.device_id for device in order[:2]] == ["nul", "top"], name


def test_arrays_match_if_any_entry_does_or_the_one_an_index_names(store: AnyStore) -> None:
    with_ext(store, ["a", "b"], ["b", "a"], "a", {"0": "a"}, [["a"]], [{"k": "a"}], [{"k": "b"}, {"k": "a"}])
    assert ids(store, ("/ext/x", "a")) == ["d0", "d1", "d2"]
    assert ids(store, ("/ext/x/0", "a")) == ["d0", "d3", "d4"]
    assert ids(store, ("/ext/x/1", "a")) == ["d1"]
    assert ids(store, ("/ext/x/0/0", "a")) == ["d4"]
    assert ids(store, ("/ext/x/0/k", "a")) == ["d5"]
    assert ids(store, ("/ext/x/1/k", "?")) == ["d6"]
    assert ids(store, ("/ext/x/k", "a")) == []
    for index in ("-1", "00", "01", "4294967296", "18446744073709551616", "+0", "٠"):
        assert ids(store, (f"/ext/x/{index}", "a")) == []


def test_members_of_a_device(store: AnyStore) -> None:
    status = DeviceStatus(created=NOW)
    endpoint = CommandEndpoint(uri="https://x/{{deviceId}}", headers={"h": "1"}, payload_properties={"p": 7})
    put(
        store,
        device(
            "full",
            via_groups=("g1", "g2"),
            authorities=("auto-provisioning-enabled",),
            defaults={"ttl": 5, "content-type": "text/plain"},
            downstream_mapper="down",
            upstream_mapper="up",
            command_endpoint=endpoint,
            status=status,
        ),
    )
    put(store, device("via", via=(DeviceId("gw-1"), DeviceId("gw-2"))))
    put(store, device("gw-1", member_of=("g1",)))
    for text, value, expected in (
        ("/id", "gw-?", "gw-1"),
        ("/via", "gw-2", "via"),
        ("/via/1", "gw-2", "via"),
        ("/viaGroups", "g2", "full"),
        ("/viaGroups/0", "g1", "full"),
        ("/memberOf", "g1", "gw-1"),
        ("/authorities", "auto-*", "full"),
        ("/defaults/ttl", 5, "full"),
        ("/defaults/content-type", "text/*", "full"),
        ("/downstream-message-mapper", "down", "full"),
        ("/upstream-message-mapper", "u*", "full"),
        ("/command-endpoint/uri", "*{{deviceId}}", "full"),
        ("/command-endpoint/headers/h", "1", "full"),
        ("/command-endpoint/payload-properties/p", 7, "full"),
    ):
        assert ids(store, (text, value)) == [expected], text
    assert ids(store, ("/via/0", "gw-2")) == []
    assert ids(store, ("/status/last-user", "*")) == []


def test_moments_are_compared_as_they_are_read(store: AnyStore) -> None:
    made = datetime(2026, 3, 4, 5, 6, 7, 999_999, tzinfo=UTC)
    put(store, device("b", status=DeviceStatus(created=made)))
    put(store, device("a", status=DeviceStatus(created=made - timedelta(microseconds=999_999))))
    put(store, device("c", status=DeviceStatus(created=made + timedelta(microseconds=1))))
    put(store, device("0", status=DeviceStatus(created=made - timedelta(days=1))))
    assert ids(store, ("/status/created", "2026-03-04T05:06:07Z")) == ["a", "b"]
    assert ids(store, ("/status/created", "2026-03-04*")) == ["a", "b", "c"]
    assert ids(store, ("/status/created", "*T05:06:0?Z")) == ["0", "a", "b", "c"]
    for none in ("2026-03-04T05:06:07", "2026-03-04T05:06:07.999999Z", "2026-3-4T05:06:07Z", "", 1772600767):
        assert ids(store, ("/status/created", none)) == []
    assert ids(store, sorts=("-/status/created",)) == ["c", "a", "b", "0"]
    assert ids(store, ("/status/updated", "*")) == []
    store.devices.set_enabled(TENANT, [DeviceId("c")], replace(DEED, moment=made + timedelta(hours=1)), enabled=False)
    assert ids(store, ("/status/updated", "2026-03-04T06:06:*")) == ["c"]
    assert ids(store, sorts=("/status/updated",))[-1] == "c"


def test_flags_of_the_status_are_false_where_they_are_not_read(store: AnyStore) -> None:
    put(store, device("made"))
    assert ids(store, ("/status/auto-provisioned", False)) == ["made"]
    assert ids(store, ("/status/auto-provisioned", True)) == []
    assert ids(store, ("/status/auto-provisioning-notification-sent", False)) == ["made"]


def full_tenant() -> Any:
    since = datetime(2026, 2, 1, tzinfo=UTC)
    return tenant(
        "full",
        anchor("one", name="CN=One,O=x", auth_id_template="{{subject-cn}}", may_auto_provision=False),
        anchor(
            "two",
            name="CN=Two,O=x",
            device_id_template="d-{{subject-cn}}",
            provisions_gateways=True,
            provisioning_per_s_max=2.5,
            device_template=DeviceTemplate(ext={"plant": ["a", "b"]}, member_of=("g",)),
            revocation=RevocationCheck(enabled=True, responder_uri="http://ocsp/"),
        ),
        alias="the-alias",
        trust_anchor_group="group",
        adapters=(
            AdapterSettings(type="hono-mqtt", enabled=True),
            AdapterSettings(type="hono-http", authentication_required=False, ext={"max-ttd": 60, 'q"': {"s\\": "\0"}}),
        ),
        defaults={"ttl": 30},
        ext={"messaging-type": "kafka"},
        minimum_message_size=4096,
        resource_limits=ResourceLimits(
            max_connections=10,
            max_ttl_s=11,
            max_ttl_telemetry_qos0_s=12,
            max_ttl_telemetry_qos1_s=13,
            max_ttl_command_response_s=14,
            data_volume=DataVolume(effective_since=since, max_bytes=15, period=Period(mode="days", no_of_days=16)),
            ext={"e": True},
        ),
        registration_limits=RegistrationLimits(max_devices=17, max_credentials_per_device=18),
        tracing=Tracing(sampling_mode="all", sampling_mode_per_auth_id={"sensor.1": "none"}),
    )


MEMBERS_OF_TENANTS: list[tuple[str, Value]] = [
    ("/id", "full"),
    ("/alias", "the-*"),
    ("/trust-anchor-group", "group"),
    ("/adapters/type", "hono-http"),
    ("/adapters/1/type", "hono-*"),
    ("/adapters/0/enabled", True),
    ("/adapters/enabled", False),
    ("/adapters/1/device-authentication-required", False),
    ("/adapters/ext/max-ttd", 60),
    ("/adapters/1/ext/max-ttd", 60),
    ('/adapters/ext/q"/s\\', "?"),
    ('/adapters/1/ext/q"/s\\', "?"),
    ("/defaults/ttl", 30),
    ("/ext/messaging-type", "kafka"),
    ("/minimum-message-size", 4096),
    ("/registration-limits/max-devices", 17),
    ("/registration-limits/max-credentials-per-device", 18),
    ("/resource-limits/max-connections", 10),
    ("/resource-limits/max-ttl", 11),
    ("/resource-limits/max-ttl-telemetry-qos0", 12),
    ("/resource-limits/max-ttl-telemetry-qos1", 13),
    ("/resource-limits/max-ttl-command-response", 14),
    ("/resource-limits/data-volume/effective-since", "2026-02-01T00:00:00Z"),
    ("/resource-limits/data-volume/effective-since", "2026-02-*"),
    ("/resource-limits/data-volume/max-bytes", 15),
    ("/resource-limits/data-volume/period/mode", "days"),
    ("/resource-limits/data-volume/period/no-of-days", 16),
    ("/resource-limits/ext/e", True),
    ("/tracing/sampling-mode", "all"),
    ("/tracing/sampling-mode-per-auth-id/sensor.1", "none"),
    ("/trusted-ca/id", "two"),
    ("/trusted-ca/1/id", "two"),
    ("/trusted-ca/subject-dn", "CN=One,O=*"),
    ("/trusted-ca/not-before", "2025-12-31T00:00:00Z"),
    ("/trusted-ca/not-after", "2027-*"),
    ("/trusted-ca/auth-id-template", "{{subject-cn}}"),
    ("/trusted-ca/auto-provisioning-enabled", True),
    ("/trusted-ca/0/auto-provisioning-enabled", False),
    ("/trusted-ca/auto-provision-as-gateway", True),
    ("/trusted-ca/auto-provisioning-device-id-template", "d-*"),
    ("/trusted-ca/ocsp-revocation-enabled", True),
    ("/trusted-ca/0/ocsp-revocation-enabled", False),
    ("/trusted-ca/ocsp-responder-uri", "http://ocsp/"),
    ("/trusted-ca/ocsp-nonce-enabled", False),
    ("/trusted-ca/provisioning-rate-max", 2.5),
    ("/trusted-ca/device-template/ext/plant", "b"),
    ("/trusted-ca/1/device-template/ext/plant/0", "a"),
    ("/trusted-ca/device-template/memberOf", "g"),
    ("/trusted-ca/1/device-template/memberOf/0", "?"),
]


def test_members_of_a_tenant(store: AnyStore) -> None:
    store.tenants.create(full_tenant(), DEED)
    for text, value in MEMBERS_OF_TENANTS:
        assert tenant_ids(store, (text, value)) == ["full"], text


def test_entries_of_a_tenant_are_told_apart(store: AnyStore) -> None:
    store.tenants.create(full_tenant(), DEED)
    for text, value in (
        ("/adapters/0/type", "hono-http"),
        ("/adapters/2/type", "*"),
        ("/trusted-ca/0/id", "two"),
        ("/trusted-ca/7/id", "*"),
        ("/resource-limits/connection-duration/max-minutes", -1),
        ("/minimum-message-size", "4096"),
        ("/alias", "the-alias2"),
    ):
        assert tenant_ids(store, (text, value)) == [], text
    assert tenant_ids(store, ("/minimum-message-size", 0)) == ["acme"]
    for text in (
        "/adapters/1/type",
        "/trusted-ca/1/subject-dn",
        "/trusted-ca/0/not-after",
        "/trusted-ca/1/provisioning-rate-max",
        "/trusted-ca/1/device-template/ext/plant/0",
        "/trusted-ca/1/ocsp-nonce-enabled",
        "/resource-limits/data-volume/effective-since",
        "/minimum-message-size",
        "/alias",
    ):
        assert tenant_ids(store, sorts=(text,)) == ["acme", "full"], text
        assert tenant_ids(store, sorts=(f"-{text}",)) == ["full", "acme"], text


def test_only_tenants_the_caller_may_know_are_found(store: AnyStore) -> None:
    for name in ("b", "c"):
        store.tenants.create(tenant(name, ext={"x": name}), DEED)
    assert tenant_ids(store) == ["acme", "b", "c"]
    assert tenant_ids(store, tenants=frozenset({"c", "acme", "unknown"})) == ["acme", "c"]
    assert tenant_ids(store, ("/ext/x", "*"), sorts=("-/ext/x",), tenants=frozenset({"b", "acme"})) == ["b"]
    assert tenant_ids(store, tenants=frozenset()) == []
    assert tenant_ids(store, tenants=frozenset(f"t{number}" for number in range(5000)) | {"b"}) == ["b"]


UNSEARCHABLE_IN_DEVICES = [
    "/",
    "/foo",
    "/Enabled",
    "/enabled/x",
    "/id/0",
    "/ext",
    "/defaults",
    "/status",
    "/status/foo",
    "/status/created/0",
    "/status/connection/connected",
    "/via/x",
    "/via/0/0",
    "/via/-1",
    "/via/01",
    "/command-endpoint",
    "/command-endpoint/headers",
    "/command-endpoint/foo",
    "/tenant_id",
    "/version",
    "/mapper",
    "/ext/0/1/2/3/4",
]


def test_what_cannot_be_searched_in_devices_is_refused(store: AnyStore) -> None:
    for text in UNSEARCHABLE_IN_DEVICES:
        for asked in (query((text, "x")), query(sorts=(text,))):
            with pytest.raises(PointerUnsearchable):
                store.devices.search(TENANT, asked)


UNSEARCHABLE_IN_TENANTS = [
    "/status/created",
    "/via",
    "/adapters",
    "/adapters/0",
    "/adapters/foo",
    "/adapters/0/foo",
    "/adapters/01/type",
    "/adapters/ext",
    "/trusted-ca",
    "/trusted-ca/0",
    "/trusted-ca/cert",
    "/trusted-ca/device-template",
    "/trusted-ca/device-template/ext",
    "/trusted-ca/public-key",
    "/trusted-ca/0/id/x",
    "/resource-limits",
    "/resource-limits/max_connections",
    "/resource-limits/data-volume",
    "/resource-limits/data-volume/period",
    "/resource-limits/ext",
    "/registration-limits",
    "/tracing",
    "/tracing/sampling-mode-per-auth-id",
]


def test_what_cannot_be_searched_in_tenants_is_refused(store: AnyStore) -> None:
    for text in UNSEARCHABLE_IN_TENANTS:
        for asked in (query((text, "x")), query(sorts=(text,))):
            with pytest.raises(PointerUnsearchable):
                store.tenants.search(asked)


@pytest.mark.parametrize("text", ["/adapters/type", "/adapters/ext/x", "/trusted-ca/id"])
def test_what_may_be_there_several_times_cannot_be_sorted_by(store: AnyStore, text: str) -> None:
    with pytest.raises(PointerUnsearchable, match="by its index"):
        store.tenants.search(query(sorts=(text,)))


@pytest.mark.parametrize("pointer", [(), ("ext", "a\0"), ("ext", "\ud800"), ("ext",) * 33, ("ext", "x" * 600)])
def test_pointers_nobody_can_follow_are_refused(pointer: tuple[str, ...]) -> None:
    with pytest.raises(PointerUnsearchable):
        Filter(pointer=pointer, value=1)
    with pytest.raises(PointerUnsearchable):
        Sort(pointer=pointer)


@pytest.mark.parametrize(
    "members",
    [
        {"page_size": 0},
        {"page_size": 201},
        {"page_offset": -1},
        {"page_offset": 2**31},
        {"filters": [Filter(pointer=("id",), value="x")] * 17},
        {"sorts": [Sort(pointer=("id",))] * 9},
    ],
)
def test_what_is_asked_is_bounded(members: dict[str, Any]) -> None:
    with pytest.raises(SearchInvalid):
        Query(**members)


def test_as_much_as_may_be_asked_is_answered(store: AnyStore) -> None:
    with_ext(store, "y" * 1024, "z")
    wanted = "y" * 1023 + "?"
    filters = [(f"/ext/{'x'}", wanted)] * 16
    assert ids(store, *filters, sorts=("/ext/0/1/2/3",) * 8) == ["d0"]
    assert ids(store, ("/ext/x", "[" * 1023 + "*")) == []
    deep = "/".join(["n"] * 31)
    assert ids(store, (f"/ext/{deep}", 1), sorts=(f"/ext/{deep}",)) == []


def test_missing_members_sort_lowest_and_different_types_one_after_the_other(store: AnyStore) -> None:
    with_ext(store, {}, "b", True, 2, "B", False, None, 1.5, [], "é", "", -1, 2**70, "😀")
    put(store, device("missing"))
    ascending = ["d6", "missing", "d11", "d7", "d3", "d12", "d10", "d4", "d1", "d9", "d13", "d5", "d2", "d0", "d8"]
    assert ids(store, sorts=("/ext/x",)) == ascending
    turned = ids(store, sorts=("-/ext/x",))
    assert turned[:2] == ["d0", "d8"]
    assert turned[-2:] == ["d6", "missing"]
    assert turned[2:-2] == ascending[2:-2][::-1]


def test_the_first_sort_counts_most_and_ids_decide_last(store: AnyStore) -> None:
    for name, x, y in (("a", 2, 1), ("b", 1, 1), ("c", 1, 2), ("d", 2, 1)):
        put(store, device(name, ext={"x": x, "y": y}))
    assert ids(store, sorts=("/ext/x", "-/ext/y")) == ["c", "b", "a", "d"]
    assert ids(store, sorts=("-/ext/y", "/ext/x")) == ["c", "b", "a", "d"]
    assert ids(store, sorts=("-/ext/x",)) == ["a", "d", "b", "c"]
    assert ids(store, sorts=("/ext/y", "-/id")) == ["d", "b", "a", "c"]
    assert ids(store, sorts=("/ext/none", "/via", "/ext/x/y")) == ["a", "b", "c", "d"]


def test_gateways_are_named_by_devices_or_members_of_groups(store: AnyStore) -> None:
    put(store, device("1", member_of=("group",)))
    put(store, device("2", via=(DeviceId("3"), DeviceId("unknown"))))
    put(store, device("3", ext={"x": 1}))
    put(store, device("4", via_groups=("group",)))
    assert ids(store, is_gateway=True) == ["1", "3"]
    assert ids(store, is_gateway=False) == ["2", "4"]
    assert ids(store, ("/ext/x", 1), is_gateway=True) == ["3"]
    assert ids(store, ("/ext/x", 1), is_gateway=False) == []
    assert ids(store, is_gateway=True, sorts=("-/id",)) == ["3", "1"]
    page = store.devices.search(TENANT, Query(is_gateway=True, page_size=1, page_offset=1))
    assert (page.total, [found.device_id for found in page.found]) == (2, ["3"])


def test_ids_are_found_in_pieces_whatever_the_order_asked_for(store: AnyStore) -> None:
    with_ext(store, "a", "b", "a", "a")
    put(store, device("gw", ext={"x": "a"}, member_of=("g",)))
    wanted = query(("/ext/x", "a"), sorts=("-/id",), page_size=1, page_offset=7)

    def found(asked: Query, after: str | None, limit: int) -> list[str]:
        behind = None if after is None else DeviceId(after)
        return list(store.devices.find_ids(TENANT, asked, after=behind, limit=limit))

    assert found(wanted, None, 9) == ["d0", "d2", "d3", "gw"]
    assert found(wanted, None, 2) == ["d0", "d2"]
    assert found(wanted, "d2", 2) == ["d3", "gw"]
    assert found(replace(wanted, is_gateway=False), "d2", 2) == ["d3"]
    assert found(replace(wanted, is_gateway=True), None, 2) == ["gw"]
    with pytest.raises(PointerUnsearchable):
        found(query(("/foo", 1)), None, 2)


def test_groups_come_in_the_order_of_names_with_their_first_members(store: AnyStore) -> None:
    for name, member_of in (("a", ("g2", "g1")), ("b", ("g2", "g2")), ("c", ("é",)), ("d", ("g2", "G")), ("e", ())):
        put(store, device(name, member_of=member_of))

    def groups(after: str | None = None, limit: int = 10, members_max: int = 10) -> list[tuple[str, list[str]]]:
        found = store.devices.groups(TENANT, after=after, limit=limit, members_max=members_max)
        return [(name, list(members)) for name, members in found]

    assert groups() == [("G", ["d"]), ("g1", ["a"]), ("g2", ["a", "b", "d"]), ("é", ["c"])]
    assert groups(limit=2) == [("G", ["d"]), ("g1", ["a"])]
    assert groups(after="g1", limit=1, members_max=2) == [("g2", ["a", "b"])]
    assert groups(after="é") == []


def test_documents_as_large_and_as_deep_as_they_may_be_are_searched(store: AnyStore) -> None:
    deep: Any = "x"
    for _ in range(63):
        deep = {"d": deep}
    with_ext(store, deep, "y" * 15_000, ["z"] * 4000, {f"k{number}": number for number in range(1000)})
    assert ids(store, ("/ext/x", "y*")) == ["d1"]
    assert ids(store, ("/ext/x", "z")) == ["d2"]
    assert ids(store, ("/ext/x/3999", "z")) == ["d2"]
    assert ids(store, ("/ext/x/k999", 999)) == ["d3"]
    assert ids(store, ("/ext/x" + "/d" * 30, "x")) == []
    assert ids(store, sorts=("/ext/x/d",))[-1] == "d0"


def test_a_refused_search_is_malformed() -> None:
    assert issubclass(PointerUnsearchable, Malformed)
    assert issubclass(SearchInvalid, Malformed)
