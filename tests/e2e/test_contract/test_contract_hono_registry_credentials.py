"""Section 6.5 of the Hono registry contract: credentials over the management API, each row by its number."""

from base64 import b64encode
from typing import Any

import bcrypt
import pytest

from kernel.ids import DeviceId, TenantId
from registry.model import Credential
from tests.support.certificates import NOON, make_ca
from tests.support.gateway import RunningGateway
from tests.support.management import Answer, ManagementClient
from tests.support.passwords import verify
from tests.support.stores import credentials_of


def base64(octets: bytes) -> str:
    return b64encode(octets).decode()


CA = make_ca("CN=Credentials CA,O=Tuhono")
LEAF = CA.issue("CN=device,O=x")
KEY, CERT = base64(LEAF.public_key_der), base64(LEAF.der)
PASSWORD: dict[str, Any] = {"type": "hashed-password", "auth-id": "user", "secrets": [{"pwd-plain": "hono-secret"}]}
PSK: dict[str, Any] = {"type": "psk", "auth-id": "identity", "secrets": [{"key": "c2VjcmV0"}]}
X509: dict[str, Any] = {"type": "x509-cert", "auth-id": "CN=device,O=x", "secrets": [{}]}
RPK: dict[str, Any] = {"type": "rpk", "auth-id": "raw", "secrets": [{"key": KEY, "algorithm": "EC"}]}
OTHER: dict[str, Any] = {"type": "type-0", "auth-id": "any", "secrets": [{"field-0": "setec astronomy"}]}


class Device:
    """A new device of a new tenant, and its credentials."""

    def __init__(self, registry: ManagementClient, gateway: RunningGateway, tenant: str) -> None:
        self.registry = registry
        self.gateway = gateway
        self.tenant = tenant
        self.device = registry.new_device(tenant)
        self.path = f"/v1/credentials/{tenant}/{self.device}"

    def get(self) -> Answer:
        answer = self.registry.get(self.path)
        assert answer.status == 200
        return answer

    def put(self, *credentials: Any, **choices: Any) -> Answer:
        return self.registry.put(self.path, list(credentials), **choices)

    def set(self, *credentials: Any) -> Any:
        """Put them, and read them."""
        answer = self.put(*credentials)
        assert answer.status == 204, answer
        return self.get().json

    def on_record(self) -> list[Credential]:
        return credentials_of(self.gateway.store, TenantId(self.tenant), DeviceId(self.device))


@pytest.fixture
def device(registry: ManagementClient, gateway: RunningGateway) -> Device:
    return Device(registry, gateway, registry.new_tenant())


def secret(of: dict[str, Any], **members: Any) -> dict[str, Any]:
    return {**of, "secrets": [{name.replace("_", "-"): value for name, value in members.items()}]}


def without(of: dict[str, Any], name: str) -> dict[str, Any]:
    return {member: value for member, value in of.items() if member != name}


def bcrypt_hash(cost: int) -> str:
    return bcrypt.hashpw(b"hono-secret", bcrypt.gensalt(cost, prefix=b"2a")).decode()


def test_hono_registry_127_a_new_device_has_no_credentials_and_a_version(device: Device) -> None:
    answer = device.get()
    assert answer.json == []
    assert answer.etag == device.get().etag
    assert device.put(X509, if_match=answer.etag).status == 204


def test_hono_registry_128_credentials_of_every_type(device: Device) -> None:
    before = device.get().etag
    changed = device.put(*[{**one, "enabled": True} for one in (PASSWORD, PSK, X509, RPK)])
    assert (changed.status, changed.body) == (204, b"")
    assert changed.etag != before
    answer = device.get()
    assert answer.etag == changed.etag
    assert sorted(one["type"] for one in answer.json) == ["hashed-password", "psk", "rpk", "x509-cert"]
    assert all(one["enabled"] is True and one["secrets"][0]["id"] for one in answer.json)


def test_hono_registry_129_ext_is_kept_without_a_device_id(device: Device) -> None:
    (found,) = device.set({**PASSWORD, "ext": {"client-id": "mqtt-1"}})
    assert found["ext"] == {"client-id": "mqtt-1"}
    assert "device-id" not in found


def test_hono_registry_130_a_name_is_kept_in_its_one_spelling(device: Device) -> None:
    (found,) = device.set({**X509, "auth-id": "emailAddress=foo@bar.com, CN=foo, O=bar", "comment": "mine"})
    assert found["auth-id"] == "1.2.840.113549.1.9.1=#160b666f6f406261722e636f6d,CN=foo,O=bar"
    assert found["comment"] == "mine"


