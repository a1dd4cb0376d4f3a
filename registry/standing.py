"""Whether what let a live session in still would: asked when its credentials or its device have changed.

A session is let in by one credential, and by one secret of it where it has any that differ. Another secret or another
credential of the same device that comes or goes is no concern of the session's.
"""

import json
from collections.abc import Mapping
from hashlib import blake2b
from typing import Any

from kernel.clock import Clock
from kernel.errors import Unauthenticated
from kernel.ids import AuthId, DeviceId, TenantId
from registry.errors import CredentialDisabled, CredentialUnknown, SecretWithdrawn
from registry.model import Device, Secret
from registry.ports import ConnectPath

_DIGEST_BYTES = 16


class Standing:
    """Looks and does not wait; StorageUnavailable where only waiting would tell. Used on the event loop only."""

    def __init__(self, *, store: ConnectPath, clock: Clock) -> None:
        self._store = store
        self._clock = clock

    def refusal_of(
        self, tenant_id: TenantId, device_id: DeviceId, type_: str, auth_id: AuthId, proof: str | None
    ) -> Unauthenticated | None:
        """Why a session of that device may not go on, if it may not. `proof`: of the secret that let it in."""
        if proof is None:
            known = self._store.find_by_credential_now(tenant_id, type_, auth_id)
            if known is None or known.device.device_id != device_id:
                return CredentialUnknown(f"the credential of device {device_id!r} was removed")
            is_enabled = known.credential_enabled
        else:
            found = self._store.find_credential_now(tenant_id, type_, auth_id)
            if found is None or found.device.device_id != device_id:
                return CredentialUnknown(f"the credential of device {device_id!r} was removed")
            is_enabled = found.credential.is_enabled
            now = self._clock.now()
            if not any(proof_of(secret) == proof for secret in found.credential.secrets if secret.is_valid_at(now)):
                return SecretWithdrawn(f"the secret of device {device_id!r} was changed or switched off")
        if not is_enabled:
            return CredentialDisabled(f"the credential of device {device_id!r} was disabled", device_id=device_id)
        return None

    def find_device(self, tenant_id: TenantId, device_id: DeviceId) -> Device | None:
        """As it is now."""
        return self._store.find_device_now(tenant_id, device_id)


def proof_of(secret: Secret) -> str:
    """Tells a secret's material from any other without saying it: another password is another proof."""
    return _digest(secret.material)


def _digest(material: Mapping[str, Any]) -> str:
    spelled = json.dumps(dict(material), sort_keys=True).encode()
    return blake2b(spelled, digest_size=_DIGEST_BYTES).hexdigest()
