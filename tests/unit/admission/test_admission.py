"""Who is let in, who becomes a device, and what is written down of those who are not."""

import asyncio
from dataclasses import replace
from datetime import timedelta

import pytest
from cryptography import x509
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.x509.oid import NameOID

from adapters.admission.witness import HandshakeRecord
from adapters.edge.peer import Address
from conf.registry import RegistrySettings
from kernel.errors import Refused, TuhonoError
from kernel.ids import DeviceId
from messaging.errors import NorthboundUnavailable
from messaging.message import PROVISIONING_NOTIFICATION
from pki.errors import NameUnreadable
from registry.errors import (
    AuthIdInvalid,
    AuthIdUnfilled,
    CredentialDisabled,
    CredentialUnknown,
    DeviceDisabled,
    DeviceExists,
    DeviceIdInvalid,
    DeviceLimitReached,
    NotAuthenticated,
    ProvisioningWithdrawn,
)
from registry.model import Credential
from tenant.errors import AdapterDisabled, TenantDisabled, TenantUnknown, UntrustedIssuer
from tenant.model import AdapterSettings, RegistrationLimits
from tests.support.certificates import Issued, make_ca
from tests.support.domain import ACME, World, an_anchor, build_world
from tests.support.stores import DEED, credentials_of, deed_at, put, rows_of_devices
from tests.support.waiting import until


@pytest.fixture
def ca() -> Issued:
    return make_ca("CN=CA,O=Acme")


@pytest.fixture
def world(ca: Issued) -> World:
    world = build_world()
    world.put_tenant("acme", an_anchor(ca, may_auto_provision=True))
    return world


def put_credential(world: World, credential: Credential) -> None:
    device = world.store.devices.find(credential.tenant_id, credential.device_id)
    assert device is not None
    put(world.store, device, [credential])


def devices(world: World) -> list[str]:
    return [device.device_id for device in world.store.devices.find_all(ACME, after=None, limit=1000)]


async def test_hono_registry_200_a_stranger_of_a_provisioning_ca_becomes_a_device(world: World, ca: Issued) -> None:
    admitted = await world.admission.admit(world.evidence(ca.issue("CN=dev-1,O=Acme")))
    assert admitted is not None and admitted.provisioned and admitted.auth_id == "CN=dev-1,O=Acme"
    device = world.store.devices.find(ACME, admitted.device_id)
    assert device is not None and device.enabled is True
    assert device.status.auto_provisioned and device.status.notification_sent  # row 201
    credentials = credentials_of(world.store, ACME, admitted.device_id)
    assert [(c.type, c.auth_id, len(c.secrets)) for c in credentials] == [("x509-cert", "CN=dev-1,O=Acme", 1)]


async def test_hono_registry_207_the_provisioning_event_comes_before_the_device_is_let_in(
    world: World, ca: Issued
) -> None:
    world.northbound.hold()
    entering = asyncio.create_task(world.admission.admit(world.evidence(ca.issue("CN=dev-1"))))
    await until(lambda: world.northbound.pending)
    assert not entering.done()
    world.northbound.release()
    admitted = await entering
    assert admitted is not None
    [event] = world.northbound.messages
    assert event.content_type == PROVISIONING_NOTIFICATION and event.payload is None
    assert event.properties["hono_registration_status"] == "NEW"
    assert (event.tenant_id, event.device_id) == (ACME, admitted.device_id)


async def test_hono_registry_213_the_second_connection_creates_and_sends_nothing(world: World, ca: Issued) -> None:
    device = ca.issue("CN=dev-1")
    first = await world.admission.admit(world.evidence(device))
    second = await world.admission.admit(world.evidence(device))
    assert first is not None and second is not None
    assert first.device_id == second.device_id and not second.provisioned
    assert len(devices(world)) == len(world.northbound.messages) == 1


async def test_a_renewed_certificate_of_the_same_subject_is_the_same_device(world: World, ca: Issued) -> None:
    first = await world.admission.admit(world.evidence(ca.issue("CN=dev-1")))
    renewed = await world.admission.admit(world.evidence(ca.issue("CN=dev-1", key="ed25519")))
    assert first is not None and renewed is not None and first.device_id == renewed.device_id


