"""Certificates in a file as people have them: one or several PEM blocks with text around, or one DER."""

import base64
import binascii
import re

from pki.errors import CertificateUnreadable

FILE_MAX_BYTES = 1_048_576
_BLOCK = re.compile(
    rb"-----BEGIN (?:TRUSTED |X509 )?CERTIFICATE-----(.*?)-----END (?:TRUSTED |X509 )?CERTIFICATE-----", re.DOTALL
)


def certificates_in(content: bytes) -> list[bytes]:
    """The DER of every certificate, in the file's order; at least one. Raises CertificateUnreadable."""
    if len(content) > FILE_MAX_BYTES:
        raise CertificateUnreadable(f"more than {FILE_MAX_BYTES} bytes are no certificate file")
    if content.startswith(b"\x30"):
        return [content]
    found = [_decoded(block.group(1)) for block in _BLOCK.finditer(content)]
    if not found:
        raise CertificateUnreadable("neither a PEM certificate nor DER")
    return found


def _decoded(body: bytes) -> bytes:
    try:
        return base64.b64decode(b"".join(body.split()), validate=True)
    except binascii.Error as fault:
        raise CertificateUnreadable(f"a PEM block is no Base64: {fault}") from fault


def render_certificate(der: bytes) -> bytes:
    """One PEM block."""
    body = base64.encodebytes(der).replace(b"\n", b"")
    lines = b"\n".join(body[start : start + 64] for start in range(0, len(body), 64))
    return b"-----BEGIN CERTIFICATE-----\n" + lines + b"\n-----END CERTIFICATE-----\n"
