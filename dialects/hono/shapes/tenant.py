"""A tenant on the wire, and back (hono-registry 2.1).

What was not sent is not stored and not shown; empty collections and limits of -1 are not shown either. The rules of a
tenant's members stand in tenant/rules.py; here only their form.
"""

from typing import Annotated, Any, Literal

import msgspec
from msgspec import UNSET, Meta, UnsetType

from dialects.hono.shapes.limits import (
    RegistrationLimits,
    ResourceLimits,
    resource_limits_of,
    resource_limits_shown,
    said,
    unless,
)
from dialects.hono.shapes.trusted_ca import Name, TrustedCA, anchor_of, anchor_shown
from dialects.hono.shapes.values import BodyInvalid, Json
from kernel.ids import AUTH_ID_MAX_CHARS, TenantId
from tenant import model
from tenant.rules import (
    ADAPTERS_MAX,
    ALIAS_MAX_CHARS,
    ALIAS_PATTERN,
    ANCHORS_MAX,
    DEFAULTS_MAX_BYTES,
    EXT_MAX_BYTES,
    NUMBER_MAX,
    TRACED_MAX,
)

SamplingMode = Literal["default", "all", "none"]
AuthId = Annotated[str, Meta(min_length=1, max_length=AUTH_ID_MAX_CHARS)]


class Adapter(msgspec.Struct, rename="kebab", forbid_unknown_fields=True, kw_only=True):
    """What one protocol adapter may do for a tenant."""

    type: Annotated[Name, Meta(examples=["hono-mqtt", "hono-http", "hono-coap"])]
    enabled: bool = False
    device_authentication_required: bool = True
    ext: Annotated[Json, Meta(description="`max-ttd`: seconds a device may wait for a command.")] | UnsetType = UNSET


class Tracing(msgspec.Struct, rename="kebab", forbid_unknown_fields=True, kw_only=True):
    """Whose messages are traced."""

    sampling_mode: SamplingMode | UnsetType = UNSET
    sampling_mode_per_auth_id: (
        Annotated[dict[AuthId, SamplingMode], Meta(max_length=TRACED_MAX, description="Goes before the tenant's.")]
        | UnsetType
    ) = UNSET


class TenantBody(msgspec.Struct, rename="kebab", forbid_unknown_fields=True, kw_only=True):
    """A tenant: whom devices belong to, whose certificates they are recognised by, and what they may use."""

    enabled: Annotated[bool, Meta(description="Whether its devices are let in; they are unless said.")] | UnsetType = (
        UNSET
    )
    alias: (
        Annotated[
            str,
            Meta(
                max_length=ALIAS_MAX_CHARS,
                description="Names the tenant in TLS server names as its id does; unique over all tenants.",
                examples=["plant-1"],
                extra_json_schema={"pattern": f"^{ALIAS_PATTERN}$", "minLength": 1},
            ),
        ]
        | UnsetType
    ) = UNSET
    ext: Annotated[Json, Meta(description=f"Free; at most {EXT_MAX_BYTES} bytes as JSON.")] | UnsetType = UNSET
    adapters: (
        Annotated[
            list[Adapter],
            Meta(
                min_length=1,
                max_length=ADAPTERS_MAX,
                description="Adapters the tenant's devices may use, one entry a type; left out or null: all, with "
                "defaults. Types that are not listed are disabled.",
            ),
        ]
        | UnsetType
        | None
    ) = UNSET
    defaults: (
        Annotated[
            Json,
            Meta(
                description="Properties of messages that say nothing else, such as `ttl` or `content-type`; at most "
                f"{DEFAULTS_MAX_BYTES} bytes as JSON.",
                examples=[{"ttl": 3600}],
            ),
        ]
        | UnsetType
    ) = UNSET
    minimum_message_size: (
        Annotated[int, Meta(ge=0, le=NUMBER_MAX, description="Bytes a message counts as at least.")] | UnsetType
    ) = UNSET
    registration_limits: RegistrationLimits | UnsetType = UNSET
    resource_limits: ResourceLimits | UnsetType = UNSET
    tracing: Tracing | UnsetType = UNSET
    trust_anchor_group: (
        Annotated[Name, Meta(description="Tenants of one group may trust CAs of the same name.")] | UnsetType
    ) = UNSET
    trusted_ca: (
        Annotated[
            list[TrustedCA],
            Meta(max_length=ANCHORS_MAX, description="The CAs whose certificates its devices present."),
        ]
        | UnsetType
    ) = UNSET


