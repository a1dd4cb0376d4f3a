"""Log fields and the two ways a record is written: for a person, or as one JSON object a line.

An event is named `noun.past-verb`; its facts travel as fields. Payloads, keys, tokens and passwords
are never fields: `fields` refuses the names that would carry them.
"""

import json
import logging
import sys
from datetime import UTC, datetime
from typing import Any

FORBIDDEN_FIELDS = frozenset({"payload", "password", "secret", "token", "key", "private_key"})
_ATTRIBUTE = "tuhono_fields"


def fields(**facts: object) -> dict[str, Any]:
    """The `extra` of a log call. Raises ValueError for a name that would carry a secret or a payload."""
    if not FORBIDDEN_FIELDS.isdisjoint(facts):
        raise ValueError(f"never logged: {sorted(FORBIDDEN_FIELDS & facts.keys())}")
    return {_ATTRIBUTE: facts}


class JsonFormatter(logging.Formatter):
    """One JSON object a line: time, level, event, logger, the fields, and the traceback if there is one."""

    def format(self, record: logging.LogRecord) -> str:
        entry: dict[str, Any] = {
            "time": datetime.fromtimestamp(record.created, UTC).isoformat(timespec="milliseconds"),
            "level": record.levelname.lower(),
            "event": record.getMessage(),
            "logger": record.name,
        }
        entry.update(getattr(record, _ATTRIBUTE, {}))
        if record.exc_info:
            entry["traceback"] = self.formatException(record.exc_info)
        return json.dumps(entry, default=str, ensure_ascii=False)


class HumanFormatter(logging.Formatter):
    """Time, level, event and the fields as name=value; control characters are escaped."""

    def format(self, record: logging.LogRecord) -> str:
        moment = datetime.fromtimestamp(record.created).strftime("%H:%M:%S")
        facts = "".join(
            f" {name}={_spelled(fact)}" for name, fact in getattr(record, _ATTRIBUTE, {}).items() if fact is not None
        )
        line = f"{moment} {record.levelname.lower():7} {record.getMessage()}{facts}"
        if record.exc_info:
            line += "\n" + self.formatException(record.exc_info)
        return line


def _spelled(fact: object) -> str:
    text = str(fact)
    if text.isprintable() and text and " " not in text:
        return text
    return json.dumps(text, ensure_ascii=not text.isprintable())


def configure(level: str, *, as_json: bool | None = None) -> None:
    """Send every logger's records to standard error: JSON unless that is a terminal, or as told."""
    handler = logging.StreamHandler(sys.stderr)
    use_json = (not sys.stderr.isatty()) if as_json is None else as_json
    handler.setFormatter(JsonFormatter() if use_json else HumanFormatter())
    root = logging.getLogger()
    root.handlers[:] = [handler]
    root.setLevel(level.upper())
