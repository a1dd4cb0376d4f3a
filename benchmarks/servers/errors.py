"""Why a server takes no part."""


class ServerMissing(Exception):
    """The machine has no such program. What it is compared in is left out; the rest is measured."""


class ServerFailed(Exception):
    """The program is there and does not serve, or counts other than it should. Nothing it took part in is reported."""
