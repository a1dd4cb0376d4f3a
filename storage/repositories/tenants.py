"""Tenants for administration.

A tenant is deleted at once, its devices after it in batches: a transaction that removes a million
devices would keep every connecting device waiting. Which tenants are still to be purged is on record,
so a purge that was cut short is finished by the next start, or before an id is used again. The tenants deleted
last are remembered until their id is used again: deleting a device that went with one of them is no error.
"""

import logging
from collections.abc import Sequence
from typing import Any

from sqlalchemy import ColumnElement, Connection, Engine, delete, func, insert, or_, select, update

from kernel.ids import TenantId
from kernel.log import fields
from registry.errors import StorageUnavailable
from storage.registration import DELETED_TENANTS_MAX
from storage.repositories.audit_writer import AuditWriter
from storage.repositories.changes import ChangeWriter
from storage.repositories.engine import reading, writing
from storage.repositories.search import search_tenants
from storage.rows import Row
from storage.rows_tenant import ANCHOR_COLUMNS, TENANT_COLUMNS, anchor_of, anchor_row, tenant_of, tenant_row
from storage.schema import deleted_tenants, device_counts, devices, purges, tenants, trust_anchors
from storage.tenancy import (
    alias_taken,
    anchor_taken,
    anchors_gone,
    check_anchors_differ,
    check_version,
    tenant_exists,
    tenant_unknown,
    versioned,
)
from tenant.audit import Deed, tenant_document, written_by
from tenant.model import Tenant, TrustAnchor
from tenant.search import Page, Query

log = logging.getLogger(__name__)

PURGE_BATCH_DEVICES = 1000
NAMES_PER_QUERY_MAX = 500

_SELECT_TENANTS = select(*(tenants.c[name] for name in TENANT_COLUMNS))
_SELECT_ANCHORS = select(*(trust_anchors.c[name] for name in ANCHOR_COLUMNS))


