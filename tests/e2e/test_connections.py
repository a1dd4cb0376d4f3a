"""Whether a device is connected, as an operator asks for it."""

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from tests.support.gateway import RunningGateway, running_gateway
from tests.support.management import ManagementClient, operator_of
from tests.support.site import Site, open_site
from tests.support.waiting import until_blocking
from tests.support.wire_clients import connected_mqtt, http_device


@pytest.fixture(scope="module")
def gateway(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningGateway]:
    with running_gateway(tmp_path_factory.mktemp("connections")) as started:
        yield started


@pytest.fixture
def operator(gateway: RunningGateway) -> Iterator[ManagementClient]:
    with operator_of(gateway, role="viewer") as client:
        yield client


@pytest.fixture
def site(gateway: RunningGateway) -> Site:
    return open_site(gateway, may_auto_provision=False)


def told(operator: ManagementClient, site: Site, device_id: str) -> dict[str, Any]:
    answer = operator.get(f"/tuhono/v1/devices/{site.tenant_id}/{device_id}/connection")
    assert answer.status == 200
    found: dict[str, Any] = answer.json
    return found


def is_now(text: str) -> bool:
    return abs(datetime.fromisoformat(text) - datetime.now(UTC)) < timedelta(minutes=1)


def test_a_device_is_connected_while_it_is_and_seen_last_when_it_left(operator: ManagementClient, site: Site) -> None:
    valve = site.register("valve")
    assert told(operator, site, "valve") == {"connected": False}
    with connected_mqtt(site.gateway, valve) as device:
        until_blocking(lambda: told(operator, site, "valve")["connected"])
        during = told(operator, site, "valve")
        assert during["adapter"] == "hono-mqtt" and is_now(during["since"]) and is_now(during["last-seen"])
        device.disconnect()
    until_blocking(lambda: not told(operator, site, "valve")["connected"])
    after = told(operator, site, "valve")
    assert after.keys() == {"connected", "last-seen"} and after["last-seen"] >= during["since"]


def test_who_sent_a_request_over_http_was_seen(operator: ManagementClient, site: Site) -> None:
    with http_device(site.gateway, site.register("meter")) as device:
        assert device.post("/telemetry", content_type="text/plain").status == 202
        until_blocking(lambda: told(operator, site, "meter").get("adapter") == "hono-http")
    until_blocking(lambda: not told(operator, site, "meter")["connected"])
    assert is_now(told(operator, site, "meter")["last-seen"])


def test_a_device_s_status_tells_of_it_only_where_asked(operator: ManagementClient, site: Site) -> None:
    path = f"/v1/devices/{site.tenant_id}/pump"
    with connected_mqtt(site.gateway, site.register("pump")):
        until_blocking(lambda: told(operator, site, "pump")["connected"])
        plain, asked = operator.get(path), operator.get(f"{path}?include=connection")
        assert plain.json["status"].keys() == {"created"}
        assert asked.json["status"]["connection"] == told(operator, site, "pump")
        assert asked.etag == plain.etag
    found = operator.get(f"/v1/devices/{site.tenant_id}")
    assert "connection" not in found.json["result"][0]["status"]


@pytest.mark.parametrize("query", ["include=", "include=credentials", "include=connection&include=all"])
def test_nothing_else_may_be_asked_for(operator: ManagementClient, site: Site, query: str) -> None:
    site.add_device("pump")
    answer = operator.get(f"/v1/devices/{site.tenant_id}/pump?{query}")
    assert (answer.status, answer.code) == (400, "query-invalid")


def test_of_a_device_or_tenant_that_is_not_there_nothing_is_told(operator: ManagementClient, site: Site) -> None:
    missing = operator.get(f"/tuhono/v1/devices/{site.tenant_id}/nobody/connection")
    assert (missing.status, missing.code) == (404, "device-unknown")
    assert operator.get("/tuhono/v1/devices/no-such-tenant/nobody/connection").status == 404
    assert operator.get("/tuhono/v1/devices/no-such-tenant/x/connection", authorization=None).status == 401
    stray = operator.get(f"/tuhono/v1/devices/{site.tenant_id}/nobody/connection?include=connection")
    assert (stray.status, stray.code) == (400, "query-invalid")


def test_a_gateway_that_ends_holds_nobody_and_what_was_seen_stays(tmp_path: Path) -> None:
    with running_gateway(tmp_path) as gateway:
        site = open_site(gateway, may_auto_provision=False)
        with operator_of(gateway) as before, connected_mqtt(gateway, site.register("valve")):
            until_blocking(lambda: told(before, site, "valve")["connected"])
            gateway.stop()
        gateway.restart()
        with operator_of(gateway) as after:
            found = told(after, site, "valve")
        assert found["connected"] is False and is_now(found["last-seen"])
