"""Tenants on the wire: every member, good and bad, and what a read shows of it."""

import base64
import json
from dataclasses import replace
from typing import Any

import msgspec
import pytest

from dialects.hono.shapes.tenant import TenantBody, tenant_entry, tenant_of, tenant_shown
from dialects.hono.shapes.values import decode
from kernel.errors import Malformed
from kernel.ids import AnchorId
from pki.names import encode_name
from tenant.model import Tenant
from tenant.rules import ANCHORS_MAX, DEFAULTS_MAX_BYTES, EXT_MAX_BYTES, check_tenant
from tests.support.certificates import Issued, make_ca

CA = make_ca("CN=Plant CA,O=ACME")
RSA_CA = make_ca("CN=RSA CA", key="rsa2048")
EDWARDS_CA = make_ca("CN=Edwards CA", key="ed25519")
VALID = {"not-before": "2020-01-01T00:00:00Z", "not-after": "2040-01-01T00:00:00Z"}
NEVER = {"auto-provisioning-enabled": False, "auto-provision-as-gateway": False}


def b64(octets: bytes) -> str:
    return base64.b64encode(octets).decode()


def key_of(issued: Issued) -> str:
    return b64(issued.public_key_der)


BARE = {"id": "ca", "subject-dn": "CN=Plant CA,O=ACME", "public-key": key_of(CA), "algorithm": "EC", **VALID, **NEVER}
BY_CERT = {"id": "ca", "cert": b64(CA.der)}
SINCE = "2019-07-27T14:30:00Z"


def taken(document: object) -> Tenant:
    """The tenant a body describes, judged by the rules. Raises Malformed."""
    tenant = tenant_of(decode(TenantBody, json.dumps(document).encode()), "acme")
    anchors = [
        replace(anchor, anchor_id=anchor.anchor_id or AnchorId(f"made-{place}"))
        for place, anchor in enumerate(tenant.trust_anchors)
    ]
    tenant = replace(tenant, trust_anchors=tuple(anchors))
    check_tenant(tenant)
    return tenant


def shown(document: object) -> Any:
    return msgspec.to_builtins(tenant_shown(taken(document)))


def ca_shown(entry: object) -> Any:
    [anchor] = shown({"trusted-ca": [entry]})["trusted-ca"]
    return anchor


FULL = {
    "enabled": False,
    "alias": "plant-1",
    "ext": {"messaging-type": "kafka", "deep": [{"a": None}, 1.5]},
    "adapters": [
        {"type": "hono-mqtt", "enabled": True, "device-authentication-required": True},
        {"type": "own", "enabled": False, "device-authentication-required": False, "ext": {"max-ttd": 30}},
    ],
    "defaults": {"ttl": 30, "content-type": "text/plain"},
    "minimum-message-size": 4096,
    "registration-limits": {"max-devices": 0, "max-credentials-per-device": 5},
    "resource-limits": {
        "max-connections": 0,
        "max-ttl": 1,
        "max-ttl-telemetry-qos0": 2,
        "max-ttl-telemetry-qos1": 3,
        "max-ttl-command-response": 4,
        "data-volume": {
            "effective-since": SINCE,
            "max-bytes": 2**40,
            "period": {"mode": "days", "no-of-days": 30},
        },
        "connection-duration": {"effective-since": SINCE, "max-minutes": 7, "period": {"mode": "monthly"}},
        "ext": {"a": 1},
    },
    "tracing": {"sampling-mode": "none", "sampling-mode-per-auth-id": {"CN=x": "all"}},
    "trust-anchor-group": "group one",
    "trusted-ca": [
        {
            **BARE,
            "subject-dn-bytes": b64(encode_name("CN=Plant CA,O=ACME")),
            "auth-id-template": "auth-{{subject-cn}}",
            "auto-provisioning-enabled": True,
            "auto-provision-as-gateway": True,
            "auto-provisioning-device-id-template": "dev-{{subject-cn}}",
            "ocsp-revocation-enabled": True,
            "ocsp-responder-uri": "http://ocsp.example.com/a?b=c",
            "ocsp-responder-cert": b64(CA.der),
            "ocsp-nonce-enabled": True,
            "provisioning-rate-max": 2.5,
            "device-template": {
                "defaults": {"ttl": 1},
                "ext": {"made-by": "template"},
                "via": ["gw-1", "gw-2"],
                "viaGroups": ["group"],
            },
        },
        {**BARE, "id": "second", "device-template": {"memberOf": ["g"]}},
    ],
}


