"""Whether a password proves a credential, as an adapter would find."""

from datetime import datetime

from registry.credentials import HASHED_PASSWORD
from registry.model import Credential
from registry.passwords import verifies


def verify(credential: Credential, password: bytes, moment: datetime) -> bool:
    """Whether it is that of any secret valid then."""
    return credential.type == HASHED_PASSWORD and any(
        verifies(secret.material, password) for secret in credential.secrets if secret.is_valid_at(moment)
    )
