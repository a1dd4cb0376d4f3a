"""What makes a measurement worthless. A row that meets one has no figures."""


class LoadFault(Exception):
    """A server did not do what was asked of it; says what it did instead."""


class WrongAnswer(LoadFault):
    """It answered, and not as the protocol has it."""

    def __init__(self, wanted: str, got: bytes) -> None:
        super().__init__(f"wanted {wanted}, got {got[:64]!r}")


class ConnectionLost(LoadFault):
    """It ended a connection that was still needed."""


class Stalled(LoadFault):
    """It fell silent."""

    def __init__(self, unfinished: int, within_s: float) -> None:
        super().__init__(f"{unfinished} devices were not done within {within_s:g} s")
