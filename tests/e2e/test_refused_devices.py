"""Who may not come in: each protocol's own answer, and the record that tells the operator why.

The answers are those of hono-registry 4.7 and 4.8: a leaf outside its validity ends every handshake, CoAP
ends the handshake for whatever is wrong with a certificate, and everything else is said in the protocol's
words.
"""

import socket
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from cryptography import x509
from cryptography.hazmat.primitives.hashes import SHA256

from kernel.ids import generate_id
from tenant.audit import AuditRow
from tests.support.certificates import Issued, make_ca, make_self_signed, new_key
from tests.support.fleet import (
    V3,
    V5,
    CoapDevice,
    HandshakeRefused,
    HttpDevice,
    MqttDevice,
    defects,
    open_mqtt,
    present,
    resident_bytes,
    tls_context,
)
from tests.support.gateway import RunningGateway, running_gateway
from tests.support.raw_certificates import assemble, common_name
from tests.support.waiting import until_blocking

HANDSHAKE = "handshake"
HANDSHAKE_RECORD, CERTIFICATE_VERIFY = 22, 15
NOW = datetime.now(UTC)
STRANGERS = 400
STRANGER_MAX_BYTES = 12_000  # kept of one: a line in the record of refusals


@dataclass(frozen=True)
class Scene:
    """A tenant with a CA that provisions, and another tenant with one that does not."""

    gateway: RunningGateway
    tenant: str
    ca: Issued
    foreign_ca: Issued

    def sha1_signed(self) -> Issued:
        key = new_key()
        der = assemble(
            subject=common_name("sha1"),
            issuer=self.ca.certificate.subject.public_bytes(),
            key=key,
            signed_by=self.ca.key,
            digest="sha1",
        )
        return Issued(certificate=x509.load_der_x509_certificate(der), key=key)

    def impostor(self) -> Issued:
        return make_ca(f"CN=CA,O={self.tenant}").issue("CN=impostor")

    def of_foreign_ca(self) -> Issued:
        return self.foreign_ca.issue("CN=good")  # the subject of a device on record, of the first tenant

    def below_a_device(self) -> Issued:
        return self.ca.issue("CN=a-mere-device").issue("CN=below")

    def path_too_long(self) -> Issued:
        flat = make_ca(f"CN=Flat,O={self.tenant}", path_length=0)
        self.gateway.trust(self.tenant, flat, may_auto_provision=True)
        return flat.issue_ca("CN=one too many").issue("CN=far")

    def of_expired_ca(self) -> Issued:
        old = make_ca(f"CN=Old,O={self.tenant}", not_after=NOW - timedelta(days=1))
        self.gateway.trust(self.tenant, old, may_auto_provision=True)
        return old.issue("CN=of-old")

    def of_disabled_device(self) -> Issued:
        [device_id] = self.gateway.device_ids(self.tenant)
        self.gateway.devices.set_enabled(self.tenant, device_id, self.gateway.deed(), enabled=False)
        return self.ca.issue("CN=good")

    def of_disabled_tenant(self) -> Issued:
        self.gateway.tenants.set_enabled(self.tenant, self.gateway.deed(), enabled=False)
        return self.ca.issue("CN=good")

    def of_a_ca_that_no_longer_provisions(self) -> Issued:
        self.gateway.trust(self.tenant, self.ca, "anchor", may_auto_provision=False)
        return self.ca.issue("CN=stranger")


@dataclass(frozen=True)
class Answers:
    """What each protocol is to say; HANDSHAKE where it does not get so far."""

    code: str
    mqtt3: int | str = 4
    mqtt5: int | str = 0x86
    http: int | str = 401
    coap: str = HANDSHAKE


UNTIMELY = {"mqtt3": HANDSHAKE, "mqtt5": HANDSHAKE, "http": HANDSHAKE}
Case = tuple[Callable[[Scene], Issued], Answers]

