"""Candidate paths: which presented certificates could lead from the leaf to which authority, by their names alone.

Finding them costs next to nothing and proves nothing; the number looked at is bounded, because names are a
stranger's to choose.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime

from pki.authorities import Authority
from pki.certificates import Certificate
from pki.keys import IssuerKey

PATHS_MAX = 32  # candidate paths looked at for one chain; cross-signed CAs make a handful
STEPS_MAX = 512  # certificates set on top of one another in search of them
AUTHORITIES_OF_A_NAME_MAX = 16  # tried for one issuer name, the likeliest first


@dataclass(slots=True)
class Candidate:
    """A path whose names fit, from the leaf to below the authority. Nobody changes it."""

    path: tuple[Certificate, ...]
    authority: Authority

    @property
    def is_own_anchor(self) -> bool:
        """Whether a self-signed certificate is itself the authority: its signature then proves nothing."""
        leaf = self.path[0]
        return len(self.path) == 1 and leaf.der == self.authority.certificate_der and leaf.is_self_issued

    def signatures(self) -> Iterator[tuple[Certificate, IssuerKey]]:
        """Each certificate with the key above it, from the authority downwards."""
        key = self.authority.read.key
        for certificate in reversed(self.path):
            yield certificate, key
            key = certificate.issuer_key


def candidates(
    leaf: Certificate, others: Sequence[Certificate], authorities: Sequence[Authority], at: datetime
) -> Iterator[Candidate]:
    """Paths by name alone, shortest first: what ends nearest to the leaf is tried first."""
    paths: list[tuple[Certificate, ...]] = [(leaf,)]
    found = steps = 0
    while paths:
        longer: list[tuple[Certificate, ...]] = []
        for path in paths:
            issuer_dn = path[-1].issuer_dn
            for authority in _named(path[-1], authorities, at):
                yield Candidate(path, authority)
                found += 1
                if found == PATHS_MAX:
                    return
            for other in others:
                if other.subject_dn == issuer_dn and other not in path and steps < STEPS_MAX:
                    steps += 1
                    longer.append((*path, other))
        paths = longer


def _named(certificate: Certificate, authorities: Sequence[Authority], at: datetime) -> Sequence[Authority]:
    """Authorities of the issuer's name; of several the likeliest first: valid now, and of the key the issuer names."""
    named = [authority for authority in authorities if authority.subject_dn == certificate.issuer_dn]
    if len(named) < 2:
        return named
    key_id = certificate.authority_key_id

    def unlikely(authority: Authority) -> tuple[bool, bool, bool]:
        own = authority.certificate_der == certificate.der
        hinted = key_id is not None and authority.read.key_id == key_id
        return not own, not authority.is_valid_at(at), not hinted

    return sorted(named, key=unlikely)[:AUTHORITIES_OF_A_NAME_MAX]
