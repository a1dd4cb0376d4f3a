"""The documents that changes on record give, member by member (hono-registry 3.5)."""

import json
from datetime import UTC, datetime, timedelta, timezone
from typing import Any

import pytest

from kernel.ids import DeviceId, TenantId
from messaging.addresses import AMQP_NOTIFICATION_ADDRESSES, KAFKA_NOTIFICATION_TOPICS, NotificationChannel
from messaging.message import PROVISIONING_NOTIFICATION, MessageKind
from messaging.notification import Notification
from registry.notifications import TOLD, RecordedChange, lifecycle_event_of, notifications_of
from tenant.model import ResourceLimits, Tenant

MOMENT = datetime(2026, 5, 4, 3, 2, 1, 999_000, tzinfo=UTC)
COMMON = {"source": "device-registry", "creation-time": "2026-05-04T03:02:01Z", "tenant-id": "acme"}


def a_change(what: str, **facts: Any) -> RecordedChange:
    about_device = what.startswith(("device.", "credentials."))
    given: dict[str, Any] = {"device_id": DeviceId("sensor-1") if about_device else None, "moment": MOMENT, **facts}
    return RecordedChange(position=1, what=what, tenant_id=TenantId("acme"), **given)


def told(what: str, **facts: Any) -> list[dict[str, Any]]:
    return [json.loads(each.document) for each in notifications_of(a_change(what, **facts))]


@pytest.mark.parametrize(
    ("what", "facts", "members"),
    [
        ("tenant.created", {}, {"change": "CREATE", "enabled": True, "invalidate-cache-on-update": False}),
        ("tenant.updated", {"enabled": False}, {"change": "UPDATE", "enabled": False}),
        ("tenant.updated", {"invalidates": True}, {"change": "UPDATE", "invalidate-cache-on-update": True}),
        ("tenant.deleted", {}, {"change": "DELETE", "enabled": False, "invalidate-cache-on-update": True}),
    ],
)
def test_a_change_of_a_tenant(what: str, facts: dict[str, Any], members: dict[str, Any]) -> None:
    expected = {**COMMON, "type": "tenant-change-v1", "enabled": True, "invalidate-cache-on-update": False, **members}
    assert told(what, **facts) == [expected]


@pytest.mark.parametrize(
    ("what", "facts", "members"),
    [
        ("device.created", {}, {"change": "CREATE", "enabled": True}),
        ("device.created", {"enabled": False}, {"change": "CREATE", "enabled": False}),
        ("device.updated", {"enabled": False}, {"change": "UPDATE", "enabled": False}),
        ("device.deleted", {}, {"change": "DELETE", "enabled": False}),
    ],
)
def test_a_change_of_a_device(what: str, facts: dict[str, Any], members: dict[str, Any]) -> None:
    assert told(what, **facts) == [{**COMMON, "type": "device-change-v1", "device-id": "sensor-1", **members}]


def test_a_change_of_credentials() -> None:
    assert told("credentials.updated") == [{**COMMON, "type": "credentials-change-v1", "device-id": "sensor-1"}]


def test_all_devices_deleted() -> None:
    assert told("devices.deleted") == [{**COMMON, "type": "all-devices-of-tenant-deleted-v1"}]


def test_a_device_made_with_its_credentials_gives_two() -> None:
    for what in ("device.created", "device.provisioned"):
        device, credentials = told(what, with_credentials=True)
        assert (device["type"], device["change"]) == ("device-change-v1", "CREATE")
        assert credentials == {**COMMON, "type": "credentials-change-v1", "device-id": "sensor-1"}


def test_a_device_registered_behind_a_gateway_has_no_credentials_to_tell_of() -> None:
    assert [each["type"] for each in told("device.provisioned")] == ["device-change-v1"]


def test_channels_and_keys() -> None:
    seen = {what: [(each.channel.value, each.key) for each in notifications_of(a_change(what))] for what in TOLD}
    assert seen == {
        "tenant.created": [("registry-tenant", "acme")],
        "tenant.updated": [("registry-tenant", "acme")],
        "tenant.deleted": [("registry-tenant", "acme")],
        "device.created": [("registry-device", "sensor-1")],
        "device.updated": [("registry-device", "sensor-1")],
        "device.deleted": [("registry-device", "sensor-1")],
        "device.provisioned": [("registry-device", "sensor-1")],
        "credentials.updated": [("registry-device", "sensor-1")],
        "devices.deleted": [("registry-device", "acme")],
    }


def test_addresses_of_engines_end_in_the_channel() -> None:
    for channel in NotificationChannel:
        assert KAFKA_NOTIFICATION_TOPICS[channel] == f"hono.notification.{channel}"
        assert AMQP_NOTIFICATION_ADDRESSES[channel] == f"notification/{channel}"


def test_times_are_told_in_utc_whatever_zone_they_came_in() -> None:
    here = MOMENT.astimezone(timezone(timedelta(hours=9)))
    [document] = told("tenant.created", moment=here)
    assert document["creation-time"] == "2026-05-04T03:02:01Z"


def test_ids_in_any_script_come_through() -> None:
    [notification] = notifications_of(a_change("device.created", device_id=DeviceId('センサー"1')))
    assert json.loads(notification.document)["device-id"] == 'センサー"1'
    assert isinstance(notification, Notification) and notification.moment_ms == int(MOMENT.timestamp() * 1000)


WANTS = Tenant(tenant_id=TenantId("acme"), ext={"lifecycle-events": True})


@pytest.mark.parametrize(
    ("what", "status"), [("device.created", "NEW"), ("device.updated", "UPDATED"), ("device.deleted", "DELETED")]
)
def test_who_asked_for_it_gets_an_event_of_each_device_an_operator_changes(what: str, status: str) -> None:
    event = lifecycle_event_of(a_change(what), WANTS)
    assert event is not None and event.payloads == [None]
    envelope = event.envelope
    assert (envelope.kind, envelope.content_type, envelope.ttl_ms) == (
        MessageKind.EVENT,
        PROVISIONING_NOTIFICATION,
        None,
    )
    assert (envelope.tenant_id, envelope.device_id) == ("acme", "sensor-1")
    assert envelope.properties == {
        "hono_registration_status": status,
        "tenant_id": "acme",
        "device_id": "sensor-1",
        "orig_adapter": "hono-device-registry",
        "orig_address": "event",
    }


def test_an_event_lives_as_long_as_the_tenants_events_do() -> None:
    tenant = Tenant(
        tenant_id=TenantId("acme"), ext={"lifecycle-events": True}, resource_limits=ResourceLimits(max_ttl_s=60)
    )
    event = lifecycle_event_of(a_change("device.created"), tenant)
    assert event is not None and event.envelope.ttl_ms == 60_000


@pytest.mark.parametrize("wish", [False, "true", 1, None])
def test_who_did_not_ask_with_a_plain_true_gets_none(wish: object) -> None:
    tenant = Tenant(tenant_id=TenantId("acme"), ext={"lifecycle-events": wish})
    assert lifecycle_event_of(a_change("device.created"), tenant) is None
    assert lifecycle_event_of(a_change("device.created"), Tenant(tenant_id=TenantId("acme"))) is None
    assert lifecycle_event_of(a_change("device.created"), None) is None


@pytest.mark.parametrize("what", ["device.provisioned", "credentials.updated", "tenant.updated", "devices.deleted"])
def test_nothing_else_gives_an_event(what: str) -> None:
    assert lifecycle_event_of(a_change(what), WANTS) is None
