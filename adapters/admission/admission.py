"""Decides which device is at the other end of a connection.

Carries out what adapters/admission/examination.py finds: lets a known device in, has a stranger
provisioned, writes refusals down. Leaves the handshake to adapters/edge and the wording of a refusal to
each protocol.
"""

import logging
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from adapters.admission.evidence import Evidence
from adapters.admission.examination import Examination, Finding, certificate_facts
from adapters.admission.keys import KeyExamination
from adapters.admission.logins import LoginExamination, LoginFinding, Unproven
from adapters.edge.peer import PeerCertificate
from kernel.errors import Malformed, Refused, Unauthenticated, Unavailable
from kernel.ids import AnchorId, AuthId, DeviceId, TenantId
from kernel.log import Event, fields
from registry.autoprovision import AutoProvisioner
from registry.errors import LoginMalformed, NotAuthenticated, ProvisioningWithdrawn
from registry.model import X509_CERT, Device, KnownDevice
from registry.refusals import RefusalRecord

log = logging.getLogger(__name__)
_ADMITTED = Event(log, "device.admitted", "tenant_id", "device_id", "adapter", "remote", "handshake_ms")


@dataclass(slots=True, kw_only=True)
class Admitted:
    """The device a peer proved to be. Not frozen for the same reason as `Finding`."""

    tenant_id: TenantId
    device_id: DeviceId
    anchor_id: AnchorId | None
    auth_id: AuthId
    provisioned: bool  # by this very connection
    defaults: Mapping[str, Any] = field(default_factory=dict)  # of the device, for its messages
    credential_type: str = X509_CERT
    proof: str | None = None  # of the secret that was proven, where the credential has any that differ


@dataclass(slots=True, kw_only=True, eq=False)
class Undecided:
    """A peer that something has to be waited for: the registry's answer, where there is no finding yet, or what
    the finding asks for."""

    evidence: Evidence
    finding: Finding | None


