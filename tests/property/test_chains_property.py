"""Certificates and chains: any damage is refused in the room's own words, and no order of a chain matters."""

from cryptography import x509
from cryptography.hazmat.primitives import hashes
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from pki.certificates import Certificate, parse_certificate
from pki.chains import PathRules, authority_of, judge
from pki.errors import ChainRejected, TemplateUnfilled
from pki.templates import PLACEHOLDERS, Template
from tests.support.certificates import NOON, make_ca, make_self_signed

ROOT = make_ca("CN=Root,O=Tuhono", extensions=[(x509.NameConstraints([x509.DNSName("example.com")], None), True)])
LEAF = (
    ROOT.issue_ca("CN=A", path_length=1)
    .issue_ca("CN=B", path_length=0)
    .issue(
        "CN=dev,O=Tuhono", san=["dns:a.example.com", "uri:urn:x"], key_usage=["digitalSignature"], eku=["clientAuth"]
    )
)
AUTHORITIES = [authority_of(ROOT.der)]
RULES = PathRules()
TEMPLATES = [Template.parse(f"{{{{{name}}}}}") for name in PLACEHOLDERS]


def parsed(chain: list[bytes]) -> list[Certificate]:
    return [parse_certificate(der) for der in chain]


@given(st.permutations(LEAF.chain_der[1:]), st.lists(st.sampled_from([ROOT.der, *LEAF.chain_der]), max_size=4))
def test_the_order_of_a_chain_and_repetitions_do_not_matter(above: list[bytes], extra: list[bytes]) -> None:
    verdict = judge(parsed([LEAF.der, *above, *extra]), AUTHORITIES, at=NOON, rules=RULES)
    assert verdict.authority is AUTHORITIES[0]
    assert [certificate.subject_dn for certificate in verdict.path] == ["CN=dev,O=Tuhono", "CN=B", "CN=A"]


@settings(suppress_health_check=[HealthCheck.too_slow])
@given(st.integers(0, len(LEAF.der) - 1), st.integers(1, 255), st.booleans())
def test_no_damaged_leaf_is_ever_accepted(at: int, flip: int, explain: bool) -> None:
    damaged = bytearray(LEAF.der)
    damaged[at] ^= flip
    try:
        certificate = parse_certificate(bytes(damaged))
    except ChainRejected:
        return
    chain = [certificate, *parsed(list(LEAF.chain_der[1:]))]
    verdict = judge(chain, AUTHORITIES, at=NOON, rules=RULES, explain=explain)
    assert verdict.fault is not None
    assert verdict.authority is None
    for template in TEMPLATES:
        try:
            assert template.fill(certificate)
        except TemplateUnfilled:
            continue


@settings(suppress_health_check=[HealthCheck.too_slow])
@given(st.integers(0, len(ROOT.der) - 1), st.integers(1, 255))
def test_a_damaged_authority_never_raises(at: int, flip: int) -> None:
    damaged = bytearray(ROOT.der)
    damaged[at] ^= flip
    try:
        authority = authority_of(bytes(damaged))
    except ChainRejected:
        return
    judge(parsed(list(LEAF.chain_der)), [authority], at=NOON, rules=RULES)


@given(st.binary(max_size=200) | st.integers(0, len(LEAF.der)).map(lambda end: LEAF.der[:end]))
def test_any_bytes_are_a_certificate_or_are_refused(content: bytes) -> None:
    try:
        parse_certificate(content)
    except ChainRejected:
        return
    assert content == LEAF.der


@given(
    st.text(st.characters(exclude_categories=("Cs", "Cc")), min_size=1, max_size=20),
    st.integers(1, 2**158),
    st.lists(st.from_regex(r"[a-z]{1,10}\.example", fullmatch=True), max_size=3),
)
def test_what_we_read_is_what_others_read(name: str, serial: int, names: list[str]) -> None:
    subject = x509.Name([x509.NameAttribute(x509.NameOID.ORGANIZATION_NAME, name)])
    issued = make_self_signed(subject).issue(subject, serial=serial, san=[f"dns:{entry}" for entry in names])
    certificate = parse_certificate(issued.der)
    other = issued.certificate
    assert int(certificate.serial_hex, 16) == other.serial_number
    assert certificate.subject.first("2.5.4.10") == name
    assert certificate.san_dns == tuple(names)
    assert certificate.not_after == other.not_valid_after_utc
    assert certificate.fingerprint_hex == other.fingerprint(hashes.SHA256()).hex()
