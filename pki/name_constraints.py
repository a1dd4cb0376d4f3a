"""Name constraints: which names a CA may vouch for, and which name of a certificate lies outside (RFC 5280 4.2.1.10).

Where it is unclear what a constraint or a name means, the name is taken to lie outside: a constraint that
cannot be applied must not be passed over. Host and directory names are compared without regard to case, a
mailbox's local part with.
"""

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from pki import der
from pki.errors import NameUnreadable
from pki.extensions import DIRECTORY_NAME, DNS_NAME, EMAIL_NAME, IP_NAME, URI_NAME, GeneralName
from pki.name_values import EMAIL_OID
from pki.names import Name, read_name

COMPARISONS_MAX = 20_000  # names times subtrees of one certificate; beyond, it is refused

_PERMITTED = 0xA0
_EXCLUDED = 0xA1
_MINIMUM = 0x80
_LABEL = r"[a-z0-9_](?:[a-z0-9_-]*[a-z0-9_])?"
_HOST = re.compile(rf"(?:\*\.)?{_LABEL}(?:\.{_LABEL})*")
_ATOM = r"[A-Za-z0-9!#$%&'*+/=?^_`{|}~-]+"
_LOCAL_PART = re.compile(rf"{_ATOM}(?:\.{_ATOM})*")
_HOST_BASE = rf"(?:\.?{_LABEL}(?:\.{_LABEL})*)?"
_BASES = {
    DNS_NAME: re.compile(_HOST_BASE),
    URI_NAME: re.compile(_HOST_BASE),
    EMAIL_NAME: re.compile(rf"(?:{_ATOM}(?:\.{_ATOM})*@{_LABEL}(?:\.{_LABEL})*)|{_HOST_BASE}"),
}
_URI_HOST = re.compile(r"[A-Za-z][A-Za-z0-9+.-]*://(?:[^@/?#]*@)?([^:@/?#\[\]]+)(?::[0-9]*)?(?:[/?#].*)?", re.DOTALL)
_ADDRESS = re.compile(r"[0-9.]+")

Subtree = tuple[int, bytes]  # tag and content of a general name


class _NoName(ValueError):
    """A name that is none of its kind: it fits no permitted subtree and every excluded one."""


@dataclass(frozen=True, slots=True)
class NameConstraints:
    """Subtrees as the CA's certificate gives them."""

    permitted: tuple[Subtree, ...]
    excluded: tuple[Subtree, ...]


def read_name_constraints(content: bytes) -> NameConstraints:
    """Raises DerFault, or NameUnreadable for a directory name."""
    subtrees: dict[int, tuple[Subtree, ...]] = {}
    for tag, members in der.elements(der.whole(content, der.SEQUENCE)):
        if tag not in (_PERMITTED, _EXCLUDED) or tag in subtrees:
            raise der.DerFault("name constraints of an unknown form")
        subtrees[tag] = tuple(_read_subtree(tag_, member) for tag_, member in der.elements(members))
        if not subtrees[tag]:
            raise der.DerFault("name constraints without subtree")
    if not subtrees:
        raise der.DerFault("name constraints without subtree")
    return NameConstraints(subtrees.get(_PERMITTED, ()), subtrees.get(_EXCLUDED, ()))


def _read_subtree(tag: int, member: bytes) -> Subtree:
    parts = list(der.elements(member)) if tag == der.SEQUENCE else []
    if not parts or parts[1:] not in ([], [(_MINIMUM, b"\x00")]):
        raise der.DerFault("subtree of an unknown form")
    form, base = parts[0]
    if form in _BASES and not _BASES[form].fullmatch(base.decode("latin-1").lower()):
        raise der.DerFault("subtree that is no host or mailbox")
    if form == IP_NAME and len(base) not in (8, 32):
        raise der.DerFault("address subtree of an odd length")
    if form == DIRECTORY_NAME:
        read_name(base)
    return form, base


