"""Which chains are accepted, and by which error each of the others is refused."""

from collections.abc import Sequence
from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, padding, rsa

from pki.certificates import parse_certificate
from pki.chains import Authority, PathRules, PathVerdict, authority_of, judge, too_large
from pki.errors import (
    AnchorNotValidNow,
    CertificateExpired,
    CertificateNotYetValid,
    CertificateUnreadable,
    ChainRejected,
    ChainTooLarge,
    CriticalExtensionUnknown,
    ExtendedKeyUsageForbids,
    IssuerNotCa,
    KeyTooWeak,
    KeyUsageForbids,
    NameConstraintViolated,
    NameUnreadable,
    PathIncomplete,
    PathTooLong,
    SignatureInvalid,
    SignatureTooWeak,
)
from tests.support.certificates import NOON, NOT_AFTER, NOT_BEFORE, Issued, make_ca, make_self_signed, new_key
from tests.support.raw_certificates import (
    assemble,
    common_name,
    extension,
    oid,
    public_key_der,
    sequence,
    sign,
    tlv,
)

RULES = PathRules()
DAY = timedelta(days=1)
UNKNOWN = x509.UnrecognizedExtension(x509.ObjectIdentifier("1.2.3.4"), b"\x05\x00")


def judged(
    presented: Issued | Sequence[bytes],
    *anchors: Issued | bytes | Authority,
    at: datetime = NOON,
    rules: PathRules = RULES,
) -> PathVerdict:
    """Judge as a handshake does, and see that an explanation agrees."""
    chain = presented.chain_der if isinstance(presented, Issued) else presented
    authorities = [_authority(anchor) for anchor in anchors]
    verdict = judge([parse_certificate(der) for der in chain], authorities, at=at, rules=rules)
    explained = judge([parse_certificate(der) for der in chain], authorities, at=at, rules=rules, explain=True)
    assert type(explained.fault) is type(verdict.fault)
    assert explained.authority is verdict.authority
    assert verdict.checks == ()
    assert explained.checks
    if verdict.fault is None:  # other paths may have been tried before
        assert all(check.passed for check in explained.checks if check.name != "path")
    else:
        assert str(explained.fault) in {check.detail for check in explained.checks if not check.passed}
    return verdict


def _authority(anchor: Issued | bytes | Authority) -> Authority:
    if isinstance(anchor, Authority):
        return anchor
    return authority_of(anchor.der if isinstance(anchor, Issued) else anchor)


def name_and_key(ca: Issued) -> Authority:
    return replace(authority_of(ca.der), certificate_der=None, subject_der=None)


def assert_refused(verdict: PathVerdict, error: type[ChainRejected], *words: str) -> None:
    assert type(verdict.fault) is error
    assert verdict.authority is None
    for word in words:
        assert word in str(verdict.fault)


@pytest.mark.parametrize("leaf_kind", ["ec256", "ec384", "ed25519", "rsa2048"])
@pytest.mark.parametrize("ca_kind", ["ec256", "ec384", "ed25519", "rsa2048"])
def test_keys_of_every_kind_in_any_mixture(ca_kind: str, leaf_kind: str) -> None:
    ca = make_ca(key=ca_kind)
    authority = authority_of(ca.der)
    verdict = judged(ca.issue("CN=dev", key=leaf_kind), authority)
    assert verdict.fault is None
    assert verdict.authority is authority
    assert [certificate.subject_dn for certificate in verdict.path] == ["CN=dev"]


def test_an_authority_of_name_and_key_only_is_enough() -> None:
    ca = make_ca()
    assert judged(ca.issue("CN=dev"), name_and_key(ca)).fault is None


def test_a_bare_certificate_without_any_extension_is_a_device_like_any_other() -> None:
    ca = make_ca()
    assert judged(ca.issue("CN=dev"), ca).fault is None


@pytest.mark.parametrize("version", [1, 2])
def test_a_leaf_of_an_old_version_is_accepted(version: int) -> None:
    ca = make_ca()
    leaf = assemble(
        subject=common_name("v1"), issuer=ca.certificate.subject.public_bytes(), key=new_key(), signed_by=ca.key,
        version=version, serial=b"\xff",
    )  # fmt: skip
    assert judged([leaf], ca).fault is None


def test_an_impostor_of_the_same_name_is_told_from_a_stranger() -> None:
    trusted, impostor = make_ca(), make_ca()
    assert_refused(judged(impostor.issue("CN=dev"), trusted), SignatureInvalid, "CN=dev", "CN=Test CA")
    assert_refused(judged(make_ca("CN=Other").issue("CN=dev"), trusted), PathIncomplete, "CN=Other", "CN=dev")
    assert_refused(judged(trusted.issue("CN=dev")), PathIncomplete)


