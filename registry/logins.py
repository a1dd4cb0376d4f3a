"""Whether a password proves a credential: checked in threads, remembered, and not as often as anybody likes.

A hash takes tens of milliseconds on purpose. So a password that was right is remembered as a keyed digest, with the
secret it was right for: as long as that secret is on record and valid, its device comes back without another hash.
What is on record is the caller's to look up each time, so nothing here has to be told of changes.

Wrong passwords are counted by credential, and by credential and network. Past the bound of a credential only a
remembered password is looked at, and from the network alone where it was right last; past the bound of a network there,
none. So a stranger who knows a user name can keep out a device that this process has not seen yet, or that shares the
stranger's network, and no other; and guesses no faster for the device being known. Each process counts for itself.
"""

import asyncio
import os
from collections import OrderedDict
from collections.abc import Hashable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from hashlib import blake2b
from hmac import compare_digest
from typing import Final

from conf.registry import RegistrySettings
from kernel.clock import Clock
from kernel.ids import AuthId, TenantId
from registry.errors import PasswordAttemptsExceeded, PasswordChecksFull, PasswordWrong
from registry.model import Credential, Secret
from registry.passwords import verifies
from registry.standing import proof_of

REMEMBERED_MAX: Final = 10_000  # passwords found right; the longest unused go first
COUNTED_MAX: Final = 10_000  # credentials with wrong passwords, and as many with their networks; likewise

_Key = tuple[TenantId, AuthId]
_Check = tuple[_Key, bytes]  # with the password's digest
_Comparison = tuple[_Key, str, bytes]  # with the network and the password's digest


@dataclass(frozen=True, slots=True)
class _Remembered:
    """A password found right."""

    proof: str  # of the secret
    digest: bytes
    network: str  # where it was right last


@dataclass(slots=True)
class _Budget:
    """Of wrong passwords."""

    left: float
    filled_at: float


class _Budgets:
    """Of whom passwords are counted, the longest unused forgotten first."""

    def __init__(self, *, failures_max: int, refill_per_s: float, clock: Clock) -> None:
        self._failures_max = float(failures_max)
        self._refill_per_s = refill_per_s
        self._clock = clock
        self._budgets: OrderedDict[Hashable, _Budget] = OrderedDict()

    def __len__(self) -> int:
        return len(self._budgets)

    def is_spent(self, who: Hashable) -> bool:
        budget = self._budgets.get(who)
        return budget is not None and self._left(budget, self._clock.monotonic()) < 1.0

    def charge(self, who: Hashable) -> bool:
        """Whether there was something left to take one from."""
        now = self._clock.monotonic()
        budget = self._budgets.get(who)
        if budget is None:
            budget = self._budgets[who] = _Budget(self._failures_max, now)
            if len(self._budgets) > COUNTED_MAX:
                self._budgets.popitem(last=False)
        self._budgets.move_to_end(who)
        budget.left, budget.filled_at = self._left(budget, now), now
        if budget.left < 1.0:
            return False
        budget.left -= 1.0
        return True

    def forget(self, who: Hashable) -> None:
        self._budgets.pop(who, None)

    def _left(self, budget: _Budget, now: float) -> float:
        return min(self._failures_max, budget.left + (now - budget.filled_at) * self._refill_per_s)


