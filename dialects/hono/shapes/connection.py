"""Whether a device is connected and when it was last heard of, as it is on the wire. Beyond Hono."""

from typing import Annotated

import msgspec
from msgspec import UNSET, Meta, UnsetType

from dialects.hono.shapes.values import Timestamp, moment_text
from registry.presence import Presence


class ConnectionView(msgspec.Struct, kw_only=True, rename="kebab"):
    """The connections of a device, a second or so behind the truth."""

    connected: bool
    since: Annotated[Timestamp, Meta(description="Of the newest connection, while there is one.")] | UnsetType = UNSET
    adapter: Annotated[str, Meta(description="What it came over: hono-mqtt, hono-http or hono-coap.")] | UnsetType = (
        UNSET
    )
    last_seen: (
        Annotated[
            Timestamp,
            Meta(
                description="The last connect, disconnect or message, of messages up to a minute behind;"
                " absent while it was never seen."
            ),
        ]
        | UnsetType
    ) = UNSET


def connection_view(presence: Presence | None) -> ConnectionView:
    """None: a device never seen."""
    if presence is None:
        return ConnectionView(connected=False)
    return ConnectionView(
        connected=presence.is_connected,
        since=UNSET if presence.since is None else moment_text(presence.since),
        adapter=presence.adapter or UNSET,
        last_seen=moment_text(presence.last_seen),
    )
