"""A domain over the in-memory store, built as the gateway builds it, for tests above storage."""

from dataclasses import dataclass, replace

from adapters.admission.admission import Admission
from adapters.admission.evidence import Evidence
from adapters.admission.examination import Examination
from adapters.admission.keys import KeyExamination
from adapters.admission.logins import LoginExamination
from adapters.edge.peer import Address, Peer, PeerCertificate
from adapters.sessions.measure import UploadMeters
from adapters.sessions.table import SessionTable
from adapters.sessions.uplink import Uplink
from conf.registry import RegistrySettings
from kernel.clock import ManualClock
from kernel.ids import AnchorId, TenantId
from kernel.meters import Meters
from messaging.drivers.memory import MemoryNorthbound
from pki.certificates import CertificateCache
from pki.chains import PathRules, authority_of
from registry.announcements import Announcer
from registry.assertion import RegistrationAssertion
from registry.autoprovision import AutoProvisioner
from registry.directory import DeviceDirectory
from registry.edge_devices import EdgeDevices
from registry.logins import PasswordJudge
from registry.plan import ProvisioningPlanner
from registry.refusals import RefusalRecord
from registry.standing import Standing
from storage.memory import MemoryStore
from tenant.anchors import AnchorIndex
from tenant.directory import TenantDirectory
from tenant.limits import ProvisioningMeter
from tenant.model import Tenant, TrustAnchor
from tenant.trust import TrustJudge, TrustVerdict
from tests.support.certificates import NOON, Issued
from tests.support.stores import DEED

ACME = TenantId("acme")


@dataclass(slots=True, kw_only=True)
class World:
    """One process's domain and everything a test may want to look at."""

    clock: ManualClock
    store: MemoryStore
    northbound: MemoryNorthbound
    tenants: TenantDirectory
    anchors: AnchorIndex
    judge: TrustJudge
    examination: Examination
    announcer: Announcer
    provisioner: AutoProvisioner
    edge_devices: EdgeDevices
    passwords: PasswordJudge
    refusals: RefusalRecord
    admission: Admission
    table: SessionTable
    uplink: Uplink
    assertion: RegistrationAssertion

    def put_tenant(self, tenant_id: str = ACME, *anchors: TrustAnchor, **members: object) -> Tenant:
        """Create or replace a tenant, as an operator would, and let the directory know."""
        name = TenantId(tenant_id)
        mine = tuple(replace(anchor, tenant_id=name) for anchor in anchors)
        tenant = Tenant(tenant_id=name, trust_anchors=mine, created=self.clock.now(), **members)  # type: ignore[arg-type]
        if self.store.tenants.find(name) is None:
            self.store.tenants.create(tenant, DEED)
        else:
            self.store.tenants.replace(tenant, DEED, expected_version=None)
        self.tenants.catch_up()
        return tenant

    def verdict(self, device: Issued, sni: str | None = None) -> TrustVerdict:
        return self.judge.judge(device.chain_der, sni, at=self.clock.now())

    def evidence(self, device: Issued | None, *, adapter: str = "hono-mqtt", client_id: str | None = None) -> Evidence:
        certificate = None
        if device is not None:
            certificate = PeerCertificate(chain_der=device.chain_der, verdict=self.verdict(device))
        peer = Peer(address=Address(host="192.0.2.7", port=5555), certificate=certificate)
        return Evidence(adapter=adapter, peer=peer, client_id=client_id)


def an_anchor(ca: Issued, anchor_id: str = "ca-1", **choices: object) -> TrustAnchor:
    """A trust anchor of that CA; its tenant is filled in by `put_tenant`."""
    return TrustAnchor(
        anchor_id=AnchorId(anchor_id),
        tenant_id=ACME,
        authority=authority_of(ca.der),
        **choices,  # type: ignore[arg-type]
    )


def build_world(
    *, authentication_required: bool = True, store: MemoryStore | None = None, settings: RegistrySettings | None = None
) -> World:
    """An empty world at noon. Pass a store to build a second process on the same database."""
    clock = ManualClock(NOON)
    store = store or MemoryStore(clock)
    settings = settings or RegistrySettings()
    northbound = MemoryNorthbound(clock=clock)
    anchors = AnchorIndex()
    tenants = TenantDirectory(feed=store.feed, anchors=anchors)
    judge = TrustJudge(
        anchors=anchors, tenants=tenants, certificates=CertificateCache(64), rules=PathRules(), clock=clock
    )
    devices = DeviceDirectory(store=store.connect_path, feed=store.feed)
    passwords = PasswordJudge(settings=settings, clock=clock)
    examination = Examination(
        tenants=tenants,
        devices=devices,
        planner=ProvisioningPlanner(store=store.connect_path, settings=settings),
        judge=judge,
    )
    meter = ProvisioningMeter(
        per_s_max=settings.provisioning_per_s_max, burst_max=settings.provisioning_burst_max, clock=clock
    )
    announcer = Announcer(
        store=store.connect_path, tenants=tenants, northbound=northbound, settings=settings, clock=clock
    )
    provisioner = AutoProvisioner(
        store=store.connect_path, northbound=northbound, announcer=announcer, meter=meter, clock=clock
    )
    edge_devices = EdgeDevices(
        store=store.connect_path, tenants=tenants, announcer=announcer, settings=settings, clock=clock
    )
    refusals = RefusalRecord(store=store.connect_path, clock=clock)
    admission = Admission(
        authentication_required=authentication_required,
        examination=examination,
        logins=LoginExamination(tenants=tenants, devices=devices, passwords=passwords),
        keys=KeyExamination(tenants=tenants, devices=devices, clock=clock),
        provisioner=provisioner,
        refusals=refusals,
    )
    assertion = RegistrationAssertion(
        store=store.connect_path, feed=store.feed, edge_devices=edge_devices, announcer=announcer
    )
    uplink = Uplink(
        northbound=northbound,
        tenants=tenants,
        assertion=assertion,
        meters=UploadMeters(meters=Meters()),
        feed=store.feed,
        clock=clock,
    )
    tenants.load()
    return World(
        clock=clock,
        store=store,
        northbound=northbound,
        tenants=tenants,
        anchors=anchors,
        judge=judge,
        examination=examination,
        announcer=announcer,
        provisioner=provisioner,
        edge_devices=edge_devices,
        passwords=passwords,
        refusals=refusals,
        admission=admission,
        table=SessionTable(feed=store.feed, standing=Standing(store=store.connect_path, clock=clock)),
        uplink=uplink,
        assertion=assertion,
    )
