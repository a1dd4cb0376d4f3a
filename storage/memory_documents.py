"""Tenants and devices as the documents an operator reads (hono-registry 2.1, 2.2), for searches in memory.

Members that are left out are here with what they mean then: `enabled` is true, a flag of the status false, a limit -1.
"""

from collections.abc import Mapping
from dataclasses import asdict
from datetime import UTC, datetime
from typing import Any

from registry.model import Device
from tenant.model import ConnectionDuration, DataVolume, ResourceLimits, Tenant, TrustAnchor

Document = Mapping[str, Any]


def device_document(device: Device) -> Document:
    endpoint, status = device.command_endpoint, device.status
    return _said(
        {
            "id": device.device_id,
            "enabled": device.is_enabled,
            "via": device.via or None,
            "viaGroups": device.via_groups or None,
            "memberOf": device.member_of or None,
            "authorities": device.authorities or None,
            "defaults": device.defaults,
            "ext": device.ext,
            "downstream-message-mapper": device.downstream_mapper,
            "upstream-message-mapper": device.upstream_mapper,
            "command-endpoint": endpoint
            and _said(
                {"uri": endpoint.uri, "headers": endpoint.headers, "payload-properties": endpoint.payload_properties}
            ),
            "status": _said(
                {
                    "created": _moment(status.created),
                    "updated": None if status.updated is None else _moment(status.updated),
                    "last-user": status.last_user,
                    "auto-provisioned": status.auto_provisioned,
                    "auto-provisioning-notification-sent": status.notification_sent,
                }
            ),
        }
    )


def tenant_document(tenant: Tenant) -> Document:
    registrations, tracing, adapters = tenant.registration_limits, tenant.tracing, tenant.adapters
    return _said(
        {
            "id": tenant.tenant_id,
            "enabled": tenant.is_enabled,
            "alias": tenant.alias,
            "trust-anchor-group": tenant.trust_anchor_group,
            "adapters": [
                {
                    "type": adapter.type,
                    "enabled": adapter.enabled,
                    "device-authentication-required": adapter.authentication_required,
                    "ext": adapter.ext,
                }
                for adapter in adapters or ()
            ],
            "defaults": tenant.defaults,
            "ext": tenant.ext,
            "minimum-message-size": tenant.minimum_message_size,
            "registration-limits": registrations and _kebab(asdict(registrations)),
            "resource-limits": tenant.resource_limits and _limits_document(tenant.resource_limits),
            "tracing": tracing
            and _said(
                {
                    "sampling-mode": tracing.sampling_mode,
                    "sampling-mode-per-auth-id": tracing.sampling_mode_per_auth_id,
                }
            ),
            "trusted-ca": [_anchor_document(anchor) for anchor in tenant.trust_anchors],
        }
    )


def _limits_document(limits: ResourceLimits) -> Document:
    volume, duration = limits.data_volume, limits.connection_duration
    return _said(
        {
            "max-connections": limits.max_connections,
            "max-ttl": limits.max_ttl_s,
            "max-ttl-telemetry-qos0": limits.max_ttl_telemetry_qos0_s,
            "max-ttl-telemetry-qos1": limits.max_ttl_telemetry_qos1_s,
            "max-ttl-command-response": limits.max_ttl_command_response_s,
            "data-volume": volume and {"max-bytes": volume.max_bytes, **_budget_document(volume)},
            "connection-duration": duration and {"max-minutes": duration.max_minutes, **_budget_document(duration)},
            "ext": limits.ext,
        }
    )


def _budget_document(budget: DataVolume | ConnectionDuration) -> Document:
    period = budget.period
    return _said(
        {"effective-since": _moment(budget.effective_since), "period": period and _said(_kebab(asdict(period)))}
    )


def _anchor_document(anchor: TrustAnchor) -> Document:
    authority, check, template = anchor.authority, anchor.revocation, anchor.device_template
    return _said(
        {
            "id": anchor.anchor_id,
            "subject-dn": authority.subject_dn,
            "not-before": _moment(authority.not_before),
            "not-after": _moment(authority.not_after),
            "auth-id-template": anchor.auth_id_template,
            "auto-provisioning-enabled": anchor.may_auto_provision,
            "auto-provision-as-gateway": anchor.provisions_gateways,
            "auto-provisioning-device-id-template": anchor.device_id_template,
            "ocsp-revocation-enabled": check is not None and check.enabled,
            "ocsp-responder-uri": check and check.responder_uri,
            "ocsp-nonce-enabled": check is not None and check.nonce_enabled,
            "provisioning-rate-max": anchor.provisioning_per_s_max,
            "device-template": template
            and {
                "defaults": template.defaults,
                "ext": template.ext,
                "via": template.via,
                "viaGroups": template.via_groups,
                "memberOf": template.member_of,
            },
        }
    )


def _said(members: Document) -> Document:
    return {name: member for name, member in members.items() if member is not None}


def _kebab(members: Document) -> Document:
    return {name.replace("_", "-"): member for name, member in members.items()}


def _moment(moment: datetime) -> str:
    return moment.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
