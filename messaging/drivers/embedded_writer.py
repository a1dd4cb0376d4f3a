"""The thread that writes the embedded log, one batch at a time.

Owns the writing connection, the positions, and when retention runs. Leaves to embedded.py what a batch is
made of and whom it is reported to. A batch is one transaction: all of it is on disk, or none.
"""

import logging
import math
import sqlite3
import threading
from collections.abc import Callable
from pathlib import Path
from queue import Empty, SimpleQueue
from typing import Final

from conf.messaging import MessagingSettings
from kernel.clock import Clock
from kernel.errors import Unavailable
from kernel.log import fields
from messaging.drivers.embedded_file import LogConnection, Transaction, create_log, open_log_to_write
from messaging.drivers.embedded_records import encode_group, split_into_groups
from messaging.drivers.embedded_retention import drop_older_than, drop_oldest, used_bytes
from messaging.errors import LogTooNew, LogTooOld, LogUnavailable, NorthboundUnavailable
from messaging.message import Bundle
from messaging.ports import Kept

log = logging.getLogger(__name__)

RETENTION_SHARE: Final = 64  # size is looked at after each such share of its bound was written
RETENTION_CHECK_BYTES_MAX: Final = 4_194_304

_EXPECTED = (sqlite3.Error, OSError, LogUnavailable, LogTooNew, LogTooOld)
_NEWEST: Final = "SELECT last_position, newest_ms FROM kept ORDER BY last_position DESC LIMIT 1"
_INSERT: Final = "INSERT INTO kept VALUES (?, ?, ?, ?, ?, ?, ?, ?)"
_INSERT_TENANT: Final = "INSERT INTO kept_by_tenant VALUES (?, ?)"


class Batch:
    """What is committed together: bundles and their callbacks, in order.

    Of a bundle that is refused only the callback is here, to wait for its turn, with its reason in `refused`.
    """

    __slots__ = ("bundles", "callbacks", "messages", "refused", "size")

    def __init__(self) -> None:
        self.bundles: list[Bundle] = []  # every envelope has its form
        self.callbacks: list[Kept] = []
        self.messages = 0  # in all bundles
        self.size = 0  # bytes_of all bundles
        self.refused: dict[int, Unavailable] = {}  # by index of the callback

    def refuse(self, kept: Kept, reason: Unavailable) -> None:
        self.refused[len(self.callbacks)] = reason
        self.callbacks.append(kept)


Written = Callable[[Batch, Unavailable | None], None]


