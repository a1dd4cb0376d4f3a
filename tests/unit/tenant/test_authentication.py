"""Who asks is proven against the record of that moment, cheaply, and a stranger learns nothing."""

import asyncio
from dataclasses import replace

import pytest

from kernel.errors import Unauthenticated, Unavailable
from kernel.exchange import Need
from tenant.authentication import VerifiedPasswords
from tenant.operator_administration import OperatorChange
from tenant.operator_errors import BadCredentials, LoginsBusy, TokenExpired, TooManyAttempts
from tenant.operators import Role
from tests.support.operators import HERE, LOCAL, MEMORY_S, PASSWORD, Desk

ELSEWHERE = "198.51.100.7"


@pytest.fixture
def desk() -> Desk:
    desk = Desk()
    desk.administration.create(LOCAL, "root", role=Role.ADMIN)
    desk.administration.create(LOCAL, "ada", role=Role.EDITOR, tenants=frozenset({"acme"}), password=PASSWORD)
    return desk


def key_of(desk: Desk, name: str = "ada", days: float | None = None) -> tuple[str, str]:
    key, secret = desk.administration.add_key(LOCAL, name, key_name="k", days=days)
    return key.key_id, secret


async def test_a_name_and_its_password_prove_the_operator(desk: Desk) -> None:
    proven = await desk.authentication.by_password("ada", PASSWORD, HERE)
    assert (proven.name, proven.allowed, proven.tenants) == ("ada", Need.WRITE, frozenset({"acme"}))


@pytest.mark.parametrize(
    ("name", "password"),
    [("ada", "wrong"), ("ada", ""), ("nobody", PASSWORD), ("root", ""), ("root", "x"), ("", ""), ("a:b", "x")]
    + [("ada", PASSWORD + "x" * 10_000), ("ADA", PASSWORD), ("ada\0", PASSWORD), ("x" * 5000, "x")],
)
async def test_anything_else_proves_nobody_and_takes_as_long(desk: Desk, name: str, password: str) -> None:
    with pytest.raises(BadCredentials):
        await desk.authentication.by_password(name, password, HERE)
    assert desk.passwords.verified == 1


async def test_a_password_is_verified_once_in_a_while_however_often_it_comes(desk: Desk) -> None:
    for _ in range(100):
        await desk.authentication.by_password("ada", PASSWORD, HERE)
    assert desk.passwords.verified == 1
    desk.clock.advance(MEMORY_S)
    await desk.authentication.by_password("ada", PASSWORD, HERE)
    assert desk.passwords.verified == 2


async def test_many_at_once_are_verified_once(desk: Desk) -> None:
    await asyncio.gather(*(desk.authentication.by_password("ada", PASSWORD, HERE) for _ in range(50)))
    assert desk.passwords.verified == 1


async def test_what_is_remembered_holds_for_that_password_and_place_alone(desk: Desk) -> None:
    await desk.authentication.by_password("ada", PASSWORD, HERE)
    with pytest.raises(BadCredentials):
        await desk.authentication.by_password("ada", PASSWORD + "x", HERE)
    await desk.authentication.by_password("ada", PASSWORD, ELSEWHERE)
    assert desk.passwords.verified == 3


@pytest.mark.parametrize(
    "change",
    [
        OperatorChange(enabled=False),
        OperatorChange(password="another one", sets_password=True),
        OperatorChange(sets_password=True),
    ],
)
async def test_a_change_is_in_force_at_the_next_request(desk: Desk, change: OperatorChange) -> None:
    _, secret = key_of(desk)
    proven = await desk.authentication.by_password("ada", PASSWORD, HERE)
    token = desk.tokens.issue(proven.claim())
    desk.administration.change(LOCAL, "ada", change)  # as another process would
    with pytest.raises(BadCredentials):
        await desk.authentication.by_password("ada", PASSWORD, HERE)
    with pytest.raises(BadCredentials):
        await desk.authentication.by_token(token, HERE)
    if change.enabled is False:
        with pytest.raises(BadCredentials):
            await desk.authentication.by_key(secret, HERE)


