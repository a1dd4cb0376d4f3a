"""What tests of the MQTT adapter share: an adapter without sockets, and devices that talk to it.

Admission and uplink are scripted, so that a test says who is let in and when a message is kept; the
session table is the real one.
"""

import asyncio
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager, suppress
from typing import Any

from adapters.admission.admission import Admission, Admitted, Undecided
from adapters.admission.evidence import Evidence
from adapters.edge.peer import Address, Peer
from adapters.edge.ports import StreamHandler
from adapters.mqtt.adapter import MqttAdapter
from adapters.mqtt.life import ConnectionLife
from adapters.mqtt.shell import MqttShell
from adapters.mqtt.wire.packets import Packet
from adapters.sessions.session import Session
from adapters.sessions.table import SessionTable
from adapters.sessions.uplink import Done, Uplink, UploadHead
from conf.mqtt import MqttSettings
from kernel.clock import ManualClock
from kernel.errors import TuhonoError
from kernel.ids import AnchorId, AuthId, DeviceId, TenantId
from kernel.meters import Meters
from tenant.model import Tenant
from tenant.ports import Change
from tests.support.mqtt_client import answers, connect, encode
from tests.support.standing import standing_on_nothing
from tests.support.uploads import Upload
from tests.support.waiting import until

PUMP = Admitted(
    tenant_id=TenantId("acme"),
    device_id=DeviceId("pump-1"),
    anchor_id=AnchorId("ca-1"),
    auth_id=AuthId("CN=pump-1"),
    provisioned=False,
)


class ScriptedAdmission(Admission):
    """Lets in whom `verdict` says; as long as `gate` is set, nobody before it opens."""

    def __init__(self) -> None:
        self.verdict: Admitted | None | Exception = PUMP
        self.gate: asyncio.Event | None = None
        self.asked: list[Evidence] = []

    def decide(self, evidence: Evidence) -> Undecided:
        return Undecided(evidence=evidence, finding=None)

    async def conclude(self, undecided: Undecided) -> Admitted | None:
        self.asked.append(undecided.evidence)
        verdict = self.verdict
        if self.gate is not None:
            await self.gate.wait()
        if isinstance(verdict, Exception):
            raise verdict
        return verdict


class HoldingUplink(Uplink):
    """Keeps what it is given until the test says what becomes of it; or says `answer` before `submit` returns."""

    def __init__(self) -> None:
        self.uploads: list[Upload] = []
        self.waiting: list[Done] = []
        self.is_prompt = False
        self.answer: TuhonoError | None = None

    def submit(self, session: Session, head: UploadHead, payloads: list[bytes | None], done: Done) -> None:
        self.uploads += [Upload(session, head, payload) for payload in payloads]
        if self.is_prompt:
            done(self.answer)
        else:
            self.waiting.append(done)

    def settle(self, error: TuhonoError | None = None, *, index: int = 0) -> None:
        self.waiting.pop(index)(error)


class OperatorFeed:
    """A change feed on which the test speaks for the operators."""

    def __init__(self) -> None:
        self._subscribers: list[Callable[[Change], None]] = []

    def subscribe(self, subscriber: Callable[[Change], None]) -> None:
        self._subscribers.append(subscriber)

    def catch_up(self) -> None:
        """Nothing was committed elsewhere."""

    def has_news(self) -> bool:
        return False

    def all_tenants(self) -> Sequence[Tenant]:
        return ()

    def tell(self, change: Change) -> None:
        for subscriber in self._subscribers:
            subscriber(change)


class MemoryStream:
    """A stream without a socket. `lost` comes from the loop, as with a real one."""

    def __init__(self, peer: Peer) -> None:
        self.peer = peer
        self.written: list[bytes] = []
        self.is_paused = False
        self.is_closing = False
        self.was_aborted = False
        self.handler: StreamHandler | None = None

    def write(self, data: bytes) -> None:
        assert data
        if not self.is_closing:
            self.written.append(data)

    def close(self) -> None:
        if not self.is_closing:
            self.is_closing = True
            asyncio.get_running_loop().call_soon(self._tell_lost)

    def abort(self) -> None:
        self.was_aborted = True
        self.close()

    def pause_reading(self) -> None:
        self.is_paused = True

    def resume_reading(self) -> None:
        self.is_paused = False

    def _tell_lost(self) -> None:
        assert self.handler is not None
        self.handler.lost(None)


class MqttDevice:
    """The far end of one connection."""

    def __init__(self, handler: StreamHandler, peer: Peer, version: int) -> None:
        self.version = version
        self.handler = handler
        self.stream = MemoryStream(peer)
        self.stream.handler = handler
        handler.connected(self.stream)

    def send(self, *packets: Packet) -> None:
        self.send_bytes(b"".join(encode(packet, self.version) for packet in packets))

    def send_bytes(self, data: bytes) -> None:
        self.handler.received(data)

    def take(self) -> list[tuple[int, bytes]]:
        """What was written since this was last asked, as (first byte, body)."""
        written, self.stream.written = self.stream.written, []
        return answers(b"".join(written))

    @property
    def is_closed(self) -> bool:
        return self.stream.is_closing

    @property
    def life(self) -> ConnectionLife:
        assert isinstance(self.handler, MqttShell)
        return self.handler.life


class MqttBench:
    """One adapter, and everything a test may want to look at."""

    def __init__(self, settings: MqttSettings) -> None:
        self.admission = ScriptedAdmission()
        self.uplink = HoldingUplink()
        self.feed = OperatorFeed()
        self.sessions = SessionTable(feed=self.feed, standing=standing_on_nothing())
        self.meters = Meters()
        self.clock = ManualClock()
        self.adapter = MqttAdapter(
            settings=settings,
            admission=self.admission,
            uplink=self.uplink,
            sessions=self.sessions,
            meters=self.meters,
            clock=self.clock,
        )

    def device(self, version: int = 4) -> MqttDevice:
        """A device whose handshake is done."""
        peer = Peer(address=Address(host="192.0.2.7", port=1234), cipher="TLS_AES_256_GCM_SHA384")
        return MqttDevice(self.adapter.handler(), peer, version)

    async def connected(self, version: int = 4, **facts: Any) -> MqttDevice:
        """A device that was let in."""
        device = self.device(version)
        device.send(connect(version, **facts))
        await until(lambda: bool(device.stream.written) or device.is_closed)
        first, body = device.take()[0]
        assert (first, body[:2]) == (0x20, b"\0\0")
        return device

    def metric(self, name: str, **labels: str) -> float:
        """What the adapter counted under those labels, beside the ones that name the adapter itself."""
        labels |= {"component_type": "adapter", "component_name": "hono-mqtt"}
        for family in self.meters.families():
            if family.name == name:
                meter = family.series.get(tuple(sorted(labels.items())))
                return 0.0 if meter is None else meter.total
        return 0.0


@asynccontextmanager
async def mqtt_bench(settings: MqttSettings | None = None) -> AsyncIterator[MqttBench]:
    """An adapter that runs."""
    bench = MqttBench(settings or MqttSettings())
    running = asyncio.create_task(bench.adapter.run())
    try:
        await until(lambda: bench.adapter.admissions.is_open)
        yield bench
    finally:
        running.cancel()
        with suppress(asyncio.CancelledError):
            await running
