"""Reads the data types of MQTT 5, section 1.5, from the body of one packet. Never past its end."""

from adapters.mqtt.wire.errors import MalformedPacket


class Reader:
    """A place in a packet's body. Every read moves it on, or raises MalformedPacket."""

    __slots__ = ("_at", "_data", "_end")

    def __init__(self, data: bytes, at: int, end: int) -> None:
        self._data = data
        self._at = at
        self._end = end

    @property
    def remaining_bytes(self) -> int:
        return self._end - self._at

    def byte(self) -> int:
        at = self._advance(1)
        return self._data[at]

    def two_bytes(self) -> int:
        at = self._advance(2)
        return self._data[at] << 8 | self._data[at + 1]

    def four_bytes(self) -> int:
        at = self._advance(4)
        return int.from_bytes(self._data[at : at + 4], "big")

    def variable_integer(self) -> int:
        """At most four bytes, and no more of them than the value needs. [MQTT-1.5.5-1]"""
        value = 0
        for shift in (0, 7, 14, 21):
            digit = self.byte()
            value |= (digit & 0x7F) << shift
            if digit < 0x80:
                if digit == 0 and shift > 0:
                    raise MalformedPacket("an integer is longer than it needs to be")
                return value
        raise MalformedPacket("an integer is longer than four bytes")

    def binary(self) -> bytes:
        length = self.two_bytes()
        at = self._advance(length)
        return self._data[at : at + length]

    def text(self) -> str:
        return decode_text(self.binary())

    def packet_id(self) -> int:
        """Never 0. [MQTT-2.2.1-3]"""
        packet_id = self.two_bytes()
        if packet_id == 0:
            raise MalformedPacket("packet identifier is 0")
        return packet_id

    def sub_reader(self, length: int) -> "Reader":
        """The next `length` bytes as a body of their own."""
        at = self._advance(length)
        return Reader(self._data, at, at + length)

    def expect_end(self) -> None:
        if self._at != self._end:
            raise MalformedPacket("packet is longer than its content")

    def _advance(self, length: int) -> int:
        at = self._at
        if at + length > self._end:
            raise MalformedPacket("packet ends inside a field")
        self._at = at + length
        return at


def decode_text(raw: bytes) -> str:
    """Well-formed UTF-8 without surrogates and without U+0000. [MQTT-1.5.4-1] [MQTT-1.5.4-2]"""
    try:
        text = raw.decode()
    except UnicodeDecodeError:
        raise MalformedPacket("a string is not UTF-8") from None
    if "\0" in text:
        raise MalformedPacket("a string holds U+0000")
    return text
