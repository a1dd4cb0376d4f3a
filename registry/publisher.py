"""Tells of every change on record, once it is committed: by one process, in the order of commits, at least once.

What was changed is read from the record itself, from a position that is kept there, too: a process that is killed
between a commit and its publication, or a change made while none runs, costs nothing but time. The position moves
only when the engine holds what is before it; what a killed process had published and not noted comes twice.

A change whose record made room before it was published cannot be told: that is said, in the log and as a number.
"""

import asyncio
import logging
from collections import Counter
from collections.abc import Sequence
from contextlib import suppress
from functools import partial

from kernel.clock import Clock
from kernel.errors import TuhonoError, Unavailable
from kernel.log import fields
from kernel.meters import Meters
from messaging.notification import News, Notification
from messaging.ports import NotificationSink
from registry.notifications import RecordedChange, lifecycle_event_of, notifications_of
from registry.ports import Publications
from tenant.directory import TenantDirectory

log = logging.getLogger(__name__)

CHANGES_PER_ROUND_MAX = 500  # read and published together
CHECK_S = 0.2  # between looks for changes
TURN_CHECK_S = 1.0  # between looks whether the process that publishes is gone
RETRY_S = 1.0  # before what could not be published is tried again


class ChangePublisher:
    """Publishes from the event loop; reads in a thread."""

    def __init__(
        self,
        *,
        publications: Publications,
        sink: NotificationSink,
        tenants: TenantDirectory,
        meters: Meters,
        clock: Clock,
        check_s: float = CHECK_S,
    ) -> None:
        self._publications = publications
        self._sink = sink
        self._tenants = tenants
        self._clock = clock
        self._check_s = check_s
        self._meters = meters
        self._lag = meters.gauge(
            "tuhono_notifications_lag_seconds", "age of the oldest change on record that is not published yet"
        )
        self._missed = meters.counter(
            "tuhono_notifications_missed", "changes, at the most, whose record was gone before they were published"
        )
        self._is_failing = False

    async def run(self) -> None:
        """Publish for ever, once it is this process's turn."""
        try:
            has_turn = await self._took_turn()
            while True:
                if not has_turn:
                    await asyncio.sleep(TURN_CHECK_S)
                    has_turn = await self._took_turn()
                else:
                    went_well = await self._published()
                    await asyncio.sleep(self._check_s if went_well else RETRY_S)
        finally:
            self._publications.release()

    async def _took_turn(self) -> bool:
        try:
            return await asyncio.to_thread(self._publications.take_turn)
        except Unavailable as fault:
            self._note(fault)
            return False

    async def _published(self) -> bool:
        """Publish all there is; whether that went well."""
        try:
            while self._publications.may_have_more():
                page = await asyncio.to_thread(self._publications.read, limit=CHANGES_PER_ROUND_MAX)
                if page.missed:
                    self._missed.add(page.missed)
                    log.error("notifications.missed", extra=fields(changes_max=page.missed))
                if page.changes:
                    await self._publish(page.changes)
                await asyncio.to_thread(self._publications.note, page)
        except TuhonoError as fault:
            self._note(fault)
            return False
        self._lag.total = 0.0
        if self._is_failing:
            self._is_failing = False
            log.info("notifications.recovered")
        return True

    async def _publish(self, changes: Sequence[RecordedChange]) -> None:
        """Raises NorthboundUnavailable, StorageUnavailable."""
        self._lag.total = max(0.0, (self._clock.now() - changes[0].moment).total_seconds())
        self._tenants.catch_up()  # whether a tenant wants events, as of now
        news: list[News] = []
        for change in changes:
            news += notifications_of(change)
            event = lifecycle_event_of(change, self._tenants.find(change.tenant_id))
            if event is not None:
                news.append(event)
        kept: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._sink.publish(news, partial(_settle, kept))
        await kept
        for channel, count in Counter(each.channel for each in news if isinstance(each, Notification)).items():
            self._meters.counter(
                "tuhono_notifications_published", "changes of the registry that were told", channel=channel.value
            ).add(count)

    def _note(self, fault: TuhonoError) -> None:
        """Once, not at every attempt."""
        if not self._is_failing:
            self._is_failing = True
            log.warning("notifications.unpublished", extra=fields(code=fault.code, detail=str(fault)))


def _settle(kept: asyncio.Future[None], fault: Unavailable | None) -> None:
    with suppress(asyncio.InvalidStateError):  # the process ends
        if fault is None:
            kept.set_result(None)
        else:
            kept.set_exception(fault)
