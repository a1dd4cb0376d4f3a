"""One live connection of an authenticated (or anonymous) device in this process."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from adapters.admission.admission import Admitted
from adapters.sessions.channel import Channel
from kernel.errors import TuhonoError
from kernel.ids import AnchorId, AuthId, DeviceId, TenantId
from registry.model import X509_CERT

if TYPE_CHECKING:
    from adapters.sessions.uplink import UploadHead

NO_DEFAULTS: Mapping[str, Any] = {}


def _nothing_to_end(_: TuhonoError) -> None:
    """Until its shell says how, a session ends by being dropped."""


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
    credential_type: str = X509_CERT
    proof: str | None = None  # of the secret that let it in, as registry.standing has it; None for a certificate
    remote: str = ""
    defaults: Mapping[str, Any] = field(default_factory=lambda: NO_DEFAULTS)  # the device's own
    end: Callable[[TuhonoError], None] = _nothing_to_end
    ended: TuhonoError | None = None  # why it was ended from this side
    channels: dict[UploadHead, Channel] = field(default_factory=dict)  # few; the uplink's own
    waiting: asyncio.Task[None] | None = None  # the newest upload that waits for a lookup (uplink)
    waiting_count: int = 0
    since_ms: int = 0  # when it came to be, since the epoch; the presence keeper's own, as is what follows
    spoken_for: dict[DeviceId, int] | None = None  # other devices it lately sent for, and when

    @property
    def is_anonymous(self) -> bool:
        return self.device_id is None


def session_of(admitted: Admitted | None, *, adapter: str, remote: str) -> Session:
    """The session of a peer that was admitted, or an anonymous one."""
    if admitted is None:
        return Session(adapter=adapter, tenant_id=None, device_id=None, remote=remote)
    return Session(
        adapter=adapter,
        tenant_id=admitted.tenant_id,
        device_id=admitted.device_id,
        anchor_id=admitted.anchor_id,
        auth_id=admitted.auth_id,
        credential_type=admitted.credential_type,
        proof=admitted.proof,
        remote=remote,
        defaults=admitted.defaults,
    )
