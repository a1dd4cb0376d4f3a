"""What requests say but for message id, token and payload: read once, and known again by its bytes.

A device sends the same path and format for ever, so what was found out of them is shared by all its requests, and by
those of other devices that say the same. Nothing here depends on who sends it.
"""

from typing import Any, Final

from adapters.coap.wire.message import Message
from adapters.coap.wire.numbers import CON, EMPTY
from adapters.coap.wire.request import Answer, Asked, read_options

HEADS_MAX = 1024  # known again, over all peers; beside them each peer's line holds on to its own last one
HEAD_MAX_BYTES = 256  # of options, for a head to be known again


class Head:
    """One method, message type and set of options. `plan` is what the adapter made of it; nobody else looks at it."""

    __slots__ = (
        "block1",
        "content_format",
        "elective",
        "has_payload",
        "is_confirmable",
        "is_lasting",
        "method",
        "options",
        "path",
        "plan",
        "query",
    )

    def __init__(self, message: Message, asked: Asked, options: bytes) -> None:
        self.method = message.code
        self.is_confirmable = message.type == CON
        self.path = asked.path
        self.query = asked.query
        self.content_format = asked.content_format
        self.elective = asked.elective  # numbers of the options present that may be ignored
        self.block1 = asked.block1
        self.options = options  # as they came, with the marker where a payload follows
        self.has_payload = bool(message.payload)
        self.is_lasting = asked.block1 is None and len(options) <= HEAD_MAX_BYTES
        self.plan: Any = None


UNREAD: Final = Head(Message(CON, EMPTY, 0, b"", (), b""), Asked((), (), None, None, frozenset()), b"")


class Heads:
    """The heads seen lately."""

    def __init__(self) -> None:
        self._known: dict[tuple[int, int, bytes], Head] = {}

    def __len__(self) -> int:
        return len(self._known)

    def read(self, message: Message, options: bytes) -> Head | Answer:
        """The head of a request, or the answer that its options call for. `options` as in Head."""
        key = (message.type, message.code, options)
        head = self._known.get(key)
        if head is None:
            asked = read_options(message.options)
            if isinstance(asked, Answer):
                return asked
            head = Head(message, asked, options)
            if head.is_lasting:
                if len(self._known) >= HEADS_MAX:
                    del self._known[next(iter(self._known))]
                self._known[key] = head
        return head
