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
from typing import Any, Final

from adapters.sessions.channel import Channel, envelope_of, remember
from adapters.sessions.errors import (
    AddressIncomplete,
    ChangesMissed,
    ContentTypeMismatch,
    ContentTypeMissing,
    ForeignTenant,
    ShuttingDown,
    TooManyUploadsWaiting,
)
from adapters.sessions.measure import FORWARDED, UNDELIVERABLE, UNPROCESSABLE, UploadMeters
from adapters.sessions.session import Session
from kernel.clock import Clock
from kernel.errors import Refused, TuhonoError, Unavailable
from kernel.ids import DeviceId, TenantId
from kernel.log import fields
from messaging.message import EMPTY_NOTIFICATION, Bundle, MessageKind
from messaging.ports import Northbound
from registry.assertion import RegistrationAssertion
from registry.errors import DeviceDisabled, NotAuthenticated, StorageUnavailable
from tenant.directory import TenantDirectory
from tenant.errors import AdapterDisabled, TenantDisabled, TenantUnknown
from tenant.model import Tenant
from tenant.ports import ChangeFeed

log = logging.getLogger(__name__)

WAITING_MAX: Final = 256  # messages of one session that wait for a lookup or behind one, or one bundle of any size
SPOKEN_FOR_MAX: Final = 1_000  # devices a gateway sends for whose last message is remembered between two looks

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


class Uplink:
    """Turns uploads into bundles and hands them to the northbound. Used on the event loop only."""

    def __init__(
        self,
        *,
        northbound: Northbound,
        tenants: TenantDirectory,
        assertion: RegistrationAssertion,
        meters: UploadMeters,
        feed: ChangeFeed,
        clock: Clock,
        defaults_enabled: bool = True,
    ) -> None:
        self._northbound = northbound
        self._tenants = tenants
        self._assertion = assertion
        self._meters = meters
        self._feed = feed
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
        if self._feed.has_news() and self._has_ended_by_news(session):
            self._refuse(session, head, payloads, session.ended or ChangesMissed(), done)
            return
        channel = session.channels.get(head)
        if (
            channel is not None
            and channel.is_own
            and channel.tenant is self._tenants.find(channel.tenant.tenant_id)
            and channel.defaults is session.defaults
            and session.waiting is None
            and (head.takes_empty or all(payloads))  # which is takes_all without the call
            and (head.takes_full or not any(payloads))
        ):
            self._forward(channel, payloads, done)
        else:
            self._look_into(session, head, payloads, done)

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

    def _has_ended_by_news(self, session: Session) -> bool:
        """Let everybody hear what operators have changed, before the message; whether that was this session's end."""
        try:
            self._feed.catch_up()
        except StorageUnavailable as fault:  # the feed's own follower tries again
            log.warning("upload.changes-unread", extra=fields(code=fault.code, detail=str(fault)))
        return session.ended is not None

    def _look_into(self, session: Session, head: UploadHead, payloads: list[bytes | None], done: Done) -> None:
        """All there is to be checked; a positive answer is remembered as a channel."""
        try:
            tenant_id, device_id = _addressed(session, head)
            if not head.takes_all(payloads):
                raise _mismatch(head)
            defaults = None if session.waiting is not None else self._known_defaults(session, tenant_id, device_id)
            if defaults is None:
                self._wait(session, head, payloads, tenant_id, device_id, done)
            else:
                tenant = self._tenant(tenant_id, session)
                self._forward(self._channel(session, head, tenant, device_id, defaults), payloads, done)
        except TuhonoError as fault:
            self._refuse(session, head, payloads, fault, done)

    def _wait(
        self,
        session: Session,
        head: UploadHead,
        payloads: list[bytes | None],
        tenant_id: TenantId,
        device_id: DeviceId,
        done: Done,
    ) -> None:
        if session.waiting_count and session.waiting_count + len(payloads) > WAITING_MAX:
            raise TooManyUploadsWaiting(f"{session.waiting_count} uploads of one connection wait for the registry")
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
                device = await self._assertion.assert_registered(
                    tenant_id, device_id, gateway_id=session.device_id, remote=session.remote
                )
                defaults = device.defaults
            self._forward(self._channel(session, head, tenant, device_id, defaults), payloads, done)
        except TuhonoError as fault:
            self._refuse(session, head, payloads, fault, done)
        except asyncio.CancelledError:
            self._refuse(session, head, payloads, ShuttingDown("the process is stopping"), done)
            raise
        except Exception:
            log.exception("upload.lookup-failed")
            self._refuse(session, head, payloads, TuhonoError("internal"), done)

    def _known_defaults(self, session: Session, tenant_id: TenantId, device_id: DeviceId) -> Mapping[str, Any] | None:
        """Of a device the session may send for; None where that has to be looked up. Raises StorageUnavailable."""
        if device_id == session.device_id:
            return session.defaults
        known = self._assertion.remembered(tenant_id, device_id, gateway_id=session.device_id)
        return None if known is None else known.defaults

    def _tenant(self, tenant_id: TenantId, session: Session) -> Tenant:
        tenant = self._tenants.find(tenant_id)
        if tenant is None:
            raise TenantUnknown(f"tenant {tenant_id!r} does not exist")
        if not tenant.is_enabled:
            raise TenantDisabled(f"tenant {tenant_id!r} is disabled")
        if tenant.adapters is not None:
            if not tenant.allows_adapter(session.adapter):
                raise AdapterDisabled(f"tenant {tenant_id!r} does not allow {session.adapter}")
            if session.is_anonymous and tenant.requires_authentication(session.adapter):
                raise NotAuthenticated(f"tenant {tenant_id!r} wants devices of {session.adapter} to prove who they are")
        return tenant

    def _channel(
        self, session: Session, head: UploadHead, tenant: Tenant, device_id: DeviceId, defaults: Mapping[str, Any]
    ) -> Channel:
        """The one that is in force, or another, remembered from now on."""
        channel = session.channels.get(head)
        if channel is not None and channel.tenant is tenant and channel.defaults is defaults:
            return channel
        payload, duration = self._meters.series(session.adapter, tenant.tenant_id, head.kind, FORWARDED, head.qos)
        envelope = envelope_of(
            head,
            tenant,
            device_id,
            adapter=session.adapter,
            device_defaults=defaults,
            defaults_enabled=self._defaults_enabled,
        )
        is_own = device_id == session.device_id
        if not is_own and not session.is_anonymous:
            self._note_spoken_for(session, device_id)
        channel = Channel(
            adapter=session.adapter,
            tenant=tenant,
            defaults=defaults,
            is_own=is_own,
            envelope=envelope,
            payload=payload,
            duration=duration,
        )
        remember(session.channels, head, channel)
        return channel

    def _note_spoken_for(self, session: Session, device_id: DeviceId) -> None:
        """A gateway may send for more devices than it has channels: the time in a channel may be gone with it."""
        if session.spoken_for is None:
            session.spoken_for = {}
        if len(session.spoken_for) < SPOKEN_FOR_MAX or device_id in session.spoken_for:
            session.spoken_for[device_id] = self._clock.now_ms()

    def _forward(self, channel: Channel, payloads: list[bytes | None], done: Done) -> None:
        clock = self._clock
        channel.seen_ms = now_ms = clock.now_ms()
        bundle = Bundle(channel.envelope, now_ms, payloads)
        self._northbound.submit(bundle, partial(self._settled, channel, bundle, clock.monotonic(), done))

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


def _looked_up(session: Session, count: int, task: asyncio.Task[None]) -> None:
    session.waiting_count -= count
    if session.waiting is task:
        session.waiting = None
