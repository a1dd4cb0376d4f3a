"""What the rooms above need from a message engine."""

from collections.abc import Callable, Sequence
from typing import Protocol

from kernel.errors import Unavailable
from kernel.ids import TenantId
from messaging.message import Bundle, KeptMessage
from messaging.notification import News

Kept = Callable[[Unavailable | None], None]


class Northbound(Protocol):
    """Where device messages leave. `submit` takes a bundle of messages and never blocks.

    `kept` is called once for the whole bundle, on the event loop, when the engine holds all its messages durably,
    or with the reason why it holds none; never before `submit` has returned. Callbacks of one caller fire in the
    order its bundles were submitted. A callback, not a coroutine: a task per message costs more than
    parsing it.
    """

    def submit(self, bundle: Bundle, kept: Kept) -> None: ...


class NotificationSink(Protocol):
    """Where changes of the registry are told. `publish` never blocks.

    `kept` is called once, on the event loop, never before `publish` has returned: with None when the engine holds all
    of it durably and in this order, else with the reason why it holds none, or no more than it began with. Whoever is
    told so publishes the same again.
    """

    def publish(self, news: Sequence[News], kept: Kept) -> None: ...


class MessageLog(Protocol):
    """The kept messages, for applications. Blocking: call it from a thread where a loop runs."""

    def read(self, *, after: int, limit: int, tenant_id: TenantId | None = None) -> Sequence[KeptMessage]:
        """In the order of positions, at most `limit`, those behind position `after`. Expired ones are skipped.

        May return fewer than `limit` to bound the bytes read at once; none only when there is none.
        """
        ...

    def last_position(self) -> int:
        """Of the newest message ever kept, even if it has made room since; 0 when there never was one."""
        ...

    def first_position_since(self, time_ms: int) -> int:
        """The position just before the first message created at or after that time; the last when there is none."""
        ...

    def change_mark(self) -> int:
        """A number that differs from the last answer when messages were kept since; cheap enough to poll."""
        ...

    def cursor(self, name: str) -> int:
        """How far the named consumer has come; 0 when it never said."""
        ...

    def commit_cursor(self, name: str, position: int) -> None:
        """Remember, durably, how far the named consumer has come. Never moves backwards."""
        ...
