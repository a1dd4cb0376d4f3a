"""What is wrong with a request as CoAP sees it, in the words of hono-adapters 3.1."""

from kernel.errors import Forbidden, Malformed, NotFound, Unauthenticated, Unavailable


class EventNotConfirmable(Malformed):
    """An event came in a non-confirmable message."""

    code = "coap-event-not-confirmable"
    told = "event endpoint supports confirmable request messages only"


class DeviceNotAuthenticated(Unauthenticated):
    """An anonymous peer sent as itself; it can only name a device in the path."""

    code = "coap-device-not-authenticated"
    told = "DTLS session does not contain authenticated Device"


class TenantMissing(NotFound):
    """An anonymous peer named no tenant in the path."""

    code = "coap-tenant-missing"
    told = "request URI must contain tenant ID"


class DeviceMissing(NotFound):
    """The path names no device where it must."""

    code = "coap-device-missing"
    told = "request URI must contain device ID"


class ForeignTenant(Forbidden):
    """The path names another tenant than the one the device belongs to."""

    code = "coap-foreign-tenant"
    told = "tenant ID in request URI must match provided credentials"


class AdapterBusy(Unavailable):
    """More requests of a peer wait for the decision who it is than may."""

    code = "coap-adapter-busy"


class AdmissionOverdue(Unavailable):
    """Who the peer is was not decided in time; it still may be."""

    code = "coap-admission-overdue"
