"""Bodies that arrive in blocks (RFC 7959, Block1), put together.

Owns the unfinished bodies and their bounds: how many of one peer, how many at all, how long, and how large.
The oldest makes room for a new one; its sender is told 4.08 at its next block and starts again.
"""

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Generic, TypeVar

from adapters.coap.wire.deadlines import EqualDelays
from adapters.coap.wire.exchanges import Line, WireLimits
from adapters.coap.wire.message import Option, uint
from adapters.coap.wire.numbers import (
    BAD_REQUEST,
    BLOCK1,
    BLOCK2,
    CONTINUE,
    REQUEST_ENTITY_INCOMPLETE,
    REQUEST_ENTITY_TOO_LARGE,
    SIZE1,
)
from adapters.coap.wire.request import Answer, Block, text_answer

K = TypeVar("K")
UploadKey = bytes  # digest of method and options: what all blocks of a body have in common


@dataclass(slots=True, eq=False)
class _Unfinished(Generic[K]):
    line: Line[K]
    key: UploadKey
    body: bytearray = field(default_factory=bytearray)


class Uploads(Generic[K]):
    """Unfinished bodies of every peer."""

    def __init__(self, limits: WireLimits) -> None:
        self._payload_max_bytes = limits.payload_max_bytes
        self._per_peer_max = limits.uploads_per_peer_max
        self._max = limits.uploads_max
        self._idle: EqualDelays[_Unfinished[K]] = EqualDelays(delay_s=limits.upload_lifetime_s)
        self._bodies: dict[Line[K], dict[UploadKey, _Unfinished[K]]] = {}

    def __len__(self) -> int:
        return len(self._idle)

    @property
    def next_due(self) -> float | None:
        return self._idle.next_due

    def too_large(self) -> Answer:
        """4.13 with the size that would do (RFC 7959 2.9.3)."""
        answer = text_answer(REQUEST_ENTITY_TOO_LARGE, "request body too large")
        return answer.with_option(SIZE1, uint(self._payload_max_bytes))

    def take(
        self, line: Line[K], method: int, options: Sequence[Option], block: Block, payload: bytes, now: float
    ) -> bytes | Answer:
        """The whole body if this was its last block, else what to answer: 2.31, 4.00, 4.08 or 4.13."""
        if len(payload) != block.size_bytes if block.more else len(payload) > block.size_bytes:
            return text_answer(BAD_REQUEST, "payload does not fill its block")
        key = upload_key(method, options)
        unfinished = self._resume(line, key, block)
        if unfinished is None:
            return text_answer(REQUEST_ENTITY_INCOMPLETE, "a block before this one is missing")
        announced = _announced_bytes(options) if block.number == 0 else 0
        if max(announced, len(unfinished.body) + len(payload)) > self._payload_max_bytes:
            return self.too_large()
        unfinished.body += payload
        if not block.more:
            return bytes(unfinished.body)
        self._keep(unfinished, now)
        return Answer(CONTINUE, ((BLOCK1, block.rendered()),))

    def expire(self, now: float) -> None:
        for unfinished in self._idle.take_due(now):
            self._drop(unfinished)

    def forget_all_of(self, line: Line[K]) -> None:
        for unfinished in self._bodies.pop(line, {}).values():
            self._idle.pop(unfinished, None)

    def _resume(self, line: Line[K], key: UploadKey, block: Block) -> _Unfinished[K] | None:
        """The body this block goes on with, taken out of here: only a block that fits puts it back."""
        unfinished = self._bodies.get(line, {}).get(key)
        if unfinished is not None:
            self._idle.pop(unfinished, None)
            self._drop(unfinished)
        if block.number == 0:
            return _Unfinished(line, key)
        if unfinished is None or len(unfinished.body) != block.number * block.size_bytes:
            return None
        return unfinished

    def _keep(self, unfinished: _Unfinished[K], now: float) -> None:
        bodies = self._bodies.setdefault(unfinished.line, {})
        if len(bodies) >= self._per_peer_max:
            oldest = next(iter(bodies.values()))
            self._idle.pop(oldest, None)
            self._drop(oldest)
        elif len(self._idle) >= self._max:
            self._drop(self._idle.take_oldest())
        self._bodies.setdefault(unfinished.line, {})[unfinished.key] = unfinished
        self._idle[unfinished] = now + self._idle.delay_s

    def _drop(self, unfinished: _Unfinished[K]) -> None:
        bodies = self._bodies[unfinished.line]
        del bodies[unfinished.key]
        if not bodies:
            del self._bodies[unfinished.line]


def upload_key(method: int, options: Sequence[Option]) -> UploadKey:
    """The same for all blocks of a body, and of one size whatever the options hold: a peer chooses their values."""
    digest = hashlib.sha256(bytes((method,)))
    for number, value in options:
        if _names_the_body(number):
            digest.update(number.to_bytes(2, "big") + len(value).to_bytes(4, "big") + value)
    return digest.digest()


def _names_the_body(number: int) -> bool:
    """Whether an option tells bodies apart: all do but the blocks' own and those no cache key has (RFC 7252 5.4.6)."""
    return number not in (BLOCK1, BLOCK2) and number & 0x1E != 0x1C


def _announced_bytes(options: Sequence[Option]) -> int:
    """The size the sender announces for the whole body; 0 when it does not."""
    return next((int.from_bytes(value, "big") for number, value in options if number == SIZE1), 0)
