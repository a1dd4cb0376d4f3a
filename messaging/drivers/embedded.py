"""The embedded message engine: a durable log in one SQLite file, committed in groups.

`EmbeddedNorthbound` lives on the event loop: `submit` fills a batch there, one batch at a time is with the
writer's thread (embedded_writer.py), and its callbacks run on the loop again, in one turn. The thread
touches nothing of the loop but `call_soon_threadsafe`, once a batch.

A commit costs 70 us of CPU however much is in it, so under load the next one waits for company, as many
bundles as were in flight when the last one ended, and never longer than `group_wait_max_ms`. A bundle
that is alone is committed at once.
"""

import asyncio
import logging
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Final

from conf.messaging import MessagingSettings
from kernel.clock import Clock
from kernel.errors import Unavailable
from kernel.log import fields
from messaging.delivery import call_kept
from messaging.drivers.embedded_records import Form, bytes_of, form_of
from messaging.drivers.embedded_writer import Batch, LogWriter
from messaging.errors import NorthboundUnavailable
from messaging.message import Bundle, Envelope
from messaging.notification import News, bundled
from messaging.ports import Kept

log = logging.getLogger(__name__)

COMPANY_MIN: Final = 3  # with fewer in flight a commit does not wait: there is too little to gain
_NEVER: Final = sys.maxsize


