"""What MQTT 3.1.1 devices do: come and go, publish with QoS 1, or stay and say nothing. Every answer is checked."""

from collections.abc import Sequence

from benchmarks.load.errors import WrongAnswer
from benchmarks.load.links import Link, Steps, TlsLink

KEEP_ALIVE_S = 600  # no PINGREQ falls into a measurement
TOPIC = b"telemetry"
_CONNACK_ACCEPTED = b"\x20\x02\x00\x00"
_DISCONNECT = b"\xe0\x00"
_PUBACK_BYTES = 4


def render_connect(client_id: str) -> bytes:
    """CONNECT with a clean session [MQTT-3.1]."""
    body = b"\x00\x04MQTT\x04\x02" + KEEP_ALIVE_S.to_bytes(2, "big") + _text(client_id.encode())
    return bytes([0x10, len(body)]) + body


def render_publish(payload: bytes, packet_id: int) -> bytes:
    """PUBLISH with QoS 1 [MQTT-3.3]. Payloads of this benchmark keep the length to one byte."""
    body = _text(TOPIC) + packet_id.to_bytes(2, "big") + payload
    if len(body) > 127:
        raise ValueError("the remaining length does not fit one byte")
    return bytes([0x32, len(body)]) + body


def render_puback(packet_id: int) -> bytes:
    return b"\x40\x02" + packet_id.to_bytes(2, "big")


def connect(link: Link, client_id: str) -> Steps:
    """Handshake, CONNECT, CONNACK; the connection stays."""
    yield from link.handshake()
    link.write(render_connect(client_id))
    answer = b""
    while len(answer) < len(_CONNACK_ACCEPTED):
        answer += link.read() or b""
        if len(answer) < len(_CONNACK_ACCEPTED):
            yield
    if answer != _CONNACK_ACCEPTED:
        raise WrongAnswer("CONNACK, accepted", answer)


def connect_and_leave(link: TlsLink, client_id: str) -> Steps:
    """As `connect`, then DISCONNECT; done once the server has closed the connection."""
    yield from connect(link, client_id)
    link.write(_DISCONNECT)
    yield from link.say_goodbye()


def leave(link: TlsLink) -> Steps:
    """DISCONNECT of an open connection; done once the server has closed it."""
    link.write(_DISCONNECT)
    yield from link.say_goodbye()


def publish(link: Link, payload: bytes, *, count: int, window: int, together: bool) -> Steps:
    """`count` messages, `window` of them unacknowledged whenever possible. PUBACKs must come in order [MQTT-4.6.0-2].

    As PUBACKs come in, as many new messages go out: `together` in one record, or each in its own.
    """
    packets = [render_publish(payload, packet_id) for packet_id in range(1, window + 1)]
    acks = b"".join(render_puback(packet_id) for packet_id in range(1, window + 1)) * 2  # any slice of the cycle
    cycle_bytes = window * _PUBACK_BYTES
    sent = acked = 0
    rest = b""
    room = window
    while acked < count:
        room = min(room, count - sent)
        if room:
            _send(link, packets, sent % window, room, together)
            sent += room
        room = 0
        yield
        data = link.read()
        if data is None:
            continue
        if rest:
            data, rest = rest + data, b""
        size = len(data) - len(data) % _PUBACK_BYTES
        start = acked % window * _PUBACK_BYTES
        if size > cycle_bytes or data[:size] != acks[start : start + size]:
            raise WrongAnswer(f"PUBACK of packet {acked % window + 1} and on", data)
        rest = data[size:]
        room = size // _PUBACK_BYTES
        acked += room


def _send(link: Link, packets: Sequence[bytes], first: int, count: int, together: bool) -> None:
    if count == 1:
        link.write(packets[first])
        return
    chosen = [packets[(first + i) % len(packets)] for i in range(count)]
    if together:
        link.write(b"".join(chosen))
        return
    for packet in chosen:
        link.write(packet)


def _text(value: bytes) -> bytes:
    return len(value).to_bytes(2, "big") + value
