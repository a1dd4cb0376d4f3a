"""Which names lie within the constraints of a CA (RFC 5280 4.2.1.10)."""

from collections.abc import Sequence

import pytest
from cryptography import x509

from pki import der
from pki.certificates import parse_certificate
from pki.errors import NameUnreadable
from pki.name_constraints import COMPARISONS_MAX, NameConstraints, read_name_constraints, violation
from pki.names import parse_name
from tests.support.raw_certificates import common_name, sequence, tlv

EMAIL, DNS, URI, IP, DIRECTORY, OTHER = 0x81, 0x82, 0x86, 0x87, 0xA4, 0xA0


def constraints(
    permitted: Sequence[tuple[int, bytes]] = (), excluded: Sequence[tuple[int, bytes]] = ()
) -> NameConstraints:
    content = sequence(
        tlv(0xA0, *(sequence(tlv(*base)) for base in permitted)) if permitted else b"",
        tlv(0xA1, *(sequence(tlv(*base)) for base in excluded)) if excluded else b"",
    )
    return read_name_constraints(content)


def outside(limits: NameConstraints, *names: tuple[int, bytes], subject: str = "CN=x") -> str | None:
    return violation(limits, subject=parse_name(subject), alternative_names=names)


@pytest.mark.parametrize(
    ("form", "base", "within", "without"),
    [
        (DNS, b"example.com", b"example.com", b"example.org"),
        (DNS, b"example.com", b"a.b.Example.COM", b"aexample.com"),
        (DNS, b"EXAMPLE.com", b"*.example.com", b"example.com.evil"),
        (DNS, b".example.com", b"a.example.com", b"example.com"),
        (DNS, b"", b"anything", b"*.example.com"),
        (EMAIL, b"a@example.com", b"a@example.com", b"b@example.com"),
        (EMAIL, b"a@example.com", b"a@EXAMPLE.com", b"A@example.com"),
        (EMAIL, b"example.com", b"a@example.com", b"a@b.example.com"),
        (EMAIL, b".example.com", b"a@b.example.com", b"a@example.com"),
        (EMAIL, b"", b"a@example.com", b""),
        (URI, b"example.com", b"coaps://example.com:5684/x?y", b"https://a.example.com/"),
        (URI, b".example.com", b"https://user@a.example.com", b"https://example.com/"),
        (IP, b"\x0a\x00\x00\x00\xff\x00\x00\x00", b"\x0a\x01\x02\x03", b"\x0b\x01\x02\x03"),
        (IP, b"\x20\x01" + bytes(14) + b"\xff\xff" + bytes(14), b"\x20\x01" + bytes(14), b"\x20\x02" + bytes(14)),
        (DIRECTORY, sequence(), common_name("x"), b""),
    ],
)
def test_permitted_and_excluded_are_two_sides_of_one_comparison(
    form: int, base: bytes, within: bytes, without: bytes
) -> None:
    permitted, excluded = constraints([(form, base)]), constraints(excluded=[(form, base)])
    subject = "" if form == DIRECTORY else "CN=x"
    assert outside(permitted, (form, within), subject=subject) is None
    assert outside(excluded, (form, within), subject=subject) is not None
    if base not in (b"", sequence()):
        assert outside(permitted, (form, without)) is not None
        assert outside(excluded, (form, without)) is None


@pytest.mark.parametrize(
    ("form", "base", "name"),
    [
        (EMAIL, b"example.com", b"no mailbox"),
        (EMAIL, b"example.com", b"example.com"),
        (EMAIL, b"example.com", b"@example.com"),
        (EMAIL, b"example.com", b"a@"),
        (EMAIL, b"example.com", b"a@b@example.com"),
        (EMAIL, b"example.com", b"a b@example.com"),
        (DNS, b"example.com", b""),
        (DNS, b"example.com", b"a..example.com"),
        (DNS, b"example.com", b"example.com."),
        (DNS, b"example.com", b"a b.example.com"),
        (URI, b"example.com", b"urn:x:y"),
        (URI, b"example.com", b"https://10.0.0.1/"),
        (URI, b"example.com", b"https://[::1]/"),
        (URI, b"example.com", b"https:///x"),
        (IP, b"\x0a\x00\x00\x00\xff\x00\x00\x00", b"\x0a\x00\x00"),
        (DIRECTORY, common_name("a"), sequence(b"\x00")),
    ],
)
def test_a_name_that_is_none_of_its_kind_fails_either_way(form: int, base: bytes, name: bytes) -> None:
    assert outside(constraints([(form, base)]), (form, name), subject="") is not None
    assert outside(constraints(excluded=[(form, base)]), (form, name), subject="") is not None


def test_an_address_of_the_other_family_is_not_within() -> None:
    ten = (IP, b"\x0a\x00\x00\x00\xff\x00\x00\x00")
    assert outside(constraints([ten]), (IP, bytes(16))) is not None
    assert outside(constraints(excluded=[ten]), (IP, bytes(16))) is None


def test_a_wildcard_touches_an_excluded_host_below_its_parent() -> None:
    limits = constraints(excluded=[(DNS, b"secret.example.com")])
    assert outside(limits, (DNS, b"*.example.com")) is not None
    assert outside(limits, (DNS, b"*.example.org")) is None
    assert outside(constraints([(DNS, b"secret.example.com")]), (DNS, b"*.example.com")) is not None


