"""Operators and their API keys on record.

Every read asks the database: there are few of them beside what devices do, and nothing of it may be a moment old.
"""

from collections.abc import Callable, Sequence
from datetime import datetime

from sqlalchemy import Connection, Engine, Row, delete, func, insert, or_, select, update

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
from storage.repositories.audit_writer import AuditWriter
from storage.repositories.engine import reading, writing
from storage.rows import micros
from storage.rows_operator import KEY_COLUMNS, OPERATOR_COLUMNS, key_of, key_row, operator_of, operator_row
from storage.schema import operator_keys, operators
from tenant.audit import Deed
from tenant.operators import (
    KEY_USE_NOTED_EVERY,
    ApiKey,
    Operator,
    Reach,
    Role,
    covers,
    key_document,
    operator_document,
)
from tenant.ports import Judge

PAGE_OPERATORS = 500

_SELECT_OPERATORS = select(*(operators.c[name] for name in OPERATOR_COLUMNS))
_SELECT_KEYS = select(*(operator_keys.c[name] for name in KEY_COLUMNS))


class SqlOperators:
    """`tenant.ports.OperatorRepository` on a SQL database."""

    def __init__(self, *, engine: Engine, audit: AuditWriter) -> None:
        self._engine = engine
        self._audit = audit

    def create(self, operator: Operator, deed: Deed, *, keys: Sequence[ApiKey] = ()) -> None:
        with writing(self._engine) as connection:
            if _find(connection, operator.name) is not None:
                raise operator_exists(operator.name)
            check_operators(_count(connection))
            self._insert(connection, operator, keys, deed)

    def create_first(self, operator: Operator, key: ApiKey, deed: Deed, *, keep: Callable[[], None]) -> bool:
        with writing(self._engine) as connection:
            if _count(connection):
                return False
            self._insert(connection, operator, (key,), deed)
            keep()
            return True

    def find(self, name: str) -> Operator | None:
        with reading(self._engine) as connection:
            return _find(connection, name)

    def find_all(self, *, after: str | None, limit: int, within: Reach = None) -> Sequence[Operator]:
        found: list[Operator] = []
        with reading(self._engine) as connection:
            while len(found) < limit:
                chosen = _SELECT_OPERATORS.order_by(operators.c.name).limit(PAGE_OPERATORS)
                if after is not None:
                    chosen = chosen.where(operators.c.name > after)
                page = [operator_of(row) for row in connection.execute(chosen)]
                if not page:
                    break
                found += [operator for operator in page if covers(within, operator.tenants)]
                after = page[-1].name
        return found[:limit]

    def change(
        self, name: str, change: Callable[[Operator], Operator], deed: Deed, *, expected_version: str | None = None
    ) -> Operator:
        with writing(self._engine) as connection:
            before = _get(connection, name)
            after = change(before)
            check_operator_version(before, expected_version)
            check_administrator(before, after, _other_administrators(connection, name))
            values = dict(zip(OPERATOR_COLUMNS, operator_row(after), strict=True))
            connection.execute(update(operators).where(operators.c.name == name).values(values))
            documents = {"before": operator_document(before), "after": operator_document(after, before)}
            self._audit.write(connection, operator_written(deed, "operator.updated", name, **documents))
            return after

    def delete(self, name: str, deed: Deed, *, judge: Judge, expected_version: str | None = None) -> None:
        with writing(self._engine) as connection:
            before = _get(connection, name)
            judge(before)
            check_operator_version(before, expected_version)
            check_administrator(before, None, _other_administrators(connection, name))
            connection.execute(delete(operators).where(operators.c.name == name))
            row = operator_written(deed, "operator.deleted", name, before=operator_document(before))
            self._audit.write(connection, row)

    def find_by_key(self, digest_hex: str) -> tuple[Operator, ApiKey] | None:
        with reading(self._engine) as connection:
            row = connection.execute(_SELECT_KEYS.where(operator_keys.c.digest_hex == digest_hex)).first()
            if row is None:
                return None
            key = key_of(row)
            return _get(connection, key.operator_name), key

    def find_key(self, name: str, key_id: str) -> ApiKey | None:
        ours = (operator_keys.c.operator_name == name, operator_keys.c.key_id == key_id)
        with reading(self._engine) as connection:
            return _key_or_none(connection.execute(_SELECT_KEYS.where(*ours)).first())

    def find_key_owner(self, key_id: str) -> str | None:
        with reading(self._engine) as connection:
            key = _key_or_none(connection.execute(_SELECT_KEYS.where(operator_keys.c.key_id == key_id)).first())
            return None if key is None else key.operator_name

    def keys_of(self, name: str) -> Sequence[ApiKey]:
        with reading(self._engine) as connection:
            return _keys(connection, name)

    def add_key(self, key: ApiKey, deed: Deed, *, judge: Judge) -> None:
        with writing(self._engine) as connection:
            judge(_get(connection, key.operator_name))
            dropped = key_to_drop(_keys(connection, key.operator_name), key)
            if dropped is not None:
                connection.execute(delete(operator_keys).where(operator_keys.c.key_id == dropped.key_id))
            self._insert_key(connection, key, deed)

    def revoke_keys(self, name: str, key_ids: Sequence[str] | None, deed: Deed, *, judge: Judge) -> Sequence[ApiKey]:
        with writing(self._engine) as connection:
            judge(_get(connection, name))
            revoked = keys_to_revoke(name, _keys(connection, name), key_ids, deed)
            for before, after in revoked:
                this = operator_keys.c.key_id == after.key_id
                connection.execute(update(operator_keys).where(this).values(revoked=micros(deed.moment)))
                documents = {"before": key_document(before), "after": key_document(after)}
                self._audit.write(connection, operator_written(deed, "key.revoked", name, **documents))
            return [after for _, after in revoked]

    def note_use(self, key_id: str, moment: datetime) -> None:
        stale = or_(
            operator_keys.c.last_used.is_(None), operator_keys.c.last_used <= micros(moment - KEY_USE_NOTED_EVERY)
        )
        this = operator_keys.c.key_id == key_id
        with writing(self._engine) as connection:
            connection.execute(update(operator_keys).where(this, stale).values(last_used=micros(moment)))

    def _insert(self, connection: Connection, operator: Operator, keys: Sequence[ApiKey], deed: Deed) -> None:
        values = dict(zip(OPERATOR_COLUMNS, operator_row(operator), strict=True))
        connection.execute(insert(operators).values(values))
        row = operator_written(deed, "operator.created", operator.name, after=operator_document(operator))
        self._audit.write(connection, row)
        for key in keys:
            self._insert_key(connection, key, deed)

    def _insert_key(self, connection: Connection, key: ApiKey, deed: Deed) -> None:
        connection.execute(insert(operator_keys).values(dict(zip(KEY_COLUMNS, key_row(key), strict=True))))
        row = operator_written(deed, "key.created", key.operator_name, after=key_document(key))
        self._audit.write(connection, row)


def _find(connection: Connection, name: str) -> Operator | None:
    row = connection.execute(_SELECT_OPERATORS.where(operators.c.name == name)).first()
    return None if row is None else operator_of(row)


def _get(connection: Connection, name: str) -> Operator:
    """Raises OperatorUnknown."""
    operator = _find(connection, name)
    if operator is None:
        raise operator_unknown(name)
    return operator


def _keys(connection: Connection, name: str) -> Sequence[ApiKey]:
    chosen = _SELECT_KEYS.where(operator_keys.c.operator_name == name)
    ordered = chosen.order_by(operator_keys.c.created, operator_keys.c.key_id)
    return [key_of(row) for row in connection.execute(ordered)]


def _key_or_none(row: "Row[tuple[object, ...]] | None") -> ApiKey | None:
    return None if row is None else key_of(row)


def _count(connection: Connection) -> int:
    return int(connection.execute(select(func.count()).select_from(operators)).scalar_one())


def _other_administrators(connection: Connection, name: str) -> int:
    others = select(func.count()).select_from(operators).where(operators.c.name != name)
    full = others.where(operators.c.role == Role.ADMIN.value, operators.c.tenants.is_(None), operators.c.enabled)
    return int(connection.execute(full).scalar_one())