async def test_many_connections_of_one_new_certificate_make_one_device_and_all_proceed(
    world: World, ca: Issued
) -> None:
    device = ca.issue("CN=dev-1")
    admitted = await asyncio.gather(*(world.admission.admit(world.evidence(device)) for _ in range(100)))
    assert len({one.device_id for one in admitted if one is not None}) == 1 and None not in admitted
    assert sum(one.provisioned for one in admitted if one is not None) == 1
    assert len(world.northbound.messages) == 1


async def test_five_hundred_strangers_at_once_are_all_admitted(world: World, ca: Issued) -> None:
    strangers = [world.evidence(ca.issue(f"CN=dev-{number}")) for number in range(500)]
    admitted = await asyncio.gather(*map(world.admission.admit, strangers))
    assert len({one.device_id for one in admitted if one is not None}) == 500


@pytest.mark.parametrize(
    ("template", "expected"),
    [
        ("test-device-{{subject-dn}}", "test-device-CN=x1"),  # hono-registry 202
        ("device-{{subject-cn}}", "device-x1"),
    ],
)
async def test_a_device_id_template_names_the_device(ca: Issued, template: str, expected: str) -> None:
    world = build_world()
    world.put_tenant("acme", an_anchor(ca, may_auto_provision=True, device_id_template=template))
    admitted = await world.admission.admit(world.evidence(ca.issue("CN=x1")))
    assert admitted is not None and admitted.device_id == expected


async def test_hono_registry_203_a_ca_of_gateways_makes_gateways(ca: Issued) -> None:
    world = build_world()
    world.put_tenant("acme", an_anchor(ca, may_auto_provision=True, provisions_gateways=True))
    admitted = await world.admission.admit(world.evidence(ca.issue("CN=gw")))
    assert admitted is not None
    device = world.store.devices.find(ACME, admitted.device_id)
    assert device is not None and device.authorities == ("auto-provisioning-enabled",)


async def test_hono_registry_206_an_auth_id_template_names_the_credential(ca: Issued) -> None:
    world = build_world()
    world.put_tenant("acme", an_anchor(ca, may_auto_provision=True, auth_id_template="{{subject-cn}}"))
    admitted = await world.admission.admit(world.evidence(ca.issue("CN=x1,O=Acme")))
    assert admitted is not None and admitted.auth_id == "x1"


async def test_a_certificate_that_cannot_fill_the_auth_id_template_proves_nobody(ca: Issued) -> None:
    world = build_world()
    world.put_tenant("acme", an_anchor(ca, may_auto_provision=True, auth_id_template="{{subject-ou}}"))
    with pytest.raises(AuthIdUnfilled):
        await world.admission.admit(world.evidence(ca.issue("CN=x1")))
    assert devices(world) == []


@pytest.mark.parametrize("subject", ["CN=.", "CN=..", "CN=a b", "CN=../../etc", "CN=' OR 1=1 --", "CN=#"])
async def test_a_hostile_name_that_breaks_the_pattern_creates_nothing(ca: Issued, subject: str) -> None:
    world = build_world()
    world.put_tenant("acme", an_anchor(ca, may_auto_provision=True, device_id_template="{{subject-cn}}"))
    name = subject.replace("CN=#", "CN=\\#")
    with pytest.raises(DeviceIdInvalid):
        await world.admission.admit(world.evidence(ca.issue(name)))
    assert devices(world) == []


async def test_two_certificates_of_one_template_id_make_one_device_and_one_conflict(ca: Issued) -> None:
    world = build_world()
    world.put_tenant("acme", an_anchor(ca, may_auto_provision=True, device_id_template="dev-{{subject-o}}"))
    await world.admission.admit(world.evidence(ca.issue("CN=a,O=x")))
    with pytest.raises(DeviceExists):
        await world.admission.admit(world.evidence(ca.issue("CN=b,O=x")))
    assert devices(world) == ["dev-x"]


async def test_hono_registry_211_a_ca_that_does_not_provision_creates_nothing(ca: Issued) -> None:
    world = build_world()
    world.put_tenant("acme", an_anchor(ca))
    with pytest.raises(CredentialUnknown):
        await world.admission.admit(world.evidence(ca.issue("CN=dev-1")))
    assert devices(world) == []


async def test_hono_registry_221_a_full_tenant_takes_no_more_however_often_it_is_tried(ca: Issued) -> None:
    world = build_world()
    limits = RegistrationLimits(max_devices=1)
    world.put_tenant("acme", an_anchor(ca, may_auto_provision=True), registration_limits=limits)
    await world.admission.admit(world.evidence(ca.issue("CN=dev-1")))
    for _ in range(3):
        with pytest.raises(DeviceLimitReached):
            await world.admission.admit(world.evidence(ca.issue("CN=dev-2")))
    assert len(devices(world)) == 1


