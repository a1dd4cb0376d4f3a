"""Credentials on the wire: what is read, what is refused by name, what is sent back (hono-registry 2.3)."""

import json
from base64 import b64encode
from collections.abc import Sequence
from typing import Any

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from conf.registry import AUTH_ID_PATTERN
from dialects.hono.shapes.credential_updates import updates_of
from dialects.hono.shapes.credentials import CredentialsBody, credential_view
from kernel.errors import Malformed
from kernel.ids import DeviceId, IdRule, TenantId
from registry.credentials import CREDENTIALS_MAX, checked, hashed, merged, shown
from registry.model import Credential
from registry.passwords import HashRules
from tenant.model import Tenant
from tests.support.certificates import NOON, make_ca
from tests.support.passwords import verify

CA = make_ca()
LEAF = CA.issue("CN=dev,O=x")
RSA_LEAF = CA.issue("CN=dev", key="rsa2048")
RULES = HashRules(bcrypt_cost_max=4)


def base64(octets: bytes) -> str:
    return b64encode(octets).decode()


CERT = base64(LEAF.der)
KEY = base64(LEAF.public_key_der)
RSA_KEY = base64(RSA_LEAF.public_key_der)
PASSWORD = {"type": "hashed-password", "auth-id": "user", "secrets": [{"pwd-plain": "hono-secret"}]}
PSK = {"type": "psk", "auth-id": "identity", "secrets": [{"key": "c2VjcmV0"}]}
X509 = {"type": "x509-cert", "auth-id": "CN=dev,O=x", "secrets": [{}]}
RPK = {"type": "rpk", "auth-id": "raw", "secrets": [{"key": KEY, "algorithm": "EC"}]}
OTHER = {"type": "type-0", "auth-id": "any", "secrets": [{"field-0": "setec astronomy", "deep": {"a": [None]}}]}
EVERY = [PASSWORD, PSK, X509, RPK, OTHER]


def put(body: Any, existing: Sequence[Credential] = ()) -> Sequence[Credential]:
    updates = updates_of(json.dumps(body).encode())
    auth_ids = IdRule(AUTH_ID_PATTERN, max_chars=4096)
    tenant = Tenant(tenant_id=TenantId("acme"))
    valid = checked(updates, tenant=tenant, auth_ids=auth_ids, rules=RULES, moment=NOON)
    return merged(hashed(valid, RULES), existing, tenant_id=TenantId("acme"), device_id=DeviceId("dev"))


def read(stored: Sequence[Credential]) -> Any:
    return json.loads(msgspec.json.encode([credential_view(shown(one)) for one in stored]))


def test_a_read_has_ids_and_metadata_and_nothing_secret() -> None:
    stored = put(EVERY)
    found = read(stored)
    for entry in found:
        for secret in entry["secrets"]:
            assert len(secret.pop("id")) == 36
    assert found == [
        {"type": "hashed-password", "auth-id": "user", "secrets": [{}]},
        {"type": "psk", "auth-id": "identity", "secrets": [{}]},
        {"type": "x509-cert", "auth-id": "CN=dev,O=x", "secrets": [{}]},
        {"type": "rpk", "auth-id": "raw", "secrets": [{"key": KEY, "algorithm": "EC"}]},
        OTHER,
    ]


def test_what_was_said_beside_the_secret_is_sent_back() -> None:
    window = {"not-before": "2026-01-01T00:00:00.9+01:00", "not-after": "2027-01-01T00:00:00Z"}
    said = {"id": "1", "enabled": False, "comment": "c", **window}
    whole = {**OTHER, "enabled": False, "comment": "mine", "ext": {"client-id": "a"}, "secrets": [said | {"f": 1}]}
    known = put([OTHER])
    whole["secrets"] = [said | {"id": known[0].secrets[0].secret_id, "f": 1}]
    (found,) = read(put([whole], known))
    assert found["secrets"][0].pop("not-before") == "2025-12-31T23:00:00Z"
    assert {name: value for name, value in found.items() if name != "secrets"} == {
        name: value for name, value in whole.items() if name != "secrets"
    }
    (secret,) = found["secrets"]
    assert (secret["enabled"], secret["comment"], secret["not-after"], secret["f"]) == (
        False,
        "c",
        window["not-after"],
        1,
    )


def test_empty_bounds_are_none() -> None:
    (stored,) = put([{**X509, "secrets": [{"not-before": "", "not-after": ""}]}])
    assert (stored.secrets[0].not_before, stored.secrets[0].not_after) == (None, None)


