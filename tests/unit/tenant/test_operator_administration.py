"""Who may do what to whom: reach, the last administrator, names, passwords and keys."""

import pytest

from kernel.errors import TuhonoError
from kernel.exchange import Need
from tenant.operator_administration import OperatorChange
from tenant.operator_errors import (
    BeyondReach,
    KeyUnknown,
    LastAdministrator,
    OperatorExists,
    OperatorInvalid,
    OperatorLimitReached,
    OperatorUnknown,
)
from tenant.operators import KEYS_MAX, TENANTS_MAX, Reach, Role
from tests.support.operators import LOCAL, Desk, caller

A, B = frozenset({"a"}), frozenset({"b"})
AB = A | B


@pytest.fixture
def desk() -> Desk:
    desk = Desk()
    for name, role, tenants in (
        ("root", Role.ADMIN, None),
        ("admin-a", Role.ADMIN, A),
        ("editor-a", Role.EDITOR, A),
        ("editor-ab", Role.EDITOR, AB),
        ("viewer", Role.VIEWER, None),
    ):
        desk.administration.create(LOCAL, name, role=role, tenants=tenants)
    return desk


def test_a_role_is_what_may_be_done() -> None:
    assert [role.allowed for role in (Role.VIEWER, Role.EDITOR, Role.ADMIN)] == [
        Need.READ,
        Need.WRITE,
        Need.ADMINISTER,
    ]


def test_an_administrator_sees_whom_it_covers_and_no_other(desk: Desk) -> None:
    work = desk.administration
    assert [one.name for one in work.all(LOCAL)] == ["admin-a", "editor-a", "editor-ab", "root", "viewer"]
    assert [one.name for one in work.all(caller("a"))] == ["admin-a", "editor-a"]
    assert [one.name for one in work.all(caller("a", "b"))] == ["admin-a", "editor-a", "editor-ab"]
    assert list(work.all(caller("c"))) == []
    for hidden in ("root", "viewer", "editor-ab", "nobody"):
        with pytest.raises(OperatorUnknown):
            work.get(caller("a"), hidden)


@pytest.mark.parametrize("hidden", ["root", "viewer", "editor-ab", "nobody"])
def test_whom_it_does_not_see_it_cannot_touch(desk: Desk, hidden: str) -> None:
    work, limited = desk.administration, caller("a")
    rows = len(desk.rows)
    for touch in (
        lambda: work.change(limited, hidden, OperatorChange(enabled=False)),
        lambda: work.delete(limited, hidden),
        lambda: work.add_key(limited, hidden, key_name="k"),
        lambda: work.keys(limited, hidden),
        lambda: work.revoke(limited, hidden),
        lambda: work.revoke_key(limited, hidden, "key-0000000000000000"),
    ):
        with pytest.raises(OperatorUnknown):
            touch()
    assert len(desk.rows) == rows


@pytest.mark.parametrize("tenants", [None, B, AB])
def test_nobody_gives_more_than_he_has(desk: Desk, tenants: Reach) -> None:
    work, limited = desk.administration, caller("a")
    with pytest.raises(BeyondReach):
        work.create(limited, "new", role=Role.VIEWER, tenants=tenants)
    with pytest.raises(BeyondReach):
        work.change(limited, "editor-a", OperatorChange(tenants=tenants, sets_tenants=True))
    assert work.get(LOCAL, "editor-a").tenants == A
    work.create(limited, "new", role=Role.ADMIN, tenants=A)


def test_a_name_taken_out_of_sight_is_not_told_as_a_conflict(desk: Desk) -> None:
    with pytest.raises(BeyondReach):
        desk.administration.create(caller("a"), "root", role=Role.VIEWER, tenants=A)
    with pytest.raises(OperatorExists):
        desk.administration.create(caller("a"), "editor-a", role=Role.VIEWER, tenants=A)


def test_the_last_who_administers_all_tenants_stays(desk: Desk) -> None:
    work = desk.administration
    for change in (
        OperatorChange(enabled=False),
        OperatorChange(role=Role.EDITOR),
        OperatorChange(tenants=A, sets_tenants=True),
    ):
        with pytest.raises(LastAdministrator):
            work.change(LOCAL, "root", change)
    for remove in (work.delete, work.revoke):
        with pytest.raises(LastAdministrator):
            remove(LOCAL, "root")
    assert work.get(LOCAL, "root").is_full_administrator
    work.create(LOCAL, "second", role=Role.ADMIN)
    work.delete(LOCAL, "root")
    with pytest.raises(LastAdministrator):
        work.delete(LOCAL, "second")


