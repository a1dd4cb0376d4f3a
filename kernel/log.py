"""Log fields and the two ways a record is written: for a person, or as one JSON object a line.

An event is named `noun.past-verb`; its facts travel as fields. Payloads, keys, tokens and passwords
are never fields: `fields` refuses the names that would carry them.

Facts come from strangers in part (a subject DN, a topic). Whatever they hold, a record stays one line
(a traceback apart), of bounded length, and sends no control character to a terminal.
"""

import asyncio
import json
import logging
import math
import os
import sys
import time
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any, TextIO

FORBIDDEN_FIELDS = frozenset(
    {"payload", "password", "secret", "token", "key", "private_key", "psk", "authorization", "cookie"}
)
FACT_MAX_CHARS = 4096  # a longer one is cut, and ends in …
INTEGER_MAX_BITS = 1024  # a longer one costs more to spell than it tells
HELD_MAX_S = 0.01
HELD_MAX_CHARS = 8192  # as much as stdio would hold, and write
_ATTRIBUTE = "tuhono_fields"
_ROOT = logging.getLogger()


def fields(**facts: object) -> dict[str, Any]:
    """The `extra` of a log call. Raises ValueError for a name that would carry a secret or a payload."""
    if not FORBIDDEN_FIELDS.isdisjoint(facts):
        raise ValueError(f"never logged: {sorted(FORBIDDEN_FIELDS & facts.keys())}")
    return {_ATTRIBUTE: facts}


_TAKEN = frozenset({"time", "level", "event", "logger", "traceback"})
_quoted = json.encoder.encode_basestring_ascii


class JsonFormatter(logging.Formatter):
    """One JSON object a line, in ASCII: time, level, event, logger, the fields, and a traceback if there is one.

    A field never takes the place of one of the first four. Facts that JSON has no form for are spelled out.
    """

    def format(self, record: logging.LogRecord) -> str:
        parts = [
            f'{{"time": "{_stamp(int(record.created * 1000))}", "level": "{record.levelname.lower()}",'
            f' "event": {_quoted(_message_of(record))}',
            f'"logger": {_quoted(record.name)}',
        ]
        for name, fact in _facts_of(record).items():
            if name not in _TAKEN:
                parts.append(f"{_quoted(name)}: {_as_json(fact)}")
        if record.exc_info:
            parts.append(f'"traceback": {_quoted(self.formatException(record.exc_info))}')
        return (", ".join(parts) + "}").replace("\x7f", "\\u007f")


class JsonOutput(logging.Handler):
    """Writes each record when it comes, with one system call.

    What `write_soon` is given may wait for `HELD_MAX_S` where the last write was less than that ago, to leave with the
    others that come meanwhile: a write is 10 µs between two handshakes. So of a burst of connections, and of nothing
    else, a process that is killed may keep its last words to itself, fewer than a C program that logs with stdio.

    Where standard error is a pipe that does not block and is full, whole records are lost, and no line is cut.
    """

    def __init__(self, stream: TextIO) -> None:
        super().__init__()
        self.setFormatter(JsonFormatter())
        self._stream = stream
        self._descriptor = _descriptor_of(stream)
        self._held: list[str] = []
        self._held_chars = 0
        self._written_at = -math.inf
        self._rest = b""  # of the last line, where it was written in part
        # The one that `handle` takes: a collection of garbage may log while this very thread writes, and would wait
        # for a thread that has the one and wants the other.
        assert self.lock is not None
        self._writing = self.lock

    def emit(self, record: logging.LogRecord) -> None:
        try:
            self.write(self.format(record) + "\n")
        except Exception:
            self.handleError(record)

    def write_soon(self, line: str) -> None:
        """Keep the line back for a moment, if there is a loop on this thread that will see to it; else `write`."""
        if time.monotonic() - self._written_at >= HELD_MAX_S or self._held_chars >= HELD_MAX_CHARS:
            self.write(line)
            return
        try:
            loop = asyncio.get_running_loop()
        except RuntimeError:
            self.write(line)
            return
        with self._writing:
            if not self._held:
                loop.call_later(HELD_MAX_S, self.flush)
            self._held.append(line)
            self._held_chars += len(line)

    def write(self, line: str) -> None:
        """What is held and one whole line, in ASCII. What cannot be written is lost: nowhere is left to say so."""
        with self._writing:
            if self._held:
                line = "".join(self._held) + line
                self._held.clear()
                self._held_chars = 0
            self._written_at = time.monotonic()
            try:
                self._put(line)
            except OSError:
                pass

    def flush(self) -> None:
        """Write what is held. The interpreter does so when it ends, too."""
        if self._held:
            self.write("")

    def _put(self, lines: str) -> None:
        descriptor = self._descriptor
        if descriptor is None:
            self._stream.write(lines)
            self._stream.flush()
            return
        left = self._rest + lines.encode("ascii")
        while left:
            self._rest = left = left[os.write(descriptor, left) :]