def test_hono_registry_131_a_raw_public_key_out_of_a_certificate(device: Device) -> None:
    (found,) = device.set(secret(RPK, cert=CERT))
    (kept,) = found["secrets"]
    assert (kept["key"], kept["algorithm"]) == (KEY, "EC")
    assert (kept["not-before"], kept["not-after"]) == ("2020-01-01T00:00:00Z", "2040-01-01T00:00:00Z")
    assert "cert" not in kept


@pytest.mark.parametrize(
    ("body", "content_type"),
    [
        pytest.param(b"[]", "application/x-www-form-urlencoded", id="132"),
        pytest.param(b"[]", None, id="132-none"),
        pytest.param(b"", "application/json", id="136"),
        pytest.param(b"{}", "application/json", id="137"),
        pytest.param(b"null", "application/json", id="137-null"),
        pytest.param(b"[", "application/json", id="137-cut"),
        pytest.param(b'["x"]', "application/json", id="137-elements"),
    ],
)
def test_hono_registry_132_136_137_a_body_is_a_json_array_of_objects(
    device: Device, body: bytes, content_type: str | None
) -> None:
    device.set(X509)
    assert device.registry.put(device.path, body=body, content_type=content_type).status == 400
    assert len(device.get().json) == 1


REFUSED: list[tuple[str, dict[str, Any], str]] = [
    ("133", secret(PASSWORD, hash_function="bcrypt", pwd_hash=bcrypt_hash(4).replace("$04$", "$11$")), "pwd-hash"),
    ("134", secret(PASSWORD, hash_function="bcrypt", pwd_hash=bcrypt_hash(4).replace("$2a$", "$2y$")), "pwd-hash"),
    ("135", {**PSK, "unknown": 1}, "credentials[0].unknown"),
    ("138", without(PSK, "type"), "credentials[0].type"),
    ("139", {**PSK, "type": "#illegal"}, "credentials[0].type"),
    ("140", without(PSK, "auth-id"), "credentials[0].auth-id"),
    ("141", {**PASSWORD, "auth-id": "#illegal"}, "credentials[0].auth-id"),
    ("143-member", secret(RPK, key=KEY, algorithm="EC", unknown=1), "credentials[0].secrets[0].unknown"),
    ("143-key", secret(RPK, key="garbage", algorithm="EC"), "credentials[0].secrets[0].key"),
    ("144", secret(RPK, cert="garbage"), "credentials[0].secrets[0].cert"),
    ("144-base64", secret(RPK, cert="c2VjcmV0"), "credentials[0].secrets[0].cert"),
    ("145", secret(RPK, key="c2VjcmV0", algorithm="EC"), "credentials[0].secrets[0].key"),
    ("145-kind", secret(RPK, key=KEY, algorithm="RSA"), "credentials[0].secrets[0].algorithm"),
    ("146", secret(PASSWORD, id="anything"), "no credentials on record"),
    ("153-missing", without(PSK, "secrets"), "credentials[0].secrets"),
    ("153-empty", {**PSK, "secrets": []}, "credentials[0].secrets"),
    ("154", {**X509, "secrets": [{}, {}]}, "credentials[0].secrets"),
    ("155", secret(PSK), "credentials[0].secrets[0].key"),
    ("156", secret(PASSWORD, pwd_hash=bcrypt_hash(4)), "credentials[0].secrets[0].hash-function"),
    (
        "157",
        secret(X509, not_before="2026-01-02T00:00:00Z", not_after="2026-01-01T00:00:00Z"),
        "credentials[0].secrets[0].not-before",
    ),
    ("171", secret(PASSWORD, hash_function="md5", pwd_hash="AAAA"), "credentials[0].secrets[0].hash-function"),
    ("neither", {"type": "x509-cert"}, "credentials[0].auth-id"),
    ("no-certificate", {"type": "x509-cert", "cert": "c2VjcmV0"}, "credentials[0].cert"),
    ("too-long", secret(PASSWORD, pwd_plain="x" * 73), "credentials[0].secrets[0].pwd-plain"),
]


