"""Who each peer is: asked when its association opens, so that a new device is registered by connecting.

A refusal stands for `refusal_lifetime_s` and is then looked into again; a peer that is not who it should be reads
4.01 once and is dropped. A decision may take `admission_deadline_s`: from then on, until it is there, requests are
answered with 5.03; so they are where too many decisions are under way. A peer that leaves does not stop its
admission: a device half registered is worse than a decision nobody needs.
"""

import logging
import math
from collections.abc import Callable
from functools import partial

from adapters.admission.admission import Admission, Admitted
from adapters.admission.evidence import Evidence
from adapters.coap.conversation import ADAPTER, Conversation
from adapters.coap.errors import AdmissionOverdue
from adapters.coap.refusals import RETRY_AFTER_S
from adapters.coap.wire.deadlines import EqualDelays
from adapters.sessions.admissions import Admissions
from adapters.sessions.session import session_of
from adapters.sessions.table import SessionTable
from conf.coap import CoapSettings
from kernel.clock import Clock
from kernel.errors import TuhonoError, Unavailable
from kernel.log import fields

log = logging.getLogger(__name__)


class Decisions:
    """Of all peers. `decided` hears of each: the conversation then has a session or a refusal."""

    def __init__(
        self,
        *,
        settings: CoapSettings,
        admission: Admission,
        sessions: SessionTable,
        clock: Clock,
        decided: Callable[[Conversation], None],
    ) -> None:
        self._refusal_lifetime_s = settings.refusal_lifetime_s
        self._admissions = Admissions(admission=admission, admissions_max=settings.admissions_max)
        self._sessions = sessions
        self._clock = clock
        self._tell_decided = decided
        self._undecided: EqualDelays[Conversation] = EqualDelays(delay_s=settings.admission_deadline_s)

    @property
    def is_open(self) -> bool:
        """Whether `run` is running."""
        return self._admissions.is_open

    @property
    def next_due(self) -> float | None:
        return self._undecided.next_due

    async def run(self) -> None:
        """Own the decisions under way, until cancelled."""
        await self._admissions.run()

    def begin(self, conversation: Conversation) -> None:
        """Have it decided, unless it is being decided. Where that cannot begin, that is the decision for now."""
        if conversation.is_being_admitted:
            return
        conversation.is_being_admitted = True
        self._undecided[conversation] = self._clock.monotonic() + self._undecided.delay_s
        evidence = Evidence(adapter=ADAPTER, peer=conversation.association.peer)
        try:
            self._admissions.begin(evidence, partial(self._end, conversation))
        except Unavailable as fault:
            self._end(conversation, None, fault)

    def stands(self, conversation: Conversation) -> bool:
        """Whether the peer is refused and need not be looked into again yet."""
        return conversation.refusal is not None and self._clock.monotonic() < conversation.refused_until

    def put_off(self, now: float) -> None:
        """Where a decision takes too long, requests are told to come again until it is there."""
        for conversation in self._undecided.take_due(now):
            conversation.refusal, conversation.refused_until = AdmissionOverdue(), math.inf
            self._tell_decided(conversation)

    def forget(self, conversation: Conversation) -> None:
        """The peer is gone. What is under way for it goes on, and comes to nothing here."""
        conversation.is_closed = True
        conversation.waiting.clear()
        self._undecided.pop(conversation, None)
        if conversation.session is not None:
            self._sessions.remove(conversation.session)

    def _end(self, conversation: Conversation, admitted: Admitted | None, error: Exception | None) -> None:
        conversation.is_being_admitted = False
        self._undecided.pop(conversation, None)
        if conversation.is_closed:
            return
        try:
            if error is None:
                self._accept(conversation, admitted)
            else:
                self._refuse(conversation, error if isinstance(error, TuhonoError) else TuhonoError())
        except Exception:  # of the requests that waited
            log.exception("coap.decision-failed", extra=fields(remote=str(conversation.association.peer.address)))

    def _accept(self, conversation: Conversation, admitted: Admitted | None) -> None:
        association = conversation.association
        session = session_of(admitted, adapter=ADAPTER, remote=str(association.peer.address))
        session.end = lambda _: association.close()  # there is no word CoAP could say unasked
        conversation.session = session
        self._sessions.add(session)
        self._tell_decided(conversation)

    def _refuse(self, conversation: Conversation, refusal: TuhonoError) -> None:
        lifetime_s = RETRY_AFTER_S if isinstance(refusal, Unavailable) else self._refusal_lifetime_s
        conversation.refusal = refusal
        conversation.refused_until = self._clock.monotonic() + lifetime_s
        self._tell_decided(conversation)
