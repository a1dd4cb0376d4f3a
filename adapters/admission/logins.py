"""What a user name and password lead to, by looking only: a device on record, a check that takes time, or a refusal.

The order stands here: tenant, credential, password; and once that is proven, tenant, adapter and device: a stranger
learns nothing of what is switched off. Nobody is ever provisioned by a password.
"""

from base64 import b64decode
from collections.abc import Mapping
from dataclasses import dataclass

from adapters.admission.evidence import Evidence, Login
from adapters.admission.examination import LOOKS_MAX, changing, require_open, settled
from kernel.errors import Refused
from kernel.ids import AUTH_ID_MAX_CHARS, AuthId, TenantId
from registry.credentials import HASHED_PASSWORD
from registry.directory import DeviceDirectory, require_usable
from registry.errors import CredentialUnknown, LoginMalformed, LoginTenantUnknown
from registry.logins import PasswordJudge
from registry.model import Credential, KnownCredential, KnownDevice
from tenant.directory import TenantDirectory
from tenant.login_throttle import network_of


@dataclass(frozen=True, slots=True, kw_only=True)
class Identity:
    """Whom a user name stands for: `auth-id@tenant`, the tenant by id or alias (hono-registry 4.7)."""

    auth_id: AuthId
    tenant: str


@dataclass(slots=True, kw_only=True)
class LoginFinding:
    """Whom a password or another secret proves."""

    known: KnownDevice
    credential_type: str
    auth_id: AuthId
    proof: str  # of the secret, as registry.standing has it


@dataclass(slots=True, kw_only=True)
class Unproven:
    """A password that has to be checked against a credential."""

    credential: Credential
    password: bytes


class LoginExamination:
    """Finds the device behind a user name and password. Changes nothing."""

    def __init__(self, *, tenants: TenantDirectory, devices: DeviceDirectory, passwords: PasswordJudge) -> None:
        self._tenants = tenants
        self._devices = devices
        self._passwords = passwords

    def examine_now(self, login: Login, evidence: Evidence) -> LoginFinding | Unproven:
        """By what any process has committed before it, without waiting.

        Raises Refused; StorageUnavailable also where the registry must be waited for.
        """
        identity, password = read_login(login)
        return settled(self._devices, lambda: self._look(identity, password, evidence))

    async def examine(self, login: Login, evidence: Evidence) -> LoginFinding:
        """The same, waiting for what takes its time. What was found before is looked at again after it."""
        for _ in range(LOOKS_MAX):
            found = self.examine_now(login, evidence)
            if isinstance(found, LoginFinding):
                return found
            await self._passwords.prove(found.credential, found.password, _network_of(evidence))
        raise changing()

    def told_of(self, login: Login) -> tuple[Mapping[str, str], TenantId | None]:
        """What the record of a refusal says of it, never the password; and the tenant, where there is such a one."""
        try:
            identity, _ = read_login(login)
        except Refused:
            return {}, None  # a name that cannot be read may hold anything, the password among it
        tenant = self._tenants.find_named(identity.tenant)
        return {"auth_id": identity.auth_id, "tenant": identity.tenant}, None if tenant is None else tenant.tenant_id

    def _look(self, identity: Identity, password: bytes, evidence: Evidence) -> LoginFinding | Unproven:
        self._tenants.make_up()
        tenant = self._tenants.find_named(identity.tenant)
        if tenant is None:
            raise LoginTenantUnknown(f"no tenant has the id or alias {identity.tenant!r}")
        context = {} if evidence.client_id is None else {"client-id": evidence.client_id}
        found = self._devices.get_credential_now(tenant.tenant_id, HASHED_PASSWORD, identity.auth_id, context=context)
        proof = self._passwords.remembered(found.credential, password, _network_of(evidence))
        if proof is None:
            return Unproven(credential=found.credential, password=password)
        require_open(tenant, evidence.adapter)
        known = known_device(found)
        require_usable(known)
        return LoginFinding(known=known, credential_type=HASHED_PASSWORD, auth_id=identity.auth_id, proof=proof)


def read_login(login: Login) -> tuple[Identity, bytes]:
    """Who is named, and the password. Without a password, the name may be Base64 of `name:password`.

    Raises LoginMalformed; CredentialUnknown for an auth-id longer than any on record.
    """
    name, password = login.user_name, login.password
    if not password:
        name, password = _packed(name) or (name, password)
    auth_id, at, tenant = name.partition("@")
    if not (auth_id and at and tenant):
        raise LoginMalformed("the user name is not of the form auth-id@tenant")
    if len(auth_id) > AUTH_ID_MAX_CHARS:
        raise CredentialUnknown(f"an auth-id of {len(auth_id)} characters; at most {AUTH_ID_MAX_CHARS} are kept")
    return Identity(auth_id=AuthId(auth_id), tenant=tenant), password


def _network_of(evidence: Evidence) -> str:
    return network_of(evidence.peer.address.host)


def _packed(name: str) -> tuple[str, bytes] | None:
    try:
        user, colon, password = b64decode(name, validate=True).partition(b":")
        return (user.decode(), password) if colon else None
    except ValueError:
        return None


def known_device(found: KnownCredential) -> KnownDevice:
    """The same, without its secrets."""
    credential = found.credential
    return KnownDevice(device=found.device, credential_enabled=credential.is_enabled, credential_ext=credential.ext)
