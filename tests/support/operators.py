"""Operators over the in-memory store, authenticated as the gateway does it, with passwords that cost nothing."""

from collections.abc import Sequence
from dataclasses import dataclass, field

from kernel.clock import ManualClock
from kernel.exchange import Need
from storage.memory_operators import MemoryOperators
from tenant.audit import AuditRow
from tenant.authentication import OperatorAuthentication
from tenant.failed_logins import FailedLogins
from tenant.login_throttle import LoginThrottle
from tenant.operator_administration import OperatorAdministration
from tenant.operators import LocalCaller, Reach
from tenant.passwords import verify_password
from tenant.tokens import Tokens

LOCAL = LocalCaller(name="local:root")
HERE = "192.0.2.1"
PASSWORD = "correct horse"
MEMORY_S = 300.0


def caller(*tenants: str, name: str = "limited", allowed: Need = Need.ADMINISTER) -> LocalCaller:
    """Somebody for whom only these tenants exist; none given: all."""
    reach: Reach = frozenset(tenants) or None
    return LocalCaller(name=name, allowed=allowed, tenants=reach)


class CountingPasswords:
    """A pool without threads that remembers how often it was asked."""

    def __init__(self) -> None:
        self.verified = 0
        self.fault: Exception | None = None

    async def verify(self, password_hash: str, password: str) -> bool:
        self.verified += 1
        if self.fault is not None:
            raise self.fault
        return verify_password(password_hash, password)

    def close(self) -> None:
        """Nothing to end."""


@dataclass(slots=True)
class Desk:
    """One process."""

    clock: ManualClock = field(default_factory=ManualClock)
    rows: list[AuditRow] = field(default_factory=list)
    passwords: CountingPasswords = field(default_factory=CountingPasswords)
    operators: MemoryOperators = field(init=False)
    administration: OperatorAdministration = field(init=False)
    authentication: OperatorAuthentication = field(init=False)
    tokens: Tokens = field(init=False)

    def __post_init__(self) -> None:
        self.operators = MemoryOperators(self.rows.append)
        self.administration = OperatorAdministration(operators=self.operators, clock=self.clock)
        self.tokens = Tokens(key=b"k" * 32, lifetime_s=900, clock=self.clock)
        self.authentication = OperatorAuthentication(
            operators=self.operators,
            passwords=self.passwords,
            throttle=LoginThrottle(free_tries=5, first_s=1.0, max_s=900.0, clock=self.clock),
            failures=FailedLogins(record=self.rows.append, clock=self.clock),
            tokens=self.tokens,
            password_memory_s=MEMORY_S,
            clock=self.clock,
        )

    def audited(self, what: str) -> Sequence[AuditRow]:
        return [row for row in self.rows if row.what == what]
