"""Attribute types and values of distinguished names: which string type holds what, and how each is spelled.

The rules are those of hono-registry 4.5; names of more than one attribute stand in pki/names.py.
"""

import re
from dataclasses import dataclass

from pki import der
from pki.errors import NameInvalid, NameUnreadable

UTF8_STRING = 0x0C
NUMERIC_STRING = 0x12
PRINTABLE_STRING = 0x13
TELETEX_STRING = 0x14
IA5_STRING = 0x16
VISIBLE_STRING = 0x1A
GENERAL_STRING = 0x1B
UNIVERSAL_STRING = 0x1C
BMP_STRING = 0x1E

KEYWORDS = {
    "CN": "2.5.4.3",
    "C": "2.5.4.6",
    "L": "2.5.4.7",
    "ST": "2.5.4.8",
    "STREET": "2.5.4.9",
    "O": "2.5.4.10",
    "OU": "2.5.4.11",
    "DC": "0.9.2342.19200300.100.1.25",
    "UID": "0.9.2342.19200300.100.1.1",
}
EMAIL_OID = "1.2.840.113549.1.9.1"

_PRINTABLE = bytes(c for c in range(0x80) if chr(c).isalnum() or chr(c) in " '()+,-./:=?")
_DIGITS = b" 0123456789"
_CONTROL = re.compile(r"[\x00-\x1f\x7f-\x9f]")
_SPECIAL = re.compile(r'[,=+<>#;"\\]')
_ESCAPES = {ord(character): "\\" + character for character in ',=+<>#;"\\'}
_KEYWORD_OF = {der.oid_content(oid): keyword for keyword, oid in KEYWORDS.items()}


@dataclass(frozen=True, slots=True)
class Attribute:
    """One attribute of a name. The value stays as encoded: its string type is part of some spellings."""

    oid: bytes  # content bytes of the object identifier
    value_der: bytes  # the whole element, tag and length included

    @property
    def text(self) -> str | None:
        """The value as characters, not escaped; None where it is no string. Raises NameUnreadable."""
        start = der.read(self.value_der, 0, len(self.value_der))[1]
        return _decoded(self.value_der[0], self.value_der[start:])


def spelled(oid: bytes, value_der: bytes) -> str:
    """`TYPE=value` of one attribute. Raises NameUnreadable."""
    start = 2 if value_der[1] < 0x80 else 2 + (value_der[1] & 0x7F)
    text = _decoded(value_der[0], value_der[start:])
    keyword = _KEYWORD_OF.get(oid)
    if keyword is None:
        return f"{der.oid_text(oid)}=#{value_der.hex()}"
    if text is None:
        return f"{keyword}=#{value_der.hex()}"
    return f"{keyword}={escape_value(text)}"


def encode_text(oid: str, text: str) -> bytes:
    """Encode an attribute value: e-mail and DC as IA5String, else PrintableString where it suffices, else UTF8String.

    An e-mail or DC beyond ASCII is a UTF8String, as certificates that have one hold it. Raises NameInvalid for
    characters no name may hold.
    """
    if _CONTROL.search(text):
        raise NameInvalid("a name holds no control characters")
    try:
        octets = text.encode("utf-8")
    except UnicodeEncodeError as fault:
        raise NameInvalid("a name holds no half characters") from fault
    if oid in (EMAIL_OID, KEYWORDS["DC"]) and text.isascii():
        return der.write(IA5_STRING, octets)
    return der.write(UTF8_STRING if octets.translate(None, _PRINTABLE) else PRINTABLE_STRING, octets)


def escape_value(text: str) -> str:
    """The characters of a value as they stand in the RFC 2253 form."""
    if _SPECIAL.search(text):
        text = text.translate(_ESCAPES)
    if text[:1] == " " or text[-1:] == " ":
        inner = text.strip(" ")
        leading = len(text) - len(text.lstrip(" "))
        trailing = len(text) - leading - len(inner)
        text = "\\ " * leading + inner + "\\ " * trailing
    return text


def _decoded(tag: int, content: bytes) -> str | None:
    """Characters of a value of any string type, None for any other. Raises NameUnreadable."""
    if tag == UTF8_STRING or tag == PRINTABLE_STRING:  # nearly all there are
        if tag == PRINTABLE_STRING and content.translate(None, _PRINTABLE):
            raise NameUnreadable("bytes in a PrintableString that it may not hold")
        encoding = "utf-8"
    elif tag == NUMERIC_STRING:
        if content.translate(None, _DIGITS):
            raise NameUnreadable("bytes in a NumericString that it may not hold")
        encoding = "ascii"
    elif tag == TELETEX_STRING:
        encoding = "latin-1"
    elif tag in (IA5_STRING, VISIBLE_STRING, GENERAL_STRING):
        encoding = "ascii"
    elif tag == BMP_STRING:
        encoding = "utf-16-be"
    elif tag == UNIVERSAL_STRING:
        encoding = "utf-32-be"
    else:
        return None
    try:
        text = content.decode(encoding)
    except UnicodeDecodeError as fault:
        raise NameUnreadable("bytes that the string type does not allow") from fault
    if tag == BMP_STRING and len(text) * 2 != len(content):
        raise NameUnreadable("a BMPString holds no surrogates")
    if _CONTROL.search(text):
        raise NameUnreadable("control characters")
    return text
