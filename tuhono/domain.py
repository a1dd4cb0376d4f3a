"""The rooms below the adapters, built in flow order: tenants, trust, devices, and the way to a finding.

What `tuhono explain` needs is built here and nothing more, so that it answers with the very objects a
connecting device meets.
"""

from dataclasses import dataclass

from adapters.admission.examination import Examination
from conf.sections import Settings
from kernel.clock import Clock
from pki.certificates import CertificateCache
from pki.chains import PathRules
from registry.directory import DeviceDirectory
from registry.plan import ProvisioningPlanner
from storage.open import Store, open_store
from tenant.anchors import AnchorIndex
from tenant.directory import TenantDirectory
from tenant.trust import TrustJudge

LOG_FILE = "log.db"  # of the embedded message log, in the data directory


@dataclass(frozen=True, slots=True, kw_only=True)
class Domain:
    """Everything that decides who a peer is, short of letting it in."""

    anchors: AnchorIndex
    tenants: TenantDirectory
    judge: TrustJudge
    planner: ProvisioningPlanner
    devices: DeviceDirectory
    examination: Examination


def build_domain(settings: Settings, store: Store, clock: Clock) -> Domain:
    """Build it and read every tenant. Blocking for as long as that takes."""
    anchors = AnchorIndex()
    tenants = TenantDirectory(feed=store.feed, anchors=anchors)
    judge = TrustJudge(
        anchors=anchors,
        tenants=tenants,
        certificates=CertificateCache(settings.pki.certificate_cache_max),
        rules=path_rules(settings),
        clock=clock,
    )
    planner = ProvisioningPlanner(store=store.connect_path, settings=settings.registry)
    devices = DeviceDirectory(store=store.connect_path, feed=store.feed)
    examination = Examination(tenants=tenants, devices=devices, planner=planner, judge=judge)
    tenants.load()
    return Domain(
        anchors=anchors, tenants=tenants, judge=judge, planner=planner, devices=devices, examination=examination
    )


def open_databases(settings: Settings, clock: Clock) -> Store:
    """The registry's database, migrated where it is old. Raises StorageTooNew, StorageUnavailable."""
    return open_store(
        data_dir=settings.data_dir,
        storage=settings.storage,
        registry=settings.registry,
        tenant=settings.tenant,
        clock=clock,
    )


def path_rules(settings: Settings) -> PathRules:
    """What is too weak, too long or too large, out of two sections."""
    return PathRules(
        rsa_min_bits=settings.pki.rsa_min_bits,
        allow_sha1=settings.pki.allow_sha1,
        allow_md5=settings.pki.allow_md5,
        allow_explicit_curves=settings.pki.allow_explicit_curves,
        subject_max_chars=settings.pki.subject_max_chars,
        chain_max_certificates=settings.edge.chain_max_certificates,
        chain_max_bytes=settings.edge.chain_max_bytes,
    )
