"""Which tenant a presented chain speaks for, and whether that tenant trusts it.

The order of hono-registry 4.2 with 4.8 over it: the nearest registered issuer's name decides the
tenant, SNI decides among several; then any valid anchor of that tenant may end the path. Never falls
through to another tenant. The same code answers a handshake and `tuhono explain`.

A chain that was trusted is trusted again without a second look, as long as nothing has changed that the verdict
was made of; a refusal is always found anew.
"""

import logging
from collections.abc import Collection, Sequence
from datetime import UTC, datetime

from kernel.clock import Clock
from kernel.errors import Refused, Unavailable
from kernel.ids import TenantId
from kernel.log import fields
from pki.certificates import Certificate, CertificateCache
from pki.chains import Check, PathRules, judge, too_large
from pki.errors import (
    AnchorNotValidNow,
    CertificateExpired,
    CertificateNotYetValid,
    CertificateUnreadable,
    ChainRejected,
    PathIncomplete,
)
from tenant.anchors import AnchorIndex
from tenant.directory import TenantDirectory
from tenant.errors import (
    NoValidAnchor,
    RevocationUnchecked,
    ServerNameWithoutTenant,
    TenantAmbiguous,
    UntrustedIssuer,
)
from tenant.model import TrustAnchor
from tenant.verdicts import Trusted, TrustVerdict

__all__ = ["TrustJudge", "TrustVerdict"]

log = logging.getLogger(__name__)
_EVER = datetime.min.replace(tzinfo=UTC)
_NEVER = datetime.max.replace(tzinfo=UTC)


class TrustJudge:
    """Judges presented chains against the anchors of all tenants."""

    def __init__(
        self,
        *,
        anchors: AnchorIndex,
        tenants: TenantDirectory,
        certificates: CertificateCache,
        rules: PathRules,
        clock: Clock,
    ) -> None:
        self._clock = clock
        self._anchors = anchors
        self._tenants = tenants
        self._certificates = certificates
        self._rules = rules

    def judge_now(self, chain_der: Sequence[bytes], server_name: str | None) -> TrustVerdict:
        """Judge inside a handshake, by what any process has committed before it.

        A chain trusted before is trusted by what is known here already. That costs no question to the database, and
        is no risk: whoever lets a device in looks again where anything has changed since `as_of`.
        """
        at = self._clock.now()
        verdict = self._trusted_before(chain_der, server_name, at)
        if verdict is not None:
            return verdict
        try:
            self._tenants.catch_up()
        except Unavailable as fault:
            log.error("anchors.stale", extra=fields(code=fault.code, detail=str(fault)))
        was_met = bool(chain_der) and self._certificates.find(chain_der[0]) is not None
        verdict = self.judge(chain_der, server_name, at=at)
        if verdict.refusal is None and was_met:  # a stranger may never, and pays for nothing
            self._remember(verdict, chain_der, server_name, at)
        return verdict

    def judge_again(self, verdict: TrustVerdict, server_name: str | None) -> TrustVerdict:
        """The verdict on the same chain by what is known here now."""
        return self.judge([certificate.der for certificate in verdict.presented], server_name, at=self._clock.now())

    def judge(
        self, chain_der: Sequence[bytes], server_name: str | None, *, at: datetime, explain: bool = False
    ) -> TrustVerdict:
        """Never raises for what was presented. The leaf is first. `explain` lists every check made."""
        presented: list[Certificate] = []
        try:
            self._parse(chain_der, presented)
            _require_leaf_in_time(presented[0], at)
        except ChainRejected as fault:
            checks = (Check(name=fault.code, passed=False, detail=str(fault)),) if explain else ()
            return TrustVerdict(
                presented=tuple(presented),
                tenant_id=None,
                anchor=None,
                refusal=fault,
                checks=checks,
                fatal=isinstance(fault, (CertificateUnreadable, CertificateExpired, CertificateNotYetValid)),
            )
        try:
            tenant_id, how = self._tenant_of(presented, server_name)
        except Refused as refusal:
            checks = (Check(name=refusal.code, passed=False, detail=str(refusal)),) if explain else ()
            return TrustVerdict(presented=tuple(presented), tenant_id=None, anchor=None, refusal=refusal, checks=checks)
        return self._judge_for(tenant_id, how, presented, at, explain)

    def _trusted_before(self, chain_der: Sequence[bytes], server_name: str | None, at: datetime) -> TrustVerdict | None:
        """The verdict that `judge` would come to, where that is known beforehand."""
        find = self._certificates.find
        note = self._certificates.note_of(chain_der[0]) if chain_der else None
        if not isinstance(note, Trusted):
            return None
        return note.verdict([find(der) for der in chain_der[1:]], server_name, self._tenants.version, at)

    def _remember(
        self, verdict: TrustVerdict, chain_der: Sequence[bytes], server_name: str | None, at: datetime
    ) -> None:
        """Until a validity of what was presented, or of one of the tenant's anchors, begins or ends."""
        assert verdict.tenant_id is not None
        turns = [moment for one in verdict.presented for moment in (one.not_before, one.not_after)]
        for anchor in self._anchors.of_tenant(verdict.tenant_id):
            turns += (anchor.authority.not_before, anchor.authority.not_after)
        since = max((moment for moment in turns if moment <= at), default=_EVER)
        until = min((moment for moment in turns if moment >= at), default=_NEVER)
        note = Trusted(verdict, server_name=server_name, since=since, until=until)
        self._certificates.note(chain_der[0], note)

    def _parse(self, chain_der: Sequence[bytes], presented: list[Certificate]) -> None:
        if not chain_der:
            raise CertificateUnreadable("the chain is empty")
        presented.append(self._certificates.parse(chain_der[0]))
        fault = too_large(chain_der, self._rules)
        if fault is not None:
            raise fault
        presented.extend(self._certificates.parse(der) for der in chain_der[1:])

    def _tenant_of(self, presented: Sequence[Certificate], server_name: str | None) -> tuple[TenantId, str]:
        """The tenant, and the issuer name that led there. Raises UntrustedIssuer and its neighbours."""
        for issuer_dn in _issuers_upwards(presented):
            tenant_ids = self._anchors.tenants_naming(issuer_dn)
            if len(tenant_ids) == 1:
                return next(iter(tenant_ids)), issuer_dn
            if tenant_ids:
                return self._tenant_by_server_name(server_name, issuer_dn, tenant_ids), issuer_dn
        unknown = f"no tenant trusts issuer {presented[0].issuer_dn!r}"
        if server_name is not None and "." not in server_name:  # 4.2, step 3
            raise ServerNameWithoutTenant(
                f"{unknown}, and SNI host {server_name!r} has no dot, so it names none either"
            )
        raise UntrustedIssuer(unknown)

    def _tenant_by_server_name(
        self, server_name: str | None, issuer_dn: str, candidates: Collection[TenantId]
    ) -> TenantId:
        if server_name is None:
            raise TenantAmbiguous(
                f"{len(candidates)} tenants trust issuer {issuer_dn!r}; the device must name one of them through SNI"
            )
        label = self._tenant_label(server_name)
        tenant = self._tenants.find_named(label)
        if tenant is None or tenant.tenant_id not in candidates:
            raise UntrustedIssuer(f"tenant {label!r}, named through SNI, does not trust issuer {issuer_dn!r}")
        return tenant.tenant_id

    def _tenant_label(self, server_name: str) -> str:
        label, dot, _ = server_name.partition(".")
        if not dot:
            raise ServerNameWithoutTenant(f"SNI host {server_name!r} has no dot, so it names no tenant")
        return label

    def _judge_for(
        self, tenant_id: TenantId, issuer_dn: str, presented: list[Certificate], at: datetime, explain: bool
    ) -> TrustVerdict:
        listed = self._anchors.of_tenant(tenant_id)
        valid = [anchor for anchor in listed if anchor.is_valid_at(at)]
        if not valid:
            refusal: Refused = NoValidAnchor(f"none of the {len(listed)} trust anchors of {tenant_id!r} is valid now")
            return TrustVerdict(presented=tuple(presented), tenant_id=tenant_id, anchor=None, refusal=refusal)
        found = judge(presented, [anchor.authority for anchor in valid], at=at, rules=self._rules, explain=explain)
        if found.authority is not None:
            anchor = next(anchor for anchor in valid if anchor.authority is found.authority)
            unchecked = _unchecked(anchor)
            return TrustVerdict(
                presented=tuple(presented),
                tenant_id=tenant_id,
                anchor=None if unchecked else anchor,
                refusal=unchecked,
                checks=found.checks,
                as_of=self._tenants.version,
            )
        fault = found.fault
        if isinstance(fault, PathIncomplete) and not any(a.authority.subject_dn == issuer_dn for a in valid):
            fault = AnchorNotValidNow(f"the trust anchor {issuer_dn!r} of tenant {tenant_id!r} is not valid now")
        return TrustVerdict(
            presented=tuple(presented), tenant_id=tenant_id, anchor=None, refusal=fault, checks=found.checks
        )


