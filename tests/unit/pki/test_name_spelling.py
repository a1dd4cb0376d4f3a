"""Every row and example of hono-registry 4.5, and the refusals below it."""

import pytest

from pki.errors import NameInvalid, NameUnreadable
from pki.names import encode_name, format_name, normalise, parse_name, read_name
from tests.support.raw_certificates import rdn, sequence, tlv

CN, O, SERIAL, EMAIL = "2.5.4.3", "2.5.4.10", "2.5.4.5", "1.2.840.113549.1.9.1"  # noqa: E741
UTF8, NUMERIC, PRINTABLE, TELETEX, IA5 = 0x0C, 0x12, 0x13, 0x14, 0x16
VISIBLE, GENERAL, UNIVERSAL, BMP = 0x1A, 0x1B, 0x1C, 0x1E


@pytest.mark.parametrize(
    ("written", "stored"),
    [
        ("cn=Dev 1,  o = ACME ,c=DE", "CN=Dev 1,O=ACME,C=DE"),
        ("S=Bav,UID=u,DC=d", "ST=Bav,UID=u,DC=d"),
        ("emailAddress=foo@bar.com", "1.2.840.113549.1.9.1=#160b666f6f406261722e636f6d"),
        ("SERIALNUMBER=12", "2.5.4.5=#13023132"),
        ("GIVENNAME=g", "2.5.4.42=#130167"),
        ("T=t", "2.5.4.12=#130174"),
        ("CN=a+OU=b,O=x", "CN=a+OU=b,O=x"),
        ("CN=a=b#c", r"CN=a\=b\#c"),
        ('O="x, y"', r"O=x\, y"),
        (r"CN=\ lead", r"CN=\ lead"),
        ("CN=a  b", "CN=a  b"),
        ("CN=café", "CN=café"),
        ("CN=#0c0161", "CN=a"),
        ("CN=a;O=b", "CN=a,O=b"),
        ("SERIALNUMBER=a_b", "2.5.4.5=#0c03615f62"),
    ],
)
def test_every_example_of_the_contract_is_stored_as_it_says(written: str, stored: str) -> None:
    assert normalise(written) == stored
    assert format_name(encode_name(written)) == stored
    assert normalise(stored) == stored


@pytest.mark.parametrize("text", ["sensor1", "foo=bar", "device-CN=x", "E=a@b", "SN=1", "TITLE=x", "CN=<a", "CN=a>b"])
def test_every_invalid_example_of_the_contract_is_refused(text: str) -> None:
    with pytest.raises(NameInvalid):
        normalise(text)


@pytest.mark.parametrize(
    ("written", "stored"),
    [
        ("", ""),
        ("CN=", "CN="),
        ("CN=,O=x", "CN=,O=x"),
        ("c=DE", "C=DE"),
        ("L=l,ST=s,STREET=r", "L=l,ST=s,STREET=r"),
        ("Email=a@b", "1.2.840.113549.1.9.1=#1603614062"),
        ("surname=s", "2.5.4.4=#130173"),
        ("initials=i", "2.5.4.43=#130169"),
        ("generation=g", "2.5.4.44=#130167"),
        ("dnq=d", "2.5.4.46=#130164"),
        ("DNQUALIFIER=d", "2.5.4.46=#130164"),
        ("oid.2.5.4.3=a", "CN=a"),
        ("2.5.4.3=a", "CN=a"),
        ("2.5.4.5=12", "2.5.4.5=#13023132"),
        ("1.2.3=#0201ff", "1.2.3=#0201ff"),
        ("CN=#0201FF", "CN=#0201ff"),
        ("CN= #0c0161 ", "CN=a"),
        ("CN=#1303616263,O=x", "CN=abc,O=x"),
        ('CN="a"  ,O=x', "CN=a,O=x"),
        ('CN=" a "', r"CN=\ a\ "),
        ('CN="a\\"b"', r"CN=a\"b"),
        ('CN="<a>+b;c"', r"CN=\<a\>\+b\;c"),
        (r"CN=a\  ,O=x", r"CN=a\ ,O=x"),
        (r"CN=\ \ a", r"CN=\ \ a"),
        (r"CN=\ ", r"CN=\ "),
        (r"CN=\#a\=b\\c", r"CN=\#a\=b\\c"),
        (r"CN=\C3\A9\41x", "CN=éAx"),
        (r'CN="\C3\A9"', "CN=é"),
        (r"CN=\41\,b", r"CN=A\,b"),
        ("DC=example,DC=com", "DC=example,DC=com"),
        ("DC=é", "DC=é"),
        ("EMAIL=é@x", "1.2.840.113549.1.9.1=#0c04c3a94078"),
        ("CN=\U0001f600", "CN=\U0001f600"),
    ],
)
def test_what_people_write_has_one_spelling(written: str, stored: str) -> None:
    assert normalise(written) == stored
    assert format_name(encode_name(written)) == stored


