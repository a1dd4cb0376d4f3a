"""Judges a presented chain against given authorities at a given moment: a path and every check's verdict.

Pure: knows no tenant, reads no clock. `judge` never raises for what a peer presented; the fault is in
the verdict, so that an operator can be shown every check and not only the first that failed.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from pki.certificates import Certificate
from pki.errors import ChainRejected


@dataclass(frozen=True, slots=True, kw_only=True)
class Authority:
    """A name and a key that may end a path: a CA given as certificate, or as name and key only."""

    subject_dn: str  # RFC 2253 as hono-registry 4.5 spells it
    public_key_der: bytes  # SubjectPublicKeyInfo
    not_before: datetime
    not_after: datetime
    certificate_der: bytes | None = None  # when present, its own limits bind (path length, name constraints …)
    subject_der: bytes | None = None  # exact Name encoding, where it is known


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


@dataclass(frozen=True, slots=True, kw_only=True)
class Check:
    """One rule that was applied, for an operator to read."""

    name: str  # validity, signature, path-length, …
    passed: bool
    detail: str


@dataclass(frozen=True, slots=True, kw_only=True)
class PathVerdict:
    """What `judge` found. Exactly one of `authority` and `fault` is set."""

    path: tuple[Certificate, ...]  # leaf first, up to but not including the authority
    authority: Authority | None
    fault: ChainRejected | None
    checks: tuple[Check, ...]


def judge(
    presented: Sequence[Certificate], authorities: Sequence[Authority], *, at: datetime, rules: PathRules
) -> PathVerdict:
    """Find a path from the leaf (first) through any of the other certificates to one of the authorities."""
    raise NotImplementedError