@pytest.mark.parametrize(
    ("secret", "kept"),
    [
        ({"cert": CERT}, {"key": KEY, "algorithm": "EC"}),
        ({"cert": base64(RSA_LEAF.der)}, {"key": RSA_KEY, "algorithm": "RSA"}),
        ({"key": KEY, "algorithm": "EC"}, {"key": KEY, "algorithm": "EC"}),
        ({"key": RSA_KEY}, {"key": RSA_KEY, "algorithm": "RSA"}),
    ],
)
def test_a_raw_public_key_comes_as_key_or_certificate(secret: Any, kept: Any) -> None:
    (stored,) = put([{**RPK, "secrets": [secret]}])
    assert stored.secrets[0].material == kept
    assert ("cert" in secret) is (stored.secrets[0].not_after is not None)


def test_a_certificate_stands_for_auth_id_and_secret() -> None:
    (found,) = read(put([{"type": "x509-cert", "cert": CERT, "comment": "mine", "enabled": True}]))
    (secret,) = found.pop("secrets")
    assert found == {"type": "x509-cert", "auth-id": "CN=dev,O=x", "comment": "mine", "enabled": True}
    assert (secret["not-before"], secret["not-after"]) == ("2020-01-01T00:00:00Z", "2040-01-01T00:00:00Z")


def secret(of: Any, **members: Any) -> Any:
    return [{**of, "secrets": [{name.replace("_", "-"): value for name, value in members.items()}]}]


def without(of: Any, name: str) -> Any:
    return [{member: value for member, value in of.items() if member != name}]


REFUSED: list[tuple[Any, str]] = [
    ({}, "body: must be an array of credentials, not an object"),
    (None, "body: must be an array of credentials, not null"),
    (["x"], "credentials[0]: must be a credential, an object, not a string"),
    ([PSK, 3], "credentials[1]: must be a credential, an object, not a number"),
    ([OTHER] * (CREDENTIALS_MAX + 1), "credentials: must have at most 100 entries"),
    (without(PSK, "type"), "credentials[0].type: is required"),
    ([{**PSK, "type": 3}], "credentials[0].type: must be a string, not a number"),
    ([{**PSK, "type": "#illegal"}], "credentials[0].type: must match"),
    ([{**PSK, "type": "psk\n"}], "credentials[0].type: must match"),
    (without(PSK, "auth-id"), "credentials[0].auth-id: is required"),
    (without(OTHER, "auth-id"), "credentials[0].auth-id: is required"),
    ([{**PSK, "auth-id": ""}], "credentials[0].auth-id: must have at least 1"),
    ([{**PSK, "auth-id": "a\0b"}], "credentials[0].auth-id: holds a NUL"),
    (without(PSK, "secrets"), "credentials[0].secrets: is required"),
    ([{**PSK, "secrets": []}], "credentials[0].secrets: must have at least 1"),
    ([{**OTHER, "secrets": []}], "credentials[0].secrets: must have at least 1"),
    ([{**OTHER, "secrets": [{}] * 21}], "credentials[0].secrets: must have at most 20"),
    ([{**OTHER, "secrets": ["x"]}], "credentials[0].secrets[0]: must be an object"),
    ([{**PSK, "unknown": 1}], "credentials[0].unknown: there is no such member"),
    ([{**OTHER, "unknown": 1}], "credentials[0].unknown: there is no such member"),
    ([{**PSK, "device-id": "x"}], "credentials[0].device-id: there is no such member"),
    ([{**PSK, "enabled": "yes"}], "credentials[0].enabled: must be a boolean"),
    ([{**PSK, "ext": "x"}], "credentials[0].ext: must be an object"),
    (secret(PSK, key="c2VjcmV0", unknown=1), "credentials[0].secrets[0].unknown: there is no such member"),
    (secret(PSK, key="no base64"), "credentials[0].secrets[0].key: must be standard Base64"),
    (secret(PSK, key="c2VjcmV0", id=""), "credentials[0].secrets[0].id: must have at least 1"),
    (secret(PSK, key="c2VjcmV0", id=3), "credentials[0].secrets[0].id: must be a string"),
    (secret(PSK, key="c2VjcmV0", not_before="2026-01-01"), "credentials[0].secrets[0].not-before: must be a time"),
    (secret(PSK, key="c2VjcmV0", not_after="2026-01-01T00:00:00+0200"), "credentials[0].secrets[0].not-after: must be"),
    (secret(PASSWORD, pwd_plain=3), "credentials[0].secrets[0].pwd-plain: must be a string"),
    (secret(PASSWORD, pwd_plain=""), "credentials[0].secrets[0].pwd-plain: must have at least 1"),
    (secret(PASSWORD, pwd_plain="x", salt="%"), "credentials[0].secrets[0].salt: must be standard Base64"),
    (secret(PASSWORD, pwd_hash="AAAA"), "credentials[0].secrets[0].hash-function: required"),
    (secret(PASSWORD, hash_function="sha-256"), "credentials[0].secrets[0].pwd-hash: required"),
    (secret(OTHER, not_after=3), "credentials[0].secrets[0].not-after: must be a string"),
    (secret(OTHER, enabled=1), "credentials[0].secrets[0].enabled: must be a boolean"),
    (secret(RPK, key="c2VjcmV0", algorithm="EC"), "credentials[0].secrets[0].key: must hold a public key"),
    (secret(RPK, key=KEY), "credentials[0].secrets[0].algorithm: is RSA, and the key is one of EC"),
    (secret(RPK, key=KEY, algorithm="DSA"), "credentials[0].secrets[0].algorithm: must be one of"),
    (secret(RPK, algorithm="EC"), "credentials[0].secrets[0].key: is required"),
    (secret(RPK, cert="c2VjcmV0"), "credentials[0].secrets[0].cert: "),
    (secret(RPK, cert="garbage!"), "credentials[0].secrets[0].cert: must be standard Base64"),
    (secret(RPK, key=KEY, algorithm="EC", unknown=1), "credentials[0].secrets[0].unknown: there is no such member"),
    ([{"type": "x509-cert"}], "credentials[0].auth-id: is required where there is no cert"),
    ([{"type": "x509-cert", "auth-id": "x"}], "credentials[0].secrets: is required where there is no cert"),
    ([{"type": "x509-cert", "cert": "garbage!"}], "credentials[0].cert: must be standard Base64"),
    ([{"type": "x509-cert", "cert": "c2VjcmV0"}], "credentials[0].cert: "),
    ([{**X509, "secrets": [{}, {}]}], "credentials[0].secrets: must have at most 1"),
    (secret(X509, key="c2VjcmV0"), "credentials[0].secrets[0].key: there is no such member"),
]