@pytest.mark.parametrize(
    "text",
    [
        " ",
        ",",
        "=a",
        "CN",
        "CN=a,",
        "CN=a;",
        "CN=a+",
        "CN=a,,O=b",
        "CN=a\\",
        "CN=\\x",
        "CN=\\4",
        "CN=\\C3\\A",
        "CN=\\C3",
        'CN="a',
        'CN="a"b',
        'CN=a"b',
        "CN=\x00",
        "CN=a\nb",
        "CN=\\00",
        "CN=#",
        "CN=#0",
        "CN=#zz",
        "CN=#0c01",
        "CN=#0c016161",
        "CN=#0c0100",
        "CN=#13015f",
        "CN=#1f0161",
        "CN=\ud800",
        "ſ=x",
        "OID.CN=x",
        "3.1=x",
        "1.40=x",
        "1=x",
        "1..2=x",
        "01.2=x",
        f"1.2.{'9' * 5000}=x",
        f"1.2{'.16383' * 70}=x",
    ],
)
def test_what_is_no_name_is_refused(text: str) -> None:
    with pytest.raises(NameInvalid):
        parse_name(text)


def test_der_order_is_reversed() -> None:
    name = sequence(rdn((O, PRINTABLE, b"x")), rdn((CN, PRINTABLE, b"y")))
    assert format_name(name) == "CN=y,O=x"


def test_hex_keeps_the_string_type_of_the_certificate() -> None:
    assert format_name(sequence(rdn((EMAIL, UTF8, b"foo@bar.com")))).endswith("=#0c0b666f6f406261722e636f6d")
    assert format_name(sequence(rdn((SERIAL, UTF8, b"12")))) == "2.5.4.5=#0c023132"


@pytest.mark.parametrize(
    ("tag", "content", "text"),
    [
        (UTF8, "é".encode(), "é"),
        (PRINTABLE, b"a-b:c", "a-b:c"),
        (NUMERIC, b"12 3", "12 3"),
        (TELETEX, b"caf\xe9", "café"),
        (IA5, b"a@b_c", "a@b_c"),
        (VISIBLE, b"a~", "a~"),
        (GENERAL, b"a", "a"),
        (UNIVERSAL, "aé".encode("utf-32-be"), "aé"),
        (BMP, "aé".encode("utf-16-be"), "aé"),
        (UTF8, b"  x ", "\\ \\ x\\ "),
        (UTF8, b' "a"#,', '\\ \\"a\\"\\#\\,'),
    ],
)
def test_every_string_type_is_read(tag: int, content: bytes, text: str) -> None:
    name = sequence(rdn((CN, tag, content)))
    assert format_name(name) == f"CN={text}"
    assert normalise(format_name(name)) == format_name(name)


