"""What is read of a certificate, and which bytes are none."""

import tracemalloc
from collections.abc import Callable
from datetime import UTC, datetime

import pytest
from cryptography import x509

from pki import der
from pki.certificates import Certificate, CertificateCache, parse_certificate
from pki.errors import CertificateUnreadable, KeyTooLarge, NameUnreadable
from pki.extensions import DNS_NAME, IP_NAME
from pki.keys import EXPLICIT_CURVE, IssuerKey, KeyFacts, read_key_facts
from tests.support.certificates import NOT_AFTER, NOT_BEFORE, Issued, make_ca, make_self_signed, new_key
from tests.support.raw_certificates import (
    assemble,
    common_name,
    extension,
    oid,
    public_key_der,
    rdn,
    sequence,
    tlv,
    utc_time,
)

BASIC, USAGE, PURPOSES, ALTERNATIVE = "2.5.29.19", "2.5.29.15", "2.5.29.37", "2.5.29.17"
SUBJECT_KEY, AUTHORITY_KEY, CONSTRAINTS = "2.5.29.14", "2.5.29.35", "2.5.29.30"
KEY = new_key()
NAME = common_name("x")


def made(**parts: object) -> bytes:
    return assemble(**{"subject": NAME, "issuer": NAME, "key": KEY, "signed_by": KEY} | parts)  # type: ignore[arg-type]


def with_extension(type_: str, content: bytes) -> Certificate:
    return parse_certificate(made(extensions=[extension(type_, content)]))


def test_every_member_says_what_cryptography_says() -> None:
    issued = make_ca().issue(
        "CN=dev1,OU=u,O=Tuhono",
        san=["dns:a.example", "uri:urn:x:1", "email:a@b.example", "ip:10.0.0.1"],
        key_usage=["digitalSignature"],
        eku=["clientAuth"],
        ca=False,
    )
    certificate = parse_certificate(issued.der)
    assert certificate.der == issued.der
    assert certificate.version == 3
    assert certificate.subject_dn == "CN=dev1,OU=u,O=Tuhono"
    assert certificate.issuer_dn == "CN=Test CA,O=Tuhono"
    assert certificate.subject_der == issued.certificate.subject.public_bytes()
    assert certificate.issuer_der == issued.certificate.issuer.public_bytes()
    assert int(certificate.serial_hex, 16) == issued.certificate.serial_number
    assert (certificate.not_before, certificate.not_after) == (NOT_BEFORE, NOT_AFTER)
    assert certificate.public_key_der == issued.public_key_der
    assert certificate.signature_algorithm == "ecdsa-with-SHA256"
    assert (certificate.is_ca, certificate.is_self_issued) == (False, False)
    assert certificate.san_dns == ("a.example",)
    assert certificate.san_uris == ("urn:x:1",)
    assert str(certificate.subject) == certificate.subject_dn
    assert certificate.subject is certificate.subject
    assert len(certificate.fingerprint_hex) == 64
    assert certificate.fingerprint_hex in repr(certificate)


@pytest.mark.parametrize(
    ("kind", "key_type", "bits"),
    [("ec256", "EC", 256), ("ec384", "EC", 384), ("ed25519", "Ed25519", 256), ("rsa1024", "RSA", 1024)],
)
def test_kind_and_size_of_keys(kind: str, key_type: str, bits: int) -> None:
    certificate = parse_certificate(make_self_signed(key=kind).der)
    assert (certificate.key_type, certificate.key_bits) == (key_type, bits)
    assert certificate.is_signed_with(certificate.issuer_key)


def test_certificates_are_equal_where_their_der_is() -> None:
    one, same, other = make_ca().der, None, make_ca().der
    same = parse_certificate(one)
    assert parse_certificate(one) == same
    assert hash(parse_certificate(one)) == hash(same)
    assert parse_certificate(other) != same
    assert same != one


@pytest.mark.parametrize("version", [1, 2])
def test_old_versions_are_read_and_have_no_extensions(version: int) -> None:
    certificate = parse_certificate(made(version=version))
    assert certificate.version == version
    assert certificate.extensions == {}
    assert not certificate.is_ca


