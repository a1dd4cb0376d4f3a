"""A chain that was trusted is trusted again without a second look, exactly as long as a second look would trust it."""

from dataclasses import replace
from datetime import timedelta

import pytest

from kernel.ids import TenantId
from pki.errors import CertificateNotYetValid
from tenant.errors import TenantAmbiguous, UntrustedIssuer
from tenant.trust import TrustVerdict
from tests.support.certificates import NOON, NOT_AFTER, Issued, make_ca
from tests.support.domain import World, an_anchor, build_world
from tests.support.stores import DEED


@pytest.fixture
def world() -> World:
    return build_world()


def coming_again(world: World, device: Issued, sni: str | None = None) -> TrustVerdict:
    """What is made of a chain by a process that has trusted it time and again."""
    for _ in range(3):
        verdict = world.judge.judge_now(device.chain_der, sni)
        assert verdict.refusal is None
    return verdict


def test_a_chain_that_comes_again_is_trusted_for_the_same_reasons(world: World) -> None:
    root = make_ca("CN=Root")
    world.put_tenant("acme", an_anchor(root))
    for device in (root.issue("CN=dev-1"), root.issue_ca("CN=Lower").issue("CN=dev-2")):
        again = coming_again(world, device)
        assert again.comes_again and replace(again, comes_again=False) == world.verdict(device)


def test_a_chain_that_comes_again_is_not_judged_again(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    ca = make_ca("CN=CA")
    world.put_tenant("acme", an_anchor(ca))
    device = ca.issue("CN=dev-1")
    known = coming_again(world, device)
    monkeypatch.setattr(world.judge, "judge", None)
    assert world.judge.judge_now(device.chain_der, None) is known


def test_a_chain_that_comes_again_is_trusted_without_a_question_to_the_database(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    """And says as of when: admission asks (tests/unit/admission/test_admission_changes.py)."""
    ca = make_ca("CN=CA")
    world.put_tenant("acme", an_anchor(ca))
    device = ca.issue("CN=dev-1")
    coming_again(world, device)
    monkeypatch.setattr(world.store.feed, "catch_up", None)
    assert world.judge.judge_now(device.chain_der, None).as_of == world.tenants.version


def test_a_ca_that_another_process_registered_is_known_to_the_next_handshake(world: World) -> None:
    ca = make_ca("CN=CA")
    tenant = world.put_tenant("acme")
    device = ca.issue("CN=dev-1")
    assert world.judge.judge_now(device.chain_der, None).refusal is not None
    world.store.tenants.replace(replace(tenant, trust_anchors=(an_anchor(ca),)), DEED, expected_version=None)
    assert world.judge.judge_now(device.chain_der, None).refusal is None


def test_an_anchor_s_new_flags_are_those_of_the_next_handshake(world: World) -> None:
    ca = make_ca("CN=CA")
    world.put_tenant("acme", an_anchor(ca))
    device = ca.issue("CN=dev-1")
    coming_again(world, device)
    world.put_tenant("acme", an_anchor(ca, may_auto_provision=True))
    anchor = world.judge.judge_now(device.chain_der, None).anchor
    assert anchor is not None and anchor.may_auto_provision


@pytest.mark.parametrize("whose", ["leaf", "intermediate", "anchor"])
def test_what_ends_meanwhile_ends_the_trust_in_a_chain_that_comes_again(world: World, whose: str) -> None:
    ends = {"leaf": NOT_AFTER, "intermediate": NOT_AFTER, "anchor": NOT_AFTER, whose: NOON + timedelta(hours=1)}
    root = make_ca("CN=Root", not_after=ends["anchor"])
    lower = root.issue_ca("CN=Lower", not_after=ends["intermediate"])
    device = lower.issue("CN=dev-1", not_after=ends["leaf"])
    world.put_tenant("acme", an_anchor(root))
    coming_again(world, device)
    world.clock.advance(3600)
    coming_again(world, device)  # the last moment counts
    world.clock.advance(1)
    refusal, expected = world.judge.judge_now(device.chain_der, None).refusal, world.verdict(device).refusal
    assert expected is not None and type(refusal) is type(expected)


def test_an_anchor_that_begins_meanwhile_has_its_say(world: World) -> None:
    """Of two anchors of one name the likelier ends the path: one that is valid."""
    old = make_ca("CN=CA")
    new = make_ca("CN=CA", key=old.key, not_before=NOON + timedelta(hours=1), not_after=NOON + timedelta(hours=2))
    world.put_tenant("acme", an_anchor(new, "new"), an_anchor(old, "old"))
    device = old.issue("CN=dev-1")
    assert coming_again(world, device).anchor == world.verdict(device).anchor
    world.clock.advance(3600)
    again = world.judge.judge_now(device.chain_der, None)
    assert (
        not again.comes_again
        and again == world.verdict(device)
        and again.anchor is not None
        and again.anchor.anchor_id == "new"
    )


def test_a_clock_that_is_set_back_takes_the_trust_back(world: World) -> None:
    ca = make_ca("CN=CA")
    world.put_tenant("acme", an_anchor(ca))
    device = ca.issue("CN=dev-1", not_before=NOON - timedelta(minutes=1))
    coming_again(world, device)
    world.clock.advance(-61)
    assert isinstance(world.judge.judge_now(device.chain_der, None).refusal, CertificateNotYetValid)


def test_another_sni_host_is_another_question(world: World) -> None:
    ca = make_ca("CN=Shared")
    world.put_tenant("one", an_anchor(ca), trust_anchor_group="g")
    world.put_tenant("two", an_anchor(ca), trust_anchor_group="g", alias="second")
    device = ca.issue("CN=dev-1")
    assert coming_again(world, device, "one.example.com").tenant_id == "one"
    assert coming_again(world, device, "second.example.com").tenant_id == "two"
    assert isinstance(world.judge.judge_now(device.chain_der, None).refusal, TenantAmbiguous)
    world.put_tenant("two", an_anchor(ca), trust_anchor_group="g")
    assert isinstance(world.judge.judge_now(device.chain_der, "second.example.com").refusal, UntrustedIssuer)


def test_a_second_tenant_of_the_ca_makes_a_chain_that_comes_again_ambiguous(world: World) -> None:
    ca = make_ca("CN=Shared")
    world.put_tenant("one", an_anchor(ca), trust_anchor_group="g")
    device = ca.issue("CN=dev-1")
    assert coming_again(world, device).tenant_id == TenantId("one")
    world.put_tenant("two", an_anchor(ca), trust_anchor_group="g")
    assert isinstance(world.judge.judge_now(device.chain_der, None).refusal, TenantAmbiguous)


def test_the_same_leaf_above_another_chain_is_judged_for_itself(world: World) -> None:
    root = make_ca("CN=Root")
    lower = root.issue_ca("CN=Lower")
    device = lower.issue("CN=dev-1")
    world.put_tenant("acme", an_anchor(root))
    coming_again(world, device)
    assert isinstance(world.judge.judge_now([device.der], None).refusal, UntrustedIssuer)
    impostor = make_ca("CN=Root").issue_ca("CN=Lower")
    assert world.judge.judge_now([device.der, impostor.der], None).refusal is not None
    assert world.judge.judge_now([*device.chain_der, *[lower.der] * 10], None).refusal is not None
    coming_again(world, device)


def test_a_refusal_is_found_anew_every_time(world: World) -> None:
    device = make_ca("CN=CA").issue("CN=dev-1")
    first, second = (world.judge.judge_now(device.chain_der, None) for _ in range(2))
    assert first.refusal is not None and second.refusal is not None and first.refusal is not second.refusal