@pytest.mark.parametrize(
    ("tag", "content"),
    [
        (UTF8, b"\xff"),
        (UTF8, b"a\x00b"),
        (UTF8, "\x85".encode()),
        (UTF8, b"\x7f"),
        (UTF8, b"\xed\xa0\x80"),
        (PRINTABLE, b"a_b"),
        (PRINTABLE, b"a\x00"),
        (PRINTABLE, b"\xe9"),
        (NUMERIC, b"1a"),
        (TELETEX, b"\x85"),
        (TELETEX, b"a\rb"),
        (IA5, b"\x80"),
        (IA5, b"a\nb"),
        (VISIBLE, b"\xe9"),
        (GENERAL, b"\xe9"),
        (UNIVERSAL, b"abc"),
        (UNIVERSAL, b"\x00\x11\x00\x00"),
        (BMP, b"a"),
        (BMP, b"\xd8\x00"),
        (BMP, "\U0001f600".encode("utf-16-be")),
        (BMP, b"\x00\x00"),
    ],
)
@pytest.mark.parametrize("attribute", [CN, SERIAL])
def test_control_characters_and_foreign_bytes_are_refused_in_any_attribute(
    attribute: str, tag: int, content: bytes
) -> None:
    with pytest.raises(NameUnreadable):
        format_name(sequence(rdn((attribute, tag, content))))


@pytest.mark.parametrize(
    "name_der",
    [
        b"",
        b"\x30",
        b"\x30\x80",
        b"\x30\x81\x00",
        b"\x30\x05\x00",
        b"\x30\x85\x00\x00\x00\x00\x01\x00",
        sequence() + b"\x00",
        tlv(0x31),
        sequence(tlv(0x31)),
        sequence(sequence()),
        sequence(tlv(0x31, sequence())),
        sequence(tlv(0x31, sequence(tlv(0x06, b"\x55\x04\x03")))),
        sequence(tlv(0x31, sequence(tlv(0x06, b"\x55\x04\x03"), tlv(UTF8, b"a"), tlv(UTF8, b"b")))),
        sequence(tlv(0x31, sequence(tlv(0x06, b""), tlv(UTF8, b"a")))),
        sequence(tlv(0x31, sequence(tlv(0x06, b"\x55\x80\x03"), tlv(UTF8, b"a")))),
        sequence(tlv(0x31, sequence(tlv(0x06, b"\x55\x84"), tlv(UTF8, b"a")))),
        sequence(tlv(0x31, sequence(tlv(0x06, b"\x55" * 129), tlv(UTF8, b"a")))),
        sequence(tlv(0x31, sequence(tlv(0x06, b"\x55\x04\x03"), b"\x1f\x21\x01a"))),
    ],
)
def test_anything_but_a_der_name_is_refused(name_der: bytes) -> None:
    with pytest.raises(NameUnreadable):
        format_name(name_der)
    with pytest.raises(NameUnreadable):
        read_name(name_der)


def test_a_value_that_is_no_string_is_hex_and_has_no_text() -> None:
    name_der = sequence(rdn((CN, 0x03, b"\x00\xff")))
    assert format_name(name_der) == "CN=#030200ff"
    assert read_name(name_der).first(CN) is None
    assert list(read_name(name_der).all(CN)) == []


def test_an_rdn_longer_than_any_usual_one_is_spelled_all_the_same() -> None:
    assert format_name(sequence(rdn((CN, UTF8, b"x" * 5000)))) == "CN=" + "x" * 5000


def test_der_sorts_the_attributes_of_an_rdn_and_the_spelling_follows_the_bytes() -> None:
    assert normalise("CN=longer+OU=b") == "CN=longer+OU=b"  # as written
    assert format_name(encode_name("CN=longer+OU=b")) == "OU=b+CN=longer"  # as DER has to hold it
    assert encode_name("CN=longer+OU=b") == encode_name("OU=b+CN=longer")


def test_attributes_are_taken_from_the_right_end_and_only_the_first_of_an_rdn() -> None:
    assert parse_name("CN=x,CN=y,O=z").first(CN) == "y"
    assert parse_name("CN=a+OU=b,O=x").first("2.5.4.11") is None
    assert parse_name(r"CN=a\,b").first(CN) == "a,b"
    assert parse_name("O=x").first(CN) is None
    assert parse_name("CN=,O=x").first(CN) == ""
    assert list(parse_name("CN=x+OU=o,CN=y").all(CN)) == ["y", "x"]


def test_a_name_reads_back_as_it_was_parsed() -> None:
    name = parse_name("CN=a+OU=b,O=x")
    assert read_name(name.encode()) == name
    assert str(name) == "CN=a+OU=b,O=x"
