"""What another process has changed is in force for who is admitted next, though the handshake did not know of it."""

import asyncio
from collections.abc import Callable
from dataclasses import replace
from datetime import timedelta

import pytest

from adapters.admission.admission import Admitted, Undecided
from adapters.admission.evidence import Evidence
from adapters.edge.peer import Address, Peer, PeerCertificate
from kernel.ids import AuthId, TenantId
from pki.errors import CertificateExpired
from registry.errors import CredentialUnknown, DeviceDisabled, StorageUnavailable
from registry.model import KnownDevice
from storage.memory import MemoryConnectPath
from tenant.errors import AdapterDisabled, TenantAmbiguous, TenantDisabled, TenantUnknown, UntrustedIssuer
from tenant.model import AdapterSettings, Tenant
from tenant.ports import Change, ChangeKind
from tests.support.certificates import NOON, Issued, make_ca
from tests.support.domain import ACME, World, an_anchor, build_world
from tests.support.stores import DEED, deed_at
from tests.support.waiting import until


@pytest.fixture
def ca() -> Issued:
    return make_ca("CN=CA,O=Acme")


@pytest.fixture
def world(ca: Issued) -> World:
    world = build_world()
    world.put_tenant("acme", an_anchor(ca, may_auto_provision=True))
    return world


def elsewhere(world: World, **members: object) -> None:
    """Change the tenant as another process does: nothing is said here."""
    tenant = world.store.tenants.find(ACME)
    assert tenant is not None
    world.store.tenants.replace(replace(tenant, **members), DEED, expected_version=None)  # type: ignore[arg-type]


def barred(tenant: Tenant) -> dict[str, object]:
    return {"adapters": (AdapterSettings(type="hono-http", enabled=True),)}


@pytest.mark.parametrize(
    ("change", "kind"),
    [
        (lambda tenant: {"enabled": False}, TenantDisabled),
        (lambda tenant: {"trust_anchors": ()}, UntrustedIssuer),
        (barred, AdapterDisabled),
    ],
)
@pytest.mark.parametrize("is_known", [True, False])
async def test_whoever_may_no_longer_come_is_refused(
    world: World, ca: Issued, change: Callable[[Tenant], dict[str, object]], kind: type[Exception], is_known: bool
) -> None:
    evidence = world.evidence(ca.issue("CN=dev-1"))
    if is_known:
        await world.admission.admit(evidence)
    tenant = world.tenants.find(ACME)
    assert tenant is not None
    elsewhere(world, **change(tenant))
    with pytest.raises(kind):
        await world.admission.admit(evidence)


async def test_a_tenant_deleted_elsewhere_lets_nobody_in(world: World, ca: Issued) -> None:
    evidence = world.evidence(ca.issue("CN=dev-1"))
    world.store.tenants.delete(ACME, DEED, expected_version=None)
    with pytest.raises(TenantUnknown):
        await world.admission.admit(evidence)


async def test_who_may_come_again_is_not_refused_by_old_knowledge(world: World, ca: Issued) -> None:
    device = ca.issue("CN=dev-1")
    await world.admission.admit(world.evidence(device))
    world.put_tenant("acme", an_anchor(ca, may_auto_provision=True), enabled=False)
    evidence = world.evidence(device)
    with pytest.raises(TenantDisabled):
        await world.admission.admit(evidence)
    elsewhere(world, enabled=True)
    assert await world.admission.admit(evidence) is not None


async def test_a_ca_that_may_provision_no_longer_does_not(world: World, ca: Issued) -> None:
    evidence = world.evidence(ca.issue("CN=dev-1"))
    elsewhere(world, trust_anchors=(an_anchor(ca),))
    with pytest.raises(CredentialUnknown):
        await world.admission.admit(evidence)


async def test_a_second_tenant_of_the_ca_leaves_the_device_without_one(world: World, ca: Issued) -> None:
    world.put_tenant("acme", an_anchor(ca, may_auto_provision=True), trust_anchor_group="g")
    evidence = world.evidence(ca.issue("CN=dev-1"))
    assert await world.admission.admit(evidence) is not None
    other = replace(an_anchor(ca), tenant_id=TenantId("other"))
    world.store.tenants.create(
        Tenant(tenant_id=TenantId("other"), trust_anchors=(other,), trust_anchor_group="g"), DEED
    )
    with pytest.raises(TenantAmbiguous):
        await world.admission.admit(evidence)