CASES: dict[str, Case] = {
    "unknown CA": (lambda scene: make_ca(f"CN=Nobody,O={scene.tenant}").issue("CN=x"), Answers("untrusted-issuer")),
    "self-signed": (lambda scene: make_self_signed(f"CN=x,O={scene.tenant}"), Answers("untrusted-issuer")),
    "impostor CA of the same name": (Scene.impostor, Answers("signature-invalid")),
    "CA of another tenant": (Scene.of_foreign_ca, Answers("credential-unknown")),
    "expired": (
        lambda scene: scene.ca.issue("CN=x", not_after=NOW - timedelta(seconds=5)),
        Answers("certificate-expired", **UNTIMELY),
    ),
    "not yet valid": (
        lambda scene: scene.ca.issue("CN=x", not_before=NOW + timedelta(hours=1)),
        Answers("certificate-not-yet-valid", **UNTIMELY),
    ),
    "expired CA": (Scene.of_expired_ca, Answers("anchor-not-valid-now")),
    "RSA of 1024 bits": (lambda scene: scene.ca.issue("CN=x", key="rsa1024"), Answers("key-too-weak")),
    "SHA-1 signature": (Scene.sha1_signed, Answers("signature-too-weak")),
    "for servers only": (
        lambda scene: scene.ca.issue("CN=x", eku=["serverAuth"]),
        Answers("extended-key-usage-forbids"),
    ),
    "not for signing": (
        lambda scene: scene.ca.issue("CN=x", key="rsa2048", key_usage=["keyEncipherment"]),
        Answers("key-usage-forbids"),
    ),
    "signed by a device": (Scene.below_a_device, Answers("issuer-not-ca")),
    "path too long": (Scene.path_too_long, Answers("path-too-long")),
    "unknown critical extension": (
        lambda scene: scene.ca.issue(
            "CN=x", extensions=[(x509.UnrecognizedExtension(x509.ObjectIdentifier("1.2.3.4"), b"\x05\x00"), True)]
        ),
        Answers("critical-extension-unknown"),
    ),
    "device disabled": (Scene.of_disabled_device, Answers("device-disabled", 5, 0x87, 404, "4.04")),
    "tenant disabled": (Scene.of_disabled_tenant, Answers("tenant-disabled", 5, 0x87, 403, "4.03")),
    "unknown device where none is provisioned": (
        Scene.of_a_ca_that_no_longer_provisions,
        Answers("credential-unknown"),
    ),
}


@pytest.fixture(scope="module")
def gateway(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningGateway]:
    with running_gateway(tmp_path_factory.mktemp("gateway")) as running:
        yield running
        assert defects(running) == []


@pytest.fixture
async def scene(gateway: RunningGateway) -> Scene:
    tenant = generate_id()
    ca, foreign_ca = make_ca(f"CN=CA,O={tenant}"), make_ca(f"CN=Foreign,O={tenant}")
    gateway.trust(tenant, ca, "anchor", may_auto_provision=True)
    gateway.trust(f"{tenant}-other", foreign_ca)
    good = await open_mqtt(gateway, ca.issue("CN=good"))
    async with present(good):
        assert await good.say(b"on record")
    return Scene(gateway, tenant, ca, foreign_ca)


async def mqtt_says(gateway: RunningGateway, issued: Issued | None, version: int) -> int | str:
    try:
        device = await MqttDevice.open(gateway, issued, version=version)
        async with present(device):
            code = await device.connect()
            await device.until_closed(within_s=5)
            return code
    except HandshakeRefused:
        return HANDSHAKE


async def http_says(gateway: RunningGateway, issued: Issued | None) -> int | str:
    try:
        device = await HttpDevice.open(gateway, issued)
        async with present(device):
            return await device.post(b"x")
    except HandshakeRefused:
        return HANDSHAKE


async def coap_says(gateway: RunningGateway, issued: Issued | None) -> str:
    try:
        device = await CoapDevice.open(gateway, issued)
        async with present(device):
            return await device.post(b"x")
    except HandshakeRefused:
        return HANDSHAKE


def refusals_of(gateway: RunningGateway, issued: Issued) -> list[AuditRow]:
    fingerprint = issued.certificate.fingerprint(SHA256()).hex()
    return [row for row in gateway.audit("device.refused") if row.facts.get("fingerprint") == fingerprint]


@pytest.mark.parametrize("case", CASES)
async def test_each_protocol_says_no_in_its_own_words_and_the_operator_reads_why(scene: Scene, case: str) -> None:
    make, expected = CASES[case]
    gateway = scene.gateway
    before = gateway.device_ids(scene.tenant)
    issued = make(scene)
    answers = Answers(
        expected.code,
        await mqtt_says(gateway, issued, V3),
        await mqtt_says(gateway, issued, V5),
        await http_says(gateway, issued),
        await coap_says(gateway, issued),
    )
    assert answers == expected

    until_blocking(lambda: len(refusals_of(gateway, issued)) >= 4)
    rows = refusals_of(gateway, issued)
    assert sorted(row.facts["adapter"] for row in rows[:4]) == ["hono-coap", "hono-http", "hono-mqtt", "hono-mqtt"]
    for row in rows:
        assert row.code == expected.code
        assert row.facts["serial"] == f"{issued.certificate.serial_number:x}"
        assert row.facts["remote"].startswith("127.0.0.1:")
        assert row.facts["subject"].startswith("CN=")
        assert row.facts["issuer"].startswith("CN=")
        assert row.facts["detail"]
    assert gateway.device_ids(scene.tenant) == before  # nothing is made for the refused
    assert gateway.device_ids(f"{scene.tenant}-other") == []


