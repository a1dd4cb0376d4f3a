"""What the message engine may answer instead of keeping a message."""

from kernel.errors import Unavailable


class NorthboundUnavailable(Unavailable):
    """The engine does not hold the message: its backlog is full, or writing failed."""

    code = "northbound-unavailable"
