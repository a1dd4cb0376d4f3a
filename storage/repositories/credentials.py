"""Rows of credentials, for the repository of devices. The caller owns the transaction."""

from collections.abc import Sequence
from itertools import groupby
from typing import Any

from sqlalchemy import Connection, and_, delete, insert, select

from kernel.ids import DeviceId, TenantId
from registry.model import Credential, CredentialSet
from storage.registration import credential_taken, credentials_version
from storage.rows import CREDENTIAL_COLUMNS, credential_of, credential_row, moment_of
from storage.schema import credentials, devices

CREDENTIALS_PER_QUERY_MAX = 200

_SELECT = select(*(credentials.c[name] for name in CREDENTIAL_COLUMNS)).order_by(
    credentials.c.device_id, credentials.c.type, credentials.c.auth_id
)


def find_set(connection: Connection, tenant_id: TenantId, device_id: DeviceId) -> CredentialSet | None:
    """None where there is no such device."""
    of_device = and_(devices.c.tenant_id == tenant_id, devices.c.device_id == device_id)
    row = connection.execute(select(devices.c.credentials_version, devices.c.created).where(of_device)).first()
    if row is None:
        return None
    held = held_by(connection, tenant_id, [device_id])
    version = row.credentials_version or credentials_version(tenant_id, device_id, moment_of(row.created))
    return CredentialSet(version=version, credentials=tuple(held.get(device_id, ())))


def held_by(
    connection: Connection, tenant_id: TenantId, device_ids: Sequence[DeviceId]
) -> dict[DeviceId, list[Credential]]:
    """By device, in the order of types and auth-ids. The caller bounds how many devices it names."""
    chosen = _SELECT.where(credentials.c.tenant_id == tenant_id, credentials.c.device_id.in_(device_ids))
    held: dict[DeviceId, list[Credential]] = {}
    for row in connection.execute(chosen):
        held.setdefault(row.device_id, []).append(credential_of(row))
    return held


def replace_all(
    connection: Connection, tenant_id: TenantId, device_id: DeviceId, entries: Sequence[Credential]
) -> None:
    """Raises CredentialTaken where another device of the tenant holds one of them."""
    ours = and_(credentials.c.tenant_id == tenant_id, credentials.c.device_id == device_id)
    connection.execute(delete(credentials).where(ours))
    for start in range(0, len(entries), CREDENTIALS_PER_QUERY_MAX):
        chunk = entries[start : start + CREDENTIALS_PER_QUERY_MAX]
        _check_free(connection, tenant_id, chunk)
        connection.execute(insert(credentials), [_named(entry) for entry in chunk])


def _check_free(connection: Connection, tenant_id: TenantId, entries: Sequence[Credential]) -> None:
    for type_, same in groupby(entries, key=lambda entry: entry.type):
        of_id = {entry.auth_id: entry for entry in same}
        taken = select(credentials.c.auth_id).where(
            credentials.c.tenant_id == tenant_id, credentials.c.type == type_, credentials.c.auth_id.in_(list(of_id))
        )
        auth_id = connection.execute(taken.order_by(credentials.c.auth_id)).scalar()
        if auth_id is not None:
            raise credential_taken(of_id[auth_id])


def _named(entry: Credential) -> dict[str, Any]:
    return dict(zip(CREDENTIAL_COLUMNS, credential_row(entry), strict=True))