@pytest.mark.parametrize(("credential", "words"), [row[1:] for row in REFUSED], ids=[row[0] for row in REFUSED])
def test_hono_registry_133_134_135_138_139_140_141_143_144_145_146_153_154_155_156_157_171_refused_by_name(
    device: Device, credential: dict[str, Any], words: str
) -> None:
    refused = device.put(credential)
    assert refused.status == 400
    assert words in refused.error
    assert device.get().json == []


def test_hono_registry_133_a_hash_of_the_highest_cost_is_taken(device: Device) -> None:
    device.set(secret(PASSWORD, hash_function="bcrypt", pwd_hash=bcrypt_hash(10)))
    assert verify(device.on_record()[0], b"hono-secret", NOON)


def test_hono_registry_142_an_auth_id_with_all_its_characters(device: Device) -> None:
    (found,) = device.set({**PASSWORD, "auth-id": f"my_sensor.20=ext-{device.device}"})
    assert found["auth-id"] == f"my_sensor.20=ext-{device.device}"


def test_hono_registry_147_a_secret_id_nobody_knows(device: Device) -> None:
    device.set(PASSWORD)
    refused = device.put(secret(PASSWORD, id="unknown", pwd_plain="other"))
    assert (refused.status, refused.error) == (
        400,
        "credentials[0].secrets[0].id: the credential has no secret 'unknown'",
    )
    assert verify(device.on_record()[0], b"hono-secret", NOON)


def test_hono_registry_148_one_secret_id_twice(device: Device) -> None:
    (found,) = device.set(PASSWORD)
    named = {"id": found["secrets"][0]["id"]}
    assert device.put({**PASSWORD, "secrets": [named, named]}).status == 400


def test_hono_registry_149_one_auth_id_twice_in_a_body(device: Device) -> None:
    refused = device.put(PSK, X509, PSK)
    assert refused.status == 400
    assert "credentials[2]" in refused.error and "credentials[0]" in refused.error


def test_hono_registry_150_152_an_auth_id_is_one_devices_inside_a_tenant(device: Device) -> None:
    device.set(PASSWORD, X509)
    neighbour = Device(device.registry, device.gateway, device.tenant)
    for taken in (PASSWORD, X509):
        refused = neighbour.put(PSK, taken)
        assert (refused.status, refused.code) == (409, "credential-taken")
        assert neighbour.get().json == []
    stranger = Device(device.registry, device.gateway, device.registry.new_tenant())
    stranger.set(PASSWORD, X509)


def test_hono_registry_151_one_auth_id_of_several_types(device: Device) -> None:
    assert len(device.set({**PASSWORD, "auth-id": "a"}, {**PSK, "auth-id": "a"}, {**OTHER, "auth-id": "a"})) == 3


def test_hono_registry_155_a_key_stays_where_its_secret_is_named(device: Device) -> None:
    found = device.set(PSK, RPK)
    again = [secret(one, id=one["secrets"][0]["id"]) for one in found]
    device.set(*again)
    kept = {one.type: one.secrets[0].material for one in device.on_record()}
    assert kept == {"psk": {"key": "c2VjcmV0"}, "rpk": {"key": KEY, "algorithm": "EC"}}


def test_hono_registry_158_159_a_password_is_changed_under_its_id(device: Device) -> None:
    (found,) = device.set(PASSWORD)
    version = device.get().etag
    updated = {"id": found["secrets"][0]["id"], "pwd-plain": "future", "comment": "updated"}
    assert device.put({**PASSWORD, "secrets": [updated, {"pwd-plain": "second"}]}, if_match=version).status == 204
    (now,) = device.get().json
    assert len(now["secrets"]) == 2
    (first,) = [one for one in now["secrets"] if one["id"] == updated["id"]]
    assert first["comment"] == "updated"
    proves = {
        word for word in ("hono-secret", "future", "second") if verify(device.on_record()[0], word.encode(), NOON)
    }
    assert proves == {"future", "second"}
    refused = device.put(PASSWORD, if_match=version)
    assert (refused.status, refused.code) == (412, "version-mismatch")
    assert device.put(PASSWORD, if_match="made-up").status == 412


def test_hono_registry_160_a_body_is_bounded(device: Device) -> None:
    device.set(X509)
    assert device.put({**OTHER, "ext": {"data": "x" * 20_000}}).status == 413
    assert len(device.get().json) == 1


