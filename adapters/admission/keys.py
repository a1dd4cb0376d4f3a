"""Pre-shared keys over DTLS: whose key an identity stands for, and whether who proved it may come in.

An identity is `auth-id@tenant`, as a user name is (hono-registry 4.7). The key is needed inside the handshake, so the
registry is asked there, and looked at again once the handshake has proven the key: seconds may lie in between.

Of several secrets that are valid the first counts, for a handshake can try one only. Who names nobody, or a credential
that is switched off, does not get through the handshake; who holds another key fails in it without a word from us.
"""

import logging
from base64 import b64decode

from adapters.admission.evidence import Evidence, Login
from adapters.admission.examination import require_open, settled
from adapters.admission.logins import LoginFinding, known_device, read_login
from adapters.edge.peer import Address, FoundKey, PeerKey
from kernel.clock import Clock
from kernel.errors import Refused
from kernel.log import fields
from registry.credentials import PSK
from registry.directory import DeviceDirectory, require_usable
from registry.errors import CredentialUnknown, LoginTenantUnknown, SecretWithdrawn, StorageUnavailable
from registry.model import KnownCredential, Secret
from registry.refusals import RefusalRecord
from registry.standing import proof_of
from tenant.directory import TenantDirectory

log = logging.getLogger(__name__)


class KeyExamination:
    """Finds keys and the devices behind them. Changes nothing."""

    def __init__(self, *, tenants: TenantDirectory, devices: DeviceDirectory, clock: Clock) -> None:
        self._tenants = tenants
        self._devices = devices
        self._clock = clock

    def find(self, identity: str) -> FoundKey:
        """Raises Refused, StorageUnavailable."""
        named, _ = read_login(Login(user_name=identity, password=b"-"))  # no password, and none is looked for
        self._tenants.catch_up()
        tenant = self._tenants.find_named(named.tenant)
        if tenant is None:
            raise LoginTenantUnknown(f"no tenant has the id or alias {named.tenant!r}")
        found = self._devices.get_credential_now(tenant.tenant_id, PSK, named.auth_id)
        secret = next(iter(self._valid(found)), None)
        if secret is None:
            raise CredentialUnknown(f"no key of {named.auth_id!r} of tenant {tenant.tenant_id!r} is valid now")
        whose = PeerKey(tenant_id=tenant.tenant_id, auth_id=named.auth_id, proof=proof_of(secret))
        return FoundKey(key=b64decode(secret.material["key"]), whose=whose)

    def examine_now(self, key: PeerKey, evidence: Evidence) -> LoginFinding:
        """Where a key that was proven leads, by what any process has committed. Raises Refused, StorageUnavailable."""
        return settled(self._devices, lambda: self._look(key, evidence))

    def _look(self, key: PeerKey, evidence: Evidence) -> LoginFinding:
        self._tenants.make_up()
        tenant = self._tenants.find(key.tenant_id)
        if tenant is None:
            raise LoginTenantUnknown(f"tenant {key.tenant_id!r} was deleted after the handshake")
        found = self._devices.get_credential_now(key.tenant_id, PSK, key.auth_id)
        if not any(proof_of(secret) == key.proof for secret in self._valid(found)):
            raise SecretWithdrawn(f"the key of {key.auth_id!r} was changed after the handshake")
        require_open(tenant, evidence.adapter)
        known = known_device(found)
        require_usable(known)
        return LoginFinding(known=known, credential_type=PSK, auth_id=key.auth_id, proof=key.proof)

    def _valid(self, found: KnownCredential) -> list[Secret]:
        now = self._clock.now()
        return [secret for secret in found.credential.secrets if secret.is_valid_at(now)]


class KeyFinder:
    """The edge's finder of keys for one adapter's listener; writes down whom it finds none for."""

    def __init__(self, *, adapter: str, examination: KeyExamination, refusals: RefusalRecord) -> None:
        self._adapter = adapter
        self._examination = examination
        self._refusals = refusals

    def __call__(self, identity: str, address: Address) -> FoundKey | None:
        try:
            return self._examination.find(identity)
        except Refused as refusal:
            facts = {"adapter": self._adapter, "remote": str(address), "identity": identity}
            self._refusals.add(refusal, facts)
            log.info("handshake.refused", extra=fields(code=refusal.code, detail=str(refusal), **facts))
        except StorageUnavailable as fault:
            log.warning("handshake.key-not-looked-up", extra=fields(code=fault.code, detail=str(fault)))
        return None
