"""What an operator may do with tenants: ids, versions, certificates that are kept, conflicts, and who did it."""

from collections.abc import Callable
from dataclasses import replace
from datetime import timedelta

import pytest

from conf.tenant import TenantSettings
from kernel.clock import ManualClock
from kernel.errors import VersionMismatch
from kernel.ids import AnchorId, TenantId
from pki.chains import authority_of
from pki.errors import TemplateInvalid
from storage.memory import MemoryStore
from tenant.administration import CONCURRENT_EDITS_MAX, AnchorChoices, TenantAdministration
from tenant.audit import Deed
from tenant.errors import (
    AliasTaken,
    AnchorExists,
    AnchorTaken,
    AnchorUnknown,
    TenantExists,
    TenantInvalid,
    TenantUnknown,
)
from tenant.model import DeviceTemplate, Tenant, TrustAnchor
from tenant.ports import TenantRepository
from tests.support.certificates import Issued, make_ca
from tests.support.stores import DEED, NOW

ACME = TenantId("acme")
NO_ANCHOR_ID = AnchorId("")
CA = make_ca("CN=Plant CA")
LATER = Deed(actor="olga", moment=NOW + timedelta(hours=1), remote="192.0.2.1")


@pytest.fixture
def store() -> MemoryStore:
    return MemoryStore(ManualClock(NOW))


@pytest.fixture
def office(store: MemoryStore) -> TenantAdministration:
    return administration(store.tenants)


def administration(tenants: TenantRepository) -> TenantAdministration:
    return TenantAdministration(tenants=tenants, settings=TenantSettings())


def anchor(issued: Issued = CA, anchor_id: str = "", *, with_certificate: bool = True) -> TrustAnchor:
    authority = authority_of(issued.der)
    return TrustAnchor(
        anchor_id=AnchorId(anchor_id),
        tenant_id=ACME,
        authority=authority if with_certificate else replace(authority, certificate_der=None, subject_der=None),
    )


def tenant(*anchors: TrustAnchor, tenant_id: str = "acme", **members: object) -> Tenant:
    return Tenant(tenant_id=TenantId(tenant_id), trust_anchors=anchors, **members)  # type: ignore[arg-type]


def test_what_is_created_is_on_record_with_its_version(office: TenantAdministration) -> None:
    made = office.create(tenant(anchor(), alias="a"), DEED)
    assert office.get("acme") == made
    assert (made.created, made.updated) == (DEED.moment, None)
    assert made.version and made.trust_anchors[0].anchor_id


def test_a_tenant_without_id_is_given_one(office: TenantAdministration) -> None:
    made = office.create(tenant(anchor(), tenant_id=""), DEED)
    assert len(made.tenant_id) == 36
    assert made.trust_anchors[0].tenant_id == made.tenant_id
    assert office.get(made.tenant_id) == made


def test_ids_of_anchors_are_kept_and_those_that_lack_made(office: TenantAdministration) -> None:
    office.create(tenant(anchor(anchor_id="z"), anchor(make_ca("CN=b")), anchor(anchor_id="a")), DEED)
    ids = [listed.anchor_id for listed in office.get("acme").trust_anchors]
    assert (ids[0], len(ids[1]), ids[2]) == ("z", 36, "a")
    office.replace(tenant(anchor(anchor_id="a"), anchor(make_ca("CN=c"))), LATER)
    ids = [listed.anchor_id for listed in office.get("acme").trust_anchors]
    assert (ids[0], len(ids[1])) == ("a", 36)


@pytest.mark.parametrize("tenant_id", ["a b", "a/b", ".", "..", "é", "x" * 257, "a\n", "a\0"])
def test_an_id_no_tenant_can_have_is_refused(office: TenantAdministration, tenant_id: str) -> None:
    with pytest.raises(TenantInvalid):
        office.create(tenant(tenant_id=tenant_id), DEED)
    with pytest.raises(TenantInvalid):
        office.check_id(tenant_id)


def test_an_id_that_is_taken_leaves_the_holder_as_it_was(office: TenantAdministration) -> None:
    made = office.create(tenant(alias="a"), DEED)
    with pytest.raises(TenantExists):
        office.create(tenant(alias="b"), LATER)
    assert office.get("acme") == made


@pytest.mark.parametrize(
    "wrong",
    [
        tenant(alias="A"),
        tenant(anchor(anchor_id="a"), anchor(make_ca("CN=b"), "a")),
        tenant(replace(anchor(), auth_id_template="nothing")),
        tenant(replace(anchor(), provisioning_per_s_max=-1.0)),
        tenant(adapters=()),
        tenant(defaults={"a": "x" * 5000}),
        tenant(*(anchor() for _ in range(101))),
    ],
)
def test_what_breaks_a_rule_changes_nothing(office: TenantAdministration, wrong: Tenant) -> None:
    with pytest.raises((TenantInvalid, TemplateInvalid)):
        office.create(wrong, DEED)
    with pytest.raises(TenantUnknown):
        office.get("acme")
    made = office.create(tenant(), DEED)
    with pytest.raises((TenantInvalid, TemplateInvalid)):
        office.replace(wrong, LATER)
    assert office.get("acme") == made


