"""From an upload to the engine, the same for every protocol: addressed, authorised, completed, submitted."""

from collections.abc import Callable
from dataclasses import dataclass

from adapters.sessions.session import Session
from kernel.errors import TuhonoError
from messaging.message import MessageKind

Done = Callable[[TuhonoError | None], None]


@dataclass(frozen=True, slots=True, kw_only=True)
class Upload:
    """What a device asks to be sent on, in the protocol's own terms already decoded.

    `tenant` and `device` are as addressed: None where the topic or path left them out.
    """

    kind: MessageKind
    tenant: str | None
    device: str | None
    qos: int
    payload: bytes | None
    content_type: str | None
    orig_address: str
    ttl_s: int | None = None
    retain: bool = False


class Uplink:
    """Turns uploads into DeviceMessages and hands them to the northbound."""

    def submit(self, session: Session, upload: Upload, done: Done) -> None:
        """Returns at once. `done` is called exactly once on the loop, possibly before this returns for a
        refusal that needs no lookup: with None when the engine holds the message (QoS 0: when it was handed
        over), else with the Refused or Unavailable.

        Uploads of one session reach the engine in the order of the calls.
        """
        raise NotImplementedError