class SqlTenants:
    """`tenant.ports.TenantRepository` on a SQL database."""

    def __init__(self, *, engine: Engine, changes: ChangeWriter, audit: AuditWriter) -> None:
        self._engine = engine
        self._changes = changes
        self._audit = audit

    def create(self, tenant: Tenant, deed: Deed) -> None:
        check_anchors_differ(tenant)
        self._purge(tenant.tenant_id)
        with writing(self._engine) as connection:
            while _purge_batch(connection, tenant.tenant_id):  # what came between, if anything did
                pass
            if _is_name(connection, tenant.tenant_id):
                raise tenant_exists(tenant.tenant_id)
            _check_free(connection, tenant)
            stored = versioned(tenant)
            connection.execute(insert(tenants).values(_named(TENANT_COLUMNS, tenant_row(stored))))
            _insert_anchors(connection, stored)
            _count_devices(connection, tenant.tenant_id)
            _forget_deletion(connection, tenant.tenant_id)
            self._changes.tenant_changed(connection, tenant.tenant_id)
            row = written_by(deed, "tenant.created", tenant.tenant_id, after=tenant_document(stored))
            self._audit.write(connection, row)

    def find(self, tenant_id: TenantId) -> Tenant | None:
        with reading(self._engine) as connection:
            return _find(connection, tenant_id)

    def find_all(self, *, after: TenantId | None, limit: int) -> Sequence[Tenant]:
        chosen = _SELECT_TENANTS.order_by(tenants.c.tenant_id).limit(limit)
        if after is not None:
            chosen = chosen.where(tenants.c.tenant_id > after)
        with reading(self._engine) as connection:
            rows = connection.execute(chosen).all()
            if not rows:
                return []
            within = trust_anchors.c.tenant_id.between(rows[0].tenant_id, rows[-1].tenant_id)
            anchors = _anchors(connection, within)
        return [tenant_of(row, anchors.get(row.tenant_id, [])) for row in rows]

    def search(self, query: Query) -> Page[Tenant]:
        with reading(self._engine) as connection:
            total, rows = search_tenants(connection, query)
            ids = [row[0] for row in rows]
            anchors = _anchors(connection, trust_anchors.c.tenant_id.in_(ids)) if ids else {}
        return Page(total=total, found=[tenant_of(row, anchors.get(row[0], [])) for row in rows])

    def replace(self, tenant: Tenant, deed: Deed, *, expected_version: str | None) -> None:
        check_anchors_differ(tenant)
        with writing(self._engine) as connection:
            before = _get(connection, tenant.tenant_id)
            check_version(tenant.tenant_id, before.version, expected_version)
            _check_free(connection, tenant)
            stored = versioned(tenant, before)
            ours = tenants.c.tenant_id == tenant.tenant_id
            connection.execute(update(tenants).where(ours).values(_named(TENANT_COLUMNS, tenant_row(stored))))
            connection.execute(delete(trust_anchors).where(trust_anchors.c.tenant_id == tenant.tenant_id))
            _insert_anchors(connection, stored)
            self._changes.tenant_changed(connection, tenant.tenant_id)
            gone = anchors_gone(before.trust_anchors, stored.trust_anchors)
            self._changes.anchors_removed(connection, tenant.tenant_id, gone)
            was, is_now = tenant_document(before), tenant_document(stored)
            row = written_by(deed, "tenant.updated", tenant.tenant_id, before=was, after=is_now)
            self._audit.write(connection, row)

    def delete(self, tenant_id: TenantId, deed: Deed, *, expected_version: str | None) -> None:
        with writing(self._engine) as connection:
            before = _get(connection, tenant_id)
            check_version(tenant_id, before.version, expected_version)
            connection.execute(delete(tenants).where(tenants.c.tenant_id == tenant_id))
            connection.execute(delete(device_counts).where(device_counts.c.tenant_id == tenant_id))
            connection.execute(delete(purges).where(purges.c.tenant_id == tenant_id))
            connection.execute(insert(purges).values(tenant_id=tenant_id))
            _remember_deletion(connection, tenant_id)
            self._changes.anchors_removed(connection, tenant_id, anchors_gone(before.trust_anchors, ()))
            self._changes.tenant_deleted(connection, tenant_id)
            self._audit.write(connection, written_by(deed, "tenant.deleted", tenant_id, before=tenant_document(before)))
        try:
            self._purge(tenant_id)
        except StorageUnavailable as fault:  # the tenant is deleted all the same; `purges` holds what is left to do
            log.warning("tenant.purge-postponed", extra=fields(tenant=tenant_id, reason=str(fault)))

    def finish_purges(self) -> None:
        """Remove the devices of tenants whose deletion was cut short."""
        with reading(self._engine) as connection:
            unfinished = connection.execute(select(purges.c.tenant_id)).scalars().all()
        for tenant_id in unfinished:
            self._purge(TenantId(tenant_id))

    def _purge(self, tenant_id: TenantId) -> None:
        more = True
        while more:
            with writing(self._engine) as connection:
                more = _purge_batch(connection, tenant_id)


def _purge_batch(connection: Connection, tenant_id: TenantId) -> bool:
    """Whether there may be more to remove. Does nothing unless the tenant is to be purged."""
    if connection.execute(select(purges).where(purges.c.tenant_id == tenant_id)).first() is None:
        return False
    ours = devices.c.tenant_id == tenant_id
    batch = select(devices.c.device_id).where(ours).order_by(devices.c.device_id).limit(PURGE_BATCH_DEVICES)
    removed = connection.execute(delete(devices).where(ours, devices.c.device_id.in_(batch))).rowcount
    if removed == PURGE_BATCH_DEVICES:
        return True
    connection.execute(delete(purges).where(purges.c.tenant_id == tenant_id))
    return False


def _find(connection: Connection, tenant_id: TenantId) -> Tenant | None:
    row = connection.execute(_SELECT_TENANTS.where(tenants.c.tenant_id == tenant_id)).first()
    if row is None:
        return None
    return tenant_of(row, _anchors(connection, trust_anchors.c.tenant_id == tenant_id).get(tenant_id, []))


