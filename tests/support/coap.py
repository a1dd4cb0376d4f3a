"""What tests of the CoAP adapter share: datagrams made by a codec nobody here wrote, and in-memory peers.

`datagram` and `reading` go through aiocoap's message codec, so that a test compares two independent
understandings of the bytes.
"""

import asyncio
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager, suppress

from aiocoap.message import Direction  # type: ignore[import-untyped]
from aiocoap.message import Message as ForeignMessage
from aiocoap.numbers import OptionNumber, Type  # type: ignore[import-untyped]
from aiocoap.optiontypes import OpaqueOption  # type: ignore[import-untyped]

from adapters.admission.admission import Admission, Admitted, Undecided
from adapters.admission.evidence import Evidence
from adapters.coap.shell import CoapAdapter
from adapters.coap.wire.exchanges import WireLimits
from adapters.coap.wire.numbers import ACK, CON, EMPTY, POST, RST, URI_PATH, URI_QUERY
from adapters.edge.peer import Address, Peer
from adapters.edge.ports import Association
from adapters.sessions.session import Session
from adapters.sessions.table import SessionTable
from adapters.sessions.uplink import Done, Uplink, UploadHead
from conf.coap import CoapSettings
from kernel.clock import ManualClock
from kernel.errors import TuhonoError
from kernel.ids import AnchorId, AuthId, DeviceId, TenantId
from kernel.meters import Meters
from tenant.model import Tenant
from tenant.ports import Change
from tests.support.standing import standing_on_nothing
from tests.support.uploads import Upload

Verdict = Admitted | None | Exception

DEVICE = Admitted(
    tenant_id=TenantId("acme"),
    device_id=DeviceId("pump-1"),
    anchor_id=AnchorId("anchor-1"),
    auth_id=AuthId("CN=pump-1"),
    provisioned=False,
)


def limits(
    *,
    payload_max_bytes: int = 2048,
    exchanges_per_peer_max: int = 4,
    exchanges_max: int = 64,
    exchange_lifetime_s: float = 247.0,
    ack_delay_s: float = 0.5,
    uploads_per_peer_max: int = 2,
    uploads_max: int = 3,
    upload_lifetime_s: float = 300.0,
) -> WireLimits:
    """Bounds of the message layer, small enough to be reached by hand."""
    return WireLimits(
        payload_max_bytes=payload_max_bytes,
        exchanges_per_peer_max=exchanges_per_peer_max,
        exchanges_max=exchanges_max,
        exchange_lifetime_s=exchange_lifetime_s,
        ack_delay_s=ack_delay_s,
        uploads_per_peer_max=uploads_per_peer_max,
        uploads_max=uploads_max,
        upload_lifetime_s=upload_lifetime_s,
    )


def datagram(
    *,
    type_: int = CON,
    code: int = POST,
    message_id: int = 1,
    token: bytes = b"",
    path: Sequence[str] = (),
    query: Sequence[str] = (),
    options: Sequence[tuple[int, bytes]] = (),
    payload: bytes = b"",
) -> bytes:
    """A message as aiocoap writes it. `options` join path and query."""
    message = ForeignMessage(code=code, payload=payload)
    message.mtype, message.mid, message.token = Type(type_), message_id, token
    named = [(int(URI_PATH), part.encode()) for part in path] + [(int(URI_QUERY), part.encode()) for part in query]
    for number, value in sorted([*named, *options], key=lambda option: option[0]):
        message.opt.add_option(OpaqueOption(OptionNumber(number), value))
    return bytes(message.encode())


def request(path: str, **kwargs: object) -> bytes:
    """A request for a path written as in a URI, an empty segment standing for an empty option."""
    return datagram(path=path.removeprefix("/").split("/"), **kwargs)  # type: ignore[arg-type]


def ack(message_id: int) -> bytes:
    return datagram(type_=ACK, code=EMPTY, message_id=message_id)


def reset(message_id: int) -> bytes:
    return datagram(type_=RST, code=EMPTY, message_id=message_id)


class Reading:
    """A datagram as aiocoap reads it."""

    def __init__(self, raw: bytes) -> None:
        message = ForeignMessage.decode(raw)
        assert message.direction is Direction.INCOMING
        self.type = int(message.mtype)
        self.code = int(message.code)
        self.spelled = f"{self.code >> 5}.{self.code & 31:02d}"
        self.message_id = int(message.mid)
        self.token = bytes(message.token)
        self.payload = bytes(message.payload)
        self.options = [(int(option.number), bytes(option.encode())) for option in message.opt.option_list()]

    def option(self, number: int) -> bytes | None:
        return next((value for found, value in self.options if found == number), None)


