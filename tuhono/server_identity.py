"""The certificate the gateway itself shows: the operator's, or one made at the first start.

A made one comes from a CA whose key is thrown away at once: DATA/tls/ca.pem is what devices need to
recognise the gateway, and nobody can ever issue another certificate under it. For development and first
steps; in production an operator names certificate and key.
"""

import fcntl
import logging
import os
import socket
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path

from cryptography.hazmat.primitives.asymmetric import ec

from conf.sections import Settings
from kernel.clock import Clock
from kernel.log import fields
from pki.certificates import parse_certificate
from pki.issuance import create_authority, issue
from pki.pem import certificates_in, render_certificate
from pki.profiles import SERVER
from pki.signers.file import FileSigner

log = logging.getLogger(__name__)

MADE_FOR_DAYS = 3650
WARNED_BEFORE = timedelta(days=30)
AUTHORITY_NAME = "ca.pem"
CERTIFICATE_NAME = "server.pem"
KEY_NAME = "server.key"


@dataclass(frozen=True, slots=True, kw_only=True)
class ServerIdentity:
    """The files every secure listener serves from."""

    certificate_file: Path
    key_file: Path


def server_identity(settings: Settings, clock: Clock) -> ServerIdentity:
    """The configured files, or DATA/tls/server.pem and .key, made where they are missing. Raises OSError."""
    if settings.edge.certificate_file is not None and settings.edge.key_file is not None:
        return ServerIdentity(certificate_file=settings.edge.certificate_file, key_file=settings.edge.key_file)
    folder = settings.data_dir / "tls"
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    identity = ServerIdentity(certificate_file=folder / CERTIFICATE_NAME, key_file=folder / KEY_NAME)
    with _alone(folder):
        if not identity.certificate_file.exists():
            _make(folder, identity, clock)
    _warn_before_it_ends(identity.certificate_file, clock)
    return identity


def _warn_before_it_ends(path: Path, clock: Clock) -> None:
    """A made certificate is not replaced by itself: devices hold on to its CA. Removing the files makes a new one."""
    not_after = parse_certificate(certificates_in(path.read_bytes())[0]).not_after
    if not_after - clock.now() < WARNED_BEFORE:
        log.error("server-certificate.ends", extra=fields(certificate=str(path), not_after=not_after.isoformat()))


def _make(folder: Path, identity: ServerIdentity, clock: Clock) -> None:
    """The certificate last: where it is, everything is."""
    now = clock.now()
    authority_signer = FileSigner(ec.generate_private_key(ec.SECP256R1()))
    host = socket.gethostname()
    authority = create_authority(
        f"CN=Tuhono server CA {now:%Y-%m-%d},O=Tuhono", signer=authority_signer, now=now, days=MADE_FOR_DAYS
    )
    identity.key_file.unlink(missing_ok=True)  # of an attempt that was cut short
    signer = FileSigner.create(identity.key_file)
    certificate = issue(
        "CN=localhost,O=Tuhono",
        public_key_der=signer.public_key_der,
        authority_der=authority,
        signer=authority_signer,
        profile=SERVER,
        now=now,
        days=MADE_FOR_DAYS,
        alternative_names=_names(host),
    )
    _write(folder / AUTHORITY_NAME, render_certificate(authority))
    _write(identity.certificate_file, render_certificate(certificate))
    log.info("server-certificate.made", extra=fields(certificate=str(identity.certificate_file), host=host))


def _names(host: str) -> list[str]:
    names = ["dns:localhost", "ip:127.0.0.1", "ip:::1"]
    usable = host != "localhost" and host.isascii() and host.replace("-", "").replace(".", "").isalnum()
    return [*names, f"dns:{host}"] if usable else names


def _write(path: Path, content: bytes) -> None:
    """Whole or not at all: a file cut short would be served from."""
    half = path.with_suffix(".new")
    with half.open("wb") as file:
        file.write(content)
        file.flush()
        os.fsync(file.fileno())
    half.replace(path)


@contextmanager
def _alone(folder: Path) -> Iterator[None]:
    """Processes that start together make one certificate between them."""
    descriptor = os.open(folder / ".lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX)
        yield
    finally:
        os.close(descriptor)
