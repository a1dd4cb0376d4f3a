"""Devices and their credentials for administration.

Whatever may touch many devices does so in transactions of a bounded size: while one lasts, every connecting device
waits for its turn to write.
"""

from collections.abc import Callable, Iterator, Sequence
from typing import Any

from sqlalchemy import Connection, Engine, and_, bindparam, delete, insert, select, update
from sqlalchemy import Row as SqlRow

from kernel.ids import DeviceId, TenantId, generate_id
from registry.audit import credentials_document, device_document
from registry.model import Credential, CredentialSet, Device
from storage.registration import (
    check_device_version,
    check_room,
    created_device,
    device_exists,
    device_unknown,
    owned_credentials,
    replaced_device,
    switched_device,
)
from storage.repositories import credentials as credential_rows
from storage.repositories.audit_writer import AuditWriter
from storage.repositories.changes import ChangeWriter
from storage.repositories.engine import reading, writing
from storage.repositories.search import find_device_ids, find_groups, search_devices
from storage.rows import DEVICE_COLUMNS, device_of, device_row
from storage.schema import deleted_tenants, device_counts, devices, tenants
from storage.tenancy import tenant_unknown
from tenant.audit import AuditRow, Deed, written_by
from tenant.search import Page, Query

DELETE_BATCH_DEVICES = 500
IDS_PER_QUERY_MAX = 500

_SELECT_DEVICES = select(*(devices.c[name] for name in DEVICE_COLUMNS))
_UPDATE = (
    update(devices)
    .where(devices.c.tenant_id == bindparam("of_tenant"), devices.c.device_id == bindparam("of_device"))
    .values({name: bindparam(name) for name in DEVICE_COLUMNS})
)