async def test_a_nearer_issuer_registered_elsewhere_decides_the_tenant() -> None:
    world, root = build_world(), make_ca("CN=Root")
    lower = root.issue_ca("CN=Lower")
    world.put_tenant("acme", an_anchor(root, may_auto_provision=True))
    evidence = world.evidence(lower.issue("CN=dev-1"))
    near = replace(an_anchor(lower, may_auto_provision=True), tenant_id=TenantId("near"))
    world.store.tenants.create(Tenant(tenant_id=TenantId("near"), trust_anchors=(near,)), DEED)
    admitted = await world.admission.admit(evidence)
    assert admitted is not None and admitted.tenant_id == "near"


async def test_what_changed_is_judged_at_the_moment_of_admission(world: World, ca: Issued) -> None:
    evidence = world.evidence(ca.issue("CN=dev-1", not_after=NOON + timedelta(seconds=10)))
    world.clock.advance(11)
    assert await world.admission.admit(evidence) is not None  # it was valid when it shook hands
    elsewhere(world, ext={"note": "anything"})
    with pytest.raises(CertificateExpired):
        await world.admission.admit(evidence)


@pytest.mark.parametrize("at_once", [True, False])
async def test_changes_that_were_missed_and_cannot_be_read_let_nobody_in(
    world: World, ca: Issued, monkeypatch: pytest.MonkeyPatch, at_once: bool
) -> None:
    def fail() -> None:
        raise StorageUnavailable("disk I/O error")

    evidence = world.evidence(ca.issue("CN=dev-1"))
    await world.admission.admit(evidence)
    certificate = evidence.peer.certificate
    assert certificate is not None
    with monkeypatch.context() as broken:
        broken.setattr(world.store.feed, "all_tenants", fail)
        with pytest.raises(StorageUnavailable):
            world.tenants._follow(Change(kind=ChangeKind.RESET))
        with pytest.raises(StorageUnavailable):
            if at_once:
                world.examination.examine_now(certificate.verdict, evidence)
            else:
                await world.examination.examine(certificate.verdict, evidence)
    assert await world.admission.admit(evidence) is not None


async def test_a_device_that_comes_again_and_again_is_refused_as_soon_as_it_is_disabled(
    world: World, ca: Issued
) -> None:
    device = ca.issue("CN=dev-1")

    def evidence() -> Evidence:
        verdict = world.judge.judge_now(device.chain_der, None)
        certificate = PeerCertificate(chain_der=device.chain_der, verdict=verdict)
        return Evidence(
            adapter="hono-mqtt", peer=Peer(address=Address(host="192.0.2.7", port=5555), certificate=certificate)
        )

    admitted = [await world.admission.admit(evidence()) for _ in range(5)]
    assert evidence().peer.certificate.verdict.comes_again  # type: ignore[union-attr]
    [device_id] = {one.device_id for one in admitted if one is not None}
    world.store.devices.set_enabled(ACME, [device_id], deed_at(world.clock.now()), enabled=False)
    with pytest.raises(DeviceDisabled):
        world.admission.decide(evidence())
    world.store.devices.set_enabled(ACME, [device_id], deed_at(world.clock.now()), enabled=True)
    assert isinstance(world.admission.decide(evidence()), Admitted)
    elsewhere(world, enabled=False)
    with pytest.raises(TenantDisabled):
        world.admission.decide(evidence())


@pytest.mark.parametrize(
    ("change", "kind"),
    [
        (lambda tenant: {"enabled": False}, TenantDisabled),
        (lambda tenant: {"trust_anchors": ()}, UntrustedIssuer),
        (barred, AdapterDisabled),
    ],
)
async def test_whoever_may_no_longer_come_is_refused_though_it_was_made_meanwhile(
    world: World, ca: Issued, change: Callable[[Tenant], dict[str, object]], kind: type[Exception]
) -> None:
    world.northbound.hold()
    entering = asyncio.create_task(world.admission.admit(world.evidence(ca.issue("CN=dev-1"))))
    await until(lambda: world.northbound.pending)
    tenant = world.tenants.find(ACME)
    assert tenant is not None
    elsewhere(world, **change(tenant))
    world.northbound.release()
    with pytest.raises(kind):
        await entering


