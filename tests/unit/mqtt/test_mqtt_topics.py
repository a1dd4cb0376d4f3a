"""Topic names and their property bags."""

from typing import Any

import pytest

from adapters.mqtt import errors
from adapters.mqtt.topics import Topic, Topics, head_for, parse_topic
from adapters.mqtt.wire import properties as props
from kernel.errors import TuhonoError
from messaging.message import MessageKind
from tests.support.mqtt_client import publish

TELEMETRY, EVENT = MessageKind.TELEMETRY, MessageKind.EVENT


@pytest.mark.parametrize(
    ("name", "kind", "tenant", "device"),
    [
        ("t", TELEMETRY, None, None),
        ("telemetry", TELEMETRY, None, None),
        ("e", EVENT, None, None),
        ("event", EVENT, None, None),
        ("t/", TELEMETRY, None, None),
        ("t//", TELEMETRY, None, None),
        ("t//pump", TELEMETRY, None, "pump"),
        ("telemetry//pump/", TELEMETRY, None, "pump"),
        ("e/acme/pump", EVENT, "acme", "pump"),
        ("event/acme/pump///", EVENT, "acme", "pump"),
        ("t/?", TELEMETRY, None, None),
        ("t//pump/?x=y", TELEMETRY, None, "pump"),
        ("t/a/b?c", TELEMETRY, "a", "b?c"),
    ],
)
def test_addresses(name: str, kind: MessageKind, tenant: str | None, device: str | None) -> None:
    assert parse_topic(name) == Topic(kind=kind, tenant=tenant, device=device)


@pytest.mark.parametrize(
    ("name", "refusal", "told"),
    [
        ("/telemetry", errors.TopicMalformed, "malformed topic name"),
        ("/", errors.TopicMalformed, "malformed topic name"),
        ("/?on-error=ignore", errors.TopicMalformed, "malformed topic name"),
        ("t/a/b/c", errors.TopicMalformed, "malformed topic name"),
        ("t///c", errors.TopicMalformed, "malformed topic name"),
        ("t/?" + "a=b&" * 65, errors.TopicMalformed, "malformed topic name"),
        ("t/?content-type=a%0D%0Ab", errors.TopicMalformed, "malformed topic name"),
        ("t/?unknown=%7F&on-error=ignore", errors.TopicMalformed, "malformed topic name"),
        ("e/?content-type=%C2%85", errors.TopicMalformed, "malformed topic name"),
        ("t/acme", errors.TopicWithoutDevice, "message address must not contain tenant ID only"),
        ("t/acme/", errors.TopicWithoutDevice, "message address must not contain tenant ID only"),
        ("foo", errors.EndpointUnknown, "no such endpoint"),
        ("Telemetry", errors.EndpointUnknown, "no such endpoint"),
        ("telemetry?content-type=x", errors.EndpointUnknown, "no such endpoint"),
        ("error", errors.EndpointUnknown, "no such endpoint"),
        ("c///s/1/200", errors.CommandsUnavailable, "no such endpoint: commands are not available"),
        ("command//pump/res/1/200", errors.CommandsUnavailable, "no such endpoint: commands are not available"),
    ],
)
def test_refusals(name: str, refusal: type[TuhonoError], told: str) -> None:
    assert parse_topic(name).refusal is refusal
    with pytest.raises(refusal) as raised:
        head_for(parse_topic(name), publish(name, qos=1))
    assert raised.value.told == told


@pytest.mark.parametrize("content_type", ["a\r\nb", "a/b\x1f", "\x7f", "\x85"])
def test_a_content_type_with_control_characters_is_refused(content_type: str) -> None:
    with pytest.raises(errors.ContentTypeMalformed):
        head_for(parse_topic("t"), publish(properties={props.CONTENT_TYPE: content_type}))


def test_the_bag_speaks_for_the_error_of_its_own_topic() -> None:
    topic = parse_topic("foo/?on-error=ignore&correlation-id=17")
    assert (topic.refusal, topic.on_error, topic.correlation_id) == (errors.EndpointUnknown, "ignore", "17")


@pytest.mark.parametrize(
    ("bag", "facts"),
    [
        ("content-type=text%2Fplain", {"content_type": "text/plain"}),
        ("Content-Type=a&content-type=b", {"content_type": "a"}),
        ("content-type=application%2Fvnd.x%2Bjson", {"content_type": "application/vnd.x+json"}),
        ("content-type=", {"content_type": ""}),
        ("hono-ttl=30", {"ttl_s": 30}),
        ("hono-ttl=0", {"ttl_s": 0}),
        ("hono-ttl=-1", {}),
        ("hono-ttl=abc", {}),
        ("hono-ttl=1.5", {}),
        ("hono-ttl=%D9%A3", {}),
        ("hono-ttl=" + "9" * 11, {}),
        ("on-error=disconnect", {"on_error": "disconnect"}),
        ("ON-ERROR=skip-ack", {"on_error": "skip-ack"}),
        ("on-error=explode", {}),
        ("correlation-id=a%2Fb", {"correlation_id": "a/b"}),
        ("unknown=1&=2&&on-error=ignore", {"on_error": "ignore"}),
    ],
)
def test_properties(bag: str, facts: dict[str, object]) -> None:
    assert parse_topic(f"e/?{bag}") == Topic(kind=EVENT, **facts)  # type: ignore[arg-type]


