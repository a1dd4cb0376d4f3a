"""`tenant.ports.OperatorRepository` over dicts; storage/memory.py has the rest of the database."""

from collections.abc import Callable, Sequence
from dataclasses import replace
from datetime import datetime

from storage.operating import (
    check_administrator,
    check_operator_version,
    check_operators,
    key_to_drop,
    keys_to_revoke,
    operator_exists,
    operator_unknown,
    operator_written,
)
from tenant.audit import AuditRow, Deed
from tenant.operators import (
    KEY_USE_NOTED_EVERY,
    ApiKey,
    Operator,
    Reach,
    covers,
    key_document,
    operator_document,
)
from tenant.ports import Judge


class MemoryOperators:
    """Operators and keys by name and id; audit rows go where it is told."""

    def __init__(self, audited: Callable[[AuditRow], None]) -> None:
        self._audited = audited
        self._operators: dict[str, Operator] = {}
        self._keys: dict[str, ApiKey] = {}

    def create(self, operator: Operator, deed: Deed, *, keys: Sequence[ApiKey] = ()) -> None:
        if operator.name in self._operators:
            raise operator_exists(operator.name)
        check_operators(len(self._operators))
        self._insert(operator, keys, deed)

    def create_first(self, operator: Operator, key: ApiKey, deed: Deed, *, keep: Callable[[], None]) -> bool:
        if self._operators:
            return False
        keep()
        self._insert(operator, (key,), deed)
        return True

    def find(self, name: str) -> Operator | None:
        return self._operators.get(name)

    def find_all(self, *, after: str | None, limit: int, within: Reach = None) -> Sequence[Operator]:
        behind = [operator for name, operator in sorted(self._operators.items()) if after is None or name > after]
        return [operator for operator in behind if covers(within, operator.tenants)][:limit]

    def change(
        self, name: str, change: Callable[[Operator], Operator], deed: Deed, *, expected_version: str | None = None
    ) -> Operator:
        before = self._get(name)
        after = change(before)
        check_operator_version(before, expected_version)
        check_administrator(before, after, self._other_administrators(name))
        self._operators[name] = after
        documents = {"before": operator_document(before), "after": operator_document(after, before)}
        self._audited(operator_written(deed, "operator.updated", name, **documents))
        return after

    def delete(self, name: str, deed: Deed, *, judge: Judge, expected_version: str | None = None) -> None:
        before = self._get(name)
        judge(before)
        check_operator_version(before, expected_version)
        check_administrator(before, None, self._other_administrators(name))
        del self._operators[name]
        for key in self.keys_of(name):
            del self._keys[key.key_id]
        self._audited(operator_written(deed, "operator.deleted", name, before=operator_document(before)))

    def find_by_key(self, digest_hex: str) -> tuple[Operator, ApiKey] | None:
        found = next((key for key in self._keys.values() if key.digest_hex == digest_hex), None)
        return None if found is None else (self._operators[found.operator_name], found)

    def find_key(self, name: str, key_id: str) -> ApiKey | None:
        key = self._keys.get(key_id)
        return key if key is not None and key.operator_name == name else None

    def find_key_owner(self, key_id: str) -> str | None:
        key = self._keys.get(key_id)
        return None if key is None else key.operator_name

    def keys_of(self, name: str) -> Sequence[ApiKey]:
        ours = (key for key in self._keys.values() if key.operator_name == name)
        return sorted(ours, key=lambda key: (key.created, key.key_id))

    def add_key(self, key: ApiKey, deed: Deed, *, judge: Judge) -> None:
        judge(self._get(key.operator_name))
        dropped = key_to_drop(self.keys_of(key.operator_name), key)
        if dropped is not None:
            del self._keys[dropped.key_id]
        self._insert_key(key, deed)

    def revoke_keys(self, name: str, key_ids: Sequence[str] | None, deed: Deed, *, judge: Judge) -> Sequence[ApiKey]:
        judge(self._get(name))
        revoked = keys_to_revoke(name, self.keys_of(name), key_ids, deed)
        for before, after in revoked:
            self._keys[after.key_id] = after
            documents = {"before": key_document(before), "after": key_document(after)}
            self._audited(operator_written(deed, "key.revoked", name, **documents))
        return [after for _, after in revoked]

    def note_use(self, key_id: str, moment: datetime) -> None:
        key = self._keys.get(key_id)
        if key is not None and (key.last_used is None or key.last_used <= moment - KEY_USE_NOTED_EVERY):
            self._keys[key_id] = replace(key, last_used=moment)

    def _get(self, name: str) -> Operator:
        operator = self._operators.get(name)
        if operator is None:
            raise operator_unknown(name)
        return operator

    def _insert(self, operator: Operator, keys: Sequence[ApiKey], deed: Deed) -> None:
        self._operators[operator.name] = operator
        self._audited(operator_written(deed, "operator.created", operator.name, after=operator_document(operator)))
        for key in keys:
            self._insert_key(key, deed)

    def _insert_key(self, key: ApiKey, deed: Deed) -> None:
        self._keys[key.key_id] = key
        self._audited(operator_written(deed, "key.created", key.operator_name, after=key_document(key)))

    def _other_administrators(self, name: str) -> int:
        return sum(1 for one in self._operators.values() if one.name != name and one.is_full_administrator)