class SqlDevices:
    """`registry.ports.DeviceRepository` on a SQL database."""

    def __init__(self, *, engine: Engine, changes: ChangeWriter, audit: AuditWriter) -> None:
        self._engine = engine
        self._changes = changes
        self._audit = audit

    def find(self, tenant_id: TenantId, device_id: DeviceId) -> Device | None:
        with reading(self._engine) as connection:
            return _find(connection, tenant_id, device_id)

    def find_all(self, tenant_id: TenantId, *, after: DeviceId | None, limit: int) -> Sequence[Device]:
        with reading(self._engine) as connection:
            return _page(connection, tenant_id, after, limit)

    def search(self, tenant_id: TenantId, query: Query) -> Page[Device]:
        with reading(self._engine) as connection:
            total, rows = search_devices(connection, tenant_id, query)
        return Page(total=total, found=[device_of(row) for row in rows])

    def find_ids(self, tenant_id: TenantId, query: Query, *, after: DeviceId | None, limit: int) -> Sequence[DeviceId]:
        with reading(self._engine) as connection:
            return find_device_ids(connection, tenant_id, query, after=after, limit=limit)

    def groups(
        self, tenant_id: TenantId, *, after: str | None, limit: int, members_max: int
    ) -> Sequence[tuple[str, Sequence[DeviceId]]]:
        with reading(self._engine) as connection:
            return find_groups(connection, tenant_id, after=after, limit=limit, members_max=members_max)

    def create(self, device: Device, deed: Deed, *, devices_max: int, credentials: Sequence[Credential] = ()) -> None:
        tenant_id, device_id = device.tenant_id, device.device_id
        stored = created_device(device)
        held = owned_credentials(credentials, tenant_id, device_id)
        with writing(self._engine) as connection:
            if connection.execute(select(tenants.c.tenant_id).where(tenants.c.tenant_id == tenant_id)).first() is None:
                raise tenant_unknown(tenant_id)
            if _find(connection, tenant_id, device_id) is not None:
                raise device_exists(tenant_id, device_id)
            check_room(tenant_id, _count(connection, tenant_id), devices_max)
            connection.execute(insert(devices).values(**_named(stored), credentials_version=generate_id()))
            credential_rows.replace_all(connection, tenant_id, device_id, held)
            _add_to_count(connection, tenant_id, 1)
            self._changes.device_changed(connection, tenant_id, device_id, enabled=stored.is_enabled)
            after = device_document(stored) | (credentials_document(held) if held else {})
            self._audit.write(connection, written_by(deed, "device.created", tenant_id, device_id, after=after))

    def replace(self, device: Device, deed: Deed, *, expected_version: str | None) -> None:
        tenant_id, device_id = device.tenant_id, device.device_id
        with writing(self._engine) as connection:
            before = _find(connection, tenant_id, device_id)
            if before is None:
                raise device_unknown(tenant_id, device_id)
            check_device_version(device_id, before.version, expected_version)
            self._update(connection, [(before, replaced_device(device, before))], deed)
            self._changes.device_changed(connection, tenant_id, device_id, enabled=device.is_enabled)

    def set_enabled(
        self, tenant_id: TenantId, device_ids: Sequence[DeviceId], deed: Deed, *, enabled: bool
    ) -> Sequence[DeviceId]:
        found: list[DeviceId] = []
        with writing(self._engine) as connection:
            for present in _of_ids(connection, tenant_id, device_ids):
                edits = [(before, switched_device(before, deed, enabled=enabled)) for before in present]
                self._update(connection, edits, deed)
                changed = [device.device_id for device in present]
                self._changes.devices_changed(connection, tenant_id, changed, enabled=enabled)
                found += changed
        return found

    def delete(self, tenant_id: TenantId, device_id: DeviceId, deed: Deed, *, expected_version: str | None) -> None:
        with writing(self._engine) as connection:
            device = _find(connection, tenant_id, device_id)
            if device is None:
                if expected_version is None and _is_deleted(connection, tenant_id):
                    return  # it went with its tenant
                raise device_unknown(tenant_id, device_id)
            check_device_version(device_id, device.version, expected_version)
            self._delete(connection, [device], deed)

    def delete_many(self, tenant_id: TenantId, device_ids: Sequence[DeviceId], deed: Deed) -> Sequence[DeviceId]:
        found: list[DeviceId] = []
        with writing(self._engine) as connection:
            for present in _of_ids(connection, tenant_id, device_ids):
                self._delete(connection, present, deed)
                found += [device.device_id for device in present]
        return found

    def delete_all(self, tenant_id: TenantId, deed: Deed) -> int:
        """Goes through the ids once, so that it ends however many devices register meanwhile. One audit row tells of
        all of it; at any moment it says how many are gone.
        """
        removed, position = 0, 0
        after: DeviceId | None = None
        while True:
            with writing(self._engine) as connection:
                batch = _ids_behind(connection, tenant_id, after)
                if not batch:
                    return removed
                _remove(connection, tenant_id, batch)
                removed += len(batch)
                facts = {"devices": str(removed)}
                if position:
                    self._audit.set_facts(connection, position, facts)
                else:
                    row = written_by(deed, "devices.deleted", tenant_id, facts=facts)
                    position = self._audit.write(connection, row)
                # With every batch: a device of this one may have connected since the last.
                self._changes.all_devices_deleted(connection, tenant_id)
            after = batch[-1]

    def find_credentials(self, tenant_id: TenantId, device_id: DeviceId) -> CredentialSet | None:
        with reading(self._engine) as connection:
            return credential_rows.find_set(connection, tenant_id, device_id)

    def replace_credentials(
        self,
        tenant_id: TenantId,
        device_id: DeviceId,
        change: Callable[[CredentialSet], Sequence[Credential]],
        deed: Deed,
        *,
        expected_version: str | None,
    ) -> str:
        with writing(self._engine) as connection:
            before = credential_rows.find_set(connection, tenant_id, device_id)
            if before is None:
                raise device_unknown(tenant_id, device_id)
            check_device_version(device_id, before.version, expected_version, what="the set of credentials of device")
            held = owned_credentials(change(before), tenant_id, device_id)
            credential_rows.replace_all(connection, tenant_id, device_id, held)
            version = generate_id()
            connection.execute(update(devices).where(_is(tenant_id, device_id)).values(credentials_version=version))
            self._changes.credentials_changed(connection, tenant_id, device_id)
            was, is_now = credentials_document(before.credentials), credentials_document(held, before.credentials)
            row = written_by(deed, "credentials.updated", tenant_id, device_id, before=was, after=is_now)
            self._audit.write(connection, row)
        return version

    def _update(self, connection: Connection, edits: Sequence[tuple[Device, Device]], deed: Deed) -> None:
        """Each device in place of what it was, with its audit row."""
        connection.execute(
            _UPDATE,
            [{"of_tenant": after.tenant_id, "of_device": after.device_id, **_named(after)} for _, after in edits],
        )
        rows: list[AuditRow] = []
        for before, after in edits:
            tenant_id, device_id = after.tenant_id, after.device_id
            was, is_now = device_document(before), device_document(after, before)
            rows.append(written_by(deed, "device.updated", tenant_id, device_id, before=was, after=is_now))
        self._audit.write_all(connection, rows)

    def _delete(self, connection: Connection, present: Sequence[Device], deed: Deed) -> None:
        """Devices of one tenant, with their credentials and audit rows."""
        tenant_id, device_ids = present[0].tenant_id, [device.device_id for device in present]
        held = credential_rows.held_by(connection, tenant_id, device_ids)
        _remove(connection, tenant_id, device_ids)
        self._changes.devices_deleted(connection, tenant_id, device_ids)
        rows: list[AuditRow] = []
        for device in present:
            own = held.get(device.device_id)
            document = device_document(device) | (credentials_document(own) if own else {})
            rows.append(written_by(deed, "device.deleted", tenant_id, device.device_id, before=document))
        self._audit.write_all(connection, rows)


