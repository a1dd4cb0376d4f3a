"""What an operator may do with tenants and their trust anchors.

Blocking, because the repositories are: call it from a thread where a loop runs. The rules one tenant can be judged
by stand in tenant/rules.py; uniqueness across tenants is the repository's, inside its transaction.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace

from conf.tenant import TenantSettings
from kernel.errors import VersionMismatch
from kernel.ids import AnchorId, IdRule, TenantId, generate_id
from pki.certificates import parse_certificate
from pki.chains import Authority, authority_of
from tenant.audit import Deed
from tenant.errors import AnchorExists, AnchorUnknown, TenantInvalid, TenantUnknown
from tenant.model import Tenant, TrustAnchor
from tenant.ports import TenantRepository
from tenant.rules import ANCHORS_MAX, check_anchor, check_tenant
from tenant.search import Page, Query

PAGE_TENANTS = 200
CONCURRENT_EDITS_MAX = 5  # times an edit is done again because another one was faster
NO_ID = TenantId("")  # of a tenant or, as AnchorId, of an anchor that is to be given one


@dataclass(frozen=True, slots=True, kw_only=True)
class AnchorChoices:
    """What an operator decides about a trust anchor beyond its certificate."""

    may_auto_provision: bool = False
    provisions_gateways: bool = False
    device_id_template: str | None = None
    auth_id_template: str | None = None
    provisioning_per_s_max: float | None = None


class TenantAdministration:
    """Creates, reads, finds, changes and deletes tenants."""

    def __init__(self, *, tenants: TenantRepository, settings: TenantSettings) -> None:
        self._tenants = tenants
        self._ids = IdRule(settings.id_pattern)

    def check_id(self, tenant_id: str) -> None:
        """Raises TenantInvalid for what no tenant can be called."""
        if not self._ids.allows(tenant_id):
            raise TenantInvalid(f"tenant id {tenant_id!r} does not match the pattern {self._ids.pattern!r}")

    def create(self, tenant: Tenant, deed: Deed) -> Tenant:
        """The tenant as it is then: an id for it and for each anchor that has none, a version.

        Raises TenantInvalid, TemplateInvalid, TenantExists, AliasTaken, AnchorTaken.
        """
        created = replace(_with_ids(tenant), created=deed.moment, updated=None, version=generate_id())
        self.check_id(created.tenant_id)
        check_tenant(created)
        self._tenants.create(created, deed)
        return created

    def get(self, tenant_id: str) -> Tenant:
        """Raises TenantUnknown."""
        tenant = self._tenants.find(TenantId(tenant_id))
        if tenant is None:
            raise TenantUnknown(f"there is no tenant {tenant_id!r}")
        return tenant

    def all(self) -> Iterator[Tenant]:
        """Every tenant in the order of ids, read a page at a time."""
        after: TenantId | None = None
        while page := self._tenants.find_all(after=after, limit=PAGE_TENANTS):
            yield from page
            after = page[-1].tenant_id

    def search(self, query: Query) -> Page[Tenant]:
        """Raises PointerUnsearchable."""
        return self._tenants.search(query)

    def replace(self, tenant: Tenant, deed: Deed, *, expected_version: str | None = None) -> Tenant:
        """Put the tenant in the place of the one of its id; what it does not say is gone. The tenant as it is then.

        An anchor that comes without its certificate, under the id it has, with the name and key it has, keeps it: a
        read never shows certificates, and writing what was read is to change nothing.

        Raises TenantUnknown, VersionMismatch, TenantInvalid, TemplateInvalid, AliasTaken, AnchorTaken.
        """
        given = _with_ids(tenant)
        check_tenant(given)
        return self._edit(
            tenant.tenant_id,
            lambda before: replace(_with_certificates(given, before), created=before.created),
            deed,
            expected_version=expected_version,
            whole=True,
        )

    def delete(self, tenant_id: str, deed: Deed, *, expected_version: str | None = None) -> None:
        """With all its devices and credentials. Raises TenantUnknown, VersionMismatch."""
        self._tenants.delete(TenantId(tenant_id), deed, expected_version=expected_version)

    def set_enabled(self, tenant_id: str, deed: Deed, *, enabled: bool) -> Tenant:
        """Disabling ends the tenant's live connections. Raises TenantUnknown."""
        return self._edit(tenant_id, lambda tenant: replace(tenant, enabled=enabled), deed)

    def trust(
        self, tenant_id: str, certificate_der: bytes, anchor_id: str | None, choices: AnchorChoices, deed: Deed
    ) -> TrustAnchor:
        """Add a CA, or with the id of a listed one of the same name and key, change what it may do.

        Raises TenantUnknown, CertificateUnreadable, TemplateInvalid, TenantInvalid, AnchorExists,
        AnchorTaken.
        """
        chosen = generate_id() if anchor_id is None else anchor_id
        anchor = TrustAnchor(
            anchor_id=AnchorId(chosen),
            tenant_id=TenantId(tenant_id),
            authority=authority_of(certificate_der),
            may_auto_provision=choices.may_auto_provision,
            provisions_gateways=choices.provisions_gateways,
            device_id_template=choices.device_id_template,
            auth_id_template=choices.auth_id_template,
            provisioning_per_s_max=choices.provisioning_per_s_max,
        )
        check_anchor(anchor)
        self._edit(tenant_id, lambda tenant: _with_anchor(tenant, anchor), deed)
        return anchor

    def distrust(self, tenant_id: str, anchor: str, deed: Deed) -> TrustAnchor:
        """Remove the CA with this id, or this SHA-256 fingerprint in hex; its live connections end.

        Raises TenantUnknown, AnchorUnknown.
        """
        removed: list[TrustAnchor] = []

        def without(tenant: Tenant) -> Tenant:
            removed[:] = [
                listed for listed in tenant.trust_anchors if anchor in {listed.anchor_id, _fingerprint(listed)}
            ]
            if not removed:
                raise AnchorUnknown(f"tenant {tenant_id!r} lists no trust anchor {anchor!r}")
            kept = tuple(listed for listed in tenant.trust_anchors if listed not in removed)
            return replace(tenant, trust_anchors=kept)

        self._edit(tenant_id, without, deed)
        return removed[0]

    def _edit(
        self,
        tenant_id: str,
        change: Callable[[Tenant], Tenant],
        deed: Deed,
        *,
        expected_version: str | None = None,
        whole: bool = False,
    ) -> Tenant:
        """Write what `change` makes of the tenant, on the very version it saw; a `whole` one in the end on any."""
        for attempt in range(1, CONCURRENT_EDITS_MAX + 1):
            before = self.get(tenant_id)
            if expected_version not in {None, before.version}:
                raise VersionMismatch(
                    f"tenant {tenant_id!r} is at version {before.version}, not {expected_version}: read it again"
                )
            changed = replace(change(before), updated=deed.moment, version=generate_id())
            is_last = attempt == CONCURRENT_EDITS_MAX
            on_any = whole and is_last and expected_version is None
            try:
                self._tenants.replace(changed, deed, expected_version=None if on_any else before.version)
            except VersionMismatch:
                if expected_version is not None or is_last:
                    raise
            else:
                return changed
        raise AssertionError("the last attempt returns or raises")


