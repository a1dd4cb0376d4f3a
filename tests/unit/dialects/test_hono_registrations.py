"""Whole tenants out, a page at a time: bounded in devices and in bytes, whatever the devices say of themselves."""

import json
from collections.abc import Sequence
from typing import Any

import pytest

from conf.registry import RegistrySettings
from conf.tenant import TenantSettings
from dialects.hono import registrations
from dialects.hono.registrations import RegistrationRoutes
from kernel.clock import ManualClock
from kernel.ids import IdRule
from registry.administration import CredentialAdministration, DeviceAdministration
from storage.memory import MemoryStore
from tenant.administration import TenantAdministration
from tenant.operators import LocalCaller
from tests.support.certificates import NOON
from tests.support.stores import DEED, TENANT, device, tenant
from tuhono.cli.here import LocalApi

IDS = [f"d-{number}" for number in range(7)]
ODD_IDS = ["CN=a:1", "a&b=c#d", "d %41", "ä", "ö"]


@pytest.fixture
def api() -> LocalApi:
    return holding(IDS)


def holding(ids: Sequence[str]) -> LocalApi:
    clock = ManualClock(NOON)
    store, settings = MemoryStore(clock), TenantSettings()
    store.tenants.create(tenant(TENANT), DEED)
    for name in ids:
        store.devices.create(device(name, ext={"large": "x" * 100}), DEED, devices_max=-1)
    tenants = TenantAdministration(tenants=store.tenants, settings=settings)
    rules, tenant_ids = RegistrySettings(), IdRule(settings.id_pattern)
    parts: dict[str, Any] = {
        "devices": store.devices,
        "tenants": store.tenants,
        "settings": rules,
        "tenant_ids": tenant_ids,
    }
    routes = RegistrationRoutes(
        tenants=tenants,
        devices=DeviceAdministration(**parts),
        credentials=CredentialAdministration(**parts),
        clock=clock,
    )
    return LocalApi(routes.routes(), caller=LocalCaller(name="local:test"))


def exported(api: LocalApi, limit: int) -> Sequence[Sequence[str]]:
    """The ids of each page."""
    pages, after = list[list[str]](), ""
    while True:
        answer = api.send("GET", f"/tuhono/v1/export/{TENANT}?limit={limit}&after={after}")
        pages.append([json.loads(line)["id"] for line in answer.content.splitlines()])
        after = answer.headers.get("next-after", "")
        assert after.isascii() and after.isprintable()
        if not after:
            return pages


@pytest.mark.parametrize(
    ("limit", "bytes_max", "read", "pages"),
    [
        (1000, 1 << 20, 100, [IDS]),
        (1000, 1 << 20, 2, [IDS]),
        (1000, 1, 100, [*([name] for name in IDS), []]),
        (3, 1 << 20, 2, [IDS[:3], IDS[3:6], IDS[6:]]),
        (7, 1 << 20, 7, [IDS, []]),
    ],
)
def test_pages_are_bounded_and_nothing_is_left_out(
    api: LocalApi,
    monkeypatch: pytest.MonkeyPatch,
    limit: int,
    bytes_max: int,
    read: int,
    pages: Sequence[Sequence[str]],
) -> None:
    monkeypatch.setattr(registrations, "EXPORT_MAX_BYTES", bytes_max)
    monkeypatch.setattr(registrations, "EXPORT_READ_DEVICES", read)
    assert exported(api, limit) == pages


def test_a_page_ends_at_whatever_id_a_pattern_allows() -> None:
    assert exported(holding(ODD_IDS), 1) == [*([name] for name in ODD_IDS), []]


def test_a_line_that_is_too_long_is_told_and_the_others_done(api: LocalApi, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(registrations, "LINE_MAX_BYTES", 30)
    body = b'{"id": "new"}\n' + json.dumps({"id": "long", "device": {"ext": {"a": "b"}}}).encode()
    outcome = api.send("POST", f"/tuhono/v1/import/{TENANT}", body=body).json
    assert (outcome["created"], outcome["failed"], outcome["failures"][0]["line"]) == (1, 1, 2)
