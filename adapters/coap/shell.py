"""The CoAP adapter: associations of the edge in, uploads out, answers back.

Owns what only a running loop can do: requests on their way to the uplink and back, one timer for everything that
falls due, the end. Leaves messages to wire/, who a peer is to decisions.py, paths to resources.py, codes to
refusals.py.
"""

import asyncio
import logging
import random
from collections.abc import Callable
from functools import partial

from adapters.admission.admission import Admission
from adapters.coap.conversation import Conversation, Request
from adapters.coap.decisions import Decisions
from adapters.coap.errors import AdapterBusy
from adapters.coap.refusals import answer_to
from adapters.coap.resources import UploadPlan, plan_of
from adapters.coap.wire.endpoint import Endpoint
from adapters.coap.wire.exchanges import Line, WireLimits
from adapters.coap.wire.numbers import spelled
from adapters.coap.wire.request import Answer
from adapters.edge.ports import Association
from adapters.sessions.errors import ShuttingDown
from adapters.sessions.session import Session
from adapters.sessions.table import SessionTable
from adapters.sessions.uplink import Uplink
from conf.coap import CoapSettings
from kernel.clock import Clock
from kernel.errors import TuhonoError, Unauthenticated
from kernel.log import fields
from kernel.meters import Count, Meters

log = logging.getLogger(__name__)
SWEEP_SPACING_S = 0.05  # however much falls due, it is looked at no more often