def test_a_broken_signature_is_refused() -> None:
    ca = make_ca()
    leaf = bytearray(ca.issue("CN=dev").der)
    leaf[-1] ^= 1
    assert_refused(judged([bytes(leaf)], ca), SignatureInvalid)


@pytest.mark.parametrize("name", ["CN=test ca,O=Tuhono", "CN=Test  CA,O=Tuhono", "O=Tuhono,CN=Test CA"])
def test_another_spelling_of_the_issuer_is_another_issuer(name: str) -> None:
    ca = make_ca("CN=Test CA,O=Tuhono")
    other = replace(name_and_key(ca), subject_dn=name)
    assert_refused(judged(ca.issue("CN=dev"), other), PathIncomplete)


def test_the_string_type_of_a_name_does_not_matter() -> None:
    ca = make_ca("CN=Acme")
    leaf = assemble(subject=common_name("d"), issuer=common_name("Acme", 0x13), key=new_key(), signed_by=ca.key)
    assert judged([leaf], ca).fault is None


class TestValidity:
    """of leaf, intermediates and anchor, both ends included."""

    def test_of_the_leaf(self) -> None:
        ca = make_ca()
        leaf = ca.issue("CN=dev", not_before=NOON, not_after=NOON + DAY)
        assert judged(leaf, ca, at=NOON).fault is None
        assert judged(leaf, ca, at=NOON + DAY).fault is None
        assert_refused(judged(leaf, ca, at=NOON - DAY), CertificateNotYetValid, "CN=dev")
        assert_refused(judged(leaf, ca, at=NOON + DAY + timedelta(seconds=1)), CertificateExpired, "CN=dev")

    def test_an_expired_leaf_is_expired_whoever_issued_it(self) -> None:
        leaf = make_ca("CN=Other").issue("CN=dev", not_after=NOON)
        assert_refused(judged(leaf, make_ca(), at=NOON + DAY), CertificateExpired)

    def test_of_an_intermediate(self) -> None:
        ca = make_ca()
        early = ca.issue_ca("CN=I", not_before=NOON + DAY).issue("CN=dev")
        late = ca.issue_ca("CN=I", not_after=NOON - DAY).issue("CN=dev")
        assert_refused(judged(early, ca), CertificateNotYetValid, "CN=I")
        assert_refused(judged(late, ca), CertificateExpired, "CN=I")

    def test_of_the_anchor(self) -> None:
        late, early = make_ca(not_after=NOON - DAY), make_ca(not_before=NOON + DAY)
        assert_refused(judged(late.issue("CN=dev"), late), AnchorNotValidNow, "CN=Test CA")
        assert_refused(judged(early.issue("CN=dev"), name_and_key(early)), AnchorNotValidNow)

    def test_an_impostor_of_an_expired_anchor_is_an_impostor(self) -> None:
        expired = make_ca(not_after=NOON - DAY)
        assert_refused(judged(make_ca().issue("CN=dev"), expired), SignatureInvalid)


class TestSeveralAuthorities:
    """old and new key side by side, and more."""

    def test_two_of_one_name_both_verify(self) -> None:
        old, new = make_ca(), make_ca()
        for ca in (old, new):
            for order in ([old, new], [new, old]):
                verdict = judged(ca.issue("CN=dev"), *order)
                assert verdict.authority is not None
                assert verdict.authority.public_key_der == ca.public_key_der

    def test_the_valid_one_of_one_key_is_taken(self) -> None:
        key = new_key()
        expired, valid = make_ca(key=key, not_after=NOON - DAY), make_ca(key=key)
        assert judged(valid.issue("CN=dev"), expired, valid).fault is None

    def test_the_fault_is_that_of_the_path_that_came_furthest(self) -> None:
        expired, other = make_ca(not_after=NOON - DAY), make_ca()
        assert_refused(judged(expired.issue("CN=dev"), other, expired), AnchorNotValidNow)
        assert_refused(judged(expired.issue("CN=dev"), expired, other), AnchorNotValidNow)

    def test_the_key_identifier_finds_one_among_many_of_one_name(self) -> None:
        right = make_ca()
        hint = x509.AuthorityKeyIdentifier.from_issuer_public_key(right.key.public_key())
        leaf = right.issue("CN=dev", extensions=[(hint, False)])
        crowd = [make_ca() for _ in range(20)]
        assert judged(leaf, *crowd, right).fault is None
        assert judged(leaf, *map(name_and_key, crowd), name_and_key(right)).fault is None

    def test_the_number_tried_is_bounded(self) -> None:
        right = make_ca()
        crowd = [make_ca() for _ in range(20)]
        assert_refused(judged(right.issue("CN=dev"), *crowd, right), SignatureInvalid)


