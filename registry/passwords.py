"""Password secrets: how a plain one is hashed, which hashes may be on record, and whether a password is right.

Material is spelled as in the contract (hono-registry 2.3.2): `pwd-hash`, `hash-function`, `salt`. Hashing takes tens
of milliseconds on purpose: never on an event loop, and as often as one request may ask for it is bounded.

Nothing that would take longer to verify than what is made here comes on record: cost has a bound of its own.
"""

import hmac
import re
from base64 import b64decode
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from hashlib import sha256, sha512
from typing import Any, Final

import argon2
import bcrypt

from conf.registry import RegistrySettings

BCRYPT: Final = "bcrypt"
ARGON2ID: Final = "argon2id"
SHA_256: Final = "sha-256"
SHA_512: Final = "sha-512"

BCRYPT_COST_MIN: Final = 4
BCRYPT_PASSWORD_MAX_BYTES: Final = 72  # it reads no more: whatever followed would not count
PASSWORD_MAX_BYTES: Final = 1024
HASH_MAX_CHARS: Final = 512
SALT_MAX_CHARS: Final = 1024
ARGON2_MEMORY_MAX_KIB: Final = 65_536
ARGON2_PASSES_MAX: Final = 4
ARGON2_LANES_MAX: Final = 8

_BCRYPT_HASH = re.compile(r"\$2a\$([0-9]{2})\$[./0-9A-Za-z]{53}")
_DIGESTS: Final[Mapping[str, Callable[..., Any]]] = {SHA_256: sha256, SHA_512: sha512}
# Of the choices OWASP names for argon2id, the one with the least memory: many devices may come at once.
_ARGON2 = argon2.PasswordHasher(time_cost=2, memory_cost=19_456, parallelism=1)


@dataclass(frozen=True, slots=True, kw_only=True)
class HashRules:
    """What passwords are hashed with, and which hashes are taken as they come."""

    plain_with: str = BCRYPT
    bcrypt_cost_max: int = 10  # and the cost of what is hashed here
    allowed: frozenset[str] = frozenset()  # hash functions; none: any

    @classmethod
    def of(cls, settings: RegistrySettings) -> "HashRules":
        named = (name.strip() for name in settings.hash_functions.split(","))
        return cls(
            plain_with=settings.password_hash,
            bcrypt_cost_max=settings.bcrypt_cost_max,
            allowed=frozenset(name for name in named if name),
        )

    def hash(self, password: str) -> Mapping[str, str]:
        """The material of a plain password. Raises ValueError naming the rule it breaks. Takes its time."""
        plain = password.encode()
        most = BCRYPT_PASSWORD_MAX_BYTES if self.plain_with == BCRYPT else PASSWORD_MAX_BYTES
        if not plain:
            raise ValueError("a password has at least one character")
        if len(plain) > most:
            raise ValueError(f"{len(plain)} bytes of UTF-8; {self.plain_with} takes at most {most}")
        if self.plain_with == BCRYPT:
            hashed = bcrypt.hashpw(plain, bcrypt.gensalt(self.bcrypt_cost_max, prefix=b"2a")).decode()
        else:
            hashed = _ARGON2.hash(plain)
        return {"hash-function": self.plain_with, "pwd-hash": hashed}

    def check(self, material: Mapping[str, Any]) -> None:
        """Whether such a hash may be on record. Raises HashRefused."""
        function, hashed = material.get("hash-function"), material.get("pwd-hash")
        if function is None or hashed is None:
            missing = "hash-function" if function is None else "pwd-hash"
            raise HashRefused(missing, "required, unless there is pwd-plain or the id of a secret on record")
        if self.allowed and function not in self.allowed:
            allowed = ", ".join(sorted(self.allowed))
            raise HashRefused("hash-function", f"{function[:60]!r} is not among those allowed: {allowed}")
        if len(hashed) > HASH_MAX_CHARS:
            raise HashRefused("pwd-hash", f"longer than {HASH_MAX_CHARS} characters")
        if len(material.get("salt", "")) > SALT_MAX_CHARS:
            raise HashRefused("salt", f"longer than {SALT_MAX_CHARS} characters")
        if function == BCRYPT:
            self._check_bcrypt(hashed)
        elif function == ARGON2ID:
            _check_argon2(hashed)
        elif function in _DIGESTS:
            _check_digest(hashed)

    def _check_bcrypt(self, hashed: str) -> None:
        form = _BCRYPT_HASH.fullmatch(hashed)
        if form is None:
            raise HashRefused(
                "pwd-hash", "no bcrypt hash of version 2a: $2a$, cost, $ and 53 characters of ./0-9A-Za-z"
            )
        if not BCRYPT_COST_MIN <= int(form[1]) <= self.bcrypt_cost_max:
            raise HashRefused(
                "pwd-hash", f"bcrypt cost {int(form[1])} is not between {BCRYPT_COST_MIN} and {self.bcrypt_cost_max}"
            )


class HashRefused(ValueError):
    """A member of a password secret breaks a rule. The caller knows where in the request it stands."""

    def __init__(self, member: str, rule: str) -> None:
        super().__init__(rule)
        self.member = member


def verifies(material: Mapping[str, Any], password: bytes) -> bool:
    """Whether the password is the one that was hashed. Never raises; takes as long as the hash was made to take.

    Of a password for bcrypt the first 72 bytes count, as wherever else such hashes were made.
    """
    hashed = material.get("pwd-hash")
    if not isinstance(hashed, str) or len(password) > PASSWORD_MAX_BYTES:
        return False
    function = material.get("hash-function", SHA_256)
    try:
        if function == BCRYPT:
            return bcrypt.checkpw(password[:BCRYPT_PASSWORD_MAX_BYTES], hashed.encode())
        if function == ARGON2ID:
            return _ARGON2.verify(hashed, password)
        if function in _DIGESTS:
            salted = b64decode(material.get("salt", "")) + password
            return hmac.compare_digest(_DIGESTS[function](salted).digest(), b64decode(hashed))
    except (ValueError, argon2.exceptions.Argon2Error, argon2.exceptions.InvalidHashError):
        pass  # another password, or a hash that none can have
    return False


def _check_digest(hashed: str) -> None:
    try:
        b64decode(hashed, validate=True)
    except ValueError:
        raise HashRefused("pwd-hash", "not Base64 with padding") from None


def _check_argon2(hashed: str) -> None:
    try:
        asked = argon2.extract_parameters(hashed)
    except argon2.exceptions.InvalidHashError:
        raise HashRefused("pwd-hash", "no argon2id hash in the form $argon2id$v=19$m=…,t=…,p=…$salt$hash") from None
    if asked.type is not argon2.Type.ID:
        raise HashRefused("pwd-hash", "argon2, but not argon2id")
    for letter, value, most in (
        ("m", asked.memory_cost, ARGON2_MEMORY_MAX_KIB),
        ("t", asked.time_cost, ARGON2_PASSES_MAX),
        ("p", asked.parallelism, ARGON2_LANES_MAX),
    ):
        if not 1 <= value <= most:
            raise HashRefused("pwd-hash", f"argon2id {letter}={value} is not between 1 and {most}")
