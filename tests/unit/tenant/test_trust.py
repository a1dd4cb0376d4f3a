"""Which tenant a chain speaks for: hono-registry 4.2 with 4.8 over it."""

from dataclasses import replace
from datetime import timedelta

import pytest

from kernel.errors import Refused
from pki.errors import AnchorNotValidNow, CertificateExpired, CertificateNotYetValid, PathIncomplete, SignatureInvalid
from tenant.errors import (
    NoValidAnchor,
    RevocationUnchecked,
    ServerNameWithoutTenant,
    TenantAmbiguous,
    UntrustedIssuer,
)
from tenant.model import RevocationCheck
from tests.support.certificates import NOON, Issued, make_ca, make_self_signed
from tests.support.domain import World, an_anchor, build_world


@pytest.fixture
def world() -> World:
    return build_world()


def refusal_of(world: World, device: Issued, sni: str | None = None) -> Refused | None:
    return world.verdict(device, sni).refusal


def test_a_certificate_of_a_trusted_ca_speaks_for_its_tenant(world: World) -> None:
    ca = make_ca("CN=CA,O=Acme")
    world.put_tenant("acme", an_anchor(ca))
    verdict = world.verdict(ca.issue("CN=dev-1"))
    assert (verdict.tenant_id, verdict.refusal, verdict.fatal) == ("acme", None, False)
    assert verdict.anchor is not None and verdict.anchor.anchor_id == "ca-1"


def test_a_stranger_is_refused_by_the_name_of_its_issuer(world: World) -> None:
    refusal = refusal_of(world, make_ca("CN=Nobody").issue("CN=dev-1"))
    assert isinstance(refusal, UntrustedIssuer) and "CN=Nobody" in str(refusal)


def test_an_impostor_with_the_ca_s_name_and_another_key_is_refused(world: World) -> None:
    world.put_tenant("acme", an_anchor(make_ca("CN=CA,O=Acme")))
    assert isinstance(refusal_of(world, make_ca("CN=CA,O=Acme").issue("CN=dev-1")), SignatureInvalid)


def test_the_nearest_registered_issuer_decides_the_tenant(world: World) -> None:
    root = make_ca("CN=Root")
    lower = root.issue_ca("CN=Lower")
    world.put_tenant("far", an_anchor(root))
    world.put_tenant("near", an_anchor(lower))
    assert world.verdict(lower.issue("CN=dev-1")).tenant_id == "near"


def test_an_intermediate_the_device_sends_leads_to_the_root_s_tenant(world: World) -> None:
    root = make_ca("CN=Root")
    device = root.issue_ca("CN=Lower").issue("CN=dev-1")
    world.put_tenant("acme", an_anchor(root))
    assert world.verdict(device).tenant_id == "acme"


def test_hono_registry_246_an_intermediate_that_was_not_sent_leaves_the_issuer_unknown(world: World) -> None:
    root = make_ca("CN=Root")
    device = root.issue_ca("CN=Lower").issue("CN=dev-1")
    world.put_tenant("acme", an_anchor(root))
    verdict = world.judge.judge([device.der], None, at=NOON)
    assert isinstance(verdict.refusal, UntrustedIssuer)


def test_no_falling_through_to_another_tenant_when_the_nearest_one_s_key_does_not_fit(world: World) -> None:
    root = make_ca("CN=Root")
    lower = root.issue_ca("CN=Lower")
    world.put_tenant("near", an_anchor(make_ca("CN=Lower")))
    world.put_tenant("far", an_anchor(root))
    verdict = world.verdict(lower.issue("CN=dev-1"))
    assert verdict.refusal is not None and verdict.anchor is None and verdict.tenant_id == "near"


def test_any_anchor_of_the_tenant_may_end_the_path(world: World) -> None:
    root = make_ca("CN=Root")
    lower = root.issue_ca("CN=Lower")
    world.put_tenant("acme", an_anchor(make_ca("CN=Lower"), "replaced"), an_anchor(root, "root"))
    verdict = world.verdict(lower.issue("CN=dev-1"))
    assert verdict.anchor is not None and verdict.anchor.anchor_id == "root"


def test_a_ca_s_old_and_new_key_side_by_side_both_verify(world: World) -> None:
    old, new = make_ca("CN=CA"), make_ca("CN=CA")
    world.put_tenant("acme", an_anchor(old, "old"), an_anchor(new, "new"))
    found = [world.verdict(ca.issue("CN=dev-1")).anchor for ca in (old, new)]
    assert [anchor.anchor_id for anchor in found if anchor is not None] == ["old", "new"]


@pytest.mark.parametrize(("sni", "tenant"), [("one.example.com", "one"), ("alias-two.example.com", "two")])
def test_sni_decides_among_tenants_that_share_a_ca(world: World, sni: str, tenant: str) -> None:
    ca = make_ca("CN=Shared")
    world.put_tenant("one", an_anchor(ca), trust_anchor_group="g")
    world.put_tenant("two", an_anchor(ca), trust_anchor_group="g", alias="alias-two")
    assert world.verdict(ca.issue("CN=dev-1"), sni).tenant_id == tenant


