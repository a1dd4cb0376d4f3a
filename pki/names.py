"""Distinguished names: DER to and from the one RFC 2253 spelling that is stored, compared and templated.

The spelling is that of hono-registry 4.5, byte for byte: most specific RDN first, keywords for nine types,
every other type as dotted OID with the hex of its DER value. Comparison is plain string equality, so each
name has exactly one spelling. Reading what people type stands in pki/name_parser.py.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from functools import lru_cache

from pki import der
from pki.errors import NameUnreadable
from pki.name_parser import NameParser
from pki.name_values import Attribute, spelled

_REMEMBERED_MAX_BYTES = 256


@dataclass(frozen=True, slots=True)
class Name:
    """A distinguished name in DER order (least specific first); an RDN's attributes in their own order."""

    rdns: tuple[tuple[Attribute, ...], ...]

    def __str__(self) -> str:
        return ",".join(
            "+".join(spelled(attribute.oid, attribute.value_der) for attribute in rdn) for rdn in reversed(self.rdns)
        )

    def first(self, oid: str) -> str | None:
        """Value of the attribute as templates take it (hono-registry 2.1.2), or None.

        RDNs are looked through from the right end of the RFC 2253 form; of a multi-valued one only the first
        attribute counts.
        """
        wanted = der.oid_content(oid)
        for rdn in self.rdns:
            if rdn[0].oid == wanted:
                return rdn[0].text
        return None

    def all(self, oid: str) -> Iterator[str]:
        """Every value of the attribute that is a string, wherever it stands."""
        wanted = der.oid_content(oid)
        for rdn in self.rdns:
            for attribute in rdn:
                if attribute.oid == wanted and (text := attribute.text) is not None:
                    yield text

    def encode(self) -> bytes:
        """The DER form; attributes of a multi-valued RDN in the order DER demands."""
        rdns = []
        for rdn in self.rdns:
            encoded = sorted(
                der.write(der.SEQUENCE, der.write(der.OID, attribute.oid) + attribute.value_der) for attribute in rdn
            )
            rdns.append(der.write(der.SET, b"".join(encoded)))
        return der.write(der.SEQUENCE, b"".join(rdns))


def format_name(name_der: bytes) -> str:
    """RFC 2253 spelling of a DER Name.

    Raises NameUnreadable for anything but DER, for control characters (NUL among them) and for bytes that the
    value's string type does not allow. TeletexString is read as Latin-1.
    """
    try:
        rdns = [
            _rdn_remembered(rdn_der) if len(rdn_der) <= _REMEMBERED_MAX_BYTES else _rdn_spelled(rdn_der)
            for rdn_der in _rdns(name_der)
        ]
    except der.DerFault as fault:
        raise NameUnreadable(f"name is not DER: {fault}") from fault
    rdns.reverse()
    return ",".join(rdns)


def format_issuer(name_der: bytes) -> str:
    """The same for a name that comes again and again, as that of an issuer does."""
    return _name_remembered(name_der) if len(name_der) <= _REMEMBERED_MAX_BYTES else format_name(name_der)


def read_name(name_der: bytes) -> Name:
    """A DER Name taken apart. Raises NameUnreadable as `format_name` does."""
    format_name(name_der)
    return Name(tuple(tuple(Attribute(*pair) for pair in _attributes(rdn_der)) for rdn_der in _rdns(name_der)))


def parse_name(text: str) -> Name:
    """A name as people write it: keywords in any case, blanks around separators, quotes, `;`, `#hex`.

    Raises NameInvalid. The empty string is the empty name.
    """
    return Name(NameParser(text).parse())


def normalise(text: str) -> str:
    """The stored spelling of a name as people write it. Raises NameInvalid. Repeatable: its result is unchanged."""
    return str(parse_name(text))


def encode_name(text: str) -> bytes:
    """DER of a name as people write it. Raises NameInvalid."""
    return parse_name(text).encode()


def _rdn_spelled(rdn_der: bytes) -> str:
    return "+".join([spelled(oid, value_der) for oid, value_der in _attributes(rdn_der)])


# Most RDNs of a fleet are the same few (organization, country, the issuer's own): 0.2 µs instead of 2.
_rdn_remembered = lru_cache(maxsize=1024)(_rdn_spelled)
_name_remembered = lru_cache(maxsize=256)(format_name)


def _rdns(name_der: bytes) -> Iterator[bytes]:
    """Content of each RDN, in DER order."""
    at, end = der.expect(name_der, 0, len(name_der), der.SEQUENCE)
    if end != len(name_der):
        raise der.DerFault("bytes behind the end")
    while at < end:
        start, at = der.expect(name_der, at, end, der.SET)
        if start == at:
            raise der.DerFault("RDN without attribute")
        yield name_der[start:at]


def _attributes(rdn_der: bytes) -> Iterator[tuple[bytes, bytes]]:
    """Object identifier (content) and value (whole element) of each attribute."""
    at, end = 0, len(rdn_der)
    while at < end:
        start, at = der.expect(rdn_der, at, end, der.SEQUENCE)
        oid_start, oid_end = der.expect(rdn_der, start, at, der.OID)
        if der.read(rdn_der, oid_end, at)[2] != at:
            raise der.DerFault("attribute of more than type and value")
        yield rdn_der[oid_start:oid_end], rdn_der[oid_end:at]