def test_unique_identifiers_are_passed_over() -> None:
    ids = tlv(0x81, b"\x00a") + tlv(0x82, b"\x00b")
    assert parse_certificate(made(version=2, rest=ids)).version == 2
    assert parse_certificate(made(rest=ids, extensions=[extension(BASIC, sequence())])).basic_constraints == (
        False,
        None,
    )


@pytest.mark.parametrize(
    ("serial", "shown"),
    [
        (b"\x00", "0"),
        (b"\xff", "ff"),
        (b"\x00\xff", "ff"),
        (b"\x0a", "a"),
        (b"\x00\x00\x01", "1"),
        (b"\x80\x00", "8000"),
    ],
)
def test_any_serial_number_is_shown_without_sign(serial: bytes, shown: str) -> None:
    assert parse_certificate(made(serial=serial)).serial_hex == shown


@pytest.mark.parametrize(
    ("encoded", "moment"),
    [
        (utc_time("491231235959Z"), datetime(2049, 12, 31, 23, 59, 59, tzinfo=UTC)),
        (utc_time("500101000000Z"), datetime(1950, 1, 1, tzinfo=UTC)),
        (tlv(0x18, b"20200229120000Z"), datetime(2020, 2, 29, 12, tzinfo=UTC)),
        (tlv(0x18, b"99991231235959Z"), datetime(9999, 12, 31, 23, 59, 59, tzinfo=UTC)),
    ],
)
def test_times_of_both_kinds_are_read(encoded: bytes, moment: datetime) -> None:
    assert parse_certificate(made(not_after=encoded)).not_after == moment


@pytest.mark.parametrize(
    "encoded",
    [
        utc_time("2001010000Z"),
        utc_time("200101000000+"),
        utc_time("20010100000aZ"),
        utc_time("200230000000Z"),
        tlv(0x18, b"00000101000000Z"),
        tlv(0x18, b"20200101000000.0Z"),
        tlv(0x18, b"200101000000Z"),
        tlv(0x16, b"20200101000000Z"),
        tlv(0x17),
        tlv(0x18, "2020010100000١Z".encode())[:17],
    ],
)
def test_times_of_any_other_form_are_refused(encoded: bytes) -> None:
    with pytest.raises(CertificateUnreadable):
        parse_certificate(made(not_before=encoded))


@pytest.mark.parametrize(
    "der_bytes",
    [
        b"",
        b"\x30\x00",
        b"not a certificate",
        made() + b"\x00",
        made()[:-1],
        made(serial=b""),
        made(version=4),
        made(rest=tlv(0x84, b"")),
        made(rest=tlv(0x82, b"\x00") + tlv(0x81, b"\x00"), version=2),
        made(version=1, extensions=[extension(BASIC, sequence())]),
        made(version=2, extensions=[extension(BASIC, sequence())]),
        made(rest=tlv(0xA3, sequence()), extensions=[]),
        made(not_after=utc_time("400101000000Z") * 2),
        made(extensions=[extension(BASIC, sequence())] * 2),
        made(extensions=[sequence(oid(BASIC))]),
        made(extensions=[sequence(oid(BASIC), tlv(0x01, b"\x01"), tlv(0x04))]),
        made(extensions=[sequence(oid(BASIC), tlv(0x01), tlv(0x04))]),
        made(extensions=[sequence(oid(BASIC), tlv(0x04), tlv(0x04))]),
        made(extensions=[sequence(oid(BASIC), tlv(0x0C))]),
        made(extensions=[extension(f"1.2.{number}", b"") for number in range(257)]),
    ],
    ids=lambda _: "bytes",
)
def test_bytes_that_are_no_certificate_are_refused(der_bytes: bytes) -> None:
    with pytest.raises(CertificateUnreadable):
        parse_certificate(der_bytes)


