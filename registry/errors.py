"""Refusals that devices, credentials and provisioning give rise to."""

from kernel.errors import Conflict, Forbidden, LimitExceeded, Malformed, NotFound, Unauthenticated, Unavailable
from kernel.ids import DeviceId, TenantId


class DeviceUnknown(NotFound):
    """The tenant has no such device."""

    code = "device-unknown"
    told = "device is disabled or not registered"


class DeviceDisabled(NotFound):
    """The operator switched the device off. Which one is set where the device itself is asking."""

    code = "device-disabled"
    told = "device is disabled or not registered"

    def __init__(
        self, message: str = "", *, tenant_id: TenantId | None = None, device_id: DeviceId | None = None
    ) -> None:
        super().__init__(message)
        self.tenant_id = tenant_id
        self.device_id = device_id


class GatewayNotAuthorized(Forbidden):
    """The gateway is unknown, disabled, or not among those the device is reached through."""

    code = "gateway-not-authorized"
    told = "gateway is disabled or not registered"


class CredentialUnknown(Unauthenticated):
    """Nobody is on record for this auth-id, and no CA provisions whom it names; or the credential is for others."""

    code = "credential-unknown"


class CredentialDisabled(Unauthenticated):
    """The credential is on record and switched off; nothing is provisioned over it."""

    code = "credential-disabled"

    def __init__(self, message: str = "", *, device_id: DeviceId | None = None) -> None:
        super().__init__(message)
        self.device_id = device_id


class AuthIdInvalid(Unauthenticated):
    """What would identify the device is empty or too long: many certificates would be one device."""

    code = "auth-id-invalid"
    told = "malformed credentials"


class AuthIdUnfilled(Unauthenticated):
    """The certificate lacks an attribute that the trust anchor's auth-id template asks for."""

    code = "auth-id-unfilled"
    told = "malformed credentials"


class LoginMalformed(Unauthenticated):
    """What should say who the device is and prove it cannot be read: no `auth-id@tenant`, no Basic scheme."""

    code = "login-malformed"
    told = "malformed credentials"


class LoginTenantUnknown(Unauthenticated):
    """No tenant has the id or alias behind the `@` of a user name."""

    code = "login-tenant-unknown"


class PasswordWrong(Unauthenticated):
    """No secret of the credential that is valid now has this password."""

    code = "password-wrong"

    def __init__(self, message: str = "", *, device_id: DeviceId | None = None) -> None:
        super().__init__(message)
        self.device_id = device_id


class PasswordAttemptsExceeded(LimitExceeded):
    """Too many wrong passwords for one credential; further ones are not looked at for a while."""

    code = "password-attempts-exceeded"
    told = "too many failed attempts"


class PasswordChecksFull(Unavailable):
    """As many passwords as may wait are waiting to be checked."""

    code = "password-checks-full"


class SecretWithdrawn(Unauthenticated):
    """The secret that let a live session in was changed, switched off or removed."""

    code = "secret-withdrawn"
    told = "credentials have changed"


class NotAuthenticated(Unauthenticated):
    """The device showed nothing that proves who it is, where that is required."""

    code = "not-authenticated"


class DeviceIdInvalid(Malformed):
    """A device id, given or made from a template, breaks the pattern in force."""

    code = "device-id-invalid"
    told = "device id does not match the pattern"


class DeviceExists(Conflict):
    """The device id is taken by another device."""

    code = "device-exists"
    told = "device id is taken"


class CredentialTaken(Conflict):
    """Another device of the tenant has a credential of this type and auth-id."""

    code = "credential-taken"


class DeviceLimitReached(Forbidden):
    """The tenant holds as many devices as it may."""

    code = "device-limit-reached"
    told = "tenant's maximum number of devices has been reached"


class DeviceInvalid(Malformed):
    """A member of a device breaks its rule; the message names both."""

    code = "device-invalid"
    told = "malformed device"


class CredentialInvalid(Malformed):
    """A member of a credential breaks its rule; the message names element, member and rule."""

    code = "credential-invalid"
    told = "malformed credentials"


class TooManyFound(Malformed):
    """More devices meet the filters than may be changed together, and by parts it would come out differently."""

    code = "too-many-found"
    told = "too many devices"


class CredentialLimitReached(Forbidden):
    """More credentials than the tenant allows a device."""

    code = "credential-limit-reached"
    told = "maximum number of credentials has been reached"


class ProvisioningWithdrawn(Unauthenticated):
    """Between handshake and registration the tenant, the anchor or its permission went away."""

    code = "provisioning-withdrawn"


class StorageUnavailable(Unavailable):
    """The database did not answer, or too much is waiting for it."""

    code = "storage-unavailable"
