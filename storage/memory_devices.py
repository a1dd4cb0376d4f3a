"""Devices and their credentials over dicts: `registry.ports.DeviceRepository`."""

from collections.abc import Callable, Sequence

from kernel.ids import DeviceId, TenantId, generate_id
from registry.audit import credentials_document, device_document
from registry.model import Credential, CredentialSet, Device
from storage.memory_search import find_device_ids, find_devices, find_groups
from storage.memory_state import DeviceKey, MemoryState, require_storable
from storage.registration import (
    check_device_version,
    check_room,
    created_device,
    credential_taken,
    credentials_version,
    device_exists,
    device_unknown,
    owned_credentials,
    replaced_device,
    switched_device,
)
from storage.tenancy import tenant_unknown
from tenant.audit import Deed, written_by
from tenant.ports import Change, ChangeKind
from tenant.search import Page, Query


class MemoryDevices:
    """`registry.ports.DeviceRepository` over dicts."""

    def __init__(self, state: MemoryState) -> None:
        self._state = state

    def find(self, tenant_id: TenantId, device_id: DeviceId) -> Device | None:
        return self._state.devices.get((tenant_id, device_id))

    def find_all(self, tenant_id: TenantId, *, after: DeviceId | None, limit: int) -> Sequence[Device]:
        ids = (device_id for holder, device_id in self._state.devices if holder == tenant_id)
        chosen = sorted(device_id for device_id in ids if after is None or device_id > after)
        return [self._state.devices[tenant_id, device_id] for device_id in chosen[:limit]]

    def search(self, tenant_id: TenantId, query: Query) -> Page[Device]:
        return find_devices(self._of(tenant_id), query)

    def find_ids(self, tenant_id: TenantId, query: Query, *, after: DeviceId | None, limit: int) -> Sequence[DeviceId]:
        return find_device_ids(self._of(tenant_id), query, after=after, limit=limit)

    def groups(
        self, tenant_id: TenantId, *, after: str | None, limit: int, members_max: int
    ) -> Sequence[tuple[str, Sequence[DeviceId]]]:
        return find_groups(self._of(tenant_id), after=after, limit=limit, members_max=members_max)

    def _of(self, tenant_id: TenantId) -> Sequence[Device]:
        return [device for (holder, _), device in self._state.devices.items() if holder == tenant_id]

    def create(self, device: Device, deed: Deed, *, devices_max: int, credentials: Sequence[Credential] = ()) -> None:
        tenant_id, device_id = key = device.tenant_id, device.device_id
        held = owned_credentials(credentials, tenant_id, device_id)
        require_storable(device_id, *(entry.auth_id for entry in held))
        if tenant_id not in self._state.tenants:
            raise tenant_unknown(tenant_id)
        if key in self._state.devices:
            raise device_exists(tenant_id, device_id)
        check_room(tenant_id, sum(1 for holder, _ in self._state.devices if holder == tenant_id), devices_max)
        self._check_free(key, held)
        stored = self._state.devices[key] = created_device(device)
        self._hold(key, held)
        self._changed(key, ChangeKind.DEVICE, enabled=stored.is_enabled)
        after = device_document(stored) | (credentials_document(held) if held else {})
        self._state.audited(written_by(deed, "device.created", *key, after=after))

    def replace(self, device: Device, deed: Deed, *, expected_version: str | None) -> None:
        before = self._get(device.tenant_id, device.device_id)
        check_device_version(before.device_id, before.version, expected_version)
        self._update(before, replaced_device(device, before), deed)

    def set_enabled(
        self, tenant_id: TenantId, device_ids: Sequence[DeviceId], deed: Deed, *, enabled: bool
    ) -> Sequence[DeviceId]:
        present = self._present(tenant_id, device_ids)
        for before in present:
            self._update(before, switched_device(before, deed, enabled=enabled), deed)
        return [device.device_id for device in present]

    def delete(self, tenant_id: TenantId, device_id: DeviceId, deed: Deed, *, expected_version: str | None) -> None:
        if (tenant_id, device_id) not in self._state.devices and expected_version is None:
            if tenant_id in self._state.deleted_tenants:
                return  # it went with its tenant
        device = self._get(tenant_id, device_id)
        check_device_version(device_id, device.version, expected_version)
        self._delete(device, deed)

    def delete_many(self, tenant_id: TenantId, device_ids: Sequence[DeviceId], deed: Deed) -> Sequence[DeviceId]:
        present = self._present(tenant_id, device_ids)
        for device in present:
            self._delete(device, deed)
        return [device.device_id for device in present]

    def delete_all(self, tenant_id: TenantId, deed: Deed) -> int:
        keys = [key for key in self._state.devices if key[0] == tenant_id]
        if keys:
            for key in keys:
                self._state.drop_device(key)
            self._state.changed(Change(kind=ChangeKind.DEVICES_DELETED, tenant_id=tenant_id))
            self._state.audited(written_by(deed, "devices.deleted", tenant_id, facts={"devices": str(len(keys))}))
        return len(keys)

    def find_credentials(self, tenant_id: TenantId, device_id: DeviceId) -> CredentialSet | None:
        device = self._state.devices.get((tenant_id, device_id))
        if device is None:
            return None
        key = tenant_id, device_id
        derived = credentials_version(tenant_id, device_id, device.status.created)
        version = self._state.credentials_versions.get(key, derived)
        return CredentialSet(version=version, credentials=self._state.held_by(key))

    def replace_credentials(
        self,
        tenant_id: TenantId,
        device_id: DeviceId,
        change: Callable[[CredentialSet], Sequence[Credential]],
        deed: Deed,
        *,
        expected_version: str | None,
    ) -> str:
        key = tenant_id, device_id
        before = self.find_credentials(tenant_id, device_id)
        if before is None:
            raise device_unknown(tenant_id, device_id)
        check_device_version(device_id, before.version, expected_version, what="the set of credentials of device")
        held = owned_credentials(change(before), tenant_id, device_id)
        require_storable(*(entry.auth_id for entry in held))
        self._check_free(key, held)
        for entry in before.credentials:
            del self._state.credentials[tenant_id, entry.type, entry.auth_id]
        self._hold(key, held)
        self._changed(key, ChangeKind.CREDENTIAL)
        was, is_now = credentials_document(before.credentials), credentials_document(held, before.credentials)
        self._state.audited(written_by(deed, "credentials.updated", *key, before=was, after=is_now))
        return self._state.credentials_versions[key]

    def _get(self, tenant_id: TenantId, device_id: DeviceId) -> Device:
        device = self._state.devices.get((tenant_id, device_id))
        if device is None:
            raise device_unknown(tenant_id, device_id)
        return device

    def _present(self, tenant_id: TenantId, device_ids: Sequence[DeviceId]) -> list[Device]:
        named = ((tenant_id, device_id) for device_id in sorted(set(device_ids)))
        return [self._state.devices[key] for key in named if key in self._state.devices]

    def _check_free(self, key: DeviceKey, held: Sequence[Credential]) -> None:
        for entry in held:
            other = self._state.credentials.get((entry.tenant_id, entry.type, entry.auth_id))
            if other is not None and (other.tenant_id, other.device_id) != key:
                raise credential_taken(entry)

    def _hold(self, key: DeviceKey, held: Sequence[Credential]) -> None:
        for entry in held:
            self._state.credentials[entry.tenant_id, entry.type, entry.auth_id] = entry
        self._state.credentials_versions[key] = generate_id()

    def _update(self, before: Device, after: Device, deed: Deed) -> None:
        key = after.tenant_id, after.device_id
        self._state.devices[key] = after
        self._changed(key, ChangeKind.DEVICE, enabled=after.is_enabled)
        was, is_now = device_document(before), device_document(after, before)
        self._state.audited(written_by(deed, "device.updated", *key, before=was, after=is_now))

    def _delete(self, device: Device, deed: Deed) -> None:
        key = device.tenant_id, device.device_id
        held = self._state.held_by(key)
        self._state.drop_device(key)
        self._changed(key, ChangeKind.DEVICE_DELETED)
        document = device_document(device) | (credentials_document(held) if held else {})
        self._state.audited(written_by(deed, "device.deleted", *key, before=document))

    def _changed(self, key: DeviceKey, kind: ChangeKind, *, enabled: bool | None = None) -> None:
        self._state.changed(Change(kind=kind, tenant_id=key[0], device_id=key[1], enabled=enabled))
