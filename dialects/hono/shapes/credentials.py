"""Credentials as they are on the wire (hono-registry 2.3), and how what is on record is shown.

Each type has a shape of its own; types nobody here knows carry whatever they like in their secrets. How a body becomes
what the registry is asked for stands in credential_updates.py.
"""

from collections.abc import Mapping
from typing import Annotated, Any, Final, Literal

import msgspec
from msgspec import UNSET, Meta, UnsetType

from dialects.hono.shapes.schemas import self_contained
from dialects.hono.shapes.values import CONTROL_FREE, Base64, Json, Timestamp, moment_text
from kernel.ids import AUTH_ID_MAX_CHARS
from registry.credentials import (
    CREDENTIALS_MAX,
    HASHED_PASSWORD,
    PSK,
    RPK,
    SECRET_ID_MAX_CHARS,
    SECRETS_MAX,
    TYPE_MAX_CHARS,
    TYPE_PATTERN,
)
from registry.model import X509_CERT, Credential, Secret
from registry.passwords import HASH_MAX_CHARS, SALT_MAX_CHARS

COMMENT_MAX_CHARS: Final = 4096
KEY_MAX_CHARS: Final = 8192
CERT_MAX_CHARS: Final = 16_384

AuthId = Annotated[str, Meta(min_length=1, max_length=AUTH_ID_MAX_CHARS, pattern=CONTROL_FREE)]
Comment = Annotated[str, Meta(max_length=COMMENT_MAX_CHARS)]
Key = Annotated[Base64, Meta(max_length=KEY_MAX_CHARS)]
Cert = Annotated[Base64, Meta(max_length=CERT_MAX_CHARS, description="A DER certificate; never sent back.")]
SecretId = Annotated[
    str,
    Meta(
        min_length=1,
        max_length=SECRET_ID_MAX_CHARS,
        pattern=CONTROL_FREE,
        description="Of a secret on record: what is not sent of its password or key stays as it is.",
    ),
]


class AnySecret(msgspec.Struct, kw_only=True, rename="kebab", forbid_unknown_fields=True):
    """What every secret may say, whatever its type."""

    id: SecretId | UnsetType = UNSET
    enabled: bool | UnsetType = UNSET
    not_before: Timestamp | UnsetType = UNSET
    not_after: Timestamp | UnsetType = UNSET
    comment: Comment | UnsetType = UNSET


class PasswordSecret(AnySecret, kw_only=True, rename="kebab", forbid_unknown_fields=True):
    """A password, plain or as a hash; what is sent of it is never sent back."""

    pwd_plain: Annotated[str, Meta(min_length=1, description="Hashed before it is kept.")] | UnsetType = UNSET
    hash_function: Annotated[str, Meta(min_length=1, max_length=64)] | UnsetType = UNSET
    pwd_hash: Annotated[str, Meta(min_length=1, max_length=HASH_MAX_CHARS)] | UnsetType = UNSET
    salt: Annotated[Base64, Meta(max_length=SALT_MAX_CHARS)] | UnsetType = UNSET


class PskSecret(AnySecret, kw_only=True, rename="kebab", forbid_unknown_fields=True):
    """A pre-shared key; never sent back."""

    key: Key | UnsetType = UNSET


class X509Secret(AnySecret, kw_only=True, rename="kebab", forbid_unknown_fields=True):
    """When a certificate is accepted; what it must be is the auth-id."""


class RpkSecret(AnySecret, kw_only=True, rename="kebab", forbid_unknown_fields=True):
    """A raw public key, or a certificate to take it from."""

    key: Annotated[Key, Meta(description="SubjectPublicKeyInfo")] | UnsetType = UNSET
    algorithm: Literal["RSA", "EC"] | UnsetType = UNSET  # RSA, where there is a key
    cert: Cert | UnsetType = UNSET


class KnownCredential(msgspec.Struct, kw_only=True, rename="kebab", forbid_unknown_fields=True, tag_field="type"):
    """What every credential may say that has a type known here."""

    enabled: bool | UnsetType = UNSET
    comment: Comment | UnsetType = UNSET
    ext: Json | UnsetType = UNSET


