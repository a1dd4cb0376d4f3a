"""Passwords are verified beside the loop, few at a time, and as slowly where there is nobody to verify."""

import asyncio
import threading

import pytest
from argon2 import Parameters, PasswordHasher, extract_parameters
from argon2.exceptions import VerifyMismatchError

from tenant import passwords
from tenant.operator_errors import LoginsBusy
from tenant.passwords import NOBODYS_HASH, PasswordPool, hash_password, verify_password


def test_a_hash_verifies_its_own_password_alone() -> None:
    made = hash_password("correct horse")
    assert made.startswith("$argon2id$")
    assert verify_password(made, "correct horse")
    assert not verify_password(made, "correct horsf")
    assert made != hash_password("correct horse")


def test_nobodys_hash_costs_as_much_as_anybodys() -> None:
    wanted: Parameters = extract_parameters(hash_password("x"))
    found = extract_parameters(NOBODYS_HASH)
    assert (found.type, found.version) == (wanted.type, wanted.version)
    assert (found.time_cost, found.memory_cost, found.parallelism) == (
        wanted.time_cost,
        wanted.memory_cost,
        wanted.parallelism,
    )
    assert (found.salt_len, found.hash_len) == (wanted.salt_len, wanted.hash_len)
    with pytest.raises(VerifyMismatchError):  # it is computed to its end, and differs
        PasswordHasher().verify(NOBODYS_HASH, "")


@pytest.mark.parametrize("odd", ["", "x", "$argon2id$", "$2b$10$abcdefghijklmnopqrstuv", "\x00"])
def test_what_is_no_hash_verifies_nothing(odd: str) -> None:
    assert not verify_password(odd, "password")


async def test_what_waits_is_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    go_on = threading.Event()

    def slow(password_hash: str, password: str) -> bool:
        return go_on.wait(20)

    monkeypatch.setattr(passwords, "verify_password", slow)
    pool = PasswordPool(workers=1, waiting_max=2)
    waiting = [asyncio.create_task(pool.verify("h", "p")) for _ in range(3)]
    await asyncio.sleep(0)
    with pytest.raises(LoginsBusy):
        await pool.verify("h", "p")
    go_on.set()
    assert await asyncio.gather(*waiting) == [True] * 3
    assert await pool.verify("h", "p")
    pool.close()
    pool.close()
