"""TLS records in memory, no socket: what a line makes of them, and of what others leave in OpenSSL's error queue."""

from collections.abc import Callable

import pytest
from OpenSSL import SSL

from adapters.edge import engine, lines
from adapters.edge.engine import INTAKE, LIB, Connection, Outcome, TlsConnection
from adapters.edge.errors import PeerVanished
from adapters.edge.lines import LOST_COUNT, TlsLine, records_counted
from tests.support.certificates import make_ca, make_server

IDENTITY = make_server(make_ca())


class Pair:
    """A line, and the client at its other end."""

    def __init__(self, *, version: int = SSL.TLS1_3_VERSION) -> None:
        offer = SSL.Context(SSL.TLS_SERVER_METHOD)
        offer.use_certificate(IDENTITY.certificate)
        offer.use_privatekey(IDENTITY.key)
        offer.set_options(SSL.OP_NO_TICKET)
        asks = SSL.Context(SSL.TLS_CLIENT_METHOD)
        asks.set_max_proto_version(version)
        server = TlsConnection(offer)
        self.client = SSL.Connection(asks)
        self.client.set_connect_state()
        outcome = Outcome.WANT_READ
        while outcome is Outcome.WANT_READ:
            LIB.SSL_do_handshake(self.client._ssl)
            engine.feed(server, engine.take_output(self.client))
            outcome = engine.outcome_of(server, LIB.SSL_do_handshake(server._ssl))
            engine.feed(self.client, engine.take_output(server))
        assert outcome is Outcome.DONE
        LIB.SSL_do_handshake(self.client._ssl)
        self.line = TlsLine(connection=server)

    def record(self, text: bytes) -> bytes:
        self.client.send(text)
        return engine.take_output(self.client)

    def comes(self, wire: bytes) -> bytes:
        INTAKE[: len(wire)] = wire
        return self.line.unwrap(len(wire))

    def client_reads(self, wire: bytes) -> bytes:
        engine.feed(self.client, wire)
        read = b""
        try:
            while True:
                read += self.client.recv(65_536)
        except SSL.WantReadError:
            return read


def leave_an_error() -> None:
    """As a library would that fails and does not tidy up."""
    LIB.BIO_new_file(b"/nonexistent", b"r")
    assert LIB.ERR_peek_error() != 0


def outcome_before_4(connection: Connection, result: int) -> Outcome:
    """Older releases of OpenSSL take any entry of the queue for the failure of the operation just made."""
    return engine.outcome_of(connection, result) if result > 0 or LIB.ERR_peek_error() == 0 else Outcome.BROKEN


@pytest.fixture(params=[SSL.TLS1_2_VERSION, SSL.TLS1_3_VERSION], ids=["1.2", "1.3"])
def pair(request: pytest.FixtureRequest) -> Pair:
    return Pair(version=request.param)


def test_a_record_alone_brings_its_text_and_stirs_nothing(pair: Pair) -> None:
    assert pair.comes(pair.record(b"hello")) == b"hello"
    assert pair.comes(pair.record(b"again")) == b"again"
    assert not pair.line.is_stirred


@pytest.mark.parametrize("cut", [0, 1, 4, 5, 6, 40, 3000])
def test_records_bring_their_text_wherever_the_chunks_end(pair: Pair, cut: int) -> None:
    texts = [b"one", b"two" * 1000, b"three", b"four" * 4096, b"five"]
    wire = b"".join(map(pair.record, texts))
    heard = pair.comes(wire[:cut]) if cut else b""
    for at in range(cut, len(wire), 7000):
        heard += pair.comes(wire[at : at + 7000])
    assert heard + pair.comes(pair.record(b"six")) == b"".join(texts) + b"six"
    assert pair.line.fault is None and not pair.line.is_ended
    assert pair.line.reply() == b"" and not pair.line.is_stirred


@pytest.mark.parametrize("size", [1, 16_384, 16_385, 100_000])
def test_what_is_wrapped_is_read_by_the_client(pair: Pair, size: int) -> None:
    assert pair.client_reads(pair.line.wrap(b"x" * size)) == b"x" * size


def test_a_goodbye_ends_it_whether_it_comes_alone_or_behind_a_text(pair: Pair) -> None:
    text = pair.record(b"last words")
    pair.client.shutdown()
    assert pair.comes(text + engine.take_output(pair.client)) == b"last words"
    assert pair.line.is_stirred and pair.line.is_ended and pair.line.fault is None
    pair.line.cut()
    assert pair.line.is_ended and pair.line.fault is None


def test_an_end_without_a_goodbye_is_a_fault(pair: Pair) -> None:
    pair.line.cut()
    assert isinstance(pair.line.fault, PeerVanished) and not pair.line.is_ended


def test_a_damaged_record_is_a_fault_with_openssls_reason_and_an_alert(pair: Pair) -> None:
    record = bytearray(pair.record(b"hello"))
    record[-1] ^= 1
    assert pair.comes(bytes(record)) == b""
    assert pair.line.is_stirred
    assert "bad record mac" in str(pair.line.fault)
    assert pair.line.reply() != b""
    assert LIB.ERR_peek_error() == 0


@pytest.mark.parametrize("outcome_of", [engine.outcome_of, outcome_before_4])
def test_an_error_that_somebody_left_breaks_no_connection(
    pair: Pair, monkeypatch: pytest.MonkeyPatch, outcome_of: Callable[[Connection, int], Outcome]
) -> None:
    monkeypatch.setattr(lines, "outcome_of", outcome_of)
    leave_an_error()
    assert pair.comes(pair.record(b"one")) == b"one"
    leave_an_error()
    assert pair.comes(pair.record(b"two") + pair.record(b"three")) == b"twothree"
    leave_an_error()
    assert pair.comes(pair.record(b"four")[:10]) == b""
    assert pair.line.fault is None and not pair.line.is_ended
    leave_an_error()
    assert pair.client_reads(pair.line.wrap(b"five")) == b"five"
    engine.forget_errors()


@pytest.mark.parametrize("outcome_of", [engine.outcome_of, outcome_before_4])
def test_an_error_that_somebody_left_makes_no_fault_of_a_goodbye(
    pair: Pair, monkeypatch: pytest.MonkeyPatch, outcome_of: Callable[[Connection, int], Outcome]
) -> None:
    monkeypatch.setattr(lines, "outcome_of", outcome_of)
    pair.client.shutdown()
    leave_an_error()
    assert pair.comes(engine.take_output(pair.client)) == b""
    assert pair.line.is_ended and pair.line.fault is None
    engine.forget_errors()


@pytest.mark.interpreted  # a function is changed inside the module
def test_nothing_is_fed_behind_a_fault_or_a_goodbye(pair: Pair, monkeypatch: pytest.MonkeyPatch) -> None:
    fed = 0
    feed = engine.feed_intake

    def counted(connection: Connection, start: int, count: int) -> int:
        nonlocal fed
        fed += 1
        return feed(connection, start, count)

    monkeypatch.setattr(engine, "feed_intake", counted)
    pair.client.shutdown()
    assert pair.comes(engine.take_output(pair.client) + b"x" * 50_000) == b""
    assert pair.line.is_ended and pair.line.fault is None
    assert fed == 1


def test_records_are_counted_until_a_header_is_cut() -> None:
    INTAKE[:5] = b"\x17\x03\x03\x00\x0a"
    assert records_counted(0, 15) == 0
    assert records_counted(0, 10) == 5
    assert records_counted(5, 3) == 2
    assert records_counted(5, 5) == 0
    assert records_counted(0, 4) == LOST_COUNT
    assert records_counted(LOST_COUNT, 15) == LOST_COUNT
