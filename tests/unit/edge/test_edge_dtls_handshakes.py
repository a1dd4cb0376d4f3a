"""What a DTLS handshake lets in before OpenSSL sees it."""

from collections.abc import Callable
from types import SimpleNamespace

import pytest

from adapters.edge.datagram import DtlsPeers
from adapters.edge.dtls_handshakes import DtlsHandshake, DtlsHandshakes
from conf.edge import EdgeSettings
from kernel.clock import SystemClock


class Queue:
    """Turns that never come."""

    def join(self, step: Callable[[], None]) -> None: ...


def piece(*, length: int, number: int) -> bytes:
    """A record of 35 bytes with the start of a message that claims to be longer."""
    body = b"\x10" + length.to_bytes(3) + number.to_bytes(2) + bytes(3) + (10).to_bytes(3) + bytes(10)
    return b"\x16\xfe\xfd" + bytes(8) + len(body).to_bytes(2) + body


@pytest.mark.parametrize(("length", "kept"), [(100, 6), (100_000, 0)])
def test_fragments_of_messages_nobody_sends_are_dropped_unread(length: int, kept: int) -> None:
    unused = SimpleNamespace(inquiry=lambda address: None)
    handshakes = DtlsHandshakes(
        clock=SystemClock(), turns=Queue(), settings=EdgeSettings(), security=unused,  # type: ignore[arg-type]
        send=lambda datagram, raw: None, established=lambda handshake, peer: None,
    )  # fmt: skip
    raw = ("192.0.2.1", 1)
    handshakes.begin(None, raw, bytes(32))  # type: ignore[arg-type]
    handshake = handshakes.find(raw)
    assert isinstance(handshake, DtlsHandshake)
    for number in (3, 4, 5, 6, 7, 8, 9, 10, 11, 12):
        handshakes.deliver(handshake, piece(length=length, number=number))
    assert len(handshake.inbox) == kept


@pytest.mark.parametrize(
    ("behind", "knocks"), [(b"", 1), (piece(length=100, number=3), 1), (piece(length=100_000, number=3), 0)]
)
def test_a_hello_brings_no_fragments_of_such_messages_along(
    monkeypatch: pytest.MonkeyPatch, behind: bytes, knocks: int
) -> None:
    knocked: list[bytes] = []

    class Listening:
        def __init__(self, **_: object) -> None: ...

        def knock(self, hello: bytes, raw: object) -> None:
            knocked.append(hello)

    monkeypatch.setattr("adapters.edge.datagram.Door", Listening)
    peers = DtlsPeers(
        clock=SystemClock(), turns=Queue(), settings=EdgeSettings(), security=SimpleNamespace(),  # type: ignore[arg-type]
        send=lambda datagram, raw: None, associations=SimpleNamespace(find=lambda raw: None),  # type: ignore[arg-type]
    )  # fmt: skip
    body = b"\xfe\xfd" + bytes(32) + b"\0\0\0\2\xc0\x2b\1\0"
    message = b"\1" + len(body).to_bytes(3) + bytes(5) + len(body).to_bytes(3) + body
    hello = b"\x16\xfe\xfd" + bytes(8) + len(message).to_bytes(2) + message
    peers.receive(hello + behind, ("192.0.2.1", 1))
    assert len(knocked) == knocks