def test_a_signature_is_a_whole_number_of_octets() -> None:
    certificate = bytearray(made())
    unused_bits = certificate.rindex(b"\x00\x30")
    certificate[unused_bits] = 1
    with pytest.raises(CertificateUnreadable):
        parse_certificate(bytes(certificate))


@pytest.mark.parametrize("place", ["subject", "issuer"])
def test_a_name_with_control_characters_is_refused_by_its_own_error(place: str) -> None:
    with pytest.raises(NameUnreadable):
        parse_certificate(made(**{place: common_name("a\x00b")}))


def test_an_explicit_false_and_an_explicit_version_one_are_no_fault() -> None:
    not_critical = sequence(oid(BASIC), tlv(0x01, b"\x00"), tlv(0x04, sequence()))
    assert not parse_certificate(made(extensions=[not_critical])).extensions[der.oid_content(BASIC)].critical


@pytest.mark.parametrize(
    ("content", "constraints"),
    [
        (sequence(), (False, None)),
        (sequence(tlv(1, b"\x00")), (False, None)),
        (sequence(tlv(1, b"\xff")), (True, None)),
        (sequence(tlv(1, b"\xff"), tlv(2, b"\x00")), (True, 0)),
        (sequence(tlv(1, b"\xff"), tlv(2, b"\x01\x00")), (True, 256)),
    ],
)
def test_basic_constraints(content: bytes, constraints: tuple[bool, int | None]) -> None:
    certificate = with_extension(BASIC, content)
    assert certificate.basic_constraints == constraints
    assert certificate.is_ca is constraints[0]
    assert certificate.unknown_critical is None


@pytest.mark.parametrize(
    "content",
    [
        b"",
        sequence(tlv(1, b"\x01")),
        sequence(tlv(1, b"\xff"), tlv(2, b"\xff")),
        sequence(tlv(1, b"\xff"), tlv(2)),
        sequence(tlv(1, b"\xff"), tlv(2, b"\x01\x00\x00\x00\x00")),
        sequence(tlv(1, b"\xff"), tlv(2, b"\x01"), tlv(2, b"\x01")),
        sequence() + b"\x00",
    ],
)
def test_basic_constraints_nobody_can_read_make_no_ca(content: bytes) -> None:
    certificate = with_extension(BASIC, content)
    assert not certificate.is_ca
    assert certificate.unknown_critical == BASIC


def test_key_usage_bits() -> None:
    assert with_extension(USAGE, b"\x03\x02\x07\x80").key_usage == 1
    assert with_extension(USAGE, b"\x03\x02\x01\x06").key_usage == 1 << 5 | 1 << 6
    assert with_extension(USAGE, b"\x03\x03\x07\x00\x80").key_usage == 1 << 8
    assert parse_certificate(made()).key_usage is None


@pytest.mark.parametrize(
    "content", [b"", b"\x03\x01\x00", b"\x03\x02\x08\x80", b"\x03\x04\x00\x80\x80\x80", b"\x02\x01\x80"]
)
def test_key_usage_nobody_can_read_allows_nothing(content: bytes) -> None:
    assert with_extension(USAGE, content).key_usage == 0


@pytest.mark.parametrize(
    "content", [b"", sequence(), sequence(tlv(6)), sequence(tlv(6, b"\x80")), sequence(tlv(5)), sequence() + b"\x00"]
)
def test_extended_key_usage_nobody_can_read_allows_nothing(content: bytes) -> None:
    assert with_extension(PURPOSES, content).purposes == frozenset()


@pytest.mark.parametrize(
    "content",
    [
        b"",
        sequence(),
        sequence(tlv(2, b"\x01")),
        sequence(tlv(0x82, b"a\x00b")),
        sequence(tlv(0x82, b"a\r\nb")),
        sequence(tlv(0x86, b"\xc3\xa9")),
        sequence(tlv(0x81, b"\x7f")),
    ],
)
def test_alternative_names_nobody_can_read_are_none(content: bytes) -> None:
    certificate = with_extension(ALTERNATIVE, content)
    assert certificate.alternative_names is None
    assert (certificate.san_dns, certificate.san_uris) == ((), ())


