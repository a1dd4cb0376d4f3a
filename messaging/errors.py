"""What the message engine may answer instead of keeping or showing a message."""

from kernel.errors import LimitExceeded, TuhonoError, Unavailable


class NorthboundUnavailable(Unavailable):
    """The engine does not hold the message: its backlog is full, or writing failed."""

    code = "northbound-unavailable"


class LogUnavailable(Unavailable):
    """The message log cannot be opened, read or written: locked, damaged, forbidden, or not a log at all."""

    code = "log-unavailable"


class LogTooNew(TuhonoError):
    """A later release wrote the message log; this one would misread it."""

    code = "log-too-new"

    def __init__(self, path: str, found: int, known: int) -> None:
        super().__init__(f"message log {path} has schema {found}, this release knows {known}: use the later release")
        self.found = found
        self.known = known


class LogTooOld(TuhonoError):
    """An earlier release wrote the message log, in a form that is no longer read."""

    code = "log-too-old"

    def __init__(self, path: str, found: int, known: int) -> None:
        super().__init__(
            f"message log {path} has schema {found}, this release knows {known}: read it with the earlier release,"
            " then move it away; another is made at the next start"
        )
        self.found = found
        self.known = known


class TooManyCursors(LimitExceeded):
    """The log remembers as many named consumers as it may, or the name is too long."""

    code = "too-many-cursors"
