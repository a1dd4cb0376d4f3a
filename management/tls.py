"""The TLS side of the management listener: one context made from a certificate and its key.

A context is never changed once it serves; a renewed certificate makes a new one, so that files caught half
written leave the old one standing.
"""

import ssl
from pathlib import Path

from management.errors import ManagementCertificateUnusable


def server_context(certificate_file: Path, key_file: Path) -> ssl.SSLContext:
    """TLS 1.2 and later, no session tickets. Raises ManagementCertificateUnusable. Reads two small files."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    context.num_tickets = 0
    context.options |= ssl.OP_NO_TICKET | ssl.OP_NO_COMPRESSION | ssl.OP_NO_RENEGOTIATION
    try:
        # The empty password keeps OpenSSL from asking for one on the terminal.
        context.load_cert_chain(certificate_file, key_file, password="")
    except (OSError, ValueError) as fault:  # ssl.SSLError is an OSError
        says = f"{certificate_file} and {key_file} make no server certificate: {fault}"
        raise ManagementCertificateUnusable(says) from fault
    return context
