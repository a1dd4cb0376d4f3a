"""Devices and their credentials for administration."""

from collections.abc import Sequence
from datetime import datetime
from typing import Any

from sqlalchemy import Connection, Engine, Row, and_, delete, insert, select, update

from kernel.ids import DeviceId, TenantId, generate_id
from registry.errors import DeviceUnknown
from registry.model import Credential, Device
from storage.errors import CredentialTaken
from storage.repositories.changes import ChangeWriter
from storage.repositories.engine import reading, writing
from storage.rows import (
    CREDENTIAL_COLUMNS,
    DEVICE_COLUMNS,
    credential_of,
    credential_row,
    device_of,
    device_row,
    micros,
)
from storage.schema import credentials, device_counts, devices

_SELECT_DEVICES = select(*(devices.c[name] for name in DEVICE_COLUMNS))
_SELECT_CREDENTIALS = select(*(credentials.c[name] for name in CREDENTIAL_COLUMNS))


class SqlDevices:
    """`registry.ports.DeviceRepository` on a SQL database."""

    def __init__(self, *, engine: Engine, changes: ChangeWriter) -> None:
        self._engine = engine
        self._changes = changes

    def find(self, tenant_id: TenantId, device_id: DeviceId) -> Device | None:
        with reading(self._engine) as connection:
            row = _find(connection, tenant_id, device_id)
        return None if row is None else device_of(row)

    def find_all(self, tenant_id: TenantId, *, after: DeviceId | None, limit: int) -> Sequence[Device]:
        chosen = _SELECT_DEVICES.where(devices.c.tenant_id == tenant_id).order_by(devices.c.device_id).limit(limit)
        if after is not None:
            chosen = chosen.where(devices.c.device_id > after)
        with reading(self._engine) as connection:
            return [device_of(row) for row in connection.execute(chosen)]

    def credentials_of(self, tenant_id: TenantId, device_id: DeviceId) -> Sequence[Credential]:
        held = _SELECT_CREDENTIALS.where(
            credentials.c.tenant_id == tenant_id, credentials.c.device_id == device_id
        ).order_by(credentials.c.type, credentials.c.auth_id)
        with reading(self._engine) as connection:
            return [credential_of(row) for row in connection.execute(held)]

    def put(self, device: Device, credentials: Sequence[Credential] = ()) -> None:
        """Write device and credentials in place of what was on record of it. Raises CredentialTaken."""
        tenant_id, device_id = device.tenant_id, device.device_id
        with writing(self._engine) as connection:
            known = _find(connection, tenant_id, device_id) is not None
            values = dict(zip(DEVICE_COLUMNS, device_row(device), strict=True))
            if known:
                connection.execute(update(devices).where(_is(tenant_id, device_id)).values(values))
                self._changes.device_changed(connection, tenant_id, device_id, enabled=device.is_enabled)
                self._changes.credentials_changed(connection, tenant_id, device_id)
            else:
                connection.execute(insert(devices).values(values))
                _add_to_count(connection, tenant_id, 1)
            _put_credentials(connection, device, credentials)

    def set_enabled(self, tenant_id: TenantId, device_id: DeviceId, *, enabled: bool, moment: datetime) -> None:
        change = update(devices).where(_is(tenant_id, device_id))
        with writing(self._engine) as connection:
            changed = connection.execute(
                change.values(enabled=enabled, updated=micros(moment), version=generate_id())
            ).rowcount
            if not changed:
                raise _unknown(tenant_id, device_id)
            self._changes.device_changed(connection, tenant_id, device_id, enabled=enabled)

    def delete(self, tenant_id: TenantId, device_id: DeviceId) -> None:
        with writing(self._engine) as connection:
            if not connection.execute(delete(devices).where(_is(tenant_id, device_id))).rowcount:
                raise _unknown(tenant_id, device_id)
            _add_to_count(connection, tenant_id, -1)
            self._changes.device_deleted(connection, tenant_id, device_id)


def _is(tenant_id: TenantId, device_id: DeviceId) -> Any:
    return and_(devices.c.tenant_id == tenant_id, devices.c.device_id == device_id)


def _find(connection: Connection, tenant_id: TenantId, device_id: DeviceId) -> Row[Any] | None:
    return connection.execute(_SELECT_DEVICES.where(_is(tenant_id, device_id))).first()


def _add_to_count(connection: Connection, tenant_id: TenantId, added: int) -> None:
    """Nothing for a tenant that is not there: its count is taken when it is created."""
    ours = device_counts.c.tenant_id == tenant_id
    connection.execute(update(device_counts).where(ours).values(devices=device_counts.c.devices + added))


def _put_credentials(connection: Connection, device: Device, held: Sequence[Credential]) -> None:
    connection.execute(
        delete(credentials).where(
            credentials.c.tenant_id == device.tenant_id, credentials.c.device_id == device.device_id
        )
    )
    for entry in held:
        taken = select(credentials.c.device_id).where(
            credentials.c.tenant_id == device.tenant_id,
            credentials.c.type == entry.type,
            credentials.c.auth_id == entry.auth_id,
        )
        if connection.execute(taken).first() is not None:
            raise CredentialTaken(f"{entry.type} {entry.auth_id!r} belongs to another device")
        connection.execute(
            insert(credentials).values(dict(zip(CREDENTIAL_COLUMNS, credential_row(entry), strict=True)))
        )


def _unknown(tenant_id: TenantId, device_id: DeviceId) -> DeviceUnknown:
    return DeviceUnknown(f"tenant {tenant_id!r} has no device {device_id!r}")
