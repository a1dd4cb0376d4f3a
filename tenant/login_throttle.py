"""Slows down whoever tries passwords, and nobody else.

Three counts of failures, each bounded, each closing for twice as long with every failure beyond a few:

    account from a network   up to `backoff_max_s`
    network                  up to `backoff_max_s`, after more failures: it may be many people behind one address
    account                  up to ACCOUNT_MAX_S only: whoever tries a name from everywhere must not lock it out

A network from which the account logged in lately is spared the last two, so a storm of guesses elsewhere, or of a
neighbour at other names, costs an operator at its usual place nothing. An attempt counts as failed from its
beginning until it succeeds, and begins only where nothing is closed: many at once gain nothing. Attempts while closed
are not looked at and do not count.

When a table is full, of its longest untouched entries the least suspicious one makes room.
"""

import ipaddress
from collections import OrderedDict
from collections.abc import Hashable
from dataclasses import dataclass
from itertools import islice

from kernel.clock import Clock
from tenant.operator_errors import TooManyAttempts

ENTRIES_MAX = 10_000  # of each table
ACCOUNT_MAX_S = 30.0
WIDE_FACTOR = 4  # so many times the free tries of one account from one network: for the network, and for the account
FORGOTTEN_AFTER_S = 3600.0  # without a failure, beyond the time it was closed
KNOWN_FOR_S = 86_400.0
IPV6_NETWORK_BITS = 64  # one customer of a provider has at least so many addresses
_CANDIDATES = 8
_DOUBLINGS_MAX = 32


class LoginThrottle:
    """Asked before a password is looked at. Belongs to one event loop."""

    def __init__(
        self, *, free_tries: int, first_s: float, max_s: float, clock: Clock, entries_max: int = ENTRIES_MAX
    ) -> None:
        def table(free: int, longest_s: float) -> Backoff:
            return Backoff(free=free, first_s=first_s, max_s=longest_s, entries_max=entries_max, clock=clock)

        self._pairs = table(free_tries, max_s)
        self._networks = table(free_tries * WIDE_FACTOR, max_s)
        self._accounts = table(free_tries * WIDE_FACTOR, min(max_s, ACCOUNT_MAX_S))
        self._known: OrderedDict[tuple[str, str], float] = OrderedDict()  # until when
        self._known_max = entries_max
        self._clock = clock

    def check(self, account: str, network: str) -> None:
        """Raises TooManyAttempts."""
        wait_s = self._pairs.wait_s((account, network))
        if self._known.get((account, network), 0.0) <= self._clock.monotonic():
            wait_s = max(wait_s, self._networks.wait_s(network), self._accounts.wait_s(account))
        if wait_s > 0:
            raise TooManyAttempts(wait_s)

    def begin(self, account: str, network: str) -> "Attempt":
        """An attempt: failed, unless `succeeded` or `undone` follows. Raises TooManyAttempts."""
        self.check(account, network)
        return Attempt(
            pair=self._pairs.charge((account, network)),
            network=self._networks.charge(network),
            account=self._accounts.charge(account),
        )

    def undone(self, attempt: "Attempt") -> None:
        """It was not looked at, for reasons of our own."""
        self._pairs.refund(attempt.pair)
        self._networks.refund(attempt.network)
        self._accounts.refund(attempt.account)

    def succeeded(self, account: str, network: str) -> None:
        """All is forgotten of the account, and of the network."""
        pair = account, network
        self._pairs.clear(pair)
        self._networks.clear(network)
        self._accounts.clear(account)
        self._known.pop(pair, None)
        self._known[pair] = self._clock.monotonic() + KNOWN_FOR_S
        if len(self._known) > self._known_max:
            self._known.popitem(last=False)

    def stray(self, network: str) -> None:
        """Something that proves nobody came from there: a key or token, which names no account.

        Raises TooManyAttempts where there were too many.
        """
        wait_s = self._networks.wait_s(network)
        if wait_s > 0:
            raise TooManyAttempts(wait_s)
        self._networks.charge(network)


@dataclass(slots=True)
class _Count:
    failures: int = 0
    open_at: float = 0.0
    last: float = 0.0
    serial: int = 0  # of the last charge that stands


@dataclass(frozen=True, slots=True)
class Charge:
    """One failure in one table, and when it was open before that."""

    who: Hashable
    serial: int
    open_at: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Attempt:
    """What an attempt was charged with."""

    pair: Charge
    network: Charge
    account: Charge


class Backoff:
    """Failures by whom, in a table of bounded size."""

    def __init__(self, *, free: int, first_s: float, max_s: float, entries_max: int, clock: Clock) -> None:
        self._free = free
        self._first_s = first_s
        self._max_s = max_s
        self._entries_max = entries_max
        self._clock = clock
        self._counts: OrderedDict[Hashable, _Count] = OrderedDict()  # longest untouched first

    def __len__(self) -> int:
        return len(self._counts)

    def wait_s(self, who: Hashable) -> float:
        """Seconds until the next attempt is looked at; 0 or less: now."""
        count = self._counts.get(who)
        return 0.0 if count is None else count.open_at - self._clock.monotonic()

    def charge(self, who: Hashable) -> Charge:
        now = self._clock.monotonic()
        count = self._counts.pop(who, None)
        if count is None or now > max(count.last, count.open_at) + FORGOTTEN_AFTER_S:
            count = _Count()
        self._counts[who] = count
        count.serial += 1
        charge = Charge(who, count.serial, count.open_at)
        count.failures += 1
        count.last = now
        beyond = count.failures - self._free
        if beyond >= 0:
            count.open_at = now + min(self._max_s, self._first_s * 2.0 ** min(beyond, _DOUBLINGS_MAX))
        if len(self._counts) > self._entries_max:
            self._make_room()
        return charge

    def refund(self, charge: Charge) -> None:
        """What others were charged with meanwhile, and the time that closes for, stay."""
        count = self._counts.get(charge.who)
        if count is None or not count.failures:
            return
        count.failures -= 1
        if count.serial == charge.serial:
            count.open_at, count.serial = charge.open_at, charge.serial - 1

    def clear(self, who: Hashable) -> None:
        self._counts.pop(who, None)

    def _make_room(self) -> None:
        oldest = islice(self._counts.items(), min(_CANDIDATES, self._entries_max))
        who, _ = min(oldest, key=lambda entry: entry[1].failures)
        del self._counts[who]


def network_of(address: str) -> str:
    """What counts as one place: an IPv4 address, or the network of an IPv6 address."""
    try:
        found = ipaddress.ip_address(address.partition("%")[0])
    except ValueError:
        return address
    if isinstance(found, ipaddress.IPv6Address):
        if found.ipv4_mapped is not None:
            return str(found.ipv4_mapped)
        return str(ipaddress.ip_network((found, IPV6_NETWORK_BITS), strict=False))
    return str(found)