def _with_ids(tenant: Tenant) -> Tenant:
    """The tenant with an id, and with one for each of its anchors."""
    tenant_id = tenant.tenant_id or TenantId(generate_id())
    anchors = tuple(
        replace(anchor, tenant_id=tenant_id, anchor_id=anchor.anchor_id or AnchorId(generate_id()))
        for anchor in tenant.trust_anchors
    )
    return replace(tenant, tenant_id=tenant_id, trust_anchors=anchors)


def _with_certificates(tenant: Tenant, before: Tenant) -> Tenant:
    """The tenant, its anchors with the certificates they had before."""
    known = {anchor.anchor_id: anchor for anchor in before.trust_anchors}
    anchors = tuple(_with_certificate(anchor, known.get(anchor.anchor_id)) for anchor in tenant.trust_anchors)
    return replace(tenant, trust_anchors=anchors)


def _with_certificate(anchor: TrustAnchor, before: TrustAnchor | None) -> TrustAnchor:
    if before is None or before.authority.certificate_der is None:
        return anchor
    given, had = anchor.authority, before.authority
    same = (given.subject_dn, given.public_key_der) == (had.subject_dn, had.public_key_der)
    if given.certificate_der is not None or not same:
        return anchor
    kept = replace(given, certificate_der=had.certificate_der, subject_der=had.subject_der)
    return replace(anchor, authority=kept)


def _with_anchor(tenant: Tenant, anchor: TrustAnchor) -> Tenant:
    listed = list(tenant.trust_anchors)
    for place, other in enumerate(listed):
        same_key = is_same_ca(other.authority, anchor.authority)
        if other.anchor_id == anchor.anchor_id and same_key:
            is_kept = other.authority.certificate_der is not None  # with a validity that may have been shortened
            listed[place] = replace(
                anchor,
                authority=other.authority if is_kept else anchor.authority,
                revocation=other.revocation,
                device_template=other.device_template,
            )
            return replace(tenant, trust_anchors=tuple(listed))
        if same_key:
            raise AnchorExists(
                f"tenant {tenant.tenant_id!r} lists this CA already, as trust anchor {other.anchor_id!r}"
            )
        if other.anchor_id == anchor.anchor_id:
            raise AnchorExists(f"tenant {tenant.tenant_id!r} has another CA as trust anchor {other.anchor_id!r}")
    if len(listed) >= ANCHORS_MAX:
        raise TenantInvalid(f"tenant {tenant.tenant_id!r} lists {ANCHORS_MAX} trust anchors, the most there may be")
    return replace(tenant, trust_anchors=(*listed, anchor))


def is_same_ca(one: Authority, other: Authority) -> bool:
    """Whether it is one CA: one certificate or, where one of them came without, one name and key."""
    if one.certificate_der is not None and other.certificate_der is not None:
        return one.certificate_der == other.certificate_der
    return (one.subject_dn, one.public_key_der) == (other.subject_dn, other.public_key_der)


def _fingerprint(anchor: TrustAnchor) -> str | None:
    der = anchor.authority.certificate_der
    return None if der is None else parse_certificate(der).fingerprint_hex