def test_everything_that_was_sent_is_shown() -> None:
    assert shown(FULL) == FULL


def test_what_was_not_sent_is_not_shown() -> None:
    assert shown({}) == {}
    assert taken({}) == Tenant(tenant_id=taken({}).tenant_id)


@pytest.mark.parametrize(
    ("sent", "read"),
    [
        ({"enabled": True}, {"enabled": True}),
        ({"adapters": None}, {}),
        ({"ext": {}, "defaults": {}, "trusted-ca": [], "minimum-message-size": 0}, {}),
        (
            {"adapters": [{"type": "a"}]},
            {"adapters": [{"type": "a", "enabled": False, "device-authentication-required": True}]},
        ),
        ({"resource-limits": {}}, {"resource-limits": {}}),
        ({"resource-limits": {"max-connections": -1, "max-ttl": -1}}, {"resource-limits": {}}),
        (
            {"resource-limits": {"data-volume": {"effective-since": "2019-07-27T14:30:00.9+02:00", "max-bytes": -1}}},
            {"resource-limits": {"data-volume": {"effective-since": "2019-07-27T12:30:00Z"}}},
        ),
        (
            {"registration-limits": {}},
            {"registration-limits": {"max-devices": -1, "max-credentials-per-device": -1}},
        ),
        ({"tracing": {}}, {"tracing": {}}),
        ({"ext": {"a": "x" * (EXT_MAX_BYTES - 10)}}, {"ext": {"a": "x" * (EXT_MAX_BYTES - 10)}}),
    ],
)
def test_defaults_are_not_shown_as_if_they_had_been_sent(sent: Any, read: Any) -> None:
    assert shown(sent) == read


def test_an_entry_that_was_found_bears_its_id() -> None:
    assert msgspec.to_builtins(tenant_entry(taken({"enabled": False}))) == {"id": "acme", "enabled": False}


PERIOD = {"effective-since": SINCE, "period": {"mode": "days", "no-of-days": 1}}


