"""Operators and their API keys to rows and back. Rows are tuples in the order of the column tuples here."""

import json

from storage.rows import Row, json_text, micros, micros_or_none, moment_of, moment_or_none
from tenant.operators import ApiKey, Operator, Role

OPERATOR_COLUMNS = (
    "name",
    "operator_id",
    "role",
    "tenants",
    "enabled",
    "password_hash",
    "created",
    "updated",
    "version",
)
KEY_COLUMNS = ("key_id", "operator_name", "name", "digest_hex", "created", "expires", "revoked", "last_used")


def operator_row(operator: Operator) -> Row:
    return (
        operator.name,
        operator.operator_id,
        operator.role.value,
        None if operator.tenants is None else json_text(sorted(operator.tenants)),
        operator.enabled,
        operator.password_hash,
        micros(operator.created),
        micros_or_none(operator.updated),
        operator.version,
    )


def operator_of(row: Row) -> Operator:
    name, operator_id, role, tenants, enabled, password_hash, created, updated, version = row
    return Operator(
        operator_id=operator_id,
        name=name,
        role=Role(role),
        tenants=None if tenants is None else frozenset(json.loads(tenants)),
        enabled=bool(enabled),
        password_hash=password_hash,
        created=moment_of(created),
        updated=moment_or_none(updated),
        version=version,
    )


def key_row(key: ApiKey) -> Row:
    return (
        key.key_id,
        key.operator_name,
        key.name,
        key.digest_hex,
        micros(key.created),
        micros_or_none(key.expires),
        micros_or_none(key.revoked),
        micros_or_none(key.last_used),
    )


def key_of(row: Row) -> ApiKey:
    key_id, operator_name, name, digest_hex, created, expires, revoked, last_used = row
    return ApiKey(
        key_id=key_id,
        operator_name=operator_name,
        name=name,
        digest_hex=digest_hex,
        created=moment_of(created),
        expires=moment_or_none(expires),
        revoked=moment_or_none(revoked),
        last_used=moment_or_none(last_used),
    )
