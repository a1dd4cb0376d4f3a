"""Operators of one gateway: the objects that prove them, and the first of them.

A gateway without operators is closed to everybody, so the first start makes one: `admin`, who may do everything, with
an API key in a file that only the owner of the data directory reads.
"""

import logging
import secrets
from dataclasses import dataclass
from functools import partial

from conf.sections import Settings
from kernel.clock import Clock
from kernel.ids import generate_id
from kernel.log import fields
from management.authentication import HeaderAuthenticator
from storage.open import Store
from tenant.audit import Deed
from tenant.authentication import OperatorAuthentication
from tenant.failed_logins import FailedLogins
from tenant.login_throttle import LoginThrottle
from tenant.operator_administration import OperatorAdministration
from tenant.operators import Operator, Role, new_key
from tenant.passwords import PasswordPool
from tenant.tokens import KEY_MIN_BYTES, Tokens
from tuhono.errors import TokenKeyUnusable
from tuhono.secret_files import read_or_make, write_secret

log = logging.getLogger(__name__)

ADMIN = "admin"
ADMIN_KEY_FILE = "admin-key"  # in the data directory
TOKEN_KEY_FILE = "token-key"
FIRST_START = "local:first-start"  # who made the first operator
_TOKEN_KEY_BYTES = 32


@dataclass(frozen=True, slots=True, kw_only=True)
class Operators:
    """What proves and administers them."""

    administration: OperatorAdministration
    authenticator: HeaderAuthenticator
    tokens: Tokens


def build_operators(settings: Settings, store: Store, clock: Clock) -> Operators:
    """Raises TokenKeyUnusable, OSError."""
    section = settings.operators
    tokens = Tokens(key=token_key(settings), lifetime_s=section.token_lifetime_s, clock=clock)
    authentication = OperatorAuthentication(
        operators=store.operators,
        passwords=PasswordPool(),
        throttle=LoginThrottle(
            free_tries=section.login_free_tries,
            first_s=section.login_backoff_first_s,
            max_s=section.login_backoff_max_s,
            clock=clock,
        ),
        failures=FailedLogins(record=store.connect_path.record, clock=clock),
        tokens=tokens,
        password_memory_s=section.password_memory_s,
        clock=clock,
    )
    return Operators(
        administration=OperatorAdministration(operators=store.operators, clock=clock),
        authenticator=HeaderAuthenticator(authentication),
        tokens=tokens,
    )


def token_key(settings: Settings) -> bytes:
    """The key that signs tokens, made at the first start unless the settings name one. Raises TokenKeyUnusable."""
    configured = settings.operators.token_key_file
    if configured is None:
        text = read_or_make(settings.data_dir / TOKEN_KEY_FILE, secrets.token_hex(_TOKEN_KEY_BYTES) + "\n")
        key = text.strip().encode()
    else:
        key = configured.read_bytes().strip()  # of any bytes: read as text, some would become the same
    if len(key) < KEY_MIN_BYTES:
        where = configured or settings.data_dir / TOKEN_KEY_FILE
        raise TokenKeyUnusable(f"{where} holds fewer than {KEY_MIN_BYTES} bytes")
    return key


def make_first_operator(settings: Settings, store: Store, clock: Clock) -> str | None:
    """Where nobody is on record, make `admin`; its API key, which is also in its file. Safe in many processes at once.

    Raises OSError where the file cannot be written; then nobody was made.
    """
    if store.has_operators():
        return None
    moment = clock.now()
    admin = Operator(operator_id=generate_id(), name=ADMIN, role=Role.ADMIN, created=moment, version=generate_id())
    key, secret = new_key(ADMIN, "first start", moment)
    path = settings.data_dir / ADMIN_KEY_FILE
    deed = Deed(actor=FIRST_START, moment=moment)
    if not store.operators.create_first(admin, key, deed, keep=partial(write_secret, path, secret + "\n")):
        return None
    log.info("operator.first-made", extra=fields(operator=ADMIN, key_file=str(path)))
    return secret
