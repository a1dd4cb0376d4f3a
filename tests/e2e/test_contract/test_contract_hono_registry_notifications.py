"""Section 3.5 of the Hono registry contract: changes of the registry are told to whoever reads the engine."""

from datetime import UTC, datetime, timedelta
from typing import Any

from tests.support.attempts import ACCEPTED, attempt
from tests.support.gateway import RunningGateway
from tests.support.management import ManagementClient
from tests.support.site import open_site
from tests.support.waiting import until_blocking

WITHIN_S = 5.0  # from the answer to the application


def told(gateway: RunningGateway, tenant: str, count: int) -> list[dict[str, Any]]:
    """Everything told of the tenant, once there are so many."""
    until_blocking(lambda: len(gateway.notifications(tenant)) >= count, within_s=WITHIN_S)
    return gateway.notifications(tenant)


def short(document: dict[str, Any]) -> tuple[str, str | None, str | None]:
    return document["type"], document.get("change"), document.get("device-id")


def test_hono_registry_248_a_tenant_a_device_and_a_password_are_told_within_five_seconds(
    gateway: RunningGateway, registry: ManagementClient
) -> None:
    before = datetime.now(UTC) - timedelta(seconds=1)
    tenant = registry.new_tenant({"enabled": True})
    assert registry.post(f"/v1/devices/{tenant}/sensor-1", {"enabled": False}).status == 201
    password = {"type": "hashed-password", "auth-id": f"u-{tenant}", "secrets": [{"pwd-plain": "secret"}]}
    assert registry.put(f"/v1/credentials/{tenant}/sensor-1", [password]).status == 204
    documents = told(gateway, tenant, 3)
    moments = [document.pop("creation-time") for document in documents]
    assert documents == [
        {
            "type": "tenant-change-v1",
            "source": "device-registry",
            "change": "CREATE",
            "tenant-id": tenant,
            "enabled": True,
            "invalidate-cache-on-update": False,
        },
        {
            "type": "device-change-v1",
            "source": "device-registry",
            "change": "CREATE",
            "tenant-id": tenant,
            "device-id": "sensor-1",
            "enabled": False,
        },
        {
            "type": "credentials-change-v1",
            "source": "device-registry",
            "tenant-id": tenant,
            "device-id": "sensor-1",
        },
    ]
    for moment in moments:
        assert before <= datetime.strptime(moment, "%Y-%m-%dT%H:%M:%S%z") <= datetime.now(UTC)


def test_every_later_change_is_told_in_the_order_it_was_made(
    gateway: RunningGateway, registry: ManagementClient
) -> None:
    tenant = registry.new_tenant()
    device = registry.new_device(tenant)
    assert registry.put(f"/v1/devices/{tenant}/{device}", {"enabled": False}).status == 204
    assert registry.delete(f"/v1/devices/{tenant}/{device}").status == 204
    other = registry.new_device(tenant)
    assert registry.delete(f"/v1/devices/{tenant}").status == 204
    update = {"enabled": False, "ext": {"invalidate-cache-on-update": True}}
    assert registry.put(f"/v1/tenants/{tenant}", update).status == 204
    assert registry.delete(f"/v1/tenants/{tenant}").status == 204
    documents = told(gateway, tenant, 8)
    assert [short(document) for document in documents] == [
        ("tenant-change-v1", "CREATE", None),
        ("device-change-v1", "CREATE", device),
        ("device-change-v1", "UPDATE", device),
        ("device-change-v1", "DELETE", device),
        ("device-change-v1", "CREATE", other),
        ("all-devices-of-tenant-deleted-v1", None, None),
        ("tenant-change-v1", "UPDATE", None),
        ("tenant-change-v1", "DELETE", None),
    ]
    assert [document.get("enabled") for document in documents] == [True, True, False, False, True, None, False, False]
    assert [document.get("invalidate-cache-on-update") for document in documents if "change" in document][-2:] == [
        True,
        True,
    ]


def test_a_change_that_was_refused_is_not_told(gateway: RunningGateway, registry: ManagementClient) -> None:
    tenant = registry.new_tenant()
    assert registry.post(f"/v1/tenants/{tenant}").status == 409
    assert registry.post(f"/v1/devices/{tenant}/a%20b").status == 400
    device = registry.new_device(tenant)
    assert registry.put(f"/v1/devices/{tenant}/{device}", {}, if_match="made-up").status == 412
    assert registry.delete(f"/v1/devices/{tenant}/{device}").status == 204
    assert [short(document) for document in told(gateway, tenant, 3)] == [
        ("tenant-change-v1", "CREATE", None),
        ("device-change-v1", "CREATE", device),
        ("device-change-v1", "DELETE", device),
    ]


async def test_a_device_that_registers_itself_is_told_like_one_that_was_entered(gateway: RunningGateway) -> None:
    site = open_site(gateway, may_auto_provision=True)
    assert await attempt("mqtt-5", gateway, site.issue("CN=pump")) == ACCEPTED["mqtt-5"]
    device = site.only_device().device_id

    def of_device() -> list[tuple[str, str | None, str | None]]:
        return [short(each) for each in gateway.notifications(site.tenant_id) if "device-id" in each]

    until_blocking(lambda: len(of_device()) >= 2, within_s=WITHIN_S)
    assert of_device() == [("device-change-v1", "CREATE", device), ("credentials-change-v1", None, device)]
