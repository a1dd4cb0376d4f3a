"""The bounds of a connection, and what a version 5 client is told of them."""

from dataclasses import dataclass

from adapters.mqtt.wire import properties as props


@dataclass(frozen=True, slots=True, kw_only=True)
class Limits:
    """One object for all connections."""

    remaining_max_bytes: int  # of a packet behind its fixed header
    connect_max_bytes: int  # the same for CONNECT
    unacknowledged_max: int
    keep_alive_max_s: int
    connect_deadline_s: float
    admission_deadline_s: float

    @property
    def packet_max_bytes(self) -> int:
        """As MQTT 5 counts: with the fixed header."""
        return 1 + len(props.render_variable_integer(self.remaining_max_bytes)) + self.remaining_max_bytes

    def announced(self) -> dict[int, int | str]:
        """The properties of CONNACK that say so; left out: what the standard takes for granted."""
        return {
            props.RECEIVE_MAXIMUM: self.unacknowledged_max,
            props.MAXIMUM_QOS: 1,
            props.MAXIMUM_PACKET_SIZE: self.packet_max_bytes,
            props.SUBSCRIPTION_IDENTIFIER_AVAILABLE: 0,
            props.SHARED_SUBSCRIPTION_AVAILABLE: 0,
        }
