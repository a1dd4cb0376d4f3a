"""What a peer's certificate leads to, by looking only: a device on record, a plan for one, or a refusal.

The order of the checks stands here: chain, tenant, adapter, credential, device, provisioning. A
connecting device and `tuhono explain` both go through it.
"""

import hashlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TypeVar

from adapters.admission.evidence import Evidence
from kernel.errors import Refused
from kernel.ids import AUTH_ID_MAX_CHARS, AuthId
from pki.certificates import Certificate
from pki.errors import TemplateUnfilled
from pki.templates import Template
from registry.directory import DeviceDirectory, require_usable
from registry.errors import AuthIdInvalid, AuthIdUnfilled, CredentialUnknown, StorageUnavailable
from registry.model import KnownDevice
from registry.plan import ProvisioningPlan, ProvisioningPlanner
from tenant.directory import TenantDirectory
from tenant.errors import AdapterDisabled, TenantDisabled, TenantUnknown, UntrustedIssuer
from tenant.model import Tenant, TrustAnchor
from tenant.trust import TrustJudge, TrustVerdict

Found = TypeVar("Found")

LOOKS_MAX = 8  # at a registry that changes meanwhile: what came to be known during a look is not in its finding


@dataclass(slots=True, kw_only=True)
class Finding:
    """Where a certificate leads. Exactly one of `known` and `plan` is set.

    Not frozen, for a frozen object takes three times as long to make, and every connection makes one.
    """

    tenant: Tenant
    anchor: TrustAnchor
    auth_id: AuthId
    known: KnownDevice | None
    plan: ProvisioningPlan | None
    as_of: int = 0  # of a plan: how many changes were known of when it was made


# Who a certificate says it is, and by whose word: all that is known without a lookup.
_Claim = tuple[Tenant, TrustAnchor, Certificate, AuthId]


class Examination:
    """Finds the device behind a verdict. Changes nothing."""

    def __init__(
        self, *, tenants: TenantDirectory, devices: DeviceDirectory, planner: ProvisioningPlanner, judge: TrustJudge
    ) -> None:
        self._tenants = tenants
        self._devices = devices
        self._planner = planner
        self._judge = judge

    async def examine(self, verdict: TrustVerdict, evidence: Evidence) -> Finding:
        """By what any process has committed before it. Raises Refused or Unavailable.

        The tenants are not asked for changes beforehand: the lookup delivers what has changed (registry.ports), and
        then, as a rule, it was nothing. Where it was something, all is looked at once more.
        """
        for _ in range(LOOKS_MAX):
            as_of = self._devices.changes_seen
            try:
                claim = self._claim(verdict, evidence)
                tenant, _, _, auth_id = claim
                known = await self._devices.find_by_certificate(tenant.tenant_id, auth_id)
                finding = self._finding(claim, known, evidence)
            except Refused:
                if not self._devices.has_changed_since(as_of):
                    raise
            else:
                if self._devices.changes_seen == as_of:
                    return finding
        raise changing()

    def examine_now(self, verdict: TrustVerdict, evidence: Evidence) -> Finding:
        """The same without waiting: Unavailable where the registry must be waited for."""
        return settled(self._devices, lambda: self._look(verdict, evidence))

    @property
    def changes_seen(self) -> int:
        """Goes up with every change, of whatever kind, that has come to be known here."""
        return self._devices.changes_seen

    def still_holds(self, plan: Finding) -> bool:
        """Whether nobody has changed anything since this plan was made: what was made of it may be used as it is.

        Raises StorageUnavailable.
        """
        return not self._devices.has_changed_since(plan.as_of)

    def _look(self, verdict: TrustVerdict, evidence: Evidence) -> Finding:
        claim = self._claim(verdict, evidence)
        tenant, _, _, auth_id = claim
        known = self._devices.find_by_certificate_now(tenant.tenant_id, auth_id, comes_again=verdict.comes_again)
        return self._finding(claim, known, evidence)

    def _claim(self, verdict: TrustVerdict, evidence: Evidence) -> _Claim:
        if verdict.refusal is not None:
            raise verdict.refusal
        leaf, anchor = verdict.leaf, verdict.anchor
        assert leaf is not None and anchor is not None
        self._tenants.make_up()
        tenant = self._usable_tenant(anchor, evidence.adapter)
        if verdict.as_of != self._tenants.version:  # seconds may lie between handshake and CONNECT
            _require_listed(anchor, tenant)
            return self._claim(self._judge.judge_again(verdict, evidence.peer.server_name), evidence)
        return tenant, anchor, leaf, auth_id_of(leaf, anchor)

    def _finding(self, claim: _Claim, known: KnownDevice | None, evidence: Evidence) -> Finding:
        tenant, anchor, leaf, auth_id = claim
        if known is not None:
            require_usable(known)
            _require_client_context(known, evidence)
            return Finding(tenant=tenant, anchor=anchor, auth_id=auth_id, known=known, plan=None)
        plan = self._planner.plan(tenant, anchor, leaf, auth_id)
        as_of = self._devices.changes_seen
        return Finding(tenant=tenant, anchor=anchor, auth_id=auth_id, known=None, plan=plan, as_of=as_of)

    def _usable_tenant(self, anchor: TrustAnchor, adapter: str) -> Tenant:
        tenant = self._tenants.find(anchor.tenant_id)
        if tenant is None:
            raise TenantUnknown(f"tenant {anchor.tenant_id!r} was deleted after the handshake")
        require_open(tenant, adapter)
        return tenant


