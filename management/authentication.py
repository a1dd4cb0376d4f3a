"""Reads who asks out of a request: Basic with a password or API key, Bearer with an API key or token.

Owns the spelling alone; tenant/authentication.py decides.
"""

import base64
import binascii
from collections.abc import Mapping

from kernel.exchange import Caller
from tenant.authentication import OperatorAuthentication
from tenant.operator_errors import CredentialsMissing
from tenant.operators import KEY_PREFIX

CREDENTIALS_MAX_CHARS = 4096


class HeaderAuthenticator:
    """A `management.ports.Authenticator` over the operators on record."""

    def __init__(self, operators: OperatorAuthentication) -> None:
        self._operators = operators

    async def authenticate(self, headers: Mapping[str, str], remote: str) -> Caller:
        scheme, _, credentials = headers.get("authorization", "").strip().partition(" ")
        credentials = credentials.strip()
        if not credentials or len(credentials) > CREDENTIALS_MAX_CHARS:
            raise CredentialsMissing("the request has no Authorization that could prove anybody")
        if scheme.lower() == "basic":
            name, password = _name_and_password(credentials)
            return await self._operators.by_password(name, password, remote)
        if scheme.lower() != "bearer":
            raise CredentialsMissing("Authorization is Basic or Bearer here")
        if credentials.startswith(KEY_PREFIX):
            return await self._operators.by_key(credentials, remote)
        return await self._operators.by_token(credentials, remote)

    def close(self) -> None:
        self._operators.close()


def _name_and_password(credentials: str) -> tuple[str, str]:
    """RFC 7617, in UTF-8. Raises CredentialsMissing."""
    try:
        said = base64.b64decode(credentials, validate=True).decode()
    except (binascii.Error, ValueError) as fault:
        raise CredentialsMissing("the credentials are not Base64 of UTF-8") from fault
    name, colon, password = said.partition(":")
    if not colon:
        raise CredentialsMissing("the credentials have no colon")
    return name, password