def test_the_subject_is_a_directory_name() -> None:
    limits = constraints([(DIRECTORY, parse_name("OU=Dev,O=Acme Corp").encode())])
    assert outside(limits, subject="CN=x,OU=Dev,O=Acme Corp") is None
    assert outside(limits, subject="CN=x,OU=dev,O=ACME  corp") is None
    assert outside(limits, subject="CN=x,O=Acme Corp") is not None
    assert outside(limits, subject="O=Acme Corp,OU=Dev,CN=x") is not None
    assert outside(limits, subject="") is None
    excluded = constraints(excluded=[(DIRECTORY, parse_name("O=Acme").encode())])
    assert outside(excluded, subject="CN=x,O=acme") is not None
    assert outside(excluded, subject="CN=x,O=#0302000f") is None


def test_an_email_in_the_subject_is_bound_like_one_beside_it() -> None:
    limits = constraints([(EMAIL, b"example.com")])
    assert outside(limits, subject="CN=x,EMAIL=a@example.com") is None
    assert outside(limits, subject="CN=x,EMAIL=a@example.org") is not None
    assert outside(limits, subject="CN=x,EMAIL=none") is not None


def test_names_of_other_kinds_are_free() -> None:
    assert outside(constraints([(DNS, b"example.com")]), (URI, b"https://x.org/"), (IP, bytes(4))) is None


def test_a_constrained_kind_that_is_not_supported_is_outside() -> None:
    assert outside(constraints([(OTHER, b"")]), (OTHER, b"")) is not None
    assert outside(constraints([(OTHER, b"")]), (DNS, b"a")) is None


def test_every_one_of_several_names_must_lie_within() -> None:
    limits = constraints([(DNS, b"a.example"), (DNS, b"b.example")], [(DNS, b"x.a.example")])
    assert outside(limits, (DNS, b"a.example"), (DNS, b"y.b.example")) is None
    assert outside(limits, (DNS, b"a.example"), (DNS, b"c.example")) == "'c.example' is not among what is permitted"
    assert outside(limits, (DNS, b"x.a.example")) == "'x.a.example' is excluded"


def test_alternative_names_nobody_can_read_lie_outside() -> None:
    assert violation(constraints([(DNS, b"a")]), subject=parse_name(""), alternative_names=None) is not None


def test_the_number_of_comparisons_is_bounded() -> None:
    limits = constraints([(DNS, b"a")])
    assert outside(limits, *[(DNS, b"a")] * (COMPARISONS_MAX - 1)) is None
    assert "too many" in str(outside(limits, *[(DNS, b"a")] * COMPARISONS_MAX))


def test_words_for_addresses_and_directories_are_readable() -> None:
    assert "0b000001" in str(outside(constraints([(IP, b"\x0a" + bytes(3) + b"\xff" * 4)]), (IP, b"\x0b\x00\x00\x01")))
    assert "directory name" in str(outside(constraints([(DIRECTORY, common_name("y"))])))


@pytest.mark.parametrize(
    "content",
    [
        b"",
        sequence(),
        sequence(tlv(0xA0)),
        sequence(tlv(0xA2, sequence(tlv(DNS, b"a")))),
        sequence(tlv(0xA0, sequence(tlv(DNS, b"a"))), tlv(0xA0, sequence(tlv(DNS, b"a")))),
        sequence(tlv(0xA0, tlv(DNS, b"a"))),
        sequence(tlv(0xA0, sequence())),
        sequence(tlv(0xA0, sequence(tlv(DNS, b"a"), tlv(0x80, b"\x01")))),
        sequence(tlv(0xA0, sequence(tlv(DNS, b"a"), tlv(0x81, b"\x01")))),
        sequence(tlv(0xA0, sequence(tlv(DNS, b"\xc3\xa9")))),
        sequence(tlv(0xA0, sequence(tlv(DNS, b"a b")))),
        sequence(tlv(0xA0, sequence(tlv(EMAIL, b"@a")))),
        sequence(tlv(0xA0, sequence(tlv(EMAIL, b"a@")))),
        sequence(tlv(0xA0, sequence(tlv(URI, b"https://a/")))),
        sequence(tlv(0xA0, sequence(tlv(IP, bytes(4))))),
    ],
)
def test_constraints_of_an_unknown_form_are_refused(content: bytes) -> None:
    with pytest.raises(der.DerFault):
        read_name_constraints(content)


def test_constraints_with_an_unreadable_directory_name_are_refused() -> None:
    with pytest.raises(NameUnreadable):
        constraints([(DIRECTORY, common_name("a\x00"))])


def test_a_minimum_of_zero_may_be_written_out() -> None:
    content = sequence(tlv(0xA0, sequence(tlv(DNS, b"a"), tlv(0x80, b"\x00"))))
    assert read_name_constraints(content).permitted == ((DNS, b"a"),)


def test_constraints_as_others_write_them() -> None:
    written = x509.NameConstraints(
        [x509.DNSName("example.com"), x509.RFC822Name("example.com")], [x509.DNSName("x.example.com")]
    )
    limits = read_name_constraints(written.public_bytes())
    assert limits.permitted == ((DNS, b"example.com"), (EMAIL, b"example.com"))
    assert limits.excluded == ((DNS, b"x.example.com"),)


def test_a_certificate_without_constraints_has_none() -> None:
    from tests.support.certificates import make_ca

    assert parse_certificate(make_ca().der).name_constraints is None
