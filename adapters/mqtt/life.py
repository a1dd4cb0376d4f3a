"""The life of one MQTT connection: who is let in, what is written to it, how long it may be silent, how it ends.

Owns the session and the order of what is written. Leaves packets and messages to shell.py, which has this and
is unknown to it, so that nothing of a connection that is gone waits for a collection.

A device that has said goodbye is heard out: what it sent is taken, however much that is, before the
connection closes; for GOODBYE_S at most.
"""

from __future__ import annotations

import logging
import math
from typing import TYPE_CHECKING, Final

from adapters.admission.admission import Admitted
from adapters.admission.evidence import Evidence, Login
from adapters.edge.ports import Stream
from adapters.mqtt import refusals
from adapters.mqtt.due import UNSCHEDULED
from adapters.mqtt.wire import connection as states
from adapters.mqtt.wire import packets, reasons
from adapters.mqtt.wire.connection import Connection
from adapters.mqtt.wire.errors import WireFault
from adapters.sessions.admissions import Verdict
from adapters.sessions.errors import SessionTakenOver
from adapters.sessions.session import Session, session_of
from kernel.errors import Refused, TuhonoError
from kernel.ids import generate_id
from kernel.log import Event, fields

if TYPE_CHECKING:
    from adapters.mqtt.adapter import MqttAdapter

log = logging.getLogger(__name__)
_CLOSED = Event(
    log, "connection.closed", "remote", "tenant_id", "device_id", "client_id", "cause", "detail", "lasted_s"
)

ADAPTER: Final = "hono-mqtt"
GOODBYE_S: Final = 30.0  # from the end of what a device sent until all of it is taken and kept