def test_one_switched_off_is_no_administrator_who_is_left(desk: Desk) -> None:
    desk.administration.create(LOCAL, "second", role=Role.ADMIN, enabled=False)
    with pytest.raises(LastAdministrator):
        desk.administration.delete(LOCAL, "root")
    desk.administration.delete(LOCAL, "second")


def test_revoking_an_operator_leaves_it_nothing(desk: Desk) -> None:
    work = desk.administration
    for _ in range(3):
        work.add_key(LOCAL, "editor-a", key_name="k")
    assert work.revoke(LOCAL, "editor-a") == 3
    assert not work.get(LOCAL, "editor-a").enabled
    assert all(key.revoked for key in work.keys(LOCAL, "editor-a"))
    assert work.revoke(LOCAL, "editor-a") == 0


def test_a_key_leads_to_its_operator_for_whoever_may_see_it(desk: Desk) -> None:
    work = desk.administration
    key, _ = work.add_key(LOCAL, "editor-ab", key_name="k")
    assert work.owner_of(LOCAL, key.key_id) == "editor-ab"
    with pytest.raises(OperatorUnknown):
        work.owner_of(caller("a"), key.key_id)
    with pytest.raises(KeyUnknown):
        work.owner_of(LOCAL, "key-0000000000000000")


def test_spent_keys_make_room_and_keys_in_force_do_not(desk: Desk) -> None:
    work = desk.administration
    made = [work.add_key(LOCAL, "viewer", key_name=str(n))[0].key_id for n in range(KEYS_MAX)]
    with pytest.raises(OperatorLimitReached):
        work.add_key(LOCAL, "viewer", key_name="one more")
    work.revoke_key(LOCAL, "viewer", made[7])
    added, _ = work.add_key(LOCAL, "viewer", key_name="one more")
    assert {key.key_id for key in work.keys(LOCAL, "viewer")} == {*made, added.key_id} - {made[7]}


@pytest.mark.parametrize(
    "name", ["", "a:b", "a b", ".", "..", "x" * 129, "key-0123456789abcdef", "ä", "a\n", "a/b", "local:root"]
)
def test_a_name_that_could_be_misread_is_refused(desk: Desk, name: str) -> None:
    with pytest.raises(OperatorInvalid, match="name"):
        desk.administration.create(LOCAL, name, role=Role.VIEWER)


@pytest.mark.parametrize("password", ["", "short12", "x" * 257, "tuh_looks-like-a-key", "half \ud800 characters"])
def test_a_password_that_is_none_is_refused(desk: Desk, password: str) -> None:
    with pytest.raises(OperatorInvalid, match="password"):
        desk.administration.create(LOCAL, "new", role=Role.VIEWER, password=password)
    with pytest.raises(OperatorInvalid, match="password"):
        desk.administration.change(LOCAL, "viewer", OperatorChange(password=password, sets_password=True))


@pytest.mark.parametrize("tenants", [frozenset(), frozenset({""}), frozenset({"a\n"}), frozenset({"x" * 257})])
def test_a_reach_that_is_none_is_refused(desk: Desk, tenants: Reach) -> None:
    with pytest.raises(OperatorInvalid, match="tenants"):
        desk.administration.create(LOCAL, "new", role=Role.VIEWER, tenants=tenants)


def test_a_reach_is_bounded(desk: Desk) -> None:
    many = frozenset(map(str, range(TENANTS_MAX + 1)))
    with pytest.raises(OperatorInvalid, match="tenants"):
        desk.administration.create(LOCAL, "new", role=Role.VIEWER, tenants=many)


@pytest.mark.parametrize(("name", "days"), [("", 1), ("x" * 101, 1), ("a\nb", 1), ("k", 0), ("k", 3651), ("k", -1)])
def test_a_key_that_breaks_a_rule_is_refused(desk: Desk, name: str, days: float) -> None:
    with pytest.raises(OperatorInvalid):
        desk.administration.add_key(LOCAL, "viewer", key_name=name, days=days)


def test_operator_and_key_are_made_together_or_not_at_all(desk: Desk) -> None:
    with pytest.raises(TuhonoError):
        desk.administration.create_with_key(LOCAL, "new", role=Role.VIEWER, key_days=0)
    with pytest.raises(OperatorUnknown):
        desk.administration.get(LOCAL, "new")
    made, key, secret = desk.administration.create_with_key(LOCAL, "new", role=Role.VIEWER)
    assert secret.startswith("tuh_")
    assert secret not in repr(key)
    assert [one.key_id for one in desk.administration.keys(LOCAL, made.name)] == [key.key_id]
