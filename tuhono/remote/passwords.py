"""Passwords for a gateway elsewhere: it hashes them itself, by its own rules, and says which hashes it takes."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from registry.passwords import HashRules


@dataclass(frozen=True, slots=True, kw_only=True)
class HashedThere(HashRules):
    """Sends what is plain as it is, over the connection that proves the operator."""

    def hash(self, password: str) -> Mapping[str, str]:
        return {"pwd-plain": password}

    def check(self, material: Mapping[str, Any]) -> None:
        """Any may be on record there."""