def _get(connection: Connection, tenant_id: TenantId) -> Tenant:
    tenant = _find(connection, tenant_id)
    if tenant is None:
        raise tenant_unknown(tenant_id)
    return tenant


def _anchors(connection: Connection, condition: ColumnElement[bool]) -> dict[TenantId, list[TrustAnchor]]:
    """By tenant, each in the tenant's own order."""
    chosen = _SELECT_ANCHORS.where(condition).order_by(trust_anchors.c.tenant_id, trust_anchors.c.ordinal)
    found: dict[TenantId, list[TrustAnchor]] = {}
    for row in connection.execute(chosen):
        found.setdefault(row.tenant_id, []).append(anchor_of(row))
    return found


def _insert_anchors(connection: Connection, tenant: Tenant) -> None:
    rows = [_named(ANCHOR_COLUMNS, anchor_row(anchor, ordinal)) for ordinal, anchor in enumerate(tenant.trust_anchors)]
    if rows:
        connection.execute(insert(trust_anchors), rows)


def _is_name(connection: Connection, tenant_id: TenantId) -> bool:
    """Whether the id is that of a tenant, or the alias of one: devices name tenants by either."""
    named_so = or_(tenants.c.tenant_id == tenant_id, tenants.c.alias == tenant_id)
    return connection.execute(select(tenants.c.tenant_id).where(named_so)).first() is not None


def _check_free(connection: Connection, tenant: Tenant) -> None:
    """Raises AliasTaken, AnchorTaken (hono-registry 1.2)."""
    others = tenants.c.tenant_id != tenant.tenant_id
    if tenant.alias is not None:
        named_so = or_(tenants.c.alias == tenant.alias, tenants.c.tenant_id == tenant.alias)
        if connection.execute(select(tenants.c.tenant_id).where(others, named_so)).first() is not None:
            raise alias_taken(tenant.alias)
    names = sorted({anchor.authority.subject_dn for anchor in tenant.trust_anchors})
    for start in range(0, len(names), NAMES_PER_QUERY_MAX):
        listed = (
            select(trust_anchors.c.subject_dn)
            .join(tenants, tenants.c.tenant_id == trust_anchors.c.tenant_id)
            .where(others, trust_anchors.c.subject_dn.in_(names[start : start + NAMES_PER_QUERY_MAX]))
            .order_by(trust_anchors.c.subject_dn)
        )
        if tenant.trust_anchor_group is not None:
            group = tenants.c.trust_anchor_group
            listed = listed.where(or_(group.is_(None), group != tenant.trust_anchor_group))
        row = connection.execute(listed).first()
        if row is not None:
            raise anchor_taken(row.subject_dn)


def _remember_deletion(connection: Connection, tenant_id: TenantId) -> None:
    _forget_deletion(connection, tenant_id)
    connection.execute(insert(deleted_tenants).values(tenant_id=tenant_id))
    last = connection.execute(select(func.max(deleted_tenants.c.position))).scalar_one()
    connection.execute(delete(deleted_tenants).where(deleted_tenants.c.position <= last - DELETED_TENANTS_MAX))


def _forget_deletion(connection: Connection, tenant_id: TenantId) -> None:
    connection.execute(delete(deleted_tenants).where(deleted_tenants.c.tenant_id == tenant_id))


def _count_devices(connection: Connection, tenant_id: TenantId) -> None:
    """Start the tenant's count from what is there."""
    connection.execute(delete(device_counts).where(device_counts.c.tenant_id == tenant_id))
    present = select(func.count()).select_from(devices).where(devices.c.tenant_id == tenant_id)
    connection.execute(insert(device_counts).values(tenant_id=tenant_id, devices=present.scalar_subquery()))


def _named(columns: Sequence[str], row: Row) -> dict[str, Any]:
    return dict(zip(columns, row, strict=True))