class MemoryAssociation:
    """A peer without a socket: what is sent to it is kept."""

    def __init__(self, adapter: CoapAdapter, *, port: int = 40_000) -> None:
        self.peer = Peer(address=Address(host="192.0.2.7", port=port))
        self.sent: list[bytes] = []
        self.heard = asyncio.Event()
        self.is_closed = False
        self._adapter = adapter

    def send(self, datagram: bytes) -> None:
        if not self.is_closed:
            self.sent.append(datagram)
            self.heard.set()

    def close(self) -> None:
        """At the adapter's wish; it hears of it from the loop, as from the real edge."""
        if not self.is_closed:
            self.is_closed = True
            asyncio.get_running_loop().call_soon(self._adapter.closed, self)

    def vanish(self) -> None:
        """At the peer's or the edge's wish."""
        self.is_closed = True
        self._adapter.closed(self)

    def says(self, raw: bytes) -> None:
        self._adapter.received(self, raw)

    def take(self) -> list[Reading]:
        """What was sent since the last look."""
        taken, self.sent = self.sent, []
        return [Reading(raw) for raw in taken]


class ScriptedAdmission(Admission):
    """Answers with the next verdict of a list, the last one for ever; `gate` holds every decision back."""

    def __init__(self, *verdicts: Verdict) -> None:
        self.verdicts = list(verdicts)
        self.asked: list[Evidence] = []
        self.gate = asyncio.Event()
        self.gate.set()

    def decide(self, evidence: Evidence) -> Undecided:
        return Undecided(evidence=evidence, finding=None)

    async def conclude(self, undecided: Undecided) -> Admitted | None:
        self.asked.append(undecided.evidence)
        await self.gate.wait()
        verdict = self.verdicts.pop(0) if len(self.verdicts) > 1 else self.verdicts[0]
        if isinstance(verdict, Exception):
            raise verdict
        return verdict


class MemoryUplink(Uplink):
    """Keeps uploads; says done at once with `outcome`, or when told if `holds`."""

    def __init__(self, *, holds: bool = False) -> None:
        self.holds = holds
        self.outcome: TuhonoError | None = None
        self.defect: Exception | None = None
        self.uploads: list[Upload] = []
        self.held: list[Done] = []

    def submit(self, session: Session, head: UploadHead, payloads: list[bytes | None], done: Done) -> None:
        if self.defect is not None:
            raise self.defect
        self.uploads += [Upload(session, head, payload) for payload in payloads]
        if self.holds:
            self.held.append(done)
        else:
            done(self.outcome)

    def release(self) -> None:
        held, self.held = self.held, []
        for done in held:
            done(self.outcome)


class ToldFeed:
    """A change feed without a store: a test tells each change itself."""

    def __init__(self) -> None:
        self._subscribers: list[Callable[[Change], None]] = []

    def subscribe(self, subscriber: Callable[[Change], None]) -> None:
        self._subscribers.append(subscriber)

    def catch_up(self) -> None:
        """There is never more than was told."""

    def has_news(self) -> bool:
        return False

    def all_tenants(self) -> Sequence[Tenant]:
        return ()

    def tell(self, change: Change) -> None:
        for subscriber in self._subscribers:
            subscriber(change)


class Stage:
    """A running adapter and everything around it."""

    def __init__(self, *verdicts: Verdict, settings: CoapSettings | None = None, holds: bool = False) -> None:
        self.clock = ManualClock()
        self.admission = ScriptedAdmission(*(verdicts or (DEVICE,)))
        self.uplink = MemoryUplink(holds=holds)
        self.feed = ToldFeed()
        self.sessions = SessionTable(feed=self.feed, standing=standing_on_nothing())
        self.meters = Meters()
        self.adapter = CoapAdapter(
            settings=settings or CoapSettings(),
            admission=self.admission,
            sessions=self.sessions,
            uplink=self.uplink,
            clock=self.clock,
            meters=self.meters,
            draw=lambda: 0.0,
        )

    @asynccontextmanager
    async def running(self) -> AsyncIterator["Stage"]:
        task = asyncio.create_task(self.adapter.run())
        await settled()
        try:
            yield self
        finally:
            task.cancel()
            with suppress(asyncio.CancelledError):
                await task

    def connect(self, *, port: int = 40_000) -> MemoryAssociation:
        association = MemoryAssociation(self.adapter, port=port)
        self.adapter.opened(association)
        return association

    async def connected(self, *, port: int = 40_000) -> MemoryAssociation:
        """A peer whose admission is decided."""
        association = self.connect(port=port)
        await settled()
        return association

    def counted(self, name: str, **labels: str) -> float:
        return self.meters.counter(name, "", **labels).total


async def settled(turns: int = 10) -> None:
    """Let everything that is ready run; nothing here waits for time."""
    for _ in range(turns):
        await asyncio.sleep(0)


def keeps_the_port(association: MemoryAssociation) -> Association:
    """Checked by mypy: the fake is an Association."""
    return association
