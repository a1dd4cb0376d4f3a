"""A CA whose devices a tenant trusts, on the wire (hono-registry 2.1.1).

Given as certificate, everything the certificate says is taken from it and whatever else was sent of that is ignored;
or given as name, key and validity. A read shows what was taken, never the certificate.
"""

from collections.abc import Mapping
from typing import Annotated, Any

import msgspec
from msgspec import UNSET, Meta, UnsetType

from dialects.hono.shapes.limits import said, unless
from dialects.hono.shapes.values import (
    CONTROL_FREE,
    Base64,
    BodyInvalid,
    Json,
    Timestamp,
    base64_text,
    der_of,
    moment_of,
    moment_text,
)
from kernel.ids import AnchorId, TenantId
from pki.certificates import parse_certificate
from pki.chains import Authority, authority_of
from pki.errors import ChainRejected, NameInvalid
from pki.keys import EC, ED448, ED25519, RSA, IssuerKey
from pki.name_values import Attribute
from pki.names import format_name, normalise, parse_name, read_name
from pki.templates import TEMPLATE_MAX_CHARS
from tenant import model
from tenant.rules import LINKS_MAX, NAME_MAX_CHARS, SUBJECT_MAX_CHARS, URI_MAX_CHARS

ALGORITHMS = (RSA, EC, ED25519, ED448)
SUBJECT_GIVEN_MAX_CHARS = 4 * SUBJECT_MAX_CHARS  # with blanks, escapes and long keywords

Name = Annotated[str, Meta(min_length=1, max_length=NAME_MAX_CHARS, pattern=CONTROL_FREE)]
Names = Annotated[list[Name], Meta(max_length=LINKS_MAX)]
Template = Annotated[
    str,
    Meta(
        max_length=TEMPLATE_MAX_CHARS,
        description="Text with at least one placeholder, such as `{{subject-cn}}`, `{{subject-ou}}`, `{{subject-o}}`, "
        "`{{subject-dn}}`, `{{serial-number}}`, `{{fingerprint}}`, `{{san-dns}}`.",
        examples=["sensor-{{subject-cn}}"],
        extra_json_schema={"pattern": r"\{\{[a-z-]+\}\}"},
    ),
]


class DeviceTemplate(msgspec.Struct, forbid_unknown_fields=True, kw_only=True):
    """What a device is given, besides its ids, when this CA's certificate registers it."""

    defaults: Json | UnsetType = UNSET
    ext: Json | UnsetType = UNSET
    via: Names | UnsetType = UNSET
    via_groups: Names | UnsetType = msgspec.field(name="viaGroups", default=UNSET)
    member_of: Names | UnsetType = msgspec.field(name="memberOf", default=UNSET)


class TrustedCA(msgspec.Struct, rename="kebab", forbid_unknown_fields=True, kw_only=True):
    """A CA whose certificates a tenant accepts from its devices: its certificate, or name, key and validity."""

    id: Annotated[Name, Meta(description="Unique in the tenant; one is made where it is left out.")] | UnsetType = UNSET
    cert: (
        Annotated[
            Base64,
            Meta(
                description="The X.509 certificate in DER. Only written; what it says is shown.",
                extra_json_schema={"writeOnly": True},
            ),
        ]
        | UnsetType
    ) = UNSET
    subject_dn: (
        Annotated[
            str,
            Meta(max_length=SUBJECT_GIVEN_MAX_CHARS, description="RFC 2253.", examples=["CN=Plant CA,O=ACME"]),
        ]
        | UnsetType
    ) = UNSET
    subject_dn_bytes: Annotated[Base64, Meta(description="The same name in DER, exactly as in its certificates.")] | (
        UnsetType
    ) = UNSET
    public_key: Annotated[Base64, Meta(description="SubjectPublicKeyInfo in DER.")] | UnsetType = UNSET
    algorithm: (
        Annotated[str, Meta(description="Of the key; RSA unless said.", extra_json_schema={"enum": [*ALGORITHMS]})]
        | UnsetType
    ) = UNSET
    not_before: Timestamp | UnsetType = UNSET
    not_after: Timestamp | UnsetType = UNSET
    auth_id_template: Template | UnsetType = UNSET
    auto_provisioning_enabled: bool = False
    auto_provision_as_gateway: bool = False
    auto_provisioning_device_id_template: Template | UnsetType = UNSET
    ocsp_revocation_enabled: bool | UnsetType = UNSET
    ocsp_responder_uri: (
        Annotated[str, Meta(max_length=URI_MAX_CHARS, extra_json_schema={"format": "uri", "pattern": "^https?://"})]
        | UnsetType
    ) = UNSET
    ocsp_responder_cert: Annotated[Base64, Meta(description="X.509 in DER; `cert` unless said.")] | UnsetType = UNSET
    ocsp_nonce_enabled: bool | UnsetType = UNSET
    provisioning_rate_max: (
        Annotated[float, Meta(ge=0, lt=1e9, description="Devices it may register a second; 0 is no limit. Not Hono's.")]
        | UnsetType
    ) = UNSET
    device_template: DeviceTemplate | UnsetType = UNSET


