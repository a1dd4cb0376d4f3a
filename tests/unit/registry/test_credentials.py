"""How an update becomes what is on record, what a read shows, and what proves (hono-registry 1.4, 2.3, 3.2)."""

from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest

from conf.registry import AUTH_ID_PATTERN
from kernel.ids import AUTH_ID_MAX_CHARS, AnchorId, DeviceId, IdRule, TenantId
from pki.chains import authority_of
from registry.credentials import (
    CREDENTIALS_MAX,
    PLAIN_PASSWORDS_MAX,
    SECRETS_MAX,
    CredentialUpdate,
    SecretUpdate,
    checked,
    hashed,
    matches_context,
    merged,
    shown,
)
from registry.errors import CredentialInvalid
from registry.model import Credential, Secret
from registry.passwords import HashRules
from tenant.model import Tenant, TrustAnchor
from tests.support.certificates import NOON, NOT_AFTER, NOT_BEFORE, Issued, make_ca
from tests.support.passwords import verify

RULES = HashRules(bcrypt_cost_max=4, allowed=frozenset({"bcrypt", "sha-256", "sha-512", "argon2id"}))
TENANT = TenantId("acme")
DEVICE = DeviceId("sensor")
ACME = Tenant(tenant_id=TENANT)
SHA = {"hash-function": "sha-256", "pwd-hash": "AQIDBAUGBwg=", "salt": "Mq7wFw=="}
KEY = {"key": "aGVq", "algorithm": "EC"}


def password(*secrets: SecretUpdate, auth_id: str = "user") -> CredentialUpdate:
    return CredentialUpdate(type="hashed-password", auth_id=auth_id, secrets=secrets)


def credential(type_: str, *secrets: SecretUpdate, auth_id: str = "user", **members: Any) -> CredentialUpdate:
    return CredentialUpdate(type=type_, auth_id=auth_id, secrets=secrets, **members)


def judged(*updates: CredentialUpdate, tenant: Tenant = ACME) -> list[CredentialUpdate]:
    auth_ids = IdRule(AUTH_ID_PATTERN, max_chars=AUTH_ID_MAX_CHARS)
    return list(checked(updates, tenant=tenant, auth_ids=auth_ids, rules=RULES, moment=NOON))


def put(existing: list[Credential], *updates: CredentialUpdate, tenant: Tenant = ACME) -> list[Credential]:
    """The whole way of an update."""
    ready = hashed(judged(*updates, tenant=tenant), RULES)
    return list(merged(ready, existing, tenant_id=TENANT, device_id=DEVICE))


def again(stored: Credential, **changes: Any) -> CredentialUpdate:
    """What somebody writes who has read a credential: its secrets by their ids alone."""
    secrets = tuple(SecretUpdate(secret_id=secret.secret_id, **changes) for secret in stored.secrets)
    return CredentialUpdate(type=stored.type, auth_id=stored.auth_id, secrets=secrets)


# What is refused, element, member and rule.

