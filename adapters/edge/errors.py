"""Faults of connections and of the server's own certificate files."""

from kernel.errors import TuhonoError


class ConnectionFault(TuhonoError):
    """Base of every reason for which an established connection ends against its will."""

    code = "connection-fault"


class PeerVanished(ConnectionFault):
    """The peer closed or reset the connection without a goodbye; what it sent last may be missing."""

    code = "peer-vanished"


class PeerDoesNotRead(ConnectionFault):
    """More is held for the peer than `write_buffer_max_bytes`."""

    code = "peer-does-not-read"


class TlsBroken(ConnectionFault):
    """The peer broke the TLS protocol, or ended it with an alert; the message is OpenSSL's reason."""

    code = "tls-broken"


class CertificateFilesInvalid(TuhonoError):
    """The server's certificate and key files cannot be used; the message says which and why."""

    code = "certificate-files-invalid"
