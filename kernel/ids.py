"""The identifiers every room passes around, and how each is spelled.

Owns the NewTypes and the default patterns of hono-registry 1.1.3. A pattern here is a default; the
one in force comes from conf and is handed to whoever creates ids. `.` and `..` never are an id:
they vanish from a URL path before any handler sees them.
"""

import re
import uuid
from typing import NewType

TenantId = NewType("TenantId", str)
DeviceId = NewType("DeviceId", str)
AuthId = NewType("AuthId", str)
AnchorId = NewType("AnchorId", str)

TENANT_ID_PATTERN = r"[a-zA-Z0-9\-_.]+"
DEVICE_ID_PATTERN = r"[a-zA-Z0-9\-_.:=]+"
ID_MAX_CHARS = 256
AUTH_ID_MAX_CHARS = 4096  # as a subject (hono-registry 4.8)


def generate_id() -> str:
    """A random UUID, version 4, 36 lower-case characters."""
    return str(uuid.uuid4())


class IdRule:
    """Which strings may be an id: a full match of one pattern, of bounded length, never a dot segment."""

    def __init__(self, pattern: str, *, max_chars: int = ID_MAX_CHARS) -> None:
        self.pattern = pattern
        self.max_chars = max_chars
        self._compiled = re.compile(pattern)

    def allows(self, candidate: str) -> bool:
        return (
            0 < len(candidate) <= self.max_chars
            and candidate not in {".", ".."}
            and self._compiled.fullmatch(candidate) is not None
        )