class CoapAdapter:
    """A DatagramHandler for every peer of the CoAP listeners, secure or not. `run` must be running."""

    def __init__(
        self,
        *,
        settings: CoapSettings,
        admission: Admission,
        sessions: SessionTable,
        uplink: Uplink,
        clock: Clock,
        meters: Meters,
        draw: Callable[[], float] = random.random,
    ) -> None:
        self._waiting_per_peer_max = settings.waiting_per_peer_max
        self._uplink = uplink
        self._clock = clock
        self._meters = meters
        self._decisions = Decisions(
            settings=settings, admission=admission, sessions=sessions, clock=clock, decided=self._decided
        )
        self._endpoint: Endpoint[Conversation] = Endpoint(
            limits=_wire_limits(settings),
            draw=draw,
            answered=self._count,
            repetitions=meters.counter("tuhono_coap_repetitions", "requests received again and recognised"),
            rejections=meters.counter("tuhono_coap_rejections", "datagrams that were no acceptable CoAP message"),
        )
        self._associations = meters.gauge("tuhono_coap_associations", "peers of the CoAP adapter")
        self._exchanges = meters.gauge("tuhono_coap_exchanges", "requests remembered to recognise a repetition")
        self._answers: dict[int, Count] = {}
        self._lines: dict[Association, Line[Conversation]] = {}
        self._timer: asyncio.TimerHandle | None = None
        self._sweep_wait_max_s = min(settings.ack_delay_s or 1.0, 1.0)  # every other delay of the wire is longer
        self._is_draining = False
        self._idle = asyncio.Event()

    async def run(self) -> None:
        """Own the decisions under way, until cancelled. Without it, peers are turned away."""
        try:
            await self._decisions.run()
        finally:
            if self._timer is not None:
                self._timer.cancel()

    async def drain(self, *, within_s: float) -> None:
        """Answer new requests with 5.03 and those under way as ever, until the peers have every answer that is sent
        again, at most for that long; then say goodbye to every peer. The listeners must have stopped accepting."""
        self._is_draining = True
        self._note_idle()
        try:
            async with asyncio.timeout(within_s):
                await self._idle.wait()
        except TimeoutError:
            unanswered, unacknowledged = self._endpoint.unanswered, self._endpoint.unacknowledged
            log.info("coap.drain-cut-short", extra=fields(unanswered=unanswered, unacknowledged=unacknowledged))
        for association in list(self._lines):
            try:
                association.close()
            except Exception:  # the others are to hear goodbye all the same
                log.exception("coap.goodbye-failed", extra=fields(remote=str(association.peer.address)))

    # DatagramHandler

    def opened(self, association: Association) -> None:
        conversation = Conversation(association)
        self._lines[association] = self._endpoint.open(conversation)
        self._associations.add()
        if not self._decisions.is_open or self._is_draining:
            association.close()
        else:
            self._decisions.begin(conversation)
            self._arm(self._clock.monotonic())

    def received(self, association: Association, datagram: bytes) -> None:
        line = self._lines.get(association)
        if line is None:
            return
        now = self._clock.monotonic()
        heard = self._endpoint.receive(line, datagram, now)
        if isinstance(heard, bytes):
            association.send(heard)
        elif heard is not None:
            if heard.replay:
                association.send(heard.replay)
            self._take(heard, line.key)
        if self._timer is None:
            self._arm(now)
        if self._is_draining:
            self._note_idle()

    def closed(self, association: Association) -> None:
        line = self._lines.pop(association, None)
        if line is None:
            return
        self._associations.add(-1)
        self._endpoint.close(line)
        self._decisions.forget(line.key)
        self._note_idle()

    # from requests to answers

    def sweep(self) -> None:
        """Do what is due by now; the adapter's own timer calls it."""
        self._timer = None
        now = self._clock.monotonic()
        for conversation, datagram in self._endpoint.due(now):
            conversation.association.send(datagram)
        self._exchanges.total = self._endpoint.remembered
        self._decisions.put_off(now)
        self._arm(now)
        self._note_idle()

    def _take(self, request: Request, conversation: Conversation) -> None:
        plan = plan_of(request.head)
        if isinstance(plan, Answer):
            self._answer(request, plan)
        elif self._is_draining:
            self._answer(request, answer_to(ShuttingDown()))
        elif conversation.session is not None:
            self._submit(request, plan, conversation.session)
        elif self._decisions.stands(conversation):
            self._tell_refusal(conversation, [request])
        elif not self._decisions.is_open or len(conversation.waiting) >= self._waiting_per_peer_max:
            self._answer(request, answer_to(AdapterBusy()))
        else:
            conversation.waiting.append(request)
            self._decisions.begin(conversation)

    def _submit(self, request: Request, plan: UploadPlan, session: Session) -> None:
        try:
            plan.require(session)
            self._uplink.submit(session, plan.upload, [request.payload], partial(self._done, request, plan))
        except TuhonoError as refusal:
            self._answer(request, answer_to(refusal))
        except Exception:
            log.exception("coap.request-failed", extra=fields(remote=session.remote))
            self._answer(request, answer_to(TuhonoError()))

    def _done(self, request: Request, plan: UploadPlan, refusal: TuhonoError | None) -> None:
        self._answer(request, plan.accepted(self._clock) if refusal is None else answer_to(refusal))

    def _answer(self, request: Request, answer: Answer) -> None:
        now = self._clock.monotonic()
        datagram = self._endpoint.answer(request, answer, now)
        if datagram is not None:
            request.line.key.association.send(datagram)
            if self._timer is None:
                self._arm(now)
        if self._is_draining:
            self._note_idle()

    def _decided(self, conversation: Conversation) -> None:
        """The peer's requests need wait no longer."""
        requests = conversation.take_waiting()
        session = conversation.session
        if session is None:
            self._tell_refusal(conversation, requests)
            return
        for request in requests:
            plan = plan_of(request.head)
            assert isinstance(plan, UploadPlan)  # others do not wait
            self._submit(request, plan, session)

    def _tell_refusal(self, conversation: Conversation, requests: list[Request]) -> None:
        refusal = conversation.refusal
        assert refusal is not None
        for request in requests:
            plan = plan_of(request.head)
            addressed = plan.upload.device if isinstance(plan, UploadPlan) else None
            self._answer(request, answer_to(self._uplink.refusal_of(refusal, addressed)))
        if requests and isinstance(refusal, Unauthenticated):
            conversation.association.close()

    # timer, meters

    def _arm(self, now: float) -> None:
        """See to it that `sweep` comes in time, without asking for each message what is due next.

        While anything is due at all a timer runs, and never for longer than what begins now may take.
        """
        if self._timer is not None:
            return
        moments = (self._endpoint.next_due(), self._decisions.next_due)
        due = min((moment for moment in moments if moment is not None), default=None)
        if due is not None:
            wait_s = max(SWEEP_SPACING_S, min(due - now, self._sweep_wait_max_s))
            self._timer = asyncio.get_running_loop().call_later(wait_s, self.sweep)

    def _note_idle(self) -> None:
        if self._is_draining and self._endpoint.unanswered == 0 and self._endpoint.unacknowledged == 0:
            self._idle.set()

    def _count(self, code: int) -> None:
        meter = self._answers.get(code)
        if meter is None:
            meter = self._meters.counter("tuhono_coap_answers", "answers given, by code", code=spelled(code))
            self._answers[code] = meter
        meter.total += 1


def _wire_limits(settings: CoapSettings) -> WireLimits:
    return WireLimits(
        payload_max_bytes=settings.payload_max_bytes,
        exchanges_per_peer_max=settings.exchanges_per_peer_max,
        exchanges_max=settings.exchanges_max,
        exchange_lifetime_s=settings.exchange_lifetime_s,
        ack_delay_s=settings.ack_delay_s,
        uploads_per_peer_max=settings.uploads_per_peer_max,
        uploads_max=settings.uploads_max,
        upload_lifetime_s=settings.upload_lifetime_s,
    )
