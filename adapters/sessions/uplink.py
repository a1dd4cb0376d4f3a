"""From an upload to the engine, the same for every protocol: addressed, authorised, completed, submitted.

A device's own upload takes no lookup, no task and no future: it is handed over before `submit` returns.
Only a gateway's upload for a device not asked about before waits for the registry; whatever its
session sends meanwhile waits behind it, so that order is kept.
"""

import asyncio
import logging
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from typing import Any

from adapters.sessions.errors import (
    AddressIncomplete,
    ContentTypeMismatch,
    ContentTypeMissing,
    ForeignTenant,
    ShuttingDown,
    TooManyUploadsWaiting,
)
from adapters.sessions.measure import FORWARDED, UNDELIVERABLE, UNPROCESSABLE, UploadMeters
from adapters.sessions.session import Channel, Session
from kernel.clock import Clock
from kernel.errors import Refused, TuhonoError, Unavailable
from kernel.ids import DeviceId, TenantId
from messaging.message import EMPTY_NOTIFICATION, OCTET_STREAM, Bundle, Envelope, MessageKind
from messaging.ports import Northbound
from registry.assertion import RegistrationAssertion
from registry.errors import DeviceDisabled, NotAuthenticated
from tenant.directory import TenantDirectory
from tenant.errors import AdapterDisabled, TenantDisabled, TenantUnknown
from tenant.model import Tenant
from tenant.ttl import event_ttl_ms, telemetry_ttl_ms

log = logging.getLogger(__name__)

WAITING_MAX = 256  # messages of one session that wait for a lookup, or behind one that does
CHANNELS_MAX = 8  # addresses a session's messages go to without being looked into anew
CHANNEL_MAX_CHARS = 512  # text of an address worth remembering
NOT_DEFAULTS = {  # by kind: what speaks of the message itself, or of this kind's time to live (hono-adapters 5.3)
    MessageKind.TELEMETRY: frozenset({"ttl", "content-type", "ttl-telemetry-qos0", "ttl-telemetry-qos1"}),
    MessageKind.EVENT: frozenset({"ttl", "content-type"}),
    MessageKind.COMMAND_RESPONSE: frozenset({"ttl", "content-type", "ttl-command-response"}),
}

Done = Callable[[TuhonoError | None], None]


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class UploadHead:
    """What a device asks to be sent on, all but the payloads, in the protocol's own terms already decoded.

    A fact about a topic or path and its flags: an adapter makes it once and hands in the same object every time.
    Known by identity. `tenant` and `device` are as addressed: None where the topic or path left them out.
    """

    kind: MessageKind
    tenant: str | None
    device: str | None
    qos: int
    content_type: str | None
    orig_address: str
    ttl_s: int | None = None
    retain: bool = False
    takes_empty: bool = field(init=False)
    takes_full: bool = field(init=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "takes_empty", bool(self.content_type))
        object.__setattr__(self, "takes_full", self.content_type != EMPTY_NOTIFICATION)

    def takes(self, payload: bytes | None) -> bool:
        """Whether payload and content type fit (hono-adapters 0.6)."""
        return self.takes_full if payload else self.takes_empty

    def takes_all(self, payloads: Sequence[bytes | None]) -> bool:
        """Whether every one of them does; for whoever has a list that rarely holds one that does not."""
        return (self.takes_full or not any(payloads)) and (self.takes_empty or all(payloads))

    @property
    def chars(self) -> int:
        """How much text it holds."""
        return sum(len(text or "") for text in (self.tenant, self.device, self.content_type, self.orig_address))


