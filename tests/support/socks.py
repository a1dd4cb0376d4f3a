"""A SOCKS 5 proxy that takes every host name for this host: a name server for one program of one test.

Programs that offer no other way to be told an address still send the name they were given as SNI.
"""

import selectors
import socket
import socketserver
import threading
from collections.abc import Iterator
from contextlib import contextmanager

DOMAIN, CONNECT, NO_AUTHENTICATION = 3, 1, 0


@contextmanager
def names_of_this_host() -> Iterator[int]:
    """The port of a proxy that runs meanwhile. For domain names only."""
    with _Server(("127.0.0.1", 0), _Relay) as server:
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02})
        thread.start()
        try:
            yield server.server_address[1]
        finally:
            server.shutdown()
            thread.join()


class _Server(socketserver.ThreadingTCPServer):
    daemon_threads = False
    allow_reuse_address = True


class _Relay(socketserver.BaseRequestHandler):
    request: socket.socket

    def handle(self) -> None:
        self.request.settimeout(20)
        _, methods = self._take(2)
        self._take(methods)
        self.request.sendall(bytes([5, NO_AUTHENTICATION]))
        _, command, _, kind, length = self._take(5)
        assert (command, kind) == (CONNECT, DOMAIN)
        self._take(length)  # the name: any will do
        port = int.from_bytes(self._take(2), "big")
        with socket.create_connection(("127.0.0.1", port), 20) as upstream:
            self.request.sendall(bytes([5, 0, 0, 1, 127, 0, 0, 1]) + port.to_bytes(2, "big"))
            _carry(self.request, upstream)

    def _take(self, count: int) -> bytes:
        taken = b""
        while len(taken) < count:
            chunk = self.request.recv(count - len(taken))
            if not chunk:
                raise ConnectionError("the client left in mid-greeting")
            taken += chunk
        return taken


def _carry(one: socket.socket, other: socket.socket) -> None:
    """Until both have said all they had to say."""
    with selectors.DefaultSelector() as readable:
        readable.register(one, selectors.EVENT_READ, other)
        readable.register(other, selectors.EVENT_READ, one)
        while readable.get_map():
            for key, _ in readable.select():
                source, target = key.fileobj, key.data
                assert isinstance(source, socket.socket)
                try:
                    chunk = source.recv(65_536)
                    if chunk:
                        target.sendall(chunk)
                        continue
                    target.shutdown(socket.SHUT_WR)
                except OSError:
                    pass
                readable.unregister(source)
