"""Identity of anchors and versions of tenants."""

from dataclasses import replace

import pytest

from kernel.errors import VersionMismatch
from storage.tenancy import anchor_identity, anchors_gone, check_version, versioned
from tenant.model import Tenant, TrustAnchor
from tests.support.stores import NOW, TENANT, anchor, tenant


def with_authority(entry: TrustAnchor, **members: object) -> TrustAnchor:
    return replace(entry, authority=replace(entry.authority, **members))  # type: ignore[arg-type]


def test_a_certificate_is_its_own_identity() -> None:
    first = with_authority(anchor("a"), certificate_der=b"cert")
    renamed = with_authority(anchor("b", name="CN=Other"), certificate_der=b"cert")
    assert anchor_identity(first) == anchor_identity(renamed)
    assert anchor_identity(first) != anchor_identity(with_authority(first, certificate_der=b"renewed"))


def test_without_a_certificate_name_and_key_are_the_identity() -> None:
    bare = anchor("a")
    assert anchor_identity(bare) == anchor_identity(with_authority(anchor("b"), public_key_der=b"key of CN=Plant CA a"))
    assert anchor_identity(bare) != anchor_identity(with_authority(bare, public_key_der=b"another"))
    assert anchor_identity(bare) != anchor_identity(with_authority(bare, subject_dn="CN=Other"))
    shifted = [with_authority(bare, subject_dn="ab", public_key_der=b"c")]
    shifted.append(with_authority(bare, subject_dn="a", public_key_der=b"bc"))
    assert len({anchor_identity(entry) for entry in shifted}) == 2


def test_an_anchor_is_gone_when_delisted_or_when_its_id_names_another_ca() -> None:
    before = [anchor("kept"), anchor("gone"), anchor("renewed")]
    after = [anchor("kept", may_auto_provision=False), anchor("renewed", name="CN=New"), anchor("added")]
    assert anchors_gone(before, after) == ["gone", "renewed"]
    assert anchors_gone(before, ()) == ["kept", "gone", "renewed"]


def test_a_version_is_compared_only_where_one_is_expected() -> None:
    check_version(TENANT, "1", None)
    check_version(TENANT, "1", "1")
    for expected in ("2", ""):
        with pytest.raises(VersionMismatch):
            check_version(TENANT, "1", expected)


def test_a_stored_tenant_always_has_a_version_of_its_own() -> None:
    fresh = Tenant(tenant_id=TENANT)
    assert versioned(fresh).version
    assert versioned(replace(fresh, version="mine")).version == "mine"
    assert versioned(replace(fresh, version="mine"), replace(fresh, version="mine")).version != "mine"


def test_creation_is_remembered_and_anchors_belong_to_their_tenant() -> None:
    before = tenant(TENANT, created=NOW)
    after = versioned(replace(tenant(TENANT), trust_anchors=(anchor("a", tenant_id="copied-from"),)), before)
    assert after.created == NOW
    assert after.trust_anchors[0].tenant_id == TENANT