class TestIntermediates:
    """the device sends them, in any order."""

    def test_a_chain_in_any_order(self) -> None:
        root = make_ca("CN=R")
        leaf = root.issue_ca("CN=A").issue_ca("CN=B").issue_ca("CN=C").issue("CN=dev")
        own, *above = leaf.chain_der
        for order in (above, above[::-1], [above[1], above[0], above[2]]):
            verdict = judged([own, *order], root)
            assert [certificate.subject_dn for certificate in verdict.path] == ["CN=dev", "CN=C", "CN=B", "CN=A"]

    def test_the_nearest_anchor_ends_the_path(self) -> None:
        root = make_ca("CN=R")
        intermediate = root.issue_ca("CN=A")
        verdict = judged(intermediate.issue("CN=dev"), root, intermediate)
        assert verdict.authority is not None
        assert verdict.authority.subject_dn == "CN=A"

    def test_the_root_and_strangers_sent_along_do_no_harm(self) -> None:
        root = make_ca("CN=R")
        leaf = root.issue_ca("CN=A").issue("CN=dev")
        strangers = [make_ca("CN=S").der, make_ca("CN=A").der, leaf.der, root.der]
        assert judged([*leaf.chain_der, *strangers], root).fault is None

    def test_a_missing_one_is_named(self) -> None:
        root = make_ca("CN=R")
        leaf = root.issue_ca("CN=A").issue_ca("CN=B").issue("CN=dev")
        verdict = judged([leaf.chain_der[0], leaf.chain_der[1]], root)
        assert_refused(verdict, PathIncomplete, "CN=A", "CN=B")

    def test_cross_signed_alternatives_are_all_tried(self) -> None:
        one, two = make_ca("CN=One"), make_ca("CN=Two")
        key = new_key()
        by_one, by_two = one.issue_ca("CN=X", key=key), two.issue_ca("CN=X", key=key)
        leaf = by_one.issue("CN=dev")
        for root in (one, two):
            for order in ([by_one.der, by_two.der], [by_two.der, by_one.der]):
                assert judged([leaf.der, *order], root).fault is None

    def test_an_expired_alternative_does_not_spoil_the_valid_one(self) -> None:
        root = make_ca("CN=R")
        key = new_key()
        late, good = root.issue_ca("CN=X", key=key, not_after=NOON - DAY), root.issue_ca("CN=X", key=key)
        assert judged([good.issue("CN=dev").der, late.der, good.der], root).fault is None

    def test_an_intermediate_signed_by_an_impostor(self) -> None:
        leaf = make_ca("CN=R").issue_ca("CN=A").issue("CN=dev")
        assert_refused(judged(leaf, make_ca("CN=R")), SignatureInvalid, "CN=A")

    def test_a_leaf_not_signed_by_its_intermediate(self) -> None:
        root = make_ca("CN=R")
        leaf, other = root.issue_ca("CN=A").issue("CN=dev"), root.issue_ca("CN=A")
        assert_refused(judged([leaf.der, other.der], root), SignatureInvalid, "CN=dev")

    def test_a_knot_of_certificates_signing_one_another_ends(self) -> None:
        keys = [new_key() for _ in range(9)]
        knot = [make_ca("CN=K", key=key).issue_ca("CN=K", key=keys[number - 1]) for number, key in enumerate(keys)]
        leaf = make_ca("CN=K", key=keys[0]).issue("CN=dev")
        assert_refused(judged([leaf.der, *(one.der for one in knot)], make_ca("CN=R")), PathIncomplete)
        assert_refused(judged([leaf.der, *(one.der for one in knot)], make_ca("CN=K")), SignatureInvalid)

    def test_a_key_that_cannot_verify(self) -> None:
        root = make_ca("CN=R")
        spki = sequence(sequence(oid("1.2.840.10040.4.1")), tlv(3, b"\x00\x01"))
        broken = assemble(
            subject=common_name("A"), issuer=common_name("R"), key=new_key(), signed_by=root.key, spki=spki
        )  # fmt: skip
        leaf = make_ca("CN=A").issue("CN=dev")
        assert_refused(judged([leaf.der, broken], root), KeyTooWeak, "CN=A")