def test_alternative_names_keep_their_order() -> None:
    content = sequence(tlv(DNS_NAME, b"b"), tlv(IP_NAME, b"\x00\x01\xff\x80"), tlv(DNS_NAME, b"a"))
    assert with_extension(ALTERNATIVE, content).san_dns == ("b", "a")


def test_key_identifiers_are_hints_and_broken_ones_no_fault() -> None:
    assert with_extension(SUBJECT_KEY, tlv(4, b"id")).subject_key_id == b"id"
    assert with_extension(SUBJECT_KEY, b"").subject_key_id is None
    assert with_extension(AUTHORITY_KEY, sequence(tlv(0x80, b"id"))).authority_key_id == b"id"
    assert with_extension(AUTHORITY_KEY, sequence(tlv(0x82, b"\x01"))).authority_key_id is None
    assert with_extension(AUTHORITY_KEY, b"\x00").authority_key_id is None
    assert parse_certificate(made()).subject_key_id is parse_certificate(made()).authority_key_id is None


def test_an_unknown_critical_extension_is_named() -> None:
    assert parse_certificate(made(extensions=[extension("1.2.3.4", b"", critical=True)])).unknown_critical == "1.2.3.4"
    assert parse_certificate(made(extensions=[extension("1.2.3.4", b"")])).unknown_critical is None
    odd = sequence(tlv(6, b"\x80"), tlv(1, b"\xff"), tlv(4))
    assert parse_certificate(made(extensions=[odd])).unknown_critical == "#80"


def test_policies_that_nobody_asks_for_may_be_critical() -> None:
    policies = extension("2.5.29.32", sequence(sequence(oid("2.23.140.1.2.1"))), critical=True)
    assert parse_certificate(made(extensions=[policies])).unknown_critical is None


def test_two_voices_about_the_algorithm_are_none() -> None:
    certificate = parse_certificate(made(outer_algorithm=sequence(oid("1.2.840.10045.4.3.3"))))
    assert certificate.algorithm is None
    assert certificate.signature_algorithm == "unreadable"
    assert not certificate.is_signed_with(certificate.issuer_key)


@pytest.mark.parametrize(
    ("spki", "facts"),
    [
        (sequence(sequence(oid("1.2.840.10040.4.1")), tlv(3, b"\x00\x01")), KeyFacts("1.2.840.10040.4.1", 0)),
        (sequence(sequence(oid("1.3.101.113")), tlv(3, b"\x00" + b"k" * 57)), KeyFacts("Ed448", 456)),
        (
            sequence(sequence(oid("1.2.840.10045.2.1"), oid("1.3.132.0.33")), tlv(3, b"\x00")),
            KeyFacts("EC", 0, "1.3.132.0.33"),
        ),
        (
            sequence(
                sequence(
                    oid("1.2.840.10045.2.1"),
                    sequence(tlv(2, b"\x01"), sequence(oid("1.2.840.10045.1.1"), tlv(2, b"\x00\xff"))),
                ),
                tlv(3, b"\x00"),
            ),
            KeyFacts("EC", 8, EXPLICIT_CURVE),
        ),
        (
            sequence(
                sequence(oid("1.2.840.10045.2.1"), sequence(tlv(2, b"\x01"), sequence(oid("1.2.840.10045.1.2")))),
                tlv(3, b"\x00"),
            ),
            KeyFacts("EC", 0, EXPLICIT_CURVE),
        ),
    ],
)
def test_keys_of_other_kinds_are_told_by_their_kind(spki: bytes, facts: KeyFacts) -> None:
    certificate = parse_certificate(made(spki=spki))
    assert certificate.key_facts == facts
    assert (certificate.key_type, certificate.key_bits) == (facts.kind, facts.bits)


