"""What is found of a presented chain, and how long a finding would be the same one."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import datetime

from kernel.errors import Refused
from kernel.ids import TenantId
from pki.certificates import Certificate
from pki.chains import Check
from tenant.model import TrustAnchor


@dataclass(slots=True, kw_only=True)
class TrustVerdict:
    """What a chain proves. Exactly one of `anchor` and `refusal` is set. Nobody changes it; it is not frozen, for a
    frozen object takes three times as long to make."""

    presented: tuple[Certificate, ...]  # as far as they could be parsed, leaf first
    tenant_id: TenantId | None
    anchor: TrustAnchor | None  # the one that verified the path: its flags and templates speak
    refusal: Refused | None
    checks: tuple[Check, ...] = ()
    fatal: bool = False  # the handshake itself must fail: leaf outside its validity, or unreadable
    as_of: int = 0  # of one that trusts: the version of the tenants it was made by
    comes_again: bool = False  # the chain was trusted before, and nothing has changed since

    def __post_init__(self) -> None:
        """A refusal kept as a value lets go of the frames it was raised in.

        They hold the connection being judged, and it them: 55 KB of OpenSSL's memory a refused handshake, until
        the collector of cycles comes round.
        """
        fault: BaseException | None = self.refusal
        while fault is not None:
            fault.__traceback__ = None
            fault = fault.__cause__ or fault.__context__

    @property
    def leaf(self) -> Certificate | None:
        return self.presented[0] if self.presented else None


class Trusted:
    """A verdict by which a chain was trusted, and what else it was made of: chain, SNI host, moment.

    The rest that goes into it never changes while the process runs.
    """

    __slots__ = ("_above", "_server_name", "_since", "_until", "_verdict")

    def __init__(self, verdict: TrustVerdict, *, server_name: str | None, since: datetime, until: datetime) -> None:
        """Between the two moments, both excluded, no validity begins or ends that counts."""
        leaf, *above = verdict.presented
        self._verdict = replace(verdict, presented=(leaf,), comes_again=True)
        self._above = [certificate.number for certificate in above]  # a note holds no certificate but its own
        self._server_name = server_name
        self._since = since
        self._until = until

    def verdict(
        self, above: Sequence[Certificate | None], server_name: str | None, version: int, at: datetime
    ) -> TrustVerdict | None:
        """That on the leaf with these very certificates above it; None where it might be another one by now."""
        known = self._verdict
        if (
            known.as_of != version
            or not self._since < at < self._until
            or self._server_name != server_name
            or len(above) != len(self._above)
        ):
            return None
        if not above:
            return known
        presented = [known.presented[0]]
        for certificate, number in zip(above, self._above, strict=True):
            if certificate is None or certificate.number != number:
                return None
            presented.append(certificate)
        return TrustVerdict(
            presented=tuple(presented),
            tenant_id=known.tenant_id,
            anchor=known.anchor,
            refusal=None,
            as_of=version,
            comes_again=True,
        )
