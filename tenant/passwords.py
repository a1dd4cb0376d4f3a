"""Passwords of operators: argon2id, and as many at a time as the machine can bear.

One verification takes tens of milliseconds and 19 MiB on purpose. It runs in threads of its own, and what waits for
them is bounded: strangers who try passwords keep operators with keys and tokens waiting for nothing.
"""

import asyncio
from concurrent.futures import ThreadPoolExecutor

from argon2 import PasswordHasher
from argon2.exceptions import InvalidHashError, VerificationError

from tenant.operator_errors import LoginsBusy

TIME_COST = 2  # the lesser of what OWASP recommends for argon2id: 28 ms here
MEMORY_KIB = 19_456
WORKERS = 2
WAITING_MAX = 64

# Verified where there is nobody to verify, so that a name on record takes as long as any other.
NOBODYS_HASH = f"$argon2id$v=19$m={MEMORY_KIB},t={TIME_COST},p=1${'A' * 22}${'A' * 43}"

_HASHER = PasswordHasher(time_cost=TIME_COST, memory_cost=MEMORY_KIB, parallelism=1)


def hash_password(password: str) -> str:
    """Blocks for as long as verifying does."""
    return _HASHER.hash(password)


def verify_password(password_hash: str, password: str) -> bool:
    """Blocking. False also for a hash that is none."""
    try:
        return _HASHER.verify(password_hash, password)
    except (VerificationError, InvalidHashError):
        return False


class PasswordPool:
    """Verifies passwords beside the event loop. Its threads are made when first wanted."""

    def __init__(self, *, workers: int = WORKERS, waiting_max: int = WAITING_MAX) -> None:
        self._threads = ThreadPoolExecutor(max_workers=workers, thread_name_prefix="password")
        self._pending_max = workers + waiting_max
        self._pending = 0

    async def verify(self, password_hash: str, password: str) -> bool:
        """Raises LoginsBusy."""
        if self._pending >= self._pending_max:
            raise LoginsBusy(f"{self._pending} passwords wait to be verified")
        work = asyncio.get_running_loop().run_in_executor(self._threads, verify_password, password_hash, password)
        self._pending += 1
        work.add_done_callback(self._done)
        return await work

    def close(self) -> None:
        """What waits is not verified any more. Safe to repeat."""
        self._threads.shutdown(wait=False, cancel_futures=True)

    def _done(self, _: asyncio.Future[bool]) -> None:
        self._pending -= 1
