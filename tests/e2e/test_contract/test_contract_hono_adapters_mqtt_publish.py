"""Section 9.3 of the Hono adapter contract: messages over MQTT 3.1.1 and 5, each row by its number.

Left out: error topics, gateways that provision, limits on a tenant's data. A gateway proves itself with
its certificate.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from time import monotonic

import pytest

from messaging.message import EMPTY_NOTIFICATION
from tenant.model import AdapterSettings
from tests.support.gateway import RunningGateway
from tests.support.site import Site, open_site
from tests.support.waiting import until_blocking
from tests.support.wire_clients import DISCONNECT, PINGRESP, MqttDevice, connected_mqtt

PUBLISHED_MAX_S = 20.0  # the contract's 4 s are for a machine of one's own

both_versions = pytest.mark.parametrize("version", [4, 5], ids=["3.1.1", "5"])
each_upload = pytest.mark.parametrize(
    ("kind", "qos"),
    [("telemetry", 0), ("telemetry", 1), ("event", 1)],
    ids=["telemetry-0", "telemetry-1", "event-1"],
)


@pytest.fixture
def site(gateway: RunningGateway) -> Site:
    return open_site(gateway)


@contextmanager
def device_of(site: Site, version: int = 4, device_id: str = "dev") -> Iterator[MqttDevice]:
    with connected_mqtt(site.gateway, site.register(device_id), version=version) as device:
        yield device


def is_alive(device: MqttDevice) -> bool:
    answer = device.ping()
    return answer is not None and answer.kind == PINGRESP


def deliver(
    device: MqttDevice, topic: str, payload: bytes = b"x", *, qos: int, content_type: str | None = None
) -> None:
    """Publish, and return when the gateway has taken it, whatever the QoS."""
    device.publish(topic, payload, qos=qos, packet_id=7, content_type=content_type)
    if qos:
        assert device.acknowledged() == 7
    else:
        assert is_alive(device)


@both_versions
@each_upload
def test_hono_adapters_116_117_118_two_hundred_messages_arrive_in_order_with_what_goes_with_them(
    site: Site, version: int, kind: str, qos: int
) -> None:
    topic = f"{kind}/{site.tenant_id}/dev"
    with device_of(site, version) as device:
        began = monotonic()
        for number in range(1, 201):
            device.publish(topic, b"%d" % number, qos=qos, packet_id=number)
            if qos:
                assert device.acknowledged() == number
        messages = site.wait_for_messages(200, within_s=PUBLISHED_MAX_S)
        assert monotonic() - began < PUBLISHED_MAX_S
    for number, message in enumerate(messages, start=1):
        assert message.payload == b"%d" % number
        assert (message.device_id, message.kind.value, message.qos) == ("dev", kind, qos)
        assert message.content_type == "application/octet-stream"
        assert message.creation_time_ms > 1_600_000_000_000
        assert message.properties == {"orig_adapter": "hono-mqtt", "orig_address": topic}


@both_versions
def test_hono_adapters_117_pubacks_come_in_the_order_of_the_messages(site: Site, version: int) -> None:
    order = [*range(100, 60, -1), *range(1, 60)]
    with device_of(site, version) as device:
        for packet_id in order:
            device.publish("t", b"x", qos=1, packet_id=packet_id)
        assert [device.acknowledged() for _ in order] == order


@pytest.mark.parametrize("topic", ["t/{tenant}/dev", "e/{tenant}/dev"], ids=["telemetry", "event"])
def test_hono_adapters_119_short_names_are_the_same_endpoints(site: Site, topic: str) -> None:
    with device_of(site) as device:
        deliver(device, topic.format(tenant=site.tenant_id), qos=1)
    assert site.wait_for_message().kind.value[0] == topic[0]


@pytest.mark.parametrize("topic", ["t", "telemetry", "e", "event", "t//", "t//dev", "event//dev"])
def test_hono_adapters_120_a_bare_topic_is_for_ones_own_data(site: Site, topic: str) -> None:
    with device_of(site) as device:
        deliver(device, topic, b"mine", qos=1)
    message = site.wait_for_message()
    assert (message.device_id, message.payload) == ("dev", b"mine")
    assert message.kind.value == ("telemetry" if topic[0] == "t" else "event")


@both_versions
@each_upload
@pytest.mark.parametrize("named", [True, False], ids=["tenant-in-topic", "empty-tenant"])
def test_hono_adapters_122_a_gateway_publishes_for_its_device(
    site: Site, version: int, kind: str, qos: int, named: bool
) -> None:
    site.add_device("valve", via=["gw"])
    with device_of(site, version, "gw") as device:
        deliver(device, f"{kind}/{site.tenant_id if named else ''}/valve", b"open", qos=qos)
        message = site.wait_for_message()
    assert (message.device_id, message.payload, message.qos) == ("valve", b"open", qos)


@both_versions
@each_upload
def test_hono_adapters_123_a_device_with_a_certificate_publishes(
    gateway: RunningGateway, version: int, kind: str, qos: int
) -> None:
    site = open_site(gateway, may_auto_provision=True)
    with connected_mqtt(gateway, site.issue(), version=version) as device:
        deliver(device, kind, b"first", qos=qos)
        assert site.wait_for_message().payload == b"first"


@each_upload
def test_hono_adapters_125_a_payload_of_the_empty_notification_is_refused(site: Site, kind: str, qos: int) -> None:
    with device_of(site) as device:
        device.publish(f"{kind}/?content-type={EMPTY_NOTIFICATION.replace('+', '%2B')}", b"x", qos=qos)
        assert device.is_closed()
    assert site.messages() == []


@each_upload
def test_hono_adapters_130_an_empty_payload_with_a_content_type_is_empty_and_not_absent(
    site: Site, kind: str, qos: int
) -> None:
    with device_of(site) as device:
        deliver(device, f"{kind}/?content-type=application%2Fcustom", b"", qos=qos)
        message = site.wait_for_message()
    assert (message.content_type, message.payload) == ("application/custom", b"")


@each_upload
def test_hono_adapters_131_an_empty_payload_without_content_type_is_refused(site: Site, kind: str, qos: int) -> None:
    with device_of(site) as device:
        device.publish(kind, b"", qos=qos)
        assert device.is_closed()
    assert site.messages() == []


@each_upload
def test_hono_adapters_132_a_payload_without_content_type_is_taken_for_bytes(site: Site, kind: str, qos: int) -> None:
    with device_of(site) as device:
        deliver(device, kind, b"x", qos=qos)
        assert site.wait_for_message().content_type == "application/octet-stream"


@both_versions
@each_upload
def test_hono_adapters_133_a_payload_of_2304_bytes_ends_the_connection_unacknowledged(
    site: Site, version: int, kind: str, qos: int
) -> None:
    with device_of(site, version) as device:
        device.publish(kind, bytes(2304), qos=qos)
        assert device.is_closed()
    assert site.messages() == []


@each_upload
def test_a_payload_of_2048_bytes_is_taken(site: Site, kind: str, qos: int) -> None:
    with device_of(site) as device:
        deliver(device, kind, bytes(2048), qos=qos)
        assert site.wait_for_message().payload == bytes(2048)


def test_hono_adapters_134_the_tenants_ttl_goes_with_an_event(site: Site) -> None:
    site.edit(defaults={"ttl": 3})
    with device_of(site) as device:
        deliver(device, "event", qos=1)
    message = site.wait_for_message()
    assert message.ttl_ms == 3000
    assert not message.is_expired_at(message.creation_time_ms + 3000)
    assert message.is_expired_at(message.creation_time_ms + 4000)


def test_hono_adapters_135_an_event_waits_for_who_comes_to_read_it(site: Site) -> None:
    with device_of(site) as device:
        deliver(device, "event", b"early", qos=1)
    assert [message.payload for message in site.messages()] == [b"early"], "acknowledged and not kept"


@both_versions
@pytest.mark.parametrize(
    ("topic", "qos"),
    [("event", 0), ("event", 2), ("telemetry", 2)],
    ids=["136-event-0", "136-event-2", "137-telemetry-2"],
)
def test_hono_adapters_136_137_a_qos_that_is_not_served_ends_the_connection(
    site: Site, version: int, topic: str, qos: int
) -> None:
    with device_of(site, version) as device:
        device.publish(topic, b"x", qos=qos)
        assert device.is_closed()
    assert site.messages() == []


@pytest.mark.parametrize(
    ("topic", "qos", "ttl_ms"),
    [("event/?hono-ttl=30", 1, 30_000), ("telemetry/?hono-ttl=30", 1, None), ("event/?hono-ttl=-1", 1, None)],
)
def test_hono_adapters_138_an_event_lives_as_long_as_its_ttl(
    site: Site, topic: str, qos: int, ttl_ms: int | None
) -> None:
    with device_of(site) as device:
        deliver(device, topic, qos=qos)
    message = site.wait_for_message()
    assert (message.ttl_ms, message.properties["orig_address"]) == (ttl_ms, topic)


@pytest.mark.parametrize("retain", [True, False])
def test_hono_adapters_139_the_retain_flag_is_passed_on(site: Site, retain: bool) -> None:
    with device_of(site) as device:
        device.publish("event", b"x", qos=1, retain=retain)
        assert device.acknowledged() == 1
    properties = site.wait_for_message().properties
    assert properties.get("x-opt-retain") is (True if retain else None)


@pytest.mark.parametrize(
    ("topic", "expected"), [("event", "text/plain"), ("event/?content-type=text%2Fcsv", "text/csv")]
)
def test_hono_adapters_140_the_content_type_of_version_5_counts_where_the_bag_has_none(
    site: Site, topic: str, expected: str
) -> None:
    with device_of(site, 5) as device:
        deliver(device, topic, qos=1, content_type="text/plain")
    assert site.wait_for_message().content_type == expected


# A message that is wrong in itself: empty, and without a content type.


@both_versions
@each_upload
@pytest.mark.parametrize(
    ("on_error", "closes", "acknowledges"),
    [
        pytest.param("default", True, False, id="141-default"),
        pytest.param("nonsense", True, False, id="141-unknown"),
        pytest.param("disconnect", True, False, id="disconnect"),
        pytest.param("ignore", False, True, id="142-ignore"),
        pytest.param("skip-ack", False, False, id="143-skip-ack"),
    ],
)
def test_hono_adapters_141_142_143_the_device_says_what_becomes_of_an_error(
    site: Site, version: int, kind: str, qos: int, on_error: str, closes: bool, acknowledges: bool
) -> None:
    with device_of(site, version) as device:
        device.publish(f"{kind}/?on-error={on_error}", b"", qos=qos, packet_id=9)
        if closes:
            assert device.is_closed()
            return
        if acknowledges and qos:
            packet = device.read()
            assert packet is not None and (packet.first, packet.body[:2]) == (0x40, b"\0\x09")
            assert version == 4 or packet.body[2] == 0x80
        assert is_alive(device)
        deliver(device, kind, b"good", qos=qos)
        assert site.wait_for_message().payload == b"good"


@both_versions
def test_hono_adapters_145_an_adapter_switched_off_ends_the_connection_whatever_the_device_says(
    site: Site, version: int
) -> None:
    with device_of(site, version) as device:
        site.edit(adapters=(AdapterSettings(type="hono-http", enabled=True),))

        def is_told() -> bool:
            device.publish("t/?on-error=ignore", b"x", qos=1)
            packet = device.read()
            return packet is None or packet.kind == DISCONNECT

        until_blocking(is_told)


@both_versions
@pytest.mark.parametrize(
    "topic",
    [
        pytest.param("foo", id="146-unknown-endpoint"),
        pytest.param("/telemetry", id="147-leading-slash"),
        pytest.param("t/{tenant}", id="148-tenant-only"),
        pytest.param("t/another-tenant/dev", id="149-foreign-tenant"),
        pytest.param("t//nowhere", id="device-unknown"),
    ],
)
def test_hono_adapters_146_to_149_a_topic_that_leads_nowhere_ends_the_connection(
    site: Site, version: int, topic: str
) -> None:
    with device_of(site, version) as device:
        device.publish(topic.format(tenant=site.tenant_id), b"x", qos=1)
        assert device.is_closed()
    assert site.messages() == []


@pytest.mark.parametrize("topic", ["foo", "/telemetry", "t/{tenant}", "t/another-tenant/dev", "t//nowhere"])
def test_hono_adapters_146_to_149_with_on_error_ignore_the_device_stays(site: Site, topic: str) -> None:
    with device_of(site) as device:
        device.publish(topic.format(tenant=site.tenant_id) + "/?on-error=ignore", b"x", qos=1)
        packet = device.read()
        assert packet is not None and packet.first == 0x40
        assert is_alive(device)
    assert site.messages() == []


def test_a_gateway_that_may_not_speak_for_a_device_is_disconnected_whatever_it_says(site: Site) -> None:
    site.add_device("valve", via=["another"])
    with device_of(site, device_id="gw") as device:
        device.publish("e//valve/?on-error=ignore", b"x", qos=1)
        assert device.is_closed()
    assert site.messages() == []