class TenantEntry(TenantBody, rename="kebab", forbid_unknown_fields=True, kw_only=True):
    """A tenant that was found."""

    id: str


def tenant_of(wire: TenantBody, tenant_id: str = "") -> model.Tenant:
    """The tenant that the body describes; ids that are to be made are empty. Raises BodyInvalid."""
    id_ = TenantId(tenant_id)
    anchors = []
    for place, entry in enumerate(said(wire.trusted_ca, ())):
        try:
            anchors.append(anchor_of(entry, id_))
        except BodyInvalid as fault:
            raise fault.within(f"trusted-ca[{place}]") from fault
    limits, registration, tracing = wire.resource_limits, wire.registration_limits, wire.tracing
    adapters = said(wire.adapters, None)
    return model.Tenant(
        tenant_id=id_,
        enabled=said(wire.enabled, None),
        alias=said(wire.alias, None),
        trust_anchor_group=said(wire.trust_anchor_group, None),
        trust_anchors=tuple(anchors),
        adapters=None if adapters is None else tuple(map(_adapter_of, adapters)),
        defaults=said(wire.defaults, {}),
        ext=said(wire.ext, {}),
        resource_limits=None if isinstance(limits, UnsetType) else _limits_of(limits),
        registration_limits=None
        if isinstance(registration, UnsetType)
        else model.RegistrationLimits(
            max_devices=registration.max_devices,
            max_credentials_per_device=registration.max_credentials_per_device,
        ),
        minimum_message_size=said(wire.minimum_message_size, 0),
        tracing=None
        if isinstance(tracing, UnsetType)
        else model.Tracing(
            sampling_mode=said(tracing.sampling_mode, None),
            sampling_mode_per_auth_id=said(tracing.sampling_mode_per_auth_id, {}),
        ),
    )


def tenant_shown(tenant: model.Tenant) -> TenantBody:
    """What a read shows of a tenant."""
    return TenantBody(**_members(tenant))


def tenant_entry(tenant: model.Tenant) -> TenantEntry:
    """What a search shows of a tenant."""
    return TenantEntry(id=tenant.tenant_id, **_members(tenant))


def _members(tenant: model.Tenant) -> dict[str, Any]:
    limits, registration, tracing = tenant.resource_limits, tenant.registration_limits, tenant.tracing
    members: dict[str, Any] = {
        "enabled": tenant.enabled,
        "alias": tenant.alias,
        "ext": dict(tenant.ext) or None,
        "adapters": None if tenant.adapters is None else list(map(_adapter_shown, tenant.adapters)),
        "defaults": dict(tenant.defaults) or None,
        "minimum_message_size": tenant.minimum_message_size or None,
        "registration_limits": None
        if registration is None
        else RegistrationLimits(
            max_devices=registration.max_devices,
            max_credentials_per_device=registration.max_credentials_per_device,
        ),
        "resource_limits": None if limits is None else resource_limits_shown(limits),
        "tracing": None if tracing is None else _tracing_shown(tracing),
        "trust_anchor_group": tenant.trust_anchor_group,
        "trusted_ca": list(map(anchor_shown, tenant.trust_anchors)) or None,
    }
    return {name: value for name, value in members.items() if value is not None}


def _limits_of(wire: ResourceLimits) -> model.ResourceLimits:
    try:
        return resource_limits_of(wire)
    except BodyInvalid as fault:
        raise fault.within("resource-limits") from fault


def _adapter_of(wire: Adapter) -> model.AdapterSettings:
    return model.AdapterSettings(
        type=wire.type,
        enabled=wire.enabled,
        authentication_required=wire.device_authentication_required,
        ext=said(wire.ext, {}),
    )


def _adapter_shown(adapter: model.AdapterSettings) -> Adapter:
    return Adapter(
        type=adapter.type,
        enabled=adapter.enabled,
        device_authentication_required=adapter.authentication_required,
        ext=dict(adapter.ext) or UNSET,
    )


def _tracing_shown(tracing: model.Tracing) -> Tracing:
    mode: Any = unless(tracing.sampling_mode, None)
    per_auth_id: Any = dict(tracing.sampling_mode_per_auth_id) or UNSET
    return Tracing(sampling_mode=mode, sampling_mode_per_auth_id=per_auth_id)
