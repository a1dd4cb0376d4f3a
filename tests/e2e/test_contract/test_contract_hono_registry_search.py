"""Sections 6.2 and 6.4 of the Hono registry contract: searches over the management API, each row by its number.

The gateway is shared, so tenants are searched for by an operator who reaches those of the test alone.
"""

import json
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack
from typing import Any
from urllib.parse import urlencode

import pytest

from tests.support.gateway import RunningGateway
from tests.support.management import Answer, ManagementClient, operator_of

Search = Callable[..., Answer]


@pytest.fixture
def search_tenants(gateway: RunningGateway, registry: ManagementClient) -> Iterator[Callable[..., Search]]:
    """Makes tenants of these documents and gives what searches them; their ids are in the order they were made."""
    with ExitStack() as clients:

        def make(*documents: Mapping[str, Any]) -> Search:
            ids = [registry.new_tenant(document) for document in documents]
            viewer = clients.enter_context(operator_of(gateway, role="viewer", tenants=ids))

            def search(**asked: Any) -> Answer:
                return viewer.get(f"/v1/tenants{query(**asked)}")

            return search

        yield make


def search_devices(registry: ManagementClient, devices: Mapping[str, Mapping[str, Any]]) -> Search:
    """The same for devices, of a tenant of their own."""
    tenant = registry.new_tenant()
    for device_id, document in devices.items():
        assert registry.post(f"/v1/devices/{tenant}/{device_id}", document).status == 201

    def search(**asked: Any) -> Answer:
        return registry.get(f"/v1/devices/{tenant}{query(**asked)}")

    return search


def query(
    *, filters: list[tuple[str, Any]] | None = None, sorts: list[tuple[str, str]] | None = None, **other: Any
) -> str:
    given = [(name, str(value)) for name, value in other.items()]
    given += [("filterJson", json.dumps({"field": field, "value": value})) for field, value in filters or []]
    given += [("sortJson", json.dumps({"field": field, "direction": direction})) for field, direction in sorts or []]
    return f"?{urlencode(given)}" if given else ""


def found(answer: Answer, member: str = "id") -> list[Any]:
    """The `ext` member, or the id, of what is on the page."""
    assert answer.status == 200, answer
    return [entry["id"] if member == "id" else entry["ext"][member] for entry in answer.json["result"]]


def total(answer: Answer) -> int:
    count: int = answer.json["total"]
    return count


def test_hono_registry_57_no_tenant_that_is_enabled_is_not_found(search_tenants: Callable[..., Search]) -> None:
    search = search_tenants({"enabled": False})
    assert search(filters=[("/enabled", True)]).status == 404
    assert total(search(filters=[("/enabled", False)])) == 1


@pytest.mark.parametrize("size", ["-100", "201", "abc", "0", "1.5", ""])
def test_hono_registry_58_59_a_page_has_1_to_200_tenants(search_tenants: Callable[..., Search], size: str) -> None:
    refused = search_tenants({})(pageSize=size)
    assert (refused.status, refused.code) == (400, "search-invalid")
    assert "pageSize" in refused.error and "200" in refused.error


def test_hono_registry_60_the_total_counts_what_is_not_on_the_page(search_tenants: Callable[..., Search]) -> None:
    answer = search_tenants({}, {})(pageSize=1)
    assert (answer.status, total(answer), len(answer.json["result"])) == (200, 2, 1)


def test_hono_registry_61_a_page_offset_is_not_negative(search_tenants: Callable[..., Search]) -> None:
    refused = search_tenants({})(pageOffset=-100)
    assert refused.status == 400 and "pageOffset" in refused.error


def test_hono_registry_62_63_pages_of_tenants_go_by_id_and_are_counted(search_tenants: Callable[..., Search]) -> None:
    search = search_tenants(*[{}] * 6)
    everything = found(search())
    assert everything == sorted(everything) and len(everything) == 6
    first, second = search(pageSize=4), search(pageSize=4, pageOffset=1)
    assert (total(first), found(first)) == (6, everything[:4])
    assert (total(second), found(second)) == (6, everything[4:])


@pytest.mark.parametrize(
    "text",
    [
        "no json",
        '{"value": 1}',
        '{"field": "/enabled"}',
        '{"field": "/enabled", "op": "gt", "value": 1}',
        '{"field": "enabled", "value": true}',
        '{"field": "/enabled", "value": true, "more": 1}',
        '{"field": "/enabled", "value": null}',
        '{"field": "/ext/~2", "value": 1}',
        '{"field": "/ext/a", "value": 18446744073709551616}',
        '{"field": "/ext/a", "value": 1e400}',
        '{"field": "/ext/a", "value": "\\u0000"}',
    ],
)
def test_hono_registry_64_65_66_118_a_filter_that_is_none_is_told_its_rule(
    registry: ManagementClient, search_tenants: Callable[..., Search], text: str
) -> None:
    for search in (search_tenants({}), search_devices(registry, {"a": {}})):
        refused = search(filterJson=text)
        assert (refused.status, refused.code) == (400, "search-invalid")
        assert refused.error.startswith("filterJson: ")


