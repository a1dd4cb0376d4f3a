"""The HTTP adapter of one process: makes a handler per connection, and sees to what no connection does alone.

One sweep a second ends what has waited too long, however many connections there are; admissions wait in
tasks that `run` owns.
"""

import asyncio
import logging
from collections.abc import Callable
from contextlib import suppress
from functools import partial

from adapters.admission.admission import Admission, Admitted
from adapters.admission.evidence import Evidence
from adapters.edge.ports import StreamHandler
from adapters.http.cors import Cors
from adapters.http.logins import login_of
from adapters.http.refusals import ACCEPTED, Refusals
from adapters.http.requests import Request, Requests
from adapters.http.shell import ADAPTER, HttpConnection
from adapters.http.wire.answers import AnswerEncoder
from adapters.http.wire.head import RequestLimits
from adapters.http.wire.reader import RequestReader
from adapters.sessions.admissions import Admissions
from adapters.sessions.session import Session
from adapters.sessions.table import SessionTable
from adapters.sessions.uplink import Uplink
from conf.http import HttpSettings
from kernel.clock import Clock
from kernel.errors import TuhonoError
from kernel.log import fields
from kernel.meters import Count, Meters

log = logging.getLogger(__name__)

SWEEP_S = 1.0


class HttpAdapter:
    """Serves `hono-http`. `run` must be running while connections are; all on one event loop."""

    def __init__(
        self,
        *,
        settings: HttpSettings,
        admission: Admission,
        uplink: Uplink,
        sessions: SessionTable,
        meters: Meters,
        clock: Clock,
    ) -> None:
        self.uplink = uplink
        self.clock = clock
        self.refusals = Refusals(realm=settings.realm)
        self.cors = Cors(allowed_origin=settings.cors_allowed_origin)
        self.encoder = AnswerEncoder(clock.now(), usual=ACCEPTED)
        self.pipelined_max = settings.pipelined_max
        self.admission_deadline_s = settings.admission_deadline_s
        self.admissions = Admissions(admission=admission, admissions_max=settings.admissions_max)
        self._settings = settings
        self._limits = RequestLimits(
            header_max_bytes=settings.header_max_bytes,
            headers_max=settings.headers_max,
            body_max_bytes=settings.payload_max_bytes,
        )
        self.requests = Requests(limits=self._limits)
        self._sessions = sessions
        self._meters = meters
        self._connection_gauge = meters.gauge("tuhono_http_connections", "HTTP connections open now")
        self._answer_counts: dict[int, Count] = {}
        self._connections: set[HttpConnection] = set()  # as many as the listener's connections_max allow
        self._flush_due: dict[HttpConnection, None] = {}  # in the order they became due
        self.is_draining = False
        self._is_empty = asyncio.Event()

    def handler(self) -> StreamHandler:
        """A new connection's handler: the StreamHandlerFactory of this adapter's listeners."""
        return HttpConnection(self)

    async def run(self) -> None:
        """Sweep and admit until cancelled."""
        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(self.admissions.run())
            while True:
                await asyncio.sleep(SWEEP_S)
                self.sweep()

    def sweep(self) -> None:
        """End what has waited past its deadline. Once a second; 30 ns a connection that has not."""
        self.encoder.set_date(self.clock.now())
        now = self.clock.monotonic()
        for connection in [connection for connection in self._connections if connection.expires_at <= now]:
            self._guard(connection, connection.expire)

    async def drain(self, *, within_s: float) -> None:
        """Answer the requests under way, close every connection, abort those that take longer than that.

        The listeners must have stopped accepting.
        """
        self.is_draining = True
        for connection in list(self._connections):
            self._guard(connection, connection.retire)
        try:
            async with asyncio.timeout(within_s):
                while self._connections:
                    self._is_empty.clear()
                    await self._is_empty.wait()
        except TimeoutError:
            log.info("http.drain-cut-short", extra=fields(connections=len(self._connections)))
            for connection in list(self._connections):
                self._guard(connection, connection.abort)

    # What a connection calls

    def opened(self, connection: HttpConnection) -> RequestReader[Request]:
        self._connections.add(connection)
        self._connection_gauge.add(1)
        return RequestReader(
            read=self.requests.read,
            limits=self._limits,
            request_deadline_s=self._settings.request_deadline_s,
            idle_s=self._settings.idle_s,
            now=self.clock.monotonic(),
        )

    def admit(self, connection: HttpConnection, request: Request | None) -> None:
        judged = partial(self._judged, connection)
        login = None
        if request is not None and request.authorization is not None:
            login = login_of(request.authorization)
        try:
            self.admissions.begin(Evidence(adapter=ADAPTER, peer=connection.peer, login=login), judged)
        except TuhonoError as refusal:
            asyncio.get_running_loop().call_soon(judged, None, refusal)

    def joined(self, session: Session) -> None:
        self._sessions.add(session)

    def left(self, session: Session) -> None:
        self._sessions.remove(session)

    def flush_soon(self, connection: HttpConnection) -> None:
        if not self._flush_due:
            asyncio.get_running_loop().call_soon(self._flush)
        self._flush_due[connection] = None

    def answered(self, status: int) -> None:
        count = self._answer_counts.get(status)
        if count is None:
            count = self._meters.counter("tuhono_http_answers", "answers over HTTP", status=str(status))
            self._answer_counts[status] = count
        count.total += 1

    def gone(self, connection: HttpConnection, session: Session | None) -> None:
        if session is not None:
            self._sessions.remove(session)
        self._connections.discard(connection)
        self._flush_due.pop(connection, None)
        self._connection_gauge.add(-1)
        if not self._connections:
            self._is_empty.set()

    def _judged(self, connection: HttpConnection, admitted: Admitted | None, error: Exception | None) -> None:
        try:
            if error is None:
                connection.admitted(admitted)
            elif isinstance(error, TuhonoError):
                connection.refused(error)
            else:
                connection.defective()
        except Exception:  # one connection's, so the task group must not hear of it
            log.exception("http.admission-failed", extra=fields(remote=str(connection.peer.address)))
            self._guard(connection, connection.defective)

    def _flush(self) -> None:
        due, self._flush_due = self._flush_due, {}
        for connection in due:
            self._guard(connection, connection.flush)

    def _guard(self, connection: HttpConnection, step: Callable[[], None]) -> None:
        """A defect in one connection's step costs that connection, and nothing else."""
        try:
            step()
        except Exception:
            log.exception("http.connection-failed", extra=fields(remote=str(connection.peer.address)))
            with suppress(Exception):  # it was told of already
                connection.abort()
