"""One live connection of an authenticated (or anonymous) device in this process."""

from collections.abc import Callable
from dataclasses import dataclass, field

from kernel.errors import TuhonoError
from kernel.ids import AnchorId, AuthId, DeviceId, TenantId


@dataclass(slots=True, kw_only=True, eq=False)
class Session:
    """Who a connection belongs to, and how to end it. `end` tells the device why where its protocol can.

    An anonymous session (listener without authentication) has neither tenant nor device and is in no
    table.
    """

    adapter: str  # hono-mqtt, hono-http, hono-coap
    tenant_id: TenantId | None
    device_id: DeviceId | None
    anchor_id: AnchorId | None = None
    auth_id: AuthId | None = None
    remote: str = ""
    end: Callable[[TuhonoError], None] = field(default=lambda _: None)

    @property
    def is_anonymous(self) -> bool:
        return self.device_id is None