class TestSelfSigned:
    """a device certificate registered as its own anchor."""

    @pytest.mark.parametrize("kind", ["ec256", "rsa2048", "ed25519"])
    @pytest.mark.parametrize("ca", [None, False, True])
    def test_vouches_for_itself(self, ca: bool | None, kind: str) -> None:
        device = make_self_signed(ca=ca, key=kind)
        verdict = judged(device, device)
        assert verdict.fault is None
        assert [certificate.der for certificate in verdict.path] == [device.der]

    def test_vouches_by_name_and_key_as_well(self) -> None:
        device = make_self_signed()
        assert judged(device, name_and_key(device)).fault is None

    def test_vouches_for_no_other_without_ca_flag(self) -> None:
        for device in (make_self_signed(ca=False), make_self_signed()):
            assert_refused(judged(device.issue("CN=other"), device), IssuerNotCa, "CN=device")
            renewed = make_self_signed(key=device.key)
            assert_refused(judged(renewed, device), IssuerNotCa)

    def test_another_of_the_same_name_is_an_impostor(self) -> None:
        assert_refused(judged(make_self_signed(), make_self_signed()), SignatureInvalid)

    def test_keeps_the_rules_of_a_device(self) -> None:
        server = make_self_signed(eku=["serverAuth"])
        assert_refused(judged(server, server), ExtendedKeyUsageForbids)
        odd = make_self_signed(extensions=[(UNKNOWN, True)])
        assert_refused(judged(odd, odd), CriticalExtensionUnknown)
        weak = make_self_signed(key="rsa1024")
        assert_refused(judged(weak, weak), KeyTooWeak)
        late = make_self_signed(not_after=NOON - DAY)
        assert_refused(judged(late, late), CertificateExpired)

    def test_the_digest_of_its_own_signature_proves_nothing_and_is_not_judged(self) -> None:
        key = new_key("rsa2048")
        device = assemble(subject=common_name("d"), issuer=common_name("d"), key=key, signed_by=key, digest="sha1")
        assert judged([device], device).fault is None

    def test_one_issued_by_a_ca_is_not_its_own_anchor(self) -> None:
        leaf = make_ca().issue("CN=dev")
        assert_refused(judged(leaf, leaf), PathIncomplete)


class TestIssuers:
    """CA flag, version, path length, key usage."""

    @pytest.mark.parametrize("flag", [None, False])
    def test_an_intermediate_needs_the_ca_flag(self, flag: bool | None) -> None:
        root = make_ca("CN=R")
        assert_refused(judged(root.issue("CN=A", ca=flag).issue("CN=dev"), root), IssuerNotCa, "CN=A", "CN=dev")

    @pytest.mark.parametrize("flag", [None, False])
    def test_an_anchor_given_as_certificate_needs_it_too(self, flag: bool | None) -> None:
        ca = make_ca(ca=flag, key_usage=None)
        assert_refused(judged(ca.issue("CN=dev"), ca), IssuerNotCa)
        assert judged(ca.issue("CN=dev"), name_and_key(ca)).fault is None

    def test_an_anchor_of_version_1_may_issue_and_an_intermediate_may_not(self) -> None:
        key = new_key()
        anchor = assemble(subject=common_name("Old"), issuer=common_name("Old"), key=key, signed_by=key, version=1)
        issuer = Issued(certificate=x509.load_der_x509_certificate(anchor), key=key)
        assert judged([issuer.issue("CN=dev").der], anchor).fault is None
        root = make_ca("CN=R")
        middle = assemble(subject=common_name("Old"), issuer=common_name("R"), key=key, signed_by=root.key, version=1)
        assert_refused(judged([issuer.issue("CN=dev").der, middle], root), IssuerNotCa, "CN=Old")

    @pytest.mark.parametrize(("length", "accepted"), [(0, False), (1, False), (2, True), (3, True), (None, True)])
    def test_path_length_of_the_anchor(self, length: int | None, accepted: bool) -> None:
        root = make_ca("CN=R", path_length=length)
        leaf = root.issue_ca("CN=A").issue_ca("CN=B").issue("CN=dev")
        verdict = judged(leaf, root)
        if accepted:
            assert verdict.fault is None
        else:
            assert_refused(verdict, PathTooLong, "CN=R")

    def test_path_length_of_an_intermediate(self) -> None:
        root = make_ca("CN=R")
        assert judged(root.issue_ca("CN=A", path_length=0).issue("CN=dev"), root).fault is None
        leaf = root.issue_ca("CN=A", path_length=0).issue_ca("CN=B").issue("CN=dev")
        assert_refused(judged(leaf, root), PathTooLong, "CN=A")

    def test_self_issued_intermediates_do_not_count(self) -> None:
        root = make_ca("CN=R", path_length=0)
        rolled = root.issue_ca("CN=R")
        assert judged([rolled.issue("CN=dev").der, rolled.der], root).fault is None

    def test_key_usage_of_issuers(self) -> None:
        root = make_ca("CN=R")
        leaf = root.issue_ca("CN=A", key_usage=["cRLSign"]).issue("CN=dev")
        assert_refused(judged(leaf, root), KeyUsageForbids, "CN=A")
        assert judged(root.issue_ca("CN=A", key_usage=None).issue("CN=dev"), root).fault is None
        crl_only = make_ca(key_usage=["cRLSign"])
        assert_refused(judged(crl_only.issue("CN=dev"), crl_only), KeyUsageForbids, "CN=Test CA")

    def test_an_anchor_whose_certificate_cannot_be_read(self) -> None:
        ca = make_ca()
        broken = replace(authority_of(ca.der), certificate_der=ca.der[:-1])
        assert_refused(judged(ca.issue("CN=dev"), broken), CertificateUnreadable, "CN=Test CA")

    def test_an_anchor_whose_key_cannot_be_read(self) -> None:
        ca = make_ca()
        broken = replace(name_and_key(ca), public_key_der=b"nonsense")
        assert_refused(judged(ca.issue("CN=dev"), broken), KeyTooWeak, "CN=Test CA")