@pytest.mark.parametrize(
    ("document", "says"),
    [
        ({"unexpected": "property"}, "unexpected: there is no such member"),
        ({"id": "x"}, "id: there is no such member"),
        ({"status": {}}, "status: there is no such member"),
        ({"enabled": "true"}, "enabled: must be a boolean, not a string"),
        ({"enabled": None}, "enabled: must be a boolean, not null"),
        ({"alias": None}, "alias: must be a string, not null"),
        ({"alias": "NOT_a-valid=Alias"}, "alias: must be a host label"),
        ({"alias": ""}, "alias: must be a host label"),
        ({"alias": "a\n"}, "alias: must be a host label"),
        ({"alias": "a" * 64}, "alias: must have at most 63 characters"),
        ({"ext": []}, "ext: must be an object, not an array"),
        ({"ext": {"a": "é" * (EXT_MAX_BYTES // 2)}}, f"ext: must take at most {EXT_MAX_BYTES} bytes"),
        ({"defaults": {"a": "x" * DEFAULTS_MAX_BYTES}}, f"defaults: must take at most {DEFAULTS_MAX_BYTES} bytes"),
        ({"adapters": []}, "adapters: must have at least 1 entries"),
        ({"adapters": [{}]}, "adapters[0].type: is required"),
        ({"adapters": [{"type": ""}]}, "adapters[0].type: must have at least 1"),
        ({"adapters": [{"type": "a\n"}]}, "adapters[0].type: must hold no control characters"),
        ({"adapters": [{"type": "a"}, {"type": "a"}]}, "adapters[1].type: 'a' is there twice"),
        ({"adapters": [{"type": "a", "max-ttd": 1}]}, "adapters[0].max-ttd: there is no such member"),
        ({"adapters": [{"type": "a", "ext": {"a": "x" * 5000}}]}, "adapters[0].ext: must take at most"),
        ({"minimum-message-size": -1}, "minimum-message-size: must be an integer of at least 0"),
        ({"minimum-message-size": None}, "minimum-message-size: must be an integer, not null"),
        ({"minimum-message-size": 1.5}, "minimum-message-size: must be an integer, not a number"),
        ({"minimum-message-size": True}, "minimum-message-size: must be an integer, not a boolean"),
        ({"minimum-message-size": 2**31}, "minimum-message-size: must be an integer of at most"),
        ({"resource-limits": {"max-connections": -2}}, "resource-limits.max-connections: must be an integer of at"),
        ({"resource-limits": {"max-ttl": -2}}, "resource-limits.max-ttl: must be"),
        ({"resource-limits": {"max-ttl-telemetry-qos0": -2}}, "resource-limits.max-ttl-telemetry-qos0: must be"),
        ({"resource-limits": {"max-ttl-telemetry-qos1": -2}}, "resource-limits.max-ttl-telemetry-qos1: must be"),
        ({"resource-limits": {"max-ttl-command-response": -2}}, "resource-limits.max-ttl-command-response: must be"),
        ({"resource-limits": {"max-ttl": "1"}}, "resource-limits.max-ttl: must be an integer, not a string"),
        ({"resource-limits": {"x": 1}}, "resource-limits.x: there is no such member"),
        ({"resource-limits": {"data-volume": {}}}, "resource-limits.data-volume.effective-since: is required"),
        (
            {"resource-limits": {"data-volume": {"effective-since": ""}}},
            "resource-limits.data-volume.effective-since: is required",
        ),
        (
            {"resource-limits": {"data-volume": {"effective-since": "2019-07-27T14:30:00+0200"}}},
            "resource-limits.data-volume.effective-since: must be a time such as",
        ),
        (
            {"resource-limits": {"connection-duration": {"effective-since": SINCE, "max-minutes": -2}}},
            "resource-limits.connection-duration.max-minutes: must be",
        ),
        (
            {"resource-limits": {"data-volume": {"effective-since": SINCE, "max-bytes": -2}}},
            "resource-limits.data-volume.max-bytes: must be",
        ),
        (
            {"resource-limits": {"data-volume": {**PERIOD, "period": {}}}},
            "resource-limits.data-volume.period.mode: is required",
        ),
        (
            {"resource-limits": {"data-volume": {**PERIOD, "period": {"mode": "yearly"}}}},
            'resource-limits.data-volume.period.mode: must be one of "days", "monthly", "unknown"',
        ),
        (
            {"resource-limits": {"data-volume": {**PERIOD, "period": {"mode": "days"}}}},
            "resource-limits.data-volume.period.no-of-days: must be an integer from 1",
        ),
        (
            {"resource-limits": {"data-volume": {**PERIOD, "period": {"mode": "monthly", "no-of-days": -1}}}},
            "resource-limits.data-volume.period.no-of-days: must be an integer of at least 0",
        ),
        ({"registration-limits": {"max-devices": -2}}, "registration-limits.max-devices: must be"),
        (
            {"registration-limits": {"max-credentials-per-device": -2}},
            "registration-limits.max-credentials-per-device: must be",
        ),
        ({"registration-limits": {"max-devices": None}}, "registration-limits.max-devices: must be"),
        ({"tracing": {"sampling-mode": "some"}}, 'tracing.sampling-mode: must be one of "all", "default", "none"'),
        ({"tracing": {"sampling-mode-per-auth-id": {"a": "some"}}}, "tracing.sampling-mode-per-auth-id[...]: must be"),
        ({"tracing": {"sampling-mode-per-auth-id": {"": "all"}}}, "tracing.sampling-mode-per-auth-id: must have"),
        ({"trust-anchor-group": ""}, "trust-anchor-group: must have"),
        ({"trust-anchor-group": "a\u0007"}, "trust-anchor-group: must hold no control characters"),
        ({"trusted-ca": {}}, "trusted-ca: must be an array"),
        ({"trusted-ca": [BARE, BARE]}, "trusted-ca[1].id: 'ca' is there twice"),
        (
            {"trusted-ca": [{**BARE, "id": f"ca-{n}"} for n in range(ANCHORS_MAX + 1)]},
            f"trusted-ca: must have at most {ANCHORS_MAX} entries",
        ),
    ],
)
def test_a_bad_member_is_named(document: Any, says: str) -> None:
    with pytest.raises(Malformed) as refusal:
        taken(document)
    assert str(refusal.value).startswith(says)


@pytest.mark.parametrize(
    ("changes", "says"),
    [
        ({"unexpected": 1}, "unexpected: there is no such member"),
        ({"id": ""}, "id: must have"),
        ({"id": None}, "id: must be a string, not null"),
        ({"id": "a\u0000"}, "id: holds a NUL"),
        ({"cert": b64(b"no certificate")}, "cert: is no certificate that can be used"),
        ({"cert": b64(CA.der + b"\0")}, "cert: is no certificate that can be used"),
        ({"cert": "-_8="}, "cert: must be standard Base64 with padding"),
        ({"cert": None}, "cert: must be a string, not null"),
        ({"subject-dn": ...}, "subject-dn: is required where there is no cert"),
        ({"subject-dn": ""}, "subject-dn: is required where there is no cert"),
        ({"subject-dn": "foo=bar"}, "subject-dn: is no distinguished name: unknown attribute type 'foo'"),
        ({"subject-dn": "sensor1"}, "subject-dn: is no distinguished name"),
        ({"subject-dn": "CN=a<b"}, "subject-dn: is no distinguished name"),
        ({"subject-dn": "CN=" + "x" * 4096}, "subject-dn: must be a name of at most 4096 characters"),
        ({"subject-dn": "CN=" + "x" * 20_000}, "subject-dn: must have at most"),
        ({"subject-dn-bytes": b64(b"0")}, "subject-dn-bytes: is no name in DER"),
        ({"subject-dn-bytes": b64(encode_name("CN=Other CA,O=ACME"))}, "subject-dn-bytes: is another name"),
        ({"public-key": ...}, "public-key: is required where there is no cert"),
        ({"public-key": "NotBase64Encoded"}, "public-key: holds no public key that can verify signatures"),
        ({"public-key": "Not Base64"}, "public-key: must be standard Base64"),
        ({"algorithm": ...}, "public-key: is a key of kind EC, not RSA which is what it is unless said"),
        ({"algorithm": "RSA"}, "public-key: is a key of kind EC, not RSA as algorithm says"),
        ({"algorithm": "DSA"}, "algorithm: must be one of RSA, EC, Ed25519, Ed448"),
        ({"algorithm": None}, "algorithm: must be a string"),
        ({"not-before": ...}, "not-before: is required where there is no cert"),
        ({"not-after": ...}, "not-after: is required where there is no cert"),
        ({"not-before": ""}, "not-before: is required where there is no cert"),
        ({"not-before": None}, "not-before: must be a string, not null"),
        ({"not-after": "2040-01-01"}, "not-after: must be a time such as"),
        ({"not-after": "2019-01-01T00:00:00Z"}, "not-before: must not be later than not-after"),
        ({"auth-id-template": "id-{{unsupported-placeholder}}"}, "auth-id-template: unknown placeholder"),
        ({"auth-id-template": "no placeholder"}, "auth-id-template: a template holds at least one placeholder"),
        ({"auth-id-template": None}, "auth-id-template: must be a string, not null"),
        ({"auth-id-template": "{{ subject-cn }}"}, "auth-id-template: unknown placeholder"),
        (
            {"auto-provisioning-device-id-template": "device-{{subject-xyz}}"},
            "auto-provisioning-device-id-template: unknown placeholder",
        ),
        ({"auto-provisioning-device-id-template": None}, "auto-provisioning-device-id-template: must be a string"),
        ({"auto-provisioning-enabled": None}, "auto-provisioning-enabled: must be a boolean"),
        ({"ocsp-revocation-enabled": True}, "ocsp-revocation-enabled: needs cert or ocsp-responder-cert"),
        ({"ocsp-responder-cert": b64(b"no")}, "ocsp-responder-cert: is no certificate that can be used"),
        ({"ocsp-responder-uri": "ldap://x"}, "ocsp-responder-uri: must be an http:// or https:// URI"),
        ({"ocsp-responder-uri": "http://a b"}, "ocsp-responder-uri: must be an http:// or https:// URI"),
        ({"provisioning-rate-max": -1}, "provisioning-rate-max: must be a number of at least 0"),
        ({"provisioning-rate-max": 1e9}, "provisioning-rate-max: must be"),
        ({"device-template": {"other": 1}}, "device-template.other: there is no such member"),
        ({"device-template": {"via": "gw"}}, "device-template.via: must be an array"),
        ({"device-template": {"via": ["a"], "memberOf": ["g"]}}, "device-template.memberOf: must not be set together"),
        ({"device-template": {"via": ["a", "a"]}}, "device-template.via[1]: is there twice"),
        ({"device-template": {"defaults": {"a": "x" * 5000}}}, "device-template.defaults: must take at most"),
        ({"device-template": {"ext": {"a": "x" * 5000}}}, "device-template.ext: must take at most"),
    ],
)
def test_a_bad_member_of_a_ca_is_named(changes: Any, says: str) -> None:
    entry = {name: value for name, value in {**BARE, "id": "two", **changes}.items() if value is not ...}
    with pytest.raises(Malformed) as refusal:
        taken({"trusted-ca": [BARE, entry]})
    assert str(refusal.value).startswith(f"trusted-ca[1].{says}")


def test_a_certificate_says_everything() -> None:
    assert ca_shown(BY_CERT) == {
        "id": "ca",
        "subject-dn": "CN=Plant CA,O=ACME",
        "subject-dn-bytes": b64(CA.certificate.subject.public_bytes()),
        "public-key": key_of(CA),
        "algorithm": "EC",
        **VALID,
        **NEVER,
    }


def test_what_contradicts_a_certificate_is_ignored() -> None:
    contradicting = {
        "subject-dn": "no name",
        "subject-dn-bytes": b64(b"0"),
        "public-key": b64(b"no key"),
        "algorithm": "DSA",
        "not-before": "never",
        "not-after": "",
    }
    assert ca_shown({**BY_CERT, **contradicting}) == ca_shown(BY_CERT)


def test_a_responder_is_the_ca_itself_unless_said() -> None:
    read = ca_shown({**BY_CERT, "ocsp-revocation-enabled": True})
    assert (read["ocsp-revocation-enabled"], read["ocsp-responder-cert"]) == (True, b64(CA.der))
    other = ca_shown({**BY_CERT, "ocsp-revocation-enabled": True, "ocsp-responder-cert": b64(RSA_CA.der)})
    assert other["ocsp-responder-cert"] == b64(RSA_CA.der)
    off = ca_shown({**BY_CERT, "ocsp-revocation-enabled": False, "ocsp-nonce-enabled": False})
    assert off == ca_shown(BY_CERT)


@pytest.mark.parametrize(
    ("issued", "algorithm"), [(CA, "EC"), (RSA_CA, "RSA"), (EDWARDS_CA, "Ed25519")], ids=["EC", "RSA", "Ed25519"]
)
def test_keys_of_every_kind_that_verifies_are_taken(issued: Issued, algorithm: str) -> None:
    assert ca_shown({"id": "a", "cert": b64(issued.der)})["algorithm"] == algorithm
    bare = {**BARE, "public-key": key_of(issued), "algorithm": algorithm}
    assert ca_shown(bare) == bare


def test_the_algorithm_is_rsa_unless_said() -> None:
    bare = {**BARE, "public-key": key_of(RSA_CA)}
    del bare["algorithm"]
    assert ca_shown(bare) == {**bare, "algorithm": "RSA"}


@pytest.mark.parametrize(
    ("given", "stored"),
    [
        ("cn=Dev 1,  o = ACME ,c=DE", "CN=Dev 1,O=ACME,C=DE"),
        ("S=Bav,UID=u,DC=d", "ST=Bav,UID=u,DC=d"),
        (
            "emailAddress=foo@bar.com, CN=foo, O=bar",
            "1.2.840.113549.1.9.1=#160b666f6f406261722e636f6d,CN=foo,O=bar",
        ),
        ('CN=a;O="x, y"', "CN=a,O=x\\, y"),
        ("CN=a=b", "CN=a\\=b"),
    ],
)
def test_a_name_is_stored_in_its_one_spelling(given: str, stored: str) -> None:
    assert ca_shown({**BARE, "subject-dn": given})["subject-dn"] == stored


def test_the_encoding_of_a_name_decides_its_spelling() -> None:
    utf8 = encode_name("1.2.840.113549.1.9.1=#0c0b666f6f406261722e636f6d,CN=foo")
    read = ca_shown({**BARE, "subject-dn": "EMAIL=foo@bar.com,CN=foo", "subject-dn-bytes": b64(utf8)})
    assert read["subject-dn"] == "1.2.840.113549.1.9.1=#0c0b666f6f406261722e636f6d,CN=foo"
    assert read["subject-dn-bytes"] == b64(utf8)


def test_names_may_repeat_within_a_tenant_and_the_order_is_kept() -> None:
    sent = [{**BARE, "id": name} for name in ("z", "a", "m")]
    assert shown({"trusted-ca": sent})["trusted-ca"] == sent
    nameless = {name: value for name, value in BARE.items() if name != "id"}
    tenant = tenant_of(decode(TenantBody, json.dumps({"trusted-ca": [nameless]}).encode()))
    assert tenant.trust_anchors[0].anchor_id == ""