async def test_the_setting_limits_tenants_that_say_nothing(ca: Issued) -> None:
    world = build_world(settings=RegistrySettings(devices_per_tenant_max=1))
    world.put_tenant("acme", an_anchor(ca, may_auto_provision=True))
    await world.admission.admit(world.evidence(ca.issue("CN=dev-0")))
    with pytest.raises(DeviceLimitReached):
        await world.admission.admit(world.evidence(ca.issue("CN=dev-1")))


async def test_a_disabled_device_stays_out_and_is_not_made_again(world: World, ca: Issued) -> None:
    device = ca.issue("CN=dev-1")
    admitted = await world.admission.admit(world.evidence(device))
    assert admitted is not None
    world.store.devices.set_enabled(ACME, [admitted.device_id], deed_at(world.clock.now()), enabled=False)
    with pytest.raises(DeviceDisabled):
        await world.admission.admit(world.evidence(device))
    assert devices(world) == [admitted.device_id]


async def test_a_deleted_device_registers_anew(world: World, ca: Issued) -> None:
    device = ca.issue("CN=dev-1")
    first = await world.admission.admit(world.evidence(device))
    assert first is not None
    world.store.devices.delete(ACME, first.device_id, DEED, expected_version=None)
    second = await world.admission.admit(world.evidence(device))
    assert second is not None and second.provisioned and second.device_id != first.device_id


async def test_a_disabled_tenant_lets_nobody_in_and_creates_nothing(world: World, ca: Issued) -> None:
    world.put_tenant("acme", an_anchor(ca, may_auto_provision=True), enabled=False)
    with pytest.raises(TenantDisabled):
        await world.admission.admit(world.evidence(ca.issue("CN=dev-1")))
    assert devices(world) == []


@pytest.mark.parametrize("listed", [(), (AdapterSettings(type="hono-mqtt", enabled=False),)])
async def test_an_adapter_the_tenant_does_not_allow_lets_nobody_in(
    world: World, ca: Issued, listed: tuple[AdapterSettings, ...]
) -> None:
    adapters = (*listed, AdapterSettings(type="hono-http", enabled=True))
    world.put_tenant("acme", an_anchor(ca, may_auto_provision=True), adapters=adapters)
    with pytest.raises(AdapterDisabled):
        await world.admission.admit(world.evidence(ca.issue("CN=dev-1")))
    assert await world.admission.admit(world.evidence(ca.issue("CN=dev-1"), adapter="hono-http")) is not None


async def test_an_anchor_removed_between_handshake_and_connect_vouches_no_longer(world: World, ca: Issued) -> None:
    evidence = world.evidence(ca.issue("CN=dev-1"))
    world.put_tenant("acme")
    with pytest.raises(UntrustedIssuer):
        await world.admission.admit(evidence)
    world.store.tenants.delete(ACME, DEED, expected_version=None)
    with pytest.raises(TenantUnknown):
        await world.admission.admit(evidence)


async def test_auto_provisioning_switched_off_after_the_handshake_holds(world: World, ca: Issued) -> None:
    evidence = world.evidence(ca.issue("CN=dev-1"))
    world.put_tenant("acme", an_anchor(ca))
    with pytest.raises(CredentialUnknown):
        await world.admission.admit(evidence)


async def test_a_device_deleted_while_its_event_is_kept_does_not_proceed(world: World, ca: Issued) -> None:
    world.northbound.hold()
    entering = asyncio.create_task(world.admission.admit(world.evidence(ca.issue("CN=dev-1"))))
    await until(lambda: world.northbound.pending)
    [device_id] = devices(world)
    world.store.devices.delete(ACME, DeviceId(device_id), DEED, expected_version=None)
    world.northbound.release()
    with pytest.raises(ProvisioningWithdrawn):
        await entering
    assert devices(world) == []


