"""The control packets of MQTT 3.1.1 and 5 that a client may send, as values.

One class serves both versions: what only 5 knows is empty or at its default in a 3.1.1 packet. `Publish` is
not frozen, unlike the rest: a frozen one costs 0.8 us to make against 0.2, and it is made for every message.
"""

from dataclasses import dataclass, field
from typing import Final

from adapters.mqtt.wire.properties import Properties, no_properties

VERSION_3_1_1: Final = 4
VERSION_5: Final = 5

CONNECT: Final = 1
CONNACK: Final = 2
PUBLISH: Final = 3
PUBACK: Final = 4
PUBREC: Final = 5
PUBREL: Final = 6
PUBCOMP: Final = 7
SUBSCRIBE: Final = 8
SUBACK: Final = 9
UNSUBSCRIBE: Final = 10
UNSUBACK: Final = 11
PINGREQ: Final = 12
PINGRESP: Final = 13
DISCONNECT: Final = 14
AUTH: Final = 15

DUPLICATE: Final = 0x08
RETAIN: Final = 0x01


@dataclass(frozen=True, slots=True, kw_only=True)
class Will:
    """What a client would have published for it after its end. Read, checked and never published."""

    topic: str
    payload: bytes
    qos: int
    retain: bool
    properties: Properties = field(default_factory=no_properties)


@dataclass(frozen=True, slots=True, kw_only=True)
class Connect:
    """A client introduces itself. `client_id` may be empty: the server then gives it one."""

    version: int  # 4 or 5
    client_id: str
    clean_start: bool  # "clean session" in 3.1.1
    keep_alive_s: int  # 0: none
    will: Will | None = None
    user_name: str | None = None
    password: bytes | None = None
    properties: Properties = field(default_factory=no_properties)


@dataclass(slots=True, init=False)  # compiled, its own __init__ costs 30 ns, the generated one 150: one a message
class Publish:
    """Messages from a device that came right behind each other, alike in all but payload and number: at least one."""

    topic: str
    payloads: list[bytes | None]  # never None; whoever takes them further knows messages without a body
    packet_ids: list[int]  # one a payload; none where QoS is 0
    flags: int  # DUPLICATE, two bits of QoS, RETAIN
    qos: int
    properties: Properties

    def __init__(
        self,
        topic: str,
        payloads: list[bytes | None],
        packet_ids: list[int],
        flags: int,
        qos: int,
        properties: Properties,
    ) -> None:
        self.topic = topic
        self.payloads = payloads
        self.packet_ids = packet_ids
        self.flags = flags
        self.qos = qos
        self.properties = properties


@dataclass(frozen=True, slots=True)
class Acknowledgement:
    """PUBACK, PUBREC, PUBREL or PUBCOMP: told apart by `kind`, the packet type."""

    kind: int
    packet_id: int
    reason: int = 0
    properties: Properties = field(default_factory=no_properties)


@dataclass(frozen=True, slots=True)
class Filter:
    """One line of a SUBSCRIBE. The last three are of MQTT 5."""

    topic_filter: str
    qos: int
    no_local: bool = False
    retain_as_published: bool = False
    retain_handling: int = 0


@dataclass(frozen=True, slots=True)
class Subscribe:
    """A request for messages. At least one filter."""

    packet_id: int
    filters: tuple[Filter, ...]
    properties: Properties = field(default_factory=no_properties)


@dataclass(frozen=True, slots=True)
class Unsubscribe:
    """The end of a request for messages. At least one filter."""

    packet_id: int
    topic_filters: tuple[str, ...]
    properties: Properties = field(default_factory=no_properties)


@dataclass(frozen=True, slots=True)
class PingRequest:
    """A sign of life."""


@dataclass(frozen=True, slots=True)
class Disconnect:
    """The client says goodbye."""

    reason: int = 0
    properties: Properties = field(default_factory=no_properties)


@dataclass(frozen=True, slots=True)
class Auth:
    """A step of an extended authentication (MQTT 5)."""

    reason: int = 0
    properties: Properties = field(default_factory=no_properties)


Packet = Connect | Publish | Acknowledgement | Subscribe | Unsubscribe | PingRequest | Disconnect | Auth
