"""What the MQTT adapter itself refuses, in the words of hono-adapters 2.2 where it has them."""

from kernel.errors import Malformed, NotFound


class TopicMalformed(Malformed):
    """The topic of a message is not of the form `endpoint[/[tenant]/[device]][/?properties]`."""

    code = "mqtt-topic-malformed"
    told = "malformed topic name"


class ContentTypeMalformed(Malformed):
    """The Content Type property of a message holds control characters."""

    code = "mqtt-content-type-malformed"
    told = "malformed content type"


class TopicWithoutDevice(Malformed):
    """The topic names a tenant and no device."""

    code = "mqtt-topic-without-device"
    told = "message address must not contain tenant ID only"


class EndpointUnknown(NotFound):
    """The first segment of the topic is no endpoint of this adapter."""

    code = "mqtt-endpoint-unknown"
    told = "no such endpoint"


class CommandsUnavailable(NotFound):
    """Command responses are not taken over MQTT yet."""

    code = "mqtt-commands-unavailable"
    told = "no such endpoint: commands are not available"


class TelemetryQosUnsupported(Malformed):
    """Telemetry goes with QoS 0 or 1."""

    code = "mqtt-telemetry-qos-unsupported"
    told = "QoS 2 not supported for telemetry messages"


class EventQosUnsupported(Malformed):
    """Events go with QoS 1 only."""

    code = "mqtt-event-qos-unsupported"
    told = "Only QoS 1 supported for event messages"