class PasswordCredential(
    KnownCredential, kw_only=True, rename="kebab", forbid_unknown_fields=True, tag=HASHED_PASSWORD
):
    """A user name and its passwords."""

    auth_id: AuthId
    secrets: Annotated[list[PasswordSecret], Meta(min_length=1, max_length=SECRETS_MAX)]


class PskCredential(KnownCredential, kw_only=True, rename="kebab", forbid_unknown_fields=True, tag=PSK):
    """A PSK identity and its keys."""

    auth_id: AuthId
    secrets: Annotated[list[PskSecret], Meta(min_length=1, max_length=SECRETS_MAX)]


class RpkCredential(KnownCredential, kw_only=True, rename="kebab", forbid_unknown_fields=True, tag=RPK):
    """Raw public keys."""

    auth_id: AuthId
    secrets: Annotated[list[RpkSecret], Meta(min_length=1, max_length=SECRETS_MAX)]


class X509Credential(KnownCredential, kw_only=True, rename="kebab", forbid_unknown_fields=True, tag=X509_CERT):
    """A certificate: by what it is known by, or the certificate itself, which then decides."""

    auth_id: Annotated[AuthId, Meta(description="The subject, or what the CA's template makes.")] | UnsetType = UNSET
    cert: Cert | UnsetType = UNSET
    secrets: Annotated[list[X509Secret], Meta(min_length=1, max_length=1)] | UnsetType = UNSET


class OtherCredential(msgspec.Struct, kw_only=True, rename="kebab", forbid_unknown_fields=True):
    """Of a type this registry knows nothing of: secrets are kept and sent back as they come."""

    type: Annotated[
        str,
        Meta(
            max_length=TYPE_MAX_CHARS,
            pattern=rf"^{TYPE_PATTERN}$(?!\n)",
            extra_json_schema={"not": {"enum": [HASHED_PASSWORD, PSK, RPK, X509_CERT]}},
        ),
    ]
    auth_id: AuthId
    secrets: Annotated[list[Json], Meta(min_length=1, max_length=SECRETS_MAX)]
    enabled: bool | UnsetType = UNSET
    comment: Comment | UnsetType = UNSET
    ext: Json | UnsetType = UNSET


class CredentialView(msgspec.Struct, kw_only=True, rename="kebab"):
    """A credential as it is sent back: without passwords, hashes and keys."""

    type: str
    auth_id: str
    enabled: bool | UnsetType = UNSET
    comment: str | UnsetType = UNSET
    ext: Json | UnsetType = UNSET
    secrets: list[Json]


SHAPES: Final[Mapping[str, Any]] = {
    HASHED_PASSWORD: PasswordCredential,
    PSK: PskCredential,
    RPK: RpkCredential,
    X509_CERT: X509Credential,
}
_ANY_CREDENTIAL: Final = {"oneOf": [self_contained(shape) for shape in (*SHAPES.values(), OtherCredential)]}

CredentialsBody = Annotated[  # for the API's description; credential_updates.py reads it
    list[Annotated[Any, Meta(extra_json_schema=_ANY_CREDENTIAL)]], Meta(max_length=CREDENTIALS_MAX)
]


def credential_view(credential: Credential) -> CredentialView:
    """The credential as a read shows it; what must not be shown was taken out before."""
    return CredentialView(
        type=credential.type,
        auth_id=credential.auth_id,
        enabled=UNSET if credential.enabled is None else credential.enabled,
        comment=UNSET if credential.comment is None else credential.comment,
        ext=dict(credential.ext) or UNSET,
        secrets=[_secret_view(secret) for secret in credential.secrets],
    )


def _secret_view(secret: Secret) -> Json:
    said = {
        "id": secret.secret_id,
        "enabled": secret.enabled,
        "not-before": None if secret.not_before is None else moment_text(secret.not_before),
        "not-after": None if secret.not_after is None else moment_text(secret.not_after),
        "comment": secret.comment,
    }
    return {name: value for name, value in said.items() if value is not None} | dict(secret.material)