def rsa_spki(bits: int, exponent: int, kind: str = "1.2.840.113549.1.1.1") -> bytes:
    modulus = tlv(2, b"\x00" + (1 << bits - 1 | 1).to_bytes(bits // 8))
    key = sequence(modulus, tlv(2, b"\x00" + exponent.to_bytes((exponent.bit_length() + 7) // 8)))
    return sequence(sequence(oid(kind), b"\x05\x00"), tlv(3, b"\x00", key))


@pytest.mark.parametrize("kind", ["1.2.840.113549.1.1.1", "1.2.840.113549.1.1.10"])
@pytest.mark.parametrize(
    ("bits", "exponent", "is_read"),
    [
        (8192, 65537, True),
        (8192, 2**32 - 1, True),
        (8200, 3, False),
        (2048, 2**32 + 1, False),
        (16384, 2**64 - 1, False),
    ],
)
def test_a_key_that_costs_too_much_to_verify_with_is_refused_unused(
    bits: int, exponent: int, is_read: bool, kind: str
) -> None:
    certificate_der = made(spki=rsa_spki(bits, exponent, kind))
    if is_read:
        assert parse_certificate(certificate_der).key_bits == bits
        return
    with pytest.raises(KeyTooLarge, match=str(bits)):
        parse_certificate(certificate_der)


@pytest.mark.parametrize(
    "spki",
    [
        sequence(sequence(oid("1.2.840.113549.1.1.1")), tlv(3, b"\x00", sequence(tlv(2, b"\x01")))),
        sequence(sequence(oid("1.2.840.10045.2.1")), tlv(3, b"\x00")),
        sequence(sequence(oid("1.2.840.10045.2.1"), tlv(5)), tlv(3, b"\x00")),
        sequence(sequence(oid("1.2.840.10045.2.1"), sequence()), tlv(3, b"\x00")),
        sequence(sequence(oid("1.2.840.113549.1.1.1")), tlv(3, b"\x00", sequence(tlv(2, b"\x80")))),
        sequence(sequence(oid("1.2.840.113549.1.1.1")), tlv(3, b"\x00", sequence(tlv(2, b"\x00")))),
        sequence(sequence(oid("1.2.840.113549.1.1.1")), tlv(3)),
        sequence(sequence(oid("1.2.840.113549.1.1.1")), tlv(3, b"\x01a")),
        sequence(sequence(tlv(6)), tlv(3, b"\x00")),
        sequence(),
    ],
)
def test_a_key_nobody_can_read_has_no_kind(spki: bytes) -> None:
    certificate = parse_certificate(made(spki=spki))
    assert certificate.key_facts is None
    assert (certificate.key_type, certificate.key_bits) == ("unreadable", 0)
    assert IssuerKey(spki).facts is None
    assert IssuerKey(spki).loaded is None


def test_key_facts_end_with_the_key() -> None:
    with pytest.raises(der.DerFault):
        read_key_facts(public_key_der(KEY) + b"\x00")


def test_key_identifiers_of_keys_are_those_others_compute() -> None:
    expected = x509.SubjectKeyIdentifier.from_public_key(KEY.public_key()).digest
    assert IssuerKey(public_key_der(KEY)).key_id == expected
    assert IssuerKey(b"").key_id is None


def signed_by_other() -> tuple[Issued, IssuerKey]:
    return make_ca().issue("CN=x"), IssuerKey(make_ca().public_key_der)


def test_the_answer_about_a_key_is_remembered_and_stays_the_same() -> None:
    ca = make_ca()
    certificate, own, foreign = (
        parse_certificate(ca.issue("CN=x").der),
        IssuerKey(ca.public_key_der),
        signed_by_other()[1],
    )
    assert [certificate.is_signed_with(key) for key in (own, own, foreign, foreign, own)] == [
        True,
        True,
        False,
        False,
        True,
    ]


def test_a_key_of_another_kind_signed_nothing() -> None:
    certificate = parse_certificate(make_ca().issue("CN=x").der)
    assert not certificate.is_signed_with(IssuerKey(make_ca(key="ed25519").public_key_der))
    assert not certificate.is_signed_with(IssuerKey(b"nonsense"))


def test_the_cache_gives_the_same_object_and_keeps_to_its_bounds() -> None:
    certificates = [make_self_signed(f"CN={number}").der for number in range(4)]
    cache = CertificateCache(2)
    first = cache.parse(certificates[0])
    assert cache.parse(certificates[0]) is first
    cache.parse(certificates[1])
    cache.parse(certificates[0])
    cache.parse(certificates[2])
    assert len(cache) == 2
    assert cache.parse(certificates[0]) is first
    small = CertificateCache(100, bytes_max=2 * first.held_bytes + 500)
    for certificate in certificates:
        small.parse(certificate)
    assert len(small) == 2


def _empty_names(number: int) -> bytes:
    return made(serial=number.to_bytes(3), extensions=[extension(ALTERNATIVE, sequence(tlv(DNS_NAME) * 49_000))])


def _names(number: int) -> bytes:
    names = sequence(*(tlv(DNS_NAME, b"%d" % each) for each in range(256)))
    return made(serial=number.to_bytes(3), extensions=[extension(ALTERNATIVE, names)])


def _purposes(number: int) -> bytes:
    purposes = sequence(*(oid(f"1.2.{each}") for each in range(256)))
    return made(serial=number.to_bytes(3), extensions=[extension(PURPOSES, purposes)])


def _extensions(number: int) -> bytes:
    return made(serial=number.to_bytes(3), extensions=[extension(f"1.2.{each}", b"") for each in range(256)])


def _long_name(number: int) -> bytes:
    # One character beyond the basic plane makes every other as wide.
    text = tlv(0x0C, ("a" * 20_000 + "\N{GRINNING FACE}").encode())
    return made(serial=number.to_bytes(3), subject=sequence(tlv(0x31, sequence(oid("2.5.4.3"), text))))


def _small(number: int) -> bytes:
    return made(serial=number.to_bytes(3))


@pytest.mark.parametrize("make", [_empty_names, _names, _purposes, _extensions, _long_name, _small])
def test_the_cache_holds_no_more_memory_than_its_bound_whatever_comes(make: Callable[[int], bytes]) -> None:
    bound = 400_000
    presented = [make(number) for number in range(1, 1 + max(8, 2 * bound // parse_certificate(make(1)).held_bytes))]
    cache = CertificateCache(10_000, bytes_max=bound)
    parse_certificate(presented[0])  # fills what is remembered of all certificates
    tracemalloc.start()
    try:
        before = tracemalloc.get_traced_memory()[0]
        for certificate in presented:
            cache.parse(bytes(bytearray(certificate)))  # a copy of its own, as the network gives it
        grown = tracemalloc.get_traced_memory()[0] - before
    finally:
        tracemalloc.stop()
    assert len(cache) < len(presented)
    assert grown < bound


@pytest.mark.parametrize(("count", "is_read"), [(256, True), (257, False), (49_000, False)])
def test_more_names_than_anybody_needs_are_unreadable(count: int, is_read: bool) -> None:
    names = with_extension(ALTERNATIVE, sequence(tlv(DNS_NAME) * count)).alternative_names
    assert (names is not None) is is_read


@pytest.mark.parametrize(("count", "is_read"), [(256, True), (257, False)])
def test_more_purposes_than_anybody_needs_are_unreadable(count: int, is_read: bool) -> None:
    purposes = with_extension(PURPOSES, sequence(*(oid(f"1.2.{each}") for each in range(count)))).purposes
    assert purposes is not None and len(purposes) == (count if is_read else 0)


def test_the_cache_keeps_nothing_unreadable() -> None:
    cache = CertificateCache(2)
    for _ in range(2):
        with pytest.raises(CertificateUnreadable):
            cache.parse(b"nonsense")
    assert len(cache) == 0


def test_names_of_every_string_type_keep_their_bytes() -> None:
    name = sequence(rdn(("2.5.4.10", 0x14, b"caf\xe9")), rdn(("2.5.4.3", 0x13, b"y")))
    certificate = parse_certificate(made(subject=name))
    assert certificate.subject_dn == "CN=y,O=café"
    assert certificate.subject.encode() == name