def test_hono_registry_67_68_all_filters_must_hold(search_tenants: Callable[..., Search]) -> None:
    search = search_tenants({"enabled": False, "ext": {"id": "1"}}, {"enabled": True, "ext": {"id": "2"}})
    assert search(filters=[("/ext/id", "1"), ("/enabled", True)]).status == 404
    matching = search(filters=[("/ext/id", "1"), ("/enabled", False)])
    assert [entry["ext"] for entry in matching.json["result"]] == [{"id": "1"}]


def test_hono_registry_69_70_71_72_wildcards_in_tenants(search_tenants: Callable[..., Search]) -> None:
    check_wildcards(search_tenants({"enabled": False, "ext": {"n": "$id:1"}}, {"ext": {"n": "$id:2"}}))


def check_wildcards(search: Search) -> None:
    assert found(search(filters=[("/ext/n", "$id*"), ("/enabled", True)]), "n") == ["$id:2"]
    assert search(filters=[("/ext/n", "*id*2"), ("/enabled", False)]).status == 404
    assert found(search(filters=[("/ext/n", "*id*2")]), "n") == ["$id:2"]
    assert found(search(filters=[("/ext/n", "$id?2")]), "n") == ["$id:2"]
    assert search(filters=[("/ext/n", "$id:?2")]).status == 404
    assert search(filters=[("/ext/n", "$ID:2")]).status == 404
    assert search(filters=[("/ext/n", "$id:")]).status == 404


@pytest.mark.parametrize("text", ["no json", "{}", '{"field": "/id", "direction": "up"}', '{"field": "id"}'])
def test_hono_registry_73_118_a_sort_that_is_none_is_told_its_rule(
    registry: ManagementClient, search_tenants: Callable[..., Search], text: str
) -> None:
    for search in (search_tenants({}), search_devices(registry, {"a": {}})):
        refused = search(sortJson=text)
        assert (refused.status, refused.code) == (400, "search-invalid")
        assert refused.error.startswith("sortJson: ")


def test_hono_registry_74_tenants_are_sorted(search_tenants: Callable[..., Search]) -> None:
    search = search_tenants({"ext": {"n": "aaa"}}, {"ext": {"n": "bbb"}})
    assert found(search(sorts=[("/ext/n", "desc")]), "n") == ["bbb", "aaa"]
    assert found(search(sorts=[("/ext/n", "asc")]), "n") == ["aaa", "bbb"]


def test_hono_registry_75_a_tenant_is_found_whole_with_its_id(
    registry: ManagementClient, search_tenants: Callable[..., Search]
) -> None:
    document = {"enabled": True, "ext": {"n": 1}, "defaults": {"ttl": 30}}
    (entry,) = search_tenants(document)().json["result"]
    assert entry == {"id": entry["id"], **document}
    assert entry == {"id": entry["id"], **registry.get(f"/v1/tenants/{entry['id']}").json}


def test_hono_registry_76_124_thirty_are_on_the_first_page_by_id(registry: ManagementClient) -> None:
    names = [f"d-{number:02}" for number in range(31)]
    search = search_devices(registry, {name: {} for name in reversed(names)})
    assert (total(search()), found(search())) == (31, names[:30])
    assert found(search(pageSize=30, pageOffset=0)) == names[:30]
    assert found(search(pageOffset=1)) == names[30:]


def test_hono_registry_113_a_search_that_finds_no_device_is_not_found(registry: ManagementClient) -> None:
    search = search_devices(registry, {"a": {"ext": {"n": 1}}})
    refused = search(filters=[("/ext/n", 2)])
    assert (refused.status, refused.code) == (404, "nothing-found")
    assert search_devices(registry, {})().status == 404


@pytest.mark.parametrize("name", ["pageSize", "pageOffset"])
@pytest.mark.parametrize("text", ["-100", "abc", "1.5"])
def test_hono_registry_114_115_pages_of_devices_are_whole_numbers(
    registry: ManagementClient, name: str, text: str
) -> None:
    refused = search_devices(registry, {"a": {}})(**{name: text})
    assert refused.status == 400 and name in refused.error


