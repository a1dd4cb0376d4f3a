"""Operators and their API keys as the management API spells them."""

from typing import Annotated, Literal

import msgspec
from msgspec import UNSET, Meta, UnsetType

from dialects.hono.shapes.values import Timestamp, moment_text
from tenant.operator_administration import OperatorChange
from tenant.operators import (
    KEY_DAYS_MAX,
    KEY_NAME_MAX_CHARS,
    NAME_MAX_CHARS,
    OPERATOR_NAME_PATTERN,
    PASSWORD_MAX_CHARS,
    PASSWORD_MIN_CHARS,
    TENANTS_MAX,
    ApiKey,
    Operator,
    Reach,
    Role,
)

RoleName = Literal["admin", "editor", "viewer"]
Name = Annotated[str, Meta(pattern=f"^{OPERATOR_NAME_PATTERN}$", max_length=NAME_MAX_CHARS, examples=["ada"])]
Password = Annotated[
    str,
    Meta(min_length=PASSWORD_MIN_CHARS, max_length=PASSWORD_MAX_CHARS, description="Does not begin with `tuh_`."),
]
TenantIds = Annotated[
    list[Annotated[str, Meta(min_length=1, max_length=256)]],
    Meta(min_length=1, max_length=TENANTS_MAX, description="Ids of the tenants that exist for the operator."),
]


class Spelled(msgspec.Struct, kw_only=True, rename="kebab", forbid_unknown_fields=True, omit_defaults=True):
    """What every body here has in common."""


class OperatorToCreate(Spelled):
    """A new operator. Without `tenants` all tenants exist for it; without `password` it needs an API key."""

    name: Name
    role: RoleName = "viewer"
    tenants: TenantIds | UnsetType = UNSET
    enabled: bool = True
    password: Password | UnsetType = UNSET


class OperatorToChange(Spelled):
    """What is to be another; members that are absent stay as they are."""

    role: RoleName | UnsetType = UNSET
    tenants: TenantIds | UnsetType | None = UNSET  # null: all
    enabled: bool | UnsetType = UNSET
    password: Password | UnsetType | None = UNSET  # null: none any more


class OperatorShown(msgspec.Struct, kw_only=True, rename="kebab"):
    """An operator. Whether it has a password is told, never which."""

    name: str
    role: RoleName
    tenants: list[str] | UnsetType = UNSET
    enabled: bool
    has_password: bool
    created: Timestamp
    updated: Timestamp | UnsetType = UNSET


class OperatorPage(msgspec.Struct, kw_only=True):
    """Operators in the order of names. `next` is what the following page is asked for with; absent: there is none."""

    result: list[OperatorShown]
    next: str | UnsetType = UNSET


class KeyToCreate(Spelled):
    """A new API key."""

    name: Annotated[str, Meta(min_length=1, max_length=KEY_NAME_MAX_CHARS, examples=["pipeline"])] = "unnamed"
    days: Annotated[float, Meta(gt=0, le=KEY_DAYS_MAX, description="Days it is good for; absent: until revoked.")] | (
        UnsetType
    ) = UNSET


class KeyShown(msgspec.Struct, kw_only=True, rename="kebab"):
    """An API key, but not the key."""

    id: str
    name: str
    created: Timestamp
    expires: Timestamp | UnsetType = UNSET
    revoked: Timestamp | UnsetType = UNSET
    last_used: Timestamp | UnsetType = UNSET  # to the minute


class KeyMade(KeyShown, kw_only=True, rename="kebab"):
    """An API key, and the only time the key itself is shown."""

    key: str


class Keys(msgspec.Struct):
    """In the order they were made."""

    result: list[KeyShown]


class Me(msgspec.Struct, kw_only=True, rename="kebab"):
    """Who is asking, and what that operator may do."""

    name: str
    role: RoleName
    tenants: list[str] | UnsetType = UNSET  # absent: all
    proven_by: Literal["password", "api-key", "token"]


def reach_of(tenants: list[str] | UnsetType | None) -> Reach:
    return frozenset(tenants) if isinstance(tenants, list) else None


def change_of(body: OperatorToChange) -> OperatorChange:
    return OperatorChange(
        role=None if body.role is UNSET else Role(body.role),
        tenants=reach_of(body.tenants),
        sets_tenants=body.tenants is not UNSET,
        enabled=None if body.enabled is UNSET else body.enabled,
        password=None if body.password is UNSET else body.password,
        sets_password=body.password is not UNSET,
    )


def operator_shown(operator: Operator) -> OperatorShown:
    return OperatorShown(
        name=operator.name,
        role=operator.role.value,
        tenants=UNSET if operator.tenants is None else sorted(operator.tenants),
        enabled=operator.enabled,
        has_password=operator.password_hash is not None,
        created=moment_text(operator.created),
        updated=UNSET if operator.updated is None else moment_text(operator.updated),
    )


def key_shown(key: ApiKey) -> KeyShown:
    return KeyShown(**_key_members(key))


def key_made(key: ApiKey, secret: str) -> KeyMade:
    return KeyMade(key=secret, **_key_members(key))


def _key_members(key: ApiKey) -> dict[str, str]:
    members = {"id": key.key_id, "name": key.name, "created": moment_text(key.created)}
    moments = {"expires": key.expires, "revoked": key.revoked, "last_used": key.last_used}
    return members | {name: moment_text(moment) for name, moment in moments.items() if moment is not None}
