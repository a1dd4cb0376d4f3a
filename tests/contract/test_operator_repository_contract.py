"""What every driver of `tenant.ports.OperatorRepository` promises."""

from collections.abc import Iterator
from dataclasses import replace
from datetime import timedelta
from pathlib import Path

import pytest

from kernel.errors import VersionMismatch
from tenant.audit import AuditRow, Deed
from tenant.operator_errors import (
    KeyUnknown,
    LastAdministrator,
    OperatorExists,
    OperatorLimitReached,
    OperatorUnknown,
)
from tenant.operators import KEYS_MAX, ApiKey, Operator, Role, digest_of, new_key
from tenant.ports import OperatorRepository
from tests.support.stores import DRIVERS, NOW, AnyStore, opened

DEED = Deed(actor="root", moment=NOW, remote="192.0.2.1")


@pytest.fixture(params=DRIVERS)
def store(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[AnyStore]:
    with opened(request.param, tmp_path) as store:
        yield store


@pytest.fixture
def operators(store: AnyStore) -> OperatorRepository:
    return store.operators


def operator(name: str = "ada", role: Role = Role.EDITOR, *tenants: str, **members: object) -> Operator:
    given: dict[str, object] = {"created": NOW, "version": "1", "tenants": frozenset(tenants) or None, **members}
    return Operator(operator_id=f"id-of-{name}", name=name, role=role, **given)  # type: ignore[arg-type]


def key(name: str = "ada", number: int = 0) -> ApiKey:
    return new_key(name, f"key {number}", NOW + timedelta(seconds=number))[0]


def anybody(_: Operator) -> None:
    """No objection."""


def nobody(one: Operator) -> None:
    raise OperatorUnknown(one.name)


def rows(store: AnyStore) -> list[AuditRow]:
    return list(store.audit.read(after=0, limit=1000))


def test_what_is_created_is_found_as_it_was(operators: OperatorRepository) -> None:
    made = operator("ada", Role.VIEWER, "b", "a", password_hash="$argon2id$…", enabled=False, updated=NOW)
    operators.create(made, DEED)
    assert operators.find("ada") == made
    assert operators.find("bob") is None
    with pytest.raises(OperatorExists):
        operators.create(made, DEED)


def test_operators_are_listed_by_name_page_by_page_and_by_reach(operators: OperatorRepository) -> None:
    for name, tenants in (("c", ("x",)), ("a", ()), ("b", ("x", "y")), ("d", ("y",))):
        operators.create(operator(name, Role.EDITOR, *tenants), DEED)

    def names(after: str | None = None, limit: int = 10, within: frozenset[str] | None = None) -> list[str]:
        return [one.name for one in operators.find_all(after=after, limit=limit, within=within)]

    assert names() == ["a", "b", "c", "d"]
    assert names(limit=2) == ["a", "b"]
    assert names(after="b") == ["c", "d"]
    assert names(after="d") == []
    assert names(within=frozenset({"x"})) == ["c"]
    assert names(within=frozenset({"x", "y"})) == ["b", "c", "d"]
    assert names(within=frozenset({"x", "y"}), limit=1, after="b") == ["c"]


def test_a_change_is_made_of_what_is_on_record(operators: OperatorRepository) -> None:
    operators.create(operator(), DEED)
    after = operators.change("ada", lambda one: replace(one, enabled=False, version="2"), DEED, expected_version="1")
    assert operators.find("ada") == after == operator(enabled=False, version="2")
    with pytest.raises(VersionMismatch):
        operators.change("ada", lambda one: replace(one, enabled=True), DEED, expected_version="1")
    with pytest.raises(OperatorUnknown):
        operators.change("bob", lambda one: one, DEED)
    assert operators.find("ada") == after


def test_a_judge_keeps_everything_as_it_is(store: AnyStore, operators: OperatorRepository) -> None:
    operators.create(operator(), DEED, keys=[held := key()])
    before = rows(store)
    with pytest.raises(OperatorUnknown):
        operators.delete("ada", DEED, judge=nobody)
    with pytest.raises(OperatorUnknown):
        operators.add_key(key(number=1), DEED, judge=nobody)
    with pytest.raises(OperatorUnknown):
        operators.revoke_keys("ada", None, DEED, judge=nobody)
    assert operators.keys_of("ada") == [held]
    assert rows(store) == before


def test_an_operator_goes_with_its_keys(operators: OperatorRepository) -> None:
    held = key()
    operators.create(operator(), DEED, keys=[held])
    with pytest.raises(VersionMismatch):
        operators.delete("ada", DEED, judge=anybody, expected_version="0")
    operators.delete("ada", DEED, judge=anybody, expected_version="1")
    assert operators.find("ada") is None
    assert operators.find_by_key(held.digest_hex) is None
    assert operators.keys_of("ada") == []
    with pytest.raises(OperatorUnknown):
        operators.delete("ada", DEED, judge=anybody)


def test_the_last_administrator_of_all_tenants_stays(operators: OperatorRepository) -> None:
    for made in (
        operator("root", Role.ADMIN),
        operator("off", Role.ADMIN, enabled=False),
        operator("limited", Role.ADMIN, "a"),
        operator("editor", Role.EDITOR),
    ):
        operators.create(made, DEED)
    with pytest.raises(LastAdministrator):
        operators.delete("root", DEED, judge=anybody)
    with pytest.raises(LastAdministrator):
        operators.change("root", lambda one: replace(one, enabled=False), DEED)
    operators.change("root", lambda one: replace(one, password_hash="h"), DEED)
    operators.change("off", lambda one: replace(one, enabled=True), DEED)
    operators.delete("root", DEED, judge=anybody)


def test_the_first_operator_is_made_once(store: AnyStore, operators: OperatorRepository) -> None:
    kept: list[str] = []

    def full() -> None:
        raise OSError("disk full")

    with pytest.raises(OSError, match="disk full"):
        operators.create_first(operator("admin", Role.ADMIN), key("admin"), DEED, keep=full)
    assert operators.find("admin") is None
    assert rows(store) == []
    assert operators.create_first(operator("admin", Role.ADMIN), key("admin"), DEED, keep=lambda: kept.append("first"))
    assert not operators.create_first(
        operator("second", Role.ADMIN), key("second"), DEED, keep=lambda: kept.append("2")
    )
    assert kept == ["first"]
    assert [one.name for one in operators.find_all(after=None, limit=9)] == ["admin"]


def test_a_key_is_found_by_what_it_is_and_by_its_id(operators: OperatorRepository) -> None:
    made, secret = new_key("ada", "pipeline", NOW, expires=NOW + timedelta(days=1))
    operators.create(operator(), DEED)
    operators.add_key(made, DEED, judge=anybody)
    assert operators.find_by_key(digest_of(secret)) == (operator(), made)
    assert operators.find_by_key(digest_of("tuh_other")) is None
    assert operators.find_key("ada", made.key_id) == made
    assert operators.find_key("bob", made.key_id) is None
    assert operators.find_key("ada", "key-0") is None
    assert operators.find_key_owner(made.key_id) == "ada"
    assert operators.find_key_owner("key-0") is None
    with pytest.raises(OperatorUnknown):
        operators.add_key(key("bob"), DEED, judge=anybody)


def test_keys_are_revoked_once(operators: OperatorRepository) -> None:
    keys = [key(number=number) for number in range(3)]
    operators.create(operator(), DEED, keys=keys)
    (revoked,) = operators.revoke_keys("ada", [keys[1].key_id], DEED, judge=anybody)
    assert revoked == replace(keys[1], revoked=NOW)
    assert operators.keys_of("ada") == [keys[0], revoked, keys[2]]
    with pytest.raises(KeyUnknown):
        operators.revoke_keys("ada", [keys[0].key_id, "key-0"], DEED, judge=anybody)
    assert operators.revoke_keys("ada", [keys[1].key_id], DEED, judge=anybody) == []
    assert len(operators.revoke_keys("ada", None, DEED, judge=anybody)) == 2
    with pytest.raises(OperatorUnknown):
        operators.revoke_keys("bob", None, DEED, judge=anybody)


def test_keys_are_bounded_and_spent_ones_make_room(operators: OperatorRepository) -> None:
    keys = [key(number=number) for number in range(KEYS_MAX)]
    operators.create(operator(), DEED, keys=keys)
    with pytest.raises(OperatorLimitReached):
        operators.add_key(key(number=KEYS_MAX), DEED, judge=anybody)
    operators.revoke_keys("ada", [keys[5].key_id], DEED, judge=anybody)
    new = key(number=KEYS_MAX)
    operators.add_key(new, DEED, judge=anybody)
    assert operators.keys_of("ada") == [*keys[:5], *keys[6:], new]


def test_the_use_of_a_key_is_written_once_a_minute_without_an_audit_row(
    store: AnyStore, operators: OperatorRepository
) -> None:
    held = key()
    operators.create(operator(), DEED, keys=[held])
    before = rows(store)
    noted = []
    for seconds in (0, 59, 60, 61, 1000):
        operators.note_use(held.key_id, NOW + timedelta(seconds=seconds))
        (found,) = operators.keys_of("ada")
        assert found.last_used is not None
        noted.append((found.last_used - NOW).total_seconds())
    assert noted == [0, 0, 60, 60, 1000]
    operators.note_use("key-0", NOW)
    assert rows(store) == before


def test_every_write_has_its_audit_row_and_no_secret_is_in_it(store: AnyStore, operators: OperatorRepository) -> None:
    held = key()
    operators.create(operator(password_hash="hash-1"), DEED, keys=[held])
    operators.change("ada", lambda one: replace(one, password_hash="hash-2", role=Role.VIEWER), DEED)
    operators.revoke_keys("ada", None, DEED, judge=anybody)
    operators.delete("ada", DEED, judge=anybody)
    found = rows(store)
    kinds = ["operator.created", "key.created", "operator.updated", "key.revoked", "operator.deleted"]
    assert [row.what for row in found] == kinds
    for row in found:
        assert (row.actor, row.remote, row.facts, row.tenant_id) == ("root", "192.0.2.1", {"operator": "ada"}, None)
    masked = {"name": "ada", "role": "editor", "enabled": True, "password": "masked"}
    assert (found[0].before, found[0].after) == (None, masked)
    assert found[2].before == masked
    assert found[2].after == {**masked, "role": "viewer", "password": "changed"}
    assert found[3].after is not None
    assert "revoked" in found[3].after
    assert (found[4].before, found[4].after) == ({**masked, "role": "viewer"}, None)
    assert not any(secret in str(found) for secret in ("hash-1", "hash-2", held.digest_hex))