class TestUsage:
    """what the certificate says it is for."""

    def test_key_usage_of_the_leaf(self) -> None:
        ca = make_ca()
        assert judged(ca.issue("CN=dev", key_usage=["digitalSignature"]), ca).fault is None
        for usage in (["keyAgreement"], ["keyEncipherment", "keyCertSign"]):
            assert_refused(judged(ca.issue("CN=dev", key_usage=usage), ca), KeyUsageForbids, "digitalSignature")

    @pytest.mark.parametrize("purposes", [["clientAuth"], ["anyExtendedKeyUsage"], ["serverAuth", "clientAuth"]])
    def test_extended_key_usage_that_allows_clients(self, purposes: list[str]) -> None:
        ca = make_ca()
        assert judged(ca.issue("CN=dev", eku=purposes), ca).fault is None
        assert judged(ca.issue_ca("CN=A", eku=purposes).issue("CN=dev"), ca).fault is None

    @pytest.mark.parametrize("purposes", [["serverAuth"], ["codeSigning"], ["1.2.3.4"]])
    def test_extended_key_usage_that_does_not(self, purposes: list[str]) -> None:
        ca = make_ca()
        assert_refused(judged(ca.issue("CN=dev", eku=purposes), ca), ExtendedKeyUsageForbids, "CN=dev")
        assert_refused(judged(ca.issue_ca("CN=A", eku=purposes).issue("CN=dev"), ca), ExtendedKeyUsageForbids, "CN=A")

    def test_extended_key_usage_of_the_anchor_is_not_asked(self) -> None:
        ca = make_ca(eku=["serverAuth"])
        assert judged(ca.issue("CN=dev"), ca).fault is None

    @pytest.mark.parametrize("content", [b"\x30\x00", b"", b"\x30\x02\x05\x00"])
    def test_an_empty_or_unreadable_extended_key_usage(self, content: bytes) -> None:
        ca = make_ca()
        odd = x509.UnrecognizedExtension(x509.ObjectIdentifier("2.5.29.37"), content)
        assert_refused(judged(ca.issue("CN=dev", extensions=[(odd, False)]), ca), ExtendedKeyUsageForbids)

    def test_unknown_critical_extensions_anywhere(self) -> None:
        root = make_ca("CN=R")
        critical = [(UNKNOWN, True)]
        assert_refused(judged(root.issue("CN=dev", extensions=critical), root), CriticalExtensionUnknown, "1.2.3.4")
        middle = root.issue_ca("CN=A", extensions=critical).issue("CN=dev")
        assert_refused(judged(middle, root), CriticalExtensionUnknown, "CN=A")
        anchor = make_ca("CN=R", extensions=critical)
        assert_refused(judged(anchor.issue("CN=dev"), anchor), CriticalExtensionUnknown, "CN=R")
        assert judged(root.issue("CN=dev", extensions=[(UNKNOWN, False)]), root).fault is None

    def test_alternative_names_with_control_characters(self) -> None:
        ca = make_ca()
        leaf = ca.issue("CN=dev", san=["dns:a\r\nb"])
        assert_refused(judged(leaf, ca), NameUnreadable, "CN=dev")

    def test_thousands_of_alternative_names(self) -> None:
        ca = make_ca()
        content = sequence(b"\x82\x00" * 49_000)
        many = x509.UnrecognizedExtension(x509.ObjectIdentifier("2.5.29.17"), content)
        assert_refused(judged(ca.issue("CN=dev", extensions=[(many, False)]), ca), NameUnreadable, "CN=dev")


