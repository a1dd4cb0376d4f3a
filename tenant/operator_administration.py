"""Making, changing and removing operators and their keys, and who may do that to whom.

An administrator who is limited to tenants knows of no operator that reaches further, and makes none. Whoever
administers all tenants may do everything but remove the last of their kind.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from functools import partial

from kernel.clock import Clock
from kernel.exchange import Caller
from kernel.ids import generate_id
from tenant.audit import Deed
from tenant.operator_errors import BeyondReach, KeyUnknown, OperatorExists, OperatorInvalid, OperatorUnknown
from tenant.operators import (
    KEY_DAYS_MAX,
    ApiKey,
    Operator,
    Reach,
    Role,
    check_name,
    check_password,
    check_reach,
    covers,
    new_key,
)
from tenant.passwords import hash_password
from tenant.ports import Judge, OperatorRepository

PAGE_OPERATORS = 200


@dataclass(frozen=True, slots=True, kw_only=True)
class OperatorChange:
    """What is to be another; the rest stays."""

    role: Role | None = None
    tenants: Reach = None
    sets_tenants: bool = False
    enabled: bool | None = None
    password: str | None = None
    sets_password: bool = False  # with None: it has none any more

    def applied(self, before: Operator, password_hash: str | None) -> Operator:
        return replace(
            before,
            role=before.role if self.role is None else self.role,
            tenants=self.tenants if self.sets_tenants else before.tenants,
            enabled=before.enabled if self.enabled is None else self.enabled,
            password_hash=password_hash if self.sets_password else before.password_hash,
        )


class OperatorAdministration:
    """Blocking. `by` is who wishes it: its reach bounds what may be seen and done."""

    def __init__(self, *, operators: OperatorRepository, clock: Clock) -> None:
        self._operators = operators
        self._clock = clock

    def create(
        self,
        by: Caller,
        name: str,
        *,
        role: Role,
        tenants: Reach = None,
        enabled: bool = True,
        password: str | None = None,
        remote: str = "",
    ) -> Operator:
        """Raises OperatorInvalid, BeyondReach, OperatorExists, OperatorLimitReached."""
        operator = self._made(by, name, role=role, tenants=tenants, enabled=enabled, password=password)
        self._create(by, operator, (), remote)
        return operator

    def create_with_key(
        self,
        by: Caller,
        name: str,
        *,
        role: Role,
        tenants: Reach = None,
        enabled: bool = True,
        password: str | None = None,
        key_name: str = "first",
        key_days: float | None = None,
        remote: str = "",
    ) -> tuple[Operator, ApiKey, str]:
        """Together or not at all; the last is the key itself, which nobody sees again."""
        operator = self._made(by, name, role=role, tenants=tenants, enabled=enabled, password=password)
        key, secret = new_key(name, key_name, operator.created, expires=self._expiry(key_days))
        self._create(by, operator, (key,), remote)
        return operator, key, secret

    def get(self, by: Caller, name: str) -> Operator:
        """Raises OperatorUnknown, also for one out of reach."""
        found = self._operators.find(name)
        if found is None or not covers(by.tenants, found.tenants):
            raise _unknown(name)
        return found

    def page(self, by: Caller, *, after: str | None, limit: int) -> Sequence[Operator]:
        """In the order of names, those within reach."""
        return self._operators.find_all(after=after, limit=limit, within=by.tenants)

    def all(self, by: Caller) -> Iterator[Operator]:
        after: str | None = None
        while found := self.page(by, after=after, limit=PAGE_OPERATORS):
            yield from found
            after = found[-1].name

    def change(
        self, by: Caller, name: str, change: OperatorChange, *, expected_version: str | None = None, remote: str = ""
    ) -> Operator:
        """Raises OperatorInvalid, OperatorUnknown, BeyondReach, VersionMismatch, LastAdministrator."""
        if change.sets_tenants:
            check_reach(change.tenants)
            _check_within(by, change.tenants)
        if change.password is not None:
            check_password(change.password)
        password_hash = None if change.password is None else hash_password(change.password)
        moment = self._clock.now()

        def changed(before: Operator) -> Operator:
            _check_reachable(by, before)
            return replace(change.applied(before, password_hash), updated=moment, version=generate_id())

        return self._operators.change(name, changed, self._deed(by, remote), expected_version=expected_version)

    def delete(self, by: Caller, name: str, *, expected_version: str | None = None, remote: str = "") -> None:
        """With its keys. Raises OperatorUnknown, VersionMismatch, LastAdministrator."""
        deed = self._deed(by, remote)
        self._operators.delete(name, deed, judge=_reachable(by), expected_version=expected_version)

    def keys(self, by: Caller, name: str) -> Sequence[ApiKey]:
        """Raises OperatorUnknown."""
        return self._operators.keys_of(self.get(by, name).name)

    def add_key(
        self, by: Caller, name: str, *, key_name: str, days: float | None = None, remote: str = ""
    ) -> tuple[ApiKey, str]:
        """The record, and the key itself. Raises OperatorInvalid, OperatorUnknown, OperatorLimitReached."""
        key, secret = new_key(name, key_name, self._clock.now(), expires=self._expiry(days))
        self._operators.add_key(key, self._deed(by, remote), judge=_reachable(by))
        return key, secret

    def revoke_key(self, by: Caller, name: str, key_id: str, *, remote: str = "") -> None:
        """Safe to repeat. Raises OperatorUnknown, KeyUnknown."""
        self._operators.revoke_keys(name, [key_id], self._deed(by, remote), judge=_reachable(by))

    def revoke(self, by: Caller, name: str, *, remote: str = "") -> int:
        """Nothing the operator holds is good any more: switched off, its keys revoked; how many were.

        Raises OperatorUnknown, LastAdministrator.
        """
        self.change(by, name, OperatorChange(enabled=False), remote=remote)
        return len(self._operators.revoke_keys(name, None, self._deed(by, remote), judge=_reachable(by)))

    def owner_of(self, by: Caller, key_id: str) -> str:
        """The name of the operator whose key it is. Raises KeyUnknown, OperatorUnknown."""
        name = self._operators.find_key_owner(key_id)
        if name is None:
            raise KeyUnknown(f"there is no API key {key_id!r}")
        return self.get(by, name).name

    def _made(
        self, by: Caller, name: str, *, role: Role, tenants: Reach, enabled: bool, password: str | None
    ) -> Operator:
        check_name(name)
        check_reach(tenants)
        if password is not None:
            check_password(password)
        _check_within(by, tenants)
        return Operator(
            operator_id=generate_id(),
            name=name,
            role=role,
            tenants=tenants,
            enabled=enabled,
            password_hash=None if password is None else hash_password(password),
            created=self._clock.now(),
            version=generate_id(),
        )

    def _create(self, by: Caller, operator: Operator, keys: Sequence[ApiKey], remote: str) -> None:
        try:
            self._operators.create(operator, self._deed(by, remote), keys=keys)
        except OperatorExists:
            self._hide(by, operator.name)
            raise

    def _hide(self, by: Caller, name: str) -> None:
        """Where who holds the name is out of reach, that is no conflict to be told of (hono-registry 1.1.1)."""
        found = self._operators.find(name)
        if found is not None and not covers(by.tenants, found.tenants):
            raise BeyondReach(f"the name {name!r} is not yours to give")

    def _expiry(self, days: float | None) -> datetime | None:
        if days is None:
            return None
        if not 0 < days <= KEY_DAYS_MAX:
            raise OperatorInvalid(f"days of a key: more than 0, at most {KEY_DAYS_MAX}")
        return self._clock.now() + timedelta(days=days)

    def _deed(self, by: Caller, remote: str) -> Deed:
        return Deed(actor=by.name, moment=self._clock.now(), remote=remote)


def _reachable(by: Caller) -> Judge:
    return partial(_check_reachable, by)


def _check_reachable(by: Caller, operator: Operator) -> None:
    """Who may not know of it is told that there is none. Raises OperatorUnknown."""
    if not covers(by.tenants, operator.tenants):
        raise _unknown(operator.name)


def _check_within(by: Caller, tenants: Reach) -> None:
    """Raises BeyondReach."""
    if not covers(by.tenants, tenants):
        raise BeyondReach("an operator reaches no further than the one who says so")


def _unknown(name: str) -> OperatorUnknown:
    return OperatorUnknown(f"there is no operator {name!r}")