def test_a_replacement_takes_everything_away_that_it_does_not_say(office: TenantAdministration) -> None:
    made = office.create(tenant(anchor(), alias="a", defaults={"ttl": 1}), DEED)
    changed = office.replace(tenant(enabled=False), LATER)
    assert office.get("acme") == changed
    assert changed == Tenant(
        tenant_id=ACME, enabled=False, created=made.created, updated=LATER.moment, version=changed.version
    )
    assert changed.version != made.version
    same = office.replace(tenant(enabled=False), LATER)
    assert same.version != changed.version


def test_a_version_that_has_passed_is_refused(office: TenantAdministration) -> None:
    first = office.create(tenant(), DEED)
    second = office.replace(tenant(enabled=False), LATER, expected_version=first.version)
    with pytest.raises(VersionMismatch, match=f"at version {second.version}, not {first.version}"):
        office.replace(tenant(enabled=True), LATER, expected_version=first.version)
    with pytest.raises(VersionMismatch):
        office.delete("acme", LATER, expected_version=first.version)
    assert office.get("acme") == second
    office.delete("acme", LATER, expected_version=second.version)
    with pytest.raises(TenantUnknown):
        office.get("acme")


def test_an_unknown_tenant_is_unknown_whatever_version_is_expected(office: TenantAdministration) -> None:
    with pytest.raises(TenantUnknown):
        office.replace(tenant(), DEED, expected_version="1")
    with pytest.raises(TenantUnknown):
        office.delete("acme", DEED, expected_version="1")


class Overtaken:
    """A repository where somebody else writes between a read and the write that follows, so many times."""

    def __init__(self, tenants: TenantRepository, times: int, other: Callable[[], object]) -> None:
        self._tenants = tenants
        self._times = times
        self._other = other

    def __getattr__(self, name: str) -> object:
        return getattr(self._tenants, name)

    def replace(self, tenant: Tenant, deed: Deed, *, expected_version: str | None) -> None:
        if self._times:
            self._times -= 1
            self._other()
        self._tenants.replace(tenant, deed, expected_version=expected_version)


def overtaken(store: MemoryStore, times: int) -> TenantAdministration:
    other = administration(store.tenants)
    return administration(Overtaken(store.tenants, times, lambda: other.set_enabled("acme", LATER, enabled=False)))  # type: ignore[arg-type]


def test_of_two_writers_that_expect_the_same_version_one_is_refused(store: MemoryStore) -> None:
    made = administration(store.tenants).create(tenant(alias="a"), DEED)
    with pytest.raises(VersionMismatch):
        overtaken(store, 1).replace(tenant(alias="b"), DEED, expected_version=made.version)
    on_record = administration(store.tenants).get("acme")
    assert (on_record.alias, on_record.enabled) == ("a", False)


@pytest.mark.parametrize("times", [1, CONCURRENT_EDITS_MAX - 1, CONCURRENT_EDITS_MAX])
def test_a_writer_that_expects_no_version_always_writes(store: MemoryStore, times: int) -> None:
    administration(store.tenants).create(tenant(alias="a"), DEED)
    changed = overtaken(store, times).replace(tenant(alias="b"), DEED)
    assert administration(store.tenants).get("acme") == changed


def test_an_edit_is_done_again_on_what_another_wrote(store: MemoryStore) -> None:
    administration(store.tenants).create(tenant(), DEED)
    overtaken(store, 2).trust("acme", CA.der, "ca", AnchorChoices(), DEED)
    on_record = administration(store.tenants).get("acme")
    assert (on_record.enabled, [listed.anchor_id for listed in on_record.trust_anchors]) == (False, ["ca"])
    with pytest.raises(VersionMismatch):
        overtaken(store, CONCURRENT_EDITS_MAX).distrust("acme", "ca", DEED)


def test_an_anchor_that_comes_back_without_its_certificate_keeps_it(office: TenantAdministration) -> None:
    office.create(tenant(anchor(anchor_id="ca")), DEED)
    bare = replace(anchor(anchor_id="ca", with_certificate=False), may_auto_provision=True)
    shorter = replace(bare, authority=replace(bare.authority, not_after=NOW))
    kept = office.replace(tenant(shorter), LATER).trust_anchors[0]
    assert kept.may_auto_provision
    assert kept.authority.certificate_der == CA.der
    assert kept.authority.subject_der == authority_of(CA.der).subject_der
    assert kept.authority.not_after == NOW
    assert office.get("acme").trust_anchors == (kept,)


