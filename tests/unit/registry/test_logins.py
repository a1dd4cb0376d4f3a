"""Passwords: checked once, remembered as long as they hold, and not tried as often as anybody likes."""

import asyncio
from collections.abc import Iterator
from dataclasses import replace
from datetime import timedelta

import pytest

from conf.registry import RegistrySettings
from kernel.clock import ManualClock
from kernel.ids import AuthId, DeviceId, TenantId
from registry import logins, passwords
from registry.credentials import HASHED_PASSWORD
from registry.errors import PasswordAttemptsExceeded, PasswordChecksFull, PasswordWrong
from registry.logins import PasswordJudge
from registry.model import Credential, Secret
from registry.passwords import HashRules
from registry.standing import proof_of

HERE, THERE = "192.0.2.1", "198.51.100.7"
CHECKED: list[bytes] = []
RULES = HashRules(bcrypt_cost_max=4)
SECRET = Secret(secret_id="1", material=RULES.hash("hush"))
CREDENTIAL = Credential(
    tenant_id=TenantId("acme"),
    device_id=DeviceId("pump"),
    type=HASHED_PASSWORD,
    auth_id=AuthId("pump"),
    secrets=(SECRET,),
)


@pytest.fixture
def clock() -> ManualClock:
    return ManualClock()


@pytest.fixture
def judge(clock: ManualClock, monkeypatch: pytest.MonkeyPatch) -> Iterator[PasswordJudge]:
    """One that writes down what it checks."""
    CHECKED.clear()
    verifies = passwords.verifies

    def checked(material: dict[str, str], password: bytes) -> bool:
        CHECKED.append(password)
        return verifies(material, password)

    monkeypatch.setattr(logins, "verifies", checked)
    settings = RegistrySettings(password_failures_max=3, password_failures_per_minute=6, password_checks_max=4)
    judge = PasswordJudge(settings=settings, clock=clock)
    yield judge
    judge.close()


async def refused(judge: PasswordJudge, password: bytes, network: str = HERE) -> type[Exception]:
    with pytest.raises((PasswordWrong, PasswordAttemptsExceeded, PasswordChecksFull)) as fault:
        await judge.prove(CREDENTIAL, password, network)
    return fault.type


async def test_a_right_password_is_checked_once(judge: PasswordJudge) -> None:
    assert judge.remembered(CREDENTIAL, b"hush", HERE) is None
    await judge.prove(CREDENTIAL, b"hush", HERE)
    for _ in range(3):
        assert judge.remembered(CREDENTIAL, b"hush", HERE) == proof_of(SECRET)
    assert judge.remembered(CREDENTIAL, b"hush!", HERE) is None
    assert CHECKED == [b"hush"]


async def test_a_wrong_password_is_never_remembered(judge: PasswordJudge) -> None:
    assert await refused(judge, b"wrong") is PasswordWrong
    assert judge.remembered(CREDENTIAL, b"wrong", HERE) is None


async def test_what_is_remembered_holds_as_long_as_the_secret(judge: PasswordJudge, clock: ManualClock) -> None:
    await judge.prove(CREDENTIAL, b"hush", HERE)
    other = Secret(secret_id="1", material=RULES.hash("other"))
    now = clock.now()
    for secrets in (
        (other,),
        (replace(SECRET, enabled=False),),
        (replace(SECRET, not_before=now + timedelta(seconds=1)),),
        (replace(SECRET, not_after=now - timedelta(seconds=1)),),
        (),
    ):
        assert judge.remembered(replace(CREDENTIAL, secrets=secrets), b"hush", HERE) is None
    assert judge.remembered(replace(CREDENTIAL, secrets=(other, SECRET)), b"hush", HERE) == proof_of(SECRET)
    for stranger in (replace(CREDENTIAL, tenant_id=TenantId("x")), replace(CREDENTIAL, auth_id=AuthId("x"))):
        assert judge.remembered(stranger, b"hush", HERE) is None


async def test_many_at_once_with_one_password_share_one_check(judge: PasswordJudge) -> None:
    await asyncio.gather(*(judge.prove(CREDENTIAL, b"hush", HERE) for _ in range(50)))
    assert CHECKED == [b"hush"]
    outcomes = await asyncio.gather(
        *(judge.prove(CREDENTIAL, b"wrong", HERE) for _ in range(50)), return_exceptions=True
    )
    assert {type(outcome) for outcome in outcomes} == {PasswordWrong}
    assert CHECKED == [b"hush", b"wrong"]


async def test_too_many_wrong_ones_are_not_looked_at_for_a_while(judge: PasswordJudge, clock: ManualClock) -> None:
    for number in range(3):
        assert await refused(judge, b"%d" % number) is PasswordWrong
    assert await refused(judge, b"3") is PasswordAttemptsExceeded
    assert await refused(judge, b"hush") is PasswordAttemptsExceeded, "not even the right one of a device not seen yet"
    assert len(CHECKED) == 3
    clock.advance(10)  # one, at 6 a minute
    assert await refused(judge, b"4") is PasswordWrong
    assert await refused(judge, b"5") is PasswordAttemptsExceeded
    clock.advance(10)
    await judge.prove(CREDENTIAL, b"hush", HERE)
    assert await refused(judge, b"6") is PasswordWrong, "all is forgiven with the right one"