class Uplink:
    """Turns uploads into bundles and hands them to the northbound. Used on the event loop only."""

    def __init__(
        self,
        *,
        northbound: Northbound,
        tenants: TenantDirectory,
        assertion: RegistrationAssertion,
        meters: UploadMeters,
        clock: Clock,
        defaults_enabled: bool = True,
    ) -> None:
        self._northbound = northbound
        self._tenants = tenants
        self._assertion = assertion
        self._meters = meters
        self._clock = clock
        self._defaults_enabled = defaults_enabled
        self._lookups: set[asyncio.Task[None]] = set()  # WAITING_MAX of each session at most

    def submit(self, session: Session, head: UploadHead, payloads: list[bytes | None], done: Done) -> None:
        """Returns at once. `done` is called exactly once on the loop, possibly before this returns for a
        refusal that needs no lookup: with None when the engine holds all messages, whatever their QoS, else with
        the Refused or Unavailable and none is held.

        `payloads` are messages to one address that arrived together, at least one; the list is the uplink's from
        now on. One that `head.takes` not has them all refused: whoever has such a one submits it on its own.
        Uploads of one session reach the engine in the order of the calls.
        """
        try:
            tenant_id, device_id = _addressed(session, head)
            if not head.takes_all(payloads):
                raise _mismatch(head)
            if session.waiting is None:
                if device_id == session.device_id:
                    tenant = self._tenant(tenant_id, session)
                    self._forward(session, head, payloads, tenant, device_id, session.defaults, done)
                    return
                known = self._assertion.remembered(tenant_id, device_id, gateway_id=session.device_id)
                if known is not None:
                    tenant = self._tenant(tenant_id, session)
                    self._forward(session, head, payloads, tenant, device_id, known.defaults, done)
                    return
            self._wait(session, head, payloads, tenant_id, device_id, done)
        except TuhonoError as fault:
            self._refuse(session, head, payloads, fault, done)

    def refusal_of(self, refusal: TuhonoError, addressed: str | None) -> TuhonoError:
        """What an upload of a peer that was not admitted is told, by the device it names, if any.

        Who names another device spoke as its gateway: where that is switched off, the assertion has the word.
        """
        if isinstance(refusal, DeviceDisabled) and refusal.tenant_id and addressed and addressed != refusal.device_id:
            return self._assertion.refusal_behind(refusal, refusal.tenant_id, DeviceId(addressed))
        return refusal

    async def close(self) -> None:
        """Give up the lookups under way; their uploads are refused. The adapters have been drained by then."""
        for task in self._lookups:
            task.cancel()
        await asyncio.gather(*self._lookups, return_exceptions=True)

    def _wait(
        self,
        session: Session,
        head: UploadHead,
        payloads: list[bytes | None],
        tenant_id: TenantId,
        device_id: DeviceId,
        done: Done,
    ) -> None:
        if session.waiting_count >= WAITING_MAX:
            raise TooManyUploadsWaiting(f"{WAITING_MAX} uploads of one connection wait for the registry")
        work = self._look_up(session.waiting, session, head, payloads, tenant_id, device_id, done)
        task = asyncio.get_running_loop().create_task(work)
        self._lookups.add(task)
        task.add_done_callback(self._lookups.discard)
        session.waiting = task  # the session holds the newest, each task the one before it
        session.waiting_count += len(payloads)
        task.add_done_callback(partial(_looked_up, session, len(payloads)))

    async def _look_up(
        self,
        before: asyncio.Task[None] | None,
        session: Session,
        head: UploadHead,
        payloads: list[bytes | None],
        tenant_id: TenantId,
        device_id: DeviceId,
        done: Done,
    ) -> None:
        if before is not None:
            await asyncio.wait([before])
        try:
            tenant = self._tenant(tenant_id, session)
            defaults = session.defaults
            if device_id != session.device_id:
                device = await self._assertion.assert_registered(tenant_id, device_id, gateway_id=session.device_id)
                defaults = device.defaults
            self._forward(session, head, payloads, tenant, device_id, defaults, done)
        except TuhonoError as fault:
            self._refuse(session, head, payloads, fault, done)
        except asyncio.CancelledError:
            self._refuse(session, head, payloads, ShuttingDown("the process is stopping"), done)
            raise
        except Exception:
            log.exception("upload.lookup-failed")
            self._refuse(session, head, payloads, TuhonoError("internal"), done)

    def _tenant(self, tenant_id: TenantId, session: Session) -> Tenant:
        tenant = self._tenants.find(tenant_id)
        if tenant is None:
            raise TenantUnknown(f"tenant {tenant_id!r} does not exist")
        if not tenant.enabled:
            raise TenantDisabled(f"tenant {tenant_id!r} is disabled")
        if tenant.adapters is not None:
            if not tenant.allows_adapter(session.adapter):
                raise AdapterDisabled(f"tenant {tenant_id!r} does not allow {session.adapter}")
            if session.is_anonymous and tenant.requires_authentication(session.adapter):
                raise NotAuthenticated(f"tenant {tenant_id!r} wants devices of {session.adapter} to prove who they are")
        return tenant

    def _forward(
        self,
        session: Session,
        head: UploadHead,
        payloads: list[bytes | None],
        tenant: Tenant,
        device_id: DeviceId,
        defaults: Mapping[str, Any],
        done: Done,
    ) -> None:
        channel = session.channels.get(head)
        if channel is None or channel.tenant is not tenant or channel.defaults is not defaults:
            channel = self._open(session, head, tenant, device_id, defaults)
        bundle = Bundle(channel.envelope, self._clock.now_ms(), payloads)
        self._northbound.submit(bundle, partial(self._settled, channel, bundle, self._clock.monotonic(), done))

    def _open(
        self, session: Session, head: UploadHead, tenant: Tenant, device_id: DeviceId, defaults: Mapping[str, Any]
    ) -> Channel:
        """A channel for what the session sends to that address, remembered in place of one no longer valid."""
        payload, duration = self._meters.series(session.adapter, tenant.tenant_id, head.kind, FORWARDED, head.qos)
        channel = Channel(
            adapter=session.adapter,
            tenant=tenant,
            defaults=defaults,
            envelope=self._envelope(session, head, tenant, device_id, defaults),
            payload=payload,
            duration=duration,
        )
        channels = session.channels
        channels.pop(head, None)
        if head.chars <= CHANNEL_MAX_CHARS:
            if len(channels) >= CHANNELS_MAX:
                del channels[next(iter(channels))]
            channels[head] = channel
        return channel

    def _envelope(
        self,
        session: Session,
        head: UploadHead,
        tenant: Tenant,
        device_id: DeviceId,
        device_defaults: Mapping[str, Any],
    ) -> Envelope:
        properties: dict[str, Any] = {"orig_adapter": session.adapter, "orig_address": head.orig_address}
        content_type, ttl_ms = head.content_type, None
        if tenant.defaults or device_defaults or tenant.resource_limits is not None or head.ttl_s is not None:
            defaults = {**tenant.defaults, **device_defaults} if self._defaults_enabled else {}
            left_out = NOT_DEFAULTS[head.kind]
            properties = {**{name: defaults[name] for name in defaults if name not in left_out}, **properties}
            content_type = content_type or _default_content_type(defaults)
            ttl_ms = _ttl_ms(head, tenant, defaults)
        if head.retain:
            properties["x-opt-retain"] = True
        return Envelope(
            tenant_id=tenant.tenant_id,
            device_id=device_id,
            kind=head.kind,
            qos=head.qos,
            content_type=content_type or OCTET_STREAM,
            ttl_ms=ttl_ms,
            properties=properties,
        )

    def _settled(self, channel: Channel, bundle: Bundle, started: float, done: Done, fault: Unavailable | None) -> None:
        payload, duration = channel.payload, channel.duration
        if fault is not None:
            envelope = bundle.envelope
            payload, duration = self._meters.series(
                channel.adapter, envelope.tenant_id, envelope.kind, UNDELIVERABLE, envelope.qos
            )
        count = len(bundle.payloads)
        payload.count += count
        payload.total += bundle.payload_bytes
        duration.count += count
        duration.total += count * (self._clock.monotonic() - started)
        done(fault)

    def _refuse(
        self, session: Session, head: UploadHead, payloads: list[bytes | None], fault: TuhonoError, done: Done
    ) -> None:
        tenant_id = session.tenant_id or TenantId("")
        status = UNPROCESSABLE if isinstance(fault, Refused) else UNDELIVERABLE
        payload, _ = self._meters.series(session.adapter, tenant_id, head.kind, status, head.qos)
        payload.count += len(payloads)
        payload.total += sum(len(each or b"") for each in payloads)
        done(fault)