async def test_role_and_reach_are_those_of_the_record_whatever_is_shown(desk: Desk) -> None:
    _, secret = key_of(desk)
    token = desk.tokens.issue((await desk.authentication.by_key(secret, HERE)).claim())
    desk.administration.change(
        LOCAL, "ada", OperatorChange(role=Role.VIEWER, tenants=frozenset({"b"}), sets_tenants=True)
    )
    for proven in (
        await desk.authentication.by_password("ada", PASSWORD, HERE),
        await desk.authentication.by_key(secret, HERE),
        await desk.authentication.by_token(token, HERE),
    ):
        assert (proven.allowed, proven.tenants) == (Need.READ, frozenset({"b"}))


async def test_a_key_proves_its_operator_until_it_is_revoked(desk: Desk) -> None:
    key_id, secret = key_of(desk)
    assert (await desk.authentication.by_key(secret, HERE)).name == "ada"
    desk.administration.revoke_key(LOCAL, "ada", key_id)
    with pytest.raises(BadCredentials):
        await desk.authentication.by_key(secret, HERE)


async def test_a_program_with_a_spent_key_closes_nothing_to_its_neighbours(desk: Desk) -> None:
    key_id, secret = key_of(desk)
    desk.administration.revoke_key(LOCAL, "ada", key_id)
    for _ in range(50):
        with pytest.raises(BadCredentials):
            await desk.authentication.by_key(secret, HERE)
    await desk.authentication.by_password("ada", PASSWORD, HERE)
    assert [row.facts["operator"] for row in desk.audited("operator.refused")] == ["ada"]


async def test_a_key_ends_when_its_time_is_over(desk: Desk) -> None:
    _, secret = key_of(desk, days=1)
    desk.clock.advance(86_399)
    await desk.authentication.by_key(secret, HERE)
    desk.clock.advance(1)
    with pytest.raises(BadCredentials):
        await desk.authentication.by_key(secret, HERE)


async def test_a_key_may_come_as_the_password_of_its_own_operator(desk: Desk) -> None:
    _, secret = key_of(desk)
    assert (await desk.authentication.by_password("ada", secret, HERE)).key_id is not None
    with pytest.raises(BadCredentials):
        await desk.authentication.by_password("root", secret, HERE)
    assert desk.passwords.verified == 0


async def test_the_use_of_a_key_is_noted_once_a_minute(desk: Desk) -> None:
    key_id, secret = key_of(desk)
    moments = []
    for _ in range(4):
        await desk.authentication.by_key(secret, HERE)
        moments.append(desk.administration.keys(LOCAL, "ada")[0].last_used)
        desk.clock.advance(30)
    assert moments[0] == moments[1] != moments[2] == moments[3]


async def test_a_token_ends_with_the_key_it_was_made_from(desk: Desk) -> None:
    key_id, secret = key_of(desk)
    _, other = key_of(desk)
    token = desk.tokens.issue((await desk.authentication.by_key(secret, HERE)).claim())
    other_token = desk.tokens.issue((await desk.authentication.by_key(other, HERE)).claim())
    desk.administration.revoke_key(LOCAL, "ada", key_id)
    with pytest.raises(BadCredentials):
        await desk.authentication.by_token(token, HERE)
    assert (await desk.authentication.by_token(other_token, HERE)).by_token


async def test_a_token_is_no_good_for_another_operator_of_that_name(desk: Desk) -> None:
    token = desk.tokens.issue((await desk.authentication.by_password("ada", PASSWORD, HERE)).claim())
    desk.administration.delete(LOCAL, "ada")
    with pytest.raises(BadCredentials):
        await desk.authentication.by_token(token, HERE)
    desk.administration.create(LOCAL, "ada", role=Role.ADMIN, password=PASSWORD)
    with pytest.raises(BadCredentials):
        await desk.authentication.by_token(token, HERE)


async def test_an_expired_token_is_told_so_and_is_no_attempt(desk: Desk) -> None:
    token = desk.tokens.issue((await desk.authentication.by_password("ada", PASSWORD, HERE)).claim())
    desk.clock.advance(900)
    for _ in range(100):
        with pytest.raises(TokenExpired):
            await desk.authentication.by_token(token, HERE)
    assert not desk.audited("operator.refused")


