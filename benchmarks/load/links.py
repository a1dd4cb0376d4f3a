"""A device's end of a secured connection, TLS 1.3 over TCP or DTLS 1.2 over UDP: non-blocking, and cheap.

Both kinds have the same four methods. `handshake` is a generator that yields whenever it needs the peer;
`read` returns None whenever there is nothing to read. Reads and writes go to OpenSSL directly through one
buffer, since a load that is slower than the server would keep fewer requests in flight than it claims.

Every server is offered the same: X25519 before P-256, AES-128-GCM. Left alone, a new OpenSSL here would
pick post-quantum key exchange with those servers that know it, and compare unequal work.
"""

import select
import socket
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any, Protocol

from cryptography.hazmat.bindings.openssl.binding import Binding
from OpenSSL import SSL

from benchmarks.credentials import HOST, SERVER_NAME, Device
from benchmarks.load.errors import ConnectionLost

LIB: Any = Binding.lib
FFI: Any = Binding.ffi

_BUFFER_BYTES = 16_384
_BUFFER: Any = FFI.new("char[]", _BUFFER_BYTES)
_GROUPS = b"X25519:P-256"
_DTLS_HEADER_BYTES = 13
_MTU_BYTES = 1280

Steps = Iterator[None]


class Link(Protocol):
    """What the scripts of mqtt.py, http.py and coap.py need."""

    @property
    def fd(self) -> int: ...

    def handshake(self) -> Steps:
        """Yields until the handshake is done. Raises ConnectionLost when it is refused."""
        ...

    def read(self) -> bytes | None:
        """What arrived, at most one record; None when nothing did. Raises ConnectionLost at its end."""
        ...

    def write(self, data: bytes) -> None:
        """All of it, in one record. Raises ConnectionLost."""
        ...

    def on_silence(self) -> None:
        """Nothing has arrived for a while: what may have been lost is sent again."""
        ...

    def close(self) -> None:
        """Let go of the socket; safe to repeat."""
        ...


class TlsContext:
    """What all TLS clients share."""

    def __init__(self, ca_file: Path) -> None:
        self._context = SSL.Context(SSL.TLS_CLIENT_METHOD)
        self._context.set_min_proto_version(SSL.TLS1_3_VERSION)
        self._context.set_tls13_ciphersuites(b"TLS_AES_128_GCM_SHA256")
        _prepare(self._context, ca_file)

    def link(self, port: int, device: Device) -> "TlsLink":
        return TlsLink(self._context, port, device)


class TlsLink:
    """One TLS connection."""

    def __init__(self, context: SSL.Context, port: int, device: Device) -> None:
        self._socket = socket.create_connection((HOST, port), timeout=5)
        self._socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self._socket.setblocking(False)
        self._connection = SSL.Connection(context, self._socket)
        self._ssl: Any = self._connection._ssl
        _show(self._connection, device)
        self.fd = self._socket.fileno()

    def handshake(self) -> Steps:
        while True:
            try:
                self._connection.do_handshake()
                return
            except SSL.WantReadError:
                yield
            except SSL.Error as fault:
                raise ConnectionLost(f"handshake refused: {fault}") from fault

    def read(self) -> bytes | None:
        count = LIB.SSL_read(self._ssl, _BUFFER, _BUFFER_BYTES)
        if count > 0:
            data: bytes = FFI.buffer(_BUFFER, count)[:]
            return data
        if LIB.SSL_get_error(self._ssl, count) == LIB.SSL_ERROR_WANT_READ:
            LIB.ERR_clear_error()
            return None
        raise ConnectionLost(f"connection ended by the server{_reasons()}")

    def write(self, data: bytes) -> None:
        if LIB.SSL_write(self._ssl, data, len(data)) != len(data):
            raise ConnectionLost(f"the server does not take what is written{_reasons()}")

    def on_silence(self) -> None:
        pass  # TCP sees to it

    def say_goodbye(self) -> Steps:
        """End the connection in good order; done once the server has ended it too."""
        LIB.SSL_shutdown(self._ssl)
        LIB.ERR_clear_error()
        with suppress(ConnectionResetError):
            while not self._has_ended():
                yield
        self.close()

    def _has_ended(self) -> bool:
        try:
            while self._socket.recv(_BUFFER_BYTES):
                pass
        except BlockingIOError:
            return False
        return True

    def close(self) -> None:
        self._socket.close()


