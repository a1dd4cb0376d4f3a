"""The life of one connection: when it reads, waits for its sender to be admitted, and how it ends.

What is said over it, request by request, is the dialogue's.

    reading ──► admitting ──► reading ──► closing ──► lingering ──► gone
                (at the first upload, and at each whose Authorization is another; no request is taken meanwhile)

`closing` takes no more requests and waits for the answers under way; `lingering` has sent the last one and
drops what still arrives, because closing on unread bytes would make the peer's TCP discard the answer.

Nothing here owns a timer or a task: `expires_at` is looked at by the adapter's sweep, and admission runs
in the adapter's task group.
"""

import logging
import math
from enum import Enum
from typing import Final

from adapters.admission.admission import Admitted
from adapters.edge.peer import Peer
from adapters.edge.ports import Stream
from adapters.http.dialogue import Dialogue
from adapters.http.errors import AdmissionOverdue
from adapters.http.exchange import Exchange
from adapters.http.listener import Listener
from adapters.http.refusals import ACCEPTED, DEFECT
from adapters.http.requests import Request
from adapters.http.wire.answers import CONTINUE, Answer
from adapters.http.wire.faults import RequestTooSlow
from adapters.http.wire.reader import RequestReader
from adapters.sessions.session import session_of
from kernel.errors import Refused, TuhonoError
from kernel.log import fields

log = logging.getLogger(__name__)

ADAPTER = "hono-http"
LINGER_S: Final = 2.0  # how long a peer that was refused in mid-request may go on sending
LINGER_MAX_BYTES: Final = 1_048_576
HELD_MAX_BYTES: Final = 1_048_576  # received and not looked at yet


class Phase(Enum):
    """Where a connection stands; see the module's first lines."""

    READING = "reading"
    ADMITTING = "admitting"
    CLOSING = "closing"
    LINGERING = "lingering"
    GONE = "gone"  # lost, or closed from here


READING, ADMITTING, CLOSING, LINGERING, GONE = Phase


