"""What `tuhono tenant trust` does, and how it tells of a trust anchor."""

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

import msgspec

from dialects.hono.shapes.trusted_ca import anchor_shown
from pki.certificates import parse_certificate
from pki.chains import authority_of
from tenant.administration import AnchorChoices, TenantAdministration, is_same_ca
from tenant.audit import Deed
from tenant.model import Tenant, TrustAnchor
from tuhono.cli.given import one_certificate_of
from tuhono.cli.output import shown

ANCHOR = "a trust anchor"
UNREADABLE = ("public-key", "subject-dn-bytes", "ocsp-responder-cert")  # what says nothing to people


@dataclass(frozen=True, slots=True, kw_only=True)
class Options:
    """What was said on the command line; None was not."""

    anchor_id: str | None = None
    auto_provision: bool | None = None
    as_gateway: bool | None = None
    device_id_template: str | None = None  # "" takes one away
    auth_id_template: str | None = None
    rate: float | None = None


def trust(tenants: TenantAdministration, tenant_id: str, file: Path, options: Options, deed: Deed) -> TrustAnchor:
    """List the CA, or change what was said of one that is listed. Raises what TenantAdministration.trust raises."""
    der = one_certificate_of(file, ANCHOR)
    listed = _listed(tenants.get(tenant_id), der)
    before = AnchorChoices() if listed is None else _choices_of(listed)
    anchor_id = options.anchor_id if options.anchor_id is not None or listed is None else listed.anchor_id
    return tenants.trust(tenant_id, der, anchor_id, _changed(before, options), deed)


def distrust(tenants: TenantAdministration, tenant_id: str, ca: str, deed: Deed) -> TrustAnchor:
    """Remove the CA in a file, or of that id or fingerprint. Raises AnchorUnknown."""
    file = Path(ca)
    if not file.is_file():
        return tenants.distrust(tenant_id, ca, deed)
    der = one_certificate_of(file, ANCHOR)
    listed = _listed(tenants.get(tenant_id), der)
    named = parse_certificate(der).fingerprint_hex if listed is None else listed.anchor_id
    return tenants.distrust(tenant_id, named, deed)


def sentences(tenant_id: str, anchor: TrustAnchor, *, removed: bool, now: datetime) -> Iterator[str]:
    """What became of it, and what somebody may not have meant."""
    name = f"{shown(anchor.authority.subject_dn)} (trust anchor {shown(anchor.anchor_id)})"
    if removed:
        yield f"tenant {tenant_id} no longer trusts {name}"
        return
    yield f"tenant {tenant_id} trusts {name}"
    if not anchor.is_valid_at(now):
        authority = anchor.authority
        yield f"it is valid from {authority.not_before.isoformat()} to {authority.not_after.isoformat()}, and not now"
    elif not anchor.may_auto_provision:
        yield "unknown devices of this CA are refused; --auto-provision registers them"


def anchor_json(anchor: TrustAnchor) -> dict[str, Any]:
    """A trust anchor as the API shows it."""
    members: dict[str, Any] = msgspec.to_builtins(anchor_shown(anchor))
    return members


def _listed(tenant: Tenant, der: bytes) -> TrustAnchor | None:
    authority = authority_of(der)
    return next((anchor for anchor in tenant.trust_anchors if is_same_ca(anchor.authority, authority)), None)


def _choices_of(anchor: TrustAnchor) -> AnchorChoices:
    return AnchorChoices(
        may_auto_provision=anchor.may_auto_provision,
        provisions_gateways=anchor.provisions_gateways,
        device_id_template=anchor.device_id_template,
        auth_id_template=anchor.auth_id_template,
        provisioning_per_s_max=anchor.provisioning_per_s_max,
    )


def _changed(before: AnchorChoices, options: Options) -> AnchorChoices:
    return AnchorChoices(
        may_auto_provision=_said(options.auto_provision, before.may_auto_provision),
        provisions_gateways=_said(options.as_gateway, before.provisions_gateways),
        device_id_template=_said(options.device_id_template, before.device_id_template) or None,
        auth_id_template=_said(options.auth_id_template, before.auth_id_template) or None,
        provisioning_per_s_max=_said(options.rate, before.provisioning_per_s_max),
    )


def _said(option: Any, before: Any) -> Any:
    return before if option is None else option
