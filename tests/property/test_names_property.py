"""Distinguished names: one spelling each, and never any error but the room's own."""

from collections.abc import Callable

from hypothesis import given
from hypothesis import strategies as st

from pki.errors import NameInvalid, NameUnreadable
from pki.name_parser import ALIASES
from pki.names import encode_name, format_name, normalise, parse_name, read_name
from tests.support.raw_certificates import rdn, sequence

values = st.text(
    st.characters(exclude_categories=("Cs", "Cc")) | st.sampled_from(' ,=+<>#;"\\'), max_size=20
)  # what a name may hold, its special characters often
oids = st.sampled_from([*ALIASES.values(), "1.2.3.4", "2.999.5"])
STRING_TAGS = {0x0C: "utf-8", 0x14: "latin-1", 0x1C: "utf-32-be"}


def quoted(value: str) -> str:
    return '"' + value.replace("\\", "\\\\").replace('"', '\\"') + '"'


def escaped(value: str) -> str:
    return "".join("\\" + character if character in ',=+<>#;"\\ ' else character for character in value)


def hex_pairs(value: str) -> str:
    return "".join(f"\\{octet:02x}" for octet in value.encode())


def hashed(value: str) -> str:
    octets = value.encode()[:100]
    return f"#0c{len(octets):02X}{octets.hex()}"


spelt_types = st.sampled_from(
    [*ALIASES, *(alias.lower() for alias in ALIASES), "OID.2.5.4.5", "oid.1.2", "2.999.5", "E"]
)
pieces = st.tuples(
    spelt_types,
    st.sampled_from(["=", " = "]),
    st.sampled_from([quoted, escaped, hex_pairs, hashed, str]),  # str: as it is, special characters bare
    values,
    st.sampled_from([",", ";", "+", " , ", "", "\0"]),
)


@given(st.lists(values, min_size=1, max_size=4))
def test_quotes_backslashes_and_hex_pairs_say_the_same(texts: list[str]) -> None:
    spellings = {
        normalise(separator.join(f"CN{blank}={blank}{write(text)}" for text in texts))
        for write in (quoted, escaped, hex_pairs)
        for separator, blank in ((",", ""), (" ; ", " "))
    }
    assert len(spellings) == 1
    assert list(parse_name(spellings.pop()).all("2.5.4.3")) == texts[::-1]


@given(st.lists(st.tuples(oids, values, st.sampled_from(list(STRING_TAGS))), min_size=1, max_size=5))
def test_a_certificates_name_survives_being_stored_and_read(attributes: list[tuple[str, str, int]]) -> None:
    latin = [(oid, value if tag != 0x14 or value.isascii() else "x", tag) for oid, value, tag in attributes]
    name_der = sequence(*(rdn((oid, tag, value.encode(STRING_TAGS[tag]))) for oid, value, tag in latin))
    spelled = format_name(name_der)
    assert normalise(spelled) == spelled
    assert format_name(encode_name(spelled)) == spelled
    assert read_name(name_der).encode() == name_der
    assert str(read_name(name_der)) == spelled


@given(st.text(max_size=60) | st.text(st.sampled_from('CNOU=,;+"\\ #0c1a.é\x00\n25'), max_size=40))
def test_any_text_is_a_name_or_is_refused_as_one(text: str) -> None:
    try:
        spelled = normalise(text)
    except NameInvalid:
        return
    assert normalise(spelled) == spelled
    assert read_name(encode_name(text)) == read_name(encode_name(spelled))


@given(st.lists(pieces, max_size=5))
def test_a_name_made_of_any_pieces_is_read_or_refused(
    made: list[tuple[str, str, Callable[[str], str], str, str]],
) -> None:
    text = "".join(type_ + equals + write(value) + separator for type_, equals, write, value, separator in made)
    try:
        name = parse_name(text)
    except NameInvalid:
        return
    spelled = str(name)
    assert normalise(spelled) == spelled
    assert format_name(name.encode()) == normalise(format_name(name.encode()))
    for oid in ALIASES.values():
        assert name.first(oid) is None or isinstance(name.first(oid), str)
        list(name.all(oid))


@given(st.text("0123456789.", min_size=1, max_size=40) | st.integers(0, 10**400).map(lambda arc: f"2.{arc}"))
def test_any_object_identifier_is_a_type_or_is_refused(oid: str) -> None:
    try:
        spelled = normalise(f"{oid}=#0c0161")
    except NameInvalid:
        return
    assert normalise(spelled) == spelled


@given(st.binary(max_size=80))
def test_any_bytes_are_a_name_or_are_refused_as_one(content: bytes) -> None:
    try:
        spelled = format_name(content)
    except NameUnreadable:
        return
    assert normalise(spelled) == spelled


@given(st.binary(max_size=12), st.integers(0, 255), oids)
def test_any_value_is_spelled_or_refused(content: bytes, tag: int, oid: str) -> None:
    name_der = sequence(rdn((oid, tag, content)))
    try:
        spelled = format_name(name_der)
    except NameUnreadable:
        return
    assert normalise(spelled) == spelled
    assert not any(character < " " or "\x7f" <= character <= "\x9f" for character in spelled)


@given(st.lists(values, max_size=3), st.lists(values, max_size=3))
def test_different_names_are_spelled_differently(one: list[str], two: list[str]) -> None:
    spelled = [format_name(sequence(*(rdn(("2.5.4.3", 0x0C, text.encode())) for text in name))) for name in (one, two)]
    assert (spelled[0] == spelled[1]) is (one == two)