REFUSED = [
    (credential("#illegal", SecretUpdate()), "credentials[0].type: '#illegal' is not"),
    (credential("a" * 200, SecretUpdate()), "credentials[0].type"),
    (CredentialUpdate(type="psk", secrets=(SecretUpdate(),)), "credentials[0].auth-id: required"),
    (credential("psk", SecretUpdate(), auth_id=""), "credentials[0].auth-id: required"),
    (credential("psk", SecretUpdate(), auth_id="x" * 5000), "credentials[0].auth-id: not 1 to 4096"),
    (credential("psk", SecretUpdate(), auth_id="a\nb"), "credentials[0].auth-id: not 1 to 4096"),
    (password(SecretUpdate(password="x"), auth_id="#illegal"), "credentials[0].auth-id: '#illegal' does not match"),
    (password(SecretUpdate(password="x"), auth_id="a b"), "credentials[0].auth-id: 'a b' does not match"),
    (credential("psk"), "credentials[0].secrets: required"),
    (credential("type-0", *[SecretUpdate()] * (SECRETS_MAX + 1)), "credentials[0].secrets: 21 elements; at most 20"),
    (credential("x509-cert", SecretUpdate(), SecretUpdate()), "credentials[0].secrets: 2 elements; x509-cert has exac"),
    (credential("psk", SecretUpdate(material={"key": "eA=="}), SecretUpdate()), "credentials[0].secrets[1].key: requ"),
    (credential("psk", SecretUpdate()), "credentials[0].secrets[0].key: required"),
    (credential("rpk", SecretUpdate()), "credentials[0].secrets[0].key: required"),
    (password(SecretUpdate()), "credentials[0].secrets[0]: pwd-plain, or pwd-hash and hash-function, are required"),
    (password(SecretUpdate(material={"pwd-hash": "eA=="})), "credentials[0].secrets[0].hash-function: required"),
    (password(SecretUpdate(material={"salt": "eA=="})), "credentials[0].secrets[0].hash-function: required"),
    (password(SecretUpdate(material=SHA | {"hash-function": "md5"})), "credentials[0].secrets[0].hash-function: 'md5'"),
    (password(SecretUpdate(password="x" * 73)), "credentials[0].secrets[0].pwd-plain: 73 bytes of UTF-8; bcrypt takes"),
    (password(SecretUpdate(password="")), "credentials[0].secrets[0].pwd-plain: a password has at least one"),
    (
        credential("type-0", SecretUpdate(not_before=NOON, not_after=NOON - timedelta(seconds=1))),
        "credentials[0].secrets[0].not-before: later than not-after",
    ),
    (
        credential("type-0", SecretUpdate(secret_id="1"), SecretUpdate(secret_id="1")),
        "credentials[0].secrets[0].id: '1' is that of another secret",
    ),
    (credential("type-0", SecretUpdate(secret_id="")), "credentials[0].secrets[0].id: not 1 to 256"),
    (credential("type-0", SecretUpdate(secret_id="x" * 257)), "credentials[0].secrets[0].id: not 1 to 256"),
    (credential("type-0", SecretUpdate(secret_id="\0")), "credentials[0].secrets[0].id: not 1 to 256"),
    (
        credential("x509-cert", SecretUpdate(secret_id="1")),
        "credentials: secrets are named by id, but the device has n",
    ),
]


@pytest.mark.parametrize(("update", "words"), REFUSED, ids=[words for _, words in REFUSED])
def test_every_refusal_names_element_member_and_rule(update: CredentialUpdate, words: str) -> None:
    with pytest.raises(CredentialInvalid) as refused:
        put([], update)
    assert str(refused.value).startswith(words)


def test_the_element_at_fault_is_counted_from_0() -> None:
    with pytest.raises(CredentialInvalid, match=r"^credentials\[1\]\.secrets\[0\]\.key: required"):
        put(
            [],
            credential("psk", SecretUpdate(material={"key": "eA=="})),
            credential("psk", SecretUpdate(), auth_id="b"),
        )


def test_the_same_type_and_auth_id_twice_is_refused() -> None:
    update = credential("type-0", SecretUpdate())
    with pytest.raises(CredentialInvalid, match=r"credentials\[1\]: type and auth-id are those of credentials\[0\]"):
        put([], update, update)
    x509 = credential("x509-cert", SecretUpdate(), auth_id="CN=a,O=b")
    with pytest.raises(CredentialInvalid, match="type and auth-id are those of"):
        put([], x509, replace(x509, auth_id="cn=a, o=b"))


def test_the_same_auth_id_of_another_type_is_another_credential() -> None:
    stored = put([], credential("type-0", SecretUpdate()), credential("type-1", SecretUpdate()))
    assert [one.type for one in stored] == ["type-0", "type-1"]


def test_how_much_one_update_may_hold_is_bounded() -> None:
    many = [credential("type-0", SecretUpdate(), auth_id=str(number)) for number in range(CREDENTIALS_MAX + 1)]
    with pytest.raises(CredentialInvalid, match="at most 100"):
        judged(*many)
    plain = [password(SecretUpdate(password="x"), auth_id=str(number)) for number in range(PLAIN_PASSWORDS_MAX + 1)]
    with pytest.raises(CredentialInvalid, match="more than 20 times pwd-plain"):
        judged(*plain)
    judged(*many[:CREDENTIALS_MAX])
    judged(*plain[:PLAIN_PASSWORDS_MAX])


