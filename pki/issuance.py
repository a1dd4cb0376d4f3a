"""Makes certificates: a CA of its own, and what a CA issues to devices and servers.

For development CAs, the gateway's first server certificate and tests. Pure but for the serial number, which
is 159 random bits unless given; the private key stays behind the Signer port.
"""

import secrets
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from ipaddress import ip_address

from cryptography import x509

from pki import der
from pki.certificates import Certificate, parse_certificate
from pki.errors import IssuanceRefused
from pki.keys import IssuerKey
from pki.names import encode_name
from pki.ports import Signer
from pki.profiles import AUTHORITY, Profile
from pki.rules import PathRules, key_strength

BACKDATED = timedelta(minutes=5)  # so that a peer whose clock is a little slow accepts it at once
DAYS_MAX = 36_525

_SERIAL_BITS = 159
_USAGES = (
    "digital_signature",
    "content_commitment",
    "key_encipherment",
    "data_encipherment",
    "key_agreement",
    "key_cert_sign",
    "crl_sign",
    "encipher_only",
    "decipher_only",
)
_GENERALIZED_FROM = 2050


def create_authority(
    subject: str,
    *,
    signer: Signer,
    now: datetime,
    days: int,
    profile: Profile = AUTHORITY,
    serial_number: int | None = None,
) -> bytes:
    """DER of a certificate the signer's key issues to itself. `subject` as RFC 2253.

    Raises NameInvalid or IssuanceRefused.
    """
    subject_der = _subject(subject)
    return _signed(
        subject_der=subject_der,
        issuer_der=subject_der,
        public_key_der=signer.public_key_der,
        validity=_validity(now, days),
        extensions=_extensions(profile, signer.public_key_der, None, ()),
        serial_number=serial_number,
        signer=signer,
    )


def issue(
    subject: str,
    *,
    public_key_der: bytes,
    authority_der: bytes,
    signer: Signer,
    profile: Profile,
    now: datetime,
    days: int,
    alternative_names: Sequence[str] = (),
    serial_number: int | None = None,
) -> bytes:
    """DER of a certificate that the authority, whose key the signer holds, issues for a public key.

    `alternative_names` are `dns:…`, `ip:…`, `uri:…` or `email:…`. It never outlives the authority. Raises
    NameInvalid, IssuanceRefused, or what parsing the authority raises.
    """
    authority = parse_certificate(authority_der)
    if not authority.is_ca:
        raise IssuanceRefused(f"{authority.subject_dn!r} is no CA")
    if authority.public_key_der != signer.public_key_der:
        raise IssuanceRefused(f"the key is not that of {authority.subject_dn!r}")
    weak = key_strength("the new certificate", IssuerKey(public_key_der).facts, PathRules())
    if weak is not None:
        raise IssuanceRefused(str(weak)) from weak
    not_before, not_after = _validity(now, days)
    if not_before >= authority.not_after:
        raise IssuanceRefused(f"{authority.subject_dn!r} has expired")
    return _signed(
        subject_der=_subject(subject),
        issuer_der=authority.subject_der,
        public_key_der=public_key_der,
        validity=(not_before, min(not_after, authority.not_after)),
        extensions=_extensions(profile, public_key_der, authority, alternative_names),
        serial_number=serial_number,
        signer=signer,
    )


def _subject(subject: str) -> bytes:
    subject_der = encode_name(subject)
    if len(subject) > PathRules().subject_max_chars:
        raise IssuanceRefused("the subject is longer than any gateway accepts")
    if not subject.strip():
        raise IssuanceRefused("a certificate needs a subject")
    return subject_der


def _validity(now: datetime, days: int) -> tuple[datetime, datetime]:
    if not 1 <= days <= DAYS_MAX:
        raise IssuanceRefused(f"a certificate is valid for 1 to {DAYS_MAX} days")
    start = now.astimezone(UTC).replace(microsecond=0)
    return start - BACKDATED, start + timedelta(days=days)


def _extensions(
    profile: Profile, public_key_der: bytes, authority: Certificate | None, alternative_names: Sequence[str]
) -> bytes:
    if profile.wants_alternative_names and not alternative_names:
        raise IssuanceRefused(f"a {profile.purpose} certificate needs alternative names")
    usage = x509.KeyUsage(**{member: member in profile.key_usage for member in _USAGES})
    constraints = x509.BasicConstraints(ca=profile.is_ca, path_length=profile.path_length)
    own_id = IssuerKey(public_key_der).key_id or b""
    chosen: list[tuple[x509.ExtensionType, bool]] = [
        (constraints, True),
        (usage, True),
        (x509.SubjectKeyIdentifier(own_id), False),
    ]
    if profile.purposes:
        chosen.append((x509.ExtendedKeyUsage(profile.purposes), False))
    if authority is not None:
        issuer_id = authority.subject_key_id or authority.issuer_key.key_id
        chosen.append((x509.AuthorityKeyIdentifier(issuer_id, None, None), False))
    if alternative_names:
        chosen.append((x509.SubjectAlternativeName([_general_name(name) for name in alternative_names]), False))
    return b"".join(_extension(extension, critical) for extension, critical in chosen)


def _extension(extension: x509.ExtensionType, critical: bool) -> bytes:
    content = der.write(der.OID, der.oid_content(extension.oid.dotted_string))
    if critical:
        content += der.write(der.BOOLEAN, b"\xff")
    return der.write(der.SEQUENCE, content + der.write(der.OCTET_STRING, extension.public_bytes()))


def _general_name(name: str) -> x509.GeneralName:
    kind, _, text = name.partition(":")
    try:
        if kind == "dns":
            return x509.DNSName(text)
        if kind == "uri":
            return x509.UniformResourceIdentifier(text)
        if kind == "email":
            return x509.RFC822Name(text)
        if kind == "ip":
            return x509.IPAddress(ip_address(text))
    except ValueError as fault:
        raise IssuanceRefused(f"{name!r} is no alternative name: {fault}") from fault
    raise IssuanceRefused(f"{name!r} is none of dns:, ip:, uri:, email:")


def _signed(
    *,
    subject_der: bytes,
    issuer_der: bytes,
    public_key_der: bytes,
    validity: tuple[datetime, datetime],
    extensions: bytes,
    serial_number: int | None,
    signer: Signer,
) -> bytes:
    serial = secrets.randbits(_SERIAL_BITS) | 1 << (_SERIAL_BITS - 1) if serial_number is None else serial_number
    if not 0 < serial < 1 << _SERIAL_BITS:
        raise IssuanceRefused(f"a serial number is positive and of at most {_SERIAL_BITS} bits")
    content = b"".join(
        (
            der.write(0xA0, der.write(der.INTEGER, b"\x02")),
            der.write(der.INTEGER, serial.to_bytes(serial.bit_length() // 8 + 1, "big")),
            signer.algorithm_der,
            issuer_der,
            der.write(der.SEQUENCE, b"".join(map(_time, validity))),
            subject_der,
            public_key_der,
            der.write(0xA3, der.write(der.SEQUENCE, extensions)),
        )
    )
    to_sign = der.write(der.SEQUENCE, content)
    signature = der.write(der.BIT_STRING, b"\x00" + signer.sign(to_sign))
    return der.write(der.SEQUENCE, to_sign + signer.algorithm_der + signature)


def _time(moment: datetime) -> bytes:
    if moment.year < _GENERALIZED_FROM:
        return der.write(0x17, moment.strftime("%y%m%d%H%M%SZ").encode("ascii"))
    return der.write(0x18, moment.strftime("%Y%m%d%H%M%SZ").encode("ascii"))
