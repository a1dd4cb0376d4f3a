"""What a device proves itself with: how an update becomes what is on record, what a read may show, who may use it.

Owns the rules of hono-registry 1.4.1 and 1.4.2 and the domain's half of 2.3; forms of the wire stand in dialects.
Every fault names element, member and rule as an operator wrote them: `credentials[1].secrets[0].key: required`.

An update runs in three steps: `checked` needs nothing but the request and the tenant, `hashed` takes its time, and
`merged` is quick, because it runs inside a transaction.
"""

import re
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime
from typing import Any, Final

from kernel.errors import TuhonoError
from kernel.ids import AUTH_ID_MAX_CHARS, AuthId, DeviceId, IdRule, TenantId, generate_id
from pki.certificates import Certificate, parse_certificate
from pki.errors import NameInvalid
from pki.names import normalise
from pki.templates import Template
from registry.errors import CredentialInvalid
from registry.model import X509_CERT, Credential, Json, Secret
from registry.passwords import HashRefused, HashRules
from tenant.model import Tenant

HASHED_PASSWORD: Final = "hashed-password"
PSK: Final = "psk"
RPK: Final = "rpk"

CREDENTIALS_MAX: Final = 100  # of one device
SECRETS_MAX: Final = 20  # of one credential: a password that comes is tried against each
PLAIN_PASSWORDS_MAX: Final = 20  # of one update: each takes tens of milliseconds
SECRET_ID_MAX_CHARS: Final = 256
TYPE_MAX_CHARS: Final = 128
TYPE_PATTERN: Final = "[a-z0-9-]+"

_TYPE = re.compile(TYPE_PATTERN)
_CONTROL = re.compile(r"[\x00-\x1f\x7f-\x9f]")
_REQUIRED: Final[Mapping[str, tuple[str, ...]]] = {PSK: ("key",), RPK: ("key", "algorithm")}
_SHOWN: Final[Mapping[str, tuple[str, ...]]] = {HASHED_PASSWORD: (), PSK: (), X509_CERT: (), RPK: ("key", "algorithm")}


@dataclass(frozen=True, slots=True, kw_only=True)
class SecretUpdate:
    """A secret as an operator wishes it. With an id and without material it keeps the material on record."""

    secret_id: str | None = None
    enabled: bool | None = None
    not_before: datetime | None = None
    not_after: datetime | None = None
    comment: str | None = None
    material: Json = field(default_factory=dict, repr=False)  # as in `Secret`
    password: str | None = field(default=None, repr=False)  # plain; wins over the material


@dataclass(frozen=True, slots=True, kw_only=True)
class CredentialUpdate:
    """A credential as an operator wishes it."""

    type: str
    auth_id: str | None = None  # required, but where there is a certificate
    enabled: bool | None = None
    comment: str | None = None
    ext: Json = field(default_factory=dict)
    secrets: tuple[SecretUpdate, ...] = ()
    certificate_der: bytes | None = None  # X.509: auth-id and validity are taken from it


def checked(
    updates: Sequence[CredentialUpdate], *, tenant: Tenant, auth_ids: IdRule, rules: HashRules, moment: datetime
) -> Sequence[CredentialUpdate]:
    """The updates with auth-ids as they are kept, or CredentialInvalid. `auth_ids` is for hashed-password."""
    if len(updates) > CREDENTIALS_MAX:
        raise CredentialInvalid(f"credentials: {len(updates)} elements; a device has at most {CREDENTIALS_MAX}")
    if sum(secret.password is not None for update in updates for secret in update.secrets) > PLAIN_PASSWORDS_MAX:
        raise CredentialInvalid(f"credentials: more than {PLAIN_PASSWORDS_MAX} times pwd-plain in one request")
    settled: list[CredentialUpdate] = []
    places: dict[tuple[str, str | None], int] = {}
    for place, update in enumerate(updates):
        one = _checked(update, f"credentials[{place}]", tenant=tenant, auth_ids=auth_ids, rules=rules, moment=moment)
        first = places.setdefault((one.type, one.auth_id), place)
        if first != place:
            raise CredentialInvalid(f"credentials[{place}]: type and auth-id are those of credentials[{first}]")
        settled.append(one)
    return settled


