"""The state of one MQTT connection, from CONNECT to its end, for 3.1.1 and 5.

Owns what may be sent when, the order of PUBACKs, how much may be unacknowledged, and when silence has
lasted too long. Leaves to the shell who the device is, what becomes of its messages, and the socket.

    awaiting ──CONNECT──► admitting ──accept──► open ──close, fail, DISCONNECT──► closed
        └──────fail──────────┴──refuse──────────────────────────────────────────────┘

Every method that returns bytes returns what is to be written, in order; nothing may be written after the
bytes that led to `closed`. [MQTT-3.14.4-1] Never a broker: no session outlives its connection, so
`clean start` and `session expiry` change nothing, and a will is read and forgotten.

Keep-alive: a version 5 client is told when its wish is lowered to `keep_alive_max_s`. A 3.1.1 client
cannot be told, so it is held to what it asked for, and to nothing if it asked for nothing.
"""

import math
from typing import Final

from adapters.mqtt.wire import packets, reasons
from adapters.mqtt.wire import properties as props
from adapters.mqtt.wire.effects import PENDING, UNANSWERED, Admit, Delivery, Effect, Goodbye, Send
from adapters.mqtt.wire.encoder import (
    PING_RESPONSE,
    render_connack,
    render_disconnect,
    render_failing_puback,
    render_pubacks,
    render_suback,
    render_unsuback,
)
from adapters.mqtt.wire.errors import AdmissionOverdue, ConnectOverdue, KeepAliveExceeded, ProtocolViolation, WireFault
from adapters.mqtt.wire.limits import Limits
from adapters.mqtt.wire.packets import VERSION_5, Packet

AWAITING: Final = 0
ADMITTING: Final = 1
OPEN: Final = 2
CLOSED: Final = 3

KEEP_ALIVE_FACTOR: Final = 1.5  # [MQTT-3.1.2-22]


