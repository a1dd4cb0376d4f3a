"""Refusals an upload can meet, whatever protocol it came by; and why a session is ended from this side."""

from kernel.errors import Forbidden, Malformed, Refused, Unavailable


class ForeignTenant(Forbidden):
    """The address names another tenant than the one the device belongs to."""

    code = "foreign-tenant"
    told = "can only publish for device of same tenant"


class AddressIncomplete(Malformed):
    """Who is not authenticated must name tenant and device."""

    code = "address-incomplete"
    told = "unauthenticated client must provide tenant and device ID in message address"


class ContentTypeMissing(Malformed):
    """An empty payload says nothing without a content type (hono-adapters 0.6)."""

    code = "content-type-missing"
    told = "payload is empty and no content type says why"


class ContentTypeMismatch(Malformed):
    """A payload was sent with the content type of the empty notification."""

    code = "content-type-mismatch"

    def __init__(self, content_type: str) -> None:
        super().__init__(f"content type {content_type!r} is for empty payloads only")
        self.told = f"content type [{content_type}] does not match payload"


class TooManyUploadsWaiting(Unavailable):
    """A session has more uploads waiting for a lookup than it may."""

    code = "too-many-uploads-waiting"


class AdmissionsFull(Unavailable):
    """As many devices as the adapter may judge at one time are waiting to be admitted."""

    code = "admissions-full"


class SessionTakenOver(Refused):
    """A newer connection of the same device and client took this one's place."""

    code = "session-taken-over"
    told = "session taken over"


class TrustWithdrawn(Refused):
    """The trust anchor that vouched for this session is gone."""

    code = "trust-withdrawn"
    told = "trust anchor was removed"


class ShuttingDown(Unavailable):
    """The process is ending; the device may connect again at once."""

    code = "shutting-down"
    told = "server is shutting down"


class ChangesMissed(Unavailable):
    """This process cannot know any longer that the session is still allowed; connecting again tells."""

    code = "changes-missed"