def require_open(tenant: Tenant, adapter: str) -> None:
    """Raises TenantDisabled, AdapterDisabled."""
    if not tenant.is_enabled:
        raise TenantDisabled(f"tenant {tenant.tenant_id!r} is disabled")
    if not tenant.allows_adapter(adapter):
        raise AdapterDisabled(f"tenant {tenant.tenant_id!r} does not allow {adapter}")


def auth_id_of(leaf: Certificate, anchor: TrustAnchor) -> AuthId:
    """The filled auth-id template, else the subject DN (hono-registry 4.6).

    Raises AuthIdUnfilled; AuthIdInvalid for an empty one, which all certificates without a subject would share.
    """
    auth_id = leaf.subject_dn
    if anchor.auth_id_template is not None:
        try:
            auth_id = Template.parse(anchor.auth_id_template).fill(leaf)
        except TemplateUnfilled as fault:
            raise AuthIdUnfilled(str(fault)) from fault
    if not auth_id:
        raise AuthIdInvalid(
            "the certificate has no subject, and the trust anchor no auth-id template that does without"
        )
    if len(auth_id) > AUTH_ID_MAX_CHARS:
        raise AuthIdInvalid(f"an auth-id of {len(auth_id)} characters; at most {AUTH_ID_MAX_CHARS} are kept")
    return AuthId(auth_id)


def settled(devices: DeviceDirectory, look: Callable[[], Found]) -> Found:
    """What a look finds by what any process has committed before it: looks again where something changed meanwhile.

    Raises what the look raises, and StorageUnavailable where changes never stop.
    """
    for _ in range(LOOKS_MAX):
        as_of = devices.changes_seen
        try:
            found = look()
        except Refused:  # may be of what is no longer so
            if not devices.has_changed_since(as_of):
                raise
        else:
            if devices.changes_seen == as_of:
                return found
    raise changing()


def changing() -> StorageUnavailable:
    """Nothing can be said of what is another thing at every look."""
    return StorageUnavailable(f"the registry changed during each of {LOOKS_MAX} looks at it")


def _require_listed(anchor: TrustAnchor, tenant: Tenant) -> None:
    """Raises UntrustedIssuer, in words that tell the operator what happened."""
    for listed in tenant.trust_anchors:
        if listed.anchor_id == anchor.anchor_id and listed.authority == anchor.authority:
            return
    raise UntrustedIssuer(f"trust anchor {anchor.anchor_id!r} was removed after the handshake")


def certificate_facts(verdict: TrustVerdict, chain_der: Sequence[bytes]) -> dict[str, str]:
    """What the record of a refusal says of the certificate shown; of one that cannot be read, its fingerprint."""
    leaf = verdict.leaf
    if leaf is None:
        return {"fingerprint": hashlib.sha256(chain_der[0]).hexdigest()} if chain_der else {}
    return {
        "issuer": leaf.issuer_dn,
        "subject": leaf.subject_dn,
        "serial": leaf.serial_hex,
        "fingerprint": leaf.fingerprint_hex,
    }


def _require_client_context(known: KnownDevice, evidence: Evidence) -> None:
    """The credential's `ext` may name the one MQTT client id it is for (hono-registry 3.2)."""
    if not known.credential_ext:
        return
    wanted = known.credential_ext.get("client-id")
    if evidence.client_id is not None and wanted is not None and wanted != evidence.client_id:
        raise CredentialUnknown(f"the credential of device {known.device.device_id!r} is for another client id")