class TestStrength:
    """weak keys and digests, each by a setting of its own."""

    def test_short_rsa_keys_anywhere(self) -> None:
        ca = make_ca()
        assert_refused(judged(ca.issue("CN=dev", key="rsa1024"), ca), KeyTooWeak, "1024", "CN=dev")
        assert_refused(judged(ca.issue_ca("CN=A", key="rsa1024").issue("CN=dev"), ca), KeyTooWeak, "CN=A")
        weak = make_ca(key="rsa1024")
        assert_refused(judged(weak.issue("CN=dev"), weak), KeyTooWeak, "CN=Test CA")
        assert_refused(judged(weak.issue("CN=dev"), name_and_key(weak)), KeyTooWeak)
        assert judged(weak.issue("CN=dev", key="rsa1024"), weak, rules=PathRules(rsa_min_bits=1024)).fault is None

    @pytest.mark.parametrize(("digest", "kind"), [("sha1", "rsa2048"), ("sha1", "ec256"), ("md5", "rsa2048")])
    def test_weak_digests_below_the_anchor(self, digest: str, kind: str) -> None:
        key = new_key(kind)
        ca = make_ca("CN=R", key=key)
        leaf = assemble(subject=common_name("d"), issuer=common_name("R"), key=new_key(), signed_by=key, digest=digest)
        assert_refused(judged([leaf], ca), SignatureTooWeak, "CN=d")
        allowed = PathRules(allow_sha1=digest == "sha1", allow_md5=digest == "md5")
        assert judged([leaf], ca, rules=allowed).fault is None
        other = PathRules(allow_sha1=digest != "sha1", allow_md5=digest != "md5")
        assert_refused(judged([leaf], ca, rules=other), SignatureTooWeak)

    def test_a_weak_digest_of_an_intermediate(self) -> None:
        root, key = make_ca("CN=R", key="rsa2048"), new_key()
        basic = extension("2.5.29.19", sequence(tlv(1, b"\xff")), critical=True)
        middle = assemble(
            subject=common_name("A"), issuer=common_name("R"), key=key, signed_by=root.key, digest="sha1",
            extensions=[basic],
        )  # fmt: skip
        leaf = make_ca("CN=A", key=key).issue("CN=dev")
        assert_refused(judged([leaf.der, middle], root), SignatureTooWeak, "CN=A")
        assert judged([leaf.der, middle], root, rules=PathRules(allow_sha1=True)).fault is None

    def test_the_digest_of_the_anchor_itself_does_not_matter(self) -> None:
        key = new_key("rsa2048")
        basic = extension("2.5.29.19", sequence(tlv(1, b"\xff")), critical=True)
        anchor = assemble(
            subject=common_name("R"), issuer=common_name("R"), key=key, signed_by=key, digest="md5", extensions=[basic]
        )
        assert judged(make_ca("CN=R", key=key).issue("CN=dev"), anchor).fault is None

    def test_an_unknown_signature_algorithm(self) -> None:
        ca, key = make_ca("CN=R"), new_key()
        leaf = bytearray(assemble(subject=common_name("d"), issuer=common_name("R"), key=key, signed_by=ca.key))
        known, unknown = bytes.fromhex("2a8648ce3d040302"), bytes.fromhex("2a8648ce3d04037f")
        assert_refused(judged([bytes(leaf).replace(known, unknown)], ca), SignatureTooWeak, "1.2.840.10045.4.3.127")

    def test_two_voices_about_the_algorithm(self) -> None:
        ca = make_ca("CN=R")
        leaf = assemble(
            subject=common_name("d"), issuer=common_name("R"), key=new_key(), signed_by=ca.key,
            outer_algorithm=sequence(oid("1.2.840.10045.4.3.3")),
        )  # fmt: skip
        assert_refused(judged([leaf], ca), SignatureInvalid)

    def test_explicit_curves_anywhere(self) -> None:
        ca, key = make_ca("CN=R"), new_key()
        spki = explicit(key)
        leaf = assemble(subject=common_name("d"), issuer=common_name("R"), key=key, signed_by=ca.key, spki=spki)
        assert_refused(judged([leaf], ca), KeyTooWeak, "explicit")
        assert judged([leaf], ca, rules=PathRules(allow_explicit_curves=True)).fault is None
        anchor = replace(name_and_key(make_ca("CN=R", key=key)), public_key_der=spki)
        below = make_ca("CN=R", key=key).issue("CN=dev")
        assert_refused(judged(below, anchor), KeyTooWeak)
        assert judged(below, anchor, rules=PathRules(allow_explicit_curves=True)).fault is None

    @pytest.mark.parametrize("curve", [ec.SECP192R1(), ec.SECP224R1()])
    def test_curves_of_too_few_bits(self, curve: ec.EllipticCurve) -> None:
        dotted = {"secp192r1": "1.2.840.10045.3.1.1", "secp224r1": "1.3.132.0.33"}[curve.name]
        ca = make_ca("CN=R")
        spki = sequence(sequence(oid("1.2.840.10045.2.1"), oid(dotted)), tlv(3, b"\x00\x04" + b"\x01" * 56))
        leaf = assemble(subject=common_name("d"), issuer=common_name("R"), key=new_key(), signed_by=ca.key, spki=spki)
        assert_refused(judged([leaf], ca), KeyTooWeak, dotted)

    def test_keys_of_kinds_nobody_accepts(self) -> None:
        ca = make_ca("CN=R")
        for spki in (sequence(sequence(oid("1.2.840.10040.4.1")), tlv(3, b"\x00\x01")), sequence()):
            leaf = assemble(
                subject=common_name("d"), issuer=common_name("R"), key=new_key(), signed_by=ca.key, spki=spki
            )
            assert_refused(judged([leaf], ca), KeyTooWeak, "CN=d")


