"""A stream alone, its socket and its loop the test's: what is held for a peer that does not read stays bounded, whoever
wrote it, the handler or TLS itself; and bytes keep their order.
"""

import asyncio
from collections.abc import Callable

import pytest
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.kdf.hkdf import HKDFExpand
from OpenSSL import SSL

from adapters.edge import engine
from adapters.edge.engine import INTAKE, LIB, Outcome
from adapters.edge.errors import ConnectionFault, PeerDoesNotRead
from adapters.edge.lines import Line, PlainLine, TlsLine
from adapters.edge.peer import Address, Peer
from adapters.edge.poller import READABLE, Ready
from adapters.edge.ports import Stream
from adapters.edge.stream import SocketStream
from tests.support.certificates import make_ca, make_server

pytestmark = pytest.mark.interpreted  # the poller is a fake

LIMIT = 1000


class Loop:
    """Runs nothing by itself: `run` is the test's to call."""

    def __init__(self) -> None:
        self.soon: list[Callable[[], None]] = []

    def call_soon(self, callback: Callable[..., None], *arguments: object) -> None:
        self.soon.append(lambda: callback(*arguments))

    def run(self) -> None:
        while self.soon:
            self.soon.pop(0)()


class Watch:
    """The poller of one socket, whose readiness is the test's to tell."""

    def __init__(self) -> None:
        self.ready: Ready | None = None

    def watch(self, fd: int, ready: Ready) -> None:
        self.ready = ready

    def want(self, fd: int, wanted: int) -> None: ...


class DeafSocket:
    """Whatever is to be received lies in `incoming`; nothing can be sent."""

    def __init__(self) -> None:
        self.incoming: list[bytes] = []

    def fileno(self) -> int:
        return 7

    def recv_into(self, buffer: memoryview) -> int:
        data = self.incoming.pop(0)
        buffer[: len(data)] = data
        return len(data)

    def send(self, data: bytes, flags: int = 0) -> int:
        raise BlockingIOError


class TalkativeLine:
    """Answers whatever comes, and hands on what is not housekeeping."""

    is_stirred = True
    is_ended = False
    fault: ConnectionFault | None = None

    def __init__(self, answer: bytes) -> None:
        self._answer = answer

    def unwrap(self, count: int) -> bytes:
        return bytes(INTAKE[:count]).replace(b"?", b"")

    def wrap(self, data: bytes) -> bytes:
        return data

    def reply(self) -> bytes:
        return self._answer

    def goodbye(self) -> bytes:
        return b"goodbye"

    def cut(self) -> None: ...


class Recorder:
    """A handler that writes nothing."""

    def __init__(self) -> None:
        self.heard = b""
        self.lost_with: list[Exception | None] = []
        self.stream: Stream | None = None

    def connected(self, stream: Stream) -> None:
        self.stream = stream

    def received(self, data: bytes) -> None:
        self.heard += data

    def ended(self) -> bool:
        return False

    def lost(self, fault: Exception | None) -> None:
        self.lost_with.append(fault)


class Owner:
    """Counts who is gone."""

    def __init__(self) -> None:
        self.gone = 0

    def is_closing(self, stream: object) -> None: ...

    def is_gone(self, stream: object, sock: object, *, said_goodbye: bool) -> None:
        self.gone += 1


class Scene:
    """A stream over a line of choice, whose peer never reads."""

    def __init__(
        self, line: Line, monkeypatch: pytest.MonkeyPatch, *, handler: Recorder | None = None, early: bytes = b""
    ) -> None:
        self.loop, self.watch = Loop(), Watch()
        self.socket, self.handler, self.owner = DeafSocket(), handler or Recorder(), Owner()
        monkeypatch.setattr(asyncio, "get_running_loop", lambda: self.loop)
        self.stream = SocketStream(
            sock=self.socket,  # type: ignore[arg-type]
            line=line,
            peer=Peer(address=Address(host="192.0.2.1", port=1)),
            write_buffer_max_bytes=LIMIT,
            owner=self.owner,
            poller=self.watch,  # type: ignore[arg-type]
        )
        self.stream.begin(lambda: self.handler, early=early)

    @property
    def held(self) -> int:
        return len(self.stream._outlet.held or b"")

    def comes(self, data: bytes) -> bool:
        """Whether the stream still listened."""
        if self.owner.gone or self.watch.ready is None:
            return False
        self.socket.incoming.append(data)
        self.watch.ready(READABLE)
        return True


