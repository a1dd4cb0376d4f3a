"""Id templates: hono-registry 2.1.2 and what goes beyond it."""

import pytest
from cryptography import x509

from pki.certificates import Certificate, parse_certificate
from pki.errors import TemplateInvalid, TemplateUnfilled
from pki.names import encode_name
from pki.templates import PLACEHOLDERS, TEMPLATE_MAX_CHARS, Template
from tests.support.certificates import make_ca, new_key
from tests.support.raw_certificates import assemble, common_name, extension, sequence, tlv

KEY = new_key()


def of(subject: str) -> Certificate:
    return parse_certificate(
        assemble(subject=encode_name(subject), issuer=common_name("R"), key=KEY, signed_by=KEY, serial=b"\x00\xab\x01")
    )


@pytest.mark.parametrize(
    ("template", "subject", "result"),
    [
        ("{{subject-dn}}", "CN=a,O=b", "CN=a,O=b"),
        ("{{subject-cn}}", "CN=a,O=b", "a"),
        ("{{subject-cn}}", "CN=x,CN=y,O=z", "y"),
        ("{{subject-cn}}", "cn=x", "x"),
        ("{{subject-cn}}", r"CN=a\,b", "a,b"),
        ("{{subject-dn}}", r"CN=a\,b,O=c", r"CN=a\,b,O=c"),
        ("{{subject-cn}}", "CN=a$b", "a$b"),
        (r"\1-{{subject-cn}}-$0", r"CN=a\\b", r"\1-a\b-$0"),
        ("{{subject-ou}}/{{subject-o}}", "CN=a,OU=u,O=o", "u/o"),
        ("{{subject-cn}}{{subject-cn}}", "CN=a", "aa"),
        ("pre-{{subject-cn}}-{{subject-o}}-post", "CN=a,O=o", "pre-a-o-post"),
        ("{{subject-cn}}", "CN={{subject-o}},O=o", "{{subject-o}}"),
        ("{{subject-cn}}}}", "CN=a", "a}}"),
        ("{{subject-c}}{{subject-l}}{{subject-st}}{{subject-street}}", "C=1,L=2,ST=3,STREET=4", "1234"),
        ("{{subject-dc}}{{subject-uid}}", "DC=a,UID=b", "ab"),
        ("{{subject-serialnumber}}", "CN=a,SERIALNUMBER=4711", "4711"),
        ("{{subject-emailaddress}}", "EMAIL=a@b", "a@b"),
        ("{{subject-givenname}} {{subject-surname}} {{subject-title}}", "GIVENNAME=g,SURNAME=s,T=t", "g s t"),
        ("{{subject-initials}}{{subject-generation}}{{subject-dnqualifier}}", "INITIALS=i,GENERATION=g,DNQ=q", "igq"),
        ("{{serial-number}}", "CN=a", "ab01"),
    ],
)
def test_placeholders_are_replaced_literally(template: str, subject: str, result: str) -> None:
    assert Template.parse(template).fill(of(subject)) == result


def test_the_fingerprint_is_that_of_the_certificate() -> None:
    certificate = of("CN=a")
    assert Template.parse("{{fingerprint}}").fill(certificate) == certificate.fingerprint_hex


def test_the_first_alternative_name_of_its_kind_is_taken() -> None:
    leaf = make_ca().issue("CN=d", san=["uri:urn:a", "dns:one.example", "dns:two.example"])
    template = Template.parse("{{san-dns}} {{san-uri}}")
    assert template.fill(parse_certificate(leaf.der)) == "one.example urn:a"


@pytest.mark.parametrize("name", [b"a\x00b", b"a\r\nb", b"\xff"])
def test_hostile_alternative_names_fill_nothing(name: bytes) -> None:
    names = extension("2.5.29.17", sequence(tlv(0x82, name)))
    leaf = assemble(subject=common_name("d"), issuer=common_name("R"), key=KEY, signed_by=KEY, extensions=[names])
    with pytest.raises(TemplateUnfilled):
        Template.parse("{{san-dns}}").fill(parse_certificate(leaf))


@pytest.mark.parametrize(
    ("template", "subject"),
    [
        ("{{subject-ou}}", "CN=a"),
        ("{{subject-ou}}", "CN=a+OU=b"),
        ("{{subject-cn}}", "CN=,O=x"),
        ("{{subject-cn}}", "CN=a,CN="),
        ("{{subject-dn}}", ""),
        ("{{san-dns}}", "CN=a"),
        ("{{san-uri}}", "CN=a"),
        ("{{subject-cn}}", "CN=#03020001"),
    ],
)
def test_what_the_certificate_lacks_is_told(template: str, subject: str) -> None:
    with pytest.raises(TemplateUnfilled):
        Template.parse(template).fill(of(subject))


@pytest.mark.parametrize(
    "text",
    [
        "",
        "fixed",
        "{{subject-xx}}",
        "{{ subject-cn }}",
        "{{subject-CN}}",
        "{{}}",
        "{{{subject-cn}}}",
        "{{subject-cn}}{{",
        "{{subject-cn",
        "{{subject-cn}",
        "{subject-cn}",
        "{{subject\n-cn}}",
        "{{subject-cn}}-{{device}}",
        "{{subject-cn}}" + "x" * TEMPLATE_MAX_CHARS,
    ],
)
def test_what_is_no_template_is_refused(text: str) -> None:
    with pytest.raises(TemplateInvalid):
        Template.parse(text)


def test_every_placeholder_parses_and_the_text_is_kept() -> None:
    for name in PLACEHOLDERS:
        text = f"x{{{{{name}}}}}y"
        assert Template.parse(text).text == text


def test_attribute_values_of_any_string_type_are_text() -> None:
    name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "größe", x509.name._ASN1Type.BMPString)])
    certificate = parse_certificate(make_ca().issue(name).der)
    assert Template.parse("{{subject-cn}}").fill(certificate) == "größe"
