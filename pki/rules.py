"""The rules every certificate of a path must keep, each in the place it has there (hono-registry 4.8).

A rule returns its refusal or None. The same table serves a handshake, which stops at the first refusal, and
`tuhono explain`, which wants to see every rule; so a rule has a name and a sentence for when it is kept.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Generic, TypeVar

from pki.authorities import Authority
from pki.certificates import Certificate
from pki.der import DerFault
from pki.errors import (
    AnchorNotValidNow,
    CertificateExpired,
    CertificateNotYetValid,
    CertificateUnreadable,
    ChainRejected,
    CriticalExtensionUnknown,
    ExtendedKeyUsageForbids,
    IssuerNotCa,
    KeyTooWeak,
    KeyUsageForbids,
    NameConstraintViolated,
    NameUnreadable,
    PathTooLong,
    SignatureInvalid,
    SignatureTooWeak,
)
from pki.extensions import ANY_PURPOSE, CLIENT_AUTH, DIGITAL_SIGNATURE, KEY_CERT_SIGN
from pki.keys import EC, ED448, ED25519, EXPLICIT_CURVE, RSA, KeyFacts
from pki.name_constraints import violation
from pki.signatures import MD5, SHA1

Subject = TypeVar("Subject")  # a certificate of the path, or the trust anchor
_KINDS_ACCEPTED = (RSA, EC, ED25519, ED448)


@dataclass(frozen=True, slots=True, kw_only=True)
class PathRules:
    """What is too weak, too long or too large (conf.pki, conf.edge)."""

    rsa_min_bits: int = 2048
    allow_sha1: bool = False
    allow_md5: bool = False
    allow_explicit_curves: bool = False
    chain_max_certificates: int = 10
    chain_max_bytes: int = 102_400
    subject_max_chars: int = 4096


@dataclass(slots=True)
class Place:
    """Where in a path a rule looks, and when. Nobody changes it; freezing it would cost 0.5 us, twice a chain."""

    at: datetime
    rules: PathRules
    below: Sequence[Certificate] = ()  # what this one vouches for, leaf first; empty for the leaf


class Rule(Generic[Subject]):
    """A rule by the name operators know it under. Not a dataclass: generic ones cannot be compiled ahead of time."""

    def __init__(
        self,
        name: str,
        refusal: Callable[[Subject, Place], ChainRejected | None],
        kept: Callable[[Subject, Place], str],
    ) -> None:
        self.name = name
        self.refusal = refusal
        self.kept = kept


def validity(certificate: Certificate, at: datetime) -> ChainRejected | None:
    if at > certificate.not_after:
        return CertificateExpired(f"{shown(certificate)} expired at {certificate.not_after.isoformat()}")
    if at < certificate.not_before:
        return CertificateNotYetValid(f"{shown(certificate)} is not valid before {certificate.not_before.isoformat()}")
    return None


def signature_strength(certificate: Certificate, rules: PathRules) -> ChainRejected | None:
    algorithm = certificate.algorithm
    if algorithm is None:
        return SignatureInvalid(f"{shown(certificate)} does not say in one voice how it was signed")
    if algorithm.verify is None:
        return SignatureTooWeak(f"{shown(certificate)} is signed with {algorithm.name}, which is not accepted")
    if (algorithm.digest == SHA1 and not rules.allow_sha1) or (algorithm.digest == MD5 and not rules.allow_md5):
        return SignatureTooWeak(f"{shown(certificate)} is signed with {algorithm.name}, which is too weak")
    return None


def key_strength(whose: str, facts: KeyFacts | None, rules: PathRules) -> ChainRejected | None:
    weakness = key_weakness(facts, rules)
    return None if weakness is None else KeyTooWeak(f"{whose} {weakness}")


def key_weakness(facts: KeyFacts | None, rules: PathRules) -> str | None:
    """What is wrong with a key, behind the name of whose it is; None for a good one."""
    if facts is None or facts.kind not in _KINDS_ACCEPTED:
        return f"has a key of a kind that is not accepted ({facts.kind if facts else 'unreadable'})"
    if facts.kind == RSA and facts.bits < rules.rsa_min_bits:
        return f"has an RSA key of {facts.bits} bits; at least {rules.rsa_min_bits} are required"
    if facts.curve == EXPLICIT_CURVE:
        return None if rules.allow_explicit_curves else "has a key on a curve given by explicit parameters"
    if facts.kind == EC and not facts.bits:
        return f"has a key on curve {facts.curve}, which is not accepted"
    return None


def shown(certificate: Certificate) -> str:
    """How a refusal names a certificate."""
    return f"certificate {certificate.subject_dn!r} (serial number {certificate.serial_hex})"


def _validity(certificate: Certificate, place: Place) -> ChainRejected | None:
    return validity(certificate, place.at)


def _validity_kept(certificate: Certificate, place: Place) -> str:
    return f"valid from {certificate.not_before.isoformat()} to {certificate.not_after.isoformat()}"


def _key_strength(certificate: Certificate, place: Place) -> ChainRejected | None:
    weakness = key_weakness(certificate.key_facts, place.rules)
    return None if weakness is None else KeyTooWeak(f"{shown(certificate)} {weakness}")


def _key_kept(certificate: Certificate, place: Place) -> str:
    return _described(certificate.key_facts)


def _described(facts: KeyFacts | None) -> str:
    return f"{facts.kind} {facts.curve or facts.bits}" if facts else "unreadable"


def _critical_extensions(certificate: Certificate, place: Place) -> ChainRejected | None:
    if certificate.unknown_critical is None:
        return None
    return CriticalExtensionUnknown(
        f"{shown(certificate)} has a critical extension that is not understood: {certificate.unknown_critical}"
    )


def _alternative_names(certificate: Certificate, place: Place) -> ChainRejected | None:
    if certificate.alternative_names is not None:
        return None
    return NameUnreadable(f"{shown(certificate)} has alternative names that cannot be read")


def _device_key_usage(certificate: Certificate, place: Place) -> ChainRejected | None:
    usage = certificate.key_usage
    if usage is None or usage >> DIGITAL_SIGNATURE & 1:
        return None
    return KeyUsageForbids(f"{shown(certificate)} has a key usage without digitalSignature")


def _issuer_key_usage(certificate: Certificate, place: Place) -> ChainRejected | None:
    usage = certificate.key_usage
    if usage is None or usage >> KEY_CERT_SIGN & 1:
        return None
    return KeyUsageForbids(f"{shown(certificate)} has a key usage without keyCertSign")


def _purposes(certificate: Certificate, place: Place) -> ChainRejected | None:
    purposes = certificate.purposes
    if purposes is None or CLIENT_AUTH in purposes or ANY_PURPOSE in purposes:
        return None
    return ExtendedKeyUsageForbids(f"{shown(certificate)} has an extended key usage without client authentication")


def _purposes_kept(certificate: Certificate, place: Place) -> str:
    return "no extended key usage" if certificate.purposes is None else "client authentication is allowed"


def _usage_kept(certificate: Certificate, place: Place) -> str:
    return "no key usage" if certificate.key_usage is None else "the key usage allows this use"


def _ca_flag(certificate: Certificate, place: Place) -> ChainRejected | None:
    if certificate.is_ca:
        return None
    return IssuerNotCa(f"{shown(certificate)} is no CA, but was used to issue {place.below[-1].subject_dn!r}")


def _anchor_ca_flag(certificate: Certificate, place: Place) -> ChainRejected | None:
    return None if certificate.version < 3 else _ca_flag(certificate, place)


def _path_length(certificate: Certificate, place: Place) -> ChainRejected | None:
    path_length = certificate.basic_constraints[1] if certificate.basic_constraints else None
    if path_length is None:
        return None
    intermediates = sum(not below.is_self_issued for below in place.below[1:])
    if intermediates <= path_length:
        return None
    return PathTooLong(
        f"{shown(certificate)} allows {path_length} intermediate certificates below it; there are {intermediates}"
    )


def _path_length_kept(certificate: Certificate, place: Place) -> str:
    path_length = certificate.basic_constraints[1] if certificate.basic_constraints else None
    return "no path length constraint" if path_length is None else f"path length constraint {path_length}"


def _name_constraints(certificate: Certificate, place: Place) -> ChainRejected | None:
    try:
        constraints = certificate.name_constraints
    except (DerFault, NameUnreadable) as fault:
        return NameConstraintViolated(f"{shown(certificate)} has name constraints that cannot be read: {fault}")
    if constraints is None:
        return None
    for below in place.below:
        if below.is_self_issued and below is not place.below[0]:
            continue  # RFC 5280 6.1.3 (b)
        outside = violation(constraints, subject=below.subject, alternative_names=below.alternative_names)
        if outside:
            return NameConstraintViolated(
                f"{shown(below)} lies outside the name constraints of {certificate.subject_dn!r}: {outside}"
            )
    return None


def _name_constraints_kept(certificate: Certificate, place: Place) -> str:
    return "no name constraints" if certificate.name_constraints is None else "every name below lies within"


def _anchor_validity(authority: Authority, place: Place) -> ChainRejected | None:
    if authority.is_valid_at(place.at):
        return None
    return AnchorNotValidNow(f"trust anchor {authority.subject_dn!r} is {_anchor_validity_kept(authority, place)}")


def _anchor_validity_kept(authority: Authority, place: Place) -> str:
    return f"valid from {authority.not_before.isoformat()} to {authority.not_after.isoformat()}"


def _anchor_readable(authority: Authority, place: Place) -> ChainRejected | None:
    fault = authority.read.fault
    if fault is None:
        return None
    return CertificateUnreadable(f"trust anchor {authority.subject_dn!r}: {fault}")


def _anchor_readable_kept(authority: Authority, place: Place) -> str:
    return "given as certificate" if authority.certificate_der else "given as name and key only"


def _anchor_key(authority: Authority, place: Place) -> ChainRejected | None:
    weakness = key_weakness(authority.read.key.facts, place.rules)
    return None if weakness is None else KeyTooWeak(f"trust anchor {authority.subject_dn!r} {weakness}")


def _anchor_key_kept(authority: Authority, place: Place) -> str:
    return _described(authority.read.key.facts)


def _says(sentence: str) -> Callable[[Certificate, Place], str]:
    return lambda certificate, place: sentence


_VALIDITY = Rule("validity", _validity, _validity_kept)
_KEY = Rule("key-strength", _key_strength, _key_kept)
_CRITICAL = Rule("critical-extensions", _critical_extensions, _says("none that is not understood"))
_PURPOSES = Rule("extended-key-usage", _purposes, _purposes_kept)
_ISSUING = Rule("key-usage", _issuer_key_usage, _usage_kept)
_PATH_LENGTH = Rule("path-length", _path_length, _path_length_kept)
_NAME_CONSTRAINTS = Rule("name-constraints", _name_constraints, _name_constraints_kept)

LEAF_RULES = (
    _VALIDITY,
    _KEY,
    _CRITICAL,
    Rule("alternative-names", _alternative_names, _says("readable, or none")),
    Rule("key-usage", _device_key_usage, _usage_kept),
    _PURPOSES,
)
INTERMEDIATE_RULES = (
    _VALIDITY,
    _KEY,
    Rule("ca-flag", _ca_flag, _says("it is a CA")),
    _PATH_LENGTH,
    _ISSUING,
    _PURPOSES,
    _CRITICAL,
    _NAME_CONSTRAINTS,
)
ANCHOR_RULES = (
    Rule("anchor-validity", _anchor_validity, _anchor_validity_kept),
    Rule("anchor-certificate", _anchor_readable, _anchor_readable_kept),
    Rule("anchor-key-strength", _anchor_key, _anchor_key_kept),
)
ANCHOR_CERTIFICATE_RULES = (
    Rule("anchor-ca-flag", _anchor_ca_flag, _says("it may issue")),
    Rule("anchor-path-length", _path_length, _path_length_kept),
    Rule("anchor-key-usage", _issuer_key_usage, _usage_kept),
    Rule("anchor-critical-extensions", _critical_extensions, _says("none that is not understood")),
    Rule("anchor-name-constraints", _name_constraints, _name_constraints_kept),
)