def test_hono_registry_161_162_what_nobody_knows_has_no_credentials(registry: ManagementClient) -> None:
    for tenant in ("unknown-tenant", registry.new_tenant()):
        path = f"/v1/credentials/{tenant}/unknown"
        assert registry.get(path).status == 404
        assert registry.put(path, [PASSWORD]).status == 404


def test_hono_registry_163_nothing_secret_is_read(device: Device) -> None:
    digest = {"hash-function": "sha-512", "pwd-hash": "AQIDBAUGBwg=", "salt": "Mq7wFw=="}
    device.set({**PASSWORD, "secrets": [{"pwd-plain": "hono-secret"}, digest]}, PSK)
    answer = device.get()
    for hidden in (b"pwd", b"salt", b"hash-function", b'"key"', b"hono-secret", b"c2VjcmV0", b"$2a$"):
        assert hidden not in answer.body


def test_hono_registry_164_secrets_of_other_types_are_kept_as_they_are(device: Device) -> None:
    kept = {"field-0": "setec astronomy", "deep": {"a": [1, None, "Ä"]}, "comment": "c", "enabled": False}
    (found,) = device.set({**OTHER, "secrets": [kept]})
    found["secrets"][0].pop("id")
    assert found["secrets"] == [kept]


def test_hono_registry_165_what_is_left_out_is_gone(device: Device) -> None:
    found = device.set(PASSWORD, PSK, {**OTHER, "secrets": [{"a": 1}, {"a": 2}]})
    other = next(one for one in found if one["type"] == "type-0")
    kept = other["secrets"][1]
    assert device.set({**other, "secrets": [kept]}) == [{**other, "secrets": [kept]}]


def test_hono_registry_166_167_an_id_alone_keeps_the_password_and_clears_the_rest(device: Device) -> None:
    said = {"comment": "c", "enabled": True, "not-before": "2020-01-01T00:00:00Z", "not-after": "2040-01-01T00:00:00Z"}
    (found,) = device.set({**PASSWORD, "secrets": [{"pwd-plain": "hono-secret", **said}]})
    (before,) = found["secrets"]
    assert before == {"id": before["id"], **said}
    for update in ({}, {"comment": "updated"}, {"enabled": False}, {}):
        named = {"id": before["id"], **update}
        (found,) = device.set({**PASSWORD, "secrets": [named]})
        assert found["secrets"] == [named]
    assert verify(device.on_record()[0], b"hono-secret", NOON)


def test_hono_registry_168_a_plain_password_is_kept_as_a_bcrypt_hash(device: Device) -> None:
    device.set(PASSWORD)
    (kept,) = device.on_record()
    material = kept.secrets[0].material
    assert set(material) == {"hash-function", "pwd-hash"}
    assert material["hash-function"] == "bcrypt"
    assert material["pwd-hash"].startswith("$2a$10$")


def test_hono_registry_169_nothing_removes_everything(device: Device) -> None:
    device.set(PASSWORD, PSK)
    assert device.set() == []


def test_hono_registry_170_a_device_has_no_more_credentials_than_it_may(
    registry: ManagementClient, gateway: RunningGateway
) -> None:
    limited = Device(registry, gateway, registry.new_tenant({"registration-limits": {"max-credentials-per-device": 1}}))
    refused = limited.put(PASSWORD, PSK)
    assert (refused.status, refused.code) == (403, "credential-limit-reached")
    assert len(limited.set(PASSWORD)) == 1
    assert limited.set() == []


def test_a_certificate_is_uploaded_and_the_template_of_its_ca_makes_the_auth_id(
    registry: ManagementClient, gateway: RunningGateway
) -> None:
    anchor = {"cert": base64(CA.der), "auth-id-template": "device-{{subject-cn}}"}
    device = Device(registry, gateway, registry.new_tenant({"trusted-ca": [anchor], "trust-anchor-group": "shared"}))
    (found,) = device.set({"type": "x509-cert", "cert": CERT, "comment": "mine"})
    (kept,) = found.pop("secrets")
    assert found == {"type": "x509-cert", "auth-id": "device-device", "comment": "mine"}
    assert (kept["not-before"], kept["not-after"]) == ("2020-01-01T00:00:00Z", "2040-01-01T00:00:00Z")


def test_what_was_read_can_be_written_and_changes_nothing(device: Device) -> None:
    found = device.set(PASSWORD, PSK, X509, RPK, {**OTHER, "ext": {"a": 1}, "comment": "c"})
    before = device.on_record()
    assert device.set(*found) == found
    assert device.on_record() == before
