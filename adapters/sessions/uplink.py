"""From an upload to the engine, the same for every protocol: addressed, authorised, completed, submitted.

A device's own upload takes no lookup, no task and no future: it is handed over before `submit` returns.
Only a gateway's upload for a device not asked about before waits for the registry; whatever its
session sends meanwhile waits behind it, so that order is kept.
"""

import asyncio
import logging
from collections.abc import Callable, Mapping
from dataclasses import dataclass
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
from adapters.sessions.session import Session
from kernel.clock import Clock
from kernel.errors import Refused, TuhonoError, Unavailable
from kernel.ids import DeviceId, TenantId
from messaging.message import EMPTY_NOTIFICATION, OCTET_STREAM, DeviceMessage, MessageKind
from messaging.ports import Northbound
from registry.assertion import RegistrationAssertion
from registry.errors import NotAuthenticated
from tenant.directory import TenantDirectory
from tenant.errors import AdapterDisabled, TenantDisabled, TenantUnknown
from tenant.model import Tenant
from tenant.ttl import event_ttl_ms, telemetry_ttl_ms

log = logging.getLogger(__name__)

WAITING_MAX = 256  # uploads of one session that wait for a lookup, or behind one that does
NOT_DEFAULTS = {  # by kind: what speaks of the message itself, or of this kind's time to live (hono-adapters 5.3)
    MessageKind.TELEMETRY: frozenset({"ttl", "content-type", "ttl-telemetry-qos0", "ttl-telemetry-qos1"}),
    MessageKind.EVENT: frozenset({"ttl", "content-type"}),
    MessageKind.COMMAND_RESPONSE: frozenset({"ttl", "content-type", "ttl-command-response"}),
}

Done = Callable[[TuhonoError | None], None]


@dataclass(slots=True, kw_only=True)  # not frozen: one a message, and freezing nine fields costs 1.3 µs
class Upload:
    """What a device asks to be sent on, in the protocol's own terms already decoded. Nobody changes it.

    `tenant` and `device` are as addressed: None where the topic or path left them out.
    """

    kind: MessageKind
    tenant: str | None
    device: str | None
    qos: int
    payload: bytes | None
    content_type: str | None
    orig_address: str
    ttl_s: int | None = None
    retain: bool = False


