"""What an operator may do with tenants and their trust anchors, and the rules of form.

Blocking, because the repositories are: call it from a thread where a loop runs. Uniqueness across
tenants is the repository's, inside its transaction; here stand the rules one tenant can be judged by.
"""

import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace

from conf.tenant import TenantSettings
from kernel.clock import Clock
from kernel.errors import VersionMismatch
from kernel.ids import AnchorId, IdRule, TenantId, generate_id
from pki.certificates import parse_certificate
from pki.chains import authority_of
from pki.templates import Template
from tenant.errors import AnchorExists, AnchorUnknown, TenantInvalid, TenantUnknown
from tenant.model import RegistrationLimits, Tenant, TrustAnchor
from tenant.ports import TenantRepository

ALIAS_PATTERN = re.compile(r"[a-z0-9-]+")
ALIAS_MAX_CHARS = 63  # a host label
ANCHOR_ID_MAX_CHARS = 256
GROUP_MAX_CHARS = 256
ANCHORS_MAX = 100  # of one tenant: each is tried when a chain is judged
PAGE_TENANTS = 200
CONCURRENT_EDITS_MAX = 5  # times an edit is done again because another one was faster


@dataclass(frozen=True, slots=True, kw_only=True)
class AnchorChoices:
    """What an operator decides about a trust anchor beyond its certificate."""

    may_auto_provision: bool = False
    provisions_gateways: bool = False
    device_id_template: str | None = None
    auth_id_template: str | None = None
    provisioning_per_s_max: float | None = None


class TenantAdministration:
    """Creates, reads, changes and deletes tenants."""

    def __init__(self, *, tenants: TenantRepository, settings: TenantSettings, clock: Clock) -> None:
        self._tenants = tenants
        self._ids = IdRule(settings.id_pattern)
        self._clock = clock

    def create(
        self,
        tenant_id: str | None,
        *,
        alias: str | None = None,
        enabled: bool = True,
        devices_max: int | None = None,
        trust_anchor_group: str | None = None,
    ) -> Tenant:
        """A tenant without trust anchors. Raises TenantInvalid, TenantExists, AliasTaken."""
        chosen = generate_id() if tenant_id is None else tenant_id
        if not self._ids.allows(chosen):
            raise TenantInvalid(f"tenant id {chosen!r} does not match the pattern {self._ids.pattern!r}")
        if alias is not None and (len(alias) > ALIAS_MAX_CHARS or ALIAS_PATTERN.fullmatch(alias) is None):
            raise TenantInvalid(f"alias {alias!r} is not a host label of at most {ALIAS_MAX_CHARS} of a-z, 0-9 and '-'")
        if devices_max is not None and devices_max < -1:
            raise TenantInvalid(f"registration-limits.max-devices {devices_max} is below -1")
        group = trust_anchor_group
        if group is not None and not (0 < len(group) <= GROUP_MAX_CHARS and group.isprintable()):
            raise TenantInvalid(f"trust anchor group {group!r} is not 1 to {GROUP_MAX_CHARS} printable characters")
        tenant = Tenant(
            tenant_id=TenantId(chosen),
            enabled=enabled,
            alias=alias,
            trust_anchor_group=group,
            registration_limits=None if devices_max is None else RegistrationLimits(max_devices=devices_max),
            created=self._clock.now(),
            version=generate_id(),
        )
        self._tenants.create(tenant)
        return tenant

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

    def delete(self, tenant_id: str) -> None:
        """With all its devices and credentials. Raises TenantUnknown."""
        self._tenants.delete(TenantId(tenant_id), expected_version=None)

    def set_enabled(self, tenant_id: str, *, enabled: bool) -> Tenant:
        """Disabling ends the tenant's live connections. Raises TenantUnknown."""
        return self._edit(tenant_id, lambda tenant: replace(tenant, enabled=enabled))

    def trust(
        self, tenant_id: str, certificate_der: bytes, anchor_id: str | None, choices: AnchorChoices
    ) -> TrustAnchor:
        """Add a CA, or with the id of a listed one of the same name and key, change what it may do.

        Raises TenantUnknown, CertificateUnreadable, TemplateInvalid, TenantInvalid, AnchorExists,
        AnchorTaken.
        """
        _require_valid(choices)
        authority = authority_of(certificate_der)
        chosen = AnchorId(generate_id() if anchor_id is None else anchor_id)
        if not 0 < len(chosen) <= ANCHOR_ID_MAX_CHARS or not chosen.isprintable():
            raise TenantInvalid(f"trust anchor id {chosen!r} is not 1 to {ANCHOR_ID_MAX_CHARS} printable characters")
        anchor = TrustAnchor(
            anchor_id=chosen,
            tenant_id=TenantId(tenant_id),
            authority=authority,
            may_auto_provision=choices.may_auto_provision,
            provisions_gateways=choices.provisions_gateways,
            device_id_template=choices.device_id_template,
            auth_id_template=choices.auth_id_template,
            provisioning_per_s_max=choices.provisioning_per_s_max,
        )
        self._edit(tenant_id, lambda tenant: _with_anchor(tenant, anchor))
        return anchor

    def distrust(self, tenant_id: str, anchor: str) -> TrustAnchor:
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

        self._edit(tenant_id, without)
        return removed[0]

    def _edit(self, tenant_id: str, change: Callable[[Tenant], Tenant]) -> Tenant:
        for _ in range(CONCURRENT_EDITS_MAX - 1):
            try:
                return self._edit_once(tenant_id, change)
            except VersionMismatch:
                continue
        return self._edit_once(tenant_id, change)

    def _edit_once(self, tenant_id: str, change: Callable[[Tenant], Tenant]) -> Tenant:
        tenant = self.get(tenant_id)
        changed = replace(change(tenant), updated=self._clock.now(), version=generate_id())
        self._tenants.replace(changed, expected_version=tenant.version)
        return changed


def _with_anchor(tenant: Tenant, anchor: TrustAnchor) -> Tenant:
    listed = list(tenant.trust_anchors)
    for place, other in enumerate(listed):
        same_key = other.authority == anchor.authority
        if other.anchor_id == anchor.anchor_id and same_key:
            listed[place] = anchor
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


def _require_valid(choices: AnchorChoices) -> None:
    for template in (choices.device_id_template, choices.auth_id_template):
        if template is not None:
            Template.parse(template)
    if choices.provisioning_per_s_max is not None and not 0 <= choices.provisioning_per_s_max < 1e9:
        raise TenantInvalid("a provisioning rate is a number of devices per second, 0 or more")


def _fingerprint(anchor: TrustAnchor) -> str | None:
    der = anchor.authority.certificate_der
    return None if der is None else parse_certificate(der).fingerprint_hex