def violation(
    constraints: NameConstraints, *, subject: Name, alternative_names: Sequence[GeneralName] | None
) -> str | None:
    """What lies outside the constraints, in words for an operator, or None."""
    if alternative_names is None:
        return "its alternative names cannot be read"
    names: list[GeneralName] = list(alternative_names)
    if subject.rdns:
        names.append((DIRECTORY_NAME, subject.encode()))
    names += [(EMAIL_NAME, address.encode("utf-8")) for address in subject.all(EMAIL_OID)]
    if len(names) * (len(constraints.permitted) + len(constraints.excluded)) > COMPARISONS_MAX:
        return "it has too many names to compare"
    for form, name in names:
        permitted = [base for form_, base in constraints.permitted if form_ == form]
        excluded = [base for form_, base in constraints.excluded if form_ == form]
        if not permitted and not excluded:
            continue
        within = _FORMS.get(form)
        if within is None:
            return "it has a name of a constrained kind that is not supported"
        try:
            if permitted and not any(within(name, base, False) for base in permitted):
                return f"{_shown(form, name)} is not among what is permitted"
            if any(within(name, base, True) for base in excluded):
                return f"{_shown(form, name)} is excluded"
        except _NoName:
            return f"{_shown(form, name)} is no valid name of its kind"
    return None


def _shown(form: int, name: bytes) -> str:
    if form == DIRECTORY_NAME:
        return "a directory name"
    if form == IP_NAME:
        return f"address {name.hex()}"
    return ascii(name.decode("latin-1"))


def _host(text: str) -> str:
    host = text.lower()
    if not _HOST.fullmatch(host):
        raise _NoName(text)
    return host


def _under(host: str, base: str, *, excluding: bool) -> bool:
    """Whether the host is the base or below it. A wildcard touches whatever its parent holds."""
    if not base:
        return True
    if base.startswith("."):
        below, itself = base, ""
    else:
        below, itself = "." + base, base
    if host == itself or host.endswith(below):
        return True
    return excluding and host.startswith("*.") and below.endswith(host[1:])


def _dns_within(name: bytes, base: bytes, excluding: bool) -> bool:
    return _under(_host(name.decode("latin-1")), base.decode("ascii").lower(), excluding=excluding)


def _host_within(host: str, base: str) -> bool:
    """E-mail and URI: a base without leading dot is that host alone."""
    return host.endswith(base) and len(host) > len(base) if base.startswith(".") else host == base or not base


def _email_within(name: bytes, base: bytes, excluding: bool) -> bool:
    local, at, host_text = name.decode("utf-8").rpartition("@")
    if not at or not _LOCAL_PART.fullmatch(local):
        raise _NoName(name)
    host = _host(host_text)
    wanted_local, at, wanted_host = base.decode("ascii").rpartition("@")
    if at and local != wanted_local:
        return False
    return _host_within(host, wanted_host.lower())


def _uri_within(name: bytes, base: bytes, excluding: bool) -> bool:
    match = _URI_HOST.fullmatch(name.decode("latin-1"))
    if match is None or _ADDRESS.fullmatch(match[1]):
        raise _NoName(name)
    return _host_within(_host(match[1]), base.decode("ascii").lower())


def _ip_within(name: bytes, base: bytes, excluding: bool) -> bool:
    if len(name) not in (4, 16):
        raise _NoName(name)
    half = len(base) // 2
    if len(name) != half:
        return False
    return all(
        octet & mask == wanted & mask for octet, wanted, mask in zip(name, base[:half], base[half:], strict=True)
    )


def _directory_within(name: bytes, base: bytes, excluding: bool) -> bool:
    wanted = _comparable(read_name(base))
    try:
        found = _comparable(read_name(name))
    except NameUnreadable as fault:
        raise _NoName(name) from fault
    return found[: len(wanted)] == wanted


def _comparable(name: Name) -> list[frozenset[tuple[bytes, str | bytes]]]:
    """RDNs in DER order, without regard to case, string type and repeated blanks."""
    return [
        frozenset(
            (attribute.oid, attribute.value_der if (text := attribute.text) is None else _folded(text))
            for attribute in rdn
        )
        for rdn in name.rdns
    ]


def _folded(text: str) -> str:
    return " ".join(text.casefold().split())


_FORMS: dict[int, Callable[[bytes, bytes, bool], bool]] = {
    EMAIL_NAME: _email_within,
    DNS_NAME: _dns_within,
    URI_NAME: _uri_within,
    IP_NAME: _ip_within,
    DIRECTORY_NAME: _directory_within,
}
