"""A device on an in-memory stream, and an admission and an uplink that do as they are told."""

import asyncio
from collections.abc import Callable
from dataclasses import dataclass

import httptools

from adapters.admission.admission import Admission, Admitted, Undecided
from adapters.admission.evidence import Evidence
from adapters.edge.peer import Address, Peer
from adapters.edge.ports import StreamHandler
from adapters.http.adapter import HttpAdapter
from adapters.sessions.session import Session
from adapters.sessions.table import SessionTable
from adapters.sessions.uplink import Done, Uplink, UploadHead
from conf.http import HttpSettings
from kernel.clock import ManualClock
from kernel.errors import TuhonoError
from kernel.ids import AnchorId, AuthId, DeviceId, TenantId
from kernel.meters import Meters
from tenant.model import Tenant
from tenant.ports import Change
from tests.support.standing import standing_on_nothing
from tests.support.uploads import Upload
from tests.support.waiting import until

DEVICE = Admitted(
    tenant_id=TenantId("acme"),
    device_id=DeviceId("sensor-1"),
    anchor_id=AnchorId("anchor-1"),
    auth_id=AuthId("CN=sensor-1"),
    provisioned=False,
)


class TellingAdmission(Admission):
    """Admits a device, nobody or not at all; on demand only once it is let go."""

    def __init__(self, verdict: Admitted | Exception | None = DEVICE) -> None:
        self.verdict = verdict
        self.evidence: list[Evidence] = []
        self.may_go = asyncio.Event()
        self.may_go.set()

    def decide(self, evidence: Evidence) -> Undecided:
        return Undecided(evidence=evidence, finding=None)

    async def conclude(self, undecided: Undecided) -> Admitted | None:
        self.evidence.append(undecided.evidence)
        await self.may_go.wait()
        if isinstance(self.verdict, Exception):
            raise self.verdict
        return self.verdict


class HoldingUplink(Uplink):
    """Keeps what was submitted; calls back at once, or when told where `holds` is set."""

    def __init__(self) -> None:
        self.uploads: list[Upload] = []
        self.outcome: TuhonoError | None = None
        self.defect: Exception | None = None
        self.fails_late = False  # raises the defect only after it took the upload
        self.ends_session: TuhonoError | None = None
        self.holds = False
        self.held: list[Done] = []

    def submit(self, session: Session, head: UploadHead, payloads: list[bytes | None], done: Done) -> None:
        if self.defect is not None and not self.fails_late:
            raise self.defect
        self.uploads += [Upload(session, head, payload) for payload in payloads]
        if self.holds:
            self.held.append(done)
        else:
            done(self.outcome)
        if self.ends_session is not None:
            session.end(self.ends_session)
        if self.defect is not None:
            raise self.defect

    def settle(self, count: int | None = None, error: TuhonoError | None = None) -> None:
        """Call back for the oldest `count` held uploads, or all, as a group commit does: in one go."""
        due, self.held = self.held[:count], self.held[len(self.held) if count is None else count :]
        for done in due:
            done(error)


class SilentFeed:
    """A change feed through which a test speaks."""

    def __init__(self) -> None:
        self._subscribers: list[Callable[[Change], None]] = []

    def subscribe(self, subscriber: Callable[[Change], None]) -> None:
        self._subscribers.append(subscriber)

    def catch_up(self) -> None:
        pass

    def has_news(self) -> bool:
        return False

    def all_tenants(self) -> list[Tenant]:
        return []

    def tell(self, change: Change) -> None:
        for subscriber in self._subscribers:
            subscriber(change)


@dataclass(frozen=True, kw_only=True)
class Received:
    """An answer as a parser that nobody here wrote understands it."""

    status: int
    headers: dict[str, str]
    body: bytes
    keep_alive: bool


class AnswerParser:
    """Reads answers to requests other than HEAD; raises HttpParserError for anything else."""

    def __init__(self) -> None:
        self.answers: list[Received] = []
        self._headers: dict[str, str] = {}
        self._body = b""
        self._parser = httptools.HttpResponseParser(self)

    def feed(self, data: bytes) -> None:
        self._parser.feed_data(data)

    def on_message_begin(self) -> None:
        self._headers, self._body = {}, b""

    def on_header(self, name: bytes, value: bytes) -> None:
        self._headers[name.decode().lower()] = value.decode()

    def on_body(self, data: bytes) -> None:
        self._body += data

    def on_message_complete(self) -> None:
        self.answers.append(
            Received(
                status=self._parser.get_status_code(),
                headers=self._headers,
                body=self._body,
                keep_alive=self._parser.should_keep_alive(),
            )
        )


