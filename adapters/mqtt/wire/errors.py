"""Why a peer's bytes end its connection. Each carries the reason code a version 5 peer is told."""

from typing import ClassVar

from adapters.mqtt.wire import reasons
from kernel.errors import Refused


class WireFault(Refused):
    """The peer broke a rule of MQTT; the connection cannot go on. [MQTT-4.13.1-1]

    `reason` is the code for a CONNACK or DISCONNECT of version 5. `version` is what the peer's CONNECT
    named, where the fault lies in a CONNECT read that far; else None.
    """

    code = "mqtt-fault"
    told = "protocol error"
    usual_reason: ClassVar[int] = reasons.PROTOCOL_ERROR

    def __init__(self, says: str, *, reason: int | None = None, version: int | None = None) -> None:
        super().__init__(says)
        self.reason = self.usual_reason if reason is None else reason
        self.version = version


class MalformedPacket(WireFault):
    """The bytes are no packet of this protocol."""

    code = "mqtt-malformed-packet"
    told = "malformed packet"
    usual_reason = reasons.MALFORMED_PACKET


class ProtocolViolation(WireFault):
    """A well-formed packet that may not be sent, or not now."""

    code = "mqtt-protocol-violation"


class PacketTooLarge(WireFault):
    """The fixed header announces more bytes than this connection may send in one packet."""

    code = "mqtt-packet-too-large"
    told = "packet too large"
    usual_reason = reasons.PACKET_TOO_LARGE


class VersionUnsupported(WireFault):
    """The CONNECT is of a protocol level other than 4 and 5."""

    code = "mqtt-version-unsupported"
    told = "unsupported protocol version"
    usual_reason = reasons.UNSUPPORTED_PROTOCOL_VERSION


class IdentifierRejected(WireFault):
    """A 3.1.1 client that names no identifier asks for a lasting session. [3.1.1: MQTT-3.1.3-8]"""

    code = "mqtt-identifier-rejected"
    told = "client identifier not valid"
    usual_reason = reasons.CLIENT_IDENTIFIER_NOT_VALID


class ConnectOverdue(WireFault):
    """The connection was opened, and no CONNECT came in time."""

    code = "mqtt-connect-overdue"


class KeepAliveExceeded(WireFault):
    """Nothing came for one and a half times the keep-alive. [MQTT-3.1.2-22]"""

    code = "mqtt-keep-alive-exceeded"
    told = "keep alive timeout"
    usual_reason = reasons.KEEP_ALIVE_TIMEOUT


class AdmissionOverdue(WireFault):
    """Whether the device may connect was not known in time."""

    code = "mqtt-admission-overdue"
    told = "temporarily unavailable"
    usual_reason = reasons.SERVER_UNAVAILABLE
