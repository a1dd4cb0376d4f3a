"""What people give to commands: certificate files and times, read with a sentence that names what is wrong."""

from __future__ import annotations

from datetime import datetime
from pathlib import Path

from tuhono.cli.errors import FileUnusable, TimeInvalid


def certificates_of(path: Path) -> list[bytes]:
    """The DER of every certificate in a PEM or DER file. Raises FileUnusable, OSError."""
    from pki.errors import CertificateUnreadable
    from pki.pem import FILE_MAX_BYTES, certificates_in

    with path.open("rb") as file:
        content = file.read(FILE_MAX_BYTES + 1)
    try:
        return certificates_in(content)
    except CertificateUnreadable as fault:
        says = "holds a private key, no certificate" if b"PRIVATE KEY-----" in content else f"is {fault}"
        raise FileUnusable(f"{path} {says}") from fault


def one_certificate_of(path: Path, what: str) -> bytes:
    """The only certificate in a file. Raises FileUnusable, OSError."""
    found = certificates_of(path)
    if len(found) != 1:
        raise FileUnusable(f"{path} holds {len(found)} certificates; {what} is one certificate, in a file of its own")
    return found[0]


def moment_of(given: str) -> datetime:
    """An ISO 8601 time; without an offset it is local. Raises TimeInvalid."""
    try:
        moment = datetime.fromisoformat(given)
        return moment if moment.tzinfo is not None else moment.astimezone()
    except (ValueError, OverflowError) as fault:
        raise TimeInvalid(f"{given!r} is no ISO 8601 time, such as 2026-01-31 or 2026-01-31T12:00:00Z") from fault
