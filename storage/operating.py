"""What every driver decides alike of operators and their keys."""

from collections.abc import Sequence
from dataclasses import replace

from kernel.errors import VersionMismatch
from tenant.audit import AuditRow, Deed, Document
from tenant.operator_errors import (
    KeyUnknown,
    LastAdministrator,
    OperatorExists,
    OperatorLimitReached,
    OperatorUnknown,
)
from tenant.operators import KEYS_MAX, OPERATORS_MAX, ApiKey, Operator, spent_first


def operator_unknown(name: str) -> OperatorUnknown:
    return OperatorUnknown(f"there is no operator {name!r}")


def operator_exists(name: str) -> OperatorExists:
    return OperatorExists(f"there is an operator {name!r} already")


def key_unknown(name: str, key_id: str) -> KeyUnknown:
    return KeyUnknown(f"operator {name!r} has no API key {key_id!r}")


def check_operator_version(operator: Operator, expected: str | None) -> None:
    """Raises VersionMismatch."""
    if expected is not None and expected != operator.version:
        raise VersionMismatch(f"operator {operator.name!r} is at version {operator.version}, not {expected}")


def check_operators(count: int) -> None:
    """Before one is added. Raises OperatorLimitReached."""
    if count >= OPERATORS_MAX:
        raise OperatorLimitReached(f"there are {OPERATORS_MAX} operators, and no more may be")


def check_administrator(before: Operator, after: Operator | None, others: int) -> None:
    """`others`: how many others administer all tenants. Raises LastAdministrator."""
    if before.is_full_administrator and not (after is not None and after.is_full_administrator) and others == 0:
        raise LastAdministrator(f"{before.name!r} is the last who administers all tenants; make another one first")


def key_to_drop(keys: Sequence[ApiKey], new: ApiKey) -> ApiKey | None:
    """Which of the operator's keys makes room for the new one, if one must. Raises OperatorLimitReached."""
    if len(keys) < KEYS_MAX:
        return None
    spent = spent_first(keys, new.created)
    if not spent:
        raise OperatorLimitReached(f"operator {new.operator_name!r} has {KEYS_MAX} API keys in force: revoke one first")
    return spent[0]


def keys_to_revoke(
    name: str, keys: Sequence[ApiKey], key_ids: Sequence[str] | None, deed: Deed
) -> list[tuple[ApiKey, ApiKey]]:
    """Those not revoked yet, as they are and as they will be. Raises KeyUnknown."""
    known = {key.key_id: key for key in keys}
    for key_id in key_ids or ():
        if key_id not in known:
            raise key_unknown(name, key_id)
    chosen = keys if key_ids is None else [known[key_id] for key_id in dict.fromkeys(key_ids)]
    return [(key, replace(key, revoked=deed.moment)) for key in chosen if key.revoked is None]


def operator_written(
    deed: Deed, what: str, operator_name: str, *, before: Document | None = None, after: Document | None = None
) -> AuditRow:
    """The row of one change."""
    return AuditRow(
        moment=deed.moment,
        what=what,
        facts={"operator": operator_name},
        actor=deed.actor,
        remote=deed.remote or None,
        before=before,
        after=after,
    )
