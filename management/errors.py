"""Why the management listener does not open, or keeps the certificate it has."""

from kernel.errors import Malformed, Unavailable


class ManagementCertificateUnusable(Malformed):
    """The certificate or key cannot be read, or the two do not belong together."""

    code = "management-certificate-unusable"
    told = "server certificate is unusable"


class ManagementPortUnavailable(Unavailable):
    """The address is not this machine's, or its port is taken."""

    code = "management-port-unavailable"
