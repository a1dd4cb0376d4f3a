"""One MQTT connection: carries bytes between a stream and the protocol, and messages on to the uplink.

Owns the order of what is written and the life of the session. Leaves the rules of MQTT to wire/, the
meaning of topics to topics.py, and what no connection does alone to adapter.py.

A message is acknowledged from the callback that says it is kept, nowhere else. What a batch of callbacks
has to say to one device is written at once, at the end of the batch. No packet is taken while admission
is out or too much is unacknowledged: what one read brought waits in the decoder, all else in the peer.

A device that has said goodbye is heard out: what it sent is taken, however much that is, before the
connection closes; for GOODBYE_S at most.
"""

from __future__ import annotations

import logging
import math
from functools import partial
from typing import TYPE_CHECKING, Final

from adapters.admission.admission import Admitted
from adapters.admission.evidence import Evidence
from adapters.edge.ports import Stream
from adapters.mqtt import refusals, subscriptions
from adapters.mqtt.due import UNSCHEDULED
from adapters.mqtt.topics import Topic, upload_for
from adapters.mqtt.wire import connection as states
from adapters.mqtt.wire import packets, reasons
from adapters.mqtt.wire.connection import Connection
from adapters.mqtt.wire.decoder import PacketDecoder
from adapters.mqtt.wire.effects import UNANSWERED, Admit, Delivery, Effect, Goodbye, Send
from adapters.mqtt.wire.errors import WireFault
from adapters.sessions.errors import SessionTakenOver
from adapters.sessions.session import Session, session_of
from kernel.errors import Refused, TuhonoError
from kernel.ids import generate_id
from kernel.log import fields

if TYPE_CHECKING:
    from adapters.mqtt.adapter import MqttAdapter

log = logging.getLogger(__name__)

ADAPTER: Final = "hono-mqtt"
GOODBYE_S: Final = 30.0  # from the end of what a device sent until all of it is taken and kept


