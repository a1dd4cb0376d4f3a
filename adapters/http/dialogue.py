"""What is said over one connection: requests cut out of its bytes and handed to the uplink, answers in their order.

Leaves to shell.py whether it may go on: who the peer is, when it must be done, and how the connection ends.

Most requests arrive in one piece with a head known from before: `find_whole` finds those and nothing else. The
rest goes the long way, through the reader and `take`, and means the same.
"""

import logging

from adapters.http.exchange import Asker, Exchange
from adapters.http.listener import Listener
from adapters.http.refusals import ACCEPTED, DEFECT, NO_ROUTE
from adapters.http.requests import Request
from adapters.http.routes import Preflight, UploadPlan
from adapters.http.wire.answers import Answer
from adapters.http.wire.reader import RequestReader
from adapters.sessions.session import Session
from adapters.sessions.uplink import UploadHead
from kernel.errors import Refused, TuhonoError
from kernel.log import fields

log = logging.getLogger(__name__)


class Dialogue:
    """The requests of one connection that were taken, and those being taken. `asker` hears how uploads end."""

    __slots__ = (
        "_asker", "_authorization", "_is_certified", "_known", "_listener", "_open", "_undecided", "is_last_taken",
        "owes_continue", "partial", "reader", "retires", "session",
    )  # fmt: skip

    def __init__(self, listener: Listener, asker: Asker, reader: RequestReader[Request]) -> None:
        self._listener = listener
        self._asker = asker
        self.reader = reader
        self.session: Session | None = None
        self.partial: Request | None = None  # taken in part: its body or its sender is awaited
        self.owes_continue = False
        self.retires = False  # the next request is the last
        self.is_last_taken = False
        self._open: list[Exchange] = []  # taken and not answered, oldest first: pipelined_max, and one fault behind
        self._undecided = 0
        self._known: Request | None = None  # plain, and this session may send it
        self._is_certified = False  # the session is of the connection itself, whatever its requests say of their sender
        self._authorization: bytes | None = None  # what the session's requests say instead

    @property
    def is_quiet(self) -> bool:
        """Whether every request taken has been answered."""
        return not self._open

    @property
    def is_decided(self) -> bool:
        """Whether every request taken can be answered."""
        return self._undecided == 0

    @property
    def is_full(self) -> bool:
        return len(self._open) >= self._listener.pipelined_max

    @property
    def wants_sender(self) -> bool:
        """Whether the request taken in part goes no further until its sender is known."""
        request = self.partial
        return request is not None and isinstance(request.plan, UploadPlan) and not self._is_of_session(request)

    def join(self, session: Session) -> None:
        """The sender of the request taken in part is known, and takes the place of whoever spoke before."""
        self.session = session
        self._is_certified = session.anchor_id is not None
        self._authorization = None if self.partial is None else self.partial.authorization
        self._known = None

    def _is_of_session(self, request: Request) -> bool:
        return self.session is not None and (self._is_certified or request.authorization == self._authorization)

    # Taking requests

    def find_whole(self, data: bytes) -> Request | None:
        """What has just arrived, if it is one request with a head known and the reader holds nothing before it."""
        known = self._known
        if known is None or not self.reader.is_at_rest:
            return None
        if len(data) == known.whole_bytes and data.startswith(known.head):
            return known
        known = self._listener.requests.find(data)
        if known is None or self.session is None or not known.may_come_from(self.session):
            return None
        self._known = known
        return known

    def take_whole(self, request: Request, data: bytes) -> None:
        """Take what `find_whole` found."""
        session, upload = self.session, request.upload
        assert session is not None and upload is not None
        self._upload(self._opened(request), session, upload, data[len(request.head) :])

    def take(self) -> bool:
        """Take one request of the bytes the reader holds; False where one is not complete, or not without a sender.

        Raises what is wrong with its bytes, as a Refused.
        """
        request = self.partial
        if request is None:
            self.partial = request = self.reader.next_head()
            if request is None:
                return False
            self.owes_continue = request.expects_continue
        if isinstance(request.plan, UploadPlan) and not self._is_of_session(request):
            return False
        body = self.reader.next_body()
        if body is None:
            return False
        self.partial = None
        self.owes_continue = False
        self._serve(request, body)
        return True

    def _serve(self, request: Request, body: bytes) -> None:
        exchange = self._opened(request)
        self.is_last_taken = self.retires or not request.keep_alive
        plan = request.plan
        if isinstance(plan, UploadPlan):
            session = self.session
            assert session is not None
            refusal = plan.refusal_for(session)
            if refusal is not None:
                exchange.done(refusal)
                return
            if request.upload is not None and request is not self._known:
                self._known = request
                self._listener.requests.remember(request)
            self._upload(exchange, session, plan.head, body)
        elif isinstance(plan, Preflight):
            self._decide(exchange, self._listener.cors.preflight(plan.kind, plan.origin))
        else:
            self.decide(exchange, NO_ROUTE if plan is None else self._listener.refusals.answer(plan))

    def _upload(self, exchange: Exchange, session: Session, head: UploadHead, body: bytes) -> None:
        try:
            self._listener.uplink.submit(session, head, [body or None], exchange.done)
        except Exception:
            log.exception("http.upload-failed", extra=fields(remote=session.remote, device_id=session.device_id))
            self.is_last_taken = True
            if exchange.answer is None:
                self.decide(exchange, DEFECT)

    def _opened(self, request: Request | None) -> Exchange:
        exchange = Exchange(self._asker, request)
        self._open.append(exchange)
        self._undecided += 1
        return exchange

    # Answering

    def decide(self, exchange: Exchange, answer: Answer) -> None:
        """Settle what a request will be answered, once."""
        request = exchange.request
        if request is not None and request.origin is not None:
            answer = self._listener.cors.dress(answer, request.origin)
        self._decide(exchange, answer)

    def decide_partial(self, answer: Answer) -> None:
        """Settle the answer to the request taken in part, or to one whose head was broken; it goes no further."""
        exchange = self._opened(self.partial)
        self.partial = None
        self.owes_continue = False
        self.decide(exchange, answer)

    def refuse_sender(self, error: TuhonoError) -> bool:
        """Settle the answer to whose sender may not upload; True where the connection may stay.

        It may where the reason is on our side and the body is read: the next upload asks again.
        """
        request = self.partial
        may_stay = False
        if request is not None and isinstance(request.plan, UploadPlan):
            error = self._listener.uplink.refusal_of(error, request.plan.head.device)
            may_stay = not isinstance(error, Refused) and request.keep_alive and not self.retires
        try:
            is_read = self.reader.next_body() is not None
        except Refused:
            is_read = False
        self.decide_partial(self._listener.refusals.answer(error))
        return may_stay and is_read

    def accept(self, exchange: Exchange) -> bytes:
        """The bytes of a 202 for the one request under way, where it is plain and nothing follows it; else none.

        What `decide` and `take_ready` come to for nearly every request, at a third of their cost.
        """
        request = exchange.request
        if request is None or request.upload is None or len(self._open) != 1 or not self.reader.is_at_rest:
            return b""
        exchange.answer = ACCEPTED
        self._open.clear()
        self._undecided = 0
        self._listener.answered(ACCEPTED.status)
        return self._listener.encoder.usual

    def take_ready(self, *, last_closes: bool) -> bytes:
        """The bytes of all answers that no undecided one stands before, taken out of the dialogue.

        With `last_closes` the answer behind which nothing waits announces the end of the connection.
        """
        rendered: list[bytes] = []
        encoder = self._listener.encoder
        waiting = len(self._open)
        for exchange in self._open:
            answer, request = exchange.answer, exchange.request
            if answer is None:
                break
            waiting -= 1
            closes = last_closes and waiting == 0
            if request is None:
                rendered.append(encoder.encode(answer, closes=closes))
            elif answer is ACCEPTED and request.upload is not None and not closes:
                rendered.append(encoder.usual)
            else:
                rendered.append(
                    encoder.encode(
                        answer, closes=closes, is_http_1_0=request.is_http_1_0, omits_body=request.omits_body
                    )
                )
            self._listener.answered(answer.status)
        del self._open[: len(rendered)]
        return rendered[0] if len(rendered) == 1 else b"".join(rendered)

    def _decide(self, exchange: Exchange, answer: Answer) -> None:
        exchange.answer = answer
        self._undecided -= 1