def hashed(updates: Sequence[CredentialUpdate], rules: HashRules) -> Sequence[CredentialUpdate]:
    """The updates with every plain password hashed. Takes tens of milliseconds for each. Raises CredentialInvalid."""
    return [
        replace(
            update,
            secrets=tuple(
                _hashed(secret, f"credentials[{place}].secrets[{at}]", rules)
                for at, secret in enumerate(update.secrets)
            ),
        )
        for place, update in enumerate(updates)
    ]


def merged(
    updates: Sequence[CredentialUpdate],
    existing: Sequence[Credential],
    *,
    tenant_id: TenantId,
    device_id: DeviceId,
) -> Sequence[Credential]:
    """What is to be on record: of `existing`, only what secrets named by id refer to is kept.

    Raises CredentialInvalid for an id nobody knows, and for secrets without material.
    """
    if not existing and any(secret.secret_id is not None for update in updates for secret in update.secrets):
        raise CredentialInvalid("credentials: secrets are named by id, but the device has no credentials on record")
    known = {(one.type, one.auth_id): one for one in existing}
    return [
        Credential(
            tenant_id=tenant_id,
            device_id=device_id,
            type=update.type,
            auth_id=AuthId(update.auth_id or ""),
            enabled=update.enabled,
            comment=update.comment,
            ext=update.ext,
            secrets=_merged(update, known.get((update.type, AuthId(update.auth_id or ""))), f"credentials[{place}]"),
        )
        for place, update in enumerate(updates)
    ]


def shown(credential: Credential) -> Credential:
    """The credential as a read may show it: without passwords, hashes and keys (hono-registry 1.4.2).

    Of types nobody here knows everything is shown, as it was sent.
    """
    kept = _SHOWN.get(credential.type)
    if kept is None:
        return credential
    secrets = (
        replace(secret, material={name: value for name, value in secret.material.items() if name in kept})
        for secret in credential.secrets
    )
    return replace(credential, secrets=tuple(secrets))


def matches_context(ext: Json, context: Json) -> bool:
    """Whether the credential may be used by a client like this (hono-registry 3.2).

    What both name must be equal; what only one names does not matter.
    """
    return all(
        value is None or name not in ext or (type(ext[name]) is type(value) and ext[name] == value)
        for name, value in context.items()
    )


def _checked(
    update: CredentialUpdate, at: str, *, tenant: Tenant, auth_ids: IdRule, rules: HashRules, moment: datetime
) -> CredentialUpdate:
    if len(update.type) > TYPE_MAX_CHARS or _TYPE.fullmatch(update.type) is None:
        raise CredentialInvalid(
            f"{at}.type: {update.type[:60]!r} is not 1 to {TYPE_MAX_CHARS} characters of {TYPE_PATTERN!r}"
        )
    if update.certificate_der is not None:
        update = _of_certificate(update, at, tenant, moment)
    auth_id = update.auth_id
    if not auth_id:
        raise CredentialInvalid(f"{at}.auth-id: required, and not empty")
    if update.type == X509_CERT and len(auth_id) <= AUTH_ID_MAX_CHARS:
        auth_id = _normalised(auth_id)
    if len(auth_id) > AUTH_ID_MAX_CHARS or _CONTROL.search(auth_id):
        raise CredentialInvalid(f"{at}.auth-id: not 1 to {AUTH_ID_MAX_CHARS} characters without control characters")
    if update.type == HASHED_PASSWORD and not auth_ids.allows(auth_id):
        raise CredentialInvalid(f"{at}.auth-id: {auth_id[:60]!r} does not match the pattern {auth_ids.pattern!r}")
    if not update.secrets:
        raise CredentialInvalid(f"{at}.secrets: required, at least one")
    if len(update.secrets) > SECRETS_MAX:
        raise CredentialInvalid(f"{at}.secrets: {len(update.secrets)} elements; at most {SECRETS_MAX}")
    if update.type == X509_CERT and len(update.secrets) > 1:
        raise CredentialInvalid(f"{at}.secrets: {len(update.secrets)} elements; {X509_CERT} has exactly one")
    _check_secrets(update, at, rules)
    return replace(update, auth_id=auth_id)


