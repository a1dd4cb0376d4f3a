"""The stateless first half of a DTLS handshake: a hello is answered with a cookie, and forgotten.

One connection object answers all strangers, 100,000 spoofed hellos leave nothing behind. When a hello
brings its cookie back, that object has become the peer's own, and a new one takes its place.
"""

from OpenSSL import SSL

from adapters.edge import engine
from adapters.edge.records import datagrams
from adapters.edge.security import Security
from adapters.edge.sockets import RawAddress, Send
from adapters.edge.tls import Transport


class Door:
    """Where strangers knock."""

    def __init__(self, *, security: Security, mtu_bytes: int, send: Send) -> None:
        self._security = security
        self._mtu_bytes = mtu_bytes
        self._send = send
        self._connection: SSL.Connection | None = None
        security.context(Transport.DATAGRAM)  # a fault of the certificate shows now, not at the first peer

    def knock(self, hello: bytes, raw: RawAddress) -> SSL.Connection | None:
        """The connection of a peer that proved to receive at its address; the hello is inside, to be gone on with."""
        connection = self._waiting()
        connection.set_app_data(raw[:2])
        engine.forget_errors()
        engine.feed(connection, hello)
        try:
            connection.DTLSv1_listen()
        except SSL.WantReadError:
            for datagram in datagrams(engine.take_output(connection), mtu_bytes=self._mtu_bytes):
                self._send(datagram, raw)
            return None
        except SSL.Error:
            self._connection = None  # no hello that OpenSSL can read: whatever it left inside goes with it
            return None
        self._connection = None
        return connection

    def _waiting(self) -> SSL.Connection:
        context = self._security.context(Transport.DATAGRAM)
        connection = self._connection
        if connection is None or connection.get_context() is not context:
            connection = self._connection = SSL.Connection(context)
            connection.set_accept_state()
            connection.set_ciphertext_mtu(self._mtu_bytes)
        return connection