async def test_guesses_are_slowed_and_told_in_the_audit(desk: Desk) -> None:
    for number in range(5):
        with pytest.raises(BadCredentials):
            await desk.authentication.by_password("ada", f"guess {number}", HERE)
    with pytest.raises(TooManyAttempts) as refused:
        await desk.authentication.by_password("ada", PASSWORD, HERE)
    assert refused.value.retry_after_s == 1
    assert desk.passwords.verified == 5
    await desk.authentication.by_password("ada", PASSWORD, ELSEWHERE)
    desk.clock.advance(1)
    await desk.authentication.by_password("ada", PASSWORD, HERE)
    desk.authentication.close()
    assert [row.facts["attempts"] for row in desk.audited("operator.refused")] == ["1", "4"]


async def test_guesses_at_the_same_time_are_no_more_than_one_after_the_other(desk: Desk) -> None:
    guesses = (desk.authentication.by_password("ada", f"guess {number}", HERE) for number in range(30))
    outcomes = await asyncio.gather(*guesses, return_exceptions=True)
    assert [type(one) for one in outcomes].count(TooManyAttempts) == 25
    assert desk.passwords.verified == 5


async def test_guesses_beside_an_operator_at_work_are_slowed_all_the_same(desk: Desk) -> None:
    await desk.authentication.by_password("ada", PASSWORD, HERE)
    for number in range(5):
        await desk.authentication.by_password("ada", PASSWORD, HERE)
        with pytest.raises(BadCredentials):
            await desk.authentication.by_password("ada", f"guess {number}", HERE)
    with pytest.raises(TooManyAttempts):
        await desk.authentication.by_password("ada", "guess", HERE)
    assert desk.passwords.verified == 6


async def test_strange_keys_and_tokens_are_slowed_and_a_good_key_never_is(desk: Desk) -> None:
    _, secret = key_of(desk)
    faults: list[type[Exception]] = []
    for number in range(50):
        with pytest.raises((Unauthenticated, TooManyAttempts)) as fault:
            await desk.authentication.by_key(f"tuh_{number}", HERE)
        faults.append(fault.type)
    with pytest.raises(TooManyAttempts):
        await desk.authentication.by_token("no token", HERE)
    assert faults == [BadCredentials] * 20 + [TooManyAttempts] * 30
    assert (await desk.authentication.by_key(secret, HERE)).name == "ada"


async def test_what_could_not_be_verified_does_not_count(desk: Desk) -> None:
    desk.passwords.fault = LoginsBusy("too many")
    for _ in range(50):
        with pytest.raises(Unavailable):
            await desk.authentication.by_password("ada", PASSWORD, HERE)
    desk.passwords.fault = None
    await desk.authentication.by_password("ada", PASSWORD, HERE)


async def test_a_key_is_good_also_where_its_use_cannot_be_noted(desk: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    _, secret = key_of(desk)

    def broken(key_id: str, moment: object) -> None:
        raise Unavailable("disk full")

    monkeypatch.setattr(desk.operators, "note_use", broken)
    assert (await desk.authentication.by_key(secret, HERE)).name == "ada"


def test_what_is_remembered_is_bounded() -> None:
    desk = Desk()
    verified = VerifiedPasswords(memory_s=60, entries_max=10, clock=desk.clock)
    for number in range(100):
        verified.add(f"op-{number}", HERE, "hash", verified.digest(f"op-{number}", HERE, "p"))
    assert len(verified._entries) == 10
    assert not verified.holds("op-1", HERE, "hash", verified.digest("op-1", HERE, "p"))
    assert verified.holds("op-99", HERE, "hash", verified.digest("op-99", HERE, "p"))
    assert not verified.holds("op-98", HERE, "other hash", verified.digest("op-98", HERE, "p"))


def test_no_secret_shows_where_an_operator_or_key_is_printed(desk: Desk) -> None:
    operator = desk.administration.get(LOCAL, "ada")
    key_of(desk)
    (key,) = desk.administration.keys(LOCAL, "ada")
    assert operator.password_hash is not None
    assert operator.password_hash not in repr(operator)
    assert key.digest_hex not in repr(replace(key, name="x"))
