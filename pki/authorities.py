"""What may end a path: a CA given as its certificate, or as name and key only."""

from dataclasses import dataclass, field
from datetime import datetime

from pki.certificates import Certificate, parse_certificate
from pki.errors import ChainRejected
from pki.keys import IssuerKey


@dataclass(frozen=True, slots=True, kw_only=True)
class Authority:
    """A name and a key that may end a path: a CA given as certificate, or as name and key only."""

    subject_dn: str  # RFC 2253 as hono-registry 4.5 spells it
    public_key_der: bytes  # SubjectPublicKeyInfo
    not_before: datetime
    not_after: datetime
    certificate_der: bytes | None = None  # when present, its own limits bind (path length, name constraints …)
    subject_der: bytes | None = None  # exact Name encoding, where it is known
    _read: "ReadAuthority | None" = field(default=None, init=False, repr=False, compare=False)

    @property
    def read(self) -> "ReadAuthority":
        """Key and certificate ready for use; made when first asked for, then kept with the authority."""
        if self._read is None:
            object.__setattr__(self, "_read", ReadAuthority(self))
        assert self._read is not None
        return self._read

    def is_valid_at(self, moment: datetime) -> bool:
        return self.not_before <= moment <= self.not_after


class ReadAuthority:
    """An authority's key, and its certificate where it has one that can be read."""

    def __init__(self, authority: Authority) -> None:
        self.key = IssuerKey(authority.public_key_der)
        self.certificate: Certificate | None = None
        self.fault: ChainRejected | None = None  # why there is a certificate that cannot be read
        if authority.certificate_der is not None:
            try:
                self.certificate = parse_certificate(authority.certificate_der)
            except ChainRejected as fault:
                self.fault = fault

    @property
    def key_id(self) -> bytes | None:
        """The identifier by which certificates may name this key; a hint only."""
        return (self.certificate and self.certificate.subject_key_id) or self.key.key_id


def authority_of(certificate_der: bytes) -> Authority:
    """The authority a CA certificate describes. Raises CertificateUnreadable or NameUnreadable."""
    certificate = parse_certificate(certificate_der)
    return Authority(
        subject_dn=certificate.subject_dn,
        public_key_der=certificate.public_key_der,
        not_before=certificate.not_before,
        not_after=certificate.not_after,
        certificate_der=certificate_der,
        subject_der=certificate.subject_der,
    )
