"""What an audit row shows of a tenant."""

import json
from dataclasses import replace
from datetime import timedelta
from hashlib import sha256

from tenant.audit import instant, tenant_document, written_by
from tenant.model import (
    AdapterSettings,
    ConnectionDuration,
    DataVolume,
    DeviceTemplate,
    Period,
    RegistrationLimits,
    ResourceLimits,
    RevocationCheck,
    Tenant,
    Tracing,
)
from tests.support.stores import DEED, NOW, TENANT, anchor, tenant


def test_a_tenant_of_which_nothing_was_set_is_empty() -> None:
    assert tenant_document(Tenant(tenant_id=TENANT)) == {}


def test_what_was_set_is_told_in_the_words_of_the_api() -> None:
    listed = anchor(
        "ca",
        device_id_template="{{subject-cn}}",
        auth_id_template="{{subject-dn}}",
        provisioning_per_s_max=2.0,
        revocation=RevocationCheck(enabled=True, responder_uri="http://o", responder_certificate_der=b"responder"),
        device_template=DeviceTemplate(defaults={"ttl": 1}, ext={"a": 1}, via=("g",), via_groups=("h",)),
    )
    certified = replace(listed, authority=replace(listed.authority, certificate_der=b"certificate"))
    document = tenant_document(
        tenant(
            TENANT,
            certified,
            enabled=False,
            alias="plant",
            trust_anchor_group="group",
            adapters=(AdapterSettings(type="hono-mqtt", enabled=True, ext={"x": 1}),),
            defaults={"ttl": 30},
            ext={"messaging-type": "kafka"},
            resource_limits=ResourceLimits(
                max_connections=5,
                data_volume=DataVolume(effective_since=NOW, max_bytes=9, period=Period(mode="days", no_of_days=3)),
                connection_duration=ConnectionDuration(effective_since=NOW, max_minutes=7),
                ext={"b": 2},
            ),
            registration_limits=RegistrationLimits(max_devices=4),
            minimum_message_size=256,
            tracing=Tracing(sampling_mode="all", sampling_mode_per_auth_id={"x": "none"}),
        )
    )
    assert document == {
        "enabled": False,
        "alias": "plant",
        "trust-anchor-group": "group",
        "trusted-ca": [
            {
                "id": "ca",
                "subject-dn": "CN=Plant CA",
                "fingerprint": sha256(b"certificate").hexdigest(),
                "public-key-fingerprint": sha256(b"key of CN=Plant CA ca").hexdigest(),
                "not-before": "2025-12-31T00:00:00Z",
                "not-after": "2027-01-01T00:00:00Z",
                "auto-provisioning-enabled": True,
                "auto-provision-as-gateway": False,
                "auto-provisioning-device-id-template": "{{subject-cn}}",
                "auth-id-template": "{{subject-dn}}",
                "provisioning-per-s-max": 2.0,
                "ocsp": {
                    "enabled": True,
                    "responder-uri": "http://o",
                    "responder-fingerprint": sha256(b"responder").hexdigest(),
                    "nonce-enabled": False,
                },
                "device-template": {"defaults": {"ttl": 1}, "ext": {"a": 1}, "via": ["g"], "viaGroups": ["h"]},
            }
        ],
        "adapters": [{"type": "hono-mqtt", "enabled": True, "device-authentication-required": True, "ext": {"x": 1}}],
        "defaults": {"ttl": 30},
        "ext": {"messaging-type": "kafka"},
        "resource-limits": {
            "max-connections": 5,
            "max-ttl": -1,
            "max-ttl-telemetry-qos0": -1,
            "max-ttl-telemetry-qos1": -1,
            "max-ttl-command-response": -1,
            "data-volume": {
                "max-bytes": 9,
                "effective-since": "2026-01-01T00:00:00Z",
                "period": {"mode": "days", "no-of-days": 3},
            },
            "connection-duration": {"max-minutes": 7, "effective-since": "2026-01-01T00:00:00Z"},
            "ext": {"b": 2},
        },
        "registration-limits": {"max-devices": 4, "max-credentials-per-device": -1},
        "minimum-message-size": 256,
        "tracing": {"sampling-mode": "all", "sampling-mode-per-auth-id": {"x": "none"}},
    }
    json.dumps(document)


def test_no_adapter_at_all_is_told_apart_from_none_listed() -> None:
    assert tenant_document(tenant(TENANT, adapters=())) == {"adapters": []}


def test_an_instant_is_utc_with_its_fraction() -> None:
    assert instant(NOW) == "2026-01-01T00:00:00Z"
    assert instant(NOW + timedelta(microseconds=5)) == "2026-01-01T00:00:00.000005Z"


def test_a_row_says_whose_wish_it_was() -> None:
    row = written_by(replace(DEED, remote=""), "tenant.created", TENANT, after={})
    assert (row.actor, row.remote, row.moment, row.before, row.after) == ("tess", None, NOW, None, {})
