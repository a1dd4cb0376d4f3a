"""Refusals that only a request over HTTP can give rise to; what is wrong with its bytes stands in wire/faults."""

from kernel.errors import Malformed, NotFound, Unavailable


class PathMalformed(Malformed):
    """The path's percent-encoding is broken, or hides bytes that are no text."""

    code = "http-path-malformed"
    told = "malformed request URI"


class QosLevelUnsupported(Malformed):
    """The QoS-Level header is neither 0 nor 1, or 0 for an event."""

    code = "http-qos-level-unsupported"
    told = "unsupported QoS-Level header value"


class DeviceMissing(NotFound):
    """The path names no device, and no authenticated device stands in for it."""

    code = "http-device-missing"
    told = "request URI must contain device ID"


class TenantMissing(NotFound):
    """The path names no tenant, and no authenticated device stands in for it."""

    code = "http-tenant-missing"
    told = "request URI must contain tenant ID"


class AdmissionOverdue(Unavailable):
    """Whether the device may upload was not known in time."""

    code = "http-admission-overdue"