def test_an_anchor_of_another_id_name_or_key_does_not_inherit_a_certificate(office: TenantAdministration) -> None:
    for other in (
        anchor(anchor_id="other", with_certificate=False),
        anchor(make_ca("CN=Plant CA"), "ca", with_certificate=False),
        anchor(make_ca("CN=Else", key=CA.key), "ca", with_certificate=False),
    ):
        office.create(tenant(anchor(anchor_id="ca")), DEED)
        assert office.replace(tenant(other), LATER).trust_anchors[0].authority.certificate_der is None
        office.delete("acme", LATER)


def test_another_certificate_takes_the_place_of_the_first(office: TenantAdministration) -> None:
    renewed = make_ca("CN=Plant CA", key=CA.key)
    office.create(tenant(anchor(anchor_id="ca")), DEED)
    changed = office.replace(tenant(anchor(renewed, "ca")), LATER)
    assert changed.trust_anchors[0].authority.certificate_der == renewed.der


def test_alias_and_names_of_cas_are_one_tenants(office: TenantAdministration) -> None:
    office.create(tenant(anchor(), alias="a"), DEED)
    with pytest.raises(AliasTaken):
        office.create(tenant(tenant_id="b", alias="a"), DEED)
    with pytest.raises(AnchorTaken) as refusal:
        office.create(tenant(anchor(), tenant_id="b"), DEED)
    assert refusal.value.details == {"subject-dn": "CN=Plant CA"}
    office.create(tenant(tenant_id="b"), DEED)
    with pytest.raises(AnchorTaken):
        office.replace(tenant(anchor(), tenant_id="b"), DEED)
    with pytest.raises(AliasTaken):
        office.replace(tenant(tenant_id="b", alias="a"), DEED)
    office.replace(tenant(anchor(), alias="a", trust_anchor_group="g"), DEED)
    office.replace(tenant(anchor(), tenant_id="b", trust_anchor_group="g"), DEED)


def test_a_ca_that_is_trusted_again_keeps_what_the_command_line_cannot_say(office: TenantAdministration) -> None:
    template = DeviceTemplate(defaults={"ttl": 1})
    office.create(tenant(replace(anchor(anchor_id="ca"), device_template=template)), DEED)
    office.trust("acme", CA.der, "ca", AnchorChoices(may_auto_provision=True), LATER)
    [listed] = office.get("acme").trust_anchors
    assert (listed.may_auto_provision, listed.device_template) == (True, template)


def test_a_ca_that_is_trusted_again_keeps_its_validity_and_gets_its_certificate(office: TenantAdministration) -> None:
    by_key = anchor(anchor_id="ca", with_certificate=False)
    shorter = replace(by_key, authority=replace(by_key.authority, not_after=NOW))
    office.create(tenant(shorter), DEED)
    office.trust("acme", CA.der, "ca", AnchorChoices(), DEED)
    [listed] = office.get("acme").trust_anchors
    assert listed.authority == authority_of(CA.der)
    office.replace(tenant(shorter), DEED)
    office.trust("acme", CA.der, "ca", AnchorChoices(may_auto_provision=True), DEED)
    [listed] = office.get("acme").trust_anchors
    assert (listed.authority.not_after, listed.authority.certificate_der) == (NOW, CA.der)


def test_a_ca_is_trusted_once_and_distrusted_by_id_or_fingerprint(office: TenantAdministration) -> None:
    office.create(tenant(), DEED)
    office.trust("acme", CA.der, "ca", AnchorChoices(), DEED)
    with pytest.raises(AnchorExists):
        office.trust("acme", CA.der, "other", AnchorChoices(), DEED)
    with pytest.raises(AnchorExists):
        office.trust("acme", make_ca("CN=x").der, "ca", AnchorChoices(), DEED)
    fingerprint = CA.certificate.fingerprint(CA.certificate.signature_hash_algorithm).hex()  # type: ignore[arg-type]
    assert office.distrust("acme", fingerprint, DEED).anchor_id == "ca"
    with pytest.raises(AnchorUnknown):
        office.distrust("acme", "ca", DEED)


def test_a_tenant_trusts_so_many_cas_and_no_more(office: TenantAdministration) -> None:
    office.create(tenant(*(anchor() for _ in range(100))), DEED)
    with pytest.raises(TenantInvalid):
        office.trust("acme", make_ca("CN=x").der, None, AnchorChoices(), DEED)


def test_who_did_it_is_on_record(office: TenantAdministration, store: MemoryStore) -> None:
    office.create(tenant(), DEED)
    office.replace(tenant(enabled=False), LATER)
    office.delete("acme", LATER)
    rows = store.audit.read(after=0, limit=10)
    assert [(row.what, row.actor, row.remote) for row in rows] == [
        ("tenant.created", DEED.actor, DEED.remote),
        ("tenant.updated", "olga", "192.0.2.1"),
        ("tenant.deleted", "olga", "192.0.2.1"),
    ]
    assert rows[1].after == {"enabled": False}


def test_all_tenants_are_read_in_the_order_of_their_ids(office: TenantAdministration) -> None:
    for name in ("b", "a", "c"):
        office.create(tenant(tenant_id=name), DEED)
    assert [found.tenant_id for found in office.all()] == ["a", "b", "c"]