# What is stored.


def test_every_secret_has_an_id_and_what_was_not_said_stays_unsaid() -> None:
    (stored,) = put([], credential("type-0", SecretUpdate(), SecretUpdate()))
    assert (stored.enabled, stored.comment, stored.ext) == (None, None, {})
    assert len({secret.secret_id for secret in stored.secrets}) == 2
    assert all(len(secret.secret_id) == 36 and secret.enabled is None for secret in stored.secrets)
    assert (stored.tenant_id, stored.device_id) == (TENANT, DEVICE)


def test_a_plain_password_wins_over_a_hash_and_is_not_kept() -> None:
    (stored,) = put([], password(SecretUpdate(password="hono-secret", material=SHA)))
    assert set(stored.secrets[0].material) == {"hash-function", "pwd-hash"}
    assert "hono-secret" not in repr(stored)
    assert verify(stored, b"hono-secret", NOON)


def test_a_plain_password_shows_in_no_representation() -> None:
    assert "hono-secret" not in repr(
        password(SecretUpdate(password="hono-secret", material={"pwd-hash": "hono-secret"}))
    )


@pytest.mark.parametrize(
    ("sent", "kept"),
    [
        ("emailAddress=foo@bar.com, CN=foo, O=bar", "1.2.840.113549.1.9.1=#160b666f6f406261722e636f6d,CN=foo,O=bar"),
        ("cn=Dev 1,  o = ACME ,c=DE", "CN=Dev 1,O=ACME,C=DE"),
        ("sensor1", "sensor1"),
        ("device-CN=x", "device-CN=x"),
        ("  ", "  "),
    ],
)
def test_a_distinguished_name_is_kept_in_its_one_spelling(sent: str, kept: str) -> None:
    assert put([], credential("x509-cert", SecretUpdate(), auth_id=sent))[0].auth_id == kept


def test_other_auth_ids_are_kept_as_they_are() -> None:
    assert (
        put([], credential("psk", SecretUpdate(material={"key": "eA=="}), auth_id="cn=a, o=b"))[0].auth_id
        == "cn=a, o=b"
    )
    assert (
        put([], password(SecretUpdate(password="x"), auth_id="my_sensor.20=ext-1"))[0].auth_id == "my_sensor.20=ext-1"
    )


# Certificates.


def of(leaf: Issued, **members: Any) -> CredentialUpdate:
    return CredentialUpdate(type="x509-cert", certificate_der=leaf.der, **members)


def anchor(ca: Issued, number: int = 1, **members: Any) -> TrustAnchor:
    return TrustAnchor(anchor_id=AnchorId(f"ca-{number}"), tenant_id=TENANT, authority=authority_of(ca.der), **members)


def test_a_certificate_says_auth_id_and_validity_and_is_not_kept() -> None:
    leaf = make_ca().issue("CN=dev,O=x")
    update = of(leaf, auth_id="ignored", secrets=(SecretUpdate(comment="ignored"),), enabled=False, comment="mine")
    (stored,) = put([], update)
    assert (stored.auth_id, stored.enabled, stored.comment) == ("CN=dev,O=x", False, "mine")
    (secret,) = stored.secrets
    assert (secret.not_before, secret.not_after, secret.comment, secret.material) == (NOT_BEFORE, NOT_AFTER, None, {})


def test_the_template_of_the_first_valid_ca_makes_the_auth_id() -> None:
    ca = make_ca()
    old = make_ca(key=ca.key, not_after=NOON - timedelta(days=1))
    other = make_ca("CN=Other")
    tenant = replace(
        ACME,
        trust_anchors=(
            anchor(other, 1, auth_id_template="other-{{subject-cn}}"),
            anchor(old, 2, auth_id_template="old-{{subject-cn}}"),
            anchor(ca, 3, auth_id_template="dev-{{subject-cn}}"),
            anchor(ca, 4, auth_id_template="late-{{subject-cn}}"),
        ),
    )
    assert put([], of(ca.issue("CN=7,O=x")), tenant=tenant)[0].auth_id == "dev-7"
    assert put([], of(make_ca("CN=Stranger").issue("CN=7,O=x")), tenant=tenant)[0].auth_id == "CN=7,O=x"