@pytest.mark.parametrize("incoming", [b"?", b"text"])
def test_replies_nobody_reads_end_the_connection_at_the_limit(monkeypatch: pytest.MonkeyPatch, incoming: bytes) -> None:
    scene = Scene(TalkativeLine(b"x" * 30), monkeypatch)
    most = 0
    for _ in range(200):
        if not scene.comes(incoming):
            break
        most = max(most, scene.held)
    scene.loop.run()
    assert most <= LIMIT
    assert scene.owner.gone == 1
    assert [type(fault) for fault in scene.handler.lost_with] == [PeerDoesNotRead]


def test_the_goodbye_is_held_even_at_the_limit(monkeypatch: pytest.MonkeyPatch) -> None:
    line = TalkativeLine(b"")
    scene = Scene(line, monkeypatch)
    scene.stream.write(b"x" * LIMIT)
    scene.stream.close()
    assert scene.held == LIMIT + len(b"goodbye")
    assert scene.owner.gone == 0
    scene.stream.abort()


class PausesAtOnce(Recorder):
    """Reads nothing before it is told to."""

    def connected(self, stream: Stream) -> None:
        super().connected(stream)
        stream.pause_reading()


def test_what_came_with_the_handshake_is_heard_before_what_comes_in_the_turn_of_the_resumption(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    scene = Scene(PlainLine(), monkeypatch, handler=PausesAtOnce(), early=b"early ")
    scene.stream.resume_reading()
    scene.comes(b"later")  # the poller had that in hand already
    scene.loop.run()
    while scene.socket.incoming and scene.watch.ready is not None:
        scene.watch.ready(READABLE)  # as often as it is ready
    assert scene.handler.heard == b"early later"


class Sender:
    """A TLS 1.3 client after its handshake that makes its own records: TLS_AES_128_GCM_SHA256 (RFC 8446 5, 7)."""

    def __init__(self) -> None:
        identity = make_server(make_ca())
        offer = SSL.Context(SSL.TLS_SERVER_METHOD)
        offer.use_certificate(identity.certificate)
        offer.use_privatekey(identity.key)
        asks = SSL.Context(SSL.TLS_CLIENT_METHOD)
        asks.set_tls13_ciphersuites(b"TLS_AES_128_GCM_SHA256")
        asks.set_keylog_callback(self._note)
        self.server, client = SSL.Connection(offer), SSL.Connection(asks)
        self.server.set_accept_state()
        client.set_connect_state()
        outcome = Outcome.WANT_READ
        while outcome is Outcome.WANT_READ:
            LIB.SSL_do_handshake(client._ssl)
            engine.feed(self.server, engine.take_output(client))
            outcome = engine.outcome_of(self.server, LIB.SSL_do_handshake(self.server._ssl))
            engine.feed(client, engine.take_output(self.server))
        assert outcome is Outcome.DONE

    def _note(self, connection: SSL.Connection, line: bytes) -> None:
        label, _, secret = line.decode().split(" ")
        if label == "CLIENT_TRAFFIC_SECRET_0":
            self._renew(bytes.fromhex(secret))

    def _renew(self, secret: bytes) -> None:
        self._secret, self._sent = secret, 0
        self._key, self._iv = self._expanded("key", 16), self._expanded("iv", 12)

    def _expanded(self, label: str, length: int) -> bytes:
        full = b"tls13 " + label.encode()
        info = length.to_bytes(2) + bytes([len(full)]) + full + b"\0"
        return HKDFExpand(algorithm=hashes.SHA256(), length=length, info=info).derive(self._secret)

    def record(self, kind: int, content: bytes) -> bytes:
        nonce = (int.from_bytes(self._iv) ^ self._sent).to_bytes(12)
        self._sent += 1
        header = b"\x17\x03\x03" + (len(content) + 17).to_bytes(2)
        return header + AESGCM(self._key).encrypt(nonce, content + bytes([kind]), header)

    def key_update(self) -> bytes:
        """Asks the server to renew its key too, which it says in a record of its own."""
        record = self.record(22, b"\x18\0\0\1\1")
        self._renew(self._expanded("traffic upd", 32))
        return record


@pytest.mark.parametrize("text", [b"", b"text"])
def test_key_updates_without_end_end_the_connection(monkeypatch: pytest.MonkeyPatch, text: bytes) -> None:
    sender = Sender()
    scene = Scene(TlsLine(connection=sender.server), monkeypatch)
    left_in_openssl = updates = 0
    while scene.comes(sender.key_update() + (sender.record(23, text) if text else b"")) and updates < 200:
        updates += 1
        if scene.owner.gone == 0:
            left_in_openssl += len(engine.take_output(sender.server))
    scene.loop.run()
    assert left_in_openssl == 0
    assert 2 < updates < 200
    assert scene.handler.heard == text * updates
    assert [type(fault) for fault in scene.handler.lost_with] == [PeerDoesNotRead]