def _check_secrets(update: CredentialUpdate, at: str, rules: HashRules) -> None:
    used = Counter(secret.secret_id for secret in update.secrets if secret.secret_id is not None)
    for place, secret in enumerate(update.secrets):
        here = f"{at}.secrets[{place}]"
        if secret.secret_id is not None:
            if not 0 < len(secret.secret_id) <= SECRET_ID_MAX_CHARS or _CONTROL.search(secret.secret_id):
                raise CredentialInvalid(
                    f"{here}.id: not 1 to {SECRET_ID_MAX_CHARS} characters without control characters"
                )
            if used[secret.secret_id] > 1:
                raise CredentialInvalid(f"{here}.id: {secret.secret_id!r} is that of another secret of the credential")
        if secret.not_before is not None and secret.not_after is not None and secret.not_before > secret.not_after:
            raise CredentialInvalid(f"{here}.not-before: later than not-after")
        if update.type == HASHED_PASSWORD and secret.password is None and secret.material:
            _check_hash(secret.material, here, rules)


def _check_hash(material: Json, here: str, rules: HashRules) -> None:
    try:
        rules.check(material)
    except HashRefused as fault:
        raise CredentialInvalid(f"{here}.{fault.member}: {fault}") from None


def _hashed(secret: SecretUpdate, here: str, rules: HashRules) -> SecretUpdate:
    if secret.password is None:
        return secret
    try:
        return replace(secret, password=None, material=rules.hash(secret.password))
    except ValueError as fault:
        raise CredentialInvalid(f"{here}.pwd-plain: {fault}") from None


def _merged(update: CredentialUpdate, known: Credential | None, at: str) -> tuple[Secret, ...]:
    on_record = {secret.secret_id: secret for secret in known.secrets} if known is not None else {}
    secrets = []
    for place, secret in enumerate(update.secrets):
        here = f"{at}.secrets[{place}]"
        material: Mapping[str, Any] = secret.material
        if secret.secret_id is not None and known is not None:
            old = on_record.get(secret.secret_id)
            if old is None:
                raise CredentialInvalid(f"{here}.id: the credential has no secret {secret.secret_id!r}")
            material = material or old.material
        _require_material(update.type, material, here, is_new=known is None)
        secrets.append(
            Secret(
                secret_id=generate_id() if secret.secret_id is None else secret.secret_id,
                enabled=secret.enabled,
                not_before=secret.not_before,
                not_after=secret.not_after,
                comment=secret.comment,
                material=material,
            )
        )
    return tuple(secrets)


def _require_material(type_: str, material: Json, here: str, *, is_new: bool) -> None:
    why = "the credential is not on record yet" if is_new else "only a secret named by its id keeps what is on record"
    if type_ == HASHED_PASSWORD and not material:
        raise CredentialInvalid(f"{here}: pwd-plain, or pwd-hash and hash-function, are required: {why}")
    for name in _REQUIRED.get(type_, ()):
        if not material.get(name):
            raise CredentialInvalid(f"{here}.{name}: required: {why}")


def _of_certificate(update: CredentialUpdate, at: str, tenant: Tenant, moment: datetime) -> CredentialUpdate:
    try:
        certificate = parse_certificate(update.certificate_der or b"")
        auth_id = _auth_id_of(certificate, tenant, moment)
    except TuhonoError as fault:
        raise CredentialInvalid(f"{at}.cert: {fault}") from fault
    if not auth_id:
        raise CredentialInvalid(f"{at}.cert: it has no subject that could be the auth-id")
    window = SecretUpdate(not_before=certificate.not_before, not_after=certificate.not_after)
    return replace(update, auth_id=auth_id, secrets=(window,))


def _auth_id_of(certificate: Certificate, tenant: Tenant, moment: datetime) -> str:
    """What the device will be known by when it connects: as the first valid CA of the issuer's name says."""
    for anchor in tenant.trust_anchors:
        if anchor.authority.subject_dn == certificate.issuer_dn and anchor.is_valid_at(moment):
            template = anchor.auth_id_template
            return certificate.subject_dn if template is None else Template.parse(template).fill(certificate)
    return certificate.subject_dn


def _normalised(auth_id: str) -> str:
    try:
        return normalise(auth_id) or auth_id
    except NameInvalid:
        return auth_id  # one that a template makes