def anchor_of(wire: TrustedCA, tenant_id: TenantId) -> model.TrustAnchor:
    """The trust anchor; its id is empty where one is to be made. Raises BodyInvalid."""
    template = wire.device_template
    return model.TrustAnchor(
        anchor_id=AnchorId(said(wire.id, "")),
        tenant_id=tenant_id,
        authority=_authority_of(wire),
        may_auto_provision=wire.auto_provisioning_enabled,
        provisions_gateways=wire.auto_provision_as_gateway,
        device_id_template=said(wire.auto_provisioning_device_id_template, None),
        auth_id_template=said(wire.auth_id_template, None),
        provisioning_per_s_max=said(wire.provisioning_rate_max, None),
        revocation=_revocation_of(wire),
        device_template=None if isinstance(template, UnsetType) else _device_template_of(template),
    )


def anchor_shown(anchor: model.TrustAnchor) -> TrustedCA:
    """What a read shows of it."""
    authority, check = anchor.authority, anchor.revocation or model.RevocationCheck()
    facts = IssuerKey(authority.public_key_der).facts
    responder = check.responder_certificate_der
    return TrustedCA(
        id=anchor.anchor_id,
        subject_dn=authority.subject_dn,
        subject_dn_bytes=UNSET if authority.subject_der is None else base64_text(authority.subject_der),
        public_key=base64_text(authority.public_key_der),
        algorithm=UNSET if facts is None else facts.kind,
        not_before=moment_text(authority.not_before),
        not_after=moment_text(authority.not_after),
        auth_id_template=_set(anchor.auth_id_template),
        auto_provisioning_enabled=anchor.may_auto_provision,
        auto_provision_as_gateway=anchor.provisions_gateways,
        auto_provisioning_device_id_template=_set(anchor.device_id_template),
        ocsp_revocation_enabled=unless(check.enabled, False),
        ocsp_responder_uri=_set(check.responder_uri),
        ocsp_responder_cert=UNSET if responder is None else base64_text(responder),
        ocsp_nonce_enabled=unless(check.nonce_enabled, False),
        provisioning_rate_max=_set(anchor.provisioning_per_s_max),
        device_template=UNSET if anchor.device_template is None else _device_template_shown(anchor.device_template),
    )


def _authority_of(wire: TrustedCA) -> Authority:
    if not isinstance(wire.cert, UnsetType):
        try:
            authority = authority_of(der_of(wire.cert, "cert"))
        except ChainRejected as fault:
            raise BodyInvalid("cert", f"is no certificate that can be used: {fault}") from fault
        _check_key(authority.public_key_der, "cert")
        return authority
    _require_all(wire)
    subject_dn, subject_der = _subject_of(wire)
    not_before = moment_of(said(wire.not_before, ""), "not-before")
    not_after = moment_of(said(wire.not_after, ""), "not-after")
    assert not_before is not None and not_after is not None
    return Authority(
        subject_dn=subject_dn,
        public_key_der=_key_of(wire),
        not_before=not_before,
        not_after=not_after,
        subject_der=subject_der,
    )


def _require_all(wire: TrustedCA) -> None:
    wanted: Mapping[str, Any] = {
        "subject-dn": wire.subject_dn,
        "public-key": wire.public_key,
        "not-before": wire.not_before,
        "not-after": wire.not_after,
    }
    for member, value in wanted.items():
        if not said(value, ""):
            raise BodyInvalid(member, "is required where there is no cert")


