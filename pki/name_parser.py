"""Reads a distinguished name as people and other programs write it (hono-registry 4.5, RFC 2253 and 1779).

One pass over the characters, no backtracking. What is not a name by these rules is NameInvalid, never
something near it.
"""

import string

from pki import der
from pki.errors import NameInvalid, NameUnreadable
from pki.name_values import EMAIL_OID, KEYWORDS, Attribute, encode_text

ALIASES = KEYWORDS | {
    "S": KEYWORDS["ST"],
    "EMAILADDRESS": EMAIL_OID,
    "EMAIL": EMAIL_OID,
    "SERIALNUMBER": "2.5.4.5",
    "T": "2.5.4.12",
    "SURNAME": "2.5.4.4",
    "GIVENNAME": "2.5.4.42",
    "INITIALS": "2.5.4.43",
    "GENERATION": "2.5.4.44",
    "DNQ": "2.5.4.46",
    "DNQUALIFIER": "2.5.4.46",
}

_SEPARATORS = ",;+"
_ESCAPABLE = ',=+<>#;"\\ '
_FORBIDDEN_BARE = '<>"'
_HEX = frozenset(string.hexdigits)


class NameParser:
    """Parses one string, once."""

    def __init__(self, text: str) -> None:
        self._text = text
        self._at = 0

    def parse(self) -> tuple[tuple[Attribute, ...], ...]:
        """RDNs in DER order. Raises NameInvalid."""
        if not self._text:
            return ()
        rdns: list[tuple[Attribute, ...]] = []
        attributes: list[Attribute] = []
        while True:
            attributes.append(self._attribute())
            separator = self._next()
            if separator == "+":
                continue
            rdns.append(tuple(attributes))
            attributes = []
            if not separator:
                return tuple(reversed(rdns))

    def _attribute(self) -> Attribute:
        oid = self._type()
        self._skip_blanks()
        first = self._peek()
        if first == "#":
            return Attribute(der.oid_content(oid), self._hex_value())
        text = self._quoted() if first == '"' else self._bare()
        return Attribute(der.oid_content(oid), encode_text(oid, text))

    def _type(self) -> str:
        equals = self._text.find("=", self._at)
        if equals < 0:
            raise NameInvalid(f"no '=' behind position {self._at}")
        word = self._text[self._at : equals].strip(" ")
        self._at = equals + 1
        keyword = word.upper() if word.isascii() else ""
        oid = ALIASES.get(keyword) or keyword.removeprefix("OID.")
        try:
            der.oid_content(oid)
        except der.DerFault as fault:
            raise NameInvalid(f"unknown attribute type {word!r}") from fault
        return oid

    def _hex_value(self) -> bytes:
        start = self._at + 1
        while self._peek() and self._peek() not in _SEPARATORS:
            self._at += 1
        digits = self._text[start : self._at].strip(" ")
        if not digits or len(digits) % 2 or not _HEX.issuperset(digits):
            raise NameInvalid("'#' wants pairs of hex digits behind it")
        value_der = bytes.fromhex(digits)
        try:
            if der.read(value_der, 0, len(value_der))[2] != len(value_der):
                raise NameInvalid("'#' wants exactly one DER value")
            _ = Attribute(b"", value_der).text
        except (der.DerFault, NameUnreadable) as fault:
            raise NameInvalid(f"'#' value: {fault}") from fault
        return value_der

    def _quoted(self) -> str:
        self._at += 1
        text: list[str] = []
        while (character := self._next()) != '"':
            if not character:
                raise NameInvalid("a quoted value does not end")
            text.append(self._escaped() if character == "\\" else character)
        self._skip_blanks()
        if self._peek() and self._peek() not in _SEPARATORS:
            raise NameInvalid("characters behind a closing quote")
        return "".join(text)

    def _bare(self) -> str:
        text: list[str] = []
        kept = 0  # up to here nothing is a blank that only precedes a separator
        while (character := self._peek()) and character not in _SEPARATORS:
            self._at += 1
            if character in _FORBIDDEN_BARE:
                raise NameInvalid(f"{character!r} without a backslash")
            text.append(self._escaped() if character == "\\" else character)
            if character != " ":
                kept = len(text)
        return "".join(text[:kept])

    def _escaped(self) -> str:
        """What a backslash stands for; consecutive hex pairs are the bytes of UTF-8 text."""
        character = self._next()
        if character and character in _ESCAPABLE:
            return character
        self._at -= 1
        octets = bytearray()
        while True:
            pair = self._text[self._at : self._at + 2]
            if len(pair) != 2 or not _HEX.issuperset(pair):
                raise NameInvalid("a backslash before a character that needs none")
            octets.append(int(pair, 16))
            self._at += 2
            if not (self._peek() == "\\" and _HEX.issuperset(self._text[self._at + 1 : self._at + 2] or " ")):
                break
            self._at += 1
        try:
            return octets.decode("utf-8")
        except UnicodeDecodeError as fault:
            raise NameInvalid("hex pairs that are not UTF-8") from fault

    def _peek(self) -> str:
        return self._text[self._at : self._at + 1]

    def _next(self) -> str:
        character = self._peek()
        self._at += len(character)
        return character

    def _skip_blanks(self) -> None:
        while self._peek() == " ":
            self._at += 1
