"""Judges a presented chain against given authorities at a given moment: a path and every check's verdict.

Pure: knows no tenant, reads no clock. `judge` never raises for what a peer presented; the fault is in
the verdict, so that an operator can be shown every check and not only the first that failed.

Candidate paths are found by names alone, which costs next to nothing, and then verified from the authority
downwards: a key is used here only after something trusted vouched for it, so a stranger's own certificates, however
many, cost no verification. (TLS itself verifies with the leaf's key, to see that the peer holds the private one;
keys too large for that are refused as soon as they are read.)
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime

from pki.authorities import Authority, authority_of
from pki.certificates import Certificate
from pki.errors import ChainRejected, ChainTooLarge, KeyTooWeak, PathIncomplete, SignatureInvalid
from pki.keys import IssuerKey
from pki.paths import Candidate, candidates
from pki.rules import (
    ANCHOR_CERTIFICATE_RULES,
    ANCHOR_RULES,
    INTERMEDIATE_RULES,
    LEAF_RULES,
    PathRules,
    Place,
    Rule,
    shown,
    signature_strength,
    validity,
)

__all__ = ["Authority", "Check", "PathRules", "PathVerdict", "authority_of", "judge", "too_large"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Check:
    """One rule that was applied, for an operator to read."""

    name: str  # validity, signature, path-length, …
    passed: bool
    detail: str


@dataclass(slots=True, kw_only=True)
class PathVerdict:
    """What `judge` found. Exactly one of `authority` and `fault` is set. Nobody changes it."""

    path: tuple[Certificate, ...]  # leaf first, up to but not including the authority; of a refusal, the likeliest
    authority: Authority | None
    fault: ChainRejected | None
    checks: tuple[Check, ...] = ()  # empty unless asked for


def judge(
    presented: Sequence[Certificate],
    authorities: Sequence[Authority],
    *,
    at: datetime,
    rules: PathRules,
    explain: bool = False,
) -> PathVerdict:
    """Find a path from the leaf (first) through any of the other certificates to one of the authorities.

    The nearest authority is tried first. Where every path fails, the verdict tells of the one that came
    furthest: one with good signatures before one without. `explain` asks for every rule's outcome.
    """
    leaf, others = presented[0], presented[1:]
    fault = too_large([certificate.der for certificate in presented], rules) or _subject_too_long(presented, rules)
    if fault is not None:
        return _refused((leaf,), fault, [Check(name="size", passed=False, detail=str(fault))] if explain else [])
    expired = validity(leaf, at)
    if expired is not None and not explain:
        return _refused((leaf,), expired, [])
    best: _Refusal | None = None
    tried: list[Check] = []
    for candidate in candidates(leaf, others, authorities, at):
        refusal = _refusal(candidate, at, rules)
        if explain:
            tried.append(_outcome(candidate, refusal))
        if refusal is None:
            checks = (*tried, *_checks(candidate, at, rules)) if explain else ()
            return PathVerdict(path=candidate.path, authority=candidate.authority, fault=None, checks=checks)
        if best is None or refusal.rank > best.rank:
            best = refusal
    if best is not None:
        checks = (*tried, *_checks(best.candidate, at, rules)) if explain else ()
        return _refused(best.candidate.path, expired or best.fault, checks)
    missing = _incomplete(leaf, others)
    if explain:
        tried = [Check(name="path", passed=False, detail=str(missing)), *_leaf_checks(leaf, at, rules)]
    return _refused((leaf,), expired or missing, tried)


def too_large(chain_der: Sequence[bytes], rules: PathRules) -> ChainTooLarge | None:
    """Whether a presented chain has too many certificates or bytes; asked before anything is parsed."""
    if len(chain_der) > rules.chain_max_certificates:
        return ChainTooLarge(
            f"{len(chain_der)} certificates presented, at most {rules.chain_max_certificates} are read"
        )
    size_bytes = sum(map(len, chain_der))
    if size_bytes > rules.chain_max_bytes:
        return ChainTooLarge(f"{size_bytes} bytes of certificates presented, at most {rules.chain_max_bytes} are read")
    return None


@dataclass(frozen=True, slots=True)
class _Refusal:
    """Why a candidate fails, and how far it came."""

    rank: int
    fault: ChainRejected
    candidate: Candidate


_UNSIGNED, _WEAKLY_SIGNED, _SIGNED = range(3)


def _refused(path: tuple[Certificate, ...], fault: ChainRejected, checks: Sequence[Check]) -> PathVerdict:
    return PathVerdict(path=path, authority=None, fault=fault, checks=tuple(checks))


def _subject_too_long(presented: Sequence[Certificate], rules: PathRules) -> ChainTooLarge | None:
    for certificate in presented:
        if len(certificate.subject_dn) > rules.subject_max_chars:
            return ChainTooLarge(
                f"certificate {certificate.fingerprint_hex} has a subject of {len(certificate.subject_dn)} characters,"
                f" at most {rules.subject_max_chars} are accepted"
            )
    return None


def _incomplete(leaf: Certificate, others: Sequence[Certificate]) -> PathIncomplete:
    names = {certificate.subject_dn: certificate for certificate in others}
    top = leaf
    for _ in others:
        top = names.get(top.issuer_dn, top)
    return PathIncomplete(f"no trust anchor is named {top.issuer_dn!r}, the issuer of {shown(top)}")


def _refusal(candidate: Candidate, at: datetime, rules: PathRules) -> _Refusal | None:
    if not candidate.is_own_anchor:
        for certificate, key in candidate.signatures():
            fault = signature_strength(certificate, rules)
            if fault is not None:
                return _Refusal(_WEAKLY_SIGNED, fault, candidate)
            fault = _signature_fault(certificate, key)
            if fault is not None:
                return _Refusal(_UNSIGNED, fault, candidate)
    for table, certificate, place in _stations(candidate, at, rules):
        for rule in table:
            fault = rule.refusal(certificate, place)
            if fault is not None:
                return _Refusal(_SIGNED, fault, candidate)
    place = Place(at, rules)
    for anchor_rule in ANCHOR_RULES:
        fault = anchor_rule.refusal(candidate.authority, place)
        if fault is not None:
            return _Refusal(_SIGNED, fault, candidate)
    return None


def _signature_fault(certificate: Certificate, key: IssuerKey) -> ChainRejected | None:
    if certificate.is_signed_with(key):
        return None
    if key.loaded is None:
        return KeyTooWeak(f"the key of {certificate.issuer_dn!r} cannot be used: it is broken or of an unknown kind")
    return SignatureInvalid(f"{shown(certificate)} was not signed with the key of {certificate.issuer_dn!r}")


def _stations(
    candidate: Candidate, at: datetime, rules: PathRules
) -> list[tuple[tuple[Rule[Certificate], ...], Certificate, Place]]:
    """Which rules bind which certificate of the path, and where it stands."""
    path, anchor = candidate.path, candidate.authority.read.certificate
    stations: list[tuple[tuple[Rule[Certificate], ...], Certificate, Place]] = [(LEAF_RULES, path[0], Place(at, rules))]
    for index in range(1, len(path)):
        stations.append((INTERMEDIATE_RULES, path[index], Place(at, rules, path[:index])))
    if anchor is not None and not candidate.is_own_anchor:
        stations.append((ANCHOR_CERTIFICATE_RULES, anchor, Place(at, rules, path)))
    return stations


def _outcome(candidate: Candidate, refusal: _Refusal | None) -> Check:
    names = " <- ".join(repr(certificate.subject_dn) for certificate in candidate.path)
    way = f"{names} <- trust anchor {candidate.authority.subject_dn!r}"
    return Check(name="path", passed=refusal is None, detail=way if refusal is None else f"{way}: {refusal.fault.code}")


def _checks(candidate: Candidate, at: datetime, rules: PathRules) -> Iterator[Check]:
    """Every rule applied to the path, whether or not one before it failed."""
    if candidate.is_own_anchor:
        yield Check(name="signature", passed=True, detail="the certificate is registered as its own trust anchor")
    else:
        for certificate, key in candidate.signatures():
            fault = signature_strength(certificate, rules)
            yield _check("signature-strength", certificate.subject_dn, fault, certificate.signature_algorithm)
            if fault is None:
                fault = _signature_fault(certificate, key)
                yield _check("signature", certificate.subject_dn, fault, f"signed by {certificate.issuer_dn!r}")
    for table, certificate, place in _stations(candidate, at, rules):
        for rule in table:
            fault = rule.refusal(certificate, place)
            yield _check(rule.name, certificate.subject_dn, fault, "" if fault else rule.kept(certificate, place))
    authority, place = candidate.authority, Place(at, rules)
    for anchor_rule in ANCHOR_RULES:
        fault = anchor_rule.refusal(authority, place)
        yield _check(anchor_rule.name, authority.subject_dn, fault, "" if fault else anchor_rule.kept(authority, place))


def _leaf_checks(leaf: Certificate, at: datetime, rules: PathRules) -> Iterator[Check]:
    """What can be said of a leaf that leads to no authority."""
    place = Place(at, rules)
    for rule in LEAF_RULES:
        fault = rule.refusal(leaf, place)
        yield _check(rule.name, leaf.subject_dn, fault, "" if fault else rule.kept(leaf, place))


def _check(name: str, subject_dn: str, fault: ChainRejected | None, kept: str) -> Check:
    return Check(name=name, passed=fault is None, detail=str(fault) if fault else f"{subject_dn}: {kept}")