async def test_hono_registry_208_an_event_nobody_keeps_fails_the_lookup_and_the_device_stays(
    world: World, ca: Issued
) -> None:
    device = ca.issue("CN=dev-1")
    world.northbound.fail_next()
    with pytest.raises(NorthboundUnavailable):
        await world.admission.admit(world.evidence(device))
    [device_id] = devices(world)
    found = world.store.devices.find(ACME, DeviceId(device_id))
    assert found is not None and not found.status.notification_sent
    world.clock.advance(60)
    again = await world.admission.admit(world.evidence(device))  # row 212
    assert again is not None and again.device_id == device_id and not again.provisioned
    assert len(world.northbound.messages) == 1
    found = world.store.devices.find(ACME, DeviceId(device_id))
    assert found is not None and found.status.notification_sent


async def test_an_event_nobody_kept_is_sent_again_in_the_background(ca: Issued) -> None:
    world = build_world(settings=RegistrySettings(notification_retry_s=0.05))
    world.put_tenant("acme", an_anchor(ca, may_auto_provision=True))
    world.northbound.fail_next()
    with pytest.raises(NorthboundUnavailable):
        await world.admission.admit(world.evidence(ca.issue("CN=dev-1")))
    world.clock.advance(60)
    retrying = asyncio.create_task(world.announcer.run())
    async with asyncio.timeout(5):
        await until(lambda: world.northbound.messages)
    retrying.cancel()
    await asyncio.gather(retrying, return_exceptions=True)


async def test_a_caller_that_gives_up_does_not_take_the_others_along(world: World, ca: Issued) -> None:
    device = ca.issue("CN=dev-1")
    world.northbound.hold()
    first, second = (asyncio.create_task(world.admission.admit(world.evidence(device))) for _ in range(2))
    await until(lambda: world.northbound.pending)
    first.cancel()
    world.northbound.release()
    admitted = await second
    assert admitted is not None and len(devices(world)) == 1


async def test_a_credential_for_one_client_id_serves_no_other(world: World, ca: Issued) -> None:
    device = ca.issue("CN=dev-1")
    admitted = await world.admission.admit(world.evidence(device))
    assert admitted is not None
    [credential] = credentials_of(world.store, ACME, admitted.device_id)
    put_credential(world, replace(credential, ext={"client-id": "mine"}))
    assert await world.admission.admit(world.evidence(device, client_id="mine")) is not None
    assert await world.admission.admit(world.evidence(device)) is not None
    with pytest.raises(CredentialUnknown):
        await world.admission.admit(world.evidence(device, client_id="other"))


async def test_a_disabled_credential_is_refused_and_never_provisioned_over(world: World, ca: Issued) -> None:
    device = ca.issue("CN=dev-1")
    admitted = await world.admission.admit(world.evidence(device))
    assert admitted is not None
    [credential] = credentials_of(world.store, ACME, admitted.device_id)
    put_credential(world, replace(credential, enabled=False))
    with pytest.raises(CredentialDisabled):
        await world.admission.admit(world.evidence(device))
    assert devices(world) == [admitted.device_id]


async def test_nothing_shown_is_refused_where_authentication_is_required(world: World) -> None:
    with pytest.raises(NotAuthenticated):
        await world.admission.admit(world.evidence(None))


async def test_nothing_shown_is_anonymous_where_it_is_not() -> None:
    world = build_world(authentication_required=False)
    assert await world.admission.admit(world.evidence(None)) is None


async def test_every_refusal_is_recorded_with_what_the_operator_needs(world: World) -> None:
    with pytest.raises(UntrustedIssuer):
        await world.admission.admit(world.evidence(make_ca("CN=Nobody").issue("CN=dev-1")))
    [row] = rows_of_devices(world.store)
    assert row.code == "untrusted-issuer" and row.what == "device.refused"
    assert row.facts["issuer"] == "CN=Nobody" and row.facts["subject"] == "CN=dev-1"
    assert row.facts["remote"] == "192.0.2.7:5555" and row.facts["adapter"] == "hono-mqtt"
    assert {"serial", "fingerprint", "detail"} <= row.facts.keys()


async def test_a_handshake_that_was_refused_is_recorded_by_its_witness(world: World, ca: Issued) -> None:
    expired = ca.issue("CN=old", not_after=world.clock.now() - timedelta(days=1))
    witness = HandshakeRecord(adapter="hono-coap", refusals=world.refusals)
    address = Address(host="2001:db8::1", port=7)
    witness.refused(address, list(expired.chain_der), "a.example.com", world.verdict(expired))
    [row] = rows_of_devices(world.store)
    assert row.code == "certificate-expired" and row.facts["remote"] == "[2001:db8::1]:7"
    assert row.facts["sni"] == "a.example.com"


