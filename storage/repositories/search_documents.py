"""Members of the documents an operator reads (hono-registry 2.1, 2.2), and where each of them is kept.

A member that is left out counts with what it means then: `enabled` is true, a flag of the status false, a limit -1.
What is in binary, as keys and certificates are, cannot be searched.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from sqlalchemy import ColumnElement, Select, exists, false, func, literal_column, select, true

from storage.repositories.search_members import (
    INDEX,
    Condition,
    Flag,
    Key,
    Member,
    Moment,
    Node,
    Number,
    Words,
    free,
    free_in,
    leaf,
    members,
    names,
    stored,
    stored_in,
)
from storage.repositories.search_sql import Place, document, entries, respelled_document, truth, whole_number
from storage.schema import devices, tenants, trust_anchors
from tenant.errors import PointerUnsearchable
from tenant.search import Pointer, Value


def device_member(pointer: Pointer) -> Member:
    """Over the columns of `devices`. Raises PointerUnsearchable."""
    return _followed(_DEVICE, pointer)


def tenant_member(pointer: Pointer) -> Member:
    """Over the columns of `tenants`. Raises PointerUnsearchable."""
    return _followed(_TENANT, pointer)


def _followed(top: Node, pointer: Pointer) -> Member:
    try:
        return top(pointer)
    except PointerUnsearchable as fault:
        raise _unsearchable(pointer, fault) from None


def _unsearchable(pointer: Pointer, fault: PointerUnsearchable) -> PointerUnsearchable:
    text = "".join("/" + word.replace("~", "~0").replace("/", "~1") for word in pointer)
    return PointerUnsearchable(f"{text} cannot be searched: {fault}")


@dataclass(frozen=True, slots=True)
class _Entry:
    """A member of entries in an array: of any of them, or of one if only that one is among `chosen`."""

    array: str
    member: Member
    chosen: Select[Any]
    is_one: bool

    def equals(self, value: Value) -> Condition:
        return exists(self.chosen.where(self.member.equals(value)))

    def keys(self) -> Sequence[Key]:
        if not self.is_one:
            raise PointerUnsearchable(f"/{self.array} may have several entries; name one by its index to sort by it")
        return [self.chosen.with_only_columns(key).scalar_subquery() for key in self.member.keys()]


def _adapters(rest: Pointer) -> Member:
    if rest and INDEX.fullmatch(rest[0]):
        index = int(rest[0])
        return members(
            {
                "type": stored(tenants.c.adapters, index, "type"),
                "enabled": stored(tenants.c.adapters, index, "enabled"),
                "device-authentication-required": stored(tenants.c.adapters, index, "authentication_required"),
                "ext": free(tenants.c.adapters, index, "ext"),
            }
        )(rest[1:])
    entry = entries(respelled_document(tenants.c.adapters)).table_valued("value", joins_implicitly=True)
    member = members(
        {
            "type": stored_in(entry.c.value, "type"),
            "enabled": stored_in(entry.c.value, "enabled"),
            "device-authentication-required": stored_in(entry.c.value, "authentication_required"),
            "ext": free_in(entry.c.value, "ext"),
        }
    )(rest)
    return _Entry("adapters", member, select(literal_column("1")).select_from(entry), is_one=False)


def _trust_anchors(rest: Pointer) -> Member:
    chosen: Select[Any] = (
        select(literal_column("1")).where(trust_anchors.c.tenant_id == tenants.c.tenant_id).correlate(tenants)
    )
    if rest and INDEX.fullmatch(rest[0]):
        one = chosen.where(trust_anchors.c.ordinal == int(rest[0]))
        return _Entry("trusted-ca", _ANCHOR(rest[1:]), one, is_one=True)
    return _Entry("trusted-ca", _ANCHOR(rest), chosen, is_one=False)


def _flag(column: ColumnElement[Any], *steps: str) -> Node:
    """False where nothing is said."""
    return leaf(Flag(func.coalesce(truth(*Place(document(column), steps).clauses()), false())))


def _since(budget: str) -> Node:
    since = Place(document(tenants.c.resource_limits), (budget, "effective_since"))
    return leaf(Moment(whole_number(*since.clauses())))


def _budget(budget: str, most: str, most_stored: str) -> Node:
    limits = tenants.c.resource_limits
    period = {
        "mode": stored(limits, budget, "period", "mode"),
        "no-of-days": stored(limits, budget, "period", "no_of_days"),
    }
    return members(
        {"effective-since": _since(budget), most: stored(limits, budget, most_stored), "period": members(period)}
    )


_DEVICE = members(
    {
        "id": leaf(Words(devices.c.device_id)),
        "enabled": leaf(Flag(func.coalesce(devices.c.enabled, true()))),
        "via": names(devices.c.via),
        "viaGroups": names(devices.c.via_groups),
        "memberOf": names(devices.c.member_of),
        "authorities": names(devices.c.authorities),
        "defaults": free(devices.c.defaults),
        "ext": free(devices.c.ext),
        "downstream-message-mapper": leaf(Words(devices.c.downstream_mapper)),
        "upstream-message-mapper": leaf(Words(devices.c.upstream_mapper)),
        "command-endpoint": members(
            {
                "uri": stored(devices.c.command_endpoint, "uri"),
                "headers": free(devices.c.command_endpoint, "headers"),
                "payload-properties": free(devices.c.command_endpoint, "payload_properties"),
            }
        ),
        "status": members(
            {
                "created": leaf(Moment(devices.c.created)),
                "updated": leaf(Moment(devices.c.updated)),
                "last-user": leaf(Words(devices.c.last_user)),
                "auto-provisioned": leaf(Flag(devices.c.auto_provisioned)),
                "auto-provisioning-notification-sent": leaf(Flag(devices.c.notification_sent)),
            }
        ),
    }
)

_ANCHOR = members(
    {
        "id": leaf(Words(trust_anchors.c.anchor_id)),
        "subject-dn": leaf(Words(trust_anchors.c.subject_dn)),
        "not-before": leaf(Moment(trust_anchors.c.not_before)),
        "not-after": leaf(Moment(trust_anchors.c.not_after)),
        "auth-id-template": leaf(Words(trust_anchors.c.auth_id_template)),
        "auto-provisioning-enabled": leaf(Flag(trust_anchors.c.may_auto_provision)),
        "auto-provision-as-gateway": leaf(Flag(trust_anchors.c.provisions_gateways)),
        "auto-provisioning-device-id-template": leaf(Words(trust_anchors.c.device_id_template)),
        "ocsp-revocation-enabled": _flag(trust_anchors.c.revocation, "enabled"),
        "ocsp-responder-uri": stored(trust_anchors.c.revocation, "responder_uri"),
        "ocsp-nonce-enabled": _flag(trust_anchors.c.revocation, "nonce_enabled"),
        "provisioning-rate-max": leaf(Number(trust_anchors.c.provisioning_per_s_max)),
        "device-template": members(
            {
                "defaults": free(trust_anchors.c.device_template, "defaults"),
                "ext": free(trust_anchors.c.device_template, "ext"),
                "via": names(trust_anchors.c.device_template, "via"),
                "viaGroups": names(trust_anchors.c.device_template, "via_groups"),
                "memberOf": names(trust_anchors.c.device_template, "member_of"),
            }
        ),
    }
)

_TENANT = members(
    {
        "id": leaf(Words(tenants.c.tenant_id)),
        "enabled": leaf(Flag(func.coalesce(tenants.c.enabled, true()))),
        "alias": leaf(Words(tenants.c.alias)),
        "trust-anchor-group": leaf(Words(tenants.c.trust_anchor_group)),
        "adapters": _adapters,
        "defaults": free(tenants.c.defaults),
        "ext": free(tenants.c.ext),
        "minimum-message-size": leaf(Number(func.coalesce(tenants.c.minimum_message_size, 0))),
        "registration-limits": members(
            {
                "max-devices": stored(tenants.c.registration_limits, "max_devices"),
                "max-credentials-per-device": stored(tenants.c.registration_limits, "max_credentials_per_device"),
            }
        ),
        "resource-limits": members(
            {
                "max-connections": stored(tenants.c.resource_limits, "max_connections"),
                "max-ttl": stored(tenants.c.resource_limits, "max_ttl_s"),
                "max-ttl-telemetry-qos0": stored(tenants.c.resource_limits, "max_ttl_telemetry_qos0_s"),
                "max-ttl-telemetry-qos1": stored(tenants.c.resource_limits, "max_ttl_telemetry_qos1_s"),
                "max-ttl-command-response": stored(tenants.c.resource_limits, "max_ttl_command_response_s"),
                "data-volume": _budget("data_volume", "max-bytes", "max_bytes"),
                "connection-duration": _budget("connection_duration", "max-minutes", "max_minutes"),
                "ext": free(tenants.c.resource_limits, "ext"),
            }
        ),
        "tracing": members(
            {
                "sampling-mode": stored(tenants.c.tracing, "sampling_mode"),
                "sampling-mode-per-auth-id": free(tenants.c.tracing, "sampling_mode_per_auth_id"),
            }
        ),
        "trusted-ca": _trust_anchors,
    }
)
