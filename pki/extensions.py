"""Certificate extensions, each read on its own and only when asked for.

One extension that cannot be read says nothing about the others, so every reader raises DerFault for its
own and the rule that needed it decides what that means.
"""

from collections.abc import Callable, Mapping
from functools import lru_cache
from typing import NamedTuple, TypeVar

from pki import der

BASIC_CONSTRAINTS = der.oid_content("2.5.29.19")
KEY_USAGE = der.oid_content("2.5.29.15")
EXTENDED_KEY_USAGE = der.oid_content("2.5.29.37")
ALTERNATIVE_NAMES = der.oid_content("2.5.29.17")
NAME_CONSTRAINTS = der.oid_content("2.5.29.30")
SUBJECT_KEY_ID = der.oid_content("2.5.29.14")
AUTHORITY_KEY_ID = der.oid_content("2.5.29.35")
CERTIFICATE_POLICIES = der.oid_content("2.5.29.32")
POLICY_MAPPINGS = der.oid_content("2.5.29.33")
INHIBIT_ANY_POLICY = der.oid_content("2.5.29.54")

# Those a path is judged by, and those that can be critical without changing any verdict here: nobody asks
# for a certain policy, so a path cannot fail for the policies it names (RFC 5280 6.1.5), and key
# identifiers only help to find an issuer.
UNDERSTOOD = frozenset(
    (
        BASIC_CONSTRAINTS,
        KEY_USAGE,
        EXTENDED_KEY_USAGE,
        ALTERNATIVE_NAMES,
        NAME_CONSTRAINTS,
        SUBJECT_KEY_ID,
        AUTHORITY_KEY_ID,
        CERTIFICATE_POLICIES,
        POLICY_MAPPINGS,
        INHIBIT_ANY_POLICY,
    )
)

DIGITAL_SIGNATURE = 0
KEY_CERT_SIGN = 5

CLIENT_AUTH = der.oid_content("1.3.6.1.5.5.7.3.2")
ANY_PURPOSE = der.oid_content("2.5.29.37.0")

EMAIL_NAME = 0x81  # rfc822Name
DNS_NAME = 0x82
DIRECTORY_NAME = 0xA4
URI_NAME = 0x86
IP_NAME = 0x87

_DEFAULT_FALSE = b"\x00"
_CERTIFICATE_EXTENSIONS_MAX = 256
_NAMES_MAX = 256  # each takes 50 times the two bytes that an empty one has in the certificate
_PURPOSES_MAX = 256
_REMEMBERED_MAX = 256
_REMEMBERED_MAX_BYTES = 128

T = TypeVar("T")


GeneralName = tuple[int, bytes]  # tag, which tells the kind, and content


class Extension(NamedTuple):
    """One extension as it stands in the certificate."""

    critical: bool
    content: bytes


def read_extensions(content: bytes) -> Mapping[bytes, Extension]:
    """Extensions by object identifier (content bytes) from what `[3]` holds.

    Raises DerFault, also for two of one kind (RFC 5280 4.2).
    """
    found: dict[bytes, Extension] = {}
    sequence = der.whole(content, der.SEQUENCE)
    at, end = 0, len(sequence)
    while at < end:
        start, at = der.expect(sequence, at, end, der.SEQUENCE)
        oid, extension = _read_extension(sequence[start:at])
        if oid in found or len(found) == _CERTIFICATE_EXTENSIONS_MAX:
            raise der.DerFault("an extension twice, or far too many")
        found[oid] = extension
    return found


def remembered(read: Callable[[bytes], T]) -> Callable[[bytes], T]:
    """The same reader, remembering its results: a fleet's certificates hold the same few short values over and over."""
    short = lru_cache(maxsize=_REMEMBERED_MAX)(read)
    return lambda content: short(content) if len(content) <= _REMEMBERED_MAX_BYTES else read(content)


@remembered
def _read_extension(member: bytes) -> tuple[bytes, Extension]:
    """One extension by its object identifier, from what its sequence holds."""
    end = len(member)
    oid_start, oid_end = der.expect(member, 0, end, der.OID)
    tag, start, stop = der.read(member, oid_end, end)
    critical = tag == der.BOOLEAN
    if critical:
        if stop - start != 1 or member[start] not in (0, 0xFF):
            raise der.DerFault("critical flag neither true nor false")
        critical = member[start] == 0xFF
        tag, start, stop = der.read(member, stop, end)
    if tag != der.OCTET_STRING or stop != end:
        raise der.DerFault("extension without value")
    return member[oid_start:oid_end], Extension(critical, member[start:stop])


@remembered
def read_basic_constraints(content: bytes) -> tuple[bool, int | None]:
    """Whether a CA, and the path length if there is one."""
    is_ca = False
    path_length: int | None = None
    members = list(der.elements(der.whole(content, der.SEQUENCE)))
    if members and members[0][0] == der.BOOLEAN:
        flag = members.pop(0)[1]
        if flag not in (b"\xff", _DEFAULT_FALSE):
            raise der.DerFault("CA flag neither true nor false")
        is_ca = flag == b"\xff"
    if members and members[0][0] == der.INTEGER:
        number = members.pop(0)[1]
        if not number or number[0] & 0x80 or len(number) > 4:
            raise der.DerFault("path length out of bounds")
        path_length = int.from_bytes(number, "big")
    if members:
        raise der.DerFault("more than CA flag and path length")
    return is_ca, path_length


@remembered
def read_key_usage(content: bytes) -> int:
    """The bits, first usage as least significant."""
    bits = der.whole(content, der.BIT_STRING)
    if not 2 <= len(bits) <= 3 or bits[0] > 7:
        raise der.DerFault("no key usage bits")
    used = 0
    for number in range(8 * (len(bits) - 1) - bits[0]):
        if bits[1 + number // 8] & 0x80 >> number % 8:
            used |= 1 << number
    return used


@remembered
def read_purposes(content: bytes) -> frozenset[bytes]:
    """Object identifiers (content bytes) of the extended key usage; at least one."""
    purposes = set()
    for tag, oid in der.elements(der.whole(content, der.SEQUENCE)):
        if tag != der.OID or not oid or oid[-1] & 0x80:
            raise der.DerFault("a purpose that is no object identifier")
        purposes.add(oid)
        if len(purposes) > _PURPOSES_MAX:
            raise der.DerFault("far too many purposes")
    if not purposes:
        raise der.DerFault("no purpose at all")
    return frozenset(purposes)


def read_general_names(content: bytes) -> tuple[GeneralName, ...]:
    """Tag and content of each alternative name; at least one. Character rules are the reader's concern."""
    names: list[GeneralName] = []
    for name in der.elements(der.whole(content, der.SEQUENCE)):
        if name[0] & 0xC0 != 0x80:
            raise der.DerFault("no alternative name")
        if len(names) == _NAMES_MAX:
            raise der.DerFault("far too many alternative names")
        names.append(name)
    if not names:
        raise der.DerFault("no alternative name")
    return tuple(names)


def read_key_id(content: bytes) -> bytes:
    """Key identifier of a subjectKeyIdentifier."""
    return der.whole(content, der.OCTET_STRING)


def read_authority_key_id(content: bytes) -> bytes | None:
    """Key identifier of an authorityKeyIdentifier, if it holds one."""
    for tag, octets in der.elements(der.whole(content, der.SEQUENCE)):
        if tag == 0x80:
            return octets
    return None