class HttpConnection:
    """A StreamHandler for HTTP/1."""

    __slots__ = (
        "_dialogue", "_discarded_bytes", "_has_ended", "_is_advancing", "_is_paused", "_listener", "_phase",
        "_reader", "_stream", "expires_at",
    )  # fmt: skip

    _dialogue: Dialogue
    _reader: RequestReader[Request]
    _stream: Stream

    def __init__(self, listener: Listener) -> None:
        self._listener = listener
        self._phase = READING
        self._is_advancing = False
        self._is_paused = False
        self._discarded_bytes = 0
        self._has_ended = False  # the peer sends no more: there is nothing to linger for
        self.expires_at = math.inf  # monotonic

    # What the stream calls

    def connected(self, stream: Stream) -> None:
        self._stream = stream
        self._reader = self._listener.opened(self)
        self._dialogue = Dialogue(self._listener, self, self._reader)
        if self._listener.is_draining:  # its handshake ended behind the last moment to come
            self._close()
        else:
            self._settle()

    def received(self, data: bytes) -> None:
        phase = self._phase
        if phase is READING:
            if not self._is_paused and (request := self._dialogue.find_whole(data)) is not None:
                self._take_whole(request, data)
                return
        elif phase is not ADMITTING:
            self._discard(len(data))
            return
        self._reader.feed(data, self._listener.clock.monotonic())
        if not self._is_paused:
            self._advance()
        elif self._reader.held_bytes > HELD_MAX_BYTES:
            self._stream.abort()

    def ended(self) -> bool:
        """Answer what has come, then close: a client may say goodbye and go on reading."""
        self._has_ended = True
        if self._phase is READING:  # what is read in part stays so, and is not answered
            self._phase = CLOSING
            self._settle()
        return self._phase is CLOSING and not self._dialogue.is_quiet

    def lost(self, fault: Exception | None) -> None:
        self._phase = GONE
        self.expires_at = math.inf
        self._listener.gone(self, self._dialogue.session)

    # What the adapter calls

    @property
    def peer(self) -> Peer:
        return self._stream.peer

    def admitted(self, admitted: Admitted | None) -> None:
        """The peer is this device, or nobody in particular and that will do."""
        if self._phase is not ADMITTING:
            return
        session = session_of(admitted, adapter=ADAPTER, remote=str(self.peer.address))
        session.end = self.end
        if self._dialogue.session is not None:
            self._listener.left(self._dialogue.session)
        self._dialogue.join(session)
        self._phase = READING
        self._listener.joined(session)
        self._advance()

    def refused(self, error: TuhonoError) -> None:
        """The peer may not upload. Told once, then the connection ends, so that the device comes back anew."""
        if self._phase is not ADMITTING:
            return
        self._phase = READING if self._dialogue.refuse_sender(error) else CLOSING
        self._advance()

    def defective(self) -> None:
        """Admission, or what followed it, failed for a reason nobody foresaw."""
        if self._phase is ADMITTING:
            self._conclude(DEFECT)
            self.flush()
        else:
            self._stream.abort()

    def end(self, error: TuhonoError) -> None:
        """Finish the answers under way, tell a request begun why it is not taken, and close."""
        if self._phase is not READING:
            return
        self._phase = CLOSING
        if self._dialogue.partial is not None:
            self._dialogue.decide_partial(self._listener.refusals.answer(error))
        if not self._is_advancing:
            self.flush()

    def retire(self) -> None:
        """Finish the request under way, if there is one, and close."""
        self._dialogue.retires = True
        if self._phase is READING and not self._reader.is_mid_request:
            self._phase = CLOSING
            self.flush()

    def abort(self) -> None:
        self._stream.abort()

    def expire(self) -> None:
        """The moment `expires_at` has passed."""
        if self._phase is READING and self._reader.is_mid_request:
            self._conclude(self._listener.refusals.answer(RequestTooSlow("the request took too long to arrive")))
            self.flush()
        elif self._phase is ADMITTING:
            self._conclude(self._listener.refusals.answer(AdmissionOverdue("no verdict in time")))
            self.flush()
        else:
            self._close()

    def flush(self) -> None:
        """Send what can be sent, and go on reading where that makes room."""
        self._send()
        if self._is_paused and self._phase is READING:
            self._advance()
        else:
            self._settle()

    # What the uplink calls

    def concluded(self, exchange: Exchange, error: TuhonoError | None) -> None:
        if exchange.answer is not None:  # a defect spoke first
            return
        dialogue = self._dialogue
        is_free = self._phase is READING and not self._is_advancing and not self._is_paused
        if is_free and error is None and (accepted := dialogue.accept(exchange)):
            self._stream.write(accepted)
            self._reader.rested(self._listener.clock.monotonic())
            self.expires_at = self._reader.deadline
            return
        dialogue.decide(exchange, ACCEPTED if error is None else self._listener.refusals.answer(error))
        if self._is_advancing or self._phase is GONE:
            return
        if dialogue.is_decided:
            self.flush()
        else:
            self._listener.flush_soon(self)

    # Reading

    def _take_whole(self, request: Request, data: bytes) -> None:
        dialogue = self._dialogue
        self._is_advancing = True
        dialogue.take_whole(request, data)
        self._is_advancing = False
        if dialogue.is_last_taken:
            self._phase = CLOSING
        if not dialogue.is_decided and not dialogue.is_full:
            self.expires_at = math.inf
        else:
            self._send()
            self._settle()

    def _advance(self) -> None:
        """Take requests until bytes, an answer or an admission is wanted; then send what can be sent."""
        self._is_advancing = True
        try:
            while self._takes_request():
                pass
        except Refused as fault:
            log.debug("http.request-refused", extra=fields(code=fault.code, detail=str(fault)))
            self._conclude(self._listener.refusals.answer(fault))
        except Exception:
            log.exception("http.request-failed", extra=fields(remote=str(self.peer.address)))
            self._conclude(DEFECT)
        finally:
            self._is_advancing = False
        self._send()
        self._settle()

    def _takes_request(self) -> bool:
        """Take one request; False when none can be taken for now. Raises what is wrong with its bytes."""
        if self._phase is not READING:
            return False
        dialogue = self._dialogue
        if dialogue.is_full:
            self._send()
            if dialogue.is_full:
                return False
        if not dialogue.take():
            if dialogue.wants_sender:
                self._phase = ADMITTING
                self.expires_at = self._listener.clock.monotonic() + self._listener.admission_deadline_s
                self._listener.admit(self, dialogue.partial)
            return False
        if dialogue.is_last_taken:
            self._phase = CLOSING
        return True

    def _discard(self, count: int) -> None:
        self._discarded_bytes += count
        if self._discarded_bytes <= LINGER_MAX_BYTES or self._phase is GONE:
            return
        if self._phase is LINGERING:
            self._close()
        elif not self._is_paused:
            self._is_paused = True
            self._stream.pause_reading()

    # Answering

    def _conclude(self, answer: Answer) -> None:
        """Answer whatever is being read, and take nothing more."""
        self._phase = CLOSING
        self._dialogue.decide_partial(answer)

    def _send(self) -> None:
        """Write every answer whose turn it is, in one go; after the last one, leave."""
        if self._phase is GONE:
            return
        closes = self._phase is CLOSING
        if ready := self._dialogue.take_ready(last_closes=closes):
            self._stream.write(ready)
            self._reader.rested(self._listener.clock.monotonic())
        if closes and self._dialogue.is_quiet:
            self._leave()

    def _leave(self) -> None:
        if self._has_ended or not self._reader.is_mid_request or self._discarded_bytes > LINGER_MAX_BYTES:
            self._close()
            return
        self._phase = LINGERING
        self.expires_at = self._listener.clock.monotonic() + LINGER_S
        if self._is_paused:
            self._is_paused = False
            self._stream.resume_reading()

    def _close(self) -> None:
        self._phase = GONE
        self.expires_at = math.inf
        self._stream.close()

    def _settle(self) -> None:
        """Read or rest, as far as the queue has room, and say until when."""
        if self._phase is LINGERING or self._phase is GONE:
            return
        dialogue, reader = self._dialogue, self._reader
        is_full = self._phase is READING and dialogue.is_full
        if self._is_paused is not (is_full or self._phase is ADMITTING):
            self._turn()
        if self._phase is ADMITTING:  # which has a moment of its own to end
            return
        if self._phase is not READING or is_full:
            self.expires_at = math.inf
            return
        if dialogue.owes_continue and dialogue.is_quiet:
            dialogue.owes_continue = False
            self._stream.write(CONTINUE)
        self.expires_at = reader.deadline if reader.is_mid_request or dialogue.is_quiet else math.inf

    def _turn(self) -> None:
        """From reading to resting, or back."""
        self._is_paused = not self._is_paused
        if self._is_paused:
            self._stream.pause_reading()
        else:
            self._reader.resumed(self._listener.clock.monotonic())
            self._stream.resume_reading()
