"""Operators: what they are called, what they may do, which tenants exist for them, and their API keys.

Owns the values and their rules. Who stands behind a request is proven in tenant/authentication.py; what may be done
to whom is judged in tenant/operator_administration.py.

A name may be given again after its operator is gone; `operator_id` never is, so whatever was made for the one is no
good for the other.
"""

import hashlib
import re
import secrets
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from enum import Enum

from kernel.exchange import Need
from kernel.ids import ID_MAX_CHARS, IdRule
from tenant.audit import Document, instant, said
from tenant.operator_errors import OperatorInvalid

OPERATOR_NAME_PATTERN = r"[a-zA-Z0-9\-_.@+]+"  # no colon: Basic ends the name with one, and `local:USER` has one
NAME_MAX_CHARS = 128
PASSWORD_MIN_CHARS = 8
PASSWORD_MAX_CHARS = 256
TENANTS_MAX = 1000  # that one operator may be limited to
OPERATORS_MAX = 10_000
KEYS_MAX = 100  # of one operator, spent ones included while there is room
KEY_NAME_MAX_CHARS = 100
KEY_DAYS_MAX = 3650
KEY_PREFIX = "tuh_"
KEY_RANDOM_BYTES = 32
KEY_USE_NOTED_EVERY = timedelta(minutes=1)
MASKED = "masked"  # stands for a secret in the audit
CHANGED = "changed"  # for one that is another now

_NAME = IdRule(OPERATOR_NAME_PATTERN, max_chars=NAME_MAX_CHARS)
_KEY_ID = re.compile(r"key-[0-9a-f]{16}")

Reach = frozenset[str] | None  # ids of tenants; None: all


class Role(Enum):
    """What an operator may do in the tenants it reaches."""

    VIEWER = "viewer"
    EDITOR = "editor"
    ADMIN = "admin"

    @property
    def allowed(self) -> Need:
        return _ALLOWED[self]


_ALLOWED = {Role.VIEWER: Need.READ, Role.EDITOR: Need.WRITE, Role.ADMIN: Need.ADMINISTER}


@dataclass(frozen=True, slots=True, kw_only=True)
class Operator:
    """Somebody, or some program, that administers."""

    operator_id: str
    name: str
    role: Role
    tenants: Reach = None
    enabled: bool = True
    password_hash: str | None = field(default=None, repr=False)  # None: logs in with keys only
    created: datetime
    updated: datetime | None = None
    version: str = ""

    @property
    def allowed(self) -> Need:
        return self.role.allowed

    @property
    def is_full_administrator(self) -> bool:
        """Whether it can bring back whatever went wrong with the others."""
        return self.enabled and self.role is Role.ADMIN and self.tenants is None

    @property
    def password_stamp(self) -> str:
        """Another one for every password set; tells nothing of it."""
        return stamp_of(self.password_hash or "")


@dataclass(frozen=True, slots=True, kw_only=True)
class ApiKey:
    """A random secret that proves an operator. The secret itself is shown once and never kept."""

    key_id: str
    operator_name: str
    name: str
    digest_hex: str = field(repr=False)  # SHA-256 of the key: it is random, so nobody guesses it from that
    created: datetime
    expires: datetime | None = None
    revoked: datetime | None = None
    last_used: datetime | None = None  # to the minute

    def is_valid_at(self, moment: datetime) -> bool:
        return self.revoked is None and (self.expires is None or moment < self.expires)


@dataclass(frozen=True, slots=True, kw_only=True)
class LocalCaller:
    """Whoever works on the machine itself, with the database at hand: may do everything."""

    name: str  # local:USER
    allowed: Need = Need.ADMINISTER
    tenants: Reach = None


def covers(reach: Reach, other: Reach) -> bool:
    """Whether every tenant of the second reach is in the first."""
    return reach is None or (other is not None and other <= reach)


def stamp_of(password_hash: str) -> str:
    return hashlib.sha256(password_hash.encode()).hexdigest()[:16]


def new_key(operator_name: str, name: str, moment: datetime, *, expires: datetime | None = None) -> tuple[ApiKey, str]:
    """A key's record, and the key."""
    check_key_name(name)
    secret = KEY_PREFIX + secrets.token_urlsafe(KEY_RANDOM_BYTES)
    key = ApiKey(
        key_id=f"key-{secrets.token_hex(8)}",
        operator_name=operator_name,
        name=name,
        digest_hex=digest_of(secret),
        created=moment,
        expires=expires,
    )
    return key, secret


def digest_of(key: str) -> str:
    return hashlib.sha256(key.encode()).hexdigest()


def is_key_id(text: str) -> bool:
    return _KEY_ID.fullmatch(text) is not None


def is_operator_name(text: str) -> bool:
    return _NAME.allows(text) and not is_key_id(text)


def check_name(name: str) -> None:
    """Raises OperatorInvalid."""
    if not is_operator_name(name):
        raise OperatorInvalid(
            f"name: 1 to {NAME_MAX_CHARS} letters, digits and '-', '_', '.', '@', '+', and not the form of a key's id"
        )


def check_password(password: str) -> None:
    """Raises OperatorInvalid."""
    if not PASSWORD_MIN_CHARS <= len(password) <= PASSWORD_MAX_CHARS:
        raise OperatorInvalid(f"password: {PASSWORD_MIN_CHARS} to {PASSWORD_MAX_CHARS} characters")
    if password.startswith(KEY_PREFIX):
        raise OperatorInvalid(f"password: may not begin with {KEY_PREFIX!r}, as API keys do")
    if any(0xD800 <= ord(character) <= 0xDFFF for character in password):
        raise OperatorInvalid("password: is no sequence of Unicode characters")


def check_reach(tenants: Reach) -> None:
    """Raises OperatorInvalid. The tenants need not exist yet."""
    if tenants is None:
        return
    if not 1 <= len(tenants) <= TENANTS_MAX:
        raise OperatorInvalid(f"tenants: 1 to {TENANTS_MAX} of them, or none said for all")
    if not all(0 < len(tenant) <= ID_MAX_CHARS and tenant.isprintable() for tenant in tenants):
        raise OperatorInvalid("tenants: ids of tenants")


def check_key_name(name: str) -> None:
    """Raises OperatorInvalid."""
    if not (0 < len(name) <= KEY_NAME_MAX_CHARS and name.isprintable()):
        raise OperatorInvalid(f"name of a key: 1 to {KEY_NAME_MAX_CHARS} printable characters")


def operator_document(operator: Operator, before: Operator | None = None) -> Document:
    """As the audit shows it. With the operator as it was before, what is masked says whether it changed."""
    password = None if operator.password_hash is None else MASKED
    if password is not None and before is not None and before.password_hash != operator.password_hash:
        password = CHANGED
    return said(
        {
            "name": operator.name,
            "role": operator.role.value,
            "enabled": operator.enabled,
            "tenants": None if operator.tenants is None else sorted(operator.tenants),
            "password": password,
        }
    )


def key_document(key: ApiKey) -> Document:
    """As the audit shows it."""
    return said(
        {
            "id": key.key_id,
            "name": key.name,
            "created": instant(key.created),
            "expires": None if key.expires is None else instant(key.expires),
            "revoked": None if key.revoked is None else instant(key.revoked),
        }
    )


def spent_first(keys: Sequence[ApiKey], moment: datetime) -> list[ApiKey]:
    """Keys that are no good any more, oldest first: they make room for new ones."""
    return sorted((key for key in keys if not key.is_valid_at(moment)), key=lambda key: key.created)