async def test_who_shows_no_certificate_is_refused_everywhere(scene: Scene) -> None:
    gateway = scene.gateway
    assert await mqtt_says(gateway, None, V3) == 4
    assert await mqtt_says(gateway, None, V5) == 0x86
    assert await http_says(gateway, None) == 401
    assert await coap_says(gateway, None) == HANDSHAKE


class ForgingSocket(socket.socket):
    """Spoils the signature by which a client proves that its certificate's key is its own."""

    forged = 0

    def send(self, record: Any, flags: int = 0) -> int:
        is_proof = record[0] == HANDSHAKE_RECORD and record[3:5] == b"\0\0" and record[13] == CERTIFICATE_VERIFY
        if is_proof:
            self.forged += 1
            record = record[:-1] + bytes([record[-1] ^ 1])
        return super().send(record, flags)


async def test_a_certificate_without_its_key_proves_nothing(scene: Scene) -> None:
    gateway = scene.gateway
    with ForgingSocket(socket.AF_INET, socket.SOCK_DGRAM) as sock:
        sock.setblocking(False)
        sock.connect(("127.0.0.1", gateway.ports["coaps"]))
        with pytest.raises(HandshakeRefused):
            await CoapDevice.open(gateway, scene.ca.issue("CN=thief"), sock=sock)
        assert sock.forged
    until_blocking(lambda: any(line.get("reason") == "possession-unproven" for line in gateway.log()))
    assert len(gateway.device_ids(scene.tenant)) == 1


async def test_a_tenant_shared_by_name_alone_is_not_reached_through_sni(scene: Scene) -> None:
    """The issuer's name decides; naming the other tenant through SNI opens nothing."""
    gateway = scene.gateway
    device = await MqttDevice.open(
        gateway, scene.foreign_ca.issue("CN=good"), server_name=f"{scene.tenant}.gateway.example.com"
    )
    async with present(device):
        assert await device.connect() == 4
    stranger = await MqttDevice.open(
        gateway, make_ca("CN=Nobody").issue("CN=x"), server_name=f"{scene.tenant}.gateway.example.com"
    )
    async with present(stranger):
        assert await stranger.connect() == 4


async def test_a_device_cannot_speak_for_another_tenant_or_a_foreign_device(scene: Scene) -> None:
    gateway = scene.gateway
    victim_ca = make_ca(f"CN=Victim,O={scene.tenant}")
    gateway.trust(f"{scene.tenant}-victim", victim_ca, may_auto_provision=True)
    victim = await open_mqtt(gateway, victim_ca.issue("CN=victim"))
    async with present(victim):
        assert await victim.say(b"mine")
    [victim_id] = gateway.device_ids(f"{scene.tenant}-victim")
    for tenant, device_id in ((f"{scene.tenant}-victim", victim_id), (scene.tenant, "nobody")):
        mqtt = await open_mqtt(gateway, scene.ca.issue("CN=good"))
        http = await HttpDevice.open(gateway, scene.ca.issue("CN=good"))
        coap = await CoapDevice.open(gateway, scene.ca.issue("CN=good"))
        async with present(mqtt, http, coap):
            mqtt.send_publish(b"forged", topic=f"telemetry/{tenant}/{device_id}")
            await mqtt.until_closed(within_s=5)
            assert await http.put(b"forged", f"/telemetry/{tenant}/{device_id}") in (403, 404)
            assert await coap.put(b"forged", f"/telemetry/{tenant}/{device_id}") in ("4.03", "4.04")
    assert b"forged" not in gateway.payloads()


async def test_no_answer_names_what_is_on_record(scene: Scene) -> None:
    """A stranger reads one sentence for everything that is not his business."""
    gateway = scene.gateway
    for issued in (make_ca("CN=Nobody").issue("CN=x"), scene.of_foreign_ca(), scene.impostor()):
        device = await HttpDevice.open(gateway, issued)
        async with present(device):
            device.send_post(b"x")
            said = await device.line.rest(within_s=10)
            assert said.startswith(b"HTTP/1.1 401 "), said
            assert scene.tenant.encode() not in said
            assert said.endswith(b'{"error": "bad credentials"}'), said


async def test_refused_strangers_leave_no_memory_behind(scene: Scene) -> None:
    """OpenSSL's share of a handshake goes with it: it once stayed in a cycle, 55 KB for each stranger."""
    gateway = scene.gateway
    expired = tls_context(gateway, scene.ca.issue("CN=x", not_after=NOW - timedelta(seconds=5)))

    async def come_again(times: int) -> None:
        for _ in range(times):
            with pytest.raises(HandshakeRefused):
                device = await MqttDevice.open(gateway, expired)
                async with present(device):
                    await device.connect()

    await come_again(50)
    before = resident_bytes(gateway)
    await come_again(STRANGERS)
    assert resident_bytes(gateway) - before < STRANGERS * STRANGER_MAX_BYTES
