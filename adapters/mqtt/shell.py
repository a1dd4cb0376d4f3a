"""The path of messages over one MQTT connection: bytes to packets, packets to uploads, and what became of them back.

Leaves the rules of MQTT to wire/, the meaning of topics to topics.py, who is at the other end and how it all
ends to life.py, and what no connection does alone to adapter.py.

A message is acknowledged from the callback that says it is kept, nowhere else. What a batch of callbacks
has to say to one device is written at once, at the end of the batch. No packet is taken while admission
is out or too much is unacknowledged: what one read brought waits in the decoder, all else in the peer.
"""

from __future__ import annotations

import logging
from functools import partial
from typing import TYPE_CHECKING

from adapters.admission.admission import Admitted
from adapters.edge.ports import Stream
from adapters.mqtt import refusals, subscriptions
from adapters.mqtt.life import ConnectionLife
from adapters.mqtt.wire import packets, reasons
from adapters.mqtt.wire.connection import Connection
from adapters.mqtt.wire.decoder import PacketDecoder
from adapters.mqtt.wire.effects import UNANSWERED, Admit, Delivery, Effect, Goodbye, Send
from adapters.mqtt.wire.errors import WireFault
from adapters.sessions.session import Session
from kernel.errors import TuhonoError

if TYPE_CHECKING:
    from adapters.mqtt.adapter import MqttAdapter

log = logging.getLogger(__name__)


class MqttShell:
    """The StreamHandler of one connection. An idle one has no task, no timer and no buffer."""

    __slots__ = ("_adapter", "_connection", "_decoder", "_is_paused", "_is_pumping", "is_flush_due", "life")

    def __init__(self, adapter: MqttAdapter) -> None:
        limits = adapter.limits
        self._adapter = adapter
        self._connection = Connection(limits, adapter.clock.monotonic())
        self._decoder = PacketDecoder(
            remaining_max_bytes=limits.remaining_max_bytes, connect_max_bytes=limits.connect_max_bytes
        )
        self._is_paused = False
        self._is_pumping = False
        self.is_flush_due = False  # the adapter's own
        self.life = ConnectionLife(adapter, self._connection)

    # What the stream calls

    def connected(self, stream: Stream) -> None:
        self.life.begin(stream)

    def received(self, data: bytes) -> None:
        stream = self.life.stream
        if stream is None:
            return
        decoder = self._decoder
        decoder.feed(data)
        self._pump()
        if decoder.held_bytes and not self._is_paused and not self._takes_packets and self.life.stream is not None:
            self._is_paused = True
            stream.pause_reading()

    def ended(self) -> bool:
        """Stay for what was sent and is not yet taken or kept: right behind CONNECT [MQTT-3.1.4], or faster than
        messages are kept."""
        if self._decoder.held_bytes and self._takes_packets:
            self._pump()
        return self.life.ended(has_more=self._decoder.held_bytes > 0)

    def lost(self, fault: Exception | None) -> None:
        self.life.lost(fault)

    # What the adapter and admission call

    def flush(self) -> None:
        """Write what the callbacks of this turn have to say, and take packets again if they made room; where no
        more will come and all is kept, close."""
        self.is_flush_due = False
        life = self.life
        life.write_out()
        if not (self._decoder.held_bytes or self._is_paused or life.has_ended):
            return
        stream = life.stream
        if stream is None or not self._takes_packets:
            return
        if self._decoder.held_bytes:
            self._pump()
        if self._is_paused and self._takes_packets:
            self._is_paused = False
            stream.resume_reading()
        if life.has_ended and not life.outstanding:
            life.hang_up("closed-by-peer")

    def judged(self, admitted: Admitted | None, error: Exception | None) -> None:
        """The verdict of admission; ignored where the connection did not wait for it."""
        life = self.life
        if not life.is_admitting:
            return
        try:
            if error is not None:
                life.refuse(error)
            elif life.accept(admitted):
                self.flush()
        except Exception:
            log.exception("connection.failed", extra=life.facts())
            life.abort()

    # Packets

    @property
    def _takes_packets(self) -> bool:
        return self._connection.room > 0 and not self.life.is_deaf

    def _pump(self) -> None:
        """Take packets until there are none, or none may be taken; then write what they gave rise to."""
        connection = self._connection
        decoder = self._decoder
        life = self.life
        now = self._adapter.clock.monotonic()
        self._is_pumping = True
        try:
            while decoder.held_bytes and not life.is_deaf:
                room = connection.room
                packet = decoder.next_packet(room) if room else None
                if packet is None:
                    break
                effect = connection.receive(packet, now)
                if type(effect) is Delivery:
                    self._deliver(effect)
                else:
                    self._carry_out(effect)
        except WireFault as fault:
            life.fail(fault)
        except Exception:
            log.exception("connection.failed", extra=life.facts())
            life.close(reasons.UNSPECIFIED_ERROR, TuhonoError.told, TuhonoError.code)
        finally:
            self._is_pumping = False
        if life.out:
            life.write_out()

    def _carry_out(self, effect: Effect) -> None:
        life = self.life
        if isinstance(effect, Send):
            life.out.append(effect.data)
        elif isinstance(effect, Admit):
            life.ask_admission(effect.connect, self.judged)
        elif isinstance(effect, packets.Subscribe):
            codes = subscriptions.decide(effect.filters)
            life.out.append(self._connection.answer_subscribe(effect.packet_id, codes))
        elif isinstance(effect, packets.Unsubscribe):
            codes = subscriptions.undo(effect.topic_filters)
            life.out.append(self._connection.answer_unsubscribe(effect.packet_id, codes))
        elif isinstance(effect, Goodbye):
            life.hang_up("disconnected")

    # Messages

    def _deliver(self, delivery: Delivery) -> None:
        adapter = self._adapter
        session = self.life.session
        publish = delivery.publish
        assert session is not None
        try:
            head = adapter.topics.head(publish)
        except TuhonoError as error:
            self._delivered(delivery, error)
            return
        adapter.uplink.submit(session, head, publish.payloads, partial(self._delivered, delivery))

    def _delivered(self, delivery: Delivery, error: TuhonoError | None) -> None:
        """The engine holds the messages, or never will. Nothing where the connection is gone meanwhile."""
        life = self.life
        session = life.session
        if session is None:
            return
        if error is None:
            due = self._connection.settle(delivery, reasons.SUCCESS)
        else:
            due = self._undelivered(delivery, error, session)
        if due:
            life.out.append(due)
        if not self._is_pumping and not self.is_flush_due:
            self._adapter.flush_soon(self)

    def _undelivered(self, delivery: Delivery, error: TuhonoError, session: Session) -> bytes:
        """Close, acknowledge or say nothing, as hono-adapters 2.3 has it."""
        publish = delivery.publish
        then = refusals.after_failure(error, self._adapter.topics.understand(publish.topic), session)
        if publish.qos == 2:  # no PUBREC can be given: what would follow breaks the protocol
            then = refusals.CLOSE
        level = logging.INFO if then == refusals.CLOSE else logging.DEBUG  # a device may fail like this for years
        facts = self.life.facts(code=error.code, topic=publish.topic, messages=delivery.count, then=then)
        log.log(level, "message.refused", extra=facts)
        if then == refusals.CLOSE:
            self.life.close(refusals.publish_reason(error), error.told, error.code)
            return b""
        if then == refusals.ACKNOWLEDGE:
            return self._connection.settle(delivery, reasons.UNSPECIFIED_ERROR, error.told)
        return self._connection.settle(delivery, UNANSWERED)
