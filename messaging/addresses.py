"""What each engine calls the channels that messages and notifications travel on (hono-adapters 5.1), in one table."""

from enum import StrEnum
from typing import Final


class NotificationChannel(StrEnum):
    """Where changes of the registry are told (hono-registry 3.5). Its value is the suffix engines share."""

    TENANT = "registry-tenant"
    DEVICE = "registry-device"


KAFKA_NOTIFICATION_TOPICS: Final = {
    NotificationChannel.TENANT: "hono.notification.registry-tenant",
    NotificationChannel.DEVICE: "hono.notification.registry-device",
}
AMQP_NOTIFICATION_ADDRESSES: Final = {
    NotificationChannel.TENANT: "notification/registry-tenant",
    NotificationChannel.DEVICE: "notification/registry-device",
}