def test_a_template_that_the_certificate_cannot_fill_is_a_refusal_by_name() -> None:
    ca = make_ca()
    tenant = replace(ACME, trust_anchors=(anchor(ca, auth_id_template="{{subject-ou}}"),))
    with pytest.raises(CredentialInvalid, match=r"^credentials\[0\]\.cert: .*subject-ou"):
        put([], of(ca.issue("CN=7")), tenant=tenant)


def test_bytes_that_are_no_certificate_are_refused_by_name() -> None:
    with pytest.raises(CredentialInvalid, match=r"^credentials\[0\]\.cert: "):
        put([], CredentialUpdate(type="x509-cert", certificate_der=b"\x30\x03abc"))


# Merging (1.4.1).

MATERIALS = [
    ("hashed-password", SHA, {"hash-function": "sha-512", "pwd-hash": "AAAA"}),
    ("psk", {"key": "eA=="}, {"key": "eQ=="}),
    ("rpk", KEY, {"key": "b3RoZXI=", "algorithm": "RSA"}),
    ("type-0", {"field-0": "setec astronomy"}, {"field-1": [1, {"a": None}]}),
]
each_material = pytest.mark.parametrize(("type_", "material", "other"), MATERIALS, ids=[one[0] for one in MATERIALS])


@each_material
def test_a_secret_named_by_its_id_keeps_its_material(type_: str, material: Any, other: Any) -> None:
    (first,) = put([], credential(type_, SecretUpdate(material=material, comment="old", enabled=True)))
    (second,) = put([first], again(first))
    assert second.secrets[0].material == material
    assert second.secrets[0].secret_id == first.secrets[0].secret_id


@each_material
def test_metadata_that_is_not_sent_is_cleared(type_: str, material: Any, other: Any) -> None:
    whole = SecretUpdate(
        material=material, comment="old", enabled=True, not_before=NOON, not_after=NOON + timedelta(days=1)
    )
    (first,) = put([], credential(type_, whole, comment="c", ext={"a": 1}, enabled=False))
    (second,) = put([first], again(first))
    assert second.secrets == (Secret(secret_id=first.secrets[0].secret_id, material=material),)
    assert (second.comment, second.ext, second.enabled) == (None, {}, None)
    (third,) = put([first], again(first, comment="updated", enabled=False))
    assert (third.secrets[0].comment, third.secrets[0].enabled) == ("updated", False)


@each_material
def test_material_that_is_sent_replaces_what_was_there(type_: str, material: Any, other: Any) -> None:
    (first,) = put([], credential(type_, SecretUpdate(material=material)))
    named = SecretUpdate(secret_id=first.secrets[0].secret_id, material=other)
    (second,) = put([first], credential(type_, named))
    assert second.secrets == (Secret(secret_id=first.secrets[0].secret_id, material=other),)


@each_material
def test_a_secret_without_id_is_new_and_what_is_not_named_is_gone(type_: str, material: Any, other: Any) -> None:
    (first,) = put([], credential(type_, SecretUpdate(material=material), SecretUpdate(material=material)))
    kept, gone = first.secrets
    update = credential(type_, SecretUpdate(material=other), SecretUpdate(secret_id=kept.secret_id))
    (second,) = put([first], update)
    assert [secret.material for secret in second.secrets] == [other, material]
    assert second.secrets[0].secret_id not in {kept.secret_id, gone.secret_id}


@each_material
def test_an_id_that_the_credential_does_not_have_is_refused(type_: str, material: Any, other: Any) -> None:
    (first,) = put([], credential(type_, SecretUpdate(material=material)))
    with pytest.raises(CredentialInvalid, match=r"secrets\[0\]\.id: the credential has no secret 'unknown'"):
        put([first], credential(type_, SecretUpdate(secret_id="unknown", material=other)))


