"""Cuts a byte stream into MQTT packets.

Owns the fixed header: packet type, flags, remaining length and its bound. What is behind it is parsed in
publishing.py and bodies.py.

The protocol version is learnt from the first CONNECT and holds for all that follows. The bound is
looked at as soon as the length is known, before the body has come: refused before memory is spent. A
CONNECT has a bound of its own, for it carries what a device proves itself with.
"""

from adapters.mqtt.wire import bodies, packets
from adapters.mqtt.wire.errors import MalformedPacket, PacketTooLarge, ProtocolViolation, WireFault
from adapters.mqtt.wire.packets import VERSION_3_1_1, VERSION_5, Packet
from adapters.mqtt.wire.publishing import PublishParser
from adapters.mqtt.wire.reader import Reader

# The low four bits of the first byte, by packet type; PUBLISH is looked at by itself. [MQTT-2.1.3-1]
_FLAGS = (0, 0, 0, 0, 0, 0, 2, 0, 2, 0, 2, 0, 0, 0, 0, 0)
_FROM_SERVERS_ONLY = (packets.CONNACK, packets.SUBACK, packets.UNSUBACK, packets.PINGRESP)
_LENGTH_MAX_BYTES = 4
_LENGTH_TOO_LONG = "the remaining length is longer than it needs to be"


class PacketDecoder:
    """Feed each chunk as it arrives, then take packets until None.

    Packets before a fault come out first; the fault then repeats on every call, because the stream has
    lost its framing. Holds no more than one incomplete packet and the chunks fed since packets were last
    taken; nothing at all between packets. `held_bytes`: fed and not yet taken.
    """

    __slots__ = ("_at", "_data", "_fault", "_limits_bytes", "_publishes", "_version", "held_bytes")

    def __init__(self, *, remaining_max_bytes: int, connect_max_bytes: int) -> None:
        self._limits_bytes = (connect_max_bytes, remaining_max_bytes)
        self._publishes = PublishParser(remaining_max_bytes)
        self._data: bytes | bytearray = b""
        self._at = 0
        self._version = 0  # 0: no CONNECT yet
        self._fault: WireFault | None = None
        self.held_bytes = 0

    def feed(self, chunk: bytes) -> None:
        data = self._data
        if not data:
            self._data = chunk  # the usual case: packets and chunks end together, nothing is copied
        elif isinstance(data, bytearray):
            data += chunk
        else:
            self._data = bytearray(data[self._at :])
            self._data += chunk
            self._at = 0
        self.held_bytes += len(chunk)

    def next_packet(self, messages_max: int = 1) -> Packet | None:
        """The next complete packet, or None until more is fed. Raises a WireFault, again and again.

        PUBLISHes that differ in nothing but packet identifier and payload, and stand right behind each other, are
        one packet of up to `messages_max` messages.
        """
        if self._fault is not None:
            raise self._fault.with_traceback(None)
        try:
            return self._next_packet(messages_max)
        except WireFault as fault:
            self._fault = fault
            self._data = b""
            self._at = self.held_bytes = 0
            raise

    def _next_packet(self, messages_max: int) -> Packet | None:
        data = self._data
        at = self._at
        fed = len(data)
        if at + 2 > fed:
            if at < fed:
                self._check_first_byte(data[at])
            return None
        first = data[at]
        length = data[at + 1]
        body = at + 2
        if length >= 0x80:
            read = self._read_long_length(data, at, fed)
            if read is None:
                return None
            length, body = read
        kind = first >> 4
        if kind != packets.PUBLISH or self._version == 0:
            self._check_first_byte(first)
        limit = self._limits_bytes[self._version != 0]
        if length > limit:
            raise PacketTooLarge(f"a packet of {length} bytes, {limit} are allowed")
        end = body + length
        if end > fed:
            return None
        if isinstance(data, bytearray):
            data = self._data = bytes(data)
        packet: Packet
        if kind == packets.PUBLISH:
            packet, end = self._publishes.parse(data, at, body, end, messages_max)
        else:
            packet = self._parse(kind, Reader(data, body, end), is_long=body - at > _shortest_header_bytes(length))
        if end == fed:
            self._data = b""
            self._at = self.held_bytes = 0
        else:
            self._at = end
            self.held_bytes = fed - end
        return packet

    def _check_first_byte(self, first: int) -> None:
        kind = first >> 4
        if self._version == 0 and kind != packets.CONNECT:  # [MQTT-3.1.0-1]
            raise ProtocolViolation("the first packet is no CONNECT")
        if kind == packets.PUBLISH:
            return
        if kind == 0 or (kind == packets.AUTH and self._version == VERSION_3_1_1):
            raise MalformedPacket(f"packet type {kind} is reserved")
        if first & 0x0F != _FLAGS[kind]:  # [MQTT-2.1.3-1]
            raise MalformedPacket("a reserved flag of the fixed header is wrong")
        if kind in _FROM_SERVERS_ONLY:
            raise ProtocolViolation(f"packet type {kind} comes from servers only")

    def _read_long_length(self, data: bytes | bytearray, at: int, fed: int) -> tuple[int, int] | None:
        """The remaining length in two to four bytes and where the body begins; None while it is incomplete."""
        length = 0
        for index in range(_LENGTH_MAX_BYTES):
            position = at + 1 + index
            if position == fed:
                self._check_first_byte(data[at])
                return None
            digit = data[position]
            length |= (digit & 0x7F) << 7 * index
            if digit < 0x80:
                if digit == 0 and self._version == VERSION_5:  # [MQTT-1.5.5-1]
                    raise MalformedPacket(_LENGTH_TOO_LONG)
                return length, position + 1
        raise MalformedPacket("the remaining length is longer than four bytes")

    def _parse(self, kind: int, reader: Reader, *, is_long: bool) -> Packet:
        version = self._version
        if kind == packets.PINGREQ:
            return bodies.parse_ping_request(reader)
        if kind == packets.CONNECT:
            connect = bodies.parse_connect(reader)
            if is_long and connect.version == VERSION_5:
                raise MalformedPacket(_LENGTH_TOO_LONG, version=VERSION_5)
            self._version = self._publishes.version = connect.version
            return connect
        if kind == packets.SUBSCRIBE:
            return bodies.parse_subscribe(reader, version)
        if kind == packets.UNSUBSCRIBE:
            return bodies.parse_unsubscribe(reader, version)
        if kind == packets.DISCONNECT:
            return bodies.parse_disconnect(reader, version)
        if kind == packets.AUTH:
            return bodies.parse_auth(reader, version)
        return bodies.parse_acknowledgement(kind, reader, version)


def _shortest_header_bytes(length: int) -> int:
    return 2 if length < 0x80 else 3 if length < 0x4000 else 4 if length < 0x200000 else 5