def explicit(key: object) -> bytes:
    """The key with P-256 spelled out instead of named."""
    assert isinstance(key, ec.EllipticCurvePrivateKey)
    p = "ffffffff00000001000000000000000000000000ffffffffffffffffffffffff"
    a = "ffffffff00000001000000000000000000000000fffffffffffffffffffffffc"
    b = "5ac635d8aa3a93e7b3ebbd55769886bc651d06b0cc53b0f63bce3c3e27d2604b"
    g = (
        "046b17d1f2e12c4247f8bce6e563a440f277037d812deb33a0f4a13945d898c296"
        "4fe342e2fe1a7f9b8ee7eb4a7c0f9e162bce33576b315ececbb6406837bf51f5"
    )
    n = "ffffffff00000000ffffffffffffffffbce6faada7179e84f3b9cac2fc632551"
    curve = sequence(
        tlv(2, b"\x01"),
        sequence(oid("1.2.840.10045.1.1"), tlv(2, b"\x00" + bytes.fromhex(p))),
        sequence(tlv(4, bytes.fromhex(a)), tlv(4, bytes.fromhex(b))),
        tlv(4, bytes.fromhex(g)),
        tlv(2, b"\x00" + bytes.fromhex(n)),
        tlv(2, b"\x01"),
    )
    return sequence(sequence(oid("1.2.840.10045.2.1"), curve), public_key_der(key)[-68:])


class TestPss:
    """RSASSA-PSS, whose parameters decide how strong it is."""

    @staticmethod
    def leaf(ca_key: rsa.RSAPrivateKey, parameters: bytes, scheme: padding.PSS, digest: hashes.HashAlgorithm) -> bytes:
        algorithm = sequence(oid("1.2.840.113549.1.1.10"), parameters)
        times = tlv(0x17, b"200101000000Z") + tlv(0x17, b"400101000000Z")
        signed = sequence(
            tlv(0xA0, tlv(2, b"\x02")), tlv(2, b"\x01"), algorithm, common_name("R"), sequence(times), common_name("d"),
            public_key_der(new_key()),
        )  # fmt: skip
        return sequence(signed, algorithm, tlv(3, b"\x00", ca_key.sign(signed, scheme, digest)))

    @staticmethod
    def parameters(digest: str, mask: str, salt: bytes, trailer: bytes = b"") -> bytes:
        mgf = sequence(oid("1.2.840.113549.1.1.8"), sequence(oid(mask), b"\x05\x00"))
        return sequence(tlv(0xA0, sequence(oid(digest), b"\x05\x00")), tlv(0xA1, mgf), tlv(0xA2, tlv(2, salt)), trailer)

    def test_with_strong_parameters(self) -> None:
        key = new_key("rsa2048")
        assert isinstance(key, rsa.RSAPrivateKey)
        ca, digest = make_ca("CN=R", key=key), hashes.SHA256()
        scheme = padding.PSS(padding.MGF1(digest), 32)
        sha256 = "2.16.840.1.101.3.4.2.1"
        trailer = tlv(0xA3, tlv(2, b"\x01"))
        assert judged([self.leaf(key, self.parameters(sha256, sha256, b"\x20"), scheme, digest)], ca).fault is None
        good = self.leaf(key, self.parameters(sha256, sha256, b"\x20", trailer), scheme, digest)
        assert judged([good], ca).fault is None
        other_salt = self.leaf(key, self.parameters(sha256, sha256, b"\x21"), scheme, digest)
        assert_refused(judged([other_salt], ca), SignatureInvalid)

    def test_with_weak_or_strange_parameters(self) -> None:
        key = new_key("rsa2048")
        assert isinstance(key, rsa.RSAPrivateKey)
        ca, digest = make_ca("CN=R", key=key), hashes.SHA1()
        scheme = padding.PSS(padding.MGF1(digest), 20)
        defaults = self.leaf(key, sequence(), scheme, digest)
        assert_refused(judged([defaults], ca), SignatureTooWeak, "rsassaPss")
        assert judged([defaults], ca, rules=PathRules(allow_sha1=True)).fault is None
        sha256, unknown = "2.16.840.1.101.3.4.2.1", "1.2.3"
        for strange in (
            self.parameters(unknown, sha256, b"\x20"),
            self.parameters(sha256, unknown, b"\x20"),
            self.parameters(sha256, sha256, b"\x7f\xff"),
            sequence(tlv(0xA1, sequence(oid("1.2.3")))),
        ):
            assert_refused(judged([self.leaf(key, strange, scheme, digest)], ca), SignatureTooWeak)
        for broken in (sequence(tlv(0xA4)), sequence(tlv(0xA3, tlv(2, b"\x02"))), b""):
            assert_refused(judged([self.leaf(key, broken, scheme, digest)], ca), SignatureInvalid)


