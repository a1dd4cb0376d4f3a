"""Log fields and the two ways a record is written: for a person, or as one JSON object a line.

An event is named `noun.past-verb`; its facts travel as fields. Payloads, keys, tokens and passwords
are never fields: `fields` refuses the names that would carry them.

Facts come from strangers in part (a subject DN, a topic). Whatever they hold, a record stays one line
(a traceback apart), of bounded length, and sends no control character to a terminal.
"""

import json
import logging
import math
import sys
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any

FORBIDDEN_FIELDS = frozenset(
    {"payload", "password", "secret", "token", "key", "private_key", "psk", "authorization", "cookie"}
)
FACT_MAX_CHARS = 4096  # a longer one is cut, and ends in …
INTEGER_MAX_BITS = 1024  # a longer one costs more to spell than it tells
_ATTRIBUTE = "tuhono_fields"


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
        time = datetime.fromtimestamp(record.created, UTC).isoformat(timespec="milliseconds")
        parts = [
            f'{{"time": "{time}", "level": "{record.levelname.lower()}", "event": {_quoted(_message_of(record))}',
            f'"logger": {_quoted(record.name)}',
        ]
        for name, fact in _facts_of(record).items():
            if name not in _TAKEN:
                parts.append(f"{_quoted(name)}: {_as_json(fact)}")
        if record.exc_info:
            parts.append(f'"traceback": {_quoted(self.formatException(record.exc_info))}')
        return (", ".join(parts) + "}").replace("\x7f", "\\u007f")


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
    handler = logging.StreamHandler(sys.stderr)
    use_json = (not sys.stderr.isatty()) if as_json is None else as_json
    handler.setFormatter(JsonFormatter() if use_json else HumanFormatter())
    root = logging.getLogger()
    root.handlers[:] = [handler]
    root.setLevel(level.upper())


def _as_json(fact: object) -> str:
    """As json.dumps has it; texts, which nearly all facts are, by a shorter way (a record: 6 µs against 13)."""
    plain = _plain(fact)
    return _quoted(plain) if type(plain) is str else json.dumps(plain)


def _facts_of(record: logging.LogRecord) -> Mapping[str, object]:
    facts: Mapping[str, object] = getattr(record, _ATTRIBUTE, {})
    return facts


def _message_of(record: logging.LogRecord) -> str:
    try:
        return _cut(record.getMessage())
    except Exception:  # somebody else's format string does not fit its arguments; the record is worth more
        return _cut(str(record.msg))


def _plain(fact: object) -> object:
    """The fact as JSON can say it; text for everything that is not a number, a truth value or nothing."""
    if fact is None or (isinstance(fact, int) and fact.bit_length() <= INTEGER_MAX_BITS):
        return fact
    if isinstance(fact, float):
        return fact if math.isfinite(fact) else str(fact)
    return _text_of(fact)


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