class PasswordJudge:
    """One for all adapters of a process. Used on the event loop only; `close` it at the end."""

    def __init__(self, *, settings: RegistrySettings, clock: Clock) -> None:
        self._clock = clock
        self._checks_max = settings.password_checks_max
        self._threads = ThreadPoolExecutor(settings.password_threads, thread_name_prefix="password")
        self._digest_key = os.urandom(32)
        self._remembered: OrderedDict[_Key, _Remembered] = OrderedDict()
        per_s, most = settings.password_failures_per_minute / 60, settings.password_failures_max
        self._of_credentials = _Budgets(failures_max=most, refill_per_s=per_s, clock=clock)
        self._of_networks = _Budgets(failures_max=most, refill_per_s=per_s, clock=clock)
        self._compared: OrderedDict[_Comparison, None] = OrderedDict()  # in vain, counted, and not checked yet
        self._under_way: dict[_Check, asyncio.Future[str]] = {}

    def remembered(self, credential: Credential, password: bytes, network: str) -> str | None:
        """The proof (registry.standing) of the secret this password was found right for, while that is still on
        record and valid. Takes no time."""
        key = (credential.tenant_id, credential.auth_id)
        known = self._remembered.get(key)
        if known is None or self._of_networks.is_spent((key, network)):
            return None
        digest = self._digest(password)
        if not compare_digest(known.digest, digest):
            self._count_comparison((key, network, digest))
            return None
        if not any(proof_of(secret) == known.proof for secret in self._valid(credential)):
            return None
        if known.network != network:
            if self._of_credentials.is_spent(key):
                return None
            self._remembered[key] = replace(known, network=network)
        self._remembered.move_to_end(key)
        return known.proof

    async def prove(self, credential: Credential, password: bytes, network: str) -> None:
        """Return once the password was found right; `remembered` knows it then, as long as nothing changes.

        Simultaneous calls for one password share one check. Raises PasswordWrong, PasswordAttemptsExceeded,
        PasswordChecksFull.
        """
        key = (credential.tenant_id, credential.auth_id)
        digest = self._digest(password)
        check = self._under_way.get((key, digest))
        if check is None:
            check = self._begin(credential, digest, password, network)
        proof = await asyncio.shield(check)
        if not proof:
            raise PasswordWrong(
                f"a wrong password for {credential.auth_id!r} of tenant {credential.tenant_id!r}",
                device_id=credential.device_id,
            )

    def close(self) -> None:
        """Begin nothing more; checks under way end by themselves."""
        self._threads.shutdown(wait=False, cancel_futures=True)

    def _begin(self, credential: Credential, digest: bytes, password: bytes, network: str) -> asyncio.Future[str]:
        if len(self._under_way) >= self._checks_max:
            raise PasswordChecksFull(f"{len(self._under_way)} passwords are waiting to be checked")
        key = (credential.tenant_id, credential.auth_id)
        self._charge(key, network, digest)
        work = asyncio.get_running_loop().run_in_executor(self._threads, _proven, self._valid(credential), password)
        self._under_way[key, digest] = work
        work.add_done_callback(lambda done: self._ended((key, digest), network, done))
        return work

    def _ended(self, check: _Check, network: str, work: asyncio.Future[str]) -> None:
        del self._under_way[check]
        if work.cancelled() or work.exception() is not None or not work.result():
            return
        key, digest = check
        self._of_credentials.forget(key)
        self._of_networks.forget((key, network))
        self._remembered[key] = _Remembered(work.result(), digest, network)
        self._remembered.move_to_end(key)
        if len(self._remembered) > REMEMBERED_MAX:
            self._remembered.popitem(last=False)

    def _count_comparison(self, comparison: _Comparison) -> None:
        """At once, not when the password is checked: any number may be compared until then."""
        if comparison not in self._compared:
            self._of_networks.charge(comparison[:2])
            self._compared[comparison] = None
            if len(self._compared) > COUNTED_MAX:
                self._compared.popitem(last=False)

    def _charge(self, key: _Key, network: str, digest: bytes) -> None:
        """An attempt counts as wrong until it is found right: many at once gain nothing."""
        if (key, network, digest) in self._compared:
            del self._compared[key, network, digest]
        elif not self._of_networks.charge((key, network)):
            raise _exceeded(key)
        if not self._of_credentials.charge(key):
            raise _exceeded(key)

    def _valid(self, credential: Credential) -> Sequence[Secret]:
        now = self._clock.now()
        return [secret for secret in credential.secrets if secret.is_valid_at(now)]

    def _digest(self, password: bytes) -> bytes:
        return blake2b(password, digest_size=32, key=self._digest_key).digest()


def _exceeded(key: _Key) -> PasswordAttemptsExceeded:
    return PasswordAttemptsExceeded(f"too many wrong passwords for {key[1]!r} of tenant {key[0]!r}")


def _proven(secrets: Sequence[Secret], password: bytes) -> str:
    """In a thread. The proof of the secret whose password it is; empty where it is none's."""
    return next((proof_of(secret) for secret in secrets if verifies(secret.material, password)), "")