class Device:
    """A device's end of a connection, and the Stream that the handler writes to."""

    def __init__(self, handler: StreamHandler, peer: Peer) -> None:
        self.peer = peer
        self.writes: list[bytes] = []
        self.is_paused = False
        self.is_closed = False
        self.is_aborted = False
        self._handler = handler
        self._has_written = asyncio.Event()
        self._is_lost = asyncio.Event()
        handler.connected(self)

    # What the device does and sees

    def send(self, data: bytes) -> None:
        self._handler.received(data)

    def finish(self) -> None:
        """Send no more; the stream closes on it unless the handler will, as edge streams do."""
        if not self._handler.ended():
            self.hang_up()

    def hang_up(self) -> None:
        if not self._is_lost.is_set():
            self._is_lost.set()
            self._handler.lost(None)

    @property
    def answers(self) -> list[Received]:
        parser = AnswerParser()
        for data in self.writes:
            parser.feed(data)
        return parser.answers

    @property
    def statuses(self) -> list[int]:
        return [answer.status for answer in self.answers]

    async def until_written(self) -> None:
        async with asyncio.timeout(5):
            await self._has_written.wait()

    async def statuses_once_there_are(self, count: int) -> list[int]:
        async with asyncio.timeout(5):
            while len(self.statuses) < count:
                self._has_written.clear()
                await self._has_written.wait()
        return self.statuses

    async def until_lost(self) -> None:
        async with asyncio.timeout(5):
            await self._is_lost.wait()

    # Stream

    def write(self, data: bytes) -> None:
        assert data and not self.is_closed
        self.writes.append(data)
        self._has_written.set()

    def close(self) -> None:
        if not self.is_closed:
            self.is_closed = True
            asyncio.get_running_loop().call_soon(self.hang_up)

    def abort(self) -> None:
        self.is_aborted = True
        Device.close(self)

    def pause_reading(self) -> None:
        assert not self.is_paused
        self.is_paused = True

    def resume_reading(self) -> None:
        assert self.is_paused
        self.is_paused = False

    @property
    def is_closing(self) -> bool:
        return self.is_closed


class Gateway:
    """The adapter with everything around it in memory. Enter it to have `run` running."""

    def __init__(self, settings: HttpSettings | None = None) -> None:
        self.admission = TellingAdmission()
        self.uplink = HoldingUplink()
        self.feed = SilentFeed()
        self.sessions = SessionTable(feed=self.feed, standing=standing_on_nothing())
        self.meters = Meters()
        self.clock = ManualClock()
        self.adapter = HttpAdapter(
            settings=settings or HttpSettings(),
            admission=self.admission,
            uplink=self.uplink,
            sessions=self.sessions,
            meters=self.meters,
            clock=self.clock,
        )
        self._running: asyncio.Task[None] | None = None

    def connect(self) -> Device:
        return Device(self.adapter.handler(), Peer(address=Address(host="192.0.2.1", port=50_000)))

    async def admitted_device(self) -> Device:
        """A device whose first upload was accepted; its traces are removed."""
        device = self.connect()
        device.send(post())
        await device.statuses_once_there_are(1)
        device.writes.clear()
        self.uplink.uploads.clear()
        return device

    def pass_time(self, seconds: float) -> None:
        """Let time pass, with a sweep each second."""
        while seconds > 0:
            self.clock.advance(min(seconds, 1))
            self.adapter.sweep()
            seconds -= 1

    async def __aenter__(self) -> "Gateway":
        self._running = asyncio.create_task(self.adapter.run())
        await until(lambda: self.adapter.admissions.is_open)
        return self

    async def __aexit__(self, *_: object) -> None:
        assert self._running is not None
        self._running.cancel()
        await asyncio.gather(self._running, return_exceptions=True)


def post(
    target: str = "/telemetry", body: bytes = b"22.5", *headers: str, method: str = "POST", version: str = "1.1"
) -> bytes:
    """A request as a device sends it, with a content type unless `headers` name one."""
    lines = [f"{method} {target} HTTP/{version}", "Host: gateway.example.com", *headers]
    if not any(header.lower().startswith("content-type:") for header in headers):
        lines.append("Content-Type: text/plain")
    lines.append(f"Content-Length: {len(body)}")
    return "\r\n".join([*lines, "", ""]).encode("latin-1") + body
