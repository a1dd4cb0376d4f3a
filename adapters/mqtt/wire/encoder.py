"""Renders the packets a server sends, for 3.1.1 and 5.

A reason string is the only thing here that may be left away: it is, where the packet would otherwise
exceed what the client takes. [MQTT-3.4.2-2] [MQTT-3.14.2-3]
"""

from collections.abc import Mapping, Sequence
from typing import Final

from adapters.mqtt.wire import packets
from adapters.mqtt.wire.packets import VERSION_5
from adapters.mqtt.wire.properties import REASON_STRING, render_properties, render_variable_integer

PING_RESPONSE: Final = b"\xd0\x00"
_PUBACK_SUCCESS: Final = 0x40020000
_NO_PROPERTIES: Final[Mapping[int, int | str]] = {}


def render_connack(version: int, reason: int, properties: Mapping[int, int | str] = _NO_PROPERTIES) -> bytes:
    """A CONNACK without a session present; there never is one. [MQTT-3.2.2-2] [MQTT-3.2.2-6]"""
    body = bytes((0, reason))
    return _packet(packets.CONNACK, body + render_properties(properties) if version == VERSION_5 else body)


def render_pubacks(packet_ids: Sequence[int]) -> bytes:
    """The messages are kept. The same four bytes each in both versions."""
    if len(packet_ids) == 1:
        return (_PUBACK_SUCCESS | packet_ids[0]).to_bytes(4, "big")
    return b"".join([(_PUBACK_SUCCESS | packet_id).to_bytes(4, "big") for packet_id in packet_ids])


def render_failing_puback(packet_id: int, reason: int, says: str | None, *, fits_bytes: float) -> bytes:
    """Version 5 only: the message is acknowledged, but was not kept."""
    body = packet_id.to_bytes(2, "big") + bytes((reason,))
    return _with_reason_string(packets.PUBACK, body, says, fits_bytes)


def render_suback(version: int, packet_id: int, codes: Sequence[int]) -> bytes:
    return _filters_answer(packets.SUBACK, version, packet_id, codes)


def render_unsuback(version: int, packet_id: int, codes: Sequence[int]) -> bytes:
    """3.1.1 has no codes: it is told the same whatever became of each filter."""
    return _filters_answer(packets.UNSUBACK, version, packet_id, codes if version == VERSION_5 else ())


def render_disconnect(reason: int, says: str | None, *, fits_bytes: float) -> bytes:
    """Version 5 only; a 3.1.1 server just closes."""
    return _with_reason_string(packets.DISCONNECT, bytes((reason,)), says, fits_bytes)


def _filters_answer(kind: int, version: int, packet_id: int, codes: Sequence[int]) -> bytes:
    head = packet_id.to_bytes(2, "big")
    return _packet(kind, head + (b"\0" if version == VERSION_5 else b"") + bytes(codes))


def _with_reason_string(kind: int, body: bytes, says: str | None, fits_bytes: float) -> bytes:
    if says is not None:
        told = _packet(kind, body + render_properties({REASON_STRING: says}))
        if len(told) <= fits_bytes:
            return told
    return _packet(kind, body)  # no property length: allowed where nothing follows the reason


def _packet(kind: int, body: bytes) -> bytes:
    return bytes((kind << 4,)) + render_variable_integer(len(body)) + body