class TestSize:
    """refused before anything else is looked at."""

    def test_number_of_certificates(self) -> None:
        ca = make_ca()
        leaf = ca.issue("CN=dev").der
        assert judged([leaf] * 10, ca).fault is None
        assert_refused(judged([leaf] * 11, ca), ChainTooLarge, "11")

    def test_bytes(self) -> None:
        ca = make_ca()
        leaf = ca.issue("CN=dev").der
        assert judged([leaf], ca, rules=PathRules(chain_max_bytes=len(leaf))).fault is None
        assert_refused(judged([leaf], ca, rules=PathRules(chain_max_bytes=len(leaf) - 1)), ChainTooLarge)
        assert too_large([leaf], RULES) is None

    def test_subject_in_characters(self) -> None:
        ca = make_ca("CN=R")
        for chars, error in ((4093, None), (4094, ChainTooLarge)):
            leaf = assemble(subject=common_name("é" * chars), issuer=common_name("R"), key=new_key(), signed_by=ca.key)
            verdict = judged([leaf], ca)
            assert (type(verdict.fault) if verdict.fault else None) is error
            assert len(str(verdict.fault)) < 300


def test_name_constraints_bind_what_is_below() -> None:
    constraints = x509.NameConstraints([x509.DNSName("example.com")], None)
    ca = make_ca("CN=R", extensions=[(constraints, True)])
    assert judged(ca.issue("CN=dev", san=["dns:a.example.com"]), ca).fault is None
    refused = judged(ca.issue("CN=dev", san=["dns:a.example.org"]), ca)
    assert_refused(refused, NameConstraintViolated, "CN=dev", "CN=R", "a.example.org")
    assert judged(ca.issue("CN=dev", san=["dns:a.example.org"]), name_and_key(ca)).fault is None

    root = make_ca("CN=R")
    middle = root.issue_ca("CN=A", extensions=[(constraints, True)])
    assert_refused(judged(middle.issue("CN=dev", san=["dns:a.example.org"]), root), NameConstraintViolated, "CN=A")
    below = middle.issue("CN=B", ca=True, san=["dns:x.example.org"]).issue("CN=dev")
    assert_refused(judged(below, root), NameConstraintViolated, "CN=B")


def test_a_self_issued_intermediate_is_free_of_name_constraints() -> None:
    constraints = x509.NameConstraints(None, [x509.DirectoryName(x509.Name.from_rfc4514_string("CN=R"))])
    ca = make_ca("CN=R", extensions=[(constraints, True)])
    rolled = ca.issue_ca("CN=R")
    assert judged([rolled.issue("CN=dev").der, rolled.der], ca).fault is None


def test_name_constraints_nobody_can_read_refuse_everything() -> None:
    odd = x509.UnrecognizedExtension(x509.ObjectIdentifier("2.5.29.30"), b"\x30\x00")
    ca = make_ca("CN=R", extensions=[(odd, True)])
    assert_refused(judged(ca.issue("CN=dev"), ca), NameConstraintViolated, "CN=R")


def test_every_refusal_has_a_code_of_its_own() -> None:
    def below(error: type[ChainRejected]) -> set[type[ChainRejected]]:
        return {error}.union(*map(below, error.__subclasses__()))

    errors = below(ChainRejected)
    assert len({error.code for error in errors}) == len(errors)


def test_an_explanation_shows_every_check_and_not_only_the_first_that_failed() -> None:
    ca = make_ca()
    leaf = ca.issue("CN=dev", key="rsa1024", eku=["serverAuth"], not_after=NOON - DAY)
    verdict = judge([parse_certificate(leaf.der)], [authority_of(ca.der)], at=NOON, rules=RULES, explain=True)
    assert {check.name for check in verdict.checks if not check.passed} == {
        "path", "validity", "key-strength", "extended-key-usage",
    }  # fmt: skip
    assert "signature" in {check.name for check in verdict.checks if check.passed}


def test_authorities_are_made_of_certificates() -> None:
    ca = make_ca("CN=A,O=B")
    authority = authority_of(ca.der)
    assert authority.subject_dn == "CN=A,O=B"
    assert authority.subject_der == ca.certificate.subject.public_bytes()
    assert authority.public_key_der == ca.public_key_der
    assert (authority.not_before, authority.not_after) == (NOT_BEFORE, NOT_AFTER)
    assert authority == authority_of(ca.der)
    assert authority.is_valid_at(datetime(2030, 1, 1, tzinfo=UTC))
    with pytest.raises(CertificateUnreadable):
        authority_of(b"nonsense")


def test_signing_helpers_sign() -> None:
    key = new_key("ed25519")
    assert len(sign(key, b"x", "sha256")) == 64