def _is(tenant_id: TenantId, device_id: DeviceId) -> Any:
    return and_(devices.c.tenant_id == tenant_id, devices.c.device_id == device_id)


def _find(connection: Connection, tenant_id: TenantId, device_id: DeviceId) -> Device | None:
    row: SqlRow[Any] | None = connection.execute(_SELECT_DEVICES.where(_is(tenant_id, device_id))).first()
    return None if row is None else device_of(row)


def _page(connection: Connection, tenant_id: TenantId, after: DeviceId | None, limit: int) -> list[Device]:
    chosen = _SELECT_DEVICES.where(devices.c.tenant_id == tenant_id).order_by(devices.c.device_id).limit(limit)
    if after is not None:
        chosen = chosen.where(devices.c.device_id > after)
    return [device_of(row) for row in connection.execute(chosen)]


def _ids_behind(connection: Connection, tenant_id: TenantId, after: DeviceId | None) -> list[DeviceId]:
    chosen = select(devices.c.device_id).where(devices.c.tenant_id == tenant_id)
    if after is not None:
        chosen = chosen.where(devices.c.device_id > after)
    return list(connection.execute(chosen.order_by(devices.c.device_id).limit(DELETE_BATCH_DEVICES)).scalars())


def _of_ids(connection: Connection, tenant_id: TenantId, device_ids: Sequence[DeviceId]) -> Iterator[list[Device]]:
    """Those on record, in the order of ids, some at a time and never none."""
    named = sorted(set(device_ids))
    for start in range(0, len(named), IDS_PER_QUERY_MAX):
        chosen = _SELECT_DEVICES.where(
            devices.c.tenant_id == tenant_id, devices.c.device_id.in_(named[start : start + IDS_PER_QUERY_MAX])
        )
        present = [device_of(row) for row in connection.execute(chosen.order_by(devices.c.device_id))]
        if present:
            yield present


def _remove(connection: Connection, tenant_id: TenantId, device_ids: Sequence[DeviceId]) -> None:
    """Devices that are there, with their credentials. At most IDS_PER_QUERY_MAX."""
    connection.execute(delete(devices).where(devices.c.tenant_id == tenant_id, devices.c.device_id.in_(device_ids)))
    _add_to_count(connection, tenant_id, -len(device_ids))


def _is_deleted(connection: Connection, tenant_id: TenantId) -> bool:
    remembered = select(deleted_tenants.c.position).where(deleted_tenants.c.tenant_id == tenant_id)
    return connection.execute(remembered).first() is not None


def _count(connection: Connection, tenant_id: TenantId) -> int:
    count = connection.execute(select(device_counts.c.devices).where(device_counts.c.tenant_id == tenant_id)).scalar()
    return 0 if count is None else int(count)


def _add_to_count(connection: Connection, tenant_id: TenantId, added: int) -> None:
    """Nothing for a tenant that is not there: its count is taken when it is created."""
    ours = device_counts.c.tenant_id == tenant_id
    connection.execute(update(device_counts).where(ours).values(devices=device_counts.c.devices + added))


def _named(device: Device) -> dict[str, Any]:
    return dict(zip(DEVICE_COLUMNS, device_row(device), strict=True))