class ConnectionLife:
    """From the handshake to the end. What is to be written is appended to `out`, and written by `write_out`."""

    __slots__ = (
        "_adapter", "_closing", "_connection", "_goodbye_by", "_opened_at", "client_id", "due_second", "has_ended",
        "is_deaf", "out", "session", "stream",
    )  # fmt: skip

    def __init__(self, adapter: MqttAdapter, connection: Connection) -> None:
        self._adapter = adapter
        self._connection = connection
        self._closing: Stream | None = None  # over for us, but not lost yet
        self._opened_at = 0.0
        self._goodbye_by = math.inf  # monotonic; when all that a device sent must be taken
        self.stream: Stream | None = None  # None before, and once the connection is over for us
        self.session: Session | None = None
        self.out: list[bytes] = []
        self.has_ended = False  # the device sends no more, and what it sent is not all taken yet
        self.is_deaf = False  # the process is about to stop, and what the device has not said yet is not heard
        self.client_id = ""
        self.due_second = UNSCHEDULED

    # What the shell calls

    def begin(self, stream: Stream) -> None:
        self.stream = stream
        self._adapter.opened(self, self._connection.deadline)

    @property
    def is_admitting(self) -> bool:
        """Whether a verdict of admission is still of use."""
        return self.stream is not None and self._connection.state == states.ADMITTING

    def ask_admission(self, connect: packets.Connect, judged: Verdict) -> None:
        """Have the device judged; refuse it where that cannot be."""
        assert self.stream is not None
        self.client_id = connect.client_id or generate_id()  # [MQTT-3.1.3-6]
        login = None
        if connect.user_name is not None:
            login = Login(user_name=connect.user_name, password=connect.password or b"")
        evidence = Evidence(adapter=ADAPTER, peer=self.stream.peer, client_id=self.client_id, login=login)
        try:
            self._adapter.admissions.begin(evidence, judged)
        except TuhonoError as refusal:
            self.refuse(refusal)
        else:
            self._adapter.watch(self, self._connection.deadline)

    def accept(self, admitted: Admitted | None) -> bool:
        """Let it in: it has a session now, unless it cannot even take the answer. Whether it has."""
        connection, stream = self._connection, self.stream
        assert stream is not None and connection.connect is not None
        is_assigned = not connection.connect.client_id
        session = session_of(admitted, adapter=ADAPTER, remote=str(stream.peer.address))
        session.end = self.end
        self.session = session
        self._opened_at = self._adapter.clock.monotonic()
        self._adapter.joined(self, session, stream.peer)
        self.out.append(connection.accept(self._opened_at, self.client_id if is_assigned else None))
        if log.isEnabledFor(logging.DEBUG):  # admission said at info who came
            log.debug("connection.admitted", extra=self.facts(version=connection.version))
        if connection.state == states.CLOSED:
            self.hang_up("packet-size-too-small")
            return False
        if self.has_ended:
            self._hear_out()
        else:
            self._adapter.watch(self, connection.deadline)
        return True

    def refuse(self, error: Exception) -> None:
        """Answer the CONNECT with why, and close."""
        refusal = refusals.connect_refusal(error)
        self.out.append(self._connection.refuse(refusal.v3_code, refusal.reason, refusals.told(error)))
        self._count_refusal(refusal.outcome)
        if not isinstance(error, Refused):  # refusals are admission's to tell
            log.info("connection.refused", extra=self.facts(code=_code(error)))
        self.hang_up(_code(error))

    def write_out(self) -> None:
        out = self.out
        if out:
            data = out[0] if len(out) == 1 else b"".join(out)
            out.clear()
            if self.stream is not None and data:
                self.stream.write(data)

    def ended(self, *, has_more: bool) -> bool:
        """The device sends no more; whether to stay for what it sent. `has_more`: not all of it was taken."""
        if self.stream is None:
            return False
        if has_more and self._connection.state == states.ADMITTING:
            self.has_ended = True
            return True
        if self.outstanding:
            self._hear_out()
            return True
        self.write_out()
        self._leave("closed-by-peer")
        return False

    def fail(self, fault: WireFault) -> None:
        """The device broke a rule: tell it where it can be told, and close."""
        was = self._connection.state
        self.out.append(self._connection.fail(fault))
        if was == states.ADMITTING or fault.version is not None:
            self._count_refusal(refusals.connect_refusal(fault).outcome)
        log.info("connection.faulted", extra=self.facts(code=fault.code, detail=str(fault)))
        self.hang_up(fault.code)

    def close(self, reason: int, says: str, cause: str) -> None:
        """The connection cannot go on: tell the device where it can be told, and close."""
        self.out.append(self._connection.close(reason, says))
        self.hang_up(cause)

    def hang_up(self, cause: str) -> None:
        """Write what is to be said and close the stream."""
        self.write_out()
        self._leave(cause)
        if self._closing is not None:
            self._closing.close()

    def lost(self, fault: Exception | None) -> None:
        self._leave("lost", fault)
        self._closing = None
        self._adapter.gone(self)

    def facts(self, **facts: object) -> dict[str, object]:
        """Fields for the log, with whose connection it is."""
        session = self.session
        return fields(
            remote=None if self.stream is None else str(self.stream.peer.address),
            tenant_id=None if session is None else session.tenant_id,
            device_id=None if session is None else session.device_id,
            client_id=self.client_id or None,
            **facts,
        )

    # What the adapter and the session table call

    @property
    def outstanding(self) -> int:
        """Messages handed on whose acknowledgement is still to come."""
        return self._connection.outstanding if self.stream is not None else 0

    def expire(self, now: float) -> None:
        """The second of its deadline has come: end it, or put it off."""
        if now >= self._goodbye_by:
            self.hang_up("goodbye-overdue")
            return
        fault = self._connection.overdue(now)
        if fault is not None:
            self.fail(fault)
        elif self.stream is not None:
            self._adapter.watch(self, self._connection.deadline)

    def retire(self) -> None:
        """Take no more packets, but those of a device that said goodbye: the process is about to stop."""
        self.is_deaf = not self.has_ended
        if self.stream is not None:
            self.stream.pause_reading()

    def end(self, error: TuhonoError) -> None:
        """Close, telling the device why where its version can. Who has said goodbye can be no rival."""
        if self.has_ended and isinstance(error, SessionTakenOver):
            return
        if self._connection.state == states.ADMITTING:
            self.refuse(error)
        elif self.stream is not None:
            self.close(refusals.end_reason(error), refusals.told(error), error.code)

    def abort(self) -> None:
        """Close without a word."""
        self._leave("aborted")
        if self._closing is not None:
            self._closing.abort()

    # The end

    def _hear_out(self) -> None:
        """Stay until what the device sent is taken and kept; the shell closes then."""
        self.has_ended = True
        self.is_deaf = False
        self._goodbye_by = self._adapter.clock.monotonic() + GOODBYE_S
        self._adapter.watch(self, self._goodbye_by)

    def _leave(self, cause: str, fault: Exception | None = None) -> None:
        """Give up the session and everything held. Safe to repeat."""
        if self.stream is None:
            return
        session = self.session
        if session is not None:
            lasted_s = self._adapter.clock.monotonic() - self._opened_at
            detail = None if fault is None else str(fault)
            whose = (session.remote, session.tenant_id, session.device_id, self.client_id or None)
            _CLOSED.info(*whose, cause, detail, round(lasted_s, 3))
            self._adapter.left(self, session, lasted_s)
            session.end = _nothing
        self._connection.close(reasons.SUCCESS)
        self._closing = self.stream
        self.stream = self.session = None
        self._goodbye_by = math.inf
        self.out.clear()

    def _count_refusal(self, outcome: str) -> None:
        if self.stream is not None:
            self._adapter.refused(self.stream.peer, outcome)


def _code(error: Exception) -> str:
    return error.code if isinstance(error, TuhonoError) else TuhonoError.code


def _nothing(_: TuhonoError) -> None:
    """What is left of `end` once the connection is."""
