"""What the registry tells of its own changes, on its way to applications and to other parts of a system.

A notification is a JSON document on a channel. Where an engine has no channels of its own for them, it keeps them as
messages of a kind of their own, which `bundled` makes: of the tenant, and of the device if it is about one.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import groupby
from typing import Final

from kernel.ids import DeviceId, TenantId
from messaging.addresses import NotificationChannel
from messaging.message import Bundle, Envelope, MessageKind

JSON: Final = "application/json"
ALL_DEVICES: Final = DeviceId("")  # the device of a message that is about no single one


@dataclass(slots=True, kw_only=True)
class Notification:
    """One change that was committed. Nobody changes it."""

    channel: NotificationChannel
    tenant_id: TenantId
    device_id: DeviceId | None  # None: about the tenant, or all its devices
    moment_ms: int  # when it was made, since the epoch
    document: bytes  # JSON, UTF-8

    @property
    def key(self) -> str:
        """What keeps notifications of one thing in order where an engine has partitions."""
        return self.device_id or self.tenant_id


News = Notification | Bundle  # what is published: a notification, or events that go with it


def bundled(news: Sequence[News]) -> Iterator[Bundle]:
    """As messages of the engine's own log, in order. Notifications of one thing that follow each other share one."""
    for _, together in groupby(news, key=_about):
        first, *others = together
        if isinstance(first, Bundle):
            yield first
        else:
            documents: list[bytes | None] = [first.document]
            documents += [each.document for each in others if isinstance(each, Notification)]
            yield Bundle(_envelope(first), first.moment_ms, documents)


def _about(news: News) -> tuple[object, ...]:
    if isinstance(news, Bundle):
        return (id(news),)  # on its own
    return news.channel, news.tenant_id, news.device_id, news.moment_ms


def _envelope(notification: Notification) -> Envelope:
    return Envelope(
        tenant_id=notification.tenant_id,
        device_id=notification.device_id or ALL_DEVICES,
        kind=MessageKind.NOTIFICATION,
        qos=1,
        content_type=JSON,
        properties={"orig_address": f"notification/{notification.channel.value}"},
    )
