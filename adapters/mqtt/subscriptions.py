"""Which subscriptions a device may have: none yet.

The place where command and error filters (hono-adapters 2.4) are decided, one code a filter. Devices
receive nothing over MQTT so far, and are told so at once instead of waiting for what will not come.
"""

from adapters.mqtt.wire import reasons
from adapters.mqtt.wire.packets import Filter


def decide(filters: tuple[Filter, ...]) -> list[int]:
    """The codes of the SUBACK, as version 5 knows them, in the order of the filters."""
    return [
        reasons.SHARED_SUBSCRIPTIONS_NOT_SUPPORTED
        if line.topic_filter.startswith("$share/")
        else reasons.TOPIC_FILTER_INVALID
        for line in filters
    ]


def undo(topic_filters: tuple[str, ...]) -> list[int]:
    """The codes of the UNSUBACK, in the order of the filters."""
    return [reasons.NO_SUBSCRIPTION_EXISTED for _ in topic_filters]
