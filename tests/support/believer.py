"""Proves whoever says which operator he is: `Authorization: Bearer ROLE:TENANTS`, tenants by comma or `*`."""

from collections.abc import Mapping
from dataclasses import dataclass

from kernel.errors import Unauthenticated
from kernel.exchange import Caller, Need

ROLES = {"admin": Need.ADMINISTER, "editor": Need.WRITE, "viewer": Need.READ}


@dataclass(frozen=True, slots=True, kw_only=True)
class Somebody:
    name: str
    allowed: Need
    tenants: frozenset[str] | None


class Believer:
    async def authenticate(self, headers: Mapping[str, str], remote: str) -> Caller:
        kind, _, said = headers.get("authorization", "").partition(" ")
        role, _, tenants = said.partition(":")
        if kind != "Bearer" or role not in ROLES:
            raise Unauthenticated("no operator")
        reached = None if tenants == "*" else frozenset(tenants.split(","))
        return Somebody(name=role, allowed=ROLES[role], tenants=reached)

    def close(self) -> None:
        """Nothing to end."""