class Event:
    """A kind of record that every connection writes: what never changes of it is spelled once, beforehand.

    The same line as `log.info(name, extra=fields(…))` gives, for 3 µs instead of 12: no LogRecord is made where the
    only one to read it is JsonOutput, and it need not be written at once. Anybody else's handler gets the record.
    For what goes well; a refusal is logged as everything else is, and is out when that returns.
    """

    __slots__ = ("_facts", "_log", "_name", "_pieces")

    def __init__(self, log: logging.Logger, name: str, *facts: str) -> None:
        """`facts` are the fields' names. Raises ValueError as `fields` does."""
        fields(**dict.fromkeys(facts))
        if not _TAKEN.isdisjoint(facts):
            raise ValueError(f"every record has these already: {sorted(_TAKEN)}")
        opening = f'", "level": "info", "event": {_quoted(name)}, "logger": {_quoted(log.name)}'
        self._pieces = ['{"time": "', "", opening]  # the time, and each fact, where it is empty
        for fact in facts:
            self._pieces[-1] += f", {_quoted(fact)}: "
            self._pieces += ("", "")
        self._pieces[-1] += "}\n"
        self._log = log
        self._name = name
        self._facts = facts

    def info(self, *values: object) -> None:
        """Write it, with one value for each fact, in their order. Raises ValueError for more or fewer."""
        log = self._log
        if not log.isEnabledFor(logging.INFO):
            return
        handlers = _ROOT.handlers
        output = handlers[0] if len(handlers) == 1 else None
        if type(output) is not JsonOutput:
            log.info(self._name, extra=fields(**dict(zip(self._facts, values, strict=True))))
            return
        said = [
            _quoted(value) if type(value) is str and len(value) <= FACT_MAX_CHARS else _as_json(value)
            for value in values
        ]
        pieces = self._pieces.copy()
        pieces[1] = _stamp(time.time_ns() // 1_000_000)
        pieces[3::2] = said
        output.write_soon("".join(pieces).replace("\x7f", "\\u007f"))


class HumanFormatter(logging.Formatter):
    """Local time, level, event and the fields as name=value; control characters are escaped."""

    def format(self, record: logging.LogRecord) -> str:
        moment = datetime.fromtimestamp(record.created).strftime("%H:%M:%S")
        facts = "".join(f" {name}={_spelled(fact)}" for name, fact in _facts_of(record).items() if fact is not None)
        line = f"{moment} {record.levelname.lower():7} {_escaped(_message_of(record))}{facts}"
        if record.exc_info:
            trace = self.formatException(record.exc_info).split("\n")
            line += "".join("\n  | " + _escaped(part) for part in trace)  # indented: no line passes for a record
        return line


def configure(level: str, *, as_json: bool | None = None) -> None:
    """Send every logger's records to standard error: JSON unless that is a terminal, or as told."""
    logging.logThreads = logging.logProcesses = logging.logMultiprocessing = False  # nobody reads them

    logging._srcfile = None  # as the library's page on optimisation has it: no frames
    handler: logging.Handler
    if (not sys.stderr.isatty()) if as_json is None else as_json:
        handler = JsonOutput(sys.stderr)
    else:
        handler = logging.StreamHandler(sys.stderr)
        handler.setFormatter(HumanFormatter())
    _ROOT.handlers[:] = [handler]
    _ROOT.setLevel(level.upper())


def _descriptor_of(stream: TextIO) -> int | None:
    """Where a stream's text ends up; None for one that is kept in memory."""
    try:
        stream.flush()
        return stream.fileno()
    except (OSError, ValueError):
        return None


_stamped = (-1, "")  # a second, and how it is spelled: the same one for thousands of records


def _stamp(moment_ms: int) -> str:
    """Milliseconds since the epoch, as ISO 8601 has them."""
    global _stamped
    second, millisecond = divmod(moment_ms, 1000)
    known, text = _stamped
    if second != known:
        text = datetime.fromtimestamp(second, UTC).isoformat()[:19]
        _stamped = (second, text)
    return f"{text}.{str(1000 + millisecond)[1:]}+00:00"  # a format of its own would take longer than all the rest


def _as_json(fact: object) -> str:
    """As json.dumps has it; text for everything that is not a finite number, a truth value or nothing."""
    if fact is None:
        return "null"
    if isinstance(fact, bool):
        return "true" if fact else "false"
    if isinstance(fact, int) and fact.bit_length() <= INTEGER_MAX_BITS:
        return int.__repr__(fact)
    if isinstance(fact, float) and math.isfinite(fact):
        return float.__repr__(fact)
    return _quoted(_text_of(fact))


def _facts_of(record: logging.LogRecord) -> Mapping[str, object]:
    facts: Mapping[str, object] = getattr(record, _ATTRIBUTE, {})
    return facts


def _message_of(record: logging.LogRecord) -> str:
    try:
        return _cut(record.getMessage())
    except Exception:  # somebody else's format string does not fit its arguments; the record is worth more
        return _cut(str(record.msg))


def _spelled(fact: object) -> str:
    text = _text_of(fact)
    if text and text.isprintable() and not any(one in text for one in ' "=\\'):
        return text
    return '"' + _escaped(text.replace("\\", "\\\\").replace('"', '\\"')) + '"'


def _text_of(fact: object) -> str:
    try:
        return _cut(str(fact))
    except Exception:  # a fact that cannot be spelled must not cost the record
        return f"<{type(fact).__name__}>"


def _cut(text: str) -> str:
    return text if len(text) <= FACT_MAX_CHARS else text[:FACT_MAX_CHARS] + "…"


def _escaped(text: str) -> str:
    """Everything unprintable as an escape: line ends, ANSI, direction marks, lone surrogates."""
    if text.isprintable():
        return text
    return "".join(one if one.isprintable() else one.encode("unicode_escape").decode() for one in text)