class DtlsContext:
    """What all DTLS clients share."""

    def __init__(self, ca_file: Path) -> None:
        self._context = SSL.Context(SSL.DTLS_CLIENT_METHOD)
        self._context.set_options(SSL.OP_NO_QUERY_MTU)
        self._context.set_cipher_list(b"ECDHE-ECDSA-AES128-GCM-SHA256")
        _prepare(self._context, ca_file)

    def link(self, port: int, device: Device) -> "DtlsLink":
        return DtlsLink(self._context, port, device)


class DtlsLink:
    """One DTLS association on a UDP socket of its own."""

    def __init__(self, context: SSL.Context, port: int, device: Device) -> None:
        self._socket = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self._socket.connect((HOST, port))
        self._socket.setblocking(False)
        self._connection = SSL.Connection(context)
        self._ssl: Any = self._connection._ssl
        self._in: Any = self._connection._into_ssl
        self._out: Any = self._connection._from_ssl
        self._connection.set_ciphertext_mtu(_MTU_BYTES)
        _show(self._connection, device)
        self.fd = self._socket.fileno()

    def handshake(self) -> Steps:
        while True:
            try:
                self._connection.do_handshake()
                self._send_records()
                return
            except SSL.WantReadError:
                self._send_records()
                yield
                self._take_datagram()
            except SSL.Error as fault:
                raise ConnectionLost(f"handshake refused: {fault}") from fault

    def read(self) -> bytes | None:
        if not self._take_datagram():
            return None
        count = LIB.SSL_read(self._ssl, _BUFFER, _BUFFER_BYTES)
        if count > 0:
            data: bytes = FFI.buffer(_BUFFER, count)[:]
            return data
        if LIB.SSL_get_error(self._ssl, count) == LIB.SSL_ERROR_WANT_READ:
            LIB.ERR_clear_error()
            return None
        raise ConnectionLost(f"association ended by the server{_reasons()}")

    def write(self, data: bytes) -> None:
        if LIB.SSL_write(self._ssl, data, len(data)) != len(data):
            raise ConnectionLost(f"nothing can be written{_reasons()}")
        count = LIB.BIO_read(self._out, _BUFFER, _BUFFER_BYTES)
        self._socket.send(FFI.buffer(_BUFFER, count))

    def on_silence(self) -> None:
        if self._connection.DTLSv1_handle_timeout():
            self._send_records()

    def close(self) -> None:
        self._socket.close()

    def _take_datagram(self) -> bool:
        try:
            datagram = self._socket.recv(_BUFFER_BYTES)
        except BlockingIOError:
            return False
        except ConnectionRefusedError as fault:
            raise ConnectionLost("nobody listens") from fault
        LIB.BIO_write(self._in, datagram, len(datagram))
        return True

    def _send_records(self) -> None:
        """One datagram a record: a memory BIO does not keep them apart."""
        count = LIB.BIO_read(self._out, _BUFFER, _BUFFER_BYTES)
        records = FFI.buffer(_BUFFER, count)[:] if count > 0 else b""
        while records:
            size = _DTLS_HEADER_BYTES + int.from_bytes(records[11:13], "big")
            self._socket.send(records[:size])
            records = records[size:]


def wait_readable(link: Link, within_s: float) -> bool:
    """Whether something arrives in time; for what happens outside a measurement."""
    return bool(select.select([link.fd], [], [], within_s)[0])


def _prepare(context: SSL.Context, ca_file: Path) -> None:
    context.load_verify_locations(str(ca_file))
    context.set_verify(SSL.VERIFY_PEER)
    if LIB.SSL_CTX_set1_curves_list(context._context, _GROUPS) != 1:
        raise RuntimeError("this OpenSSL lacks the key exchange that is asked for")


def _show(connection: SSL.Connection, device: Device) -> None:
    ssl: Any = connection._ssl
    certificate: Any = device.certificate
    key: Any = device.key
    LIB.SSL_use_certificate(ssl, certificate._x509)  # pyOpenSSL's own method would convert them each time
    if LIB.SSL_use_PrivateKey(ssl, key._pkey) != 1:
        raise RuntimeError("the device's key does not fit its certificate")
    connection.set_tlsext_host_name(SERVER_NAME.encode())
    connection.set_connect_state()


def _reasons() -> str:
    """OpenSSL's own words for the failure just met; empties its queue."""
    reasons = []
    while (code := LIB.ERR_get_error()) != 0:
        reasons.append(FFI.string(LIB.ERR_reason_error_string(code)).decode("ascii", "replace"))
    return ": " + "; ".join(reasons) if reasons else ""
