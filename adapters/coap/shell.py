"""The CoAP adapter: associations of the edge in, uploads out, answers back.

Owns what only a running loop can do: the decision who a peer is, once per association; requests that wait
for it; one timer for everything that falls due. Leaves messages to wire/, paths to resources.py, codes to
refusals.py.

A peer is admitted when its association opens, so that a new device is registered by connecting. A refusal
is answered to each request until `refusal_lifetime_s` is over, and then looked into again; a peer that is
not who it should be reads 4.01 once and is dropped. A decision may take `admission_deadline_s`: from then
on, until it is there, requests are answered with 5.03; so they are where too many decisions are under way. A
peer that leaves does not stop its admission: a device half registered is worse than a decision nobody needs.
"""

import asyncio
import logging
import math
import random
from collections.abc import Callable
from functools import partial

from adapters.admission.admission import Admission, Admitted
from adapters.admission.evidence import Evidence
from adapters.coap.conversation import ADAPTER, Conversation
from adapters.coap.errors import AdapterBusy, AdmissionOverdue, AdmissionsFull
from adapters.coap.refusals import RETRY_AFTER_S, answer_to
from adapters.coap.resources import accepted, device_named, read_upload, refuse_unheard
from adapters.coap.wire.deadlines import EqualDelays
from adapters.coap.wire.endpoint import Effects, Endpoint, Request, Send
from adapters.coap.wire.exchanges import WireLimits
from adapters.coap.wire.numbers import spelled
from adapters.coap.wire.request import Answer
from adapters.edge.ports import Association
from adapters.sessions.errors import ShuttingDown
from adapters.sessions.session import Session, session_of
from adapters.sessions.table import SessionTable
from adapters.sessions.uplink import Uplink
from conf.coap import CoapSettings
from kernel.clock import Clock
from kernel.errors import TuhonoError, Unauthenticated, Unavailable
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
        self._settings = settings
        self._admission = admission
        self._sessions = sessions
        self._uplink = uplink
        self._clock = clock
        self._meters = meters
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
        self._conversations: dict[Association, Conversation] = {}
        self._tasks: asyncio.TaskGroup | None = None
        self._admissions = 0  # under way, for peers still here or not
        self._undecided: EqualDelays[Conversation] = EqualDelays(delay_s=settings.admission_deadline_s)
        self._timer: asyncio.TimerHandle | None = None
        self._sweep_wait_max_s = min(settings.ack_delay_s or 1.0, 1.0)  # every other delay of the wire is longer
        self._is_draining = False
        self._idle = asyncio.Event()

    async def run(self) -> None:
        """Own the decisions under way, until cancelled. Without it, peers are turned away."""
        try:
            async with asyncio.TaskGroup() as tasks:
                self._tasks = tasks
                await asyncio.Event().wait()
        finally:
            self._tasks = None
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
        for association in list(self._conversations):
            try:
                association.close()
            except Exception:  # the others are to hear goodbye all the same
                log.exception("coap.goodbye-failed", extra=fields(remote=str(association.peer.address)))

    # DatagramHandler

    def opened(self, association: Association) -> None:
        conversation = Conversation(association)
        self._conversations[association] = conversation
        self._associations.add()
        self._endpoint.open(conversation)
        if self._tasks is None or self._is_draining:
            association.close()
        else:
            self._begin_admission(conversation, self._tasks)

    def received(self, association: Association, datagram: bytes) -> None:
        conversation = self._conversations.get(association)
        if conversation is None:
            return
        now = self._clock.monotonic()
        self._carry_out(self._endpoint.receive(conversation, datagram, now))
        self._arm(now)
        self._note_idle()

    def closed(self, association: Association) -> None:
        conversation = self._conversations.pop(association, None)
        if conversation is None:
            return
        conversation.is_closed = True
        conversation.waiting.clear()
        self._undecided.discard(conversation)
        self._associations.add(-1)
        self._endpoint.close(conversation)
        if conversation.session is not None:
            self._sessions.remove(conversation.session)
        self._note_idle()

    # from requests to answers

    def sweep(self) -> None:
        """Do what is due by now in the message layer; the adapter's own timer calls it."""
        self._timer = None
        now = self._clock.monotonic()
        self._carry_out(self._endpoint.due(now))
        self._exchanges.total = self._endpoint.remembered
        for conversation in self._undecided.take_due(now):
            self._put_off(conversation)
        self._arm(now)
        self._note_idle()

    def _carry_out(self, effects: Effects[Conversation]) -> None:
        for effect in effects:
            if isinstance(effect, Send):
                effect.key.association.send(effect.datagram)
            else:
                self._take(effect)

    def _take(self, request: Request[Conversation]) -> None:
        conversation = request.exchange.line.key
        unheard = refuse_unheard(request)
        if unheard is not None:
            self._answer(request, unheard)
        elif self._is_draining:
            self._answer(request, answer_to(ShuttingDown()))
        elif conversation.session is not None:
            self._submit(request, conversation.session)
        elif conversation.refusal is not None and self._clock.monotonic() < conversation.refused_until:
            self._tell_refusal(conversation, conversation.refusal, [request])
        elif self._tasks is None or len(conversation.waiting) >= self._settings.waiting_per_peer_max:
            self._answer(request, answer_to(AdapterBusy()))
        else:
            conversation.waiting.append(request)
            self._begin_admission(conversation, self._tasks)

    def _submit(self, request: Request[Conversation], session: Session) -> None:
        try:
            head = read_upload(request, session)
            self._uplink.submit(session, head, [request.payload], partial(self._done, request))
        except TuhonoError as refusal:
            self._answer(request, answer_to(refusal))
        except Exception:
            log.exception("coap.request-failed", extra=fields(remote=session.remote))
            self._answer(request, answer_to(TuhonoError()))

    def _done(self, request: Request[Conversation], refusal: TuhonoError | None) -> None:
        self._answer(request, accepted(request, self._clock) if refusal is None else answer_to(refusal))

    def _answer(self, request: Request[Conversation], answer: Answer) -> None:
        now = self._clock.monotonic()
        effects = self._endpoint.answer(request.exchange, answer, now)
        if effects:
            self._carry_out(effects)
            self._arm(now)
        self._note_idle()

    # who a peer is

    def _begin_admission(self, conversation: Conversation, tasks: asyncio.TaskGroup) -> None:
        if conversation.is_being_admitted:
            return
        if self._admissions >= self._settings.admissions_max:
            self._refuse(conversation, AdmissionsFull())
            return
        conversation.is_being_admitted = True
        self._admissions += 1
        now = self._clock.monotonic()
        self._undecided.add(conversation, now)
        tasks.create_task(self._admit(conversation))
        self._arm(now)

    async def _admit(self, conversation: Conversation) -> None:
        peer = conversation.association.peer
        try:
            admitted = await self._admission.admit(Evidence(adapter=ADAPTER, peer=peer))
        except TuhonoError as refusal:
            self._refuse(conversation, refusal)
        except Exception:
            log.exception("coap.admission-failed", extra=fields(remote=str(peer.address)))
            self._refuse(conversation, TuhonoError())
        else:
            self._accept(conversation, admitted)
        finally:
            self._admissions -= 1

    def _put_off(self, conversation: Conversation) -> None:
        """The decision takes too long: until it is there, requests are told to come again."""
        conversation.refusal = AdmissionOverdue()
        conversation.refused_until = math.inf
        self._tell_refusal(conversation, conversation.refusal, conversation.take_waiting())

    def _accept(self, conversation: Conversation, admitted: Admitted | None) -> None:
        self._note_decided(conversation)
        if conversation.is_closed:
            return
        association = conversation.association
        session = session_of(admitted, adapter=ADAPTER, remote=str(association.peer.address))
        session.end = lambda _: association.close()  # there is no word CoAP could say unasked
        conversation.session = session
        self._sessions.add(session)
        for request in conversation.take_waiting():
            self._submit(request, session)

    def _note_decided(self, conversation: Conversation) -> None:
        conversation.is_being_admitted = False
        self._undecided.discard(conversation)

    def _refuse(self, conversation: Conversation, refusal: TuhonoError) -> None:
        self._note_decided(conversation)
        if conversation.is_closed:
            return
        lifetime_s = RETRY_AFTER_S if isinstance(refusal, Unavailable) else self._settings.refusal_lifetime_s
        conversation.refusal = refusal
        conversation.refused_until = self._clock.monotonic() + lifetime_s
        self._tell_refusal(conversation, refusal, conversation.take_waiting())

    def _tell_refusal(
        self, conversation: Conversation, refusal: TuhonoError, requests: list[Request[Conversation]]
    ) -> None:
        for request in requests:
            self._answer(request, answer_to(self._uplink.refusal_of(refusal, device_named(request))))
        if requests and isinstance(refusal, Unauthenticated):
            conversation.association.close()

    # timer, meters

    def _arm(self, now: float) -> None:
        """See to it that `sweep` comes in time, without asking for each message what is due next.

        While anything is due at all a timer runs, and never for longer than what begins now may take.
        """
        if self._timer is not None:
            return
        moments = (self._endpoint.next_due(), self._undecided.next_due)
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
        meter.add()


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
