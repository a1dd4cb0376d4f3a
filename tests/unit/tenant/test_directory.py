"""Tenants and anchors in memory follow the change feed."""

from collections.abc import Callable, Sequence
from dataclasses import replace

import pytest

from kernel.ids import TenantId
from registry.errors import StorageUnavailable
from tenant.anchors import AnchorIndex
from tenant.directory import TenantDirectory
from tenant.model import Tenant
from tenant.ports import Change, ChangeKind
from tests.support.certificates import make_ca
from tests.support.domain import an_anchor, build_world
from tests.support.stores import DEED


class FeedOf:
    """These tenants, and never a change."""

    def __init__(self, tenants: Sequence[Tenant]) -> None:
        self._tenants = tenants

    def subscribe(self, subscriber: Callable[[Change], None]) -> None: ...

    def catch_up(self) -> None: ...

    def has_news(self) -> bool:
        return False

    def all_tenants(self) -> Sequence[Tenant]:
        return self._tenants


def test_a_tenant_is_found_by_id_and_by_alias() -> None:
    world = build_world()
    world.put_tenant("acme", alias="the-alias")
    assert world.tenants.find_named("acme") == world.tenants.find_named("the-alias")
    assert world.tenants.find_named("other") is None


def test_an_id_wins_over_another_tenant_s_alias() -> None:
    """No store takes both any more; one may hold both since before."""
    tenants = [Tenant(tenant_id=TenantId("two")), Tenant(tenant_id=TenantId("one"), alias="two")]
    directory = TenantDirectory(feed=FeedOf(tenants), anchors=AnchorIndex())
    directory.load()
    assert directory.find_named("two") == tenants[0]


def test_a_changed_alias_leaves_no_trace_of_the_old_one() -> None:
    world = build_world()
    world.put_tenant("acme", alias="old")
    world.put_tenant("acme", alias="new")
    assert world.tenants.find_named("old") is None
    assert world.tenants.find_named("new") is not None


def test_a_deleted_tenant_takes_its_anchors_along() -> None:
    world = build_world()
    world.put_tenant("acme", an_anchor(make_ca("CN=CA")))
    assert world.anchors.named("CN=CA")
    world.store.tenants.delete(TenantId("acme"), DEED, expected_version=None)
    world.tenants.catch_up()
    assert not world.anchors.named("CN=CA") and world.tenants.find(TenantId("acme")) is None


def test_missed_changes_make_everything_be_read_again() -> None:
    world = build_world()
    kept = world.put_tenant("kept", an_anchor(make_ca("CN=CA")))
    ghost = replace(kept, tenant_id=TenantId("ghost"), trust_anchors=())
    world.tenants._follow(Change(kind=ChangeKind.TENANT, tenant_id=ghost.tenant_id, tenant=ghost))
    world.tenants._follow(Change(kind=ChangeKind.RESET))
    assert world.tenants.find(TenantId("ghost")) is None
    assert world.tenants.find(TenantId("kept")) is not None and world.anchors.named("CN=CA")


def test_a_reading_that_fails_leaves_what_was_known_and_is_done_again(monkeypatch: pytest.MonkeyPatch) -> None:
    def fail() -> None:
        raise StorageUnavailable("disk I/O error")

    world = build_world()
    world.put_tenant("acme", an_anchor(make_ca("CN=CA")))
    with monkeypatch.context() as broken:
        broken.setattr(world.store.feed, "all_tenants", fail)
        with pytest.raises(StorageUnavailable):
            world.tenants._follow(Change(kind=ChangeKind.RESET))
        assert world.tenants.find(TenantId("acme")) is not None and world.anchors.named("CN=CA")
        with pytest.raises(StorageUnavailable):
            world.tenants.catch_up()
    world.store.tenants.delete(TenantId("acme"), DEED, expected_version=None)
    world.tenants.catch_up()
    assert world.tenants.find(TenantId("acme")) is None


def test_two_tenants_of_one_ca_name_are_both_listed_and_removed_apart() -> None:
    world = build_world()
    ca = make_ca("CN=Shared")
    world.put_tenant("one", an_anchor(ca), trust_anchor_group="g")
    world.put_tenant("two", an_anchor(ca), trust_anchor_group="g")
    assert {anchor.tenant_id for anchor in world.anchors.named("CN=Shared")} == {"one", "two"}
    world.put_tenant("one", trust_anchor_group="g")
    assert [anchor.tenant_id for anchor in world.anchors.named("CN=Shared")] == ["two"]