class LogWriter:
    """Writes batches in the order they were handed over. `written` is called in the writer's thread."""

    def __init__(self, *, path: Path, settings: MessagingSettings, clock: Clock, written: Written) -> None:
        self._path = path
        self._settings = settings
        self._clock = clock
        self._written = written
        self._queue: SimpleQueue[Batch | None] = SimpleQueue()
        self._worker = threading.Thread(target=self._run, name="message-log", daemon=True)
        self._connection: LogConnection | None = None
        self._failures = 0  # batches, since the last that was written
        self._retention_due_s = 0.0
        self._used_bytes: float = math.inf  # at the last look
        self._check_bytes = min(settings.retention_max_bytes // RETENTION_SHARE, RETENTION_CHECK_BYTES_MAX)
        self._unchecked_bytes = self._check_bytes  # so that the first look comes at once

    def start(self) -> None:
        """Open the log, made first where there is none, then write. Raises LogTooNew, LogTooOld or LogUnavailable."""
        self._connected()
        self._worker.start()

    def write(self, batch: Batch) -> None:
        self._queue.put(batch)

    @property
    def is_running(self) -> bool:
        return self._worker.is_alive()

    def stop(self, timeout_s: float) -> bool:
        """Write what was handed over, then end the thread. False when it did not end in time."""
        self._queue.put(None)
        self._worker.join(timeout_s)
        return not self.is_running

    def _run(self) -> None:
        while True:
            try:
                batch = self._queue.get(timeout=self._settings.retention_interval_s)
            except Empty:
                self._retain()
                continue
            if batch is None:
                break
            self._written(batch, self._write(batch))
            del batch  # a batch may be large, and the next one late
            self._retain()
        self._disconnect()

    def _write(self, batch: Batch) -> Unavailable | None:
        """None when the batch is on disk, or why it is not."""
        try:
            if batch.bundles:
                self._commit(batch)
        except Exception as fault:
            self._note_failure(fault)
            self._disconnect()
            return NorthboundUnavailable(f"writing failed: {fault}")
        if self._failures:
            log.info("message-log.write-recovered", extra=fields(failed_batches=self._failures))
            self._failures = 0
        return None

    @property
    def is_failing(self) -> bool:
        """Whether the last batch could not be written. Asked from other threads."""
        return self._failures > 0

    def _note_failure(self, fault: Exception) -> None:
        """Once, not for every batch while the disk stays full."""
        self._failures += 1
        if not isinstance(fault, _EXPECTED):
            log.exception("message-log.write-failed")
        elif self._failures == 1:
            log.error("message-log.write-failed", extra=fields(reason=str(fault)))

    def _commit(self, batch: Batch) -> None:
        groups = [encode_group(part) for part in split_into_groups(batch.bundles, batch.messages, batch.size)]
        connection = self._connected()
        kept_ms = self._clock.now_ms()
        with Transaction(connection):
            position, newest_ms = connection.execute(_NEWEST).fetchone() or (0, 0)
            for group in groups:
                position += group.size
                newest_ms = max(newest_ms, group.newest_ms)
                texts = (group.tenants, group.heads, group.bundles)
                connection.execute(_INSERT, (position, group.size, kept_ms, newest_ms, *texts, group.payloads))
                for tenant_id in group.tenant_ids:
                    connection.execute(_INSERT_TENANT, (tenant_id, position))
                self._unchecked_bytes += sum(map(len, texts)) + len(group.payloads)

    def _retain(self) -> None:
        """Make room where it is due. A failure is logged and tried again when it is next due."""
        try:
            if self._unchecked_bytes >= self._check_bytes:
                self._unchecked_bytes = 0
                self._retain_size()
            now_s = self._clock.monotonic()
            if now_s >= self._retention_due_s:
                self._retention_due_s = now_s + self._settings.retention_interval_s
                self._retain_age()
        except Exception as fault:
            log.error("message-log.retention-failed", extra=fields(reason=str(fault)))
            self._disconnect()

    def _retain_size(self) -> None:
        connection = self._connected()
        used = used_bytes(connection)
        while used > self._settings.retention_max_bytes - self._check_bytes:
            if used <= self._used_bytes - self._check_bytes and not self._queue.empty():
                self._unchecked_bytes = self._check_bytes  # devices wait, and it did shrink: go on after their batch
                break
            if not drop_oldest(connection):
                break
            used = used_bytes(connection)
        self._used_bytes = float(used)

    def _retain_age(self) -> None:
        max_age_s = self._settings.retention_max_age_s
        if max_age_s <= 0:
            return
        cutoff_ms = self._clock.now_ms() - int(max_age_s * 1000)
        while drop_older_than(self._connected(), cutoff_ms):
            if not self._queue.empty():
                self._retention_due_s = 0.0  # devices wait: one step a batch until all is gone
                break

    def _connected(self) -> LogConnection:
        if self._connection is None:
            create_log(self._path)
            self._connection = open_log_to_write(self._path, busy_timeout_s=self._settings.busy_timeout_s)
        return self._connection

    def _disconnect(self) -> None:
        connection, self._connection = self._connection, None
        if connection is not None:
            try:
                connection.close()
            except sqlite3.Error as fault:
                log.error("message-log.close-failed", extra=fields(reason=str(fault)))