@pytest.mark.parametrize(
    ("sni", "kind"),
    [
        (None, TenantAmbiguous),
        ("unknown.example.com", UntrustedIssuer),
        ("localhost", ServerNameWithoutTenant),
    ],
)
def test_a_shared_ca_without_a_usable_sni_is_refused(world: World, sni: str | None, kind: type[Refused]) -> None:
    ca = make_ca("CN=Shared")
    world.put_tenant("one", an_anchor(ca), trust_anchor_group="g")
    world.put_tenant("two", an_anchor(ca), trust_anchor_group="g")
    assert isinstance(refusal_of(world, ca.issue("CN=dev-1"), sni), kind)


def test_sni_is_ignored_where_the_issuer_is_one_tenant_s_own(world: World) -> None:
    ca = make_ca("CN=CA")
    world.put_tenant("acme", an_anchor(ca))
    assert world.verdict(ca.issue("CN=dev-1"), "another.example.com").tenant_id == "acme"


def test_hono_registry_247_sni_without_a_dot_and_an_unknown_issuer_is_malformed(world: World) -> None:
    assert isinstance(refusal_of(world, make_ca("CN=x").issue("CN=dev-1"), "localhost"), ServerNameWithoutTenant)


def test_hono_registry_245_a_tenant_whose_anchors_are_all_out_of_date_trusts_nobody(world: World) -> None:
    ca = make_ca("CN=CA", not_after=NOON - timedelta(days=1))
    world.put_tenant("acme", an_anchor(ca))
    assert isinstance(refusal_of(world, ca.issue("CN=dev-1")), NoValidAnchor)


def test_an_expired_anchor_beside_a_valid_one_is_named_as_the_reason(world: World) -> None:
    old = make_ca("CN=Old", not_after=NOON - timedelta(days=1))
    world.put_tenant("acme", an_anchor(old, "old"), an_anchor(make_ca("CN=New"), "new"))
    assert isinstance(refusal_of(world, old.issue("CN=dev-1")), AnchorNotValidNow)


@pytest.mark.parametrize(
    ("validity", "kind"),
    [
        ({"not_after": NOON - timedelta(seconds=1)}, CertificateExpired),
        ({"not_before": NOON + timedelta(seconds=1)}, CertificateNotYetValid),
    ],
)
def test_a_leaf_outside_its_validity_fails_the_handshake(world: World, validity: dict[str, object], kind: type) -> None:
    ca = make_ca("CN=CA")
    world.put_tenant("acme", an_anchor(ca))
    verdict = world.verdict(ca.issue("CN=dev-1", **validity))  # type: ignore[arg-type]
    assert isinstance(verdict.refusal, kind) and verdict.fatal


def test_an_unreadable_leaf_fails_the_handshake(world: World) -> None:
    verdict = world.judge.judge([b"\x30\x03abc"], None, at=NOON)
    assert verdict.fatal and verdict.refusal is not None and verdict.leaf is None


def test_an_empty_chain_fails_the_handshake(world: World) -> None:
    assert world.judge.judge([], None, at=NOON).fatal


def test_a_certificate_that_is_its_own_anchor_vouches_for_itself(world: World) -> None:
    device = make_self_signed("CN=self-signed")
    world.put_tenant("acme", an_anchor(device))
    assert world.verdict(device).refusal is None


def test_too_many_certificates_are_refused_before_they_are_read(world: World) -> None:
    ca = make_ca("CN=CA")
    world.put_tenant("acme", an_anchor(ca))
    device = ca.issue("CN=dev-1")
    verdict = world.judge.judge([device.der] * 11, None, at=NOON)
    assert verdict.refusal is not None and verdict.refusal.code == "chain-too-large" and not verdict.fatal


def test_a_removed_ca_is_unknown_at_the_next_handshake(world: World) -> None:
    ca = make_ca("CN=CA")
    device = ca.issue("CN=dev-1")
    world.put_tenant("acme", an_anchor(ca))
    assert refusal_of(world, device) is None
    world.put_tenant("acme")
    assert isinstance(refusal_of(world, device), UntrustedIssuer)


def test_explaining_lists_every_check_that_was_made(world: World) -> None:
    ca = make_ca("CN=CA")
    world.put_tenant("acme", an_anchor(ca))
    verdict = world.judge.judge(ca.issue("CN=dev-1").chain_der, None, at=NOON, explain=True)
    assert verdict.checks and all(check.passed for check in verdict.checks)
    stranger = world.judge.judge(make_ca("CN=x").issue("CN=y").chain_der, None, at=NOON, explain=True)
    assert [check.passed for check in stranger.checks][-1] is False


def test_a_root_that_does_not_fit_leaves_the_path_incomplete_or_the_signature_wrong(world: World) -> None:
    world.put_tenant("acme", an_anchor(make_ca("CN=Root")))
    device = make_ca("CN=Root").issue_ca("CN=Lower").issue("CN=dev-1")
    assert isinstance(refusal_of(world, device), (PathIncomplete, SignatureInvalid))


def test_nobody_is_let_in_where_revocation_is_to_be_checked_and_is_not(world: World) -> None:
    ca = make_ca("CN=CA")
    world.put_tenant("acme", replace(an_anchor(ca), revocation=RevocationCheck(enabled=True)))
    assert isinstance(refusal_of(world, ca.issue("CN=dev-1")), RevocationUnchecked)
    world.put_tenant(
        "acme", replace(an_anchor(ca), revocation=RevocationCheck(responder_uri="http://ocsp.example.com"))
    )
    assert world.verdict(ca.issue("CN=dev-1")).anchor is not None