class Admission:
    """Decides, once per connection, which device is at the other end. One per adapter."""

    def __init__(
        self,
        *,
        authentication_required: bool,
        examination: Examination,
        logins: LoginExamination,
        keys: KeyExamination,
        provisioner: AutoProvisioner,
        refusals: RefusalRecord,
    ) -> None:
        self._authentication_required = authentication_required
        self._examination = examination
        self._logins = logins
        self._keys = keys
        self._provisioner = provisioner
        self._refusals = refusals

    async def admit(self, evidence: Evidence) -> Admitted | None:
        """Return the device proven, creating it where its trust anchor allows; None for an anonymous peer
        where the adapter requires no authentication.

        Raises Refused (of any kind) or Unavailable; every refusal is recorded. Safe to repeat: any number of
        connections racing with one new certificate end up with one device, and all are admitted.
        """
        decided = self.decide(evidence)
        return await self.conclude(decided) if isinstance(decided, Undecided) else decided

    def decide(self, evidence: Evidence) -> Admitted | Undecided | None:
        """`admit` without waiting: what is undecided then goes to `conclude`. A known device needs no task."""
        presented = evidence.peer.certificate
        if presented is None or (evidence.login is not None and not _is_validated(presented)):
            return self._decide_otherwise(evidence)
        try:
            finding = self._examination.examine_now(presented.verdict, evidence)
        except Refused as refusal:
            self._record(refusal, evidence)
            raise
        except Unavailable:  # at once; it may be otherwise for who waits
            return Undecided(evidence=evidence, finding=None)
        known = finding.known
        if known is None or known.notification_due:
            return Undecided(evidence=evidence, finding=finding)
        return _admitted(known.device, finding, evidence, provisioned=False)

    def _decide_otherwise(self, evidence: Evidence) -> Admitted | Undecided | None:
        """Who shows no certificate, or one that proves nothing and a login besides."""
        try:
            found = self._look_otherwise(evidence)
        except Refused as refusal:
            self._record(refusal, evidence)
            raise
        except Unavailable:
            return Undecided(evidence=evidence, finding=None)
        if found is None:
            return None
        if isinstance(found, Unproven) or found.known.notification_due:
            return Undecided(evidence=evidence, finding=None)
        return _logged_in(found, evidence)

    def _look_otherwise(self, evidence: Evidence) -> LoginFinding | Unproven | None:
        """A login that cannot be read is none: then it stays with what the certificate came to."""
        if evidence.peer.key is not None:
            return self._keys.examine_now(evidence.peer.key, evidence)
        if evidence.login is not None:
            try:
                return self._logins.examine_now(evidence.login, evidence)
            except LoginMalformed as fault:
                presented = evidence.peer.certificate
                raise (presented.verdict.refusal if presented is not None else None) or fault from fault
        if not self._authentication_required:
            return None
        raise NotAuthenticated(f"nothing presented over {evidence.adapter} proves a device")

    @property
    def changes_seen(self) -> int:
        """Another number than at a decision: that was made without knowledge of a change."""
        return self._examination.changes_seen

    async def conclude(self, undecided: Undecided) -> Admitted | None:
        """What `admit` gives or raises, for a peer that `decide` left undecided."""
        evidence = undecided.evidence
        presented = evidence.peer.certificate
        try:
            if presented is None or (evidence.login is not None and not _is_validated(presented)):
                return await self._log_in(evidence)
            finding = undecided.finding or await self._examine(evidence)
            return await self._carry_out(finding, evidence)
        except Refused as refusal:
            self._record(refusal, evidence)
            raise

    async def _log_in(self, evidence: Evidence) -> Admitted:
        """Check what takes its time, announce what is due, then look once more: much may change while one waits."""
        found = await self._prove_otherwise(evidence)
        if found.known.notification_due:
            await self._provisioner.ensure_announced(found.known, found.auth_id)
            found = await self._prove_otherwise(evidence)
        return _logged_in(found, evidence)

    async def _prove_otherwise(self, evidence: Evidence) -> LoginFinding:
        if evidence.peer.key is not None:
            return self._keys.examine_now(evidence.peer.key, evidence)
        assert evidence.login is not None
        return await self._logins.examine(evidence.login, evidence)

    async def _carry_out(self, finding: Finding, evidence: Evidence) -> Admitted:
        """Provision or announce what is due, then look once more: much may change while one waits.

        Where nothing has, a device just made needs no second look: asking the feed costs a third of it.
        """
        created = False
        if finding.plan is not None:
            known, created = await self._provisioner.provision(finding.plan, remote=str(evidence.peer.address))
            if not (created and self._examination.still_holds(finding)):
                known = await self._still_usable(evidence)
        else:
            assert finding.known is not None
            known = finding.known
            if known.notification_due:
                await self._provisioner.ensure_announced(known, finding.auth_id)
                known = await self._still_usable(evidence)
        return _admitted(known.device, finding, evidence, provisioned=created)

    async def _still_usable(self, evidence: Evidence) -> KnownDevice:
        finding = await self._examine(evidence)
        if finding.known is None:
            raise ProvisioningWithdrawn("the device was deleted while it connected")
        return finding.known

    async def _examine(self, evidence: Evidence) -> Finding:
        presented = evidence.peer.certificate
        assert presented is not None
        return await self._examination.examine(presented.verdict, evidence)

    def _record(self, refusal: Refused, evidence: Evidence) -> None:
        peer = evidence.peer
        facts = {"adapter": evidence.adapter, "remote": str(peer.address)}
        tenant_id = None
        if peer.certificate is not None:
            facts |= certificate_facts(peer.certificate.verdict, peer.certificate.chain_der)
            tenant_id = peer.certificate.verdict.tenant_id
        if peer.key is not None:
            facts["auth_id"], tenant_id = peer.key.auth_id, peer.key.tenant_id
        if evidence.login is not None:
            told, named = self._logins.told_of(evidence.login)
            facts |= told
            tenant_id = named or tenant_id
        if peer.server_name is not None:
            facts["sni"] = peer.server_name
        self._refusals.add(refusal, facts, tenant_id=tenant_id)
        log.info("device.refused", extra=fields(code=refusal.code, tenant_id=tenant_id, detail=str(refusal), **facts))


def _is_validated(presented: PeerCertificate) -> bool:
    """Whether the certificate is this connection's way to say who it is: whatever comes of it is then final."""
    return not isinstance(presented.verdict.refusal, (Unauthenticated, Malformed))


def _admitted(device: Device, finding: Finding, evidence: Evidence, *, provisioned: bool) -> Admitted:
    peer = evidence.peer
    _ADMITTED.info(device.tenant_id, device.device_id, evidence.adapter, str(peer.address), round(peer.handshake_ms))
    return Admitted(
        tenant_id=device.tenant_id,
        device_id=device.device_id,
        anchor_id=finding.anchor.anchor_id,
        auth_id=finding.auth_id,
        provisioned=provisioned,
        defaults=device.defaults,
    )


def _logged_in(found: LoginFinding, evidence: Evidence) -> Admitted:
    device, peer = found.known.device, evidence.peer
    _ADMITTED.info(device.tenant_id, device.device_id, evidence.adapter, str(peer.address), round(peer.handshake_ms))
    return Admitted(
        tenant_id=device.tenant_id,
        device_id=device.device_id,
        anchor_id=None,
        auth_id=found.auth_id,
        provisioned=False,
        defaults=device.defaults,
        credential_type=found.credential_type,
        proof=found.proof,
    )
