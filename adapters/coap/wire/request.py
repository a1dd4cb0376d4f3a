"""What a request's options say, and which of them make it unanswerable.

Owns the rules of RFC 7252 5.4 and 5.10: known and unknown, critical and elective, repeated and overlong
options. Leaves resources and methods to the adapter: a path here is just its segments.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from operator import itemgetter
from typing import NamedTuple

from adapters.coap.wire.message import Option, uint
from adapters.coap.wire.numbers import (
    ACCEPT,
    BAD_OPTION,
    BAD_REQUEST,
    BLOCK1,
    BLOCK2,
    CONTENT_FORMAT,
    PROXY_SCHEME,
    PROXY_URI,
    PROXYING_NOT_SUPPORTED,
    TEXT_PLAIN,
    URI_HOST,
    URI_PATH,
    URI_PORT,
    URI_QUERY,
)

# Critical options understood here: shortest and longest value, and whether the option may repeat.
# Uri-Host and Uri-Port name this server whatever they say; Accept asks nothing of answers without content.
_CRITICAL: dict[int, tuple[int, int, bool]] = {
    URI_HOST: (1, 255, False),
    URI_PORT: (0, 2, False),
    URI_PATH: (0, 255, True),
    URI_QUERY: (0, 255, True),
    ACCEPT: (0, 2, False),
    BLOCK2: (0, 3, False),
    BLOCK1: (0, 3, False),
}
_CONTENT_FORMAT_MAX_BYTES = 2
_BLOCK_EXPONENT_RESERVED = 7


@dataclass(frozen=True, slots=True)
class Answer:
    """What the server says to a request; `options` in ascending order of their numbers."""

    code: int
    options: tuple[Option, ...] = ()
    payload: bytes = b""

    def with_option(self, number: int, value: bytes) -> "Answer":
        """The same answer with one option more, in its place."""
        options = sorted((*self.options, (number, value)), key=itemgetter(0))
        return Answer(self.code, tuple(options), self.payload)


def text_answer(code: int, text: str) -> Answer:
    """A refusal with its diagnostic text, as text/plain (hono-adapters 3.4)."""
    return Answer(code, ((CONTENT_FORMAT, uint(TEXT_PLAIN)),), text.encode())


class Block(NamedTuple):
    """The value of a Block option (RFC 7959 2.2)."""

    number: int
    more: bool
    exponent: int

    @property
    def size_bytes(self) -> int:
        return 1 << (self.exponent + 4)

    def rendered(self) -> bytes:
        return uint(self.number << 4 | self.more << 3 | self.exponent)


class Asked(NamedTuple):
    """What the options ask for. `path` and `query` hold one entry for each option, empty ones included."""

    path: tuple[str, ...]
    query: tuple[str, ...]
    content_format: int | None
    block1: Block | None
    elective: frozenset[int]  # numbers of the other options present that may be ignored


_NONE: frozenset[int] = frozenset()


def read_options(options: Sequence[Option]) -> Asked | Answer:
    """What a request asks for, or the answer its options call for: 4.00, 4.02 or 5.05."""
    path: list[str] = []
    query: list[str] = []
    content_format: int | None = None
    block1: Block | None = None
    elective: list[int] = []
    previous = 0
    for number, value in options:
        if number & 1:  # critical, RFC 7252 5.4.6
            if number in (PROXY_URI, PROXY_SCHEME):
                return Answer(PROXYING_NOT_SUPPORTED)
            if not _is_sound(number, value, repeated=number == previous):
                return _refused(number)
            if number == URI_PATH:
                path.append(value.decode())
            elif number == URI_QUERY:
                query.append(value.decode())
            elif number == BLOCK1:
                block1 = _parse_block(value)
                if block1.exponent == _BLOCK_EXPONENT_RESERVED:
                    return text_answer(BAD_REQUEST, "block size 7 is reserved")
            elif number == BLOCK2 and _parse_block(value).number:
                return text_answer(BAD_REQUEST, "there is no such block")  # no answer here has a second one
        elif number != CONTENT_FORMAT:
            elective.append(number)
        elif content_format is None and len(value) <= _CONTENT_FORMAT_MAX_BYTES:
            content_format = int.from_bytes(value, "big")
        previous = number
    return Asked(tuple(path), tuple(query), content_format, block1, frozenset(elective) if elective else _NONE)


def _is_sound(number: int, value: bytes, *, repeated: bool) -> bool:
    """Whether a critical option is known, not one too many, and of a value it may have (5.4.1 to 5.4.5)."""
    rule = _CRITICAL.get(number)
    if rule is None:
        return False
    shortest, longest, may_repeat = rule
    if not shortest <= len(value) <= longest or (repeated and not may_repeat):
        return False
    if number == URI_PATH and value in (b".", b".."):  # 5.10.1
        return False
    return not may_repeat or _is_text(value)


def _is_text(value: bytes) -> bool:
    if value.isascii():
        return True
    try:
        value.decode()
    except UnicodeDecodeError:
        return False
    return True


def _refused(number: int) -> Answer:
    return text_answer(BAD_OPTION, f"option {number} is not supported, or not with this value")


def _parse_block(value: bytes) -> Block:
    packed = int.from_bytes(value, "big")
    return Block(packed >> 4, bool(packed & 0x08), packed & 0x07)
