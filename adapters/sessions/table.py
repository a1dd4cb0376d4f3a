"""Every live session of this process, and which of them a change must end.

Follows the change feed: what an operator disables or deletes loses its connections without waiting for
their next message; so does a session whose own credential no longer lets it in. What a device says of its messages
(`defaults`) is taken anew where the device has changed.
"""

import logging
from collections.abc import Callable, Iterable, Sequence

from adapters.sessions.errors import ChangesMissed, TrustWithdrawn
from adapters.sessions.session import Session
from kernel.errors import TuhonoError
from kernel.ids import DeviceId, TenantId
from kernel.log import fields
from registry.errors import DeviceDisabled, DeviceUnknown, StorageUnavailable
from registry.standing import Standing
from tenant.errors import AdapterDisabled, TenantDisabled, TenantUnknown
from tenant.model import Tenant
from tenant.ports import Change, ChangeFeed, ChangeKind

log = logging.getLogger(__name__)


class SessionTable:
    """Sessions by tenant and device. As large as the listeners' `connections_max` allow; on the loop only."""

    def __init__(self, *, feed: ChangeFeed, standing: Standing) -> None:
        self._standing = standing
        self._by_tenant: dict[TenantId, dict[DeviceId, set[Session]]] = {}
        self._count = 0
        self._watchers: list[Callable[[Session], None]] = []
        feed.subscribe(self._follow)

    def __len__(self) -> int:
        return self._count

    def watch(self, watcher: Callable[[Session], None]) -> None:
        """Have it told of every session that was added or removed just now. It raises nothing."""
        self._watchers.append(watcher)

    def add(self, session: Session) -> None:
        """Anonymous sessions are not kept: nothing can be told about them."""
        if session.tenant_id is None or session.device_id is None:
            return
        devices = self._by_tenant.setdefault(session.tenant_id, {})
        devices.setdefault(session.device_id, set()).add(session)
        self._count += 1
        for watcher in self._watchers:
            watcher(session)

    def remove(self, session: Session) -> None:
        """Safe to repeat."""
        if session.tenant_id is None or session.device_id is None:
            return
        devices = self._by_tenant.get(session.tenant_id, {})
        sessions = devices.get(session.device_id, set())
        if session not in sessions:
            return
        sessions.remove(session)
        self._count -= 1
        if not sessions:
            del devices[session.device_id]
        if not devices:
            del self._by_tenant[session.tenant_id]
        for watcher in self._watchers:
            watcher(session)

    def of_device(self, tenant_id: TenantId, device_id: DeviceId) -> tuple[Session, ...]:
        return tuple(self._by_tenant.get(tenant_id, {}).get(device_id, ()))

    def of_tenant(self, tenant_id: TenantId) -> tuple[Session, ...]:
        devices = self._by_tenant.get(tenant_id, {})
        return tuple(session for sessions in devices.values() for session in sessions)

    def all(self) -> Sequence[Session]:
        """Those there are now."""
        return [session for tenant_id in self._by_tenant for session in self.of_tenant(tenant_id)]

    def _end_all(self, reason: TuhonoError) -> None:
        for tenant_id in list(self._by_tenant):
            self._end(self.of_tenant(tenant_id), reason)

    def _follow(self, change: Change) -> None:
        if change.kind is ChangeKind.RESET:
            self._end_all(ChangesMissed("changes were missed; connecting again tells what holds"))
            return
        tenant_id = change.tenant_id
        if tenant_id is None or tenant_id not in self._by_tenant:
            return
        match change.kind:
            case ChangeKind.TENANT_DELETED:
                self._end(self.of_tenant(tenant_id), TenantUnknown(f"tenant {tenant_id!r} was deleted"))
            case ChangeKind.TENANT if change.tenant is not None:
                self._follow_tenant(change.tenant)
            case ChangeKind.ANCHOR_REMOVED:
                vouched = [s for s in self.of_tenant(tenant_id) if s.anchor_id == change.anchor_id]
                self._end(vouched, TrustWithdrawn(f"trust anchor {change.anchor_id!r} was removed"))
            case ChangeKind.DEVICES_DELETED:
                self._end(self.of_tenant(tenant_id), DeviceUnknown(f"all devices of tenant {tenant_id!r} were deleted"))
            case ChangeKind.DEVICE_DELETED if change.device_id is not None:
                self._end(self.of_device(tenant_id, change.device_id), DeviceUnknown("device was deleted"))
            case ChangeKind.DEVICE if change.enabled is False and change.device_id is not None:
                self._end(self.of_device(tenant_id, change.device_id), DeviceDisabled("device was disabled"))
            case ChangeKind.DEVICE if change.device_id is not None:
                self._refresh(tenant_id, change.device_id)
            case ChangeKind.CREDENTIAL if change.device_id is not None:
                self._look_into(self.of_device(tenant_id, change.device_id))
            case _:
                pass

    def _follow_tenant(self, tenant: Tenant) -> None:
        sessions = self.of_tenant(tenant.tenant_id)
        if not tenant.is_enabled:
            self._end(sessions, TenantDisabled(f"tenant {tenant.tenant_id!r} was disabled"))
            return
        barred = [session for session in sessions if not tenant.allows_adapter(session.adapter)]
        self._end(barred, AdapterDisabled(f"tenant {tenant.tenant_id!r} no longer allows the adapter"))

    def _refresh(self, tenant_id: TenantId, device_id: DeviceId) -> None:
        sessions = self.of_device(tenant_id, device_id)
        if not sessions:
            return
        try:
            device = self._standing.find_device(tenant_id, device_id)
        except StorageUnavailable as fault:
            self._end(sessions, ChangesMissed(f"the device was changed and could not be looked at: {fault}"))
            return
        if device is not None:  # else its deletion follows
            for session in sessions:
                session.defaults = device.defaults

    def _look_into(self, sessions: Iterable[Session]) -> None:
        """End those that their credential would not let in any more."""
        for session in sessions:
            if session.tenant_id is None or session.device_id is None or session.auth_id is None:
                continue
            reason: TuhonoError | None
            try:
                reason = self._standing.refusal_of(
                    session.tenant_id, session.device_id, session.credential_type, session.auth_id, session.proof
                )
            except StorageUnavailable as fault:
                reason = ChangesMissed(f"the credentials were changed and could not be looked at: {fault}")
            if reason is not None:
                self._end((session,), reason)

    def _end(self, sessions: Iterable[Session], reason: TuhonoError) -> None:
        for session in sessions:
            self.remove(session)
            session.ended = reason
            log.info(
                "session.ended",
                extra=fields(
                    code=reason.code, tenant_id=session.tenant_id, device_id=session.device_id, adapter=session.adapter
                ),
            )
            try:
                session.end(reason)
            except Exception:  # a defect of one shell must not keep the others' devices connected
                log.exception("session.end-failed", extra=fields(adapter=session.adapter, remote=session.remote))