def test_the_bag_begins_at_the_last_mark() -> None:
    assert parse_topic("t/?a/?content-type=x").refusal is errors.TopicWithoutDevice
    assert parse_topic("t//d?/?content-type=x") == Topic(device="d?", content_type="x")


def test_telemetry_has_no_ttl() -> None:
    assert parse_topic("t/?hono-ttl=30").ttl_s is None


@pytest.mark.parametrize(
    ("name", "qos", "told"),
    [
        ("t", 2, "QoS 2 not supported for telemetry messages"),
        ("e", 0, "Only QoS 1 supported for event messages"),
        ("e", 2, "Only QoS 1 supported for event messages"),
    ],
)
def test_qos_that_is_not_for_the_endpoint(name: str, qos: int, told: str) -> None:
    with pytest.raises(TuhonoError) as raised:
        head_for(parse_topic(name), publish(name, qos=qos))
    assert raised.value.told == told


def test_a_head_has_everything_the_message_says() -> None:
    name = "event/acme/pump/?content-type=text%2Fplain&hono-ttl=5"
    packet = publish(name, b"hi", qos=1, retain=True, properties={props.CONTENT_TYPE: "of/mqtt5"})
    head = head_for(parse_topic(name), packet)
    assert (head.kind, head.tenant, head.device, head.qos) == (EVENT, "acme", "pump", 1)
    assert (head.content_type, head.orig_address, head.ttl_s, head.retain) == ("text/plain", name, 5, True)


@pytest.mark.parametrize(
    ("properties", "content_type"),
    [({props.CONTENT_TYPE: "text/x"}, "text/x"), ({props.USER_PROPERTY: (("a", "b"),)}, None), ({}, None)],
)
def test_the_content_type_of_version_5_counts_where_the_bag_has_none(
    properties: props.Properties, content_type: str | None
) -> None:
    assert head_for(parse_topic("t"), publish(properties=properties)).content_type == content_type


def test_what_was_understood_is_remembered_within_bounds() -> None:
    topics = Topics()
    first = topics.understand("t//pump")
    assert topics.understand("t//pump") is first
    for number in range(5000):
        topics.understand(f"t//d{number}")
    assert topics.understand("t//pump") == first
    assert topics.understand("t//pump") is not first
    long = "t//" + "d" * 200
    assert topics.understand(long) is not topics.understand(long)


class TestHeads:
    """The uplink knows a head by identity: the same one means that all was found out before."""

    @pytest.mark.parametrize(
        "facts",
        [{}, {"qos": 1}, {"retain": True}, {"qos": 1, "retain": True}, {"properties": {props.CONTENT_TYPE: "a/b"}}],
    )
    def test_the_same_topic_and_flags_have_the_same_head(self, facts: dict[str, Any]) -> None:
        topics = Topics()
        first = topics.head(publish("t//pump", b"1", **facts))
        assert topics.head(publish("t//pump", b"2", **facts)) is first
        assert first.orig_address == "t//pump"
        assert (first.qos, first.retain) == (facts.get("qos", 0), facts.get("retain", False))

    def test_a_message_sent_again_has_the_head_it_had(self) -> None:
        topics = Topics()
        assert topics.head(publish(qos=1, duplicate=True)) is topics.head(publish(qos=1))

    def test_whatever_differs_makes_another(self) -> None:
        topics = Topics()
        packets = [
            publish("t"),
            publish("telemetry"),
            publish("t", retain=True),
            publish("t", qos=1),
            publish("t", properties={props.CONTENT_TYPE: "a"}),
            publish("t", properties={props.CONTENT_TYPE: "b"}),
            publish("t", qos=1, properties={props.CONTENT_TYPE: "b"}),
        ]
        assert len({id(topics.head(packet)) for packet in packets}) == len(packets)

    def test_other_properties_do_not(self) -> None:
        topics = Topics()
        assert topics.head(publish(properties={props.MESSAGE_EXPIRY_INTERVAL: 3})) is topics.head(publish())

    def test_nor_does_a_content_type_where_the_bag_has_one(self) -> None:
        topics = Topics()
        name = "t/?content-type=of%2Fbag"
        head = topics.head(publish(name, properties={props.CONTENT_TYPE: "of/packet"}))
        assert head is topics.head(publish(name))
        assert head.content_type == "of/bag"

    def test_what_is_refused_is_refused_every_time(self) -> None:
        topics = Topics()
        for _ in range(2):
            with pytest.raises(errors.EndpointUnknown):
                topics.head(publish("foo"))
            with pytest.raises(errors.EventQosUnsupported):
                topics.head(publish("e"))
            with pytest.raises(errors.ContentTypeMalformed):
                topics.head(publish("t", properties={props.CONTENT_TYPE: "\n"}))

    def test_heads_by_content_type_are_remembered_within_bounds(self) -> None:
        topics = Topics()
        plain = publish(properties={props.CONTENT_TYPE: "text/plain"})
        first = topics.head(plain)
        for number in range(2000):
            topics.head(publish(properties={props.CONTENT_TYPE: f"x/{number}"}))
        assert topics.head(plain) is not first
        long = publish(properties={props.CONTENT_TYPE: "x" * 200})
        assert topics.head(long) is not topics.head(long)