class Uplink:
    """Turns uploads into DeviceMessages and hands them to the northbound. Used on the event loop only."""

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

    def submit(self, session: Session, upload: Upload, done: Done) -> None:
        """Returns at once. `done` is called exactly once on the loop, possibly before this returns for a
        refusal that needs no lookup: with None when the engine holds the message, whatever its QoS, else with
        the Refused or Unavailable.

        Uploads of one session reach the engine in the order of the calls.
        """
        try:
            tenant_id, device_id = _addressed(session, upload)
            _require_content_type(upload)
            if session.waiting is None:
                if device_id == session.device_id:
                    self._forward(session, upload, self._tenant(tenant_id, session), device_id, session.defaults, done)
                    return
                known = self._assertion.remembered(tenant_id, device_id, gateway_id=session.device_id)
                if known is not None:
                    self._forward(session, upload, self._tenant(tenant_id, session), device_id, known.defaults, done)
                    return
            self._wait(session, upload, tenant_id, device_id, done)
        except TuhonoError as fault:
            self._refuse(session, upload, fault, done)

    async def close(self) -> None:
        """Give up the lookups under way; their uploads are refused. The adapters have been drained by then."""
        for task in self._lookups:
            task.cancel()
        await asyncio.gather(*self._lookups, return_exceptions=True)

    def _wait(self, session: Session, upload: Upload, tenant_id: TenantId, device_id: DeviceId, done: Done) -> None:
        if session.waiting_count >= WAITING_MAX:
            raise TooManyUploadsWaiting(f"{WAITING_MAX} uploads of one connection wait for the registry")
        work = self._look_up(session.waiting, session, upload, tenant_id, device_id, done)
        task = asyncio.get_running_loop().create_task(work)
        self._lookups.add(task)
        task.add_done_callback(self._lookups.discard)
        session.waiting = task  # the session holds the newest, each task the one before it
        session.waiting_count += 1
        task.add_done_callback(partial(_looked_up, session))

    async def _look_up(
        self,
        before: asyncio.Task[None] | None,
        session: Session,
        upload: Upload,
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
            self._forward(session, upload, tenant, device_id, defaults, done)
        except TuhonoError as fault:
            self._refuse(session, upload, fault, done)
        except asyncio.CancelledError:
            self._refuse(session, upload, ShuttingDown("the process is stopping"), done)
            raise
        except Exception:
            log.exception("upload.lookup-failed")
            self._refuse(session, upload, TuhonoError("internal"), done)

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
        upload: Upload,
        tenant: Tenant,
        device_id: DeviceId,
        device_defaults: Mapping[str, Any],
        done: Done,
    ) -> None:
        message = self._message(session, upload, tenant, device_id, device_defaults)
        self._northbound.submit(
            message, partial(self._settled, session.adapter, message, self._clock.monotonic(), done)
        )

    def _message(
        self,
        session: Session,
        upload: Upload,
        tenant: Tenant,
        device_id: DeviceId,
        device_defaults: Mapping[str, Any],
    ) -> DeviceMessage:
        properties: dict[str, Any] = {"orig_adapter": session.adapter, "orig_address": upload.orig_address}
        content_type, ttl_ms = upload.content_type, None
        if tenant.defaults or device_defaults or tenant.resource_limits is not None or upload.ttl_s is not None:
            defaults = {**tenant.defaults, **device_defaults} if self._defaults_enabled else {}
            left_out = NOT_DEFAULTS[upload.kind]
            properties = {**{name: defaults[name] for name in defaults if name not in left_out}, **properties}
            content_type = content_type or _default_content_type(defaults)
            ttl_ms = _ttl_ms(upload, tenant, defaults)
        if upload.retain:
            properties["x-opt-retain"] = True
        return DeviceMessage(
            tenant_id=tenant.tenant_id,
            device_id=device_id,
            kind=upload.kind,
            qos=upload.qos,
            payload=upload.payload,
            content_type=content_type or OCTET_STREAM,
            creation_time_ms=self._clock.now_ms(),
            ttl_ms=ttl_ms,
            properties=properties,
        )

    def _settled(
        self, adapter: str, message: DeviceMessage, started: float, done: Done, fault: Unavailable | None
    ) -> None:
        status = FORWARDED if fault is None else UNDELIVERABLE
        payload, duration = self._meters.series(adapter, message.tenant_id, message.kind, status, message.qos)
        payload.count += 1
        payload.total += len(message.payload or b"")
        duration.count += 1
        duration.total += self._clock.monotonic() - started
        done(fault)

    def _refuse(self, session: Session, upload: Upload, fault: TuhonoError, done: Done) -> None:
        tenant_id = session.tenant_id or TenantId("")
        status = UNPROCESSABLE if isinstance(fault, Refused) else UNDELIVERABLE
        payload, _ = self._meters.series(session.adapter, tenant_id, upload.kind, status, upload.qos)
        payload.observe(len(upload.payload or b""))
        done(fault)


def _addressed(session: Session, upload: Upload) -> tuple[TenantId, DeviceId]:
    """Tenant and device the upload is for. Raises ForeignTenant, AddressIncomplete."""
    if session.tenant_id is None or session.device_id is None:
        if not upload.tenant or not upload.device:
            raise AddressIncomplete("an anonymous upload names no tenant or no device")
        return TenantId(upload.tenant), DeviceId(upload.device)
    if upload.tenant and upload.tenant != session.tenant_id:
        raise ForeignTenant(f"device of tenant {session.tenant_id!r} addressed tenant {upload.tenant!r}")
    return session.tenant_id, DeviceId(upload.device) if upload.device else session.device_id


def _require_content_type(upload: Upload) -> None:
    if upload.payload:
        if upload.content_type == EMPTY_NOTIFICATION:
            raise ContentTypeMismatch(upload.content_type)
    elif not upload.content_type:
        raise ContentTypeMissing("an empty payload came without a content type")


def _default_content_type(defaults: Mapping[str, Any]) -> str | None:
    given = defaults.get("content-type")
    return given if isinstance(given, str) else None


def _ttl_ms(upload: Upload, tenant: Tenant, defaults: Mapping[str, Any]) -> int | None:
    if upload.kind is MessageKind.EVENT:
        return event_ttl_ms(tenant.resource_limits, defaults, upload.ttl_s)
    return telemetry_ttl_ms(tenant.resource_limits, defaults, upload.qos)


def _looked_up(session: Session, task: asyncio.Task[None]) -> None:
    session.waiting_count -= 1
    if session.waiting is task:
        session.waiting = None