def _unchecked(anchor: TrustAnchor) -> RevocationUnchecked | None:
    """Nobody is let in whose certificate may be revoked for all that is known here."""
    if anchor.revocation is None or not anchor.revocation.enabled:
        return None
    return RevocationUnchecked(
        f"trust anchor {anchor.anchor_id!r} wants OCSP asked of each certificate, which this release does not do"
    )


def _require_leaf_in_time(leaf: Certificate, at: datetime) -> None:
    if at < leaf.not_before:
        raise CertificateNotYetValid(f"certificate {leaf.subject_dn!r} is valid from {leaf.not_before.isoformat()}")
    if at > leaf.not_after:
        raise CertificateExpired(f"certificate {leaf.subject_dn!r} expired {leaf.not_after.isoformat()}")


def _issuers_upwards(presented: Sequence[Certificate]) -> Sequence[str]:
    """Issuer names from the leaf upwards through the presented certificates, each once.

    Where several presented certificates bear an issuer's name (cross-signed), each one's issuer is
    visited, in the order presented; bounded by the number of certificates.
    """
    names: list[str] = []
    frontier = [presented[0]]
    unused = list(presented[1:])
    while frontier:
        next_frontier: list[Certificate] = []
        for certificate in frontier:
            if certificate.issuer_dn not in names:
                names.append(certificate.issuer_dn)
            issuers = [other for other in unused if other.subject_dn == certificate.issuer_dn]
            unused = [other for other in unused if other.subject_dn != certificate.issuer_dn]
            next_frontier += issuers
        frontier = next_frontier
    return names
