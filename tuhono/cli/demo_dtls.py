"""A CoAP device in a few lines, for machines without coap-client: one confirmable POST over DTLS 1.2. Blocking."""

import select
import socket
import time

from OpenSSL import SSL

from adapters.coap.wire import numbers
from adapters.coap.wire.message import read_header, render
from tuhono.cli.demo_devices import ANSWER_WITHIN_S, DeviceFiles, Outcome

PROGRAM = "a few lines of Python"
MESSAGE_ID = 1
TOKEN = b"tuhono"
JSON = 50  # content format
DATAGRAM_MAX_BYTES = 65_535


def post_telemetry(device: DeviceFiles, port: int, payload: str) -> Outcome:
    """POST the payload to /telemetry and wait for the answer."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as udp:
        udp.connect(("127.0.0.1", port))
        connection = SSL.Connection(_context(device), None)
        connection.set_connect_state()
        connection.set_tlsext_host_name(b"localhost")
        exchange = _Exchange(connection, udp)
        try:
            exchange.shake_hands()
            answer = exchange.ask(_request(payload))
        except (SSL.Error, OSError) as fault:
            return Outcome(taken=False, program=PROGRAM, said=f"{type(fault).__name__}: {fault}")
        said = f"{answer >> 5}.{answer & 0x1F:02}"
        return Outcome(taken=answer == numbers.CHANGED, program=PROGRAM, said=said)


def _context(device: DeviceFiles) -> SSL.Context:
    context = SSL.Context(SSL.DTLS_METHOD)
    context.set_verify(SSL.VERIFY_PEER)
    context.load_verify_locations(str(device.server_ca))
    context.use_certificate_chain_file(str(device.certificate))
    context.use_privatekey_file(str(device.key))
    return context


def _request(payload: str) -> bytes:
    options = [(numbers.URI_PATH, b"telemetry"), (numbers.CONTENT_FORMAT, bytes([JSON]))]
    return render(numbers.CON, numbers.POST, MESSAGE_ID, TOKEN, options, payload.encode())


class _Exchange:
    """Moves datagrams between a DTLS connection in memory and a socket, until a deadline."""

    def __init__(self, connection: SSL.Connection, udp: socket.socket) -> None:
        self._connection = connection
        self._udp = udp
        self._deadline = time.monotonic() + ANSWER_WITHIN_S

    def shake_hands(self) -> None:
        while True:
            try:
                self._connection.do_handshake()
            except SSL.WantReadError:
                self._turn()
            else:
                self._send()
                return

    def ask(self, request: bytes) -> int:
        """The code of the answer."""
        self._connection.send(request)
        while True:
            self._turn()
            try:
                datagram = self._connection.recv(DATAGRAM_MAX_BYTES)
            except SSL.WantReadError:
                continue
            header = read_header(datagram)
            if header is not None and header.code != numbers.EMPTY and datagram[4:].startswith(TOKEN):
                return header.code

    def _turn(self) -> None:
        """Send what is due, then take one datagram in. Raises TimeoutError past the deadline."""
        self._send()
        left_s = self._deadline - time.monotonic()
        if left_s <= 0:
            raise TimeoutError("no answer")
        retransmit_s = self._connection.DTLSv1_get_timeout()
        wait_s = left_s if retransmit_s is None else min(left_s, retransmit_s)
        readable, _, _ = select.select([self._udp], [], [], wait_s)
        if readable:
            self._connection.bio_write(self._udp.recv(DATAGRAM_MAX_BYTES))
        else:
            self._connection.DTLSv1_handle_timeout()

    def _send(self) -> None:
        while True:
            try:
                self._udp.send(self._connection.bio_read(DATAGRAM_MAX_BYTES))
            except SSL.WantReadError:
                return