async def test_a_stranger_keeps_a_known_device_out_of_nothing_and_learns_nothing(judge: PasswordJudge) -> None:
    await judge.prove(CREDENTIAL, b"hush", HERE)
    for number in range(5):
        await refused(judge, b"%d" % number, THERE)
    assert judge.remembered(CREDENTIAL, b"hush", THERE) is None, "else a stranger would guess on and on"
    assert await refused(judge, b"hush", THERE) is PasswordAttemptsExceeded
    assert judge.remembered(CREDENTIAL, b"hush", HERE) == proof_of(SECRET)


async def test_guesses_from_where_the_device_is_are_counted_there(judge: PasswordJudge, clock: ManualClock) -> None:
    await judge.prove(CREDENTIAL, b"hush", HERE)
    for network in (THERE, HERE):  # the first spend what the credential has
        for number in range(3):
            await refused(judge, b"%d" % number, network)
    assert judge.remembered(CREDENTIAL, b"hush", HERE) is None
    clock.advance(10)
    assert judge.remembered(CREDENTIAL, b"hush", HERE) == proof_of(SECRET)


async def test_what_is_compared_at_the_same_time_is_counted_at_once(judge: PasswordJudge) -> None:
    await judge.prove(CREDENTIAL, b"hush", HERE)
    for number in range(3):
        assert judge.remembered(CREDENTIAL, b"%d" % number, THERE) is None
    assert judge.remembered(CREDENTIAL, b"hush", THERE) is None
    assert judge.remembered(CREDENTIAL, b"hush", HERE) == proof_of(SECRET)


async def test_one_attempt_counts_once_however_often_it_is_looked_at(judge: PasswordJudge) -> None:
    await judge.prove(CREDENTIAL, b"hush", HERE)
    for number in range(2):
        for _ in range(5):
            assert judge.remembered(CREDENTIAL, b"%d" % number, THERE) is None
        assert await refused(judge, b"%d" % number, THERE) is PasswordWrong
    assert judge.remembered(CREDENTIAL, b"hush", THERE) == proof_of(SECRET)


async def test_a_device_that_moves_takes_along_what_is_remembered(judge: PasswordJudge) -> None:
    await judge.prove(CREDENTIAL, b"hush", HERE)
    assert judge.remembered(CREDENTIAL, b"hush", THERE) == proof_of(SECRET)
    for number in range(3):
        await refused(judge, b"%d" % number, "203.0.113.1")
    assert judge.remembered(CREDENTIAL, b"hush", THERE) == proof_of(SECRET)
    assert CHECKED == [b"hush", b"0", b"1", b"2"]


async def test_many_wrong_ones_at_once_gain_nothing(judge: PasswordJudge) -> None:
    outcomes = await asyncio.gather(
        *(judge.prove(CREDENTIAL, b"%d" % number, HERE) for number in range(20)), return_exceptions=True
    )
    assert len(CHECKED) == 3
    assert [type(outcome) for outcome in outcomes].count(PasswordWrong) == 3


async def test_another_credential_is_no_worse_for_it(judge: PasswordJudge) -> None:
    for number in range(5):
        await refused(judge, b"%d" % number)
    await judge.prove(replace(CREDENTIAL, auth_id=AuthId("valve")), b"hush", HERE)


async def test_only_so_many_wait_to_be_checked(judge: PasswordJudge) -> None:
    strangers = [replace(CREDENTIAL, auth_id=AuthId(f"d{number}")) for number in range(20)]
    outcomes = await asyncio.gather(*(judge.prove(one, b"hush", HERE) for one in strangers), return_exceptions=True)
    assert [type(outcome) for outcome in outcomes] == [type(None)] * 4 + [PasswordChecksFull] * 16
    await judge.prove(strangers[-1], b"hush", HERE)


async def test_what_is_remembered_is_bounded(judge: PasswordJudge, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(logins, "REMEMBERED_MAX", 2)
    monkeypatch.setattr(logins, "COUNTED_MAX", 2)
    devices = [replace(CREDENTIAL, auth_id=AuthId(f"d{number}")) for number in range(3)]
    for device in devices:
        await judge.prove(device, b"hush", HERE)
        with pytest.raises(PasswordWrong):
            await judge.prove(device, b"wrong", HERE)
    assert [judge.remembered(device, b"hush", HERE) is not None for device in devices] == [False, True, True]
    assert len(judge._of_credentials) == len(judge._of_networks) == 2


async def test_a_caller_that_leaves_does_not_stop_the_check(judge: PasswordJudge) -> None:
    leaving = asyncio.create_task(judge.prove(CREDENTIAL, b"hush", HERE))
    staying = asyncio.create_task(judge.prove(CREDENTIAL, b"hush", HERE))
    await asyncio.sleep(0)
    leaving.cancel()
    await staying
    assert CHECKED == [b"hush"]
