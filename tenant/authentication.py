"""Proves which operator asks: by name and password, by API key, or by a token made from either.

Every proof is checked against the record as it is at that moment, so whatever is disabled, revoked or changed, in
whatever process, is refused from the next request on. What is remembered is only that a password was right for a
hash: a keyed digest of it, bounded in number and time, good for the network it came from and for that very hash.
"""

import asyncio
import hashlib
import hmac
import logging
import secrets
from collections import OrderedDict
from dataclasses import dataclass
from functools import partial
from typing import Protocol

from kernel.clock import Clock
from kernel.errors import Unauthenticated, Unavailable
from kernel.exchange import Need
from kernel.log import fields
from tenant.failed_logins import FailedLogins
from tenant.login_throttle import Attempt, LoginThrottle, network_of
from tenant.operator_errors import BadCredentials
from tenant.operators import (
    KEY_PREFIX,
    KEY_USE_NOTED_EVERY,
    PASSWORD_MAX_CHARS,
    ApiKey,
    Operator,
    Reach,
    digest_of,
    is_operator_name,
)
from tenant.passwords import NOBODYS_HASH
from tenant.ports import OperatorRepository
from tenant.tokens import Claim, Tokens

log = logging.getLogger(__name__)

VERIFIED_MAX = 1000
NOBODY = ""  # the account of every name that cannot be one


class Passwords(Protocol):
    """Verifies passwords beside the event loop: `tenant.passwords.PasswordPool`."""

    async def verify(self, password_hash: str, password: str) -> bool:
        """Raises LoginsBusy."""
        ...

    def close(self) -> None: ...


@dataclass(frozen=True, slots=True, kw_only=True)
class ProvenOperator:
    """Who asks, and by what that was proven. A `kernel.exchange.Caller`."""

    operator: Operator
    key_id: str | None = None
    by_token: bool = False

    @property
    def name(self) -> str:
        return self.operator.name

    @property
    def allowed(self) -> Need:
        return self.operator.allowed

    @property
    def tenants(self) -> Reach:
        return self.operator.tenants

    def claim(self) -> Claim:
        """What a token made from this proof says."""
        operator = self.operator
        if self.key_id is not None:
            return Claim(operator_name=operator.name, operator_id=operator.operator_id, key_id=self.key_id)
        stamp = operator.password_stamp
        return Claim(operator_name=operator.name, operator_id=operator.operator_id, password_stamp=stamp)