class EmbeddedNorthbound:
    """Keeps messages in a log beside the registry. All methods belong to the event loop's thread.

    At most `pending_max_messages` and `pending_max_bytes` of payloads and bulky envelopes wait to be kept. Beyond, a
    bundle is refused whole, unless nothing waits: one larger than the bound would be refused for ever. A refusal, too,
    comes in its turn, after the callbacks of what was submitted before it; until then it holds its callback only, so
    how many wait is bounded by what each connection may have unanswered.
    """

    def __init__(
        self, *, path: Path, settings: MessagingSettings, clock: Clock, loop: asyncio.AbstractEventLoop
    ) -> None:
        self._settings = settings
        self._loop = loop
        self._writer = LogWriter(path=path, settings=settings, clock=clock, written=self._written)
        self._filling = Batch()
        self._writing: Batch | None = None
        self._room_messages = settings.pending_max_messages
        self._room_bytes = settings.pending_max_bytes
        self._company = 0  # bundles in flight when the last batch ended
        self._act_at = 1  # fill level at which something is to be done; _NEVER while that is under way
        self._planned: asyncio.Handle | None = None  # the hand-over to come
        self._closed: asyncio.Future[None] | None = None

    def start(self) -> None:
        """Open the log, made first where there is none, and start the writer's thread. Blocks for milliseconds.

        Raises LogTooNew, LogTooOld or LogUnavailable.
        """
        self._writer.start()

    def submit(self, bundle: Bundle, kept: Kept) -> None:
        filling = self._filling
        form: Form | None = bundle.envelope.form or self._form(bundle.envelope)
        if form is not None:
            messages = filling.messages + len(bundle.payloads)
            size = filling.size + bundle.payload_bytes + form.bulk
            has_room = (messages <= self._room_messages and size <= self._room_bytes) or self.pending == 0
            if has_room and self._closed is None:
                filling.messages = messages
                filling.size = size
                filling.bundles.append(bundle)
                filling.callbacks.append(kept)
            else:
                self._refuse(kept, "backlog is full" if self._closed is None else "the engine is closed")
        else:
            self._refuse(kept, "the message cannot be written")
        if len(filling.callbacks) >= self._act_at:
            self._plan()

    def publish(self, news: Sequence[News], kept: Kept) -> None:
        """As the port promises: all of it is in one commit. What cannot be written is left out, and said in the log."""
        filling = self._filling
        bundles = [bundle for bundle in bundled(news) if (bundle.envelope.form or self._form(bundle.envelope))]
        messages = filling.messages + sum([len(bundle.payloads) for bundle in bundles])
        size = filling.size + sum([bytes_of(bundle) for bundle in bundles])
        has_room = (messages <= self._room_messages and size <= self._room_bytes) or self.pending == 0
        if has_room and self._closed is None:
            filling.messages = messages
            filling.size = size
            filling.bundles += bundles
            filling.callbacks.append(kept)
        else:
            self._refuse(kept, "backlog is full" if self._closed is None else "the engine is closed")
        if len(filling.callbacks) >= self._act_at:
            self._plan()

    @property
    def pending(self) -> int:
        """Messages submitted, neither kept nor refused yet."""
        return self._filling.messages + (0 if self._writing is None else self._writing.messages)

    @property
    def is_failing(self) -> bool:
        """Whether the last batch could not be written."""
        return self._writer.is_failing

    async def close(self, *, deadline_s: float) -> None:
        """Keep and acknowledge what is pending, refuse what is submitted from now on, end the thread.

        What is not on disk within `deadline_s` is told NorthboundUnavailable, though it may be kept yet.
        """
        if self._closed is not None:
            return
        self._closed = self._loop.create_future()
        if not self._writer.is_running:
            self._abandon()
            return
        ends_s = self._loop.time() + deadline_s
        if self._writing is None:
            self._hand_over()
        try:
            async with asyncio.timeout_at(ends_s):
                await self._closed
        except TimeoutError:
            self._abandon()
        left_s = max(ends_s - self._loop.time(), 0.0)
        if not await self._loop.run_in_executor(None, self._writer.stop, left_s):
            log.error("message-log.close-timed-out", extra=fields(deadline_s=deadline_s))

    def _form(self, envelope: Envelope) -> Form | None:
        """How it is written from now on; None when it cannot be, and then it alone suffers."""
        try:
            form = form_of(envelope)
        except (TypeError, ValueError, RecursionError) as fault:
            log.error("message.unwritable", extra=fields(tenant_id=envelope.tenant_id, reason=str(fault)))
            return None
        envelope.form = form
        return form

    def _refuse(self, kept: Kept, why: str) -> None:
        reason = NorthboundUnavailable(why)
        if self._closed is not None and self._closed.done():
            self._loop.call_soon(call_kept, kept, reason)  # nothing is pending any more, nor ever will be
        else:
            self._filling.refuse(kept, reason)

    def _plan(self) -> None:
        """The writer is idle and the batch has its first message, or all the company it waited for."""
        is_complete = self._planned is not None or len(self._filling.callbacks) >= self._company
        self._cancel_plan()
        wait_s = self._settings.group_wait_max_ms / 1000
        if is_complete or self._company < COMPANY_MIN or wait_s <= 0 or self._closed is not None:
            self._planned = self._loop.call_soon(self._hand_over)  # with whatever else this turn of the loop brings
        else:
            self._act_at = self._company
            self._planned = self._loop.call_later(wait_s, self._hand_over)

    def _cancel_plan(self) -> None:
        self._act_at = _NEVER
        if self._planned is not None:
            self._planned.cancel()
            self._planned = None

    def _hand_over(self) -> None:
        """Give the batch to the writer, which is idle, and begin another."""
        self._cancel_plan()
        batch, self._filling = self._filling, Batch()
        self._writing = batch
        self._room_messages = self._settings.pending_max_messages - batch.messages
        self._room_bytes = self._settings.pending_max_bytes - batch.size
        self._writer.write(batch)

    def _written(self, batch: Batch, reason: Unavailable | None) -> None:
        """In the writer's thread."""
        try:
            self._loop.call_soon_threadsafe(self._settle, batch, reason)
        except RuntimeError:  # the loop is closed: nobody is left to tell
            log.error("message-log.nobody-to-tell", extra=fields(messages=batch.messages))

    def _settle(self, batch: Batch, reason: Unavailable | None) -> None:
        if batch is not self._writing:
            return  # abandoned meanwhile
        self._company = len(batch.callbacks) + len(self._filling.callbacks)
        self._writing = None
        self._room_messages = self._settings.pending_max_messages
        self._room_bytes = self._settings.pending_max_bytes
        _tell(batch, reason)
        if self._filling.callbacks:
            self._plan()
        else:
            self._act_at = 1
            if self._closed is not None and not self._closed.done():
                self._closed.set_result(None)

    def _abandon(self) -> None:
        """Nobody waits for the writer any longer."""
        self._cancel_plan()
        reason = NorthboundUnavailable("the engine was closed before the message was kept")
        batches = [batch for batch in (self._writing, self._filling) if batch is not None]
        self._writing, self._filling = None, Batch()
        if self._closed is not None:
            self._closed.cancel()
        for batch in batches:
            _tell(batch, reason)


def _tell(batch: Batch, reason: Unavailable | None) -> None:
    if not batch.refused:
        for kept in batch.callbacks:
            try:
                kept(reason)
            except Exception:
                log.exception("message.callback-failed")
        return
    for index, kept in enumerate(batch.callbacks):
        call_kept(kept, batch.refused.get(index, reason))
