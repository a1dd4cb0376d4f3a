"""Id templates: text with placeholders that a certificate fills (hono-registry 2.1.2).

    {{subject-dn}}          the whole subject, RFC 2253 as hono-registry 4.5 spells it
    {{subject-KEYWORD}}     an attribute of the subject: cn ou o c l st street dc uid serialnumber emailaddress
                            givenname surname title initials generation dnqualifier
    {{serial-number}}       the certificate's serial number, lower-case hex
    {{fingerprint}}         SHA-256 of the certificate, lower-case hex
    {{san-dns}} {{san-uri}} the first such subject alternative name

Filling is one literal replacement: what a certificate holds is never read as template or pattern, whatever
it holds. Whether the result may be an id is for the caller's id rule to say.
"""

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Final

from pki.certificates import Certificate
from pki.errors import TemplateInvalid, TemplateUnfilled
from pki.name_values import EMAIL_OID, KEYWORDS

TEMPLATE_MAX_CHARS: Final = 1024

ATTRIBUTES: Final[Mapping[str, str]] = {keyword.lower(): oid for keyword, oid in KEYWORDS.items()} | {
    "serialnumber": "2.5.4.5",
    "emailaddress": EMAIL_OID,
    "givenname": "2.5.4.42",
    "surname": "2.5.4.4",
    "title": "2.5.4.12",
    "initials": "2.5.4.43",
    "generation": "2.5.4.44",
    "dnqualifier": "2.5.4.46",
}

Reader = Callable[[Certificate], str | None]


def _attribute(oid: str) -> Reader:
    return lambda certificate: certificate.subject.first(oid)


PLACEHOLDERS: Final[Mapping[str, Reader]] = {
    "subject-dn": lambda certificate: certificate.subject_dn,
    **{f"subject-{keyword}": _attribute(oid) for keyword, oid in ATTRIBUTES.items()},
    "serial-number": lambda certificate: certificate.serial_hex,
    "fingerprint": lambda certificate: certificate.fingerprint_hex,
    "san-dns": lambda certificate: next(iter(certificate.san_dns), None),
    "san-uri": lambda certificate: next(iter(certificate.san_uris), None),
}

_PLACEHOLDER = re.compile(r"\{\{(.*?)\}\}", re.DOTALL)


@dataclass(frozen=True, slots=True)
class Template:
    """A template whose placeholders are all known; `parse` makes one."""

    text: str
    _literals: tuple[str, ...]  # one more than there are placeholders
    _names: tuple[str, ...]

    @classmethod
    def parse(cls, text: str) -> "Template":
        """Raises TemplateInvalid: no placeholder, an unknown or unfinished one, or too long a text."""
        if len(text) > TEMPLATE_MAX_CHARS:
            raise TemplateInvalid(f"a template has at most {TEMPLATE_MAX_CHARS} characters")
        pieces = _PLACEHOLDER.split(text)
        literals, names = tuple(pieces[::2]), tuple(pieces[1::2])
        for name in names:
            if name not in PLACEHOLDERS:
                raise TemplateInvalid(f"unknown placeholder {{{{{name}}}}}; known are {', '.join(PLACEHOLDERS)}")
        if any("{{" in literal for literal in literals):
            raise TemplateInvalid("a placeholder that does not end")
        if not names:
            raise TemplateInvalid("a template holds at least one placeholder")
        return cls(text, literals, names)

    def fill(self, certificate: Certificate) -> str:
        """The text with every placeholder replaced. Raises TemplateUnfilled for what the certificate lacks."""
        filled = [self._literals[0]]
        for name, literal in zip(self._names, self._literals[1:], strict=True):
            value = PLACEHOLDERS[name](certificate)
            if not value:
                raise TemplateUnfilled(f"{certificate.subject_dn!r} has nothing for {{{{{name}}}}} in {self.text!r}")
            filled += (value, literal)
        return "".join(filled)