class OperatorAuthentication:
    """Belongs to one event loop; the repository is asked in threads."""

    def __init__(
        self,
        *,
        operators: OperatorRepository,
        passwords: Passwords,
        throttle: LoginThrottle,
        failures: FailedLogins,
        tokens: Tokens,
        password_memory_s: float,
        clock: Clock,
    ) -> None:
        self._operators = operators
        self._passwords = passwords
        self._throttle = throttle
        self._failures = failures
        self._tokens = tokens
        self._verified = VerifiedPasswords(memory_s=password_memory_s, entries_max=VERIFIED_MAX, clock=clock)
        self._verifying: dict[tuple[str, str, bytes], asyncio.Task[bool]] = {}  # bounded by the pool
        self._clock = clock

    async def by_password(self, name: str, password: str, remote: str) -> ProvenOperator:
        """The password may be an API key of that operator. Raises BadCredentials, TooManyAttempts, Unavailable."""
        self._failures.sweep()
        if password.startswith(KEY_PREFIX):
            return await self.by_key(password, remote, name=name)
        network = network_of(remote)
        account = name if is_operator_name(name) else NOBODY
        self._throttle.check(account, network)
        operator = await asyncio.to_thread(self._operators.find, account) if account else None
        password_hash = NOBODYS_HASH if operator is None else operator.password_hash or NOBODYS_HASH
        digest = self._verified.digest(account, network, password)
        task = self._verifying.get((account, password_hash, digest))
        if task is None:
            self._throttle.check(account, network)  # again: others began while the record was read
            if not self._verified.holds(account, network, password_hash, digest):
                task = self._verify(account, network, password_hash, password, digest)
        is_right = task is None or await asyncio.shield(task)
        if operator is None or not is_right or not operator.enabled or operator.password_hash is None:
            raise self._refused("no operator of this name has this password", operator, network, remote)
        if task is not None:  # what is only remembered wipes out no guesses made beside it from the same address
            self._throttle.succeeded(account, network)
        return ProvenOperator(operator=operator)

    async def by_key(self, key: str, remote: str, *, name: str | None = None) -> ProvenOperator:
        """`name`: of the operator whose key it must be. Raises BadCredentials, TooManyAttempts, Unavailable."""
        found = await asyncio.to_thread(self._operators.find_by_key, digest_of(key))
        if found is None:
            raise self._stray("this API key proves nobody", remote)
        operator, known = found
        if operator.enabled and known.is_valid_at(self._clock.now()) and name in {None, operator.name}:
            await self._note_use(known)
            return ProvenOperator(operator=operator, key_id=known.key_id)
        # Made here, so nobody guesses: a forgotten program with a spent key closes the network to no neighbour.
        raise self._refused("this API key proves nobody any more", operator, network_of(remote), remote)

    async def by_token(self, token: str, remote: str) -> ProvenOperator:
        """Raises BadCredentials, TokenExpired, TooManyAttempts, Unavailable."""
        try:
            claim = self._tokens.read(token)
        except BadCredentials as fault:
            raise self._stray(str(fault), remote) from fault
        operator = await asyncio.to_thread(self._standing, claim)
        if operator is None:  # made here, so nobody guesses: it came too late
            raise BadCredentials("the operator of this token, or what it was made from, is no longer welcome")
        return ProvenOperator(operator=operator, key_id=claim.key_id, by_token=True)

    def close(self) -> None:
        """What was counted of failures is written."""
        self._failures.close()
        self._passwords.close()

    def _standing(self, claim: Claim) -> Operator | None:
        """The operator of a claim, if what it was made from is still good."""
        operator = self._operators.find(claim.operator_name)
        if operator is None or operator.operator_id != claim.operator_id or not operator.enabled:
            return None
        if claim.key_id is not None:
            key = self._operators.find_key(operator.name, claim.key_id)
            return operator if key is not None and key.is_valid_at(self._clock.now()) else None
        return operator if claim.password_stamp == operator.password_stamp else None

    def _verify(
        self, account: str, network: str, password_hash: str, password: str, digest: bytes
    ) -> "asyncio.Task[bool]":
        """As many as ask with the same password at the same time ask once, and count once. Raises TooManyAttempts."""
        attempt = self._throttle.begin(account, network)
        task = asyncio.create_task(self._verify_now(account, network, password_hash, password, digest))
        key = (account, password_hash, digest)
        self._verifying[key] = task
        task.add_done_callback(partial(self._verifying_done, key, attempt))
        return task

    async def _verify_now(self, account: str, network: str, password_hash: str, password: str, digest: bytes) -> bool:
        is_right = await self._passwords.verify(password_hash, password[: PASSWORD_MAX_CHARS + 1])
        if is_right:  # known before anybody else may ask
            self._verified.add(account, network, password_hash, digest)
        return is_right

    def _verifying_done(self, key: tuple[str, str, bytes], attempt: Attempt, task: "asyncio.Task[bool]") -> None:
        del self._verifying[key]
        if task.cancelled() or task.exception() is not None:
            self._throttle.undone(attempt)

    async def _note_use(self, key: ApiKey) -> None:
        moment = self._clock.now()
        if key.last_used is not None and moment - key.last_used < KEY_USE_NOTED_EVERY:
            return
        try:
            await asyncio.to_thread(self._operators.note_use, key.key_id, moment)
        except Unavailable as fault:  # who asks for something else need not suffer from that
            log.warning("operator.use-unnoted", extra=fields(key_id=key.key_id, reason=str(fault)))

    def _refused(self, says: str, operator: Operator | None, network: str, remote: str) -> Unauthenticated:
        name = None if operator is None else operator.name
        self._failures.add(BadCredentials.code, account=name, network=network, remote=remote)
        return BadCredentials(says)

    def _stray(self, says: str, remote: str) -> Unauthenticated:
        """Raises TooManyAttempts."""
        network = network_of(remote)
        refusal = self._refused(says, None, network, remote)
        self._throttle.stray(network)
        return refusal


class VerifiedPasswords:
    """Which passwords were right a moment ago: verifying takes tens of milliseconds, and Basic comes each time.

    Keyed digests with a key that ends with the process; nothing here verifies a password anywhere else.
    """

    def __init__(self, *, memory_s: float, entries_max: int, clock: Clock) -> None:
        self._memory_s = memory_s
        self._entries_max = entries_max
        self._clock = clock
        self._key = secrets.token_bytes(32)
        self._entries: OrderedDict[tuple[str, str], tuple[str, bytes, float]] = OrderedDict()

    def digest(self, account: str, network: str, password: str) -> bytes:
        said = f"{account}\0{network}\0{password}".encode(errors="surrogatepass")
        return hmac.digest(self._key, said, hashlib.sha256)

    def holds(self, account: str, network: str, password_hash: str, digest: bytes) -> bool:
        """Whether this password was right for this hash, from this network."""
        entry = self._entries.get((account, network))
        if entry is None:
            return False
        known_hash, known_digest, until = entry
        if known_hash != password_hash or until <= self._clock.monotonic():
            del self._entries[account, network]
            return False
        return hmac.compare_digest(known_digest, digest)

    def add(self, account: str, network: str, password_hash: str, digest: bytes) -> None:
        """Known until its time is over, which is not extended by being asked for."""
        self._entries[account, network] = (password_hash, digest, self._clock.monotonic() + self._memory_s)
        self._entries.move_to_end((account, network))
        if len(self._entries) > self._entries_max:
            self._entries.popitem(last=False)