def test_hono_registry_116_117_123_devices_are_sorted_and_paged(registry: ManagementClient) -> None:
    search = search_devices(registry, {"1": {"ext": {"n": "aaa"}}, "2": {"ext": {"n": "bbb"}}})
    page = search(pageSize=1)
    assert (total(page), len(page.json["result"])) == (2, 1)
    assert found(search(sorts=[("/ext/n", "desc")]), "n") == ["bbb", "aaa"]
    assert found(search(sorts=[("/ext/n", "desc")], pageSize=1, pageOffset=1), "n") == ["aaa"]


def test_hono_registry_119_120_devices_are_filtered(registry: ManagementClient) -> None:
    search = search_devices(
        registry, {"a": {"enabled": False, "ext": {"n": "$id:1"}}, "b": {"enabled": True, "ext": {"n": "$id:2"}}}
    )
    assert search(filters=[("/ext/n", "$id:1"), ("/enabled", True)]).status == 404
    assert found(search(filters=[("/ext/n", "$id:1"), ("/enabled", False)])) == ["a"]
    check_wildcards(search)


def test_hono_registry_121_122_gateways_are_told_from_other_devices(registry: ManagementClient) -> None:
    search = search_devices(registry, {"1": {"memberOf": ["g"]}, "2": {"via": ["3"]}, "3": {"ext": {"n": 1}}})
    gateways = search(isGateway="true")
    assert (total(gateways), found(gateways)) == (2, ["1", "3"])
    assert found(search(isGateway="TRUE", filters=[("/ext/n", 1)])) == ["3"]
    assert found(search(isGateway="false")) == found(search(isGateway="other")) == ["2"]
    assert found(search(isGateway="")) == ["1", "2", "3"]


def test_hono_registry_125_a_tenant_nobody_knows_has_nothing_to_search(registry: ManagementClient) -> None:
    for tenant in ("unknown-tenant", "n%20o%24id"):
        refused = registry.get(f"/v1/devices/{tenant}")
        assert (refused.status, refused.code) == (404, "tenant-unknown")


def test_hono_registry_126_a_page_behind_the_last_is_empty(
    registry: ManagementClient, search_tenants: Callable[..., Search]
) -> None:
    for search in (search_devices(registry, {"a": {}, "b": {}}), search_tenants({}, {})):
        for offset in (2, 2**31 - 1):
            answer = search(pageSize=1, pageOffset=offset)
            assert (answer.status, answer.json) == (200, {"total": 2, "result": []})


def test_a_device_is_found_whole_with_its_id_and_status(registry: ManagementClient) -> None:
    search = search_devices(registry, {"a": {"via": "gw", "ext": {"n": [1, "x"]}}})
    (entry,) = search(filters=[("/status/created", "20*Z"), ("/ext/n", "x"), ("/enabled", True)]).json["result"]
    assert entry.pop("id") == "a"
    assert entry["via"] == ["gw"] and entry["status"]["created"]


def test_nothing_is_ever_left_out_of_a_search(registry: ManagementClient) -> None:
    search = search_devices(registry, {"a": {}})
    for field in ("/unknown", "/enabled/x", "/ext", "/status/unknown", "/via/x", "/"):
        refused = search(filters=[(field, "x")])
        assert (refused.status, refused.code) == (400, "pointer-unsearchable")
        assert field in refused.error
        assert search(sorts=[(field, "asc")]).code == "pointer-unsearchable"
    for name in ("filterjson", "filter", "page_size", "isgateway"):
        refused = search(**{name: "1"})
        assert refused.status == 400 and name in refused.error
    assert search(filters=[("/id", "*")] * 17).code == "search-invalid"


def test_an_operator_finds_only_tenants_within_reach(gateway: RunningGateway, registry: ManagementClient) -> None:
    mark = {"ext": {"mark": registry.new_tenant()}}
    reached, hidden = registry.new_tenant(mark), registry.new_tenant(mark)
    asked = query(filters=[("/ext/mark", mark["ext"]["mark"])])
    assert set(found(registry.get(f"/v1/tenants{asked}"))) == {reached, hidden}
    with operator_of(gateway, role="viewer", tenants=[reached]) as viewer:
        assert found(viewer.get(f"/v1/tenants{asked}")) == [reached]
        assert viewer.get(f"/v1/tenants{query(filters=[('/id', hidden)])}").status == 404
        assert viewer.get(f"/v1/devices/{hidden}").code == "tenant-unknown"


def test_a_search_may_be_long(registry: ManagementClient) -> None:
    search = search_devices(registry, {"a": {"ext": {"n": "x" * 1024}}})
    assert found(search(filters=[("/ext/n", "x" * 1023 + "?")] * 8)) == ["a"]