def _addressed(session: Session, head: UploadHead) -> tuple[TenantId, DeviceId]:
    """Tenant and device the upload is for. Raises ForeignTenant, AddressIncomplete."""
    if session.tenant_id is None or session.device_id is None:
        if not head.tenant or not head.device:
            raise AddressIncomplete("an anonymous upload names no tenant or no device")
        return TenantId(head.tenant), DeviceId(head.device)
    if head.tenant and head.tenant != session.tenant_id:
        raise ForeignTenant(f"device of tenant {session.tenant_id!r} addressed tenant {head.tenant!r}")
    return session.tenant_id, DeviceId(head.device) if head.device else session.device_id


def _mismatch(head: UploadHead) -> TuhonoError:
    """Why it does not take a payload."""
    if head.content_type:
        return ContentTypeMismatch(head.content_type)
    return ContentTypeMissing("an empty payload came without a content type")


def _default_content_type(defaults: Mapping[str, Any]) -> str | None:
    given = defaults.get("content-type")
    return given if isinstance(given, str) else None


def _ttl_ms(head: UploadHead, tenant: Tenant, defaults: Mapping[str, Any]) -> int | None:
    if head.kind is MessageKind.EVENT:
        return event_ttl_ms(tenant.resource_limits, defaults, head.ttl_s)
    return telemetry_ttl_ms(tenant.resource_limits, defaults, head.qos)


def _looked_up(session: Session, count: int, task: asyncio.Task[None]) -> None:
    session.waiting_count -= count
    if session.waiting is task:
        session.waiting = None