@pytest.mark.parametrize(("body", "words"), REFUSED)
def test_what_breaks_a_rule_is_refused_by_element_member_and_rule(body: Any, words: str) -> None:
    with pytest.raises(Malformed) as refused:
        put(body)
    assert str(refused.value).startswith(words)


def test_the_description_of_the_api_tells_every_type() -> None:
    items = msgspec.json.schema(CredentialsBody)["items"]["oneOf"]
    assert [one["properties"]["type"].get("enum") for one in items] == [
        ["hashed-password"],
        ["psk"],
        ["rpk"],
        ["x509-cert"],
        None,
    ]
    assert "$ref" not in json.dumps(items)


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8), inner, max_size=3),
    max_leaves=6,
)
SECRETS = st.dictionaries(
    st.sampled_from(
        ["id", "enabled", "not-before", "comment", "pwd-plain", "hash-function", "pwd-hash", "key", "cert"]
    ),
    JSON | st.sampled_from([KEY, CERT, "sha-256", "2026-01-01T00:00:00Z"]),
    max_size=4,
)
CREDENTIALS = st.fixed_dictionaries(
    {"type": st.sampled_from(["hashed-password", "psk", "x509-cert", "rpk", "type-0", "", "#"]) | JSON},
    optional={
        "auth-id": st.text(max_size=8) | JSON,
        "secrets": st.lists(SECRETS | JSON, max_size=3) | JSON,
        "cert": JSON | st.just(CERT),
        "ext": JSON,
    },
)


@settings(deadline=None)
@given(st.lists(CREDENTIALS | JSON, max_size=3) | JSON)
def test_no_body_raises_anything_but_malformed(body: Any) -> None:
    try:
        put(body)
    except Malformed:
        pass


@given(st.binary(max_size=64))
def test_no_bytes_raise_anything_but_malformed(body: bytes) -> None:
    try:
        updates_of(body)
    except Malformed:
        pass


KEPT = st.recursive(  # JSON that a body may hold
    st.none()
    | st.booleans()
    | st.integers(-(2**63), 2**63 - 1)
    | st.text(st.characters(codec="utf-8", exclude_characters="\0")),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.just("name"), inner),
    max_leaves=6,
)
WORDS = st.text(st.characters(min_codepoint=33, max_codepoint=126), min_size=1, max_size=12)


@settings(deadline=None, max_examples=40)
@given(
    passwords=st.lists(WORDS, min_size=1, max_size=3, unique=True),
    keys=st.lists(st.binary(min_size=1, max_size=16), min_size=1, max_size=3),
    others=st.lists(st.dictionaries(WORDS.map(lambda name: f"x-{name}"), KEPT, max_size=3), min_size=1, max_size=3),
)
def test_what_was_read_can_be_written_and_every_password_and_key_works_on(
    passwords: list[str], keys: list[bytes], others: list[Any]
) -> None:
    stored = put(
        [
            {**PASSWORD, "secrets": [{"pwd-plain": word} for word in passwords]},
            {**PSK, "secrets": [{"key": base64(key)} for key in keys]},
            {**OTHER, "secrets": others},
            X509,
            RPK,
        ]
    )
    found = read(stored)
    for text in ("pwd-", "salt", "hash-function"):
        assert text not in json.dumps(found[0])
    assert all(set(one) == {"id"} for one in found[1]["secrets"])
    after = put(found, stored)
    assert after == stored
    assert all(verify(after[0], word.encode(), NOON) for word in passwords)