@each_material
def test_an_id_while_nothing_is_on_record_is_refused(type_: str, material: Any, other: Any) -> None:
    with pytest.raises(CredentialInvalid, match="no credentials on record"):
        put([], credential(type_, SecretUpdate(secret_id="1", material=material)))


@pytest.mark.parametrize(("type_", "material"), [entry[:2] for entry in MATERIALS[:3]])
def test_an_id_alone_for_a_credential_nobody_knows_brings_no_secret_without_material(type_: str, material: Any) -> None:
    (known,) = put([], credential("type-9", SecretUpdate()))
    with pytest.raises(CredentialInvalid, match="the credential is not on record yet"):
        put([known], again(known), credential(type_, SecretUpdate(secret_id="1")))
    assert put([known], again(known), credential(type_, SecretUpdate(secret_id="1", material=material)))[1].secrets == (
        Secret(secret_id="1", material=material),
    )


def test_a_plain_password_under_an_id_replaces_the_old_one() -> None:
    (first,) = put([], password(SecretUpdate(password="old")))
    (second,) = put([first], again(first, password="new"))
    assert second.secrets[0].secret_id == first.secrets[0].secret_id
    assert verify(second, b"new", NOON) and not verify(second, b"old", NOON)


def test_credentials_that_are_not_sent_are_gone() -> None:
    both = put([], credential("type-0", SecretUpdate()), credential("type-1", SecretUpdate()))
    assert [one.type for one in put(both, again(both[1]))] == ["type-1"]
    assert put(both) == []


# Reading (1.4.2).


def test_a_read_shows_nothing_secret_and_an_update_with_what_was_read_changes_nothing() -> None:
    stored = put(
        [],
        *(
            credential(type_, SecretUpdate(material=material, comment="c", enabled=True))
            for type_, material, _ in MATERIALS
        ),
        credential("x509-cert", SecretUpdate(enabled=False), auth_id="CN=a"),
    )
    read = [shown(one) for one in stored]
    assert [one.secrets[0].material for one in read] == [{}, {}, KEY, {"field-0": "setec astronomy"}, {}]
    for before, after in zip(stored, read, strict=True):
        assert replace(after.secrets[0], material=before.secrets[0].material) == before.secrets[0]
        assert replace(after, secrets=before.secrets) == before


# Proving (3.2).


def test_any_password_valid_now_proves() -> None:
    (stored,) = put(
        [],
        password(
            SecretUpdate(password="one"),
            SecretUpdate(password="two", enabled=True),
            SecretUpdate(password="off", enabled=False),
            SecretUpdate(password="early", not_before=NOON),
            SecretUpdate(password="late", not_after=NOON),
            SecretUpdate(password="now", not_before=NOON - timedelta(seconds=1), not_after=NOON + timedelta(seconds=1)),
        ),
    )
    proves = {word for word in ("one", "two", "off", "early", "late", "now", "") if verify(stored, word.encode(), NOON)}
    assert proves == {"one", "two", "now"}


def test_nothing_but_a_password_credential_proves_by_password() -> None:
    (stored,) = put([], password(SecretUpdate(password="one")))
    assert not verify(replace(stored, type="psk"), b"one", NOON)


@pytest.mark.parametrize(
    ("ext", "context", "matches"),
    [
        ({}, {"client-id": "a"}, True),
        ({"client-id": "a"}, {}, True),
        ({"client-id": "a"}, {"client-id": "a"}, True),
        ({"client-id": "a"}, {"client-id": "b"}, False),
        ({"client-id": "a"}, {"client-id": None}, True),
        ({"other": "a"}, {"client-id": "b"}, True),
        ({"client-id": "a", "other": 1}, {"client-id": "a", "other": 2}, False),
        ({"flag": True}, {"flag": 1}, False),
        ({"client-id": None}, {"client-id": "a"}, False),
    ],
)
def test_a_credential_is_for_the_clients_that_its_ext_names(ext: Any, context: Any, matches: bool) -> None:
    assert matches_context(ext, context) is matches