async def test_a_recorded_fact_is_bounded(world: World) -> None:
    world.refusals.add(TuhonoError("x" * 5000), {"remote": "here"})
    [row] = rows_of_devices(world.store)
    assert len(row.facts["detail"]) == 1024


async def test_a_refusal_of_a_known_device_names_it(world: World, ca: Issued) -> None:
    device = ca.issue("CN=dev-1")
    admitted = await world.admission.admit(world.evidence(device))
    assert admitted is not None
    world.store.devices.set_enabled(ACME, [admitted.device_id], deed_at(world.clock.now()), enabled=False)
    with pytest.raises(DeviceDisabled):
        await world.admission.admit(world.evidence(device))
    [row] = world.store.audit.read(after=0, limit=10, what="device.refused")
    assert row.device_id == admitted.device_id


@pytest.mark.parametrize("template", [None, "{{subject-dn}}"])
async def test_certificates_without_a_subject_are_not_all_one_device(ca: Issued, template: str | None) -> None:
    world = build_world()
    world.put_tenant("acme", an_anchor(ca, may_auto_provision=True, auth_id_template=template))
    with pytest.raises((AuthIdInvalid, AuthIdUnfilled)):
        await world.admission.admit(world.evidence(ca.issue("", san=["dns:dev-1.example.com"])))
    assert devices(world) == []


async def test_a_certificate_without_a_subject_may_be_known_by_its_alternative_name(ca: Issued) -> None:
    world = build_world()
    world.put_tenant("acme", an_anchor(ca, may_auto_provision=True, auth_id_template="{{san-dns}}"))
    admitted = await world.admission.admit(world.evidence(ca.issue("", san=["dns:dev-1.example.com"])))
    assert admitted is not None and admitted.auth_id == "dev-1.example.com"


async def test_an_auth_id_has_a_bounded_length(ca: Issued) -> None:
    world = build_world()
    world.put_tenant("acme", an_anchor(ca, may_auto_provision=True, auth_id_template="{{san-uri}}"))
    with pytest.raises(AuthIdInvalid):
        await world.admission.admit(world.evidence(ca.issue("CN=x", san=["uri:urn:" + "x" * 5000])))


async def test_a_name_with_control_characters_is_refused_in_words_and_recorded_by_its_fingerprint(
    world: World, ca: Issued
) -> None:
    device = ca.issue(x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "a\x00b")]))
    assert not world.verdict(device).fatal
    with pytest.raises(NameUnreadable):
        await world.admission.admit(world.evidence(device))
    [row] = rows_of_devices(world.store)
    assert row.facts["fingerprint"] == device.certificate.fingerprint(SHA256()).hex()


async def test_a_clash_that_retries_does_not_use_up_the_rate_of_the_good(ca: Issued) -> None:
    world = build_world(settings=RegistrySettings(provisioning_per_s_max=1, provisioning_burst_max=2))
    anchor = an_anchor(ca, may_auto_provision=True, device_id_template="dev-{{subject-o}}")
    world.put_tenant("acme", anchor)
    await world.admission.admit(world.evidence(ca.issue("CN=a,O=x")))
    for _ in range(20):
        with pytest.raises(DeviceExists):
            await world.admission.admit(world.evidence(ca.issue("CN=b,O=x")))
    assert await world.admission.admit(world.evidence(ca.issue("CN=c,O=y"))) is not None


async def test_foreseeing_says_what_the_store_would_refuse(ca: Issued) -> None:
    world = build_world()
    limits = RegistrationLimits(max_devices=1)
    anchor = an_anchor(ca, may_auto_provision=True, device_id_template="dev-{{subject-o}}")
    world.put_tenant("acme", anchor, registration_limits=limits)
    await world.admission.admit(world.evidence(ca.issue("CN=a,O=x")))
    planner = world.examination._planner

    async def foreseen(subject: str) -> type[Refused] | None:
        device = ca.issue(subject)
        finding = await world.examination.examine(world.verdict(device), world.evidence(device))
        assert finding.plan is not None
        try:
            await planner.foresee(finding.plan)
        except Refused as refusal:
            return type(refusal)
        return None

    assert await foreseen("CN=b,O=x") is DeviceExists
    assert await foreseen("CN=b,O=y") is DeviceLimitReached
    world.put_tenant("acme", anchor)
    assert await foreseen("CN=b,O=y") is None
    assert devices(world) == ["dev-x"]
