"""What adapters hand to the uplink, as their tests look at it."""

from typing import NamedTuple

from adapters.sessions.session import Session
from adapters.sessions.uplink import UploadHead


class Upload(NamedTuple):
    """One message of those that were submitted together."""

    session: Session
    head: UploadHead
    payload: bytes | None