def _subject_of(wire: TrustedCA) -> tuple[str, bytes | None]:
    """The name as it is spelled and, where that was sent, encoded: the encoding decides the spelling."""
    given = said(wire.subject_dn, "")
    try:
        spelled = normalise(given)
    except NameInvalid as fault:
        raise BodyInvalid("subject-dn", f"is no distinguished name: {fault}") from fault
    if isinstance(wire.subject_dn_bytes, UnsetType):
        return spelled, None
    encoded = der_of(wire.subject_dn_bytes, "subject-dn-bytes")
    try:
        exact = format_name(encoded)
        same = exact == spelled or _texts(read_name(encoded).rdns) == _texts(parse_name(given).rdns)
    except ChainRejected as fault:
        raise BodyInvalid("subject-dn-bytes", f"is no name in DER: {fault}") from fault
    if not same:
        raise BodyInvalid("subject-dn-bytes", "is another name than subject-dn")
    return exact, encoded


def _texts(rdns: tuple[tuple[Attribute, ...], ...]) -> list[frozenset[tuple[bytes, str | bytes]]]:
    """A name without how its texts are encoded."""
    return [frozenset((attribute.oid, attribute.text or attribute.value_der) for attribute in rdn) for rdn in rdns]


def _key_of(wire: TrustedCA) -> bytes:
    key_der = der_of(said(wire.public_key, ""), "public-key")
    kind = _check_key(key_der, "public-key")
    algorithm = said(wire.algorithm, RSA)
    if algorithm not in ALGORITHMS:
        raise BodyInvalid("algorithm", f"must be one of {', '.join(ALGORITHMS)}")
    if kind != algorithm:
        given = "which is what it is unless said" if wire.algorithm is UNSET else "as algorithm says"
        raise BodyInvalid("public-key", f"is a key of kind {kind}, not {algorithm} {given}")
    return key_der


def _check_key(key_der: bytes, member: str) -> str:
    """The kind of the key. Raises BodyInvalid where nothing can be verified with it."""
    key = IssuerKey(key_der)
    if key.facts is None or key.loaded is None or key.facts.kind not in ALGORITHMS:
        raise BodyInvalid(member, "holds no public key that can verify signatures")
    if key.facts.is_too_large:
        raise BodyInvalid(member, "holds a key so large that verifying with it takes too long")
    return key.facts.kind


def _revocation_of(wire: TrustedCA) -> model.RevocationCheck | None:
    enabled = said(wire.ocsp_revocation_enabled, False)
    responder: bytes | None = None
    if not isinstance(wire.ocsp_responder_cert, UnsetType):
        responder = der_of(wire.ocsp_responder_cert, "ocsp-responder-cert")
        try:
            parse_certificate(responder)
        except ChainRejected as fault:
            raise BodyInvalid("ocsp-responder-cert", f"is no certificate that can be used: {fault}") from fault
    elif enabled and not isinstance(wire.cert, UnsetType):
        responder = der_of(wire.cert, "cert")
    check = model.RevocationCheck(
        enabled=enabled,
        responder_uri=said(wire.ocsp_responder_uri, None),
        responder_certificate_der=responder,
        nonce_enabled=said(wire.ocsp_nonce_enabled, False),
    )
    return None if check == model.RevocationCheck() else check


def _device_template_of(wire: DeviceTemplate) -> model.DeviceTemplate:
    return model.DeviceTemplate(
        defaults=said(wire.defaults, {}),
        ext=said(wire.ext, {}),
        via=tuple(said(wire.via, ())),
        via_groups=tuple(said(wire.via_groups, ())),
        member_of=tuple(said(wire.member_of, ())),
    )


def _device_template_shown(template: model.DeviceTemplate) -> DeviceTemplate:
    return DeviceTemplate(
        defaults=dict(template.defaults) or UNSET,
        ext=dict(template.ext) or UNSET,
        via=list(template.via) or UNSET,
        via_groups=list(template.via_groups) or UNSET,
        member_of=list(template.member_of) or UNSET,
    )


def _set(value: Any) -> Any:
    return UNSET if value is None else value