class MqttShell:
    """The StreamHandler of one connection. An idle one has no task, no timer and no buffer."""

    __slots__ = (
        "_adapter", "_closing", "_connection", "_decoder", "_goodbye_by", "_has_ended", "_is_paused", "_is_pumping",
        "_is_retired", "_opened_at", "_out", "_session", "_stream", "client_id", "due_second", "is_flush_due",
    )  # fmt: skip

    def __init__(self, adapter: MqttAdapter) -> None:
        self._adapter = adapter
        self._connection = Connection(adapter.limits, adapter.clock.monotonic())
        self._decoder = PacketDecoder(
            remaining_max_bytes=adapter.limits.remaining_max_bytes, connect_max_bytes=adapter.limits.connect_max_bytes
        )
        self._stream: Stream | None = None  # None before, and once the connection is over for us
        self._closing: Stream | None = None  # over for us, but not lost yet
        self._session: Session | None = None
        self._out: list[bytes] = []
        self._opened_at = 0.0
        self._is_pumping = False
        self._is_paused = False
        self._is_retired = False
        self._has_ended = False  # the device sends no more, and what it sent is not all taken yet
        self._goodbye_by = math.inf  # monotonic; when that must be over
        self.client_id = ""
        self.due_second = UNSCHEDULED
        self.is_flush_due = False

    # What the stream calls

    def connected(self, stream: Stream) -> None:
        self._stream = stream
        self._adapter.opened(self, self._connection.deadline)

    def received(self, data: bytes) -> None:
        stream = self._stream
        if stream is None:
            return
        decoder = self._decoder
        decoder.feed(data)
        self._pump()
        if decoder.held_bytes and not self._is_paused and not self._takes_packets and self._stream is not None:
            self._is_paused = True
            stream.pause_reading()

    def ended(self) -> bool:
        """Stay for what was sent and is not yet taken or kept: right behind CONNECT [MQTT-3.1.4], or faster than
        messages are kept."""
        if self._takes_packets and self._decoder.held_bytes:
            self._pump()
        if self._stream is None:
            return False
        if self._connection.state == states.ADMITTING and self._decoder.held_bytes:
            self._has_ended = True
            return True
        if self.outstanding:
            self._hear_out()
            return True
        self._write_out()
        self._leave("closed-by-peer")
        return False

    def lost(self, fault: Exception | None) -> None:
        self._leave("lost", fault)
        self._closing = None
        self._adapter.gone(self)

    # What the adapter, admission and the session table call

    @property
    def outstanding(self) -> int:
        """Messages handed on whose acknowledgement is still to come."""
        return self._connection.outstanding if self._stream is not None else 0

    def flush(self) -> None:
        """Write what the callbacks of this turn have to say, and take packets again if they made room; where no
        more will come and all is kept, close."""
        self.is_flush_due = False
        self._write_out()
        stream = self._stream
        if stream is None or not self._takes_packets:
            return
        if self._decoder.held_bytes:
            self._pump()
        if self._is_paused and self._takes_packets:
            self._is_paused = False
            stream.resume_reading()
        if self._has_ended and not self.outstanding:
            self._hang_up("closed-by-peer")

    def expire(self, now: float) -> None:
        """The second of its deadline has come: end it, or put it off."""
        if now >= self._goodbye_by:
            self._hang_up("goodbye-overdue")
            return
        if self._has_ended and self._connection.state == states.OPEN:  # it cannot break its silence
            self._adapter.watch(self, self._goodbye_by)
            return
        fault = self._connection.overdue(now)
        if fault is not None:
            self._fail(fault)
        elif self._stream is not None:
            self._adapter.watch(self, self._connection.deadline)

    def retire(self) -> None:
        """Take no more packets, but those of a device that said goodbye: the process is about to stop."""
        self._is_retired = True
        if self._stream is not None:
            self._stream.pause_reading()

    def end(self, error: TuhonoError) -> None:
        """Close, telling the device why where its version can. Who has said goodbye can be no rival."""
        if self._has_ended and isinstance(error, SessionTakenOver):
            return
        if self._connection.state == states.ADMITTING:
            self._refuse(error)
        elif self._stream is not None:
            self._close(refusals.end_reason(error), refusals.told(error), error.code)

    def abort(self) -> None:
        """Close without a word."""
        self._leave("aborted")
        if self._closing is not None:
            self._closing.abort()

    def judged(self, admitted: Admitted | None, error: Exception | None) -> None:
        """The verdict of admission; ignored where the connection did not wait for it."""
        if self._connection.state != states.ADMITTING or self._stream is None:
            return
        try:
            if error is None:
                self._accept(admitted, self._stream)
            else:
                self._refuse(error)
        except Exception:
            log.exception("connection.failed", extra=self._facts())
            self.abort()

    # Packets

    @property
    def _takes_packets(self) -> bool:
        return self._connection.takes_packets and (self._has_ended or not self._is_retired)

    def _pump(self) -> None:
        """Take packets until there are none, or none may be taken; then write what they gave rise to."""
        connection = self._connection
        decoder = self._decoder
        now = self._adapter.clock.monotonic()
        self._is_pumping = True
        try:
            while connection.takes_packets and (self._has_ended or not self._is_retired):
                packet = decoder.next_packet()
                if packet is None:
                    break
                effect = connection.receive(packet, now)
                if type(effect) is Delivery:
                    self._deliver(effect)
                else:
                    self._carry_out(effect)
        except WireFault as fault:
            self._fail(fault)
        except Exception:
            log.exception("connection.failed", extra=self._facts())
            self._close(reasons.UNSPECIFIED_ERROR, TuhonoError.told, TuhonoError.code)
        finally:
            self._is_pumping = False
        self._write_out()

    def _carry_out(self, effect: Effect) -> None:
        if isinstance(effect, Send):
            self._out.append(effect.data)
        elif isinstance(effect, Admit):
            self._admit(effect.connect)
        elif isinstance(effect, packets.Subscribe):
            codes = subscriptions.decide(effect.filters)
            self._out.append(self._connection.answer_subscribe(effect.packet_id, codes))
        elif isinstance(effect, packets.Unsubscribe):
            codes = subscriptions.undo(effect.topic_filters)
            self._out.append(self._connection.answer_unsubscribe(effect.packet_id, codes))
        elif isinstance(effect, Goodbye):
            self._hang_up("disconnected")

    # Admission

    def _admit(self, connect: packets.Connect) -> None:
        assert self._stream is not None
        self.client_id = connect.client_id or generate_id()  # [MQTT-3.1.3-6]
        evidence = Evidence(adapter=ADAPTER, peer=self._stream.peer, client_id=self.client_id)
        try:
            self._adapter.admissions.begin(evidence, self.judged)
        except TuhonoError as refusal:
            self._refuse(refusal)
        else:
            self._adapter.watch(self, self._connection.deadline)

    def _accept(self, admitted: Admitted | None, stream: Stream) -> None:
        connection = self._connection
        assert connection.connect is not None
        is_assigned = not connection.connect.client_id
        session = session_of(admitted, adapter=ADAPTER, remote=str(stream.peer.address))
        session.end = self.end
        self._session = session
        self._opened_at = self._adapter.clock.monotonic()
        self._adapter.joined(self, session, stream.peer)
        self._out.append(connection.accept(self._opened_at, self.client_id if is_assigned else None))
        if log.isEnabledFor(logging.DEBUG):  # admission said at info who came
            log.debug("connection.admitted", extra=self._facts(version=connection.version))
        if connection.state == states.CLOSED:
            self._hang_up("packet-size-too-small")
            return
        if self._has_ended:
            self._hear_out()
        else:
            self._adapter.watch(self, connection.deadline)
        self.flush()

    def _refuse(self, error: Exception) -> None:
        refusal = refusals.connect_refusal(error)
        self._out.append(self._connection.refuse(refusal.v3_code, refusal.reason, refusals.told(error)))
        self._count_refusal(refusal.outcome)
        if not isinstance(error, Refused):  # refusals are admission's to tell
            log.info("connection.refused", extra=self._facts(code=_code(error)))
        self._hang_up(_code(error))

    def _count_refusal(self, outcome: str) -> None:
        if self._stream is not None:
            self._adapter.refused(self._stream.peer, outcome)

    # Messages

    def _deliver(self, delivery: Delivery) -> None:
        publish = delivery.publish
        session = self._session
        topic = self._adapter.topics.understand(publish.topic)
        assert session is not None
        try:
            head = upload_for(topic, publish)
        except TuhonoError as error:
            self._delivered(delivery, topic, error)
            return
        self._adapter.uplink.submit(session, head, [publish.payload], partial(self._delivered, delivery, topic))

    def _delivered(self, delivery: Delivery, topic: Topic, error: TuhonoError | None) -> None:
        """The engine holds the message, or never will. Nothing where the connection is gone meanwhile."""
        session = self._session
        if session is None:
            return
        if error is None:
            due = self._connection.settle(delivery, reasons.SUCCESS)
        else:
            due = self._undelivered(delivery, topic, error, session)
        if due:
            self._out.append(due)
        if not self._is_pumping and not self.is_flush_due:
            self._adapter.flush_soon(self)

    def _undelivered(self, delivery: Delivery, topic: Topic, error: TuhonoError, session: Session) -> bytes:
        """Close, acknowledge or say nothing, as hono-adapters 2.3 has it."""
        then = refusals.after_failure(error, topic, session)
        if delivery.publish.qos == 2:  # no PUBREC can be given: what would follow breaks the protocol
            then = refusals.CLOSE
        level = logging.INFO if then == refusals.CLOSE else logging.DEBUG  # a device may fail like this for years
        log.log(level, "message.refused", extra=self._facts(code=error.code, topic=delivery.publish.topic, then=then))
        if then == refusals.CLOSE:
            self._close(refusals.publish_reason(error), error.told, error.code)
            return b""
        if then == refusals.ACKNOWLEDGE:
            return self._connection.settle(delivery, reasons.UNSPECIFIED_ERROR, error.told)
        return self._connection.settle(delivery, UNANSWERED)

    # The end

    def _hear_out(self) -> None:
        """Stay until what the device sent is taken and kept; `flush` closes then."""
        self._has_ended = True
        self._goodbye_by = self._adapter.clock.monotonic() + GOODBYE_S
        self._adapter.watch(self, self._goodbye_by)

    def _fail(self, fault: WireFault) -> None:
        was = self._connection.state
        self._out.append(self._connection.fail(fault))
        if was == states.ADMITTING or fault.version is not None:
            self._count_refusal(refusals.connect_refusal(fault).outcome)
        log.info("connection.faulted", extra=self._facts(code=fault.code, detail=str(fault)))
        self._hang_up(fault.code)

    def _close(self, reason: int, says: str, cause: str) -> None:
        self._out.append(self._connection.close(reason, says))
        self._hang_up(cause)

    def _hang_up(self, cause: str) -> None:
        """Write what is to be said and close the stream."""
        self._write_out()
        self._leave(cause)
        if self._closing is not None:
            self._closing.close()

    def _leave(self, cause: str, fault: Exception | None = None) -> None:
        """Give up the session and everything held. Safe to repeat."""
        if self._stream is None:
            return
        session = self._session
        if session is not None:
            lasted_s = self._adapter.clock.monotonic() - self._opened_at
            detail = None if fault is None else str(fault)
            log.info("connection.closed", extra=self._facts(cause=cause, detail=detail, lasted_s=round(lasted_s, 3)))
            self._adapter.left(self, session, lasted_s)
            session.end = _nothing
        self._connection.close(reasons.SUCCESS)
        self._closing = self._stream
        self._stream = self._session = None
        self._goodbye_by = math.inf
        self._out.clear()

    def _write_out(self) -> None:
        out = self._out
        if out:
            data = out[0] if len(out) == 1 else b"".join(out)
            out.clear()
            if self._stream is not None and data:
                self._stream.write(data)

    def _facts(self, **facts: object) -> dict[str, object]:
        session = self._session
        return fields(
            remote=None if self._stream is None else str(self._stream.peer.address),
            tenant_id=None if session is None else session.tenant_id,
            device_id=None if session is None else session.device_id,
            client_id=self.client_id or None,
            **facts,
        )


def _code(error: Exception) -> str:
    return error.code if isinstance(error, TuhonoError) else TuhonoError.code


def _nothing(_: TuhonoError) -> None:
    """What is left of `end` once the connection is."""