async def test_a_device_just_made_is_disabled_by_the_time_it_is_let_in(world: World, ca: Issued) -> None:
    world.northbound.hold()
    entering = asyncio.create_task(world.admission.admit(world.evidence(ca.issue("CN=dev-1"))))
    await until(lambda: world.northbound.pending)
    [device] = world.store.devices.find_all(ACME, after=None, limit=10)
    world.store.devices.set_enabled(ACME, [device.device_id], deed_at(NOON), enabled=False)
    world.northbound.release()
    with pytest.raises(DeviceDisabled):
        await entering


async def test_what_was_just_made_is_not_looked_up_where_nothing_has_changed(
    world: World, ca: Issued, monkeypatch: pytest.MonkeyPatch
) -> None:
    evidence = world.evidence(ca.issue("CN=dev-1"))
    decided = world.admission.decide(evidence)
    assert isinstance(decided, Undecided)
    monkeypatch.setattr(MemoryConnectPath, "find_by_credential", None)
    admitted = await world.admission.conclude(decided)
    assert admitted is not None and admitted.provisioned


@pytest.mark.parametrize("at_once", [True, False])
async def test_what_changes_while_a_change_is_looked_into_counts_as_well(
    world: World, ca: Issued, monkeypatch: pytest.MonkeyPatch, at_once: bool
) -> None:
    evidence = world.evidence(ca.issue("CN=dev-1"))
    await world.admission.admit(evidence)
    certificate = evidence.peer.certificate
    assert certificate is not None
    find = world.store.connect_path.find_by_credential_now
    changes: list[dict[str, object]] = [{"ext": {"note": "anything"}}, {"enabled": False}]

    def find_while_it_changes(tenant_id: TenantId, type_: str, auth_id: AuthId) -> KnownDevice | None:
        if changes:
            elsewhere(world, **changes.pop(0))
        return find(tenant_id, type_, auth_id)

    monkeypatch.setattr(world.store.connect_path, "find_by_credential_now", find_while_it_changes)
    with pytest.raises(TenantDisabled):
        if at_once:
            world.examination.examine_now(certificate.verdict, evidence)
        else:
            await world.examination.examine(certificate.verdict, evidence)


@pytest.mark.parametrize("at_once", [True, False])
async def test_a_registry_that_changes_with_every_look_lets_nobody_in(
    world: World, ca: Issued, monkeypatch: pytest.MonkeyPatch, at_once: bool
) -> None:
    evidence = world.evidence(ca.issue("CN=dev-1"))
    await world.admission.admit(evidence)
    certificate = evidence.peer.certificate
    assert certificate is not None
    find = world.store.connect_path.find_by_credential_now

    def find_while_it_changes(tenant_id: TenantId, type_: str, auth_id: AuthId) -> KnownDevice | None:
        elsewhere(world, ext={})
        return find(tenant_id, type_, auth_id)

    monkeypatch.setattr(world.store.connect_path, "find_by_credential_now", find_while_it_changes)
    with pytest.raises(StorageUnavailable):
        if at_once:
            world.examination.examine_now(certificate.verdict, evidence)
        else:
            await world.examination.examine(certificate.verdict, evidence)


@pytest.mark.parametrize("at_once", [True, False])
async def test_changes_that_a_lookup_finds_missed_and_cannot_make_up_for_let_nobody_in(
    world: World, ca: Issued, monkeypatch: pytest.MonkeyPatch, at_once: bool
) -> None:
    evidence = world.evidence(ca.issue("CN=dev-1"))
    await world.admission.admit(evidence)
    certificate = evidence.peer.certificate
    assert certificate is not None

    def fail() -> None:
        raise StorageUnavailable("disk I/O error")

    monkeypatch.setattr(world.store.feed, "all_tenants", fail)
    world.store.feed._state.changed(Change(kind=ChangeKind.RESET))
    with pytest.raises(StorageUnavailable):
        if at_once:
            world.examination.examine_now(certificate.verdict, evidence)
        else:
            await world.examination.examine(certificate.verdict, evidence)