class Connection:
    """One connection. Not safe for threads; `now` is any clock that never runs backwards, in seconds."""

    __slots__ = (
        "_allowance_s", "_fits_bytes", "_head", "_heard_at", "_lasts", "_limits", "_tail", "_unacknowledged",
        "_unhanded", "connect", "explains", "state", "version",
    )  # fmt: skip

    def __init__(self, limits: Limits, now: float) -> None:
        self._limits = limits
        self._heard_at = now
        self._allowance_s = limits.connect_deadline_s
        self._fits_bytes: float = math.inf  # the client's Maximum Packet Size
        self._lasts = False  # whether the client asked for a session that outlives the connection
        self._head: Delivery | None = None
        self._tail: Delivery | None = None
        self._unacknowledged = 0  # QoS 1
        self._unhanded = 0  # QoS 0 and 2
        self.connect: packets.Connect | None = None  # until it is answered
        self.explains = False  # whether the client wants reason strings
        self.state: int = AWAITING
        self.version = 0

    @property
    def deadline(self) -> float:
        """When `overdue` will have something to say; infinite if silence is allowed."""
        return self._heard_at + self._allowance_s

    @property
    def outstanding(self) -> int:
        """Messages handed out and not settled."""
        return self._unacknowledged + self._unhanded

    @property
    def room(self) -> int:
        """How many messages `receive` may be called with in one packet; or 0, and it may not be called. Leave the
        bytes where they are then, and later the socket.
        """
        if self.state != OPEN:
            return 1 if self.state == AWAITING else 0
        most = self._limits.unacknowledged_max
        unhanded, unacknowledged = self._unhanded, self._unacknowledged
        if unhanded >= most:
            return 0
        if unacknowledged >= most:
            # A version 5 client was told the bound and is cut off beyond it; a 3.1.1 client must be slowed down.
            return 1 if self.version == VERSION_5 else 0
        return most - (unacknowledged if unacknowledged > unhanded else unhanded)

    def receive(self, packet: Packet, now: float) -> Effect:
        """Raises ProtocolViolation, to be handed to `fail`."""
        if self.state != OPEN:
            if self.state == AWAITING and isinstance(packet, packets.Connect):
                return self._receive_connect(packet, now)
            raise ProtocolViolation("no packet may come now")  # [MQTT-3.1.0-1]
        self._heard_at = now
        if type(packet) is not packets.Publish:
            return self._receive_other(packet)
        if self.version == VERSION_5:
            self._check_publish(packet)
        delivery = Delivery(packet)
        if packet.qos != 1:
            self._unhanded += delivery.count
            return delivery
        unacknowledged = self._unacknowledged + delivery.count
        if unacknowledged > self._limits.unacknowledged_max:  # [MQTT-3.3.4-7]
            raise ProtocolViolation("more messages than the receive maximum", reason=reasons.RECEIVE_MAXIMUM_EXCEEDED)
        self._unacknowledged = unacknowledged
        if self._tail is None:
            self._head = delivery
        else:
            self._tail.behind = delivery
        self._tail = delivery
        return delivery

    def accept(self, now: float, assigned_client_id: str | None = None) -> bytes:
        """The device may connect: CONNACK. `assigned_client_id`: where it named none. [MQTT-3.2.2-16]"""
        assert self.state == ADMITTING and self.connect is not None
        connect = self.connect
        self.connect = None
        self.state = OPEN
        self._heard_at = now
        most_s = self._limits.keep_alive_max_s
        keep_alive_s = connect.keep_alive_s
        if self.version != VERSION_5:
            self._allowance_s = keep_alive_s * KEEP_ALIVE_FACTOR if keep_alive_s else math.inf
            return render_connack(self.version, reasons.SUCCESS)
        answer = self._limits.announced()
        if keep_alive_s == 0 or keep_alive_s > most_s:
            answer[props.SERVER_KEEP_ALIVE] = keep_alive_s = most_s  # [MQTT-3.2.2-21]
        self._allowance_s = keep_alive_s * KEEP_ALIVE_FACTOR
        if assigned_client_id is not None:
            answer[props.ASSIGNED_CLIENT_IDENTIFIER] = assigned_client_id
        if self._lasts:
            answer[props.SESSION_EXPIRY_INTERVAL] = 0
        connack = render_connack(VERSION_5, reasons.SUCCESS, answer)
        if len(connack) > self._fits_bytes:  # [MQTT-3.1.2-24] nothing true can be said in so little room
            self.state = CLOSED
            return b""
        return connack

    def refuse(self, v3_code: int, reason: int, says: str | None) -> bytes:
        """The device may not connect: CONNACK with why. Closed then. [MQTT-3.2.2-7]"""
        assert self.state == ADMITTING
        self.connect = None
        self.state = CLOSED
        if self.version != VERSION_5:
            return render_connack(self.version, v3_code)
        if says is not None and self.explains:
            connack = render_connack(VERSION_5, reason, {props.REASON_STRING: says})
            if len(connack) <= self._fits_bytes:  # [MQTT-3.2.2-19]
                return connack
        return self._fitting(render_connack(VERSION_5, reason))

    def settle(self, delivery: Delivery, outcome: int, says: str | None = None) -> bytes:
        """What became of a delivery: SUCCESS, a failing reason code, or UNANSWERED. Returns the PUBACKs now due.

        A PUBACK waits for those of earlier messages. [MQTT-4.6.0-2] Does nothing once closed.
        """
        if self.state != OPEN or delivery.outcome != PENDING:
            return b""
        delivery.outcome = outcome
        delivery.says = says
        if delivery.publish.qos != 1:
            self._unhanded -= delivery.count
            return b""
        if delivery is not self._head:
            return b""
        due = b""
        head: Delivery | None = delivery
        while head is not None and head.outcome != PENDING:
            due += self._pubacks(head)
            self._unacknowledged -= head.count
            behind = head.behind
            head.behind = None  # whoever still holds this one must not hold all that follow
            head = behind
        self._head = head
        if head is None:
            self._tail = None
        return due

    def answer_subscribe(self, packet_id: int, codes: list[int]) -> bytes:
        """SUBACK with one code a filter, in their order. [MQTT-3.8.4-6] Of version 5; 3.1.1 knows one failure."""
        if self.version != VERSION_5:
            codes = [code if code < 0x80 else reasons.V3_SUBSCRIBE_FAILURE for code in codes]
        return self._fitting(render_suback(self.version, packet_id, codes))

    def answer_unsubscribe(self, packet_id: int, codes: list[int]) -> bytes:
        """UNSUBACK with one code a filter, in their order. [MQTT-3.11.3-1]"""
        return self._fitting(render_unsuback(self.version, packet_id, codes))

    def overdue(self, now: float) -> WireFault | None:
        """The fault to `fail` with, if nothing came for too long."""
        if now < self.deadline or self.state == CLOSED:
            return None
        if self.state == AWAITING:
            return ConnectOverdue(f"no CONNECT within {self._allowance_s:g} s")
        if self.state == ADMITTING:
            return AdmissionOverdue(f"no verdict within {self._allowance_s:g} s")
        if not self.room:  # it may well have sent something: we are not looking
            self._heard_at = now
            return None
        return KeepAliveExceeded(f"no packet within {self._allowance_s:g} s")

    def fail(self, fault: WireFault) -> bytes:
        """The peer broke a rule: the last thing to write, if anything may be said, and closed. [MQTT-4.13.1-1]"""
        if self.state == ADMITTING:
            return self.refuse(reasons.V3_SERVER_UNAVAILABLE, fault.reason, fault.told)
        if self.state != AWAITING:
            return self.close(fault.reason, fault.told)
        self.state = CLOSED
        if fault.version is None:
            return b""
        if fault.version >= VERSION_5:
            return render_connack(VERSION_5, fault.reason)
        return self._v3_refusal(fault)

    def close(self, reason: int, says: str | None = None) -> bytes:
        """The server ends the connection: DISCONNECT where the client knows it, and closed. [MQTT-3.14.0-1]"""
        was = self.state
        self.state = CLOSED
        self.connect = self._head = self._tail = None
        if was != OPEN or self.version != VERSION_5:
            return b""
        fits = self._fits_bytes
        return self._fitting(render_disconnect(reason, says if self.explains else None, fits_bytes=fits))

    def _receive_connect(self, connect: packets.Connect, now: float) -> Admit:
        self.version = connect.version
        self.connect = connect
        self.state = ADMITTING
        self._heard_at = now
        self._allowance_s = self._limits.admission_deadline_s
        if connect.version == VERSION_5:
            self._lasts = props.number(connect.properties, props.SESSION_EXPIRY_INTERVAL, 0) != 0
            self._fits_bytes = props.number(connect.properties, props.MAXIMUM_PACKET_SIZE, 0) or math.inf
            self.explains = props.number(connect.properties, props.REQUEST_PROBLEM_INFORMATION, 1) == 1
            if props.AUTHENTICATION_METHOD in connect.properties:  # [MQTT-4.12.0-1]
                raise ProtocolViolation("no such authentication method", reason=reasons.BAD_AUTHENTICATION_METHOD)
            if connect.will is not None and connect.will.qos == 2:  # [MQTT-3.2.2-12]
                raise ProtocolViolation("QoS 2 is not supported", reason=reasons.QOS_NOT_SUPPORTED)
        return Admit(connect)

    def _check_publish(self, publish: packets.Publish) -> None:
        """What a version 5 client was told it may not do."""
        if publish.qos == 2:  # [MQTT-3.2.2-11]
            raise ProtocolViolation("QoS 2 is not supported", reason=reasons.QOS_NOT_SUPPORTED)
        if props.TOPIC_ALIAS in publish.properties:  # [MQTT-3.3.2-9]
            raise ProtocolViolation("no topic alias is allowed", reason=reasons.TOPIC_ALIAS_INVALID)

    def _receive_other(self, packet: Packet) -> Effect:
        if isinstance(packet, packets.PingRequest):
            return Send(PING_RESPONSE)  # [MQTT-3.12.4-1]
        if isinstance(packet, packets.Subscribe):
            if props.SUBSCRIPTION_IDENTIFIER in packet.properties:
                raise ProtocolViolation(
                    "no subscription identifier is allowed", reason=reasons.SUBSCRIPTION_IDENTIFIERS_NOT_SUPPORTED
                )
            return packet
        if isinstance(packet, packets.Unsubscribe):
            return packet
        if isinstance(packet, packets.Disconnect):
            return self._receive_disconnect(packet)
        if isinstance(packet, packets.Connect):  # [MQTT-3.1.0-2]
            raise ProtocolViolation("a second CONNECT")
        raise ProtocolViolation("a packet that answers nothing")  # acknowledgements, AUTH [MQTT-4.12.0-7]

    def _receive_disconnect(self, packet: packets.Disconnect) -> Goodbye:
        if not self._lasts and props.number(packet.properties, props.SESSION_EXPIRY_INTERVAL, 0):  # 5: 3.14.2.2.2
            raise ProtocolViolation("a session that was to end with the connection cannot outlive it")
        self.close(reasons.SUCCESS)
        return Goodbye(packet.reason)

    def _pubacks(self, delivery: Delivery) -> bytes:
        outcome = delivery.outcome
        if outcome == UNANSWERED:
            return b""
        packet_ids = delivery.publish.packet_ids
        if outcome == reasons.SUCCESS or self.version != VERSION_5:
            return render_pubacks(packet_ids)
        says = delivery.says if self.explains else None  # [MQTT-3.1.2-29]
        fits = self._fits_bytes
        return b"".join([render_failing_puback(each, outcome, says, fits_bytes=fits) for each in packet_ids])

    def _fitting(self, packet: bytes) -> bytes:
        """The packet, or nothing where the client would not take it. [MQTT-3.1.2-24]"""
        return packet if len(packet) <= self._fits_bytes else b""

    def _v3_refusal(self, fault: WireFault) -> bytes:
        """3.1.1 has words for two faults of a CONNECT; any other just closes. [3.1.1: MQTT-3.1.4-1]"""
        code = reasons.V3_FAULTS.get(fault.reason)
        return b"" if code is None else render_connack(packets.VERSION_3_1_1, code)
